"""Small arrays go a shorter way through the public functions: the same results, errors and types."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
import pytest

from maxbench import impls
from maxbench.impls import api, contract, host_arrays, registry
from maxbench.impls.contract.dtypes import is_float, named
from tests.plugins import Install

RNG = np.random.default_rng(11)
SHAPES = [(1,), (10,), (1, 10), (10, 1), (7, 33), (64, 100), (3, 4, 5), (1, 1), (2, 1, 3), (5, 300), (1, 40000), (0, 3)]


def array(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    x = (RNG.standard_normal(shape) * 9).astype(named(dtype))
    if x.size > 3 and is_float(x.dtype):
        x.flat[:: max(1, x.size // 3)] = [np.nan, np.inf, -np.inf][: -(-x.size // max(1, x.size // 3))][0]
    return x


def outcome(operation: str, x: Any, axis: Any) -> Any:
    try:
        result = getattr(impls, operation)(x, axis)
    except (TypeError, ValueError) as error:
        return type(error), str(error)
    return type(result), np.asarray(result).dtype, np.shape(result), np.asarray(result).tobytes()


@pytest.mark.parametrize("operation", contract.OPERATIONS)
def test_it_gives_what_the_long_way_gives(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bits, types, shapes and errors, of dtypes that are taken and others, around the sizes up to which they are."""
    inputs = [
        (array(shape, dtype), axis)
        for dtype in ("float32", "float16", "int8", "bool", *contract.OPTIONAL)
        if dtype in contract.OPERATIONS[operation].dtypes
        for shape in SHAPES for axis in (None, *range(-len(shape) - 1, len(shape) + 1), True, 0.5)
    ]  # fmt: skip
    short = [outcome(operation, x, axis) for x, axis in inputs]
    monkeypatch.setattr(api, "known", lambda *_: None)
    assert short == [outcome(operation, x, axis) for x, axis in inputs]


@pytest.mark.parametrize("operation", contract.OPERATIONS)
def test_it_is_taken_by_usual_arrays_alone(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[np.ndarray] = []
    monkeypatch.setattr(api, "known", lambda *_: lambda x: taken.append(x) or "known")
    function, x = getattr(impls, operation), array((4, 6), "float32")
    assert function(x, 1) == function(x) == "known"
    assert len(taken) == 2
    out = np.empty_like(x) if operation == "softmax" else np.empty(4, np.int64)
    locked, other = x.copy(), x.astype(">f4")
    locked.flags.writeable = False
    unaligned = np.ndarray(x.shape, x.dtype, bytearray(x.nbytes + 1), 1)
    for given in (x.T, x[:, ::2], locked, unaligned, x.tolist(), x.view(np.matrix)):
        function(given, 1)
    function(x, np.int64(1))
    function(x, 1, out=out)
    function(x, 1, impl="numpy_vectorized")
    if operation == "argmax":
        function(x, 1, keepdims=True)
    else:
        function(x, (0, 1))
    with pytest.raises(TypeError, match="GPU memory"):
        function(x, 1, stream=0)
    assert len(taken) == 2
    monkeypatch.undo()
    assert host_arrays.known(operation, other.dtype, other.shape, 1) is None


def test_every_dtype_and_size_that_is_taken_is_small() -> None:
    dtypes = ("float32", "float64", "float16", "int8", "bool", *contract.OPTIONAL)
    for operation, dtype in itertools.product(contract.OPERATIONS, dtypes):
        if dtype not in contract.OPERATIONS[operation].dtypes:
            continue
        known = [n for n in (1 << k for k in range(24)) if host_arrays.known(operation, named(dtype), (1, n), 1)]
        most = (1 << (19 if operation == "argmax" else 17)) // named(dtype).itemsize
        assert known == [n for n in (1 << k for k in range(24)) if n < most], (operation, dtype)


def test_what_depends_on_where_the_result_is_goes_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Aligned stores, which no regime of small arrays has now, need an `out` that is aligned for them."""
    bind = impls.load("softmax", "numba_parallel").kernel.bind
    assert bind is not None
    assert bind(np.dtype("float32"), (3, 10, 1)) is not None
    monkeypatch.setattr(sys.modules[bind.__module__], "_call", lambda *_: (print, True))
    assert bind(np.dtype("float32"), (3, 10, 1)) is None


def test_argmax_of_a_few_elements_loads_no_implementation(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy's own takes less time, and a first call imports and compiles nothing."""
    host_arrays.known.cache_clear()
    monkeypatch.setattr(registry, "of_any_size", None)
    for shape, axis in [((1024,), 0), ((64, 16), 1), ((64, 16), None), ((3, 4, 5), 2)]:
        x = array(shape, "float32")
        np.testing.assert_array_equal(impls.argmax(x, axis), np.argmax(x, axis))
    for shape, axis in [((1025,), 0), ((65, 15), 1), ((8, 16), 0)]:
        with pytest.raises(TypeError, match="NoneType"):
            impls.argmax(array(shape, "float32"), axis)


def test_another_default_is_asked_for_its_own_way(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
        from maxbench import implements

        @implements(dtypes=("float32",), bind=lambda dtype, shape: fill if shape[0] < 3 else None)
        def run(x, out):
            out[...] = 7
            return out

        def fill(x, out):
            out[...] = 8
    """
    monkeypatch.setattr(host_arrays, "NUMPY_ELEMENTS", 0)
    install({"bound": source}, {"argmax.bound": "bound:run", "softmax.bound": "bound:run"})
    monkeypatch.setattr(registry, "DEFAULTS", ("bound", "naive"))
    assert impls.softmax(np.zeros((2, 2), np.float32), 1).tolist() == [[8, 8], [8, 8]]
    assert impls.argmax(np.zeros((2, 2), np.float32), 1).tolist() == [8, 8]
    assert impls.argmax(np.zeros(2, np.float32)) == 8
    assert impls.softmax(np.zeros((3, 1), np.float32), 1).tolist() == [[7]] * 3
    assert impls.argmax(np.zeros((3, 1), np.float32), 1).tolist() == [7] * 3
