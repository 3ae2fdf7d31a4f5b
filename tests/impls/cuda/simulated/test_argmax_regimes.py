"""Argmax: every kernel, dtype and contract case in simulation."""

from __future__ import annotations

import numpy as np
import pytest

from maxbench.impls import contract
from maxbench.impls.cuda import plans, regimes, short_rows
from maxbench.impls.cuda.elements import ELEMENTS
from maxbench.impls.cuda.regimes import Regime
from tests.impls.cuda import simulator
from tests.impls.cuda.simulated.arrays import placed, wrong
from tests.impls.cuda.simulated.sweeps import ARGMAX_DTYPES, COLUMNS, LONGEST, ROWS, device_table, sweep
from tests.needs import ALL


@pytest.mark.parametrize("dtype", ARGMAX_DTYPES)
@pytest.mark.parametrize("name", ROWS["argmax"])
def test_rows(name: str, dtype: str) -> None:
    sweep("argmax", dtype, *ROWS["argmax"][name], columns=False)


@pytest.mark.parametrize("dtype", ARGMAX_DTYPES)
@pytest.mark.parametrize("name", COLUMNS["argmax"])
def test_columns(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "SHORTEST_PART", 1)  # so that short columns have parts
    sweep("argmax", dtype, *COLUMNS["argmax"][name], columns=True)


@pytest.mark.parametrize(("name", "dtype"), [pair for pair in LONGEST if pair[0].startswith("argmax")])
def test_regimes_of_the_device_at_their_longest_row(name: str, dtype: str) -> None:
    device_table(name, dtype)


def _where_parts_matter(dtype: str, shape: tuple[int, int, int]) -> list[np.ndarray]:
    """Inputs whose first maximum is in the last part, in several parts, in every part, or a NaN in several."""
    rng = np.random.default_rng(10)
    lowest = ELEMENTS[dtype].lowest
    noise = (rng.standard_normal(shape) * 9).astype(dtype)
    last, ties, late, scattered = noise.copy(), noise.copy(), np.full(shape, lowest).astype(dtype), noise.copy()
    last[:, -1] = 120
    ties[:, [shape[1] // 3, shape[1] // 2, shape[1] - 1]] = 120
    late[:, shape[1] - 2 :] = 1
    if dtype.startswith("float"):
        scattered[:, [shape[1] // 2, shape[1] - 3]] = np.nan
        scattered[0, shape[1] // 4, 0] = np.inf
    return [last, ties, np.full(shape, lowest).astype(dtype), scattered, np.zeros(shape, dtype), late, noise]


@pytest.mark.parametrize("dtype", ["float32", *(["uint64", "int8"] if ALL else [])])
@pytest.mark.parametrize(
    ("regime", "shape"),
    [
        (Regime("parts", 64, 64, 8), (2, 3003, 1)),
        (Regime("parts", 32, 4, 8), (2, 667, 3)),
        (Regime("parts", 32, 4, 8), (1, 259, 32)),
        (Regime("parts", 32, 1, 8), (1, 160, 5)),
    ],
)
def test_parts_launch_after_launch(
    regime: Regime, shape: tuple[int, int, int], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One working memory serves all launches, and any block may come last."""
    monkeypatch.setattr(plans, "SHORTEST_PART", 1)
    name = f"argmax {'rows' if shape[2] == 1 else 'columns'}"
    device = plans.Device(64, {**regimes.DEVICE, name: (regimes.checked(name, regime),)})
    run = plans.make("argmax", ELEMENTS[dtype], shape, 0, 0, device)
    for launch, x in enumerate(_where_parts_matter(dtype, shape)):
        out = placed(np.full((shape[0], shape[2]), -1), 0)
        with simulator.installed(resident=(5, 1, 3)[launch % 3], seed=launch):
            run(placed(x, 0), out, 0)
        assert contract.ARGMAX.verify(x, out.copy_to_host()) is None, launch


def test_more_parts_than_the_threads_of_a_block_read_at_once() -> None:
    regime, x = Regime("parts", 32, 32, 4), np.zeros((1, 128 * 300, 1), np.float32)
    for best in (128 * 299, 128 * 260, 128 * 7):
        x[0, best] += 1 + x.max()
        x[0, -1] = x[0, best]  # the last part holds it as well
        assert wrong("argmax", "float32", x, regime) is None, best


@pytest.mark.parametrize("threads", [4, 32])
@pytest.mark.parametrize("dtype", ["int8", "float64"])
def test_short_rows_in_several_batches(dtype: str, threads: int) -> None:
    """Batches of few threads need not end at a 16-byte boundary."""
    rng = np.random.default_rng(8)
    for n in (1, 2, 3, 7, 8, 10, 31, 32):
        if n > short_rows.longest(ELEMENTS[dtype]):
            break
        x = (rng.standard_normal((333, n, 1)) * 9).astype(dtype)
        assert wrong("argmax", dtype, x, Regime("short", threads, 1, 16)) is None, n


@pytest.mark.parametrize("dtype", ["int8", "float32", "float64"])
def test_short_columns_in_several_batches(dtype: str) -> None:
    """Batches of whole x[i], a last one of fewer, and one x[i] with a column for every thread."""
    rng = np.random.default_rng(9)
    for n, inner in ((1, 2), (3, 3), (4, 4), (8, 7), (5, 15), (2, 32), (32, 5)):
        if n > short_rows.longest(ELEMENTS[dtype]) or inner * ELEMENTS[dtype].storage.itemsize >= plans.CACHE_LINE:
            continue
        x = (rng.standard_normal((33, n, inner)) * 9).astype(dtype)
        assert wrong("argmax", dtype, x, Regime("short", 32, 1, 16), x_offset=1) is None, (n, inner)
