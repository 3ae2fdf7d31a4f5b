"""Folding around an axis: no copy where none is needed."""

from __future__ import annotations

import numpy as np
import pytest

from maxbench.impls import backends
from maxbench.impls.layout import Fold, fold, fold_shape, overlaps_itself

A = np.arange(3 * 4 * 5.0).reshape(3, 4, 5)


@pytest.mark.parametrize(
    ("axis", "shape"),
    [(0, (1, 3, 20)), (1, (3, 4, 5)), (2, (12, 5, 1)), (-1, (12, 5, 1)), (None, (1, 60, 1)), ((0, 1), (1, 12, 5))],
)
def test_contiguous_input_is_a_view(axis: int | tuple[int, ...] | None, shape: tuple[int, int, int]) -> None:
    folded = fold(A, axis)
    view = folded.apply(A)
    assert view.shape == shape
    assert view.flags.c_contiguous
    assert np.shares_memory(view, A)
    np.testing.assert_array_equal(folded.restore(view), A)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_fortran_input_is_a_view(axis: int) -> None:
    f = np.asfortranarray(A)
    folded = fold(f, axis)
    view = folded.apply(f)
    assert np.shares_memory(view, f)
    assert view.flags.c_contiguous
    np.testing.assert_array_equal(folded.restore(view), f)


@pytest.mark.parametrize("axis", [(0, 2), (2, 0)])
def test_axes_that_are_no_neighbours_are_moved(axis: tuple[int, int]) -> None:
    folded = fold(A, axis)
    view = folded.apply(A)
    assert view.shape == (4, 15, 1)
    np.testing.assert_array_equal(view[1, :, 0], A[:, 1, :].reshape(-1))
    np.testing.assert_array_equal(folded.restore(view), A)


def test_strided_and_unaligned_input_is_copied() -> None:
    unaligned = np.zeros(A.nbytes + 1, np.uint8)[1:].view(A.dtype).reshape(A.shape)
    unaligned[...] = A
    for a in (A[:, ::2, ::-1], unaligned, unaligned.T):
        folded = fold(a, 1)
        view = folded.apply(a)
        assert view.flags.carray
        np.testing.assert_array_equal(folded.restore(view), a)


def test_reduced_shapes() -> None:
    assert fold(A, 1).reduced == (3, 5)
    assert fold(A, 1).keepdims == (3, 1, 5)
    assert fold(A, None).reduced == ()
    assert fold(A, None).keepdims == (1, 1, 1)


def test_an_axis_that_only_equals_one_is_refused_after_that_one() -> None:
    assert fold(A, 1).shape[1] == A.shape[1]
    for axis in (1.0, True, np.True_):
        with pytest.raises(TypeError, match="accepted are integers"):
            fold(A, axis)  # type: ignore[arg-type]
    assert fold(A, np.int64(1)) is fold(A, 1)
    assert fold(A, [0, 2]) == fold(A, (0, 2))


def test_how_a_shape_is_folded() -> None:
    assert fold_shape((3, 4, 5), 0) == Fold((1, 3, 20), (3, 4, 5), (4, 5), (1, 4, 5))
    assert fold_shape((3, 4, 5), 0, True) == Fold((20, 3, 1), (5, 4, 3), (4, 5), (1, 4, 5), True)
    assert fold_shape((3, 4, 5), (1, 2), True) == Fold((1, 20, 3), (5, 4, 3), (3,), (3, 1, 1), True)
    assert fold_shape((3, 4, 5), (2, 0)) == Fold((4, 15, 1), (4, 3, 5), (4,), (1, 4, 1), False, (0, 2))
    assert fold_shape((3, 4, 5), (2, 0), True) == Fold((4, 15, 1), (4, 3, 5), (4,), (1, 4, 1), False, (0, 2))
    assert fold_shape((3, 4), None) == Fold((1, 12, 1), (3, 4), (), (1, 1))
    assert fold_shape((3, 4), None, True) == Fold((1, 12, 1), (4, 3), (), (1, 1), True)
    assert fold_shape((3, 4), None, True, order_matters=True) == Fold((1, 12, 1), (3, 4), (), (1, 1))
    assert fold_shape((3, 4), ()) == Fold((12, 1, 1), (3, 4), (3, 4), (3, 4))
    assert fold_shape((3, 4), (), True) == Fold((12, 1, 1), (4, 3), (3, 4), (3, 4), True)
    for axis in (None, 0, -1):
        assert fold_shape((), axis) == Fold((1, 1, 1), (), (), ())
    for axis in (1, -2, (0,)):
        with pytest.raises(np.exceptions.AxisError):
            fold_shape((), axis)  # type: ignore[arg-type]


@pytest.mark.parametrize("axis", [None, 0, 1, 2, (0, 1), (0, 2), (1, 2), ()])
@pytest.mark.parametrize("order", ["C", "F", "strided"])
@pytest.mark.parametrize("writable", [False, True])
def test_what_is_folded_can_be_restored(axis: int | tuple[int, ...] | None, order: str, writable: bool) -> None:
    a = {"C": A.copy(), "F": np.asfortranarray(A), "strided": A.repeat(2, axis=2)[:, :, ::2]}[order]
    a.flags.writeable = writable
    folded = fold(a, axis)
    view = folded.apply(a)
    assert view.shape == folded.shape
    assert view.flags.c_contiguous
    assert view.flags.aligned
    assert np.shares_memory(view, a) == (order != "strided" and axis != (0, 2))
    np.testing.assert_array_equal(folded.restore(view), a)
    if axis != ():
        sums = folded.restore(np.broadcast_to(view.sum(axis=1, keepdims=True), view.shape))
        np.testing.assert_allclose(sums, np.broadcast_to(a.sum(axis=axis, keepdims=True), a.shape))


@pytest.mark.parametrize(
    ("shape", "strides", "overlaps"),
    [
        ((3, 4), (32, 8), False),
        ((3, 4), (8, 8), True),
        ((3,), (0,), True),
        ((1, 4), (0, 8), False),
        ((3,), (4,), True),
        ((3, 2), (16, 24), False),  # 0, 24, 16, 40, 32, 56: strides that do not nest
        ((4, 2), (16, 32), True),
        ((0, 4), (0, 0), False),
        ((), (), False),
        ((3, 4), (32, -8), False),
        ((3, 4), (-8, -8), True),
        ((3, 4), (24, 8), True),  # the last of a row is the first of the next
        ((2, 2, 2), (16, 8, 32), False),
        ((2, 3, 2), (16, 8, 32), True),
    ],
)
def test_arrays_that_overlap_themselves(shape: tuple[int, ...], strides: tuple[int, ...], overlaps: bool) -> None:
    a = np.ndarray(shape, np.float64, bytearray(400), 160, strides)
    assert overlaps_itself(a) is overlaps


@pytest.mark.parametrize("shape", [(1,), (3, 5), (7, 1, 2)])
def test_aligned_arrays(shape: tuple[int, ...]) -> None:
    for dtype in (np.float16, np.float64, np.bool_):
        a = backends.aligned_empty(shape, np.dtype(dtype))
        assert (a.shape, a.dtype) == (shape, dtype)
        assert a.ctypes.data % backends.ALIGNMENT == 0
        assert a.flags.c_contiguous


def test_unknown_backends_are_named() -> None:
    with pytest.raises(ValueError, match="backend 'moon': accepted are host, numba_cuda"):
        backends.get("moon")
