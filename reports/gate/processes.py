"""Starts the worker processes and reads what they wrote, also of one that crashed or never ended."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil

from .. import environment
from .benchmarks import Benchmark
from .sources import PACKAGE, SourceError, Version

QUADS = 8
START_SECONDS = 240.0  # a process may take this long to load and compile before it is taken to hang
EACH_SECONDS = 20.0  # and this long for each benchmark
# Threads that wait must not spin: with another program on the machine a 1.4 ms kernel then takes exactly 8 ms.
PASSIVE = {"OMP_WAIT_POLICY": "passive", "KMP_BLOCKTIME": "0", "GOMP_SPINCOUNT": "0"}

Item = TypeVar("Item")
Found = TypeVar("Found")


@dataclass
class Report:
    """What one worker process said.

    Attributes:
        states: (benchmark id, side) -> (status, detail), as `bench.paired.prepare` has them.
        clocks: benchmark id -> the clocks its sides ask for.
        quads: benchmark id -> times in nanoseconds, as `bench.paired.measure` has them.
        stopped: what it was doing when it crashed or was ended, and how; None where it ended by itself.
    """

    states: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    clocks: dict[str, set[str]] = field(default_factory=dict)
    quads: dict[str, list[list[float]]] = field(default_factory=dict)
    stopped: tuple[str, str | None, str] | None = None


class Workers:
    """The worker processes of one run of the gate: they share the built versions and a Numba cache of their own."""

    def __init__(self, versions: Mapping[str, Version], folder: Path) -> None:
        self._versions, self._folder, self._numbers = dict(versions), folder, itertools.count(1)
        self._running: set[subprocess.Popen[str]] = set()
        process = psutil.Process()
        self.cpus: list[int] = sorted(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else []

    def environment(self, threads: int, cache: Path | None = None) -> dict[str, str]:
        """The environment of a worker: this many threads, passive waiting, compiled code cached here."""
        return {
            **os.environ,
            **PASSIVE,
            **environment.thread_variables(threads),
            "NUMBA_CACHE_DIR": str(cache or self._folder / "numba"),
        }

    def paired(self, benchmarks: Sequence[Benchmark], *, clock: str, seed: int, quads: int = QUADS) -> Report:
        """Run `bench.paired` once on these benchmarks.

        Args:
            clock: ``cpu`` pins the process to one CPU, another one each time; else it has all of them.
            seed: the order in which versions are loaded and benchmarks run.
            quads: 0 only loads, compiles and verifies.

        Raises:
            SourceError: a version cannot be imported.
        """
        pinned = clock == "cpu" and bool(self.cpus)
        cpu = self.cpus[seed % len(self.cpus)] if pinned else None
        job = self.job(benchmarks, quads=quads, cpu=cpu, seed=seed)
        threads = 1 if pinned else environment.usable_cpus()
        limit = START_SECONDS + EACH_SECONDS * len(benchmarks)
        events, ending = self.run("bench.paired", job, self.environment(threads), limit)
        return self._report(events, ending)

    def job(self, benchmarks: Sequence[Benchmark], *, quads: int, cpu: int | None, seed: int) -> dict[str, Any]:
        """What `bench.paired` and `bench.counted` read."""
        names = {name for b in benchmarks for name in b.pair}
        return {
            "sides": {name: str(version.root) for name, version in self._versions.items() if name in names},
            "judge": str(PACKAGE.parent),
            "benchmarks": [b.as_job() for b in benchmarks],
            "quads": quads,
            "cpu": cpu,
            "seed": seed,
        }

    def run(
        self, module: str, job: dict[str, Any], env: Mapping[str, str], limit: float, prefix: Sequence[str] = ()
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Run a module on a job; the events it wrote, and how it ended where that was not well."""
        path = self._folder / f"job{next(self._numbers)}.json"
        out = path.with_suffix(".jsonl")
        out.touch()
        path.write_text(json.dumps({**job, "out": str(out)}), encoding="utf-8")
        # -P: the folder the user stands in may hold another package called bench.
        command = [*prefix, sys.executable, "-P", "-m", module, str(path)]
        ending = self._run_limited(command, env, limit)
        lines = out.read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")], ending

    def _report(self, events: Sequence[dict[str, Any]], ending: str | None) -> Report:
        report = Report()
        for event in events:
            if event["event"] == "prepared":
                report.states[event["id"], event["side"]] = event["status"], event["detail"]
                if "clock" in event:
                    report.clocks.setdefault(event["id"], set()).add(event["clock"])
            elif event["event"] == "measured":
                report.quads[event["id"]] = event["quads"]
        if ending is None or (events and events[-1]["event"] == "end"):
            return report
        last = events[-1] if events else {"event": "start"}
        if last["event"] in ("prepare", "measure"):
            report.stopped = last["id"], last.get("side"), ending
            return report
        if last["event"] == "side":
            version = self._versions[last["side"]]
            raise SourceError(f"{version.role} ({version.label}) cannot be imported: {ending}")
        raise SourceError(f"a worker process failed: {ending}")

    def each(self, function: Callable[[Item], Found], items: Iterable[Item]) -> list[Found]:
        """The function of every item, on all CPUs at once; an error or Ctrl-C ends all processes at once."""
        with ThreadPoolExecutor(environment.usable_cpus()) as pool:
            futures = [pool.submit(function, item) for item in items]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in list(self._running):
                    _end(process)
                raise

    def _run_limited(self, command: Sequence[str], env: Mapping[str, str], limit: float) -> str | None:
        """Run a command for at most `limit` seconds; None where it ended well, else how it ended."""
        with subprocess.Popen(
            command, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, errors="replace", start_new_session=True,
        ) as process:  # fmt: skip
            self._running.add(process)
            try:
                _, said = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                _end(process)
                return f"not finished after {limit:.0f} s"
            except BaseException:
                _end(process)
                raise
            finally:
                self._running.discard(process)
        if process.returncode == 0:
            return None
        last = (said.strip().splitlines() or [""])[-1]
        if process.returncode < 0:
            return f"killed by {signal.Signals(-process.returncode).name} {last}".strip()
        return last or f"exit status {process.returncode}"


def _end(process: subprocess.Popen[str]) -> None:
    """Kill a process with everything it started."""
    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    for child in [*children, process]:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()
