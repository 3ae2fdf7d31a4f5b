"""Dask arrays: lazy in and out, by the contract over any chunks and on each scheduler, each chunk read and let go."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import textwrap
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import maxbench
from maxbench.impls import contract
from maxbench.impls.contract.operation import within

dask = pytest.importorskip("dask", reason="not installed: dask; pip install 'maxbench[test]'")
import dask.array as da  # noqa: E402

# The steps are tested on all cases: see test_partials. Here those whose values meet others across chunks.
CASES = [
    case for case in contract.KERNEL_CASES
    if case.name in ("n = 1", "n = 65", "two columns, many rows", "inner axis: ties", "NaN in a long row")
    or (re.search(r"inf|NaN|zeros|ties|range|equal|badly: 128", case.name) and "1,048,576" not in case.name)
]  # fmt: skip


def chunkings(outer: int, n: int) -> dict[str, Any]:
    """Chunks of an array (outer, n, inner)."""
    some = {
        "one chunk": -1,
        "along": (-(-outer // 3), -1, -1),
        "across": (-1, -(-n // 3), -1),
        "uneven": (-(-outer // 2), (n // 5, n - n // 5 - n // 3, n // 3), -1),
        "of size 0": (-1, (0, n - n // 2, 0, n // 2, 0), -1),
    }
    return some | ({"of size 1": (-1, 1, 4)} if n < 10 else {})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_contract_holds_over_any_chunks(case: contract.Case) -> None:
    for dtype in [name for name in ("float32", "float16", "int64", "bool", *contract.OPTIONAL) if name in case.dtypes]:
        x = case.array(dtype)
        if x.shape[0] > 100 and dtype != "float32":
            continue
        for name, operation in contract.OPERATIONS.items():
            if dtype not in operation.dtypes:
                continue
            bounds = operation.bounds(x)
            lazy = {
                what: getattr(maxbench, name)(da.from_array(x, chunks=chunks, name=False), 1)
                for what, chunks in chunkings(*x.shape[:2]).items()
            }
            for what, result in zip(lazy, dask.compute(*lazy.values(), scheduler="threads"), strict=True):
                assert within(*bounds, result), (dtype, name, what)
                assert result.dtype == lazy[what].dtype


CHUNKS = [(5, 40, 6), (2, 40, 6), (5, 7, 6), (2, (1, 0, 30, 9), (3, 0, 3)), ((0, 5), (0, 40), (0, 6))]


@pytest.mark.parametrize("chunks", CHUNKS)
def test_axes_shapes_dtypes_and_metas_are_those_of_numpy_arrays(chunks: Any) -> None:
    x = np.random.default_rng(0).integers(0, 9, (5, 40, 6)).astype(np.float32)  # most maxima are ties
    lazy = da.from_array(x, chunks=chunks)
    got, wanted = [], []
    for axis in (0, 1, -1, None, (0, 1), (0, 2), (2, 1, 0), ()):
        got.append(maxbench.softmax(lazy, axis))
        wanted.append(maxbench.softmax(x, axis))
        assert got[-1].chunks == lazy.chunks
    for axis, keepdims in itertools.product((0, 1, -1, None), (False, True)):
        got.append(maxbench.argmax(lazy, axis, keepdims=keepdims))
        wanted.append(np.asarray(np.argmax(x, axis, keepdims=keepdims)))
    for one, result, right in zip(got, dask.compute(*got, scheduler="sync"), wanted, strict=True):
        assert (one.shape, one.dtype) == (right.shape, right.dtype) == (np.shape(result), np.asarray(result).dtype)
        assert type(one._meta) is np.ndarray
        assert (one._meta.shape, one._meta.dtype) == ((0,) * right.ndim, right.dtype)
        np.testing.assert_allclose(result, right, rtol=1e-5, atol=0)
    assert maxbench.softmax(lazy.astype(">i2"), 1).dtype == np.float64
    assert maxbench.softmax(lazy.astype(">f4"), 1).dtype == np.dtype("=f4")
    assert maxbench.softmax(da.ones(()), None).compute() == 1
    assert maxbench.argmax(da.ones(()), 0).compute() == 0


def test_the_same_input_has_the_same_name() -> None:
    """So that Dask computes it once."""
    x = da.from_array(np.random.default_rng(1).standard_normal((6, 9)), chunks=(3, 3))
    assert maxbench.softmax(x, 1).name == maxbench.softmax(x, 1).name
    for axis, result in enumerate(dask.compute(maxbench.softmax(x, 0), maxbench.softmax(x, 1), scheduler="sync")):
        np.testing.assert_allclose(result, maxbench.softmax(x.compute(), axis))


def test_two_axes_of_one_array_do_not_wait_for_each_other() -> None:
    source = Source((8, 4000))
    x = da.from_array(source, chunks=(4, 100))
    da.store([maxbench.softmax(x, axis) for axis in (0, 1)], [Sink(), Sink()], lock=False, scheduler="sync")
    assert set(source.reads.values()) == {3}  # one for both partials, one for each result


class Source:
    """An array of which every read is a copy: counts reads, and the most copies alive at a time."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.ndim, self.dtype = shape, len(shape), np.dtype(np.float32)
        self.values = np.random.default_rng(7).standard_normal(shape, self.dtype)
        self.reads: dict[str, int] = {}
        self.alive = self.most = 0
        self.lock = threading.RLock()

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        lengths = [end - start for start, end, _ in map(slice.indices, index, self.shape)]
        if 0 in lengths:  # Dask's look at what it holds
            return np.empty(lengths, self.dtype)
        chunk = self.values[index].copy()
        with self.lock:
            self.reads[str(index)] = self.reads.get(str(index), 0) + 1
            self.alive += 1
            self.most = max(self.most, self.alive)
        weakref.finalize(chunk, self.gone)
        return chunk

    def gone(self) -> None:
        with self.lock:
            self.alive -= 1


class Sink:
    def __setitem__(self, index: tuple[slice, ...], values: np.ndarray) -> None:
        assert values.size


@pytest.mark.parametrize(("operation", "axis", "reads"), [
    ("softmax", 1, 2), ("softmax", 0, 2), ("softmax", None, 2), ("argmax", 1, 1), ("argmax", None, 1),
])  # fmt: skip
@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_chunks_are_read_twice_and_not_held(operation: str, axis: int | None, reads: int, scheduler: str) -> None:
    source = Source((8, 4000))
    lazy = getattr(maxbench, operation)(da.from_array(source, chunks=(4, 100)), axis)
    assert not source.reads
    with dask.config.set(scheduler=scheduler, num_workers=2):
        if lazy.ndim:
            da.store(lazy, Sink(), lock=False)
        else:
            lazy.compute()
    assert len(source.reads) == 80
    assert set(source.reads.values()) == {reads}
    assert source.most <= 4  # one a thread and what has just been left


@pytest.mark.parametrize(
    "derived",
    [
        lambda x: x[:, 50:3950],
        lambda x: x.rechunk((4, 200)),
        lambda x: da.concatenate([x[:4], x[4:]]) + 1,
        lambda x: dask.optimize(x[:, ::2] * 2)[0],
    ],
)
def test_nor_are_those_that_others_are_made_of(derived: Any) -> None:
    """Slices and rechunks are graphs of another kind, whose references Dask's own `bind` leaves as they were."""
    source = Source((8, 4000))
    x = derived(da.from_array(source, chunks=(4, 100)))
    right = x.compute(scheduler="sync")
    source.reads.clear()
    source.most = source.alive
    lazy = maxbench.softmax(x, 1)
    da.store(lazy, Sink(), lock=False, scheduler="sync")
    assert sum(source.reads.values()) == 160
    assert max(source.reads.values()) == 2
    assert source.most <= 6
    np.testing.assert_allclose(lazy.compute(scheduler="sync"), maxbench.softmax(right, 1), rtol=1e-5)


def test_unknown_chunk_sizes() -> None:
    x = np.random.default_rng(2).standard_normal((60, 6))
    lazy = da.from_array(x, chunks=(20, 2))
    lazy, x = lazy[lazy[:, 0] > 0], x[x[:, 0] > 0]
    for axis in (0, 1, None):
        np.testing.assert_allclose(maxbench.softmax(lazy, axis).compute(scheduler="sync"), maxbench.softmax(x, axis))
    assert maxbench.argmax(lazy, 1).compute(scheduler="sync").tolist() == x.argmax(1).tolist()
    for axis in (0, None):
        with pytest.raises(ValueError, match=r"along axis 0 are unknown.*accepted are known ones.*compute_chunk_sizes"):
            maxbench.argmax(lazy, axis)
    none = da.from_array(x, chunks=(-1, 2))
    none = none[none[:, 0] > 9]
    with pytest.raises(ValueError, match="empty axis"):
        maxbench.argmax(none, 0).compute(scheduler="sync")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: maxbench.softmax(x, 1, out=np.empty((4, 6))), TypeError, "out is a ndarray.*lazy.*accepted is None"),
        (lambda x: maxbench.argmax(x, 1, out=x), TypeError, "out is a Array.*to_zarr"),
        (lambda x: maxbench.argmax(x, 1, impl="naive"), TypeError, "impl is 'naive'.*pass None"),
        (lambda x: maxbench.softmax(x, 1, stream=0), TypeError, "stream is for arrays in GPU memory"),
        (lambda x: maxbench.softmax(x, 2), np.exceptions.AxisError, "axis 2 is out of bounds"),
        (lambda x: maxbench.softmax(x, True), TypeError, "axis is True: accepted are integers"),
        (lambda x: maxbench.argmax(x, (1,)), TypeError, "takes one axis or None"),
        (lambda x: maxbench.argmax(x[:0], 0), ValueError, "argmax of an empty axis"),
        (lambda x: maxbench.softmax(x[:0]), ValueError, "softmax of an empty axis"),
        (lambda x: maxbench.argmax(x * 1j, 1), TypeError, "argmax does not take complex128: accepted are float16"),
        (lambda x: maxbench.softmax(da.ma.masked_equal(x, 1), 1), TypeError, "chunks of numpy.ma.*accepted are"),
    ],
)  # fmt: skip
def test_what_is_refused_names_what_is_accepted(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(da.ones((4, 6), chunks=3))


def test_query_planning_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(da, "array_expr_enabled", lambda: True)
    with pytest.raises(NotImplementedError, match=r"array.query-planning on: accepted is off"):
        maxbench.softmax(da.ones(3), 0)


def test_dask_is_never_imported_for_others() -> None:
    program = """
        import sys, numpy as np, maxbench
        maxbench.softmax(np.zeros((3, 5000))), maxbench.softmax([[1.0, 2.0]], 1), maxbench.argmax(memoryview(b"ab"))
        print([name for name in sys.modules if name.partition(".")[0] == "dask"])
    """
    assert run(program) == "[]"


def test_a_missing_dask_is_a_reason() -> None:
    program = """
        import sys
        sys.modules["dask"] = None
        from maxbench import impls
        for operation, name in (("softmax", "dask_chunks"), ("argmax", "dask_argmax")):
            try:
                impls.load(operation, name)
            except impls.Unavailable as error:
                print(error.broken, error.reason)
    """
    reason = "False ImportError: dask.array is not installed; pip install 'maxbench[dask]' brings it"
    assert run(program.replace('sys.modules["dask"] = None', HIDDEN)) == f"{reason}\n{reason}"


HIDDEN = """sys.meta_path.insert(0, type("Hidden", (), {"find_spec": staticmethod(
            lambda name, *_: (_ for _ in ()).throw(ModuleNotFoundError(name=name)) if name == "dask" else None)}))"""

# In a process of its own, whose functions other processes get by value. Each chunk is large enough for all threads.
SCHEDULERS = """
import sys
import dask, dask.array as da, numpy as np
import maxbench
from maxbench.impls import contract
from maxbench.impls.contract.operation import within

CASES = ("-inf entries", "several NaNs and +inf", "signed zeros", "ties at both ends", "inner axis: ties")

def one_thread(block):
    from maxbench.impls import threads
    return np.full((1,) * block.ndim, threads._threads is None)

def main():
    checks, lazy = [], []
    for case in contract.KERNEL_CASES:
        if case.name in CASES:
            x = case.array("float32")
            n = x.shape[1]
            for name, operation in contract.OPERATIONS.items():
                for chunks in ((2, (0, n // 5, 1, n - n // 5 - 1), -1), (2, -1, -1)):
                    lazy.append(getattr(maxbench, name)(da.from_array(x, chunks=chunks), 1))
                    checks.append(lambda result, bounds=operation.bounds(x): within(*bounds, result))
    x = np.random.default_rng(0).standard_normal((2, 1 << 19), np.float32)
    for chunks in ((1, -1), (1, 1 << 18)):
        for function in (maxbench.softmax, maxbench.argmax):
            found = function(da.from_array(x, chunks=chunks), 1)
            lazy.append(found.map_blocks(one_thread, chunks=(1,) * found.ndim, dtype=bool))
            checks.append(lambda result: bool(result.all()))
    results = dask.compute(*lazy)
    print(len(results), [i for i, (check, result) in enumerate(zip(checks, results)) if not check(result)])

if sys.argv[1] != "distributed":
    with dask.config.set(scheduler=sys.argv[1], num_workers=2):
        main()
else:
    from distributed import Client, LocalCluster
    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None, host="127.0.0.1") as cluster:
        with Client(cluster):
            main()
"""


@pytest.mark.parametrize("scheduler", ["threads", "processes", "distributed"])
def test_each_scheduler_agrees_and_a_chunk_has_one_thread(scheduler: str) -> None:
    """Numba's threads are not even started: not by a kernel on a whole chunk, and not by the steps on several."""
    if scheduler == "distributed":
        pytest.importorskip("distributed", reason="not installed: distributed; pip install 'maxbench[test]'")
    assert run(SCHEDULERS, scheduler).splitlines()[-1] == "24 []"


def run(program: str, *arguments: str) -> str:
    """What a program prints that must end well."""

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments], env={**os.environ, "NUMBA_NUM_THREADS": "2"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()
