"""What a signal leaves of a command: prints a table in Markdown.

``python -m tests.signals`` starts a command, waits for a phase, sends a signal to its process alone, and looks for the
processes that began with it, for what is left in the temporary folder, and for what was kept.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from tests.report_data import everything
from tests.reports.gate.conftest import Repository

ROOT = Path(__file__).parents[1]
SIGNALS = ("INT", "TERM", "HUP", "KILL")
MOST_SECONDS = 5.0  # until the last child is gone
PHASE_SECONDS, END_SECONDS = 180.0, 60.0
_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

_PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "signalled"
version = "1.0"

[tool.hatch.build.targets.wheel]
include = ["*.py"]

[project.entry-points."maxbench.impls"]
"softmax.mine" = "mine"
"""
_MINE = """
import numpy as np
from maxbench import implements

@implements(dtypes=("float32",))
def run(x, out):
    np.exp(x - x.max(axis=1, keepdims=True), out=out)
    out /= out.sum(axis=1, keepdims=True, dtype=np.float64)
    return out
"""


class Started:
    """A command that runs, with a terminal as its standard error: there it shows at once what it is doing."""

    def __init__(self, words: Sequence[str | Path], folder: Path) -> None:
        self._mark = f"TESTS_SIGNALS_{uuid.uuid4().hex}"
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "maxbench.reports.commands.main", *map(str, words)],
            env={
                **os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.temporary), "MAXBENCH_SECONDS": "0.05",
                "COLUMNS": "200", "TERM": "xterm", self._mark: "1",
            },
            cwd=folder, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, start_new_session=True,
            # A script's background jobs have it ignored, which children inherit.
            preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        os.close(theirs)
        self._printed = b""
        self._reader = threading.Thread(target=self._read, args=(ours,), daemon=True)
        self._reader.start()

    def _read(self, ours: int) -> None:
        with contextlib.suppress(OSError):  # the other end is closed
            while chunk := os.read(ours, 1 << 16):
                self._printed += chunk
        os.close(ours)

    @property
    def printed(self) -> str:
        """What it has printed, without what moves the cursor."""
        return _CODES.sub("", self._printed.decode("utf-8", "replace"))

    @property
    def children(self) -> list[psutil.Process]:
        """The processes that began with it and still run."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.pid != self.process.pid and self._mark in process.environ():
                    found.append(process)
        return [process for process in found if _runs(process)]

    def end(self) -> None:
        """End whatever still runs."""
        for process in self.children:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.process.kill()
        self.process.wait()
        self._reader.join(5)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


Phase = Callable[[Started], bool]


def _says(pattern: str) -> Phase:
    return lambda started: re.search(pattern, started.printed) is not None


def _works(started: Started) -> bool:
    """A worker has begun."""
    return any(_words(process)[-1:] == ["worker"] for process in started.children)


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _loads(library: str) -> Phase:
    """It has loaded a library: NumPy at its start, Matplotlib for the figures of a report."""

    def loaded(started: Started) -> bool:
        with contextlib.suppress(psutil.Error):
            return any(library in area.path for area in psutil.Process(started.process.pid).memory_maps())
        return False

    return loaded


_START: dict[str, Phase] = {"start": _loads("numpy")}
PHASES: dict[str, dict[str, Phase]] = {
    "run": {
        **_START, "check": _says("checking agreement"), "measure": _says(r"measuring, round \d.* [3-9]/\d"),
        "report": _says("writing the report"),
    },
    "check": {**_START, "check": _works},
    "gate": {
        **_START, "build": _says("building base and head"), "check": _says("checking head"),
        "measure": _says("by (cpu|wall) clock"),
    },
    "side-by-side": {
        **_START, "check": _works, "measure": _says("argmax float32"), "report": _says("writing the report")
    },
    "list": {**_START, "check": _works},
    "report": {**_START, "report": _loads("matplotlib")},
}  # fmt: skip


def words(command: str, folder: Path) -> list[str | Path]:
    """A command that takes as long as it must to have all its phases, and writes into ``output`` in a folder."""
    output = folder / "output"
    if command == "run":
        np.save(folder / "x.npy", np.ones((64, 10), np.float32))
        few = [word for name in ("numpy_vectorized", "naive") for word in ("--only", name)]
        return ["run", *few, "--operation", "argmax", "--processes", "2", "--output", output]
    if command == "check":
        return ["check", "numba_simple", "numpy_vectorized", "--dtype", "float32"]
    if command == "side-by-side":
        some = ["--operation", "argmax", "--dtype", "float32", "--input", "n = 2^?", "--threads", "1"]
        return ["side-by-side", *some, "--processes", "1", "--samples", "1", "--output", output]
    if command == "gate":
        repository = folder / "repository"
        repository.mkdir()
        (repository / "pyproject.toml").write_text(_PYPROJECT.strip())
        (repository / "mine.py").write_text(_MINE.strip())
        Repository(repository).commit("base")
        return ["gate", "base", "--repository", repository, "--no-starts", "--output", output]
    if command == "report":
        everything().write(folder / "output")
    return [command, *([output] if command == "report" else [])]


@dataclass(frozen=True)
class Left:
    """What a signal left of a command.

    Attributes:
        children: seconds from the signal until the last process that began with the command was gone.
        seconds: until the command itself had ended.
        status: its exit status, as a shell has it.
        temporary: what is in the temporary folder.
        kept: files in its folder of results.
        cells: lines of the journal there.
        printed: what it printed after the signal.
    """

    children: float
    seconds: float
    status: int | None
    temporary: Sequence[str]
    kept: Sequence[str]
    cells: int
    printed: str

    def judged(self, command: str, phase: str, number: signal.Signals) -> list[str]:
        """What is not as it must be."""
        found = []
        if self.children > MOST_SECONDS:
            found.append(f"children ran for {self.children:.1f} s")
        if self.status != 128 + number:
            found.append(f"exit status {self.status}")
        if self.temporary:
            found.append("temporary files")
        if command == "run" and phase in ("check", "measure") and number != signal.SIGKILL:
            found += [] if "maxbench run --resume" in self.printed else ["not said how to go on"]
        return found


def interrupt(command: str, phase: str, number: signal.Signals, folder: Path) -> Left:
    """Start a command in an empty folder, send it a signal in a phase, and see what is left.

    Raises:
        RuntimeError: the phase did not come.
    """
    started = Started(words(command, folder), folder)
    try:
        reached, end = PHASES[command][phase], time.monotonic() + PHASE_SECONDS
        while not reached(started):
            if started.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{command} has no phase {phase}: {started.printed[-2000:]}")
            time.sleep(0.02)
        before = len(started.printed)
        begin = time.monotonic()
        started.process.send_signal(number)
        children, seconds, status = 0.0, END_SECONDS, None
        while (now := time.monotonic() - begin) < END_SECONDS:
            if status is None and (status := started.process.poll()) is not None:
                seconds = now
            if started.children:
                children = now
            elif status is not None:
                break
            time.sleep(0.02)
    finally:
        started.end()
    output = folder / "output"
    kept = [str(path.relative_to(output)) for path in sorted(output.rglob("*")) if path.is_file()]
    journal = output / "journal.jsonl"
    return Left(
        children, seconds, None if status is None else status if status >= 0 else 128 - status,
        sorted(path.name for path in started.temporary.iterdir()), kept,
        len(journal.read_text("utf-8").splitlines()) if journal.exists() else 0, started.printed[before:],
    )  # fmt: skip


def main() -> int:
    """0: every command is left as it must be; 1: one is not."""
    parser = argparse.ArgumentParser(prog="python -m tests.signals", description=__doc__)
    parser.add_argument("--commands", nargs="+", choices=PHASES, default=list(PHASES))
    parser.add_argument("--phases", nargs="+", choices=sorted({p for of in PHASES.values() for p in of}))
    parser.add_argument("--signals", nargs="+", choices=SIGNALS, default=SIGNALS)
    args = parser.parse_args()
    print("| command | phase | signal | last child gone after | ended after | exit status | temporary files | kept | |")
    print("|---|---|---|--:|--:|--:|---|---|---|")
    bad = False
    for line, problems in _lines(args.commands, args.phases, args.signals):
        print(line, flush=True)
        bad = bad or problems
    return int(bad)


def _lines(commands: Sequence[str], phases: Sequence[str] | None, signals: Sequence[str]) -> Iterator[tuple[str, bool]]:
    for command in commands:
        for phase in PHASES[command]:
            for name in signals if phases is None or phase in phases else ():
                number = signal.Signals[f"SIG{name}"]
                with tempfile.TemporaryDirectory(prefix="signals-", ignore_cleanup_errors=True) as folder:
                    left = interrupt(command, phase, number, Path(folder))
                problems = left.judged(command, phase, number)
                kept = f"{len(left.kept)} files, {left.cells} cells" if left.kept else ""
                cells = [
                    command, phase, name, f"{left.children:.1f} s", f"{left.seconds:.1f} s", str(left.status),
                    ", ".join(left.temporary), kept, "; ".join(problems) or "✓",
                ]  # fmt: skip
                yield f"| {' | '.join(cells)} |", bool(problems)
                if problems:
                    print(f"{command} {phase} {name}: {left.printed[-1500:]}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
