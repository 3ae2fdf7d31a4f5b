"""Compile times and first calls, gated with a threshold of their own.

CPU seconds, so that starts can be measured on all cores at once: compiling is one thread's work, and a start that
waits for the disk says nothing about the code. A sample is two processes, one with nothing in Numba's cache and then
one with what the first put there: ``first call`` is loading and calling in the second, ``compile`` what the first
call takes longer in the first.
"""

from __future__ import annotations

import shutil
import statistics as medians
import time

from maxbench.bench.processes.messages import FirstCallJob, Started

from ..analysis import changes
from .benchmarks import Benchmark
from .processes import START_SECONDS, Workers
from .sources import Version
from .verdicts import Evidence, Result, Rule, decide

COMPILE, FIRST_CALL = "compile", "first call"
# Measured on 84 pairs of identical versions of the four Numba kernels for CPUs, by two workers side by side on two CPUs
# with other load (AMD EPYC, 2026-11-24): half of the pairs differ by more than 0.045 s, a tenth by more than 0.15 s.
# Drawn from these, eight such checks raise a false alarm in 7% of gates with a floor of 0.05 s and three processes to
# confirm, and in 0.8% with this rule.
RULE = Rule(threshold=0.15, screen=1, confirm=5, floor=0.1)
_LEAST_SECONDS = 1e-6  # less is within the noise of the difference of two processes


class Starts:
    """Measures the starts of implementations in two versions.

    Args:
        deadline: on the monotonic clock; what is not measured or not confirmed by then is inconclusive.
    """

    def __init__(self, workers: Workers, base: Version, head: Version, deadline: float, rule: Rule = RULE) -> None:
        self._workers, self._sides, self._rule, self._deadline = workers, (base, head), rule, deadline

    def measure(self, b: Benchmark) -> list[Result]:
        """Results for the kinds of start of a benchmark's implementation; none where a version does not start or both
        are done in less than the floor of the rule.

        The first look leaves its compiled code in the cache that all other processes use, so it must come before
        them.
        """
        evidence = {COMPILE: Evidence(), FIRST_CALL: Evidence()}
        longest = 0.0
        for index in range(self._rule.screen + self._rule.confirm):
            confirm = index >= self._rule.screen
            if confirm and not any(e.flagged(self._rule) for e in evidence.values()):
                break
            begin = time.monotonic()
            if begin + longest > self._deadline:
                break
            order = self._sides if index % 2 == 0 else self._sides[::-1]
            samples = {}
            for version in order:
                sample = self._sample(version, b, keep=index == 0)
                if sample is None:
                    return []
                samples[version.role] = sample
            base, head = samples["base"], samples["head"]
            for kind, found in evidence.items():
                quad = [base[kind], base[kind], head[kind], head[kind]]
                try:
                    (found.confirm if confirm else found.screen).append(changes.log_ratio([quad]))
                except changes.ClockError as error:
                    return [Result(_name(b, kind), "failed", str(error), kind=kind)]
                found.base.append(base[kind])
                found.head.append(head[kind])
            longest = max(longest, time.monotonic() - begin)
        results = [self._result(b, kind, found) for kind, found in evidence.items()]
        return [r for r in results if r.base is None or max(r.base, r.head or 0.0) >= self._rule.floor]

    def _result(self, b: Benchmark, kind: str, found: Evidence) -> Result:
        base, head = (medians.median(times) if times else None for times in (found.base, found.head))
        verdict, change, reason = decide(found, self._rule)
        return Result(_name(b, kind), verdict, reason, change, base, head, "cpu", kind=kind, evidence=found)

    def _sample(self, version: Version, b: Benchmark, keep: bool) -> dict[str, float] | None:
        """CPU seconds by kind; None where it does not start."""
        job = FirstCallJob(b.operation, b.implementation, b.dtype, version.role, str(version.root))
        cache = None if keep else self._workers.folder / f"start-{version.role}-{b.operation}-{b.implementation}"
        env = self._workers.environment(threads=1, cache=cache)
        times = []
        try:
            for _ in ("cold", "warm"):
                started = self._workers.run(job, env, START_SECONDS).those(Started)
                if not started:
                    return None
                times.append(started[0])
        finally:
            if cache is not None:
                shutil.rmtree(cache, ignore_errors=True)
        cold, warm = times
        seconds = {
            FIRST_CALL: warm.load_cpu + warm.first_call_cpu,
            COMPILE: cold.first_call_cpu - warm.first_call_cpu,
        }
        return {kind: max(value, _LEAST_SECONDS) for kind, value in seconds.items()}


def _name(b: Benchmark, kind: str) -> str:
    return f"{b.operation}.{b.implementation}[{b.dtype}] {kind}"
