"""Host arrays as the few types that compiled code is made for: the same memory, or an error, and never a copy."""

from __future__ import annotations

import numpy as np
import pytest

from maxbench.impls import contract
from maxbench.impls.contract.dtypes import named
from maxbench.impls.views import bits_of, plain

DTYPES = [named(name) for name in (*contract.DTYPES, *contract.OPTIONAL)]
VIEWED = {np.dtype(np.float16): np.dtype(np.int16), np.dtype(np.bool_): np.dtype(np.uint8)}
VIEWED |= {named(name): np.dtype(np.uint16) for name in contract.OPTIONAL}
BOTH = pytest.mark.parametrize("written", [False, True])


def array(dtype: np.dtype, offset: int = 0) -> np.ndarray:
    """0, 1, 0, 1, ... that start so many bytes past an aligned address."""
    raw = np.zeros(64 + offset, np.uint8)
    a = raw[offset:].view(dtype)[:6].reshape(2, 3)
    a[...] = np.arange(6).reshape(2, 3) % 2
    return a


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_which_dtypes_are_viewed(dtype: np.dtype) -> None:
    assert bits_of(dtype) == VIEWED.get(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@BOTH
@pytest.mark.parametrize("order", ["C", "F"])
def test_writable_arrays_are_themselves_or_their_bits(dtype: np.dtype, written: bool, order: str) -> None:
    a = array(dtype) if order == "C" else array(dtype).T
    result = plain(a, written)
    if dtype not in VIEWED:
        assert result is a
    assert result.dtype == VIEWED.get(dtype, dtype)
    assert (result.ctypes.data, result.shape, result.strides) == (a.ctypes.data, a.shape, a.strides)
    result[0, 1] = 0
    assert (a[0] == 0).all()  # the same memory


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_read_only_arrays_are_given_as_writable_ones_unless_they_are_to_be_written(dtype: np.dtype) -> None:
    a = array(dtype)
    a.flags.writeable = False
    result = plain(a)
    assert result.flags.behaved
    assert result.dtype == VIEWED.get(dtype, dtype)
    assert (result.ctypes.data, result.shape, result.strides) == (a.ctypes.data, a.shape, a.strides)
    assert result.tobytes() == a.tobytes()
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (compared below, without a pattern)
        plain(a, True)
    assert str(refused.value) == f"read-only array of {dtype}: accepted are aligned ones that are writable"


def test_the_memory_of_a_read_only_array_stays() -> None:
    a = np.arange(1 << 16)
    a.flags.writeable = False
    result = plain(a)
    del a
    np.testing.assert_array_equal(result, np.arange(1 << 16))


@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if dtype.itemsize > 1], ids=str)
@BOTH
@pytest.mark.parametrize("writable", [False, True])
def test_unaligned_arrays_are_refused(dtype: np.dtype, written: bool, writable: bool) -> None:
    a = array(dtype, 1)
    a.flags.writeable = writable
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (compared below, without a pattern)
        plain(a, written)
    what = "accepted are aligned ones" + " that are writable" * written
    assert str(refused.value) == f"unaligned array of {dtype}: {what}"
