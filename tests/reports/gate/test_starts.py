"""Compile times and first calls from scripted processes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from maxbench.bench.processes.crew import Work
from maxbench.bench.processes.messages import FirstCallJob, Started
from maxbench.reports.gate import starts as module
from maxbench.reports.gate.benchmarks import every
from maxbench.reports.gate.sources import Version
from maxbench.reports.gate.starts import RULE, Starts

B = every()[0]
NAME = f"{B.operation}.{B.implementation}[{B.dtype}]"


class Processes:
    """Stands for `Workers`: CPU seconds of a first call by version, cold and warm; each process takes 1 s."""

    def __init__(self, **first_calls: tuple[float, float]) -> None:
        self.first_calls, self.load, self.now = first_calls, 0.25, 0.0
        self.order: list[str] = []
        self.caches: list[Path | None] = []
        self.fails = False
        self.folder = Path()

    def environment(self, threads: int, cache: Path | None) -> dict[str, str]:
        assert threads == 1
        if cache is not None:
            cache.mkdir()  # must not be there yet
        self.caches.append(cache)
        return {}

    def run(self, job: FirstCallJob, env: Any, limit: float) -> Work:
        role = job.role
        self.order.append(role)
        self.now += 1.0
        warm = (self.order.count(role) - 1) % 2
        started = Started(load=9.0, first_call=9.0, load_cpu=self.load, first_call_cpu=self.first_calls[role][warm])
        return Work([] if self.fails else [started], None)


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    def run(workers: Processes, seconds: float = 1e4) -> dict[str, Any]:
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: workers.now))
        versions = [Version(role, role, None, tmp_path / role, "", ()) for role in ("base", "head")]
        workers.folder = tmp_path
        found = Starts(workers, *versions, seconds).measure(B)  # type: ignore[arg-type]
        assert [r.kind for r in found] == [r.name.removeprefix(NAME)[1:] for r in found]
        assert not list(tmp_path.glob("start-*"))
        return {r.kind: r for r in found}

    return run


def test_the_warm_call_is_no_part_of_compiling(measure: Any) -> None:
    workers = Processes(base=(5.0, 1.0), head=(5.5, 1.5))
    found = measure(workers)
    assert (found["compile"].base, found["compile"].head) == (4.0, 4.0)
    assert found["compile"].verdict == "unchanged"
    assert (found["first call"].base, found["first call"].head) == (1.25, 1.75)
    assert found["first call"].verdict == "slower"
    assert found["first call"].change.value == pytest.approx(0.4)
    assert found["first call"].change.processes == 5
    assert found["first call"].clock == "cpu"


def test_pairs_of_processes_change_their_order_and_begin_with_an_empty_cache(measure: Any) -> None:
    workers = Processes(base=(5.0, 1.0), head=(6.0, 2.0))
    measure(workers)
    assert workers.order == ["base", "base", "head", "head", "head", "head", "base", "base"] * 3
    # The first pair fills the cache of all other processes.
    assert workers.caches[:2] == [None, None]
    assert all(cache is not None for cache in workers.caches[2:])


def test_what_was_not_flagged_needs_one_pair(measure: Any) -> None:
    workers = Processes(base=(5.0, 1.0), head=(5.0, 1.0))
    found = measure(workers)
    assert [r.verdict for r in found.values()] == ["unchanged", "unchanged"]
    assert len(workers.order) == 4


def test_what_is_done_sooner_than_the_floor_is_left_out(measure: Any) -> None:
    workers = Processes(base=(0.01, 0.02), head=(0.0625, 0.0))
    workers.load = 0.05
    assert measure(workers) == {}
    workers.load = 0.08
    assert set(measure(workers)) == {"first call"}
    workers = Processes(base=(0.0, 0.0), head=(0.0, 0.0))
    workers.load = 0.1
    assert set(measure(workers)) == {"first call"}
    workers = Processes(base=(0.0, 0.0), head=(0.125, 0.0))
    workers.load = 0.0
    found = measure(workers)["compile"]  # from nothing
    assert (found.verdict, found.base) == ("slower", 1e-6)


def test_a_version_that_does_not_start_has_no_results(measure: Any) -> None:
    workers = Processes(base=(5.0, 1.0), head=(5.0, 1.0))
    workers.fails = True
    assert measure(workers) == {}
    assert len(workers.order) == 1


def test_times_that_are_none_fail(measure: Any) -> None:
    found = measure(Processes(base=(5.0, 1.0), head=(float("inf"), 1.0)))
    assert found["compile"].verdict == "failed"
    assert "the clock read inf" in found["compile"].reason


def test_no_pair_begins_that_would_end_too_late(measure: Any) -> None:
    workers = Processes(base=(5.0, 1.0), head=(5.0, 3.0))
    found = measure(workers, seconds=-1.0)
    assert [(r.verdict, r.reason, r.base) for r in found.values()] == [
        ("inconclusive", "the time budget ended before its first process", None)
    ] * 2
    assert workers.order == []
    found = measure(workers, seconds=11.0)
    assert workers.now == 8.0
    assert found["first call"].verdict == "inconclusive"
    assert "before it was confirmed" in found["first call"].reason
    workers = Processes(base=(5.0, 1.0), head=(5.0, 3.0))
    measure(workers, seconds=12.0)
    assert workers.now == 12.0


def test_the_rule_is_the_one_that_was_calibrated() -> None:
    assert (RULE.threshold, RULE.screen, RULE.confirm, RULE.floor) == (0.15, 1, 5, 0.1)
