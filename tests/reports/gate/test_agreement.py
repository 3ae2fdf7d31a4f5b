"""Whether head agrees with the contract: what its cases said decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maxbench.bench.processes.crew import Work
from maxbench.bench.processes.messages import Imported, Tried
from maxbench.reports.gate import agreement, benchmarks
from maxbench.reports.gate.sources import Version

BENCHMARK = benchmarks.Benchmark("softmax", "naive", "float32", (4, 8, 1))
HEAD = Version("head", ".", None, Path(), "copied", ())


class Workers:
    """Answers every job with the same work."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def environment(self, threads: int) -> dict[str, str]:
        return {}

    def run(self, *_: Any) -> Work:
        return self._work


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("agrees", None),
        ("not supported", None),
        ("failed", ("wrong", "head: ties, float32: why")),
        ("wrong", ("wrong", "head: ties, float32: why")),
    ],
)
def test_a_case_without_a_result_is_wrong(status: Any, expected: tuple[str, str] | None) -> None:
    work = Work([Imported(), Tried("ties", "float32", status, "why")])
    assert agreement.check(Workers(work), HEAD, [BENCHMARK]) == expected  # type: ignore[arg-type]
