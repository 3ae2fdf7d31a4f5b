"""The sampler by clocks that are told the time, and `prepare` with its schedules on kernels that do not behave."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from maxbench.bench import timing
from maxbench.bench.inputs.recipe import Input
from maxbench.bench.processes.hub import Here
from maxbench.bench.timing import ready as preparing
from maxbench.bench.timing import sampling, schedules
from maxbench.bench.timing.sampling import Sampler
from maxbench.impls import Kernel, backends, implements

GIVEN = Input("scores", "float32", (64, 50, 1))


class Times:
    """Clocks and sleep that a test moves: wall and CPU time apart, in nanoseconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = self.cpu = 0
        self.slept: list[float] = []
        monkeypatch.setattr(sampling, "_CLOCKS", {"wall": lambda: self.wall, "cpu": lambda: self.cpu})
        monkeypatch.setattr(sampling, "_wall", lambda: self.wall * 1e-9)
        monkeypatch.setattr(sampling, "_sleep", self.slept.append)

    def pass_by(self, wall: int, cpu: int) -> None:
        self.wall, self.cpu = self.wall + wall, self.cpu + cpu


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    return Times(monkeypatch)


@pytest.mark.parametrize(("clock", "seconds"), [("wall", 7e-6), ("cpu", 3e-6)])
def test_a_sample_is_the_time_of_one_call_by_its_clock(times: Times, clock: Any, seconds: float) -> None:
    calls = []

    def call() -> None:
        calls.append(1)
        times.pass_by(7_000, 3_000)

    sampler = Sampler(call, lambda: None, clock)
    sampler.number = 10
    assert sampler.sample() == pytest.approx(seconds)
    assert len(calls) == 11  # one that is not timed
    assert sampler.spent == pytest.approx(10 * seconds)
    assert times.slept == []


def test_the_first_call_of_a_sample_is_not_timed(times: Times) -> None:
    costs = iter([10**9, 1_000, 1_000])
    sampler = Sampler(lambda: times.pass_by(next(costs), 0), lambda: None, "wall")
    sampler.number = 2
    assert sampler.sample() == pytest.approx(1e-6)


def test_waiting_belongs_to_the_time(times: Times) -> None:
    sampler = Sampler(lambda: None, lambda: times.pass_by(5_000, 0), "wall")
    sampler.number = 5
    assert sampler.sample() == pytest.approx(1e-6)


def test_settling_and_warming_come_before_the_sample(times: Times) -> None:
    calls = []

    def call() -> None:
        calls.append(times.wall)
        times.pass_by(1_000_000, 0)

    sampler = Sampler(call, lambda: None, "wall")
    sampler.settle, sampler.warm = 0.05, 0.01
    assert sampler.sample() == pytest.approx(1e-3)
    assert times.slept == [0.05]
    assert len(calls) == 11


@pytest.mark.parametrize(("cost", "number"), [(1_000_000, 5), (10_000_000, 1), (100, 50_000)])
def test_a_sample_is_as_many_calls_as_take_its_time(times: Times, cost: int, number: int) -> None:
    sampler = Sampler(lambda: times.pass_by(cost, cost), lambda: None, "wall")
    assert sampler.calibrate(0.0) == pytest.approx(cost * 1e-9)
    assert sampler.number == number
    assert sampler.seconds == 0.005


def test_the_shortest_call_calibrates(times: Times) -> None:
    costs = iter([10**9, 10**6, 10**7])
    sampler = Sampler(lambda: times.pass_by(next(costs), 0), lambda: None, "wall")
    assert sampler.calibrate(0.0) == pytest.approx(1e-3)
    assert sampler.number == 5


def test_a_clock_that_is_coarser_than_a_call_does_not_make_samples_endless(times: Times) -> None:
    """A call of 0.1 ms by a clock that ticks every 15 ms."""
    passed = 0

    def call() -> None:
        nonlocal passed
        passed += 100_000
        times.wall = passed // 15_000_000 * 15_000_000

    sampler = Sampler(call, lambda: None, "wall")
    sampler.calibrate(0.0)
    assert 10 <= sampler.number <= 200


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_a_device_timer_that_cannot_be_right_is_refused(value: float) -> None:
    sampler = Sampler(lambda: None, lambda: None, "device", timer=lambda call: value)
    with pytest.raises(sampling.BadClock, match="timer returned"):
        sampler.sample()


def test_a_device_timer_times_all_calls_of_a_sample() -> None:
    calls: list[int] = []

    def timer(several: Callable[[], Any]) -> float:
        before = len(calls)
        several()
        return (len(calls) - before) * 2.0

    sampler = Sampler(lambda: calls.append(1), lambda: None, "device", timer=timer)
    sampler.number = 3
    assert sampler.sample() == pytest.approx(2.0)
    assert len(calls) == 4


def test_the_collector_is_held_and_let_go() -> None:
    assert gc.isenabled()
    with sampling.collector_held():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_quads_cancel_a_drift(times: Times) -> None:
    """Both arms cost the same but for a drift that is linear in time: both halves of each quad take as long."""
    order = ""

    def call(name: str) -> Callable[[], None]:
        def one() -> None:
            nonlocal order
            order += name
            times.pass_by(1_000 + 10 * len(order), 0)

        return one

    first, second = (Sampler(call(name), lambda: None, "wall") for name in "ab")
    found = timing.quads(first, second, 4)
    assert order == "aabbbbaa" + "bbaaaabb" + "aabbbbaa" + "bbaaaabb"  # each once untimed
    for a1, a2, b1, b2 in found:
        assert a1 + a2 == pytest.approx(b1 + b2)


def test_in_turn_takes_as_many_rounds_as_there_is_time_for(times: Times) -> None:
    order: list[str] = []
    slow = schedules.Contestant("slow", Sampler(lambda: times.pass_by(10**8, 0), lambda: None, "wall"))
    quick = schedules.Contestant("quick", Sampler(lambda: times.pass_by(1, 0), lambda: None, "wall"))
    timing.in_turn([slow, quick], 1.0, least=2, most=40, before=order.append, clock=lambda: times.wall * 1e-9)
    assert order[:6] == ["slow", "quick", "quick", "slow", "slow", "quick"]
    assert len(slow.samples) == len(quick.samples) == 5
    timing.in_turn([slow], 0.0, least=3, most=40, clock=lambda: times.wall * 1e-9)
    assert len(slow.samples) == 8
    timing.in_turn([quick], 100.0, least=3, most=4, clock=lambda: times.wall * 1e-9)
    assert len(quick.samples) == 9


def softmax(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    np.exp(x - x.max(axis=1, keepdims=True), out=out)
    out /= out.sum(axis=1, keepdims=True)
    return out


def kernel(run: Callable[[Any, Any], Any], **declared: Any) -> Kernel:
    return implements(dtypes=("float32",), **declared)(run)


def timed(run: Callable[[Any, Any], Any], **declared: Any) -> str:
    """What `prepare` or a later check says of a kernel; empty where it was timed."""
    outcome = timing.prepare(Here(), "softmax", kernel(run, **declared), GIVEN)
    if not isinstance(outcome, timing.Ready):
        return f"prepare: {outcome.reason}"
    try:
        samples = timing.alone(outcome, 0.002, randomness=random.Random(0))
    except timing.Unsound as unsound:
        return f"later: {unsound}"
    assert samples
    assert all(seconds > 0 for seconds in samples)
    return ""


def test_an_honest_kernel_is_timed() -> None:
    assert timed(softmax) == ""
    assert timed(lambda x, out: softmax(x, np.empty_like(out))) == ""  # one that returns an array of its own


class Memo:
    """Kernels that compute the first times only."""

    def __init__(self, calls: int) -> None:
        self.left, self.kept = calls, None

    def nothing(self, x: np.ndarray, out: np.ndarray) -> np.ndarray:
        self.left -= 1
        return out if self.left < 0 else softmax(x, out)

    def copy(self, x: np.ndarray, out: np.ndarray) -> np.ndarray:
        self.kept = softmax(x, out).copy() if self.kept is None else self.kept
        out[...] = self.kept
        return out

    def half(self, x: np.ndarray, out: np.ndarray) -> np.ndarray:
        self.left -= 1
        if self.left < 0:
            softmax(x[: len(x) // 2], out[: len(x) // 2])
            return out
        return softmax(x, out)

    def unless_poisoned(self, x: np.ndarray, out: np.ndarray) -> np.ndarray:
        return softmax(x, out) if np.isnan(out[0, 0, 0]) else out


@pytest.mark.parametrize("name", ["nothing", "copy", "half", "unless_poisoned"])
@pytest.mark.parametrize("calls", [1, 5])
def test_kernels_that_compute_only_at_first_are_found(name: str, calls: int) -> None:
    assert timed(getattr(Memo(calls), name)).startswith("later: at (")


def test_a_kernel_that_writes_beside_out_is_found() -> None:
    def beyond(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        softmax(x, out)
        np.lib.stride_tricks.as_strided(out, (out.size + 1,), (4,))[-1] = 0
        return out

    def before(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        softmax(x, out)
        view = np.lib.stride_tricks.as_strided(out.reshape(-1)[1:], (2,), (-8,))
        view[1] = 0
        return out

    assert timed(beyond) == "prepare: it wrote beside out"
    assert timed(before) == "prepare: it wrote beside out"


def test_a_kernel_that_changes_its_input_is_found() -> None:
    def changes(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        softmax(x, out)
        x[-1, -1] += 1
        return out

    assert timed(changes) == "prepare: the input was overwritten"


def test_a_kernel_that_reads_what_out_held_is_found() -> None:
    def adds(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        out *= 0
        out += softmax(x, np.empty_like(out))
        return out

    assert "got" in timed(adds)


def test_what_a_kernel_raises_or_returns_is_said() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    def raises(x: Any, out: Any) -> Any:
        raise Mute

    assert timed(raises) == "prepare: Mute: (its text cannot be had: ValueError)"
    assert timed(lambda x, out: softmax(x, out)[:5]).startswith("prepare: at (): expected shape (64, 50, 1)")
    refused = timing.prepare(Here(), "softmax", kernel(softmax, largest=10, largest_reason="small"), GIVEN)
    assert isinstance(refused, timing.Refused)
    assert "3200 elements are more than its limit of 10 (small)" in refused.reason


class Lazy(backends.Backend):
    """A backend whose `get` does the work."""

    name, device = "lazy", "cpu"

    def put(self, array: np.ndarray) -> list[Any]:
        return [backends.HOST.put(array)]

    def fill(self, array: list[Any], values: np.ndarray) -> list[Any]:
        array[0][...] = values
        return array

    def get(self, array: list[Any]) -> np.ndarray:
        while len(array) > 1:
            array.pop()()
        found: np.ndarray = array[0]
        return found

    def synchronize(self) -> None:
        return None


def test_a_backend_that_leaves_the_work_to_get_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "LATE_SECONDS", 1e-6)

    def later(x: list[Any], out: list[Any]) -> list[Any]:
        del out[1:]
        out.append(lambda: softmax(x[0], out[0]))
        return out

    def now(x: list[Any], out: list[Any]) -> list[Any]:
        softmax(x[0], out[0])
        return out

    assert "was not done when its backend's synchronize returned" in timed(later, backend=Lazy())
    monkeypatch.setattr(preparing, "LATE_SECONDS", 1.0)
    assert timed(now, backend=Lazy()) == ""


def test_the_timed_arrays_are_those_that_are_checked() -> None:
    seen: set[tuple[int, int]] = set()

    def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        seen.add((x.ctypes.data, out.ctypes.data))
        return softmax(x, out)

    assert timed(run) == ""
    assert len(seen) == 1
    assert {address % 64 for pair in seen for address in pair} == {0}


def test_copies_are_gone_through_in_turn() -> None:
    seen: list[int] = []

    def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        seen.append(out.ctypes.data)
        return softmax(x, out)

    outcome = timing.prepare(Here(), "softmax", kernel(run), GIVEN, copies=3)
    assert isinstance(outcome, timing.Ready)
    del seen[:]
    outcome.sampler.number = 6
    outcome.sampler.sample()
    assert len(set(seen)) == 3
    assert seen[1:4] == seen[4:7]


def test_declared_differences_are_said_beside_the_time() -> None:
    def off(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        softmax(x, out)
        out *= np.float32(1 + 1e-5)
        return out

    assert timed(off).startswith("prepare: at (")
    outcome = timing.prepare(
        Here({"timed/float32": "scaled: up to 500 ulp"}), "softmax", kernel(off), GIVEN
    )  # fmt: skip
    assert isinstance(outcome, timing.Differs)
    assert outcome.declared.startswith("differs: scaled: up to 500 ulp (at (")
    assert isinstance(timing.prepare(Here(), "softmax", kernel(softmax), GIVEN), timing.Ready)


@pytest.mark.parametrize(("budget", "count"), [(0.0, 1), (0.01, 2), (0.1, 20), (10.0, 20)])
def test_a_process_takes_as_many_samples_as_its_time_allows(times: Times, budget: float, count: int) -> None:
    sampler = Sampler(lambda: times.pass_by(5_000_000, 0), lambda: None, "wall")
    assert len(timing.unchecked(sampler, budget)) == count
