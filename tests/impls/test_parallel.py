"""Shares of a kernel's tasks: each task once, one compiled loop for many kernels, errors, and forked children."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

import numba
import numpy as np
import pytest

from maxbench.impls import parallel, threads


@numba.njit(nogil=True)
def count(seen: Any, by: Any, first: int, end: int) -> None:
    """Add to the tasks from first to end what each is to be seen by."""
    for task in range(first, end):
        seen[task] += by


@numba.njit(nogil=True)
def count_twice(seen: Any, by: Any, first: int, end: int) -> int:
    for task in range(first, end):
        seen[task] += 2 * by
    return end


@numba.njit(nogil=True)
def marked(seen: Any, by: Any, first: int, end: int) -> None:
    """The bounds of the share, at its first task."""
    seen[first] = end


@numba.njit
def fails(seen: Any, by: Any, first: int, end: int) -> None:
    if end == seen.size:
        raise ValueError("no such task")


@pytest.mark.parametrize("serial", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3, 7])
@pytest.mark.parametrize("tasks", [0, 1, 2, 5, 1000])
def test_each_task_is_done_once(tasks: int, number: int, serial: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_serial", serial)
    threads.numbas()
    seen = np.zeros(tasks, np.int64)
    parallel.run(count, (seen, 1), tasks, number)
    parallel.run(count_twice, (seen, 1), tasks, number)
    np.testing.assert_array_equal(seen, 3)


@pytest.mark.parametrize("serial", [False, True])
def test_shares_are_contiguous_and_as_many_as_threads(serial: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_serial", serial)
    threads.numbas()
    seen = np.zeros(10, np.int64)
    parallel.run(marked, (seen, 1), 10, 3)
    np.testing.assert_array_equal(np.flatnonzero(seen), [0, 3, 6])
    np.testing.assert_array_equal(seen[[0, 3, 6]], [3, 6, 10])


def test_kernels_of_the_same_types_share_a_loop_and_those_of_others_do_not() -> None:
    threads.numbas()
    seen = np.zeros(8, np.int64)
    parallel.run(count, (seen, 1), 8, 2)
    loops = len(parallel._compiled.signatures)
    parallel.run(count_twice, (seen, 1), 8, 2)
    assert len(parallel._compiled.signatures) == loops
    numbers = np.zeros(8, np.float32)
    parallel.run(count, (numbers, 0.5), 8, 2)
    assert len(parallel._compiled.signatures) == loops + 1
    np.testing.assert_array_equal(numbers, 0.5)
    fortran = np.zeros((8, 2), np.int64)[:, 0]  # of another layout
    parallel.run(count, (fortran, 1), 8, 2)
    np.testing.assert_array_equal(fortran, 1)


def test_an_error_in_a_share_is_raised() -> None:
    threads.numbas()
    with pytest.raises(ValueError, match="no such task"):
        parallel.run(fails, (np.zeros(8, np.int64), 1), 8, 2)
    seen = np.zeros(8, np.int64)
    parallel.run(count, (seen, 1), 8, 2)
    np.testing.assert_array_equal(seen, 1)


def test_the_first_call_starts_the_threads() -> None:
    """In a process of its own: without them there would be nothing at the address that is called."""
    program = """
        import numba, numpy
        from maxbench.impls import parallel
        run = numba.njit(lambda seen, first, end: seen[first:end].fill(end))
        seen = numpy.zeros(4)
        parallel.run(run, (seen,), 4, 2)
        print(seen.tolist())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[2.0, 2.0, 4.0, 4.0]\n"), done.stderr
