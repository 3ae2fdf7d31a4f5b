"""The tests' own scheduler: agrees with the stock one where both can, and sees what it is there to see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import cuda

from maxbench.impls.cuda import plans, regimes, simulated
from maxbench.impls.cuda.elements import ELEMENTS
from maxbench.impls.cuda.intrinsics import pause, shuffle_xor, warp_max, warp_min
from maxbench.impls.cuda.regimes import Regime
from tests.impls.cuda import simulator


@cuda.jit
def _reverse_and_sum(x, out):  # type: ignore[no-untyped-def]
    shared = cuda.shared.array(16, np.float32)
    t, b = cuda.threadIdx.x, cuda.blockIdx.x
    shared[t] = x[b, t]
    cuda.syncthreads()
    total = np.float32(0)
    for i in range(16):
        total += shared[15 - i]
    out[b, t] = shared[15 - t] + total


@cuda.jit
def _votes(x, out):  # type: ignore[no-untyped-def]
    t, b = cuda.threadIdx.x, cuda.blockIdx.x
    positive = x[b, t] > 0
    out[b, t] = 100 * cuda.syncthreads_count(positive) + 10 * cuda.syncthreads_and(positive)
    out[b, t] += cuda.syncthreads_or(positive)


@cuda.jit
def _histogram(x, out):  # type: ignore[no-untyped-def]
    t, b = cuda.threadIdx.x, cuda.blockIdx.x
    cuda.atomic.add(out, (0, int(abs(x[b, t]) * 4) % 16), 1)
    cuda.atomic.max(out, (1, b), x[b, t])


@cuda.jit
def _two_dimensions(x, out):  # type: ignore[no-untyped-def]
    i, j = cuda.grid(2)
    out[j, i] = x[j, i] + 100 * cuda.threadIdx.x + cuda.threadIdx.y


@cuda.jit
def _exchanges(x, out):  # type: ignore[no-untyped-def]
    t, b = cuda.threadIdx.x, cuda.blockIdx.x
    value = x[b, t]
    for i in range(4):
        value = value + shuffle_xor(value, 1 << i)
    out[b, t] = value


@pytest.mark.parametrize("seed", [None, 1, 2])
@pytest.mark.parametrize(
    ("kernel", "grid", "block"),
    [
        (_reverse_and_sum, 3, 16),
        (_votes, 3, 16),
        (_histogram, 3, 16),
        (_two_dimensions, (4, 1), (4, 3)),
        (_exchanges, 3, 16),
    ],
)
def test_as_the_stock_simulator(kernel: Any, grid: Any, block: Any, seed: int | None) -> None:
    x = np.random.default_rng(2).standard_normal((3, 16)).astype(np.float32)
    x[0] = np.abs(x[0])
    stock, own = cuda.to_device(np.zeros_like(x)), cuda.to_device(np.zeros_like(x))
    kernel[grid, block](cuda.to_device(x), stock)
    with simulator.installed(seed=seed):
        kernel[grid, block](cuda.to_device(x), own)
        assert kernel.py_func.__globals__["cuda"] is cuda  # the kernel's own is there during a launch alone
    np.testing.assert_array_equal(own.copy_to_host(), stock.copy_to_host())
    assert np.any(own.copy_to_host())


@pytest.mark.parametrize("name", regimes.SIMULATOR)
def test_the_kernels_as_in_the_stock_simulator(name: str) -> None:
    """The table that the stock simulator uses, on both, bit for bit."""
    operation, layout = name.split()
    for regime in regimes.SIMULATOR[name]:
        n = 20 if regime.kernel in ("short", "tile") else 50
        x = np.random.default_rng(4).standard_normal((3, n, 1 if layout == "rows" else 9)).astype(np.float32)
        device = plans.Device(2, {**regimes.SIMULATOR, name: (regime,)})
        run = plans.make(operation, ELEMENTS["float32"], x.shape, 0, 0, device)
        out = np.zeros(x.shape, np.float32) if operation == "softmax" else np.zeros((3, x.shape[2]), np.int64)
        stock, own = cuda.to_device(out), cuda.to_device(out)
        run(cuda.to_device(x), stock, 0)
        with simulator.installed(seed=3):
            run(cuda.to_device(x), own, 0)
        np.testing.assert_array_equal(own.copy_to_host(), stock.copy_to_host())


def _run(kernel: Any, threads: int = 64, blocks: int = 1, **settings: Any) -> np.ndarray:
    out = cuda.to_device(np.zeros((blocks, threads)))
    with simulator.installed(**settings):
        kernel[blocks, threads](out)
    result: np.ndarray = out.copy_to_host()
    return result


def test_warps_exchange_among_themselves() -> None:
    @cuda.jit
    def kernel(out):  # type: ignore[no-untyped-def]
        t = cuda.threadIdx.x
        out[0, t] = 1000 * warp_max(t) + warp_min(t)

    np.testing.assert_array_equal(_run(kernel)[0], [31000] * 32 + [63032] * 32)
    out = cuda.to_device(np.zeros((1, 64)))
    kernel[1, 64](out)  # in the stock simulator, where what is shown is a block's
    np.testing.assert_array_equal(out.copy_to_host()[0], [31000] * 32 + [63032] * 32)


def _absent(out):  # type: ignore[no-untyped-def]
    if cuda.threadIdx.x != 5:
        out[0, cuda.threadIdx.x] = shuffle_xor(1, 1)


def _different(out):  # type: ignore[no-untyped-def]
    out[0, cuda.threadIdx.x] = warp_max(1) if cuda.threadIdx.x < 16 else warp_min(1)


def _two_barriers(out):  # type: ignore[no-untyped-def]
    if cuda.threadIdx.x < 32:
        cuda.syncthreads()
    else:
        cuda.syncthreads_count(1)


def _half_warp_waits(out):  # type: ignore[no-untyped-def]
    if cuda.threadIdx.x < 16:
        cuda.syncthreads()
    else:
        shuffle_xor(1, 1)


def _waits_for_nobody(out):  # type: ignore[no-untyped-def]
    while out[0, 0] == 0:
        pause(32)


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (_absent, simulator.Divergence),
        (_different, simulator.Divergence),
        (_two_barriers, simulator.Divergence),
        (_half_warp_waits, simulator.Deadlock),
        (_waits_for_nobody, simulator.Deadlock),
    ],
)
def test_what_goes_wrong_is_seen(function: Callable[..., None], error: type[Exception]) -> None:
    with pytest.raises(error):
        _run(cuda.jit(function))


def test_memory_is_poisoned_and_arrays_on_one_line_are_two() -> None:
    @cuda.jit
    def kernel(out):  # type: ignore[no-untyped-def]
        a, b = cuda.shared.array(4, np.float32), cuda.shared.array(4, np.float32)
        c = cuda.local.array(4, np.int32)
        out[0, 0] = a[0]
        a[1], b[1] = 1, 2
        out[0, 1], out[0, 2], out[0, 3] = a[1], b[1], c[0]

    np.testing.assert_array_equal(_run(kernel, threads=4)[0], [np.nan, 1, 2, -1])


def test_a_missing_barrier_shows() -> None:
    """Threads run in turn, so that one reads what the next has not written."""

    @cuda.jit
    def kernel(out):  # type: ignore[no-untyped-def]
        shared = cuda.shared.array(64, np.float32)
        t = cuda.threadIdx.x
        shared[t] = t
        out[0, t] = shared[63 - t]

    assert np.isnan(_run(kernel)).any()


def test_blocks_start_in_the_order_of_the_seed() -> None:
    @cuda.jit
    def kernel(out):  # type: ignore[no-untyped-def]
        if cuda.threadIdx.x == 0:
            out[cuda.blockIdx.x, 0] = cuda.atomic.add(out, (0, 3), 1)

    orders = [tuple(_run(kernel, 4, 8, resident=1, seed=seed)[:, 0]) for seed in (None, 1, 1, 2)]
    assert orders[0] == tuple(range(8))
    assert orders[1] == orders[2] != orders[3]


@pytest.mark.parametrize("seed", range(3))
def test_blocks_of_a_row_wait_for_each_other_or_are_reported(seed: int) -> None:
    """Coupled rows: any order of the blocks will do while all of a row are resident, and launches may follow."""
    x = np.random.default_rng(6).standard_normal((2, 1700, 1)).astype(np.float32)
    device = plans.Device(64, {**regimes.DEVICE, "softmax rows": (Regime("shared", 64, 64, 8),)})
    run = plans.make("softmax", ELEMENTS["float32"], x.shape, 0, 0, device)
    given = cuda.to_device(x)
    results = []
    for _ in range(3):
        out = cuda.to_device(np.zeros_like(x))
        with simulator.installed(resident=3, seed=seed):
            run(given, out, 0)
        results.append(out.copy_to_host())
    np.testing.assert_allclose(results[0].sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    with simulator.installed(resident=2, seed=seed), pytest.raises(simulator.Deadlock, match="another block"):
        run(given, cuda.to_device(np.zeros_like(x)), 0)


def test_the_stock_simulator_refuses_to_wait() -> None:
    with pytest.raises(RuntimeError, match="one after the other"):
        simulated.pause(32)


def test_addresses_are_checked() -> None:
    load_vector = simulated.access(ELEMENTS["float32"]).load_vector
    array = np.zeros(64, np.float32)
    start = -array.ctypes.data // 4 % 4  # the first element at a boundary
    registers = np.zeros(4, np.float32)
    load_vector(registers, 0, array, start)
    with pytest.raises(ValueError, match="not aligned to 16 bytes"):
        load_vector(registers, 0, array, start + 1)
    with pytest.raises(IndexError, match="elements 61 to 64 of an array of 64"):
        load_vector(registers, 0, array, 61)
