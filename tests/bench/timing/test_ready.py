"""What `prepare`, the spot check and `finish` call a kernel with, and what they hand to the judge."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from maxbench.bench import timing
from maxbench.bench.inputs.recipe import Input
from maxbench.bench.processes.hub import Here
from maxbench.bench.processes.link import Lost
from maxbench.bench.processes.verdict import Verdict, checksum
from maxbench.bench.timing import memory, schedules
from maxbench.bench.timing import ready as preparing
from maxbench.bench.timing.sampling import Sampler
from maxbench.impls import Kernel, backends, implements

GIVEN = Input("scores", "float32", (6, 50, 2))


def softmax(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    np.exp(x - x.max(axis=1, keepdims=True), out=out)
    out /= out.sum(axis=1, keepdims=True)
    return out


def kernel(run: Callable[[Any, Any], Any] = softmax, **declared: Any) -> Kernel:
    return implements(dtypes=("float32",), **declared)(run)


class Seen:
    """A kernel that keeps what it is called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[np.ndarray, np.ndarray]] = []

    def run(self, x: np.ndarray, out: np.ndarray) -> np.ndarray:
        self.calls.append((x.copy(), out.copy()))
        return softmax(x, out)


class Told:
    """A judge that keeps what it is handed, and says what it is told to."""

    def __init__(self, *verdicts: Verdict) -> None:
        self.verdicts = list(verdicts)
        self.asked: list[SimpleNamespace] = []

    def check(self, operation: str, given: Input, result: Any, **more: Any) -> Verdict:
        more = {name: np.array(value) if isinstance(value, np.ndarray) else value for name, value in more.items()}
        self.asked.append(SimpleNamespace(operation=operation, given=given, result=np.array(result), **more))
        return self.verdicts.pop(0) if self.verdicts else Verdict("agrees")


def ready_of(run: Any = softmax, checks: Any = None, **more: Any) -> timing.Ready:
    outcome = timing.prepare(checks or Told(), "softmax", kernel(run), GIVEN, **more)
    assert isinstance(outcome, timing.Ready)
    return outcome


def unwritten(out: np.ndarray) -> bool:
    return bool((out.view(np.uint32) == memory.POISON[4]).all())


def test_out_is_poisoned_before_the_first_check_whatever_it_held() -> None:
    """The gate times two versions in the same memory: what the other has written is right as well."""
    x = GIVEN.array()
    out = softmax(x, np.empty_like(x))
    seen = Seen()
    ready_of(seen.run, arrays=[(x, out)])
    assert unwritten(seen.calls[0][1])
    softmax(x, out)
    outcome = timing.prepare(Here(), "softmax", kernel(lambda x, out: out), GIVEN, arrays=[(x, out)])
    assert isinstance(outcome, timing.Wrong)
    assert "nothing written" in outcome.reason


def test_at_the_end_three_inputs_are_checked_in_the_timed_memory() -> None:
    """Poisoned first, then with the last result left in out."""
    seen, told = Seen(), Told()
    ready = ready_of(seen.run, told)
    ready.sampler.sample()
    del seen.calls[:]
    assert ready.finish() is None
    (x1, out1), (x2, out2), (x3, out3) = seen.calls
    other = GIVEN.other().array()
    np.testing.assert_array_equal(x1, GIVEN.array())
    assert unwritten(out1)
    np.testing.assert_array_equal(x2, other)
    np.testing.assert_array_equal(out2, softmax(x1, np.empty_like(x1)))
    assert np.count_nonzero(x3 != other) == 1
    np.testing.assert_array_equal(out3, softmax(x2, np.empty_like(x2)))
    for asked, (x, _) in zip(told.asked[1:], seen.calls, strict=True):
        np.testing.assert_array_equal(asked.given.array(), x)
        np.testing.assert_array_equal(asked.x, x)
        np.testing.assert_allclose(asked.result, softmax(x, np.empty_like(x)))
        assert (asked.operation, asked.case, asked.problem) == ("softmax", "timed", "")
    ready.finish(GIVEN)
    np.testing.assert_array_equal(seen.calls[3][0], GIVEN.array())


def test_values_whose_last_sample_was_checked_are_not_checked_again() -> None:
    seen = Seen()
    ready = ready_of(seen.run)
    del seen.calls[:]
    assert ready.finish(again=False) is None
    other = GIVEN.other().array()
    np.testing.assert_array_equal(seen.calls[0][0], other)
    assert len(seen.calls) == 2


def test_a_long_call_is_checked_once_more() -> None:
    """With other values in the timed memory, and out poisoned."""
    seen = Seen()
    ready = ready_of(seen.run)
    ready.sampler.long = [0.5, 0.5]
    del seen.calls[:]
    assert ready.finish() is None
    ((x, out),) = seen.calls
    np.testing.assert_array_equal(x, GIVEN.other().array())
    assert unwritten(out)
    wrong = ready_of(checks=Told(Verdict("agrees"), Verdict("wrong", "so")))
    wrong.sampler.long = [0.5, 0.5]
    assert wrong.finish() == timing.Wrong("so")


def test_the_element_that_changes_is_drawn_among_all(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(preparing, "_random", lambda size: asked.append(size) or size - 1)
    told = Told()
    ready_of(checks=told).finish()
    assert asked == [600]
    assert told.asked[-1].given.name == "599"


@pytest.mark.parametrize("bad", [1, 2, 3])
def test_each_of_the_last_checks_counts(bad: int) -> None:
    verdicts = [Verdict("agrees")] * bad + [Verdict("wrong", "so")]
    assert ready_of(checks=Told(*verdicts)).finish() == timing.Wrong("so")


def test_a_sample_that_is_checked_leaves_its_own_result(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, told = Seen(), Told()
    ready = ready_of(seen.run, told)
    ready.sampler.number = 2
    del seen.calls[:]
    seconds, wrong = ready.spot_check()
    assert wrong is None
    assert 0 < seconds < 1
    assert unwritten(seen.calls[0][1])
    assert len(seen.calls) == 3  # the warm call and the sample: none beyond them
    assert len(told.asked) == 2
    np.testing.assert_array_equal(told.asked[-1].given.array(), GIVEN.array())
    told.verdicts = [Verdict("wrong", "so")]
    assert ready.spot_check()[1] == timing.Wrong("so")


def test_where_the_result_lies_elsewhere_one_more_call_is_checked() -> None:
    calls = []

    def elsewhere(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        calls.append(out.copy())
        return softmax(x, np.empty_like(out))

    told = Told()
    ready = ready_of(elsewhere, told)
    del calls[:]
    assert ready.spot_check()[1] is None
    assert len(calls) == 3
    np.testing.assert_allclose(told.asked[-1].result, softmax(GIVEN.array(), np.empty_like(calls[0])))


def test_of_several_copies_one_more_call_is_checked() -> None:
    seen, told = Seen(), Told()
    ready = ready_of(seen.run, told, copies=2)
    del seen.calls[:]
    assert ready.spot_check()[1] is None
    assert len(seen.calls) == 3


def test_what_is_raised_while_sampling_or_at_the_end_is_said() -> None:
    left = 1

    def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError("late")
        return softmax(x, out)

    ready = ready_of(run)
    seconds, wrong = ready.spot_check()
    assert wrong == timing.Failed("ValueError: late")
    assert seconds > 0
    assert ready.finish() == timing.Failed("ValueError: late")


def test_one_sample_is_checked_at_a_random_place_and_all_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    wrong: timing.Wrong | None = None
    sampler = SimpleNamespace(
        number=1, long=[], calibrate=lambda warm: 1.0, sample=lambda: events.append("sample") or 1.0
    )
    ready: Any = SimpleNamespace(
        sampler=sampler, spot_check=lambda: (events.append("spot") or 2.0, wrong),
        finish=lambda again: agains.append((again, *events[-1:])) or events.append("finish"),
    )  # fmt: skip
    agains: list[tuple[bool | str, ...]] = []
    places = set()
    for seed in range(20):
        del events[:]
        samples = timing.alone(ready, 4.0, randomness=random.Random(seed))
        assert sorted(events) == ["finish", "sample", "sample", "sample", "spot"]
        assert events[-1] == "finish"
        assert sorted(samples) == [1.0, 1.0, 1.0, 2.0]
        assert samples.index(2.0) == events.index("spot")
        places.add(events.index("spot"))
    assert places == {0, 1, 2, 3}
    assert set(agains) == {(True, "sample"), (False, "spot")}
    for seconds, spots in ((1.0, 1), (15.0, 1), (16.0, 2), (20.0, 2)):
        del events[:]
        timing.alone(ready, seconds)
        assert (events.count("spot"), len(events)) == (spots, int(seconds) + 1)
    sampler.long = [0.5, 0.25]
    for seconds, more in ((1.0, []), (2.0, []), (3.0, ["spot"])):
        del events[:]
        assert timing.alone(ready, seconds) == [0.5, 0.25, *[2.0 for _ in more]]
        assert events == [*more, "finish"]
    sampler.long = []
    wrong = timing.Wrong("in between")
    with pytest.raises(timing.Unsound, match="in between") as unsound:
        timing.alone(ready, 4.0)
    assert unsound.value.outcome is wrong
    wrong = None
    ready.finish = lambda again: timing.Failed("at the end")
    with pytest.raises(timing.Unsound, match="at the end"):
        timing.alone(ready, 4.0)


def test_a_quarter_of_the_time_goes_into_warming_up() -> None:
    warm = []
    sampler: Any = SimpleNamespace(number=5, calibrate=lambda seconds: warm.append(seconds) or 0.1, sample=lambda: 1.0)
    assert len(timing.unchecked(sampler, 4.0)) == 8
    assert warm == [1.0]
    assert len(timing.unchecked(sampler, 1000.0)) == schedules.MOST_SAMPLES


def test_no_garbage_is_collected_meanwhile() -> None:
    held = []

    def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        held.append(not gc.isenabled())
        return softmax(x, out)

    ready = ready_of(run)
    del held[:]
    timing.alone(ready, 0.0)
    assert held[-3:] == [True, False, False]  # the last checks are not timed
    assert all(held[:-2])
    sampler = Sampler(lambda: held.append(not gc.isenabled()), lambda: None, "wall")
    for schedule in (
        lambda: timing.unchecked(sampler, 0.0),
        lambda: timing.in_turn([schedules.Contestant("a", sampler)], 0.0, least=1),
    ):
        del held[:]
        schedule()
        assert held
        assert all(held)


def test_what_the_judge_says_is_kept() -> None:
    differs = Verdict("differs", "at (0,)", "sums round", "timed/*")
    ready = ready_of(checks=Told(differs, differs, Verdict("agrees")))
    assert type(ready) is timing.Differs
    assert ready.declared == "differs: sums round (at (0,))"
    assert ready.check() is None
    assert ready.declared == "differs: sums round (at (0,))"
    assert ready.check() is None
    assert ready.declared == ""
    assert type(ready_of()) is timing.Ready


def test_a_judge_that_is_gone_is_no_failure_of_the_kernel() -> None:
    class Gone:
        def check(self, *words: Any, **more: Any) -> Verdict:
            raise Lost("gone")

    with pytest.raises(Lost):
        timing.prepare(Gone(), "softmax", kernel(), GIVEN)


def test_results_and_the_first_rows() -> None:
    seen = Seen()
    ready = ready_of(seen.run)
    np.testing.assert_array_equal(ready.result(), softmax(GIVEN.array(), np.empty((6, 50, 2), np.float32)))
    ready.sampler.clock = "cpu"
    del seen.calls[:]
    few = ready.first_rows(4)
    few.sample()
    assert few.clock == "cpu"
    np.testing.assert_array_equal(seen.calls[0][0], GIVEN.array()[:4])
    assert seen.calls[0][1].shape == (4, 50, 2)


class Far(list[np.ndarray]):
    """An array far away, which knows its size."""

    def __init__(self, array: np.ndarray) -> None:
        super().__init__([array])
        self.nbytes = array.nbytes


class Box(backends.Backend):
    """A backend whose arrays cannot be looked into."""

    name = "box"

    def __init__(self, device: str = "cpu", **more: Any) -> None:
        self.device = device
        self.got = self.put_ = self.waited = 0
        self.__dict__.update(more)

    def put(self, array: np.ndarray) -> list[np.ndarray]:
        self.put_ += 1
        return Far(array.copy())

    def get(self, array: list[np.ndarray]) -> np.ndarray:
        self.got += 1
        return array[0]

    def synchronize(self) -> None:
        self.waited += 1


def boxed(x: list[np.ndarray], out: list[np.ndarray]) -> list[np.ndarray]:
    softmax(x[0], out[0])
    return out


def prepared(backend: Any, given: Input = GIVEN, checks: Any = None) -> timing.Ready:
    outcome = timing.prepare(checks or Here(), "softmax", kernel(boxed, backend=backend), given)
    assert isinstance(outcome, timing.Ready)
    return outcome


def test_arrays_of_a_backend_are_put_and_had_back() -> None:
    backend = Box()
    told = Told()
    ready = prepared(backend, checks=told)
    assert backend.put_ == 3  # x, out, and out poisoned anew: nothing can be written into it
    assert backend.waited == 1
    np.testing.assert_array_equal(told.asked[0].x, GIVEN.array())
    np.testing.assert_array_equal(ready.result(), softmax(GIVEN.array(), np.empty((6, 50, 2), np.float32)))
    assert ready.finish() is None
    assert ready.spot_check()[1] is None


def test_what_a_backend_raises_while_a_result_is_had_back_is_said() -> None:
    backend = Box()
    ready = prepared(backend)
    backend.get = lambda array: int("no number")  # type: ignore[method-assign, assignment, return-value]
    assert ready._judge(ready._arrays[0][0], ready._arrays[0][1]) == timing.Failed(
        "ValueError: invalid literal for int() with base 10: 'no number'"
    )


def test_results_are_waited_for_before_they_are_looked_at() -> None:
    backend = Box()
    waits: list[int] = []

    def starts(x: list[np.ndarray], out: list[np.ndarray]) -> list[np.ndarray]:
        waits.append(backend.waited)
        return boxed(x, Far(np.empty_like(out[0])))

    outcome = timing.prepare(Told(), "softmax", kernel(starts, backend=backend), GIVEN)
    assert isinstance(outcome, timing.Ready)
    for ask in (outcome.check, outcome.spot_check, outcome.result):
        ask()
        assert backend.waited == waits[-1] + 1  # after the last call


def test_get_has_no_say_of_what_is_a_host_array() -> None:
    class Says(Box):
        def put(self, array: np.ndarray) -> Any:
            return array.copy()

    backend = Says()
    told = Told()
    outcome = timing.prepare(told, "softmax", kernel(backend=backend), GIVEN)
    assert isinstance(outcome, timing.Ready)
    assert outcome.finish() is None
    assert backend.got == 10  # by the look at what is left to it, alone
    assert timing.prepare(Told(), "softmax", kernel(lambda x, out: None), GIVEN)


def test_a_backend_that_can_be_written_keeps_its_memory() -> None:
    filled = []

    def fill(array: list[np.ndarray], values: np.ndarray) -> list[np.ndarray]:
        filled.append(values.copy())
        array[0][...] = values
        return array

    backend = Box(fill=fill)
    ready = prepared(backend)
    assert backend.put_ == 2
    assert unwritten(filled[0])
    del filled[:]
    assert ready.spot_check()[1] is None
    assert unwritten(filled[0])


def test_a_device_is_timed_by_its_own_timer_and_a_host_is_not() -> None:
    def timer(call: Callable[[], Any]) -> float:
        call()
        return 2.0

    assert prepared(Box("cuda", timer=timer)).sampler.clock == "device"
    assert prepared(Box("cuda", timer=timer)).sampler.sample() == 2.0
    assert prepared(Box("cpu", timer=timer)).sampler.clock == "wall"
    assert prepared(Box("cuda")).sampler.clock == "wall"


def test_of_large_arrays_far_away_the_input_is_not_copied_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for size, far in ((2401, False), (2400, False), (2399, True)):
        monkeypatch.setattr(preparing, "FAR_BYTES", size)
        told = Told()
        x = GIVEN.array()
        box = Box("cuda")
        arrays = [(Far(x), Far(np.empty_like(x)))]
        outcome = timing.prepare(told, "softmax", kernel(boxed, backend=box), GIVEN, arrays=arrays)
        assert isinstance(outcome, timing.Ready)
        assert (told.asked[0].x is None) == far
        assert outcome.finish() is None
        assert [asked.given.kind for asked in told.asked[1:]] == (
            ["another"] if far else ["scores", "another", "changed"]
        )
    told = Told()
    assert prepared(Box("cpu"), checks=told).declared == ""
    assert told.asked[0].x is not None


class Clock:
    """Seconds that pass as a backend has them pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(preparing, "_wall", lambda: self.now)


@pytest.mark.parametrize(
    ("call", "first", "second", "late"),
    [
        (1.0, 0.25, 0.0, False), (1.0, 0.26, 0.0, True), (1.0, 0.5, 0.3, False), (1e-5, 49e-6, 0.0, False),
        (1e-5, 51e-6, 0.0, True), (1.0, 0.0, 0.3, False),
    ],
)  # fmt: skip
def test_what_is_left_to_get_counts_from_a_share_of_a_call(
    call: float, first: float, second: float, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)

    class Slow(Box):
        costs: list[float]

        def synchronize(self) -> None:
            clock.now += call

        def get(self, array: list[np.ndarray]) -> np.ndarray:
            clock.now += self.costs.pop(0) if self.costs else 0.0
            return super().get(array)

    backend = Slow(costs=[])

    def run(x: list[np.ndarray], out: list[np.ndarray]) -> list[np.ndarray]:
        backend.costs = [first, second]
        return boxed(x, out)

    outcome = timing.prepare(Here(), "softmax", kernel(run, backend=backend), GIVEN)
    assert isinstance(outcome, timing.Ready)
    found = outcome._late()
    assert (found is not None) == late
    if found is not None:
        assert found.reason.startswith("it was not done when its backend's synchronize returned")
    backend.device = "cuda"
    assert outcome._late() is None
    backend.device, backend.name = "cpu", "host"
    assert outcome._late() is None


def test_clocks() -> None:
    def declared(threads: str, device: str = "cpu", timer: Any = None) -> Any:
        return SimpleNamespace(threads=threads, backend=SimpleNamespace(device=device, timer=timer))

    assert preparing.clock_of(declared("one")) == "cpu"
    assert preparing.clock_of(declared("many")) == "wall"
    assert preparing.clock_of(declared("one", timer=print)) == "cpu"
    assert preparing.clock_of(declared("one", "cuda", print)) == "device"
    assert preparing.clock_of(declared("many", "cuda")) == "wall"
    assert preparing.clock_of(SimpleNamespace(backend=SimpleNamespace(device="cpu"))) == "cpu"
    assert preparing.clock_of(SimpleNamespace(backend=SimpleNamespace(device="cuda"))) == "wall"


def test_errors_in_words() -> None:
    assert preparing.described(ValueError("so")) == "ValueError: so"
    assert preparing.described(KeyboardInterrupt()) == "KeyboardInterrupt"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
def test_poison_is_what_no_result_holds(dtype: str) -> None:
    from maxbench.impls.contract import operation

    out = np.zeros(3, dtype)
    memory.poison(out)
    assert operation.poisoned(out).all()
    assert np.isnan(out).all() or dtype == "int64"


@pytest.mark.parametrize("operation", ["softmax", "argmax"])
def test_an_output_lies_between_guards(operation: str) -> None:
    out, guards = memory.guarded(operation, GIVEN.array())
    softmax_ = operation == "softmax"
    assert (out.shape, out.dtype) == (((6, 50, 2), np.float32) if softmax_ else ((6, 2), np.int64))
    before, after = guards
    assert before.nbytes >= memory.GUARD_BYTES
    assert after.nbytes >= memory.GUARD_BYTES
    assert before.ctypes.data + before.nbytes == out.ctypes.data
    assert out.ctypes.data + out.nbytes == after.ctypes.data
    assert out.ctypes.data % backends.ALIGNMENT == 0
    for guard in guards:
        for at in (0, -1):
            assert memory.intact(guards)
            guard[at] += 1
            assert not memory.intact(guards)
            guard[at] -= 1
    assert memory.intact([])


def test_guards_are_looked_at_after_every_check() -> None:
    """Those of arrays that are there already as well."""
    told = Told()
    x = GIVEN.array()
    out, guards = memory.guarded("softmax", x)
    ready = ready_of(checks=told, arrays=[(x, out)], guards=guards)
    assert checksum(told.asked[0].x) == checksum(x)
    guards[1][5] = 0
    ready.check()
    ready.spot_check()
    assert [asked.problem for asked in told.asked] == ["", "it wrote beside out", "it wrote beside out"]
