"""Host arrays through the (simulated) device in blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

from maxbench.impls import contract, registry
from maxbench.impls.backends import numba_cuda
from maxbench.impls.contract.dtypes import named
from maxbench.impls.cuda import staging
from tests import needs

KERNEL = {name: registry.load(name, "numba_cuda").kernel.run for name in ("softmax", "argmax")}


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    staging.release()
    yield
    staging.release()


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 10, 11])
@pytest.mark.parametrize("operation", ["softmax", "argmax"])
def test_every_row_goes_through_whatever_the_block(operation: str, rows: int) -> None:
    x = np.random.default_rng(0).standard_normal((10, 33, 2)).astype(np.float32)
    out = contract.OPERATIONS[operation].allocate(x)
    sizes: list[int] = []

    def launch(block: Any, result: Any, stream: Any) -> None:
        sizes.append(block.shape[0])
        KERNEL[operation](block, result, stream)

    assert staging.run(launch, x, out, block_bytes=rows * x[0].nbytes) is out
    assert contract.OPERATIONS[operation].verify(x, out) is None
    assert sum(sizes) == 10
    assert max(sizes) <= rows


def _memory(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    context = SimpleNamespace(get_memory_info=lambda: SimpleNamespace(free=free, total=free))
    monkeypatch.setattr(staging.cuda, "current_context", lambda: context)


def test_blocks_fit_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).standard_normal((64, 100, 1)).astype(np.float32)
    row = 2 * x[0].nbytes
    _memory(monkeypatch, 20 * row)
    out, held = contract.SOFTMAX.allocate(x), []
    original = staging._Slot

    def slot(*arguments: Any) -> Any:
        made = original(*arguments)
        held.append(made.x.nbytes + made.out.nbytes)
        return made

    monkeypatch.setattr(staging, "_Slot", slot)
    staging.run(KERNEL["softmax"], x, out)
    assert contract.SOFTMAX.verify(x, out) is None
    assert len(held) > 1
    assert sum(held) <= 16 * row


def test_a_row_larger_than_the_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.ones((2, 100, 1), np.float32)
    _memory(monkeypatch, 500)
    with pytest.raises(MemoryError, match="one row takes 800 bytes with its result, and the device has 500"):
        staging.run(KERNEL["softmax"], x, np.empty_like(x))


def test_memory_is_kept_from_call_to_call_and_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, int]] = []
    original = staging._Slot

    def slot(*sizes: int) -> Any:
        made.append(sizes)  # type: ignore[arg-type]
        return original(*sizes)

    monkeypatch.setattr(staging, "_Slot", slot)
    for outer, dtype in ((4, "float32"), (4, "float64"), (2, "float32"), (4, "float16")):
        x = np.random.default_rng(outer).standard_normal((outer, 20, 1)).astype(dtype)
        out = contract.SOFTMAX.allocate(x)
        staging.run(KERNEL["softmax"], x, out)
        assert contract.SOFTMAX.verify(x, out) is None
    assert made == [(320, 320), (640, 640)]  # for float32, then for twice as much; then never again


def test_what_is_kept_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.ones((4, 100, 1), np.float32)
    staging.run(KERNEL["softmax"], x, np.empty_like(x))
    _memory(monkeypatch, 100)
    staging.run(KERNEL["softmax"], x, np.empty_like(x))


@needs.bfloat16
def test_bfloat16_is_copied_as_memory_that_numpy_hands_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device's driver asks NumPy for an array's memory, and NumPy refuses that of bfloat16; the simulator copies."""
    asked: list[str] = []

    def asking(copy: Any) -> Any:
        def asked_first(*arguments: Any, **how: Any) -> Any:
            asked.extend(memoryview(a).format for a in arguments if isinstance(a, np.ndarray))
            return copy(*arguments, **how)

        return asked_first

    for name in ("copy_to_device", "copy_to_host"):
        monkeypatch.setattr(FakeCUDAArray, name, asking(getattr(FakeCUDAArray, name)))
    monkeypatch.setattr(numba_cuda.cuda, "to_device", asking(numba_cuda.cuda.to_device))
    for operation in contract.OPERATIONS.values():
        x = (np.random.default_rng(0).standard_normal((10, 33, 2)) * 3).astype(named("bfloat16"))
        out = operation.allocate(x)
        staging.run(KERNEL[operation.name], x, out, block_bytes=3 * x[0].nbytes)
        assert operation.verify(x, out) is None
        given, result = numba_cuda.BACKEND.put(x), numba_cuda.BACKEND.put(operation.allocate(x))
        assert operation.verify(x, numba_cuda.BACKEND.get(KERNEL[operation.name](given, result))) is None
    assert set(asked) == {"B", "H", "l"}  # bytes, 16 bits, and argmax's int64


def test_an_error_leaves_nothing_behind() -> None:
    def fail(block: Any, result: Any, stream: Any) -> None:
        raise RuntimeError("launch failed")

    x = np.ones((4, 10, 1), np.float32)
    staging.run(KERNEL["softmax"], x, np.empty_like(x))
    assert staging._idle
    with pytest.raises(RuntimeError, match="launch failed"):
        staging.run(fail, x, np.empty_like(x))
    assert not staging._idle
