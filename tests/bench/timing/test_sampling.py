"""The sampler's calibration, its clocks, and how many samples and rounds there are, at their edges."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import pytest

from maxbench.bench import timing
from maxbench.bench.timing import sampling, schedules
from maxbench.bench.timing.sampling import Sampler

COLLECT = sampling._collect


class Times:
    """Clocks that a test moves, in nanoseconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = self.cpu = self.calls = 0
        monkeypatch.setattr(sampling, "_CLOCKS", {"wall": lambda: self.wall, "cpu": lambda: self.cpu})
        monkeypatch.setattr(sampling, "_wall", lambda: self.wall * 1e-9)

    def sampler(self, cost: int, wait: Callable[[], Any] = lambda: None) -> Sampler:
        """Of calls that take so long."""

        def call() -> None:
            self.calls += 1
            self.wall += cost

        return Sampler(call, wait, "wall")


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    return Times(monkeypatch)


def test_the_clocks_are_those_of_the_system() -> None:
    assert sampling._CLOCKS["wall"] is time.perf_counter_ns
    assert sampling._CLOCKS["cpu"] is time.process_time_ns


def test_to_sleep_takes_time_by_one_clock_alone() -> None:
    wall = Sampler(lambda: time.sleep(0.01), lambda: None, "wall").sample()
    cpu = Sampler(lambda: time.sleep(0.01), lambda: None, "cpu").sample()
    assert cpu < 0.005 < 0.01 <= wall


@pytest.mark.parametrize(("warm", "calls"), [(0.0, 3), (3e-3, 3), (4e-3, 4), (10.0, 1001)])
def test_warming_up_makes_three_calls_at_least_and_ends(times: Times, warm: float, calls: int) -> None:
    sampler = times.sampler(1_000_000)
    sampler.calibrate(warm)
    assert times.calls == calls


@pytest.mark.parametrize(
    ("cost", "some", "number"),
    [
        (1_000_000, 0, 5), (5_000, 0, 1000), (4_900, 64, 1020), (4_996, 64, 1001), (100, 64, 50_000),
        (1, 64, 1 << 20), (200, 64, 25_000),
        (2_100_000, 0, 2), (4_000_000, 0, 1), (9_000_000, 0, 1),
    ],
)  # fmt: skip
def test_very_short_calls_are_measured_several_at_a_time(times: Times, cost: int, some: int, number: int) -> None:
    sampler = times.sampler(cost)
    assert sampler.calibrate(0.0) == pytest.approx(cost * 1e-9)
    assert times.calls == 3 + some
    assert sampler.number == number


def test_of_longer_calls_each_is_timed_by_any_clock(times: Times) -> None:
    def call() -> None:
        times.calls += 1
        times.cpu += 1_000_000

    sampler = Sampler(call, lambda: None, "cpu")
    assert sampler.calibrate(0.0) == pytest.approx(1e-3)
    assert (times.calls, sampler.number) == (3, 5)


def test_what_takes_no_time_by_the_clock_ends(times: Times, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MOST_CALLS", 1 << 10)
    sampler = times.sampler(0)
    assert sampler.calibrate(0.0) == 1e-9
    assert times.calls == 3 + 2 * (1 << 10) - 2
    assert sampler.number == 1 << 10


@pytest.mark.parametrize(("tick", "calls"), [(1_600_000, 16), (3_200_000, 32)])
def test_a_coarse_clock_is_read_over_as_many_calls_as_it_needs(times: Times, tick: int, calls: int) -> None:
    """A call of 0.1 ms: twice as many are timed until the clock has ticked, and the time is that of one of them."""
    passed = 0

    def call() -> None:
        nonlocal passed
        passed += 100_000
        times.wall = passed // tick * tick

    sampler = Sampler(call, lambda: None, "wall")
    shortest = sampler.calibrate(0.0)
    assert tick / 2 / calls <= shortest * 1e9 <= 2 * tick / calls * 2
    assert sampler.number == round(0.005 / shortest)


def test_a_device_timer_is_calibrated_over_several_calls() -> None:
    """Starting it takes 1 s, here, which a longer sample does not count a hundred times."""
    counts: list[int] = []

    def timer(several: Callable[[], Any]) -> float:
        counts.append(0)
        several()
        return 1e-3 + 1e-4 * counts[-1]

    def call() -> None:
        if counts:
            counts[-1] += 1

    sampler = Sampler(call, lambda: None, "device", timer=timer)
    assert sampler.calibrate(0.0) == pytest.approx(1e-3 + 1e-4)
    assert counts == [1, 1, 1, 1]
    sampler.seconds = 1.0
    assert sampler.calibrate(0.0) == pytest.approx((1e-3 + 64e-4) / 64)
    assert counts[4:] == [1, 1, 1, 64]
    assert sampler.number == round(1 / ((1e-3 + 64e-4) / 64))


def test_a_device_timer_gives_way_to_another_clock(times: Times) -> None:
    """Where one of two versions has none: both are timed by the same clock."""

    def call() -> None:
        times.wall += 1000

    sampler = Sampler(call, lambda: None, "device", timer=lambda several: several() or 7.0)
    sampler.number = 7
    assert sampler.sample() == pytest.approx(1.0)
    sampler.clock = "wall"
    assert sampler.sample() == pytest.approx(1e-6)


@pytest.mark.parametrize("value", [0.0, 5.0])
def test_what_a_timer_may_return(value: float) -> None:
    sampler = Sampler(lambda: None, lambda: None, "device", timer=lambda several: value)
    assert sampler.sample() == value
    assert sampler.spent == value
    sampler.sample()
    assert sampler.spent == 2 * value


@pytest.mark.parametrize(("warm", "calls"), [(0.0, 2), (0.999e-3, 2), (1.0e-3, 2), (1.5e-3, 3)])
def test_calls_before_a_sample_are_waited_for(times: Times, warm: float, calls: int) -> None:
    waited = []
    sampler = times.sampler(1_000_000, lambda: waited.append(times.calls))
    sampler.warm = warm
    assert sampler.sample() == pytest.approx(1e-3)
    assert waited == list(range(1, calls + 1))


@pytest.mark.parametrize(
    ("milliseconds", "warm", "calibrating", "sampling"),
    [(99, 0.0, 3, 2), (100, 0.0, 2, 1), (100, 0.25, 3, 4), (400, 0.15, 2, 2)],
)
def test_a_long_call_is_made_no_oftener_than_it_must(
    times: Times, milliseconds: int, warm: float, calibrating: int, sampling: int
) -> None:
    sampler = times.sampler(milliseconds * 1_000_000)
    sampler.calibrate(warm)
    assert (times.calls, sampler.number) == (calibrating, 1)
    assert sampler.long == ([milliseconds * 1e-3] * calibrating if milliseconds >= 100 else [])
    assert sampler.spent == pytest.approx(sum(sampler.long))
    sampler.warm = warm
    times.calls = 0
    assert sampler.sample() == pytest.approx(milliseconds * 1e-3)
    assert times.calls == sampling


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_before_whatever_happens(enabled: bool) -> None:
    def fail() -> None:
        with sampling.collector_held():
            assert not gc.isenabled()
            raise ValueError("so")

    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(ValueError, match="so"):
            fail()
        assert gc.isenabled() == enabled
    finally:
        gc.enable()


def test_what_was_left_is_collected_first(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(sampling, "_collect", lambda: seen.append(gc.isenabled()))
    with sampling.collector_held():
        assert seen == [True]
    assert COLLECT is gc.collect


def test_quads_are_in_the_order_they_say(times: Times) -> None:
    """The samples of each arm in the order they were taken, the first arm's first, in nanoseconds that count up."""

    class Counting:
        def __init__(self, name: str) -> None:
            self.name = name

        def sample(self) -> Any:
            order.append(self.name)
            return self.name, len(order)

    order: list[str] = []
    first, second = Counting("a"), Counting("b")
    found = timing.quads(first, second, 3)  # type: ignore[arg-type]
    assert "".join(order) == "abba" + "baab" + "abba"
    assert found == [
        [("a", 1), ("a", 4), ("b", 2), ("b", 3)],
        [("a", 6), ("a", 7), ("b", 5), ("b", 8)],
        [("a", 9), ("a", 12), ("b", 10), ("b", 11)],
    ]


def test_rounds_have_edges(times: Times) -> None:
    """One of 1 s a round: no round begins when the time is up."""

    def rounds(seconds: float, **limits: int) -> int:
        contestant = schedules.Contestant("a", times.sampler(500_000_000))
        timing.in_turn([contestant], seconds, clock=lambda: times.wall * 1e-9, **limits)
        return len(contestant.samples)

    assert rounds(6.0) == 6
    assert rounds(6.5) == 7
    assert rounds(0.0) == 5
    assert rounds(1000.0) == 40
    assert rounds(3.0, least=3) == 3
    assert rounds(0.0, least=0) == 0


def test_a_share_of_the_time_is_rounded(times: Times) -> None:
    for budget, count in ((0.0124, 2), (0.0126, 3), (0.095, 19), (0.11, 20)):
        assert len(timing.unchecked(times.sampler(5_000_000), budget)) == count
