"""The main job: check what can run here, measure it with asv round by round, and keep what was measured."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from maxbench import impls
from maxbench.bench.inputs import grid
from maxbench.bench.processes import launch
from maxbench.bench.processes.crew import Crew
from maxbench.bench.processes.hub import Talk
from maxbench.bench.processes.messages import Answer, Message
from maxbench.impls import registry

from ..records import findings, journal_rows
from ..records.journal import FILE as JOURNAL
from ..records.run import Array, Precheck, RunRecord, State
from ..system import files
from ..system.interrupts import Interrupts
from ..system.progress import Bar, Journal
from . import checks, environment, implementations, recording
from .asv_driver import Driver, cell_expression
from .cells import Cells
from .disturbance import Watch

# A quick run takes rounds until the next would end after this many seconds of measuring: with the check before it and
# the report after it that makes three minutes on two cores. At least three rounds: an interval of fewer says nothing.
QUICK_SECONDS = 60.0
LEAST_ROUNDS, MOST_ROUNDS = 3, 5

_TIMED = r"\.time_"
# Measured once more where a share of the ceiling is impossible: the ceilings, and what exceeded them.
_NEAR_CEILING = ("Ceiling", "Own", "Sweep", "Workloads")


@dataclass
class Plan:
    """What is to be measured, and where it goes.

    Attributes:
        folder: the run folder, absolute: asv and the benchmarks run in folders of their own.
        grid: quick or full.
        entries: the implementations to check and measure.
        dtypes: narrows the dtypes, None for the grid's.
        threads: CPU threads that every library gets.
        rounds: how many rounds to take, None for the grid's own number.
        array: the user's own array, None for the workloads.
        command: the words of the command line, to say how to go on.
        machine: a name for the machine, None for its host name.
    """

    folder: Path
    grid: str
    entries: tuple[registry.Entry, ...]
    dtypes: tuple[str, ...] | None
    threads: int
    array: Array | None
    rounds: int | None = None
    command: list[str] = field(default_factory=list)
    machine: str | None = None

    @property
    def operations(self) -> list[str]:
        """The operations that any entry belongs to."""
        return sorted({entry.operation for entry in self.entries})

    def variables(self, names: Sequence[str]) -> dict[str, str]:
        """The environment of every benchmark process, for these ``operation.name``."""
        found = {
            grid.GRID: self.grid,
            grid.IMPLEMENTATIONS: ",".join(names),
            grid.PRELOAD: "1",
            **environment.measuring(self.threads),
        }
        if self.dtypes is not None:
            found[grid.DTYPES] = ",".join(self.dtypes)
        if self.array is not None:
            if self.array.path is None:
                found[grid.ARRAY_SHAPE] = "x".join(map(str, self.array.shape))
            else:
                found[grid.ARRAY] = self.array.path
            if self.array.key is not None:
                found[grid.ARRAY_KEY] = self.array.key
            if self.array.axis is not None:
                found[grid.ARRAY_AXIS] = str(self.array.axis)
        return found

    def checked_dtypes(self) -> tuple[str, ...]:
        """The dtypes that the agreement check looks at: those that are measured."""
        if self.dtypes is not None:
            return self.dtypes
        found = (name for operation in self.operations for name in grid.dtypes(operation, self.grid))
        return tuple(dict.fromkeys(found))


class Measurement:
    """One run over a plan; `record` is saved at every step."""

    def __init__(
        self, plan: Plan, bar: Bar, resumed: RunRecord | None = None, precheck: Precheck | None = None
    ) -> None:
        self.plan = plan
        self.bar = bar
        self._watch = Watch()
        self.record = resumed or self._begin(precheck)
        self.record.state = "running"
        self.crew = Crew(self._hear)
        self._most_bytes = launch.limit_bytes()
        self._cells = Cells(plan.folder / JOURNAL, Path(impls.__file__).resolve().parent, self._tidy)
        self.driver = Driver(
            plan.folder,
            files.safe_name(self.record.machine.name),
            self.record.identity,
            {},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.crew.close()

    @property
    def begun(self) -> bool:
        """Whether any cell has been measured, by this run or the one that it resumes."""
        return bool(self._cells.lines)

    def _begin(self, precheck: Precheck | None) -> RunRecord:
        plan = self.plan
        grid_name = "array" if plan.array else plan.grid
        return recording.begin(
            plan.folder.name, plan.command, grid_name, plan.threads, plan.machine, plan.array, precheck
        )  # fmt: skip

    def save(self) -> None:
        """Write the record."""
        self.record.save(self.plan.folder)

    def check(self) -> None:
        """Check agreement of every entry on the dtypes that will be measured, and note what each one is."""
        entries, done = self.plan.entries, 0

        def tick(checked: checks.Checked) -> None:
            nonlocal done
            done += 1
            self.bar.show(f"checked {checked.entry.operation}.{checked.entry.name}", done, len(entries), None)

        self.bar.show("checking agreement", 0, len(entries), None)
        env = environment.measuring(self.plan.threads)
        found, pairs = checks.check_all(entries, self.plan.checked_dtypes(), done=tick, crew=self.crew, env=env)
        findings.save(self.plan.folder, [*(finding for checked in found for finding in checked.findings), *pairs])
        self.record.implementations = [implementations.describe(checked) for checked in found]
        self.save()

    def measure(self) -> None:
        """Measure in rounds.

        Raises:
            AsvFailed: asv could not do its work.
            KeyboardInterrupt: the run was stopped; what was measured is saved.
        """
        names = [f"{i.operation}.{i.name}" for i in self.record.implementations if i.status == "available"]
        if not names:
            self.finish("finished")
            return
        self.driver.variables = {**self.plan.variables(names), **self.crew.variables}
        state: State = "failed"
        try:
            self.driver.prepare(self.record.machine)
            with Interrupts() as interrupts:
                self._take_rounds(self.driver.discover(self._selection(), interrupts.point), interrupts)
            state = "finished"
        except KeyboardInterrupt:
            state = "interrupted"
            raise
        finally:
            with contextlib.suppress(OSError) if state == "failed" else contextlib.nullcontext():
                self.finish(state)

    def _take_rounds(self, benchmarks: dict[str, dict[str, Any]], interrupts: Interrupts) -> None:
        everything = list(journal_rows.cells(benchmarks))
        timed = [cell for cell in everything if re.search(_TIMED, cell[0])]
        one = 0.0  # seconds of a round of timings
        while self.record.rounds < self._rounds(one):
            one = self._round(benchmarks, timed if self.record.rounds else everything, timed, interrupts)
            self.record.rounds += 1
            self.save()
        self.driver.save(benchmarks, self._cells.lines)  # also what a run that was killed had measured
        if doubted := doubted_ceilings(self.plan.folder):
            again = [c for c in timed if c[0].split(".")[1] in _NEAR_CEILING and (c[0].split(".")[0], c[1]) in doubted]
            self._round(benchmarks, again, timed, interrupts)

    def _round(
        self, benchmarks: dict[str, dict[str, Any]], cells: list[tuple[str, ...]], timed: list[tuple[str, ...]],
        interrupts: Interrupts,
    ) -> float:  # fmt: skip
        """Take a round of cells, without those that it has from a run that was cut off, and save.

        Returns:
            Seconds that a round of timings takes, 0 where that is not known.
        """
        interrupts.point()
        self._cells.round = self.record.rounds
        missing = self._missing(cells)
        ticker = _Ticker(self, missing, timed, interrupts)
        if missing:
            self.driver.round(_expressions(cells, missing), ticker)
        self.look()
        self.driver.save(benchmarks, self._cells.lines)
        return ticker.one_round

    def _missing(self, cells: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
        """The cells that this round has not measured; those that failed in it are measured again."""

        def settled(name: str, *params: str) -> bool:
            lines = self._cells.lines.get((name.rpartition(".")[0], params), [])
            return any(line.round == self.record.rounds and journal_rows.has(line, name) for line in lines)

        return [cell for cell in cells if not settled(*cell)]

    @property
    def failures(self) -> dict[tuple[str, tuple[str, ...]], str]:
        """The cells that were wrong or failed, and why."""
        return self._cells.bad

    def _hear(self, talk: Talk, message: Message) -> Answer | None:
        return self._cells.heard(talk, message)

    def stop(self) -> None:
        """The run is about to be ended."""
        self._cells.stop()

    def look(self) -> None:
        """End the cells that hold too much.

        Raises:
            OSError: what was measured cannot be kept.
        """
        if self._cells.failure is not None:
            raise self._cells.failure
        self._cells.limit(self._most_bytes)

    def _tidy(self) -> None:
        if self.driver.child is not None:
            self.driver.child.end_orphans()

    def finish(self, state: State) -> None:
        """Note how the run ended."""
        recording.end(self.record, state)
        self.record.disturbance = [*(self.record.disturbance or ()), self._watch.found()]
        self.save()

    def _selection(self) -> list[str]:
        classes = r"(Own|Start)" if self.plan.array else r"(?!Own)\w+"
        return [rf"^{operation}\.{classes}\." for operation in self.plan.operations]

    def _rounds(self, one: float) -> int:
        """How many rounds to take when one takes so many seconds."""
        if self.plan.rounds is not None:
            return self.plan.rounds
        if self.plan.grid == "full" or self.plan.array:
            return MOST_ROUNDS
        return max(LEAST_ROUNDS, min(MOST_ROUNDS, int(QUICK_SECONDS / max(one, 1e-3))))


class _Ticker:
    """Shows how far a round is, and how long it and those after it will take; lets an interruption through."""

    def __init__(
        self, run: Measurement, cells: list[tuple[str, ...]], timed: list[tuple[str, ...]], interrupts: Interrupts
    ) -> None:
        self._run = run
        self._interrupts = interrupts
        self._journal = Journal(run.plan.folder / JOURNAL)
        self._cells, self._timed = ([(n.rpartition(".")[0], *params) for n, *params in some] for some in (cells, timed))

    @property
    def one_round(self) -> float:
        """Seconds that a round of timings takes."""
        return self._journal.seconds(self._timed) or 0.0

    def __call__(self) -> None:
        try:
            self._interrupts.point()
        except KeyboardInterrupt:
            self._run.stop()
            raise
        self._run.look()
        done = self._journal.read()
        left = self._journal.seconds(self._cells[done:])
        rounds = self._run._rounds(self.one_round)
        if left is not None:
            left += max(0, rounds - 1 - self._run.record.rounds) * self.one_round
        done_rounds = self._run.record.rounds
        what = f"measuring, round {done_rounds + 1} of {rounds}" if done_rounds < rounds else "measuring ceilings again"
        self._run.bar.show(what, done, len(self._cells), left)


def doubted_ceilings(folder: Path) -> set[tuple[str, str]]:
    """The implementations that were faster than the ceiling that was measured allows, and that ceiling: (operation,
    name as a parameter)."""
    from ..analysis import contests, table  # pandas, which takes a second to import
    from ..records import runs

    doubted = {
        (contest.operation, repr(cell.implementation))
        for contest in contests.contests(table.frame([runs.read(folder)]))
        for cell in contest.ranked
        if contests.impossible(contest.share(cell))
    }
    return doubted | {(operation, repr("ceiling")) for operation, _ in doubted}


def _expressions(cells: Sequence[tuple[str, ...]], chosen: Sequence[tuple[str, ...]]) -> list[str]:
    """What makes asv measure the chosen ones of these cells: whole benchmarks by their names, others one by one."""
    every, some = Counter(cell[0] for cell in cells), Counter(cell[0] for cell in chosen)
    whole = [rf"^{re.escape(name)}\b" for name in some if some[name] == every[name]]
    return [*whole, *(cell_expression(name, params) for name, *params in chosen if some[name] < every[name])]
