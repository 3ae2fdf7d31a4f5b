"""What a session measures next and what it makes of it, with scripted processes in place of real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from maxbench.reports.gate import session as module
from maxbench.reports.gate.benchmarks import Benchmark, anchors, every
from maxbench.reports.gate.processes import Report
from maxbench.reports.gate.session import Session
from maxbench.reports.gate.verdicts import Result, Rule

ONE, TWO, THREE = every()[3:6]
AGAIN = replace(ONE, pair=("base", "again"))
START, EACH = 2.0, 0.5  # seconds of a process, and of a benchmark in it
Script = Callable[[Benchmark, int], Any]


class Processes:
    """Stands for `Workers`: gives each benchmark the ratio that the script says, and moves the clock."""

    def __init__(self, script: Script, start: float) -> None:
        self.script, self.start, self.now = script, start, 0.0
        self.looks = 0
        self.calls: list[tuple[str, int, list[Benchmark]]] = []
        self.seen: dict[str, int] = {}
        self.shown: list[tuple[Any, ...]] = []

    def monotonic(self) -> float:
        self.looks += 1
        assert self.looks < 500, "the session does not end"
        return self.now

    def paired(self, benchmarks: Sequence[Benchmark], *, clock: str, seed: int, deadline: float) -> Report:
        assert deadline >= self.now
        self.calls.append((clock, seed, list(benchmarks)))
        self.now += self.start + EACH * len(benchmarks)
        report = Report()
        for b in benchmarks:
            index = self.seen[b.id] = self.seen.get(b.id, -1) + 1
            said = self.script(b, index)
            if isinstance(said, Report):
                report.states |= said.states
                report.stopped = said.stopped
                if said.stopped:
                    break
            else:
                report.quads[b.id] = said if isinstance(said, list) else [[1e6, 3e6, said * 1e6, said * 3e6]] * 8
        return report

    def count(self, b: Benchmark) -> int:
        return self.seen.get(b.id, -1) + 1


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(
        script: Script,
        *benchmarks: Benchmark,
        controls: Sequence[Benchmark] = (),
        seconds: float = 1e4,
        start: float = START,
        wall: Sequence[Benchmark] = (),
    ) -> tuple[dict[Benchmark, Result], list[Any], Processes]:
        workers = Processes(script, start)
        monkeypatch.setattr(module, "time", workers)
        bar: Any = SimpleNamespace(show=lambda *what: workers.shown.append(what))
        session = Session(workers, bar, Rule(), seconds, seconds)  # type: ignore[arg-type]
        by = {b: "wall" if b in wall else "cpu" for b in benchmarks}
        results, judged = session.measure(by, dict.fromkeys(controls, "cpu"))
        return results, judged, workers

    return run


def test_each_verdict_takes_the_processes_that_it_needs(measure: Any) -> None:
    ratios = {ONE: 1.0, TWO: 1.05, THREE: 0.01}
    results, _, workers = measure(lambda b, index: ratios[b], *ratios)
    assert [results[b].verdict for b in ratios] == ["unchanged", "slower", "faster"]
    assert [workers.count(b) for b in ratios] == [5, 12, 12]
    assert [len(results[b].evidence.confirm) for b in ratios] == [0, 7, 7]
    assert results[TWO].change.value == pytest.approx(0.05)
    assert (results[TWO].base, results[TWO].head) == pytest.approx((2e-3, 2.1e-3))
    assert results[TWO].clock == "cpu"
    # The largest slowdown is confirmed first.
    assert {tuple(some) for _, _, some in workers.calls[5:]} == {(TWO, THREE)}
    assert {what for what, *_ in workers.shown} == {"first look: 3 by cpu clock", "confirming: 2 by cpu clock"}
    assert workers.shown[1] == ("first look: 3 by cpu clock", 3, 10000, 9996.5)


def test_what_was_flagged_is_confirmed_before_what_is_noisy_is_looked_at_again(measure: Any) -> None:
    results, _, workers = measure(lambda b, index: (1.06 if index % 3 == 1 else 1.0) if b == ONE else 1.1, ONE, TWO)
    assert results[ONE].verdict == "inconclusive"
    assert [workers.count(b) for b in (ONE, TWO)] == [15, 12]
    assert [some for _, _, some in workers.calls] == [[ONE, TWO]] * 5 + [[TWO]] * 7 + [[ONE]] * 10
    assert workers.shown[-1][0] == "looking again: 1 by cpu clock"


def test_every_process_of_a_clock_has_another_order_and_cpu(measure: Any) -> None:
    _, _, workers = measure(lambda b, index: 1.05, ONE, THREE, wall=[THREE])
    for clock, b in (("cpu", ONE), ("wall", THREE)):
        assert [(seed, some) for by, seed, some in workers.calls if by == clock] == [(i, [b]) for i in range(12)]


@pytest.mark.parametrize("seconds", [1.0, 3.0, 10.0, 20.0, 29.0, 36.0])
def test_no_process_begins_that_would_end_too_late(measure: Any, seconds: float) -> None:
    results, _, workers = measure(lambda b, index: 1.05, ONE, TWO, seconds=seconds)
    assert workers.now <= seconds + 0.1 * seconds
    assert {r.verdict for r in results.values()} == ({"slower"} if seconds >= 36 else {"inconclusive"})


def test_what_a_process_takes_is_learned_from_the_shortest(measure: Any) -> None:
    ratios = {ONE: 1.05, TWO: 1.0}
    # Five of 1.5 s. One of a single benchmark, which takes 1 s, is expected to take as long.
    _, _, workers = measure(lambda b, index: 1.0, ONE, TWO, start=5.0, seconds=30.0)
    assert [some for _, _, some in workers.calls] == [[ONE, TWO]] * 5
    for seconds, count in ((9.01, 6), (8.99, 5)):
        _, _, workers = measure(lambda b, index: ratios[b], ONE, TWO, start=0.5, seconds=seconds)
        assert workers.count(ONE) == count


def test_where_the_time_is_short_controls_come_first(measure: Any) -> None:
    _, controls, workers = measure(lambda b, index: 1.0, ONE, TWO, controls=[AGAIN], seconds=4.0)
    assert workers.calls[0][2][0] == AGAIN
    assert not controls[0].moved
    _, (control,), _ = measure(lambda b, index: 1.0, ONE, controls=[AGAIN], seconds=0.0)
    assert control.change is None


@pytest.mark.parametrize("failing", [ONE, TWO, THREE])
def test_a_kernel_that_ends_its_process_fails_and_the_others_go_on(measure: Any, failing: Benchmark) -> None:
    def script(b: Benchmark, index: int) -> Any:
        return Report(stopped=(b.id, "head", "killed by SIGSEGV")) if b == failing and index == 2 else 1.0

    results, _, _ = measure(script, ONE, TWO, THREE)
    failed = results.pop(failing)
    assert (failed.verdict, failed.reason) == ("failed", "head: its process ended: killed by SIGSEGV")
    assert failed.change is None
    assert {r.verdict for r in results.values()} == {"unchanged"}


def test_what_base_ends_is_not_measured(measure: Any) -> None:
    results, _, _ = measure(lambda b, index: Report(stopped=(b.id, "base", "exit status 1")), ONE)
    assert results[ONE].verdict == "not measured"


@pytest.mark.parametrize(
    ("side", "state", "verdict"),
    [
        ("head", "wrong", "wrong"),
        ("head", "failed", "failed"),
        ("head", "unavailable", "failed"),
        ("base", "wrong", "not measured"),
    ],
)
def test_a_version_that_is_wrong_in_a_later_process_is_wrong(measure: Any, side: str, state: str, verdict: str) -> None:
    def script(b: Benchmark, index: int) -> Any:
        return Report(states={(b.id, side): (state, "element 3")}) if index == 4 else 1.05

    results, _, workers = measure(script, ONE)
    assert (results[ONE].verdict, results[ONE].reason) == (verdict, f"{side} is {state} in a later process: element 3")
    assert workers.count(ONE) == 5


def test_a_clock_that_reads_nonsense_fails_its_benchmark_alone(measure: Any) -> None:
    results, _, _ = measure(lambda b, index: [[1.0, 1.0, float("nan"), 1.0]] if b == ONE else 1.0, ONE, TWO)
    assert results[ONE].verdict == "failed"
    assert "the clock read nan ns" in results[ONE].reason
    assert results[TWO].verdict == "unchanged"


@pytest.mark.parametrize("ratio", [0.01, 0.001, 0.0])
def test_a_hundredfold_improvement_is_faster(measure: Any, ratio: float) -> None:
    results, _, workers = measure(lambda b, index: ratio, ONE)
    assert results[ONE].verdict == "faster"
    assert results[ONE].head == pytest.approx(2e-3 * ratio)
    assert len(workers.calls) == 12


def test_a_control_that_moved_and_was_confirmed_or_could_not_be_casts_doubt(measure: Any) -> None:
    moves = lambda b, index: 1.05 if b == AGAIN else 1.0  # noqa: E731
    results, (control,), _ = measure(moves, ONE, controls=[AGAIN])
    assert control.moved
    assert control.change.processes == 7
    assert results[ONE].verdict == "inconclusive"
    _, (control,), _ = measure(lambda b, index: 0.95 if b == AGAIN else 1.0, ONE, controls=[AGAIN])
    assert control.moved
    # Time for the first look alone.
    _, (control,), workers = measure(moves, ONE, controls=[AGAIN], seconds=17.0)
    assert workers.count(AGAIN) == 5
    assert control.moved
    assert control.change.processes == 5
    _, (control,), _ = measure(lambda b, index: 1.05 if index < 5 else 1.0, ONE, controls=[AGAIN])
    assert not control.moved
    results, (control,), _ = measure(lambda b, index: 1.0, ONE, controls=[AGAIN])
    assert not control.moved
    assert results[ONE].verdict == "unchanged"
    failed = Report(stopped=(AGAIN.id, None, "exit status 1"))
    _, (control,), _ = measure(lambda b, index: failed if b == AGAIN else 1.0, ONE, controls=[AGAIN])
    assert control.moved


def test_a_control_is_named_by_what_it_compares(measure: Any) -> None:
    (anchor,) = anchors(["cpu"])
    _, controls, _ = measure(lambda b, index: 1.0, ONE, controls=[AGAIN, anchor])
    assert [(c.kind, c.clock, c.benchmark) for c in controls] == [
        ("A/A", "cpu", AGAIN),
        ("untouched kernel", "cpu", anchor),
    ]
