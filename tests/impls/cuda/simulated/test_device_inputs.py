"""Inputs on the (simulated) device: their values, what the judge sees of results, and one input measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from maxbench import implements
from maxbench.bench.inputs import workloads
from maxbench.bench.inputs.device_cells import Cell
from maxbench.bench.inputs.recipe import Input
from maxbench.bench.processes.messages import CellTask, Outcome, PartDone
from maxbench.bench.timing import ready
from maxbench.bench.workers import device, device_arrays, device_bandwidth
from maxbench.bench.workers.device_arrays import DeviceArrays, repeated
from maxbench.impls import contract
from maxbench.impls.backends import numba_cuda
from tests.impls.cuda.fakes import Link

BACKEND = numba_cuda.BACKEND
TILED = Input("tiled", "float32", (5, 7, 3))


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that small inputs are made as large ones are."""
    workloads.tiled_block.cache_clear()
    monkeypatch.setattr(workloads, "TILED", 16)
    monkeypatch.setattr(device_arrays, "_POISON_BLOCK", 4)


@pytest.mark.parametrize("size", [1, 2, 5, 10, 11, 40, 41])
@pytest.mark.parametrize("block", [1, 5, 41])
def test_a_block_is_repeated_as_on_the_host(size: int, block: int) -> None:
    values = np.arange(block, dtype=np.float32)
    assert np.array_equal(repeated(values, (size,)).copy_to_host(), np.resize(values, size))


@pytest.mark.parametrize("given", [TILED, TILED.other(), TILED.changed(17), Input("scores", "float16", (2, 3, 1))])
def test_arrays_hold_the_values_of_the_input_and_poison(given: Input) -> None:
    out = contract.SOFTMAX.allocate(given.array())
    arrays = DeviceArrays(given, out.shape, out.dtype)
    pairs = [arrays.pair(BACKEND) for _ in range(2)]
    for x, filled in pairs:
        assert np.array_equal(BACKEND.get(x), given.array())
        assert contract.operation.poisoned(BACKEND.get(filled)).all()
    x, filled = pairs[0]
    filled.copy_to_device(out * 0)
    assert arrays.refilled(BACKEND, x, given.other()) is x
    assert np.array_equal(BACKEND.get(x), given.other().array())
    assert arrays.poisoned(BACKEND, filled) is filled
    assert contract.operation.poisoned(BACKEND.get(filled)).all()
    assert np.array_equal(BACKEND.get(pairs[1][0]), given.array())


def softmax(x: Any, out: Any) -> Any:
    host = x.copy_to_host().astype(np.float64)
    weights = np.exp(host - host.max(axis=1, keepdims=True))
    out.copy_to_device((weights / weights.sum(axis=1, keepdims=True)).astype(x.dtype))
    return out


def overwrites(x: Any, out: Any) -> Any:
    softmax(x, out)
    x[-1:].copy_to_device(np.zeros((1, *x.shape[1:]), x.dtype))
    return out


def one_row(x: Any, out: Any) -> Any:
    """Right but for one row in the middle."""
    softmax(x, out)
    out[2:3].copy_to_device(np.zeros((1, *x.shape[1:]), x.dtype))
    return out


def measured(run: Callable[[Any, Any], Any], shape: tuple[int, int, int] = (5, 7, 3)) -> Outcome:
    kernel = implements(backend=BACKEND, dtypes=("float32",))(run)
    link = Link()
    work = device.Work(link, 0.0, 1024, simulated=True)  # type: ignore[arg-type]
    cell = Cell("softmax", "Sweep", "float32", shape[1], shape, 0)
    loaded = type("Loaded", (), {"kernel": kernel, "operation": "softmax", "name": "mine"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device.impls, "load", lambda operation, name: loaded)
        work.do(CellTask(id=1, operation="softmax", names=["mine"], cell=cell))
    (done,) = link.those(PartDone)
    return done.outcome


@pytest.mark.parametrize("far", [1, 1 << 26], ids=["far", "near"])
def test_what_comes_of_an_input_of_the_device(far: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "FAR_BYTES", far)
    assert measured(softmax).status == "ok"
    assert (found := measured(overwrites)).status == "wrong"
    assert found.detail == "the input was overwritten"
    assert (found := measured(one_row)).status == "wrong"
    assert "at (2, " in found.detail


def test_of_a_large_result_the_parts_that_the_judge_wants_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "FAR_BYTES", 1)
    monkeypatch.setattr("maxbench.bench.processes.judge.WHOLE", 64)
    fetched: list[int] = []

    def get(array: Any) -> np.ndarray:
        fetched.append(array.nbytes)
        return np.asarray(array.copy_to_host())

    monkeypatch.setattr(BACKEND, "get", get)
    shape = (400, 7, 3)
    assert measured(softmax, shape).status == "ok"
    assert max(fetched) < 4 * math.prod(shape) / 10
    assert len(fetched) >= 6


@pytest.mark.parametrize("vectors", [1, 4, 15, 16, 17])
def test_a_ceiling_moves_every_element_and_no_more(vectors: int) -> None:
    """One that leaves some out would be too fast."""
    x = BACKEND.put(np.arange(4 * vectors, dtype=np.float32))
    out = BACKEND.put(np.full(4 * vectors + 8, -1, np.float32))
    ways = device_bandwidth.copies(x, out[4:-4])
    assert len(ways) == 2
    for way, call in ways.items():
        out.copy_to_device(np.full(4 * vectors + 8, -1, np.float32))
        call()
        assert out.copy_to_host().tolist() == [-1] * 4 + list(range(4 * vectors)) + [-1] * 4, way
    found = BACKEND.put(np.zeros(1, np.int32))
    for at in range(vectors):
        words = np.zeros(4 * vectors, np.int32)
        words[4 * at : 4 * at + 4] = 1, 2, 4, 8
        x.copy_to_device(words.view(np.float32))
        found.copy_to_device(np.zeros(1, np.int32))
        (read,) = device_bandwidth.reads(x, found, 15).values()
        read()
        assert found.copy_to_host()[0] == 15, at
