"""The layouts of x and of out: each is what it is named for, and an out shows all that is written beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from maxbench import impls
from maxbench.impls import contract
from maxbench.impls.backends import ALIGNMENT
from maxbench.impls.contract.layouts import LAYOUTS, OUT_LAYOUTS, Layout, OutLayout, Placed
from tests.checked import wrong_out


def _steps(a: np.ndarray) -> tuple[int, ...]:
    """Strides in elements."""
    return tuple(stride // a.itemsize for stride in a.strides)


def _fortran(a: np.ndarray) -> bool:
    return a.flags.f_contiguous and not a.flags.c_contiguous


# The axis that is reduced, counted from 0, of how many; and what holds.
X: dict[str, tuple[int, int, Callable[[np.ndarray], bool]]] = {
    "every second column": (1, 2, lambda a: _steps(a) == (2 * a.shape[1], 2)),
    "every second row": (1, 2, lambda a: _steps(a) == (2 * a.shape[1], 1)),
    "negative stride": (1, 2, lambda a: _steps(a) == (a.shape[1], -1)),
    "negative row stride": (0, 2, lambda a: _steps(a) == (-a.shape[1], 1)),
    "Fortran order, last axis": (1, 2, _fortran),
    "Fortran order, first axis": (0, 2, _fortran),
    "transposed, middle axis": (1, 3, _fortran),
    "broadcast": (1, 2, lambda a: _steps(a) == (0, 1)),
    "read-only": (1, 2, lambda a: a.flags.c_contiguous and not a.flags.writeable),
    "big-endian": (1, 2, lambda a: a.flags.carray and a.dtype.str[0] in (">|" if a.dtype.kind != "V" else ">")),
    "unaligned": (1, 2, lambda a: a.flags.c_contiguous and a.flags.writeable and a.ctypes.data % 16 == 1),
    "first of four axes": (0, 4, lambda a: a.flags.carray),
}


def test_the_layouts_of_x_are_those_that_are_tested_here() -> None:
    assert [layout.name for layout in LAYOUTS] == list(X)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_layouts_of_x_are_what_they_are_named_for(layout: Layout) -> None:
    axis, ndim, holds = X[layout.name]
    assert layout.dtypes == (*contract.DTYPES, *contract.OPTIONAL)
    for dtype in layout.dtypes:
        a = layout.array(dtype)
        assert a.dtype.name == dtype
        assert (a.ndim, layout.axis % a.ndim) == (ndim, axis)
        assert holds(a), dtype
        assert a.dtype.isnative or layout.name == "big-endian"
        assert a.flags.aligned == (layout.name != "unaligned" or a.itemsize == 1)
        assert a.shape[axis] > 32  # longer than a vector of most dtypes, with a remainder
        assert a.shape[axis] % 32
        assert min(a.shape) > 1
        assert layout.array(dtype).tobytes() == a.tobytes()
        if dtype in contract.FLOATS:
            assert 2 < float(a.astype(np.float64).std()) < 4


def _extent(a: np.ndarray) -> tuple[int, int]:
    """The addresses of the first byte and of the one after the last."""
    low, high = np.lib.array_utils.byte_bounds(a)
    return low, high


def _solid(out: np.ndarray) -> bool:
    """Whether there is no gap between its elements."""
    low, high = _extent(out)
    return high - low == out.nbytes


OUT: dict[str, tuple[tuple[int, ...], Callable[[np.ndarray], bool]]] = {
    "out: every place in a cache line": ((0, 8, 16, 24, 32, 40, 48, 56), lambda out: out.flags.carray),
    "out: unaligned": ((1, 2, 3, 4, 5, 6, 7), lambda out: out.flags.c_contiguous and not out.flags.aligned),
    "out: every second element": ((0,), lambda out: _steps(out)[-1] == 2 and not _solid(out)),
    "out: negative strides": ((0,), lambda out: max(_steps(out)) < 0 and _solid(out)),
    "out: Fortran order": ((0,), lambda out: out.flags.farray and _fortran(out)),
    "out: slice of a larger array": ((0,), lambda out: _steps(out)[-1] == 1 and _steps(out)[-2] == out.shape[-1] + 2),
    "out: unaligned, every second element": ((1, 3), lambda out: _steps(out)[-1] == 2 and not out.flags.aligned),
    "out: other byte order": ((0,), lambda out: out.flags.carray and not out.dtype.isnative),
    "out: the memory of x": ((0,), lambda out: out.flags.carray),
    "out: overlapping x": ((0,), lambda out: out.flags.carray),
    "out: unaligned, overlapping x": ((1,), lambda out: out.flags.c_contiguous and not out.flags.aligned),
    "out: negative strides, overlapping x": ((0,), lambda out: max(_steps(out)) < 0 and _solid(out)),
}
OVERLAPS: dict[str, tuple[int, ...]] = {
    "out: the memory of x": (0,),
    "out: overlapping x": (-7, 1, 30),
    "out: unaligned, overlapping x": (0, 5),
    "out: negative strides, overlapping x": (0, 5),
}
REFUSED: dict[str, Callable[[Any], bool]] = {
    "out: read-only": lambda out: out.flags.c_contiguous and not out.flags.writeable,
    "out: other dtype": lambda out: out.flags.carray and out.dtype == np.int32,
    "out: other shape": lambda out: out.flags.carray and out.ndim == 4,
    "out: one element for all": lambda out: set(out.strides) == {0} and out.flags.writeable,
    "out: masked": lambda out: isinstance(out, np.ma.MaskedArray) and out.flags.carray,
    "out: no array": lambda out: isinstance(out, list),
}


def test_the_layouts_of_out_are_those_that_are_tested_here() -> None:
    assert [layout.name for layout in OUT_LAYOUTS if layout.refused is None] == list(OUT)
    assert [layout.name for layout in OUT_LAYOUTS if layout.refused is not None] == list(REFUSED)
    for layout in OUT_LAYOUTS:
        assert layout.axes == ((1, -1) if layout.name == "out: one element for all" else (1, -1, None))


def placed(layout: OutLayout, dtype: str, shape: tuple[int, ...] = (3, 5, 7)) -> tuple[np.ndarray, list[Placed]]:
    """An x, and every out for a result of its shape and dtype."""
    x = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    return x, list(layout.place(x, shape, x.dtype))


@pytest.mark.parametrize("dtype", ["float64", "int16"])
@pytest.mark.parametrize("layout", OUT_LAYOUTS[: len(OUT)], ids=lambda layout: layout.name)
def test_layouts_of_out_are_what_they_are_named_for(layout: OutLayout, dtype: str) -> None:
    starts, holds = OUT[layout.name]
    overlaps = OVERLAPS.get(layout.name, (None,))
    x, places = placed(layout, dtype)
    assert [(start, shift) for start in starts for shift in overlaps] == [
        (int(where.split()[3]), int(where.split()[9]) if "x" in where else None) for *_, where in places
    ]
    for (out, given, _, _, where), start in zip(places, np.repeat(starts, len(overlaps)), strict=True):
        assert out.shape == x.shape
        assert out.dtype.newbyteorder("=") == x.dtype
        if dtype == "float64":  # others are aligned at more places
            assert holds(out), where
        first = _extent(out)[0] - (0 if "slice" not in layout.name else (7 + 2 + 1 + 9 * 7) * x.itemsize)
        assert first % ALIGNMENT == start
        assert given is x if overlaps == (None,) else np.array_equal(given, x)
        if overlaps != (None,):
            assert given.ctypes.data - _extent(out)[0] == int(where.split()[9]) * x.itemsize
            assert np.shares_memory(given, out)


@pytest.mark.parametrize("shape", [(3, 5, 7), (20, 30, 40), (1, 1, 1), ()])
@pytest.mark.parametrize("layout", OUT_LAYOUTS[: len(OUT)], ids=lambda layout: layout.name)
def test_what_is_written_and_what_is_not(layout: OutLayout, shape: tuple[int, ...]) -> None:
    """The bytes of out are marked, and all others, a cache line at both ends among them, are there to be compared."""
    x, places = placed(layout, "float64", shape)
    for out, given, memory, owned, where in places:
        beside = memory[~owned] if given is x else memory[-ALIGNMENT:]
        assert (beside == 0xA5).all(), where
        out.view((np.void, 8))[...] = b"\xa5" * 8
        before = memory.copy()
        out.view((np.void, 8))[...] = b"\x5a" * 8
        np.testing.assert_array_equal(memory != before, owned)
        assert owned.sum() == out.nbytes
        assert not owned[: 2 * ALIGNMENT].any()
        assert not owned[-2 * ALIGNMENT :].any()
        if given is not x:
            inside = given.ctypes.data - memory.ctypes.data
            assert ALIGNMENT <= inside <= memory.size - ALIGNMENT - given.nbytes


@pytest.mark.parametrize("layout", OUT_LAYOUTS[len(OUT) :], ids=lambda layout: layout.name)
def test_an_out_that_is_refused_has_one_fault(layout: OutLayout) -> None:
    x, [(out, given, memory, owned, where)] = placed(layout, "float64")
    assert given is x
    assert isinstance(out, list) or np.shares_memory(out, memory)
    assert where == "out at byte 0 of a cache line"
    assert not owned.any()
    assert REFUSED[layout.name](out)
    assert np.shape(out)[:3] == x.shape
    assert layout.name in ("out: other dtype", "out: no array") or out.dtype == x.dtype


@pytest.mark.parametrize("operation", contract.OPERATIONS)
@pytest.mark.parametrize("layout", OUT_LAYOUTS, ids=lambda layout: layout.name)
def test_the_public_functions_fill_or_refuse_them(layout: OutLayout, operation: str) -> None:
    x = np.random.default_rng(1).standard_normal((3, 9, 5))
    assert wrong_out(impls.load(operation, "numpy_vectorized"), layout, x) is None
