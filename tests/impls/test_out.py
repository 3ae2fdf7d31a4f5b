"""Every layout of `out` with every implementation and regime: filled, and nothing beside it, or refused by name."""

from __future__ import annotations

import itertools
from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from maxbench import impls
from maxbench.bench.inputs import grid
from maxbench.impls import agreement, contract, parallel, registry
from maxbench.impls.contract.dtypes import named
from maxbench.impls.contract.layouts import OUT_LAYOUTS, OutLayout
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
    for dtype in contract.OPERATIONS[entry.operation].dtypes:
        if contract.WIDER.get(dtype, dtype) in taken:
            assert wrong_out(implementation, layout, (X * 9).astype(named(dtype))) is None, dtype


# Shape, dtype, bytes of the last-level cache, whether registers are as long as a cache line, and the regimes then.
SMALL = 1 << 13
SOFTMAX = [
    ((40, 4, 1), "float32", 1 << 25, True, "fours"),
    ((40, 4, 1), "float64", 0, True, "fours"),
    ((9, 32, 1), "float32", 1 << 25, True, "few"),
    ((9, 30, 1), "float32", 1 << 25, True, "few"),
    ((9, 32, 1), "float64", 0, True, "few"),
    ((40, 10, 1), "float32", 1 << 25, True, "short"),
    ((40, 10, 1), "float16", 1 << 25, True, "short"),
    ((40, 17, 1), "float64", 0, False, "short"),
    ((9, 100, 1), "float32", 1 << 25, False, "rows"),
    ((9, 100, 1), "float16", 0, False, "rows"),
    ((40, 100, 1), "float32", SMALL, False, "rows"),
    ((40, 101, 1), "float64", SMALL, False, "rows"),
    ((9, 300, 1), "float32", 1 << 25, True, "beside"),
    ((3, 3001, 1), "float64", 1 << 25, True, "beside"),
    ((9, 300, 1), "float32", 1 << 14, True, "two"),
    ((9, 301, 1), "float64", 1 << 15, True, "two"),
    ((1, 70001, 1), "float32", 1 << 25, True, "long"),
    ((1, 70001, 1), "float64", 0, False, "long"),
    ((3, 21, 70), "float32", 1 << 25, False, "strided"),
    ((2, 21, 7), "float16", 1 << 25, False, "strided"),
    ((2, 100, 64), "float64", 1 << 25, False, "strided"),
    ((3, 21, 70), "float32", 0, False, "strided"),
    ((3, 21, 64), "float32", 0, True, "strided_beside"),
    ((3, 21, 48), "float64", 0, True, "strided_beside"),
    ((2, 1003, 2), "float32", 1 << 25, True, "columns"),
    ((2, 1003, 3), "float64", 0, True, "columns"),
    ((1, 9001, 2), "float32", 1 << 25, True, "columns"),
]
ARGMAX = [
    ((2, 21, 70), "float32", "strided"),
    ((1, 3000, 5), "int8", "merge"),
    ((40, 4, 1), "float32", "fours"),
    ((40, 10, 1), "float64", "few"),
    ((40, 10, 1), "float16", "short"),
    ((9, 300, 1), "float32", "rows"),
    ((2, 3000, 1), "float64", "merge"),
]


SHARED = "shared among threads"
# What shares out the tasks of more than one kernel, and `merge`.
WITH_STEPS = {"columns_split": "columns", "long_rows": "long", "merge": "merge"}


def recorded(monkeypatch: pytest.MonkeyPatch, module: Any, threads: int) -> set[str]:
    """The regimes that the module takes from here on, with every call shared among threads, and `SHARED`."""
    called: set[str] = set()
    monkeypatch.setattr(module, "PARALLEL", 1)
    monkeypatch.setattr(module, "numbas", lambda: threads)

    def run(kernel: Any, arguments: tuple[Any, ...], tasks: int, count: int) -> None:
        called.add(kernel.py_func.__name__.removesuffix("_rows"))
        called.update({SHARED} if count > 1 else ())
        parallel.run(kernel, arguments, tasks, count)

    def noting(name: str, function: Any) -> Any:
        def call(*args: Any) -> Any:
            called.update({name, SHARED} if threads > 1 else {name})
            return function(*args)

        return call

    def alone(kernel: Any) -> Any:
        """A kernel that is called without `parallel`; for all else it is itself."""

        class Alone:
            def __call__(self, *args: Any) -> Any:
                called.add(kernel.py_func.__name__.removesuffix("_rows"))
                return kernel(*args)

            def __getattr__(self, name: str) -> Any:
                return getattr(kernel, name)

        return Alone()

    monkeypatch.setattr(module, "parallel", SimpleNamespace(run=run))
    few_for = module.few_for
    monkeypatch.setattr(module, "few_for", lambda n, itemsize: alone(few_for(n, itemsize)))
    for name, value in list(vars(module).items()):
        if hasattr(value, "signatures") and name != "merge":
            monkeypatch.setattr(module, name, alone(value))
    for name, regime in WITH_STEPS.items():
        if hasattr(module, name):
            monkeypatch.setattr(module, name, noting(regime, getattr(module, name)))
    return called


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("shape", "dtype", "cache", "long", "regime"), SOFTMAX)
def test_every_regime_of_softmax(
    shape: tuple[int, int, int],
    dtype: str,
    cache: int,
    long: bool,
    regime: str,
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = import_module("maxbench.impls.kernels.softmax.numba_parallel")
    called = recorded(monkeypatch, module, threads)
    monkeypatch.setattr(module, "LONG", long)
    monkeypatch.setattr(module, "MANY", long)
    monkeypatch.setattr(module, "last_level", lambda: cache)
    monkeypatch.setattr(module, "second_level", lambda: 1 << 20)
    x = (RNG.standard_normal(shape) * 3).astype(dtype)
    for layout in OUT_LAYOUTS:
        assert wrong_out(impls.load("softmax", "numba_parallel"), layout, x, [1]) is None, layout.name
    assert ("rows" if regime == "long" and threads == 1 else regime) in called
    assert (SHARED in called) == (threads > 1)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("shape", "dtype", "regime"), ARGMAX)
def test_every_regime_of_argmax(
    shape: tuple[int, int, int], dtype: str, regime: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module("maxbench.impls.kernels.argmax.numba_parallel")
    called = recorded(monkeypatch, module, threads)
    monkeypatch.setattr(module, "PIECE", 1 << 10 if regime == "merge" else 1 << 20)
    x = (RNG.standard_normal(shape) * 9).astype(dtype)
    for layout in OUT_LAYOUTS:
        assert wrong_out(impls.load("argmax", "numba_parallel"), layout, x, [1]) is None, layout.name
    assert ("merge" in called) == (regime == "merge" and threads > 1)
    assert regime == "merge" or regime in called
    assert (SHARED in called) == (threads > 1)


def test_every_regime_is_among_them() -> None:
    for operation, regimes in (("softmax", {case[-1] for case in SOFTMAX}), ("argmax", {case[-1] for case in ARGMAX})):
        module = import_module(f"maxbench.impls.kernels.{operation}.numba_parallel")
        for name, value in vars(module).items():
            if hasattr(value, "signatures") or name in WITH_STEPS:
                # The pieces of rows are what is merged.
                assert WITH_STEPS.get(name, name) in {*regimes, "pieces", "merge"}, name


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
