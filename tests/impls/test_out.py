"""Every layout of `out` with every implementation and regime: filled, and nothing beside it, or refused by name."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from maxbench import impls
from maxbench.bench.inputs import grid
from maxbench.impls import agreement, contract, registry
from maxbench.impls.contract.dtypes import named
from maxbench.impls.contract.layouts import OUT_LAYOUTS, OutLayout
from maxbench.impls.cpu import plan, regimes
from maxbench.impls.cpu.machine import Machine, this_machine
from tests import needs
from tests.checked import wrong_out

RNG = np.random.default_rng(5)
X = RNG.standard_normal((4, 33, 5))
HOST = [name for name in grid.IN_TREE if name != "numba_cuda"]
BY_NAME = {layout.name: layout for layout in OUT_LAYOUTS}
# Those of the tree that need no GPU: tests/impls/test_in_tree.py has them on every layout.
ENTRIES = [entry for entry in impls.catalogue() if entry.in_tree and entry.name not in HOST]


@pytest.mark.parametrize("layout", OUT_LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.operation}.{entry.name}")
def test_every_implementation(entry: registry.Entry, layout: OutLayout) -> None:
    try:
        implementation = entry.load()
    except impls.Unavailable as error:
        pytest.skip(str(error))
    taken = implementation.kernel.dtypes
    # Arrays in chunks are slow to make, and out is the public function's: the nightly job takes every dtype.
    chunked = entry.name in grid.CHUNKED[entry.operation] and not needs.ALL
    for dtype in ("float32", "float16") if chunked else contract.OPERATIONS[entry.operation].dtypes:
        if contract.WIDER.get(dtype, dtype) in taken:
            assert wrong_out(implementation, layout, (X * 9).astype(named(dtype))) is None, dtype


# Shape, dtype, bytes of the last-level cache and of a vector register, and the regime that these have.
SMALL = 1 << 13
SOFTMAX = [
    ((40, 4, 1), "float32", 1 << 25, 64, "packed"),
    ((40, 4, 1), "float64", 1, 64, "packed streaming"),
    ((40, 32, 1), "float32", 1 << 25, 64, "registers"),
    ((9, 30, 1), "float32", 1, 64, "registers"),
    ((9, 32, 1), "float64", 1, 64, "registers streaming"),
    ((40, 10, 1), "float32", 1 << 25, 64, "transposed"),
    ((40, 10, 1), "float16", 1 << 25, 64, "transposed"),
    ((40, 17, 1), "float64", 1, 32, "transposed"),
    ((9, 100, 1), "float32", 1 << 25, 32, "rows"),
    ((9, 100, 1), "float16", 1, 32, "rows"),
    ((40, 100, 1), "float32", SMALL, 32, "rows streaming"),
    ((40, 101, 1), "float64", SMALL, 32, "rows streaming"),
    ((9, 300, 1), "float32", 1 << 25, 64, "pipelined"),
    ((3, 3001, 1), "float64", 1 << 25, 64, "pipelined"),
    ((9, 300, 1), "float32", 1 << 14, 64, "pipelined streaming 2"),
    ((9, 301, 1), "float64", 1 << 15, 64, "pipelined streaming 2"),
    ((2, 22001, 1), "float64", 1 << 18, 64, "pipelined streaming"),
    ((1, 70001, 1), "float32", 1 << 19, 64, "split_rows"),
    ((1, 70001, 1), "float64", 1, 64, "split_rows"),
    ((3, 21, 70), "float32", 1 << 25, 32, "column_tiles"),
    ((2, 21, 7), "float16", 1 << 25, 32, "column_tiles"),
    ((2, 100, 64), "float64", 1 << 25, 32, "column_tiles in_output"),
    ((3, 21, 70), "float32", 1, 32, "column_tiles streaming"),
    ((3, 21, 64), "float32", 1, 64, "pipelined_column_tiles streaming"),
    ((3, 21, 48), "float64", 1, 64, "pipelined_column_tiles streaming"),
    ((2, 1003, 2), "float32", 1 << 25, 64, "split_columns"),
    ((2, 1003, 3), "float64", 1, 64, "split_columns"),
    ((1, 9001, 2), "float32", 1 << 25, 64, "split_columns"),
]
ARGMAX = [
    ((2, 21, 70), "float32", "column_tiles"),
    ((2, 5, 70), "float32", "column_tiles in_registers"),
    ((1, 3000, 5), "int8", "column_tiles"),
    ((40, 1, 1), "float32", "zeros"),
    ((3, 1, 5), "int8", "zeros"),
    ((40, 4, 1), "float32", "packed"),
    ((40, 10, 1), "float64", "registers"),
    ((40, 10, 1), "float16", "transposed"),
    ((9, 300, 1), "float32", "rows"),
    ((2, 3000, 1), "float64", "rows"),
]


def name_of(regime: regimes.Regime) -> str:
    """The kernel, and what of its variants is compiled or called in another way."""
    flags = [flag for flag in ("streaming", "in_output", "in_registers") if getattr(regime, flag)]
    return " ".join([regime.kernel, *flags, *(["2"] if regime.interleave == 2 else [])])


def planned(
    monkeypatch: pytest.MonkeyPatch, operation: Any, threads: int, machine: Machine | None = None
) -> list[plan.Plan]:
    """The plans of the operation's calls from here on, every one of which may be shared among threads."""
    module = import_module(f"maxbench.impls.kernels.{operation}.numba_parallel")
    plans: list[plan.Plan] = []

    def choose(here: Machine, problem: plan.Problem, table: Sequence[regimes.Regime]) -> plan.Plan:
        plans.append(plan.plan(machine or here, problem, table))
        return plans[-1]

    monkeypatch.setitem(regimes.PARALLEL, operation, 1)
    monkeypatch.setattr(module, "_PARALLEL", 1)
    monkeypatch.setattr(module, "numbas", lambda: threads)
    monkeypatch.setattr(module, "plan", choose)
    monkeypatch.setattr(module, "_call", module._call.__wrapped__)  # keeps no plans
    return plans


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("shape", "dtype", "llc", "vector_bytes", "regime"), SOFTMAX)
def test_every_regime_of_softmax(
    shape: tuple[int, int, int],
    dtype: str,
    llc: int,
    vector_bytes: int,
    regime: str,
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(vector_bytes, vector_bytes // 2, l2=1 << 20, llc=llc)
    plans = planned(monkeypatch, "softmax", threads, machine)
    x = (RNG.standard_normal(shape) * 3).astype(dtype)
    for layout in OUT_LAYOUTS:
        assert wrong_out(impls.load("softmax", "numba_parallel"), layout, x, [1]) is None, layout.name
    assert regime in map(name_of, [one.regime for one in plans])
    assert {one.threads for one in plans} == {threads}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("shape", "dtype", "regime"), ARGMAX)
def test_every_regime_of_argmax(
    shape: tuple[int, int, int], dtype: str, regime: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = planned(monkeypatch, "argmax", threads, replace(this_machine(), l1=1 << 10))
    monkeypatch.setattr(regimes, "ARGMAX_PART", 1 << 10 if max(shape) == 3000 else 1 << 20)
    x = (RNG.standard_normal(shape) * 9).astype(dtype)
    for layout in OUT_LAYOUTS:
        assert wrong_out(impls.load("argmax", "numba_parallel"), layout, x, [1]) is None, layout.name
    assert regime in map(name_of, [one.regime for one in plans])
    assert {one.threads for one in plans} == {threads}
    assert any(one.parts > 1 for one in plans) == (max(shape) == 3000 and threads > 1)


@pytest.mark.parametrize(("operation", "cases"), [("softmax", SOFTMAX), ("argmax", ARGMAX)])
def test_every_regime_is_among_them(operation: regimes.Operation, cases: list[Any]) -> None:
    tables = regimes.TABLES[operation, False] + regimes.TABLES[operation, True]
    assert {case[-1] for case in cases} == set(map(name_of, tables))


@pytest.mark.parametrize("function", [impls.softmax, impls.argmax])
def test_at_every_byte_of_a_cache_line(function: Any) -> None:
    layout = replace(BY_NAME["out: unaligned"], starts=tuple(range(64)))
    operation = contract.OPERATIONS[function.__name__]
    for name, dtype in itertools.product(("numpy_vectorized", "numba_parallel"), operation.dtypes):
        implementation = impls.load(operation.name, name)
        assert wrong_out(implementation, layout, X.astype(named(dtype))) is None


def checked_by_the_kernel(install: Any, operation: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Install ``operation.strict``, which notes the arrays that it is given."""
    source = f"""
        import numpy as np
        from maxbench import implements
        from maxbench.impls.registry import load

        given = []

        @implements(dtypes=("float32", "float64", "int64"))
        def run(x, out):
            given.append((x, out))
            return load("{operation}", "numpy_vectorized").kernel.run(x, out)
    """
    install({"strict": source}, {f"{operation}.strict": "strict"})
    impls.load(operation, "strict")
    given: list[tuple[np.ndarray, np.ndarray]] = import_module("strict").given
    return given


@pytest.mark.parametrize("operation", contract.OPERATIONS)
def test_kernels_are_given_aligned_contiguous_native_arrays_that_do_not_overlap(install: Any, operation: str) -> None:
    given = checked_by_the_kernel(install, operation)
    implementation = impls.load(operation, "strict")
    for layout in OUT_LAYOUTS:
        assert wrong_out(implementation, layout, X) is None
    findings = list(agreement.check(implementation, ["float64"]))
    assert {f.status for f in findings} == {"agrees"}
    for x, out in given:
        assert x.flags.c_contiguous
        assert x.flags.aligned
        assert x.dtype.isnative
        assert out.flags.carray
        assert out.dtype.isnative
        assert not np.shares_memory(x, out)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("operation", contract.OPERATIONS)
def test_what_needs_no_copy_is_not_copied(install: Any, operation: str, order: Any) -> None:
    given = checked_by_the_kernel(install, operation)
    x = np.asarray(X, order=order)
    for axis in (0, 1, 2):
        shape = x.shape if operation == "softmax" else np.argmax(x, axis).shape
        out = np.empty(shape, "float64" if operation == "softmax" else "int64", order=order)
        assert getattr(impls, operation)(x, axis, out=out, impl="strict") is out
        assert np.shares_memory(given[-1][0], x)
        assert np.shares_memory(given[-1][1], out)


@needs.bfloat16
def test_an_out_of_bfloat16_in_the_other_byte_order() -> None:
    x = X.astype(named("bfloat16"))
    out = np.empty(x.shape, x.dtype.newbyteorder())
    impls.softmax(x, 1, out=out)
    np.testing.assert_array_equal(out.astype(float), impls.softmax(x, 1).astype(float))


def test_an_out_of_a_subclass() -> None:
    x = X[:, :, 0]
    for out in (np.empty(x.shape).view(np.matrix), np.empty(x.shape).view(np.recarray)):
        assert impls.softmax(x, 1, out=out) is out
        np.testing.assert_array_equal(np.asarray(out), impls.softmax(x, 1))


def test_masked_out_is_refused_where_nothing_is_masked() -> None:
    with pytest.raises(TypeError, match=r"out is a MaskedArray: accepted is a numpy\.ndarray, which has no mask"):
        impls.argmax(X, 1, np.ma.zeros((4, 5), np.int64))


def test_kernels_refuse_an_out_that_they_would_have_to_copy() -> None:
    unaligned = np.zeros(41, np.uint8)[1:].view(np.float64)
    read_only = np.zeros(3)
    read_only.flags.writeable = False
    for out, what in ((unaligned, "unaligned"), (read_only, "read-only")):
        with pytest.raises(ValueError, match=what):
            impls.load("softmax", "numba_parallel").kernel.run(np.zeros((1, out.size, 1)), out.reshape(1, -1, 1))
