"""Folding around an axis: no copy where none is needed."""

from __future__ import annotations

import numpy as np
import pytest

from impls import backends
from impls.layout import fold

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
