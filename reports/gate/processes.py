"""The gate's worker processes, and what they say, also of one that crashed or never ended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import psutil

from maxbench.bench.processes import launch
from maxbench.bench.processes.crew import Crew, Work

from ..measure import environment
from .benchmarks import Benchmark
from .sources import Version
from .trees import SourceError

QUADS = 8
START_SECONDS = 240.0  # a process may take this long to load and compile before it is taken to hang
EACH_SECONDS = 20.0  # and this long for each benchmark

Item = TypeVar("Item")
Found = TypeVar("Found")


@dataclass
class Report:
    """What one worker process said.

    Attributes:
        states: (benchmark id, version) -> (status, detail), as `bench.workers.quads.prepare` has them; the last word,
            which comes after the timing.
        clocks: benchmark id -> the clocks its versions ask for.
        quads: benchmark id -> times in nanoseconds, as `bench.workers.quads.measure` has them.
        stopped: what it was doing when it crashed or was ended, and how; None where it ended by itself.
    """

    states: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    clocks: dict[str, set[str]] = field(default_factory=dict)
    quads: dict[str, list[list[float]]] = field(default_factory=dict)
    stopped: tuple[str, str | None, str] | None = None


class Workers:
    """The worker processes of one run of the gate: they share the built versions and a Numba cache of their own."""

    def __init__(self, versions: Mapping[str, Version], folder: Path, crew: Crew) -> None:
        self._versions, self.folder, self._crew = dict(versions), folder, crew
        process = psutil.Process()
        self.cpus: list[int] = sorted(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else []

    def environment(self, threads: int, cache: Path | None = None) -> dict[str, str]:
        """The variables of a worker: this many threads, compiled code cached here."""
        return {**environment.measuring(threads), "NUMBA_CACHE_DIR": str(cache or self.folder / "numba")}

    def paired(
        self, benchmarks: Sequence[Benchmark], *, clock: str, seed: int, quads: int = QUADS, deadline: float = math.inf
    ) -> Report:
        """Run `bench.workers.quads` once on these benchmarks.

        Args:
            clock: ``cpu`` pins the process to one CPU, another one each time; else it has all of them.
            seed: the order in which versions are loaded and benchmarks run.
            quads: 0 only loads, compiles and checks.
            deadline: on the monotonic clock; what a process has not measured by then is not in its report.

        Raises:
            SourceError: a version cannot be imported.
        """
        pinned = clock == "cpu" and bool(self.cpus)
        cpu = self.cpus[seed % len(self.cpus)] if pinned else None
        threads = 1 if pinned else environment.usable_cpus()
        limit = START_SECONDS + EACH_SECONDS * len(benchmarks)
        left = max(deadline - time.monotonic(), 1.0)
        job = self.job(benchmarks, quads=quads, seed=seed)
        work = self.run("quads", job, self.environment(threads), min(limit, left), cpu=cpu)
        return self._report(replace(work, failure=None) if work.late and left < limit else work)

    def job(self, benchmarks: Sequence[Benchmark], *, quads: int, seed: int) -> dict[str, Any]:
        """What `bench.workers.quads` and `bench.workers.counted` read."""
        names = {name for b in benchmarks for name in b.pair}
        return {
            "sides": {name: str(version.root) for name, version in self._versions.items() if name in names},
            "benchmarks": [b.as_job() for b in benchmarks],
            "quads": quads,
            "seed": seed,
        }

    def run(
        self, kind: str, job: Mapping[str, Any], env: Mapping[str, str], limit: float, prefix: Sequence[str] = (),
        cpu: int | None = None,
    ) -> Work:  # fmt: skip
        """Run a job of a kind; see `bench.processes.crew.Crew.run`."""
        return self._crew.run(kind, job, env=env, seconds=limit, prefix=prefix, cpu=cpu)

    def _report(self, work: Work) -> Report:
        report = Report()
        for event in work.messages:
            if event.get("event") == "prepared":
                report.states[event["id"], event["side"]] = str(event["status"]), str(event["detail"])
                if "clock" in event:
                    report.clocks.setdefault(event["id"], set()).add(str(event["clock"]))
            elif event.get("event") == "measured":
                report.quads[event["id"]] = event["quads"]
        for (name, _), (status, _) in report.states.items():
            if status in ("wrong", "failed"):
                report.quads.pop(name, None)
        if work.failure is None:
            return report
        last = next((m for m in reversed(work.messages) if m.get("event") in ("side", "prepare", "measure")), {})
        if last.get("event") in ("prepare", "measure"):
            report.stopped = last["id"], last.get("side"), work.failure
            return report
        if last.get("event") == "side":
            version = self._versions[last["side"]]
            raise SourceError(f"{version.role} ({version.label}) cannot be imported: {work.failure}")
        raise SourceError(f"a worker process failed: {work.failure}")

    def each(self, function: Callable[[Item], Found], items: Iterable[Item]) -> list[Found]:
        """The function of every item, on all CPUs at once; an error or a signal ends all processes at once."""
        with ThreadPoolExecutor(environment.usable_cpus()) as pool:
            futures = [pool.submit(function, item) for item in items]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                launch.end_all()
                raise
