"""The benchmarks of small arrays and of threads: how many threads a cell really gets, and what is skipped."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
if sys.argv[1] == "preloaded":
    import numba
    numba.njit(lambda: None)()
from maxbench.bench import argmax
cell = argmax.Threads()
try:
    cell.setup(sys.argv[2], "float32", 1024, int(sys.argv[3]))
except NotImplementedError as error:
    sys.exit(f"skipped: {error}")
import numba
print(cell.outcome.shape, numba.get_num_threads())
"""


def measured(*words):
    env = {**os.environ, "MAXBENCH_GRID": "full", "MAXBENCH_SECONDS": "0.01", "NUMBA_NUM_THREADS": "2"}
    command = [sys.executable, "-c", PROGRAM, *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("start", ["preloaded", "fresh"])
def test_a_cell_has_the_threads_it_names(start):
    done = measured(start, "numba_parallel", "1")
    assert done.stdout.strip() == "(1024, 1024, 1) 1", done.stderr


@pytest.mark.parametrize(
    ("name", "threads", "reason"),
    [
        ("numba_parallel", "4", "the run gives 2 CPU threads, not 4"),
        ("numba_simple", "1", "does not use as many CPU threads"),
    ],
)
def test_what_cannot_be_measured_is_skipped_with_a_reason(name, threads, reason):
    assert f"skipped: {'it ' if name == 'numba_simple' else ''}{reason}" in measured("fresh", name, threads).stderr
