"""The ceiling copies and reads all bytes: a kernel that leaves some out would be too fast."""

from __future__ import annotations

import numpy as np
import pytest

from maxbench.bench.suite import bandwidth
from maxbench.impls.backends import aligned_empty


def lines(count: int) -> np.ndarray:
    """An aligned array of so many lines of 64 bytes."""
    return aligned_empty((count * 8,), np.dtype(np.int64))


@pytest.mark.parametrize("count", [1, 3, 4, 11, 1001])
def test_each_copies_every_line_and_no_more(count: int) -> None:
    x, out = lines(count), lines(count + 2)
    x[...] = np.arange(x.size)
    middle = out[8:-8]
    ways = bandwidth.copies(x, middle)
    assert any("interleaved" in name for name in ways)
    for name, way in ways.items():
        out[...] = -1
        way()
        assert (middle == x).all(), name
        assert (out[:8] == -1).all(), name
        assert (out[-8:] == -1).all(), name


def test_arrays_that_are_not_whole_lines_are_refused() -> None:
    x = lines(4)
    with pytest.raises(ValueError, match="multiple of 64 bytes"):
        bandwidth.copies(x[1:], x[1:])
    with pytest.raises(ValueError, match="x has 256 bytes and out 192"):
        bandwidth.copies(x, lines(3))
