"""Compile times and first calls, gated with a threshold of their own.

CPU seconds, so that starts can be measured on all cores at once: compiling is one thread's work, and a start that
waits for the disk says nothing about the code. A sample is two processes, one with Numba's cache empty and then one
with the cache that the first has filled: ``first call`` is loading and calling in the second, ``compile`` what the
first call takes longer in the first.
"""

from __future__ import annotations

import math
import shutil
import statistics as medians
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .. import environment
from ..progress import Bar
from .benchmarks import Benchmark
from .processes import START_SECONDS, Workers
from .sources import Version
from .verdicts import Evidence, Result, Rule, decide

COMPILE, FIRST_CALL = "compile", "first call"
# Two looks and three to confirm: compile times repeat within a few percent. A start is felt from 50 ms on.
RULE = Rule(threshold=0.15, screen=2, confirm=3, floor=0.05)


class Starts:
    """Measures the starts of implementations for two versions."""

    def __init__(self, workers: Workers, base: Version, head: Version, folder: Path, rule: Rule = RULE) -> None:
        self._workers, self._sides, self._folder, self._rule = workers, (base, head), folder, rule

    def measure(self, benchmarks: Sequence[Benchmark], bar: Bar, deadline: float) -> list[Result]:
        """One result for each kind of start of each implementation; what does not start is left to its own verdict.

        Args:
            benchmarks: one of each implementation is measured, in its dtype.
            deadline: of `time.monotonic`, after which no sample begins.
        """
        firsts = list({(b.operation, b.implementation): b for b in reversed(benchmarks)}.values())[::-1]
        done = 0

        def one(b: Benchmark) -> list[Result]:
            nonlocal done
            results = self._implementation(b, deadline)
            done += 1
            bar.show("compile and first-call times", done, len(firsts), None)
            return results

        bar.show("compile and first-call times", 0, len(firsts), None)
        with ThreadPoolExecutor(environment.usable_cpus()) as pool:
            return [result for results in pool.map(one, firsts) for result in results]

    def _implementation(self, b: Benchmark, deadline: float) -> list[Result]:
        evidence = {COMPILE: Evidence(), FIRST_CALL: Evidence()}
        for index in range(self._rule.screen + self._rule.confirm):
            confirm = index >= self._rule.screen
            if confirm and not any(e.flagged(self._rule) for e in evidence.values()):
                break
            if time.monotonic() > deadline:
                break
            order = self._sides if index % 2 == 0 else self._sides[::-1]
            samples = {version.role: self._sample(version, b) for version in order}
            base, head = samples["base"], samples["head"]
            if base is None or head is None:
                return []
            for kind, found in evidence.items():
                if kind in base and kind in head:
                    (found.confirm if confirm else found.screen).append(math.log(head[kind] / base[kind]))
                    found.base.append(base[kind])
                    found.head.append(head[kind])
            if all(e.head and max(e.base[0], e.head[0]) < self._rule.floor for e in evidence.values() if e.head):
                break
        return [self._result(b, kind, found) for kind, found in evidence.items() if found.screen]

    def _result(self, b: Benchmark, kind: str, found: Evidence) -> Result:
        name = f"{b.operation}.{b.implementation}[{b.dtype}] {kind}"
        base, head = medians.median(found.base), medians.median(found.head)
        if max(base, head) < self._rule.floor:
            return Result(name, "unchanged", "too short to matter", None, base, head, "cpu", kind=kind, evidence=found)
        verdict, change, reason = decide(found, self._rule)
        return Result(name, verdict, reason, change, base, head, "cpu", kind=kind, evidence=found)

    def _sample(self, version: Version, b: Benchmark) -> dict[str, float] | None:
        """CPU seconds by kind; ``compile`` only where something was compiled. None where it does not start."""
        cache = self._folder / f"start-{version.role}-{b.operation}-{b.implementation}"
        job = {
            "side": str(version.root), "operation": b.operation, "implementation": b.implementation, "dtype": b.dtype,
        }  # fmt: skip
        env = self._workers.environment(threads=1, cache=cache)
        try:
            cold, ending = self._workers.run("bench.first_call", job, env, START_SECONDS)
            if ending is not None:
                return None
            if not cache.exists():  # nothing was compiled, so the second process would be the same
                return {FIRST_CALL: cold[0]["load"] + cold[0]["first_call"]}
            warm, ending = self._workers.run("bench.first_call", job, env, START_SECONDS)
            if ending is not None:
                return None
        finally:
            shutil.rmtree(cache, ignore_errors=True)
        compiled = max(cold[0]["first_call"] - warm[0]["first_call"], 1e-6)
        return {FIRST_CALL: warm[0]["load"] + warm[0]["first_call"], COMPILE: compiled}
