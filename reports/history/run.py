"""Measures commits with asv, one at a time, into a results folder that machines share.

asv writes a results file in place and loses a commit that is cut off, and it stops at a damaged file. So each commit is
measured into a folder of its own, and only what is whole is then moved to the shared one.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import json5

from maxbench.bench.inputs import grid
from maxbench.bench.processes import launch
from maxbench.bench.processes.crew import Crew

from ..measure import environment
from ..records import asv_results, asv_writing
from ..records.asv_results import Measurement, ResultFile
from ..system import files, lock, text
from ..system import git as calls
from .series import ANCHOR

CONFIGURATION = "asv.conf.json"
RESULTS = Path(".asv/results")
DEFAULT = ("Sweep.time_call",)


class HistoryError(Exception):
    """The history cannot be measured or shown; the message says why."""


def git(repository: Path, *words: str) -> str:
    """What git prints.

    Raises:
        HistoryError: git fails; with its message.
    """
    try:
        return calls.run(repository, *words).decode(errors="replace")
    except calls.GitError as error:
        raise HistoryError(str(error)) from None


def commits(repository: Path, chosen: str) -> list[str]:
    """The commits of a range (``A..B``), or the one that a revision names, oldest first.

    Raises:
        HistoryError: there are none.
    """
    # git log would take a single revision to mean all that came before it.
    if ".." in chosen:
        words = ["rev-list", "--first-parent", "--reverse", "--end-of-options", chosen, "--"]
    else:
        words = ["rev-parse", "--verify", "--end-of-options", f"{chosen}^{{commit}}"]
    try:
        calls.revision(chosen)
        found = calls.run(repository, *words).decode().split()
    except calls.GitError as error:
        raise HistoryError(f"{chosen!r}: {error}") from None
    if not found:
        raise HistoryError(f"{chosen!r} has no commits; accepted are one revision and ranges such as v1.0..main")
    return found


def configuration(repository: Path) -> dict[str, Any]:
    """The repository's asv.conf.json.

    Raises:
        HistoryError: there is none, or it is not readable.
    """
    path = repository / CONFIGURATION
    try:
        found: dict[str, Any] = json5.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise HistoryError(f"{repository} has no {CONFIGURATION}, which says how its commits are built") from None
    except ValueError as error:
        raise HistoryError(f"{path}: {error}") from None
    return found


def expressions(words: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    """Regular expressions of benchmarks.

    Raises:
        HistoryError: a word is none.
    """
    found = []
    for word in words:
        try:
            found.append(re.compile(word))
        except re.error as error:
            raise HistoryError(f"{word!r} is no regular expression: {error}") from None
    return tuple(found)


def measured(results: Path, machine: str, select: Sequence[re.Pattern[str]], grid_name: str) -> set[str]:
    """Commits of which this machine's readable files hold all that every expression chooses, measured as now.

    That is in this grid or the whole, and under the same conditions: others are points of other series. A time of one
    sample, as ``asv run --quick`` leaves it, does not count, nor does a cell that was not chosen when its benchmark was
    measured, which asv stores as skipped.
    """
    cells: dict[str, dict[str, bool]] = defaultdict(lambda: defaultdict(bool))
    for file in asv_results.read(results).files:
        if file.machine == machine and file.grid in (grid_name, "full") and file.conditions == conditions():
            for m in file.measurements:
                if m.benchmark != ANCHOR:
                    cells[file.commit][_cell(m)] |= _settled(file, m)
    return {
        commit
        for commit, settled in cells.items()
        if all((found := [settled[cell] for cell in settled if e.search(cell)]) and all(found) for e in select)
    }


def _cell(m: Measurement) -> str:
    return f"{m.benchmark}({', '.join(m.params)})"


def _settled(file: ResultFile, m: Measurement) -> bool:
    if m.status == "skipped":
        return file.select is None or any(re.search(word, _cell(m)) for word in file.select)
    return m.status == "failed" or ".time_" not in m.benchmark or len(m.samples) > 1


def conditions() -> dict[str, str]:
    """How commits are measured now, which tells series apart."""
    return {
        "threads": str(environment.usable_cpus()),
        "waiting": environment.waiting(),
        "samples": f"{text.plural(grid.rounds(), 'process')} of {grid.seconds():g} s",
    }


class Runner:
    """asv on one repository.

    Args:
        results: the shared folder; files of other machines and commits in it are not touched.
        machine: the name that this machine's results are kept under.
        select: regular expressions of benchmarks, besides the anchor.
    """

    def __init__(self, repository: Path, results: Path, machine: str, select: Sequence[str] = DEFAULT) -> None:
        self._repository, self._results, self._machine = repository, results, machine
        self._select, self._configuration = select, configuration(repository)
        self._about = environment.machine(machine)

    def run(self, commit: str, said: Callable[[str], None] = lambda line: None) -> None:
        """Measure one commit and add it to the results.

        Args:
            said: called with the lines that asv prints.

        Raises:
            HistoryError: asv failed; nothing was added.
            UsageError: another process measures into this machine's folder.
        """
        target = self._results / self._machine
        target.mkdir(parents=True, exist_ok=True)
        lock.take(target)
        try:
            self._measure(commit, said)
        finally:
            lock.drop(target)

    def _measure(self, commit: str, said: Callable[[str], None]) -> None:
        with tempfile.TemporaryDirectory(prefix="maxbench-history-") as name:
            folder = Path(name)
            self._configure(folder)
            self._machine_file(folder)
            words = [word for expression in (*self._select, re.escape(ANCHOR)) for word in ("--bench", expression)]
            command = [
                *launch.python("-m", "asv"), "run", "--config", str(folder / CONFIGURATION), "--machine", self._machine,
                "--record-samples", "--interleave-rounds", *words, f"{commit}^!",
            ]  # fmt: skip
            code, last = self._asv(command, folder, said)
            # 2: some benchmarks failed, which their results say.
            if code not in (0, 2):
                raise HistoryError(f"asv run ended with {code} on {commit[:8]}: {last}")
            self._merge(folder / "results", commit, last)

    def _configure(self, folder: Path) -> None:
        own = self._configuration
        beside = self._repository
        settings = {
            **own,
            "repo": str(beside),
            "benchmark_dir": str(beside / own.get("benchmark_dir", "benchmarks")),
            # Built environments are kept between calls.
            "env_dir": str(beside / own.get("env_dir", "env")),
            "results_dir": str(folder / "results"),
            "html_dir": str(folder / "html"),
        }
        files.write_json(folder / CONFIGURATION, settings)

    def _machine_file(self, folder: Path) -> None:
        """asv reads machines from the home folder alone: it gets one of its own, and leaves the user's as it is."""
        entry = asv_writing.asv_machine(self._machine, self._about)
        files.write_json(folder / ".asv-machine.json", {"version": 1, self._machine: entry})

    def _asv(self, command: Sequence[str], folder: Path, said: Callable[[str], None]) -> tuple[int, str]:
        home = Path.home()
        with Crew() as crew:
            env = {
                # What pip and git would have found in the user's home folder.
                "XDG_CONFIG_HOME": str(home / ".config"),
                "XDG_CACHE_HOME": str(home / ".cache"),
                "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
                **calls.environment(),
                **environment.measuring(environment.usable_cpus()),
                **crew.variables,
                "HOME": str(folder),
                "USERPROFILE": str(folder),
            }
            ending = launch.Child(command, env=env, cwd=folder, said=said).wait()
        return ending.status, " ".join(ending.printed)

    def _merge(self, new: Path, commit: str, last: str) -> None:
        """Move what was measured into the shared folder, file by file, each whole or not at all."""
        found = [f for f in asv_results.read(new).files if f.commit == commit]
        if not any(m.benchmark != ANCHOR for f in found for m in f.measurements):
            raise HistoryError(f"asv measured nothing of {commit[:8]}: {last}")
        target = self._results / self._machine
        for file in found:
            content = json.loads(file.path.read_text("utf-8"))
            content[asv_results.NOTES] = {
                "grid": grid.name(), "conditions": conditions(), "select": list(self._select)
            }  # fmt: skip
            files.write_json(_place(target, file), content)
        files.write_bytes(target / "machine.json", (new / self._machine / "machine.json").read_bytes())
        merge_benchmarks(target / asv_results.BENCHMARKS, new / asv_results.BENCHMARKS)


def _place(folder: Path, new: ResultFile) -> Path:
    """Where a result file goes: over one of the same commit, environment and conditions that holds nothing else.

    Beside it where there is none: with its own anchor, and readers take what is newest of every cell. A cell that the
    old one measured must be measured in the new one; asv stores those that were not chosen as skipped.
    """

    def held(file: ResultFile, *statuses: str) -> set[str]:
        return {_cell(m) for m in file.measurements if m.status in statuses}

    for path in itertools.chain(
        [folder / new.path.name], (folder / f"{new.path.stem}-{n}.json" for n in itertools.count(2))
    ):
        try:
            old = asv_results.read_file(path)
        except FileNotFoundError:
            return path
        except ValueError:  # a damaged one is kept: it may be mended
            continue
        same = (old.grid, old.conditions) == (grid.name(), conditions())
        if same and held(old, "ok") <= held(new, "ok") and held(old, "failed") <= held(new, "ok", "failed"):
            return path
    raise AssertionError("the count does not end")


def merge_benchmarks(old: Path, new: Path) -> None:
    """Add newly found benchmarks to a benchmarks.json; asv rewrites it with only what the last run chose."""
    known: Any = None
    with contextlib.suppress(OSError, ValueError):  # not there yet, or damaged: it is made of what asv finds
        known = json.loads(old.read_text("utf-8"))
    merged = dict(known) if isinstance(known, dict) else {}
    for name, about in json.loads(new.read_text("utf-8")).items():
        both = isinstance(about, dict) and isinstance(merged.get(name), dict)
        merged[name] = asv_results.joined(merged[name], about) if both else about
    files.write_json(old, merged)
