"""The benchmarks themselves: asv's classes called as asv calls them, their lists, and the arrays they time."""

from __future__ import annotations

import importlib
import json
import math
import os
import pickle
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import maxbench.bench.argmax
import maxbench.bench.softmax
from maxbench import impls
from maxbench.bench.inputs import array_files, grid, workloads
from maxbench.bench.processes import link
from maxbench.bench.processes.crew import Crew
from maxbench.bench.processes.messages import Outcome
from maxbench.bench.suite import accuracy, base, chunked, startup
from maxbench.impls import contract, registry
from maxbench.reports.measure.cells import ENDED, Cells
from tests.plugins import Install

WRONG = """
    import numpy as np
    from maxbench import implements

    @implements(dtypes=("float32",))
    def run(x, out):
        out[...] = 0
        return out
"""
OVERWRITES = """
    from maxbench import implements, load

    @implements(dtypes=("float32",))
    def run(x, out):
        load("argmax", "numpy_vectorized").kernel.run(x, out)
        x[0, 0, 0] = 7
        return out
"""


class Notes:
    """The journal of cells that are set up in this process, and what hears them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.cells = Cells(path, Path(impls.__file__).resolve().parent)
        self.crew = Crew(self.cells.heard)

    def __call__(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._path.read_text().splitlines()]


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notes]:
    monkeypatch.setenv(grid.SECONDS, "0.01")
    monkeypatch.delenv(link.TOKEN, raising=False)
    found = Notes(tmp_path / "journal.jsonl")
    for name, value in found.crew.variables.items():
        monkeypatch.setenv(name, value)
    with found.crew:
        yield found


def test_the_lists_of_the_grids_are_what_the_workloads_know(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("quick", "full"):
        monkeypatch.setenv(grid.GRID, name)
        assert len(grid.workloads()) == 8
        assert set(grid.workloads()) <= set(workloads.ALL)
        assert set(grid.dtypes("softmax")) <= set(contract.SOFTMAX.dtypes)
        assert set(grid.dtypes("argmax")) <= set(contract.ARGMAX.dtypes)
        for order in grid.orders():
            assert workloads.scores((2, 5, 1), "float32", order).shape == (2, 5, 1)
    assert set(grid.workloads()) == set(workloads.WORKLOADS)


def test_a_smaller_workload_has_the_rows_of_a_whole_one() -> None:
    for smaller in workloads.SMALLER.values():
        if smaller.shape[0] > 1 or smaller.shape[2] > 1:
            assert smaller.shape[1:] in {whole.shape[1:] for whole in workloads.WORKLOADS.values()}
        assert math.prod(smaller.shape) < 1 << 21
    assert len(workloads.ALL) == len(workloads.SMALLER) + len(workloads.WORKLOADS)


def test_an_unknown_grid_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(grid.GRID, "vast")
    with pytest.raises(ValueError, match="MAXBENCH_GRID='vast': accepted are quick, full"):
        grid.name()


def test_the_lists_do_not_come_from_the_registry(install: Install) -> None:
    before = grid.implementations("softmax")
    install({"new": WRONG}, {"softmax.aaa": "new"})
    assert "aaa" in {e.name for e in registry.catalogue()}
    assert grid.implementations("softmax") == before


def test_lists_can_be_replaced_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(grid.IMPLEMENTATIONS, "softmax.a, argmax.b,softmax.c,nonsense")
    assert grid.implementations("softmax") == ["a", "c"]
    assert grid.implementations("argmax") == ["b"]
    monkeypatch.setenv(grid.DTYPES, "int8, float64, bfloat16")
    assert grid.dtypes("argmax") == ["int8", "float64"]
    assert grid.dtypes("softmax") == ["float64"]


@pytest.mark.parametrize("n", [1, 2, 3, 1000, 1 << 20, 1 << 24])
def test_the_sweep_keeps_its_total(n: int) -> None:
    outer, columns, inner = workloads.sweep_shape(n)
    assert (columns, inner) == (n, 1)
    assert outer == 1 or workloads.SWEEP_ELEMENTS - n < outer * n <= workloads.SWEEP_ELEMENTS


@pytest.mark.parametrize("dtype", contract.DTYPES)
def test_scores_are_seeded_and_ordered(dtype: str) -> None:
    shape = (3, 50, 1)
    one = workloads.scores(shape, dtype)
    assert one.dtype == dtype
    assert one.tobytes() == workloads.scores(shape, dtype).tobytes()
    ascending = workloads.scores(shape, dtype, "ascending")
    assert (np.diff(ascending.astype(float), axis=1) >= 0).all()
    np.testing.assert_array_equal(workloads.scores(shape, dtype, "descending"), ascending[:, ::-1])
    assert (np.argmax(workloads.scores(shape, dtype, "maximum first"), axis=1) == 0).all()
    last = workloads.scores(shape, dtype, "maximum last")
    assert (last[:, -1] == last.max()).all()
    assert len(np.unique(workloads.scores(shape, dtype, "all equal"))) == 1
    with pytest.raises(ValueError, match="unknown order 'sideways'"):
        workloads.scores(shape, dtype, "sideways")


def test_arrays_are_read_from_files(tmp_path: Path) -> None:
    a, b = np.arange(6.0).reshape(2, 3), np.ones(4, np.int8)
    np.save(tmp_path / "a.npy", a)
    np.savez(tmp_path / "two.npz", a=a, b=b)
    np.savez(tmp_path / "one.npz", b=b)
    mapped = array_files.read_array(tmp_path / "a.npy")
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, a)
    np.testing.assert_array_equal(array_files.read_array(tmp_path / "two.npz", "b"), b)
    np.testing.assert_array_equal(array_files.read_array(tmp_path / "one.npz"), b)


def test_files_that_are_no_arrays_are_named(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}, 1]), allow_pickle=True)
    np.savez(tmp_path / "two.npz", a=np.ones(1), b=np.ones(1))
    np.savez(tmp_path / "objects.npz", a=np.array([{}, 1]))
    (tmp_path / "text.npy").write_text("1 2 3")
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps([1, 2]))
    np.save(tmp_path / "a.npy", np.arange(1000.0))
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "short.npy").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "short.npz").write_bytes((tmp_path / "two.npz").read_bytes()[:100])
    for name, key, error, message in [
        ("none.npy", None, FileNotFoundError, "no such file"),
        ("objects.npy", None, ValueError, "holds Python objects, which are never unpickled"),
        ("objects.npz", None, ValueError, "holds Python objects, which are never unpickled"),
        ("two.npz", None, ValueError, "holds 2 arrays, name one with --key: a, b"),
        ("two.npz", "c", ValueError, "has no array 'c': it holds a, b"),
        ("a.npy", "a", ValueError, "is not an .npz file, so it takes no --key"),
        ("text.npy", None, ValueError, "is neither an .npy nor an .npz file"),
        ("pickle.npy", None, ValueError, "is neither an .npy nor an .npz file"),
        ("short.npy", None, ValueError, "short.npy"),
        ("short.npz", None, ValueError, "short.npz"),
    ]:
        with pytest.raises(error, match=re.escape(message)):
            array_files.read_array(tmp_path / name, key)


@pytest.mark.parametrize("module", [maxbench.bench.softmax, maxbench.bench.argmax], ids=["softmax", "argmax"])
@pytest.mark.parametrize("name", ["naive", "numpy_vectorized", "numba_simple"])
def test_timed_cells(module: Any, name: str, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "SLOW_ELEMENTS", 1 << 20)
    cells = [(module.Sweep(), ("float32", 1024)), (module.Api(), ("float32", 1024))]
    if module is maxbench.bench.argmax:
        cells.append((module.Orders(), ("float32", "descending")))
    for cell, rest in cells:
        cell.setup(name, *rest)
        samples = notes()[-1]["samples"]
        seen = []
        for _ in range(cell.repeat):
            cell.setup(name, *rest)  # asv does so before every call
            begin = cell.timer()
            cell.time_call(name, *rest)
            seen.append(cell.timer() - begin)
        assert seen == pytest.approx(samples)
        assert cell.number == 1
    lines = notes()
    assert [line["status"] for line in lines] == ["ok"] * len(cells)  # one line a process, not one a call
    assert lines[0]["params"] == [repr(name), "'float32'", "1024"]
    assert lines[0]["shape"] == [1024, 1024, 1]
    assert lines[0]["repeat"] == cells[0][0].repeat


def test_cells_that_cannot_run_are_skipped_with_a_reason(notes: Notes, install: Install) -> None:
    install({"gone": "import no_such_thing"}, {"argmax.gone": "gone"})
    for name, reason in [
        ("gone", "No module named 'no_such_thing'"),
        ("unheard_of", "unknown argmax implementation 'unheard_of'"),
    ]:
        with pytest.raises(NotImplementedError, match=reason):
            maxbench.bench.argmax.Sweep().setup(name, "float32", 1024)
        assert notes()[-1]["status"] == "skipped"
        assert reason in notes()[-1]["detail"]
    with pytest.raises(NotImplementedError, match="more than its limit"):
        maxbench.bench.softmax.Memory().setup("naive", "float32")


def test_a_quick_run_times_slow_implementations_on_small_arrays_alone(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = maxbench.bench.argmax.Sweep()
    for kind in (cell, maxbench.bench.argmax.Api()):
        with pytest.raises(NotImplementedError, match="more than the 131072 elements on which a quick run times"):
            kind.setup("naive", "float32", 1024)
        assert notes()[-1]["status"] == "skipped"
    cell.setup("numpy_vectorized", "float32", 1024)
    maxbench.bench.argmax.Shapes().setup("naive", "float32", 64, 1000)
    assert [line["status"] for line in notes()[-2:]] == ["ok", "ok"]
    monkeypatch.setenv(grid.GRID, "full")
    assert grid.refusal(impls.load("argmax", "naive").kernel, 1 << 22) is None


@pytest.mark.parametrize(
    ("source", "status", "reason"),
    [
        (WRONG, "wrong", ", got 0 (x = "),
        (OVERWRITES, "wrong", "the input was overwritten"),
        (WRONG.replace("out[...] = 0", "raise KeyboardInterrupt"), "failed", "KeyboardInterrupt"),
    ],
)
@pytest.mark.parametrize("kind", ["Sweep", "Api", "Memory"])
def test_wrong_kernels_are_not_timed(
    notes: Notes, install: Install, monkeypatch: pytest.MonkeyPatch, kind: str, source: str, status: str, reason: str
) -> None:
    monkeypatch.setattr(base.Memory, "ELEMENTS", 1 << 12)
    install({"planted": source}, {"argmax.planted": "planted"})
    cell, params = getattr(maxbench.bench.argmax, kind)(), ("planted", "float32", 1024)[: 2 if kind == "Memory" else 3]
    if kind == "Memory" and reason != "KeyboardInterrupt":
        cell.setup(*params)
        cell.peakmem_call(*params)
        if source is OVERWRITES:  # its array is as large as memory allows: it is not kept to be compared
            return
        with pytest.raises(RuntimeError, match=re.escape(reason)):
            cell.teardown(*params)
    elif kind != "Memory":
        with pytest.raises(RuntimeError, match=re.escape(reason)):
            cell.setup(*params)
    else:
        return
    assert notes()[-1]["status"] == status
    assert reason in notes()[-1]["detail"]
    assert notes.cells.bad
    assert not {"samples", "values"} & set(notes()[-1])


def test_a_stopped_run_measures_no_more(notes: Notes) -> None:
    maxbench.bench.argmax.Sweep().setup("numpy_vectorized", "float32", 1024)
    notes.cells.stop()
    with pytest.raises(RuntimeError, match="interrupted"):
        maxbench.bench.argmax.Sweep().setup("numpy_vectorized", "float32", 1024)
    assert [line["status"] for line in notes()] == ["ok", "interrupted"]


def test_a_cell_that_imported_another_package_is_refused(notes: Notes, tmp_path: Path) -> None:
    notes.cells._package = tmp_path
    with pytest.raises(RuntimeError, match="asv imported the maxbench in"):
        maxbench.bench.argmax.Sweep().setup("numpy_vectorized", "float32", 1024)
    assert notes()[-1]["status"] == "failed"


def test_a_cell_whose_process_ends_has_failed_and_others_are_left_out_after_two(notes: Notes, install: Install) -> None:
    source = WRONG.replace("out[...] = 0", "import os; os._exit(0)")
    install({"planted": source}, {"argmax.planted": "planted"})
    for _ in range(2):
        if (pid := os.fork()) == 0:
            maxbench.bench.argmax.Sweep().setup("planted", "float32", 1024)
        os.waitpid(pid, 0)
    for _ in range(200):
        if len(notes.cells.bad) and len(notes()) == 2:
            break
        time.sleep(0.02)
    assert [(line["status"], line["detail"]) for line in notes()] == [("failed", ENDED)] * 2
    with pytest.raises(RuntimeError, match="left out after it brought down 2 processes"):
        maxbench.bench.argmax.Sweep().setup("planted", "float32", 1024)
    maxbench.bench.argmax.Sweep().setup("numpy_vectorized", "float32", 1024)
    assert notes()[-1]["status"] == "ok"


def test_memory_cells(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base.Memory, "ELEMENTS", 1 << 12)
    for module in (maxbench.bench.softmax, maxbench.bench.argmax):
        for name in (base.Memory.BASELINE, "numpy_vectorized"):
            cell = module.Memory()
            cell.setup(name, "float32")
            cell.peakmem_call(name, "float32")
            cell.teardown(name, "float32")
            (peak,) = _values(cell, notes())
            assert 1 << 20 < peak < 1 << 40
    assert {line["status"] for line in notes()} == {"ok"}


def test_cells_of_arrays_in_chunks(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels that read chunks twice are not those that hold them."""
    pytest.importorskip("dask.array", reason="not installed: dask; pip install 'maxbench[test]'")
    monkeypatch.setattr(chunked.Chunked, "ELEMENTS", (1 << 16) + 5)
    loads = {}
    for operation, names in grid.CHUNKED.items():
        for name in names:
            cell = type("Chunked", (chunked.Chunked,), {"operation": operation})()
            cell.setup(name, "float32")
            times_read, peak, seconds = _values(cell, notes())
            assert 0 <= peak < 1 << 30
            assert 0 < seconds < 60
            loads[name] = (*loads.get(name, ()), times_read)
    assert {line["status"] for line in notes()} == {"ok"}
    assert loads == {"dask_chunks": (2, 1), "dask_formula": (1,), "dask_scipy": (1,), "dask_argmax": (1,)}


def test_wrong_results_in_chunks_are_not_kept(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dask.array", reason="not installed: dask; pip install 'maxbench[test]'")
    monkeypatch.setattr(chunked.Chunked, "ELEMENTS", 1 << 12)
    monkeypatch.setattr(chunked.Stored, "__setitem__", lambda *_: None)
    cell = type("Chunked", (chunked.Chunked,), {"operation": "softmax"})()
    with pytest.raises(RuntimeError, match="wrong"):
        cell.setup("dask_chunks", "float32")
    assert notes()[-1]["status"] == "wrong"


def test_arrays_in_chunks_are_measured_where_their_implementations_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(grid.IMPLEMENTATIONS, raising=False)
    monkeypatch.setenv(grid.GRID, "quick")
    assert grid.chunked("softmax") == []
    monkeypatch.setenv(grid.GRID, "full")
    assert grid.chunked("softmax") == list(grid.CHUNKED["softmax"])
    monkeypatch.setenv(grid.IMPLEMENTATIONS, "argmax.naive,softmax.dask_chunks,argmax.dask_argmax")
    assert (grid.chunked("softmax"), grid.chunked("argmax")) == (["dask_chunks"], ["dask_argmax"])


def _values(cell: base.Cell, lines: list[dict[str, Any]]) -> list[float]:
    """What the last line has for each of the methods that asv calls: results are made of it."""
    methods = [name for name in dir(cell) if name.startswith(("track_", "peakmem_"))]
    assert set(methods) == set(lines[-1]["values"])
    return [lines[-1]["values"][name] for name in methods]


def test_accuracy_cells(notes: Notes) -> None:
    keys = [("a", "float32", 2), ("b", "float32", 2)]
    errors = {"track_largest_error": 1.5, "track_typical_error": 0.5}
    found = {keys[0]: Outcome(values=errors), keys[1]: Outcome("failed", "boom")}
    cell = type("Accuracy", (accuracy.Accuracy,), {"operation": "softmax"})()
    cell.setup(found, *keys[0])
    assert _values(cell, notes()) == [
        cell.track_largest_error(found, *keys[0]),
        cell.track_typical_error(found, *keys[0]),
    ]
    with pytest.raises(RuntimeError, match="boom"):
        cell.setup(found, *keys[1])
    assert "values" not in notes()[-1]


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_the_users_own_array(axis: int | None, tmp_path: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "x.npy", np.arange(12, dtype=">i4").reshape(3, 4))
    monkeypatch.setenv(grid.ARRAY, str(tmp_path / "x.npy"))
    if axis is not None:
        monkeypatch.setenv(grid.ARRAY_AXIS, str(axis))
    for module, dtype in ((maxbench.bench.softmax, "float64"), (maxbench.bench.argmax, "int32")):
        own = type("Own", (base.Own,), {"operation": module.Sweep.operation})()
        own.setup("numpy_vectorized")
        own.time_call("numpy_vectorized")
        assert notes()[-1]["dtype"] == dtype
        assert notes()[-1]["shape"] == {None: [1, 12, 1], 0: [1, 3, 4], 1: [3, 4, 1]}[axis]


@pytest.mark.parametrize(("dtype", "axis", "shape"), [("float16", "1", [2, 3, 4]), ("int8", None, [1, 24, 1])])
def test_an_array_of_a_shape(
    dtype: str, axis: str | None, shape: list[int], notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid, "SLOW_ELEMENTS", 10)  # which what was asked for does not heed
    monkeypatch.setenv(grid.ARRAY_SHAPE, "2x3x4")
    if axis is not None:
        monkeypatch.setenv(grid.ARRAY_AXIS, axis)
    monkeypatch.setenv(grid.DTYPES, dtype if dtype == "float16" else f"float64,{dtype}")
    for operation in ("softmax", "argmax"):
        type("Own", (base.Own,), {"operation": operation})().setup("naive")
        assert notes()[-1]["status"] == "ok"
        assert notes()[-1]["dtype"] == ("float64" if (dtype, operation) == ("int8", "softmax") else dtype)
        assert notes()[-1]["shape"] == shape


@pytest.mark.parametrize(("name", "value"), [(grid.ARRAY, "x.npy"), (grid.ARRAY_SHAPE, "64x10")])
def test_the_users_own_array_is_a_benchmark_only_where_there_is_one(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not hasattr(maxbench.bench.softmax, "Own")
    monkeypatch.setenv(name, value)
    try:
        assert importlib.reload(maxbench.bench.softmax).Own.operation == "softmax"
    finally:
        monkeypatch.delenv(name)
        del maxbench.bench.softmax.Own
        importlib.reload(maxbench.bench.softmax)


def test_starts(notes: Notes, install: Install) -> None:
    install(
        {"gone": "import no_such_thing", "dies": WRONG.replace("out[...] = 0", "raise ValueError('boom')"),
         "wrong": WRONG},
        {"softmax.gone": "gone", "softmax.dies": "dies", "softmax.wrong": "wrong"},
    )  # fmt: skip
    names = ["numpy_vectorized", "gone", "dies", "wrong"]
    cell = type("Start", (startup.Start,), {"operation": "softmax", "params": [names, ["float32"]]})()
    found = cell.start_all()
    cell.setup(found, "numpy_vectorized", "float32")
    tracks = (cell.track_first_call_cold, cell.track_first_call_warm, cell.track_load)
    assert _values(cell, notes()) == [track(found, "numpy_vectorized", "float32") for track in tracks]
    cell = type(cell)()
    for track in (cell.track_load, cell.track_first_call_cold, cell.track_first_call_warm):
        assert 0 < track(found, "numpy_vectorized", "float32") < 60
    with pytest.raises(NotImplementedError, match="no_such_thing"):
        cell.setup(found, "gone", "float32")
    with pytest.raises(RuntimeError, match="ValueError: boom"):
        cell.setup(found, "dies", "float32")
    with pytest.raises(RuntimeError, match="wrong: at"):
        cell.setup(found, "wrong", "float32")
    assert [line["status"] for line in notes()] == ["ok", "skipped", "failed", "wrong"]


@pytest.mark.parametrize(("mode", "loaded"), [("discover", "False"), ("run_server", "True")])
def test_numba_is_loaded_ahead_for_what_is_measured_and_not_for_the_listing(mode: str, loaded: str) -> None:
    program = "import sys; from maxbench.bench import numba_preload; print('numba' in sys.modules)"
    command, env = [sys.executable, "-c", program, mode], {**os.environ, grid.PRELOAD: "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == loaded


def test_the_benchmarks_are_found_where_no_cuda_package_is_installed() -> None:
    # asv imports every module of the package; a plain installation has no numba-cuda.
    program = (
        "import sys, importlib, pkgutil; sys.modules['numba.cuda'] = None; sys.modules['numba_cuda'] = None\n"
        "from maxbench import bench\n"
        "for module in pkgutil.iter_modules(bench.__path__): importlib.import_module(f'maxbench.bench.{module.name}')\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
