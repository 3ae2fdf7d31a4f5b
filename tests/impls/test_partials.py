"""Softmax and argmax by chunks: partials, merged in any order and grouping, give what the whole array gives."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from maxbench.impls import contract, parallel, partials, threads
from maxbench.impls.contract.dtypes import named
from maxbench.impls.contract.operation import within

# Of the contract's cases all but most lengths.
CASES = [
    case for case in contract.KERNEL_CASES
    if not case.name.startswith("n = ") or case.name in ("n = 1", "n = 5", "n = 33", "n = 129")
]  # fmt: skip
LARGE = 1 << 16


def edges(n: int) -> dict[str, list[int]]:
    """Where chunks begin and end: one, some of size 0 and 1, uneven ones."""
    return {
        "one": [0, n],
        "halves": [0, n // 2, n],
        "sizes 0 and 1": [0, 0, min(1, n), min(2, n), min(2, n), n],
        "uneven": sorted({0, n // 7, n // 2, max(0, n - 1), n}),
    }


def softmax(chunks: list[np.ndarray], axes: tuple[int, ...]) -> list[np.ndarray]:
    whole = merged([partials.softmax_partial(chunk, axes) for chunk in chunks], partials.softmax_merge)
    return [partials.softmax_normalise(chunk, whole, axes) for chunk in chunks]


def merged(parts: list[Any], merge: Callable[[Any], Any]) -> Any:
    """Merged two by two, in an order of their own."""
    parts = random.Random(len(parts)).sample(parts, len(parts))
    while len(parts) > 1:
        parts = [merge(parts[i : i + 2]) for i in range(0, len(parts), 2)]
    return merge(parts)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_contract_holds_however_rows_are_cut(case: contract.Case) -> None:
    for dtype in case.dtypes:
        x = case.array(dtype)
        if x.size > LARGE and dtype not in ("float32", "float64"):
            continue
        right = {
            name: operation.bounds(x) for name, operation in contract.OPERATIONS.items() if dtype in operation.dtypes
        }
        for name, places in edges(x.shape[1]).items():
            if x.size > LARGE and name != "uneven":
                continue
            cuts = list(itertools.pairwise(places))
            chunks = [x[:, a:b] for a, b in cuts]
            found = [partials.argmax_partial(c, 1, a, ()) for c, (a, _) in zip(chunks, cuts, strict=True)]
            for parts in (found, found[::-1]):
                index = partials.argmax_index(partials.argmax_merge(parts))
                assert within(*right["argmax"], index[:, 0]), (dtype, name)
            if "softmax" in right:
                result = np.concatenate(softmax(chunks, (1,)), axis=1)
                assert (result.shape, result.dtype) == (x.shape, x.dtype)
                assert within(*right["softmax"], result), (dtype, name)


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "int8", ">f4", *contract.OPTIONAL])
def test_chunks_of_any_axes_and_layout(dtype: str, axes: tuple[int, ...]) -> None:
    kind = named(dtype) if dtype in contract.OPTIONAL else np.dtype(dtype)
    x = (np.random.default_rng(4).standard_normal((50, 40, 36)) * 3).astype(kind)
    for a in (x, np.asfortranarray(x), x[::-1, ::2]):
        wanted = np.exp(a.astype(float) - a.astype(float).max(axes, keepdims=True))
        wanted /= wanted.sum(axes, keepdims=True)
        got = np.concatenate(softmax([a[:, :9], a[:, 9:]], axes), axis=1) if 1 in axes else softmax([a], axes)[0]
        assert got.dtype == partials.result_dtype(kind)
        np.testing.assert_allclose(got.astype(float), wanted, *((1e-2, 1e-7) if got.itemsize == 2 else (1e-5, 0)))


@pytest.mark.parametrize("values", [4, 99])
def test_the_flat_index_is_that_of_the_whole_array(values: int) -> None:
    """Of blocks in any order; of equal maxima in several blocks the first in C order."""
    x = np.random.default_rng(5).integers(0, values, (6, 7, 5))
    parts = []
    for i, j in itertools.product((0, 2, 5), (0, 3)):
        block = x[i : {0: 2, 2: 5, 5: 6}[i], j : {0: 3, 3: 7}[j]]
        parts.append(partials.argmax_partial(block, None, i * 35 + j * 5, x.shape))
        masked = np.full_like(x, -1)
        masked[i : i + block.shape[0], j : j + block.shape[1]] = block
        assert parts[-1].place.tolist() == [[[masked.argmax()]]]
        assert parts[-1].value.tolist() == [[[block.max()]]]
    assert merged(parts, partials.argmax_merge).place.item() == x.argmax()


def test_the_parts_of_a_partial() -> None:
    """As documented, so that another engine can make and merge them: float64, the sum relative to the shift."""
    x = np.array([[1.0, 3.0, -np.inf], [-np.inf] * 3, [np.nan, 0, 1], [np.inf, 0, 1]], np.float32)
    for width in (3, 64):  # by NumPy, by the kernels
        wide = np.full((4, width), -np.inf, np.float32)
        wide[:, :3] = x
        top, total = partials.softmax_partial(wide, (1,))
        assert top.shape == total.shape == (4, 1)
        assert top.dtype == total.dtype == np.float64
        assert total[0, 0] * np.exp(top[0, 0]) == pytest.approx(np.exp(1) + np.exp(3), rel=1e-6)
        assert (top[1, 0], total[1, 0]) == (-np.inf, 0)
        assert np.isnan(total[2:]).all()
    empty = partials.softmax_partial(x[:, :0], (1,))
    assert (empty.top == -np.inf).all()
    assert (empty.total == 0).all()
    with pytest.raises(ValueError, match="argmax of an empty axis"):
        partials.argmax_index(partials.argmax_merge([partials.argmax_partial(x[:, :0], 1, 0, ())] * 2))


def test_a_step_runs_on_the_calling_thread_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "in_parallel", None)
    monkeypatch.setattr(threads, "_threads", lambda: 4)
    x = np.random.default_rng(6).standard_normal((4, 1 << 18), np.float32)
    assert partials.argmax_partial(x, 1, 0, ()).place[:, 0].tolist() == x.argmax(1).tolist()
    softmax([x], (1,))
    assert threads.numbas() == 4
    with threads.serial():
        with threads.serial():
            assert threads.numbas() == 1
        assert threads.numbas() == 1
    assert threads.numbas() == 4
