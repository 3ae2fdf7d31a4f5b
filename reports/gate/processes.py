"""The gate's worker processes, and what they say, also of one that crashed or never ended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import psutil

from maxbench.bench.processes import launch
from maxbench.bench.processes.crew import Crew, Work
from maxbench.bench.processes.messages import AnyJob, Begins, Measured, Prepared, QuadsJob

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
        job = QuadsJob(self.roots(benchmarks), [b.as_pair() for b in benchmarks], quads, seed)
        work = self.run(job, self.environment(threads), min(limit, left), cpu=cpu)
        return self._report(replace(work, failure=None) if work.late and left < limit else work)

    def roots(self, benchmarks: Sequence[Benchmark]) -> dict[str, str]:
        """The folders of the versions that benchmarks compare, by their roles."""
        names = {name for b in benchmarks for name in b.pair}
        return {name: str(version.root) for name, version in self._versions.items() if name in names}

    def run(
        self, job: AnyJob, env: Mapping[str, str], limit: float, prefix: Sequence[str] = (), cpu: int | None = None
    ) -> Work:
        """Run a job; see `bench.processes.crew.Crew.run`."""
        return self._crew.run(job, env=env, seconds=limit, prefix=prefix, cpu=cpu)

    def _report(self, work: Work) -> Report:
        report = Report()
        for event in work.messages:
            match event:
                case Prepared():
                    report.states[event.id, event.role] = event.status, event.detail
                    if event.clock is not None:
                        report.clocks.setdefault(event.id, set()).add(event.clock)
                case Measured():
                    report.quads[event.id] = event.quads
        for (name, _), (status, _) in report.states.items():
            if status in ("wrong", "failed"):
                report.quads.pop(name, None)
        if work.failure is None:
            return report
        last = next(reversed(work.those(Begins)), Begins())
        if last.id is not None:
            report.stopped = last.id, last.role, work.failure
            return report
        if last.role is not None:
            version = self._versions[last.role]
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
