"""Kernels that are compiled ahead of the process that measures: which they are, and that it finds them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.impls.cuda import machine_code

# As two processes: the first compiles ahead, the second as a launch would.
_PROGRAM = """
import json, sys
from msgspec import structs
from maxbench.bench.inputs.device_cells import Cell
from maxbench.bench.processes.messages import CellTask, CheckTask, CompileJob, LaunchTask
from maxbench.bench.workers import compile
from maxbench.impls.cuda import platform, plans, regimes

platform.require()
def cell(operation, benchmark, shape, names=("numba_cuda",), dtype="float32"):
    return CellTask(id=0, operation=operation, names=list(names), cell=Cell(operation, benchmark, dtype, 0, shape, 0))
TASKS = [
    cell("softmax", "Sweep", (8, 1024, 1)), cell("softmax", "Sweep", (8, 1000, 1), ["cupy"]),
    cell("softmax", "Ceiling", (1, 64, 1), ["ceiling"]), cell("argmax", "Sweep", (9, 1024, 1)),
    cell("softmax", "Sweep", (16, 1024, 1)), LaunchTask(id=0, operation="softmax", names=["numba_cuda"]),
]
def job(tasks):
    return CompileJob(tasks=tasks, device="H200", compute_capability="9.0", multiprocessors=132, shared_bytes=232448,
                      first=0, of=1)
if sys.argv[1] == "names":
    device = plans.Device(132, regimes.built_in())
    checks = [CheckTask(id=0, operation="argmax", names=["numba_cuda"], dtype="int8", seconds=1)]
    def names(tasks):
        return [(kernel.py_func.__name__, [str(kernel.typeof_pyval(one)) for one in arguments])
                for kernel, arguments in compile.kernels(compile.inputs(tasks), device)]
    print(json.dumps([names(TASKS), len(names(checks))]))
elif sys.argv[1] == "candidates":
    device = plans.Device(132, regimes.built_in(), 232448)
    print(json.dumps([kernel.py_func.__name__ for kernel, _ in compile.candidates(device)]))
elif sys.argv[1] == "one candidate":
    compile.main(None, structs.replace(job(None), first=4, of=1000))
elif sys.argv[1] == "ahead":
    compile.main(None, job(TASKS[:1]))
else:
    with compile.without_device("9.0"):
        device = plans.Device(132, regimes.built_in())
        ((kernel, arguments),) = compile.kernels(iter([("softmax", "float32", (64, 1024, 1))]), device)
        kernel.compile(tuple(map(kernel.typeof_pyval, arguments)))
    print(sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values()))
"""


def run(*words: str, **variables: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_ENABLE_CUDASIM"}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *words], capture_output=True, text=True, check=False, timeout=200,
        env={**environment, **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


needs_compiler = pytest.mark.skipif(
    bool(machine_code.missing()),
    reason=f"not installed: {', '.join(machine_code.missing())}; pip install 'maxbench[cuda-offline]'",
)


@needs_compiler
def test_the_kernels_of_tasks_are_named_once_and_in_order() -> None:
    kernels, checked = json.loads(run("names"))
    x = "array(float32, 3d, C)"
    assert kernels[:-1] == [
        ["softmax_rows", [x, x]],
        *([["copy", ["array(float32, 1d, C)"] * 2]] * 4),
        ["argmax_rows", [x, "array(int64, 2d, C)"]],
    ]
    assert kernels[-1][1] == [x, x]  # that of 32 columns
    assert checked > 20


@needs_compiler
def test_the_kernels_that_tuning_times_are_compiled_ahead(tmp_path: Path) -> None:
    """Compiled by the process that times them, one after the other, they took all of its time."""
    names = Counter(json.loads(run("candidates")))
    assert names.keys() == {
        "softmax_short", "softmax_rows", "softmax_shared", "softmax_coupled", "softmax_partial", "softmax_finish",
        "softmax_columns", "argmax_short", "argmax_rows", "argmax_whole", "argmax_parts", "argmax_columns",
        "argmax_columns_parts",
    }  # fmt: skip
    assert all(count > 8 for count in names.values())
    run("one candidate", NUMBA_CACHE_DIR=str(tmp_path))
    assert len(list(tmp_path.rglob("*.nbi"))) == 1


@needs_compiler
def test_what_is_compiled_ahead_is_found_by_the_next_process(tmp_path: Path) -> None:
    variables = {"NUMBA_CACHE_DIR": str(tmp_path)}
    run("ahead", **variables)
    files = list(tmp_path.rglob("*.nbi"))
    assert len(files) == 1
    assert run("then", **variables).split() == ["1", "0"]
    assert list(tmp_path.rglob("*.nbi")) == files
