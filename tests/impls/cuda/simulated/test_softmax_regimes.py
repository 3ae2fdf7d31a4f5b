"""Softmax: every kernel, dtype and contract case in simulation."""

from __future__ import annotations

import numpy as np
import pytest

from maxbench.impls.cuda import plans, short_rows
from maxbench.impls.cuda.elements import ELEMENTS
from maxbench.impls.cuda.regimes import Regime
from tests.impls.cuda.simulated.arrays import wrong
from tests.impls.cuda.simulated.sweeps import COLUMNS, LONGEST, ROWS, SOFTMAX_DTYPES, device_table, sweep


@pytest.mark.parametrize("dtype", SOFTMAX_DTYPES)
@pytest.mark.parametrize("name", ROWS["softmax"])
def test_rows(name: str, dtype: str) -> None:
    sweep("softmax", dtype, *ROWS["softmax"][name], columns=False)


@pytest.mark.parametrize("dtype", SOFTMAX_DTYPES)
@pytest.mark.parametrize("name", COLUMNS["softmax"])
def test_columns(name: str, dtype: str) -> None:
    sweep("softmax", dtype, *COLUMNS["softmax"][name], columns=True)


@pytest.mark.parametrize(("name", "dtype"), [pair for pair in LONGEST if pair[0].startswith("softmax")])
def test_regimes_of_the_device_at_their_longest_row(name: str, dtype: str) -> None:
    device_table(name, dtype)


@pytest.mark.parametrize("threads", [4, 32])
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_short_rows_in_several_batches(dtype: str, threads: int) -> None:
    """Batches of few threads need not end at a 16-byte boundary."""
    rng = np.random.default_rng(8)
    for n in (1, 2, 3, 7, 8, 10, 31, 32):
        if n > short_rows.longest(ELEMENTS[dtype]):
            break
        x = (rng.standard_normal((333, n, 1)) * 9).astype(dtype)
        assert wrong("softmax", dtype, x, Regime("short", threads, 1, 16)) is None, n


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_short_columns_in_several_batches(dtype: str) -> None:
    """Batches of whole x[i], a last one of fewer, and one x[i] with a column for every thread."""
    rng = np.random.default_rng(9)
    for n, inner in ((1, 2), (3, 3), (4, 4), (8, 7), (5, 15), (2, 32), (32, 5)):
        if n > short_rows.longest(ELEMENTS[dtype]) or inner * ELEMENTS[dtype].storage.itemsize >= plans.CACHE_LINE:
            continue
        x = (rng.standard_normal((33, n, inner)) * 9).astype(dtype)
        assert wrong("softmax", dtype, x, Regime("short", 32, 1, 16), x_offset=1) is None, (n, inner)
