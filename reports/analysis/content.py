"""Everything that a report says, computed once from the stored runs."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from ..records.runs import Run, read
from ..system import text
from . import answer, contests, facts, standing, startup, table
from .contests import Contest


@dataclass(frozen=True)
class Answer:
    """What a run says of an operation: in sentences, and by the implementation that leads (None: nothing ran)."""

    title: str
    sentences: list[str]
    leader: standing.Standing | None


@dataclass
class Content:
    """The runs of a report and what follows from them.

    Attributes:
        runs: the folders, as read.
        everything: every measurement in them.
        table: those that the report compares: of a folder with several commits of a machine, the newest.
        baseline: the implementation that speed-ups are over, None where nothing was measured.
        notes: what was left out on the way.
    """

    runs: list[Run]
    everything: pd.DataFrame
    table: pd.DataFrame
    contests: list[Contest]
    baseline: str | None
    notes: list[str]

    @cached_property
    def lines(self) -> list[answer.Line]:
        """The answer, one line per input."""
        return answer.lines(self.contests, self.baseline)

    @cached_property
    def answers(self) -> list[Answer]:
        """The answer, one part for each run and operation."""
        found = []
        for run, operation in dict.fromkeys((c.run, c.operation) for c in self.contests):
            mine = [c for c in self.contests if (c.run, c.operation) == (run, operation)]
            title = f"{operation}, {run}" if self.several else operation
            leader = standing.standing(contests.main_contests(mine))
            found.append(Answer(title, self._sentences(mine), leader))
        return found

    @cached_property
    def sentences(self) -> list[str]:
        """The answer in sentences, each run's after its name where there are several."""
        if not self.several:
            return self._sentences(self.contests)
        return [
            f"{run} – {sentence}"
            for run in self.names
            for sentence in self._sentences([c for c in self.contests if c.run == run])
        ]

    def _sentences(self, mine: Sequence[Contest]) -> list[str]:
        """The answer of contests of one run; of the user's own array with the calls to write."""
        said = answer.sentences(mine, self.baseline)
        array = self._run(mine[0].run).about.array if mine else None
        return said if array is None else [*said, *answer.calls(mine, array.axis, self.ladders, self.baseline)]

    @cached_property
    def ladders(self) -> list[startup.Ladder]:
        """What each implementation costs before its first fast call."""
        return startup.ladders(self.table)

    @cached_property
    def absent(self) -> list[answer.Absent]:
        """What was not measured and why."""
        return answer.absent(self.table, self.runs)

    @cached_property
    def gaps(self) -> str:
        """What has no time in the answer, and why, in one sentence."""
        return answer.gaps(self.contests, self.absent)

    @cached_property
    def folded(self) -> str:
        """`gaps` in a few words, where all of it are implementations that cannot run here; empty otherwise."""
        away = {one.implementation for one in self.absent if one.status == "unavailable"}
        if not away or answer.gaps(self.contests, []):
            return ""
        return f"Not measured: {text.plural(len(away), 'implementation')} that cannot run here"

    @cached_property
    def warnings(self) -> list[str]:
        """What to be careful about."""
        empty = [] if len(self.table) else ["Nothing was measured: there are no results in this folder."]
        return [
            *empty,
            *self.notes,
            *answer.warnings(self.table, self.runs, self.absent),
            *answer.above_ceiling(self.contests),
        ]

    @cached_property
    def names(self) -> list[str]:
        """The runs that the report compares."""
        return list(dict.fromkeys(self.table["run"]))

    @property
    def several(self) -> bool:
        """Whether more than one run is shown side by side."""
        return len(self.names) > 1

    @property
    def title(self) -> str:
        """The report's title."""
        operations = list(dict.fromkeys(self.table["operation"]))
        machines = list(dict.fromkeys(self.table["machine"]))
        on = f" on {text.listed(machines)}" if machines else ""
        return f"{text.listed(operations) or 'Implementations'} compared{on}"

    @cached_property
    def facts(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """For each run, where and how it was measured: (name, value) pairs."""
        return [(name, facts.of(self._run(name), self._rows(name))) for name in self.names]

    @property
    def setups(self) -> list[str]:
        """For each run a sentence: what it was measured on and with, when, and of which source."""
        return [
            (f"{name} – " if self.several else "") + facts.sentence(self._run(name), self._rows(name))
            for name in self.names
        ]

    @property
    def trust(self) -> list[list[tuple[str, str]]]:
        """For each run, by what its figures can be trusted: (name, value) pairs, the run's name first of several."""
        found = [(name, facts.trust(self._run(name), self._rows(name))) for name in self.names]
        return [[("run", name), *pairs] if self.several else pairs for name, pairs in found]

    def _rows(self, name: str) -> pd.DataFrame:
        return self.table[self.table["run"] == name]

    def _run(self, name: str) -> Run:
        return next((r for r in self.runs if any(table.label(r, f) == name for f in r.results.files)), self.runs[0])

    def caches(self, name: str) -> dict[str, int]:
        """Sizes in bytes of the data caches of a run's machine; empty for a run on a GPU, which does not use them."""
        about = self._run(name).about
        return {} if about.device else about.machine.caches

    def table_as_text(self) -> pd.DataFrame:
        """Every measurement: process medians as numbers with spaces between."""
        frame = self.everything.copy()
        frame["process_medians"] = [
            " ".join(map(repr, medians)) if isinstance(medians, tuple) else "" for medians in frame["process_medians"]
        ]
        return frame

    def csv(self) -> str:
        """Every measurement as CSV, in which no text is a formula to a spreadsheet."""
        frame = self.table_as_text()
        for name in frame.columns[[kind in ("object", "string", "str") for kind in map(str, frame.dtypes)]]:
            frame[name] = [text.no_formula(value) if isinstance(value, str) else value for value in frame[name]]
        return str(frame.to_csv(index=False))


def gather(folders: Sequence[Path], baseline: str | None = None) -> Content:
    """Read the folders and work out what they say.

    Raises:
        reports.records.runs.NoResults: a folder is missing or holds no results.
        ValueError: the baseline was not measured.
    """
    with no_collection():
        stored = [read(Path(folder)) for folder in folders]
        everything = table.frame(stored)
        newest, notes = _newest(everything, stored)
        newest = newest.sort_values(
            "operation", key=lambda column: column != "softmax", kind="stable", ignore_index=True
        )
        found = contests.contests(newest)
    return Content(stored, everything, newest, found, contests.baseline_of(found, baseline), notes)


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """No garbage collection: it would go through hundreds of thousands of small new objects again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _newest(everything: pd.DataFrame, stored: Sequence[Run]) -> tuple[pd.DataFrame, list[str]]:
    """Of a folder that holds several commits of one machine, the commit that was measured last."""
    keep, notes = set(), []
    for run in stored:
        labels: dict[str, list[tuple[float, str]]] = {}
        for file in run.results.files:
            when = max((m.started or 0 for m in file.measurements), default=0) or file.date or 0
            labels.setdefault(file.machine, []).append((when, table.label(run, file)))
        for machine, found in labels.items():
            last = max(found)[1]
            keep.add(last)
            older = {label for _, label in found} - {last}
            if older:
                notes.append(
                    f"{machine}: this report compares {last}, measured last; "
                    f"older ones ({len(older)}) are in results.csv only."
                )
    return everything[everything["run"].isin(keep)].reset_index(drop=True), notes
