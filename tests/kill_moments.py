"""What SIGKILL leaves of a run at random moments: ``python -m tests.kill_moments --count 100``.

A run is started, killed, resumed and killed again, a few times, and at last resumed to its end. After every kill the
journal must go on as it was, the report must hold every sample of it, and no process and no temporary file may be left;
at the end every cell must have been measured once in each round.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maxbench import reports
from maxbench.reports.records import asv_results, runs
from maxbench.reports.system import output_folder
from tests.signals import MOST_SECONDS, Started

ROUNDS, KILLS = 2, 6
MOST_SECONDS_OF_RUN = 300.0
SECONDS = 25.0  # about what a run takes: moments are chosen in as many

Line = dict[str, Any]


def lines(journal: bytes) -> list[Line]:
    """The whole lines of a journal."""
    return [json.loads(line) for line in journal[: journal.rfind(b"\n") + 1].splitlines()]


def measured(folder: Path) -> tuple[collections.Counter[float], set[float]]:
    """Every sample that the journal of a run holds, and the values of what has none."""
    path = folder / "journal.jsonl"
    ok = [line for line in (lines(path.read_bytes()) if path.exists() else ()) if line["status"] == "ok"]
    samples = collections.Counter(sample for line in ok for sample in line.get("samples", ()))
    return samples, {value for line in ok for value in line.get("values", {}).values()}


def reported(folder: Path) -> tuple[collections.Counter[float], set[float]]:
    """Every sample that the report's table is made of, and the values of what has none."""
    found = [m for file in runs.read(folder).results.files for m in file.measurements if m.status == "ok"]
    return collections.Counter(s for m in found for s in m.samples), {m.value for m in found if not m.samples}


class Chain:
    """One run folder, and what was wrong of it after each moment.

    Args:
        words: of the run, without its folder.
    """

    def __init__(self, folder: Path, words: Sequence[str | Path]) -> None:
        self.folder, self._words, self.output = folder, words, folder / "output"
        self._count = 0
        self._before = b""

    def moment(self, seconds: float, reached: Callable[[], bool] = lambda: False) -> list[str]:
        """Start or resume the run, kill it after so many seconds, as it ends or as `reached`; what is wrong then."""
        with self._started() as started:
            end = time.monotonic() + seconds
            while time.monotonic() < end and started.process.poll() is None and not reached():
                time.sleep(0.005)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.process.pid, signal.SIGKILL)
            started.process.wait()
            said = [] if started.process.returncode in (0, -signal.SIGKILL) else [started.printed[-2000:]]
            return said + self._left(started) + self._looked()

    def end(self) -> list[str]:
        """Resume the run to its end; what is wrong of it."""
        with self._started() as started:
            try:
                status = started.process.wait(MOST_SECONDS_OF_RUN)
            except subprocess.TimeoutExpired:
                return ["it did not end", started.printed[-2000:]]
            if status:
                return [f"exit status {status}", started.printed[-2000:]]
        return self._looked() + self._whole()

    @contextlib.contextmanager
    def _started(self) -> Iterator[Started]:
        self._count += 1
        folder = self.folder / str(self._count)
        folder.mkdir()
        resumes = (self.output / "run.json").exists()
        words = ["run", "--resume", self.output] if resumes else ["run", *self._words, "--output", self.output]
        started = Started(words, folder)
        try:
            yield started
        finally:
            started.end()

    def _left(self, started: Started) -> list[str]:
        end = time.monotonic() + MOST_SECONDS
        while (left := started.children or list(started.temporary.iterdir())) and time.monotonic() < end:
            time.sleep(0.1)
        return [f"left: {left}"] if left else []

    def _looked(self) -> list[str]:
        """What is wrong of what is kept."""
        found = []
        journal = self.output / "journal.jsonl"
        content = journal.read_bytes() if journal.exists() else b""
        if not content.startswith(self._before):
            found.append("lines of the journal are lost")
        self._before = content[: content.rfind(b"\n") + 1]
        if (self.output / "run.json").exists():
            if (there := reported(self.output)) != (kept := measured(self.output)):
                found.append(f"measured: {kept}; in the report: {there}")
            for path in self.output.rglob("*.json"):
                with contextlib.suppress(FileNotFoundError):
                    json.loads(path.read_bytes())
        elif content:
            found.append("a journal without run.json")
        return found

    def _whole(self) -> list[str]:
        """What is wrong of a run that has ended."""
        found = []
        counts = collections.Counter(
            (line["benchmark"], *line["params"], line["round"])
            for line in lines(self._before)
            if line["status"] == "ok" and "samples" in line
        )
        if twice := [cell for cell, count in counts.items() if count > 1]:
            found.append(f"measured twice: {twice}")
        if json.loads((self.output / "run.json").read_text("utf-8"))["state"] != "finished":
            found.append("not finished")
        table = reports.load(self.output)
        times = table[table["statistic"] == "time"]
        if not len(times) or not (times["processes"].isin([ROUNDS, ROUNDS + 1])).all():
            found.append(f"processes: {list(times['processes'])}")
        if bad := sorted(set(table["status"]) - {"ok", "skipped"}):
            found.append(f"statuses: {bad}")
        (stored,) = asv_results.read(self.output / "asv" / "results").files
        samples = collections.Counter(s for m in stored.measurements for s in m.samples)
        if missing := {s for line in lines(self._before) for s in line.get("samples") or () if not samples[s]}:
            found.append(f"not in asv's file: {missing}")
        if left := sorted({path.name for path in self.output.rglob(".*")} - {output_folder.MARKER}):
            found.append(f"left in the folder: {left}")
        return found


def plan(folder: Path) -> list[str | Path]:
    """The words of a small run: times, memory and first calls."""
    np.save(folder / "x.npy", np.ones((64, 10), np.float32))
    return ["--array", folder / "x.npy", "--only", "numpy_vectorized", "--only", "naive", "--rounds", str(ROUNDS)]


def chain(kills: int, random_: random.Random, seconds: float = SECONDS) -> Iterator[tuple[float, list[str]]]:
    """The moments of one run, and what is wrong after each; the last one, infinite, is its end."""
    with tempfile.TemporaryDirectory(prefix="kills-", ignore_cleanup_errors=True) as name:
        run = Chain(Path(name), plan(Path(name)))
        for _ in range(kills):
            moment = random_.uniform(0.0, seconds)
            yield moment, run.moment(moment)
        yield math.inf, run.end()


def main() -> int:
    """0: every moment left what it must; 1: one did not."""
    parser = argparse.ArgumentParser(prog="python -m tests.kill_moments", description=__doc__)
    parser.add_argument("--count", type=int, default=100, metavar="N", help="moments (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the moments (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="the latest moment (default: %(default)s)")
    args = parser.parse_args()
    random_, left, bad = random.Random(args.seed), args.count, 0
    while left > 0:
        for moment, problems in chain(min(KILLS, left), random_, args.seconds):
            left -= moment < math.inf
            bad += bool(problems)
            print(f"{moment:6.2f} s: {'; '.join(problems) or 'nothing lost'}", flush=True)
    print(f"{args.count} moments, {bad} with something wrong")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
