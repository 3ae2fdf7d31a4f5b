"""Launches by prepared parameters, and by numba-cuda's launcher where they cannot be: which, and with what."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numba.cuda.cudadrv.driver import CudaAPIError

pytest.importorskip("numba_cuda")

from maxbench.impls.cuda import launching, plans, regimes
from maxbench.impls.cuda.elements import ELEMENTS
from tests.impls.cuda.launches import Driver, Kernel, Launched, Stream, device_array

MEMORY = 1 << 40  # where working memory begins
STREAM, OTHER = Stream(80), Stream(96)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver()
    monkeypatch.setattr(launching, "driver", driver)
    monkeypatch.setattr(launching, "_kept", {})
    return driver


@pytest.fixture
def kernel(driver: Driver) -> Kernel:
    return Kernel(driver, 7)


def _plan(*kernels: Kernel, memory: Any = None) -> plans.Plan:
    """A plan of one kernel (x, out, 3), or of two that exchange results through working memory."""
    launches = [plans.Launch(kernel, (5, 2) if i else 4, 128) for i, kernel in enumerate(kernels)]
    if len(kernels) == 1:
        return plans.Plan(lambda x, out, stream: launches[0](stream, x, out, 3))
    arrays = plans._per_stream(memory)

    def run(x: Any, out: Any, stream: Any) -> None:
        (partial,) = arrays(stream)
        launches[0](stream, x, partial)
        launches[1](stream, x, partial, out)

    return plans.Plan(run)


def _row(address: int) -> Any:
    return device_array(address, 1, 32, 1)


def _parameters(address: int, items: int = 32) -> list[int]:
    """Of an array (1, items, 1) of float32: no meminfo, no parent, items, bytes of each, address, shape, strides."""
    return [0, 0, items, 4, address, 1, items, 1, 4 * items, 4, 4]


@pytest.mark.parametrize(("stream", "handle"), [(0, 0), (STREAM, 80)])
def test_the_first_call_is_numba_cudas_and_prepares_the_next(
    driver: Driver, kernel: Kernel, stream: Any, handle: int
) -> None:
    plan, x, out = _plan(kernel), _row(4096), _row(8192)
    assert plan.prepared(stream) is None
    plan(x, out, stream)
    assert kernel.calls == [(4, 128, stream, (x, out, 3))]
    assert driver.launches == []
    plan(_row(4096 + 256), _row(8192 + 256), stream)
    prepared = plan.prepared(stream)
    assert prepared is not None
    prepared(2**63 + 16, 32)
    first = [*_parameters(4096 + 256), *_parameters(8192 + 256), 3]
    second = [*_parameters(2**63 + 16), *_parameters(32), 3]
    assert driver.launches == [Launched(7, (4, 1, 1), 128, handle, words) for words in (first, second)]
    assert len(kernel.calls) == 1


def test_another_stream_needs_no_launcher_of_numba_cuda(driver: Driver, kernel: Kernel) -> None:
    plan = _plan(kernel)
    for stream in (0, STREAM):
        plan(_row(4096), _row(8192), stream)
    assert len(kernel.calls) == 1
    assert [launched.stream for launched in driver.launches] == [80]


def test_input_and_result_may_be_one_array(driver: Driver, kernel: Kernel) -> None:
    plan, x = _plan(kernel), _row(4096)
    plan(x, x, 0)
    plan(x, _row(8192), 0)
    assert driver.launches[0].parameters == [*_parameters(4096), *_parameters(8192), 3]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arrays of working memory that have been made, in sets of one, and "synchronized" for each wait."""
    made: list[Any] = []
    monkeypatch.setattr(plans.cuda, "synchronize", lambda: made.append("synchronized"))
    return made


def _make(made: list[Any]) -> Any:
    def make() -> tuple[Any, ...]:
        made.append(_row(MEMORY + 4096 * (len(made) - made.count("synchronized"))))
        return (made[-1],)

    return make


def test_kernels_of_a_plan_run_in_order_on_working_memory_of_the_stream(driver: Driver, memory: list[Any]) -> None:
    kernels = Kernel(driver, 7), Kernel(driver, 8)
    plan = _plan(*kernels, memory=_make(memory))
    for stream in (0, STREAM):
        plan(_row(4096), _row(8192), stream)
        plan(_row(256), _row(512), stream)
    assert [launched[:4] for launched in driver.launches] == [
        (7, (4, 1, 1), 128, 0), (8, (5, 2, 1), 128, 0),
        (7, (4, 1, 1), 128, 80), (8, (5, 2, 1), 128, 80),
        (7, (4, 1, 1), 128, 80), (8, (5, 2, 1), 128, 80),
    ]  # fmt: skip
    own, others = MEMORY, MEMORY + 4096  # a set is made before it is needed
    assert driver.launches[1].parameters == [*_parameters(256), *_parameters(own), *_parameters(512)]
    assert driver.launches[3].parameters == [*_parameters(4096), *_parameters(others), *_parameters(8192)]
    assert driver.launches[4].parameters == [*_parameters(256), *_parameters(others)]
    assert memory[2] == "synchronized"


def test_graphs_are_captured_with_memory_that_was_made_before_and_is_kept(driver: Driver, memory: list[Any]) -> None:
    plan = _plan(Kernel(driver, 7), Kernel(driver, 8), memory=_make(memory))
    plan(_row(4096), _row(8192), 0)
    plan(_row(4096), _row(8192), 0)
    assert launching._kept == {}
    before = list(memory)
    driver.capturing = {80, 96}
    for _ in range(2):
        plan(_row(256), _row(512), STREAM)
    assert memory == before
    assert driver.launches[2].parameters == [*_parameters(256), *_parameters(MEMORY + 4096)]
    assert len(launching._kept) == 1
    with pytest.raises(RuntimeError, match="working memory cannot be allocated while a CUDA graph is captured"):
        plan(_row(256), _row(512), OTHER)
    driver.capturing = set()
    plan(_row(256), _row(512), OTHER)
    assert len(memory) > len(before)


def test_numba_cudas_launcher_keeps_the_memory_of_graphs_too(
    driver: Driver, memory: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "prepare", lambda *given: None)
    plan = _plan(Kernel(driver, 7), Kernel(driver, 8), memory=_make(memory))
    plan(_row(4096), _row(8192), STREAM)
    assert launching._kept == {}
    driver.capturing = {80}
    for _ in range(2):
        plan(_row(4096), _row(8192), STREAM)
    assert list(launching._kept.values()) == [(memory[0],)]


@pytest.mark.parametrize(
    "change",
    [
        lambda monkeypatch, kernel: monkeypatch.setattr(launching, "driver", None),
        lambda monkeypatch, kernel: monkeypatch.setattr(kernel, "typeof_pyval", lambda value: None),
        lambda monkeypatch, kernel: monkeypatch.delattr(Kernel, "typeof_pyval"),
        *(
            (lambda monkeypatch, kernel, name=name, value=value: _compiled(monkeypatch, kernel, name, value))
            for name, value in {
                "debug": True,
                "cooperative": True,
                "launch_config_sensitive": True,
                "extensions": [SimpleNamespace(prepare_args=lambda kind, value, **_: (kind, value))],
                "argument_types": (),
                "_codelibrary": None,
                "_prepare_args": None,
            }.items()
        ),
        lambda monkeypatch, kernel: _passing(monkeypatch, kernel, lambda after, passed: after.append("copy back")),
        lambda monkeypatch, kernel: _passing(monkeypatch, kernel, lambda after, passed: passed.append(1.5)),
        lambda monkeypatch, kernel: _passing(monkeypatch, kernel, lambda after, passed: passed.append(True)),
        lambda monkeypatch, kernel: _passing(monkeypatch, kernel, lambda after, passed: passed.append(4096)),
        lambda monkeypatch, kernel: _passing(monkeypatch, kernel, lambda after, passed: passed.clear()),
    ],
)
def test_numba_cudas_launcher_is_used_where_its_interfaces_are_others(
    change: Any, driver: Driver, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, x, out = _plan(kernel), _row(4096), _row(8192)
    kernel[4, 128, 0](x, out, 3)  # compiles
    kernel.calls.clear()
    change(monkeypatch, kernel)
    tried, prepare = [], launching.prepare
    monkeypatch.setattr(launching, "prepare", lambda *given: tried.append(given) or prepare(*given))
    for _ in range(3):
        plan(x, out, 0)
    assert kernel.calls == 3 * [(4, 128, 0, (x, out, 3))]
    assert driver.launches == []
    assert plan.prepared(0) is None
    assert len(tried) == 1


def _compiled(monkeypatch: pytest.MonkeyPatch, kernel: Kernel, name: str, value: Any) -> None:
    (compiled,) = kernel.overloads.values()
    monkeypatch.setattr(compiled, name, value, raising=False)


def _passing(monkeypatch: pytest.MonkeyPatch, kernel: Kernel, change: Any) -> None:
    """Change what numba-cuda passes for each argument."""
    (compiled,) = kernel.overloads.values()
    original = compiled._prepare_args

    def prepare(kind: Any, value: Any, stream: Any, after: list[Any], passed: list[Any]) -> None:
        original(kind, value, stream, after, passed)
        change(after, passed)

    monkeypatch.setattr(compiled, "_prepare_args", prepare)


def test_a_launch_that_fails_is_named(driver: Driver, kernel: Kernel) -> None:
    plan = _plan(kernel)
    plan(_row(4096), _row(8192), 0)
    driver.result = pytest.importorskip("cuda.bindings.driver").CUresult.CUDA_ERROR_ILLEGAL_ADDRESS
    for _ in range(2):
        with pytest.raises(Exception, match=r"\[700\] launching a kernel failed: CUDA_ERROR_ILLEGAL_ADDRESS"):
            plan(_row(4096), _row(8192), 0)


def test_threads_do_not_change_each_others_parameters(driver: Driver, kernel: Kernel) -> None:
    plan = _plan(kernel)
    plan(_row(4096), _row(8192), 0)
    driver.during = lambda: time.sleep(0.05)
    threads = [threading.Thread(target=plan, args=(_row(256 * i), _row(1024 * i), 0)) for i in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(launched.parameters for launched in driver.launches) == [
        [*_parameters(256 * i), *_parameters(1024 * i), 3] for i in (1, 2, 3)
    ]


def test_a_plan_remembers_a_bounded_number_of_streams(
    driver: Driver, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "STREAMS", 2)
    plan, streams = _plan(kernel), [Stream(16), Stream(32), Stream(48)]
    for stream in streams:
        plan(_row(4096), _row(8192), stream)
    assert [plan.prepared(stream) is None for stream in streams] == [True, False, False]


def test_run_finds_the_plan_by_what_it_depends_on(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """And gives kernels the arrays as they are stored, as a first call and as further ones."""
    keys: list[tuple[Any, ...]] = []
    kernels = {name: Kernel(driver, i) for i, name in enumerate(("float32", "bool"))}
    planned = {name: _plan(kernel) for name, kernel in kernels.items()}

    def plan(number: int, operation: str, element: str, *rest: Any) -> plans.Plan:
        keys.append((number, operation, element, *rest))
        return planned[element]

    monkeypatch.setattr(plans, "plan", plan)
    x, out = device_array(4096 + 4, 1, 32, 1), device_array(8192 + 8, 1, 1, dtype=np.int64)
    assert plans.run("argmax", x, out) is out
    driver.device = 1
    assert plans.run("argmax", x, out) is out
    key = ("argmax", "float32", (1, 32, 1), 4, 8)
    assert keys == [(0, *key), (1, *key)]
    assert plans.prepared("argmax", x, out, 0) is planned["float32"].prepared(0) is not None
    flags = device_array(4096, 1, 32, 1, dtype=np.bool_)
    for _ in range(2):
        plans.run("argmax", flags, out)
    (given, _, _) = kernels["bool"].calls[0][3]
    assert given.dtype == np.uint8
    assert driver.launches[-1].parameters[4] == 4096


def test_without_a_context_numba_cuda_makes_one(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching.cuda, "get_current_device", lambda: SimpleNamespace(id=3))
    driver.device = 2
    assert plans.current_number() == 2
    driver.device = None
    assert plans.current_number() == 3
    monkeypatch.setattr(launching, "driver", None)
    assert plans.current_number() == 3


@pytest.mark.parametrize(
    ("multiprocessors", "blocks", "streams"),
    [(132, 32, 4), (132, 64, 2), (108, 32, 3), (64, 32, 2), (20, 20, 1), (132, 23, 5), (132, 22, 6), (1, 1, 6)],
)
def test_rows_are_coupled_on_fewer_streams_than_could_wait_for_each_other(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, multiprocessors: int, blocks: int, streams: int
) -> None:
    """All blocks of a row but one may wait in each launch, and that one must find a multiprocessor."""
    monkeypatch.setattr(plans, "_coupled_streams", {})
    device = plans.Device(multiprocessors, regimes.DEVICE)
    for _ in range(2):
        assert [plans._may_couple(Stream(n), blocks, device) for n in range(1, 7)] == [
            n <= streams for n in range(1, 7)
        ]


def test_a_stream_counts_with_the_most_blocks_that_ever_waited_on_it(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A launch of few blocks may follow one of many that has not ended."""
    monkeypatch.setattr(plans, "_coupled_streams", {})
    device = plans.Device(132, regimes.DEVICE)
    calls = [(1, 64), (1, 2), (2, 64), (2, 2), (3, 7), (3, 6), (4, 2)]
    assert [plans._may_couple(Stream(n), blocks, device) for n, blocks in calls] == [
        True, True, True, True, False, True, False,
    ]  # fmt: skip


def test_shared_memory_is_asked_for_on_each_device_and_never_taken_back(driver: Driver) -> None:
    """A block gets 48 KiB unasked. Plans of one kernel need different amounts."""
    kernel = Kernel(driver, 7)
    arguments = (device_array(0x1000, 3, 5, 1),)
    for size in (196608, 65536):
        launching.allow_shared(kernel, arguments, size)
    driver.device = 1
    launching.allow_shared(kernel, arguments, 65536)
    assert driver.allowed == {(7, 0): 196608, (7, 1): 65536}
    with pytest.raises(CudaAPIError, match="asking for shared memory failed"):
        launching.allow_shared(kernel, arguments, driver.shared + 1)


def test_without_the_driver_a_block_has_what_it_gets_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    device = SimpleNamespace(MAX_SHARED_MEMORY_PER_BLOCK_OPTIN=232448)
    assert launching.most_shared(device) == 232448
    monkeypatch.setattr(launching, "driver", None)
    assert launching.most_shared(device) == 49152
    launching.allow_shared(None, (), 49152)
    few = plans.Device(132, regimes.DEVICE, launching.most_shared(device))
    assert plans.choose("softmax rows", ELEMENTS["float32"], 57344, few).kernel == "split"


def test_prepared_launches_have_the_shared_memory_of_their_plan(driver: Driver, kernel: Kernel) -> None:
    launch = plans.Launch(kernel, 3, 64, 100000)
    plan = plans.Plan(lambda x, out, stream: launch(stream, x, out))
    for _ in range(2):
        plan(_row(0x1000), _row(0x2000), 0)
    assert [launched.shared for launched in driver.launches] == [100000]


def test_on_further_streams_rows_are_split(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "_coupled_streams", {0: {1: 63, 4: 68}})
    memory = SimpleNamespace(to_device=lambda a: a, device_array=np.empty, synchronize=lambda: None)
    monkeypatch.setattr(plans, "cuda", memory)
    plan = plans.make("softmax", ELEMENTS["float32"], (3, 20000, 1), 0, 0, plans.Device(132, regimes.DEVICE))
    for stream, kernels in ((4, ["softmax_coupled"]), (5, ["softmax_partial", "softmax_finish"])):
        listing = plans._Listing(Stream(stream))
        plan._run(launching.X, launching.OUT, listing)
        assert [step.kernel.py_func.__name__ for step in listing.steps] == kernels
