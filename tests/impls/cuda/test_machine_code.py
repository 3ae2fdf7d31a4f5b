"""The machine code of the kernels holds what makes them fast, and nothing that would make them slow.

By default a cross-section of the specialisations is compiled, in as many processes as there are cores;
MAXBENCH_CUDA_CODE=all takes every one (more than half an hour on two cores). Without the compiler's packages the
tests are skipped, unless MAXBENCH_CUDA_CODE is set: then they fail.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import pytest

from tests.impls.cuda import machine_code

CHOICE = os.environ.get("MAXBENCH_CUDA_CODE", "")

if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0"):
    pytest.skip("the simulator compiles nothing", allow_module_level=True)
if machine_code.missing():
    REASON = f"not installed: {', '.join(machine_code.missing())}; pip install 'maxbench[cuda-offline]'"
    if CHOICE:
        pytest.fail(REASON, pytrace=False)
    pytest.skip(REASON, allow_module_level=True)

from numba import cuda  # noqa: E402
from numba.cuda import types  # noqa: E402

from maxbench.bench.workers import device_bandwidth  # noqa: E402
from maxbench.impls.cuda import compile_cache, regimes, short_rows  # noqa: E402
from maxbench.impls.cuda.elements import ELEMENTS  # noqa: E402
from tests.impls.cuda import specialisations  # noqa: E402
from tests.impls.cuda.specialisations import Specialisation  # noqa: E402
from tests.needs import ALL  # noqa: E402

EVERYTHING = {s.name: s for s in specialisations.everything()}


def _cross_section() -> list[tuple[str, str]]:
    """(architecture, name): each kernel at its most registers, in several dtypes and alignments, on both in turn.

    Of each kernel one, in turn, and in the nightly job all three.
    """
    if CHOICE == "all":
        return [(architecture, name) for architecture in machine_code.CAPABILITIES for name in EVERYTHING]
    chosen: list[tuple[str, str]] = []
    number = 0
    for table, entries in regimes.DEVICE.items():
        last = {regime.kernel: regime for regime in entries}  # the largest of each kernel
        for regime in last.values():
            number += 1
            prefix = f"{table} {regime.kernel} {regime.threads}/{regime.sharing}/{regime.registers} "
            third = ("int8", "aligned", "sm_90") if table == "argmax rows" else ("float64", "single", "sm_90")
            wide = "aligned" if table.endswith("rows") else "single" if regime.kernel == "short" else "vectors"
            half = "single" if table.endswith("columns") or regime.kernel == "short" else "peeled"
            variants = (("float32", wide, "sm_90"), ("float16", half, "sm_80"), third)
            for dtype, kind, architecture in variants if ALL else (variants[number % 2],):
                names = [name for name in EVERYTHING if name.startswith(f"{prefix}{dtype} {kind}")]
                longest = f"n={short_rows.longest(ELEMENTS[dtype])}"
                chosen += [(architecture, name) for name in names if "n=" not in name or name.endswith(longest)]
    return chosen


CHOSEN = _cross_section()

BARRIERS = {
    "argmax_columns": 1, "argmax_columns_parts": 4, "argmax_parts": 3, "argmax_rows": 0, "argmax_short": 1,
    "argmax_short_columns": 1, "argmax_whole": 1, "softmax_columns": 2, "softmax_coupled": 4, "softmax_finish": 2,
    "softmax_partial": 2, "softmax_rows": 2, "softmax_shared": 2, "softmax_short": 2, "softmax_short_columns": 2,
}  # fmt: skip
"""Barriers of each kernel as it is written: one more is a copy in a branch, where lanes of a warp wait for ever."""


@pytest.fixture(scope="module")
def codes() -> Iterator[dict[tuple[str, str], Future[machine_code.Code]]]:
    """The machine code of all that was chosen, as it becomes known: a process of its own for each core."""
    with pytest.MonkeyPatch.context() as patch:
        # The processes import these tests from the places of this one, which conftest.py has rid of the root.
        patch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[3])])
        with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
            yield {which: pool.submit(specialisations.compile_one, *which) for which in CHOSEN}
            pool.shutdown(cancel_futures=True)


def problems(code: machine_code.Code, wanted: Specialisation) -> list[str]:
    """What the machine code has and must not, or must have and has not."""
    element, barriers = wanted.element, code.count(r"BAR\..*")
    checks = {
        f"{barriers} barriers": barriers <= BARRIERS[wanted.build().py_func.__name__],
        # With the bytecode of Python 3.12 its copies are made where that of 3.11 has none.
        "a barrier that takes a value, which may be copied": code.count(r"BAR\.RED.*") == 0,
        f"a stack of {code.stack} bytes": code.stack == 0,
        f"{code.local} bytes of local memory": code.local == 0,
        "loads or stores of local memory": code.count(r"(LDL|STL)(\..*)?") == 0,
        f"{code.registers} registers": code.registers <= wanted.registers,
        f"{code.together} loads of 128 bits without a branch between": code.together >= wanted.together,
        f"fewer than {wanted.loads} loads of 128 bits": code.count(r"LDG\..*128.*") >= wanted.loads,
        f"fewer than {wanted.stores} stores of 128 bits": code.count(r"STG\..*128.*") >= wanted.stores,
        f"fewer than {wanted.copies} copies of 128 bits": code.count(r"LDGSTS\..*128.*") >= wanted.copies,
        f"fewer than {wanted.held} loads of 128 bits from shared memory": code.count(r"LDS\.128") >= wanted.held,
    }
    if not (element.floating and element.wide):
        checks["float64 arithmetic"] = code.count(r"(DADD|DMUL|DFMA|DSETP|DMNMX|F2F.*F64.*|I2F.*F64.*)(\..*)?") == 0
        if wanted.exponentials:
            checks["no exp2 in hardware"] = code.count(r"MUFU\.EX2") > 0
    if wanted.maxima and element.floating:
        keeping = r"DSETP\.NAN.*" if element.wide else r"FMNMX\.NAN(\..*)?"
        checks["no maximum that keeps NaN"] = code.count(keeping) > 0
    if wanted.warp and not wanted.exponentials:
        checks["no redux"] = code.count(r"C?REDUX\.MAX(\..*)?") > 0 and code.count(r"C?REDUX\.MIN(\..*)?") > 0
    if wanted.warp and wanted.exponentials:
        checks["no shuffle"] = code.count(r"SHFL\.BFLY(\..*)?") > 0
    if wanted.name.startswith("argmax") and wanted.name.endswith(" parts"):
        # Results, a fence, the block's arrival, a fence, and the other blocks' results from where all see the same.
        checks["no fence before and after a block has come"] = code.count(r"MEMBAR\..*GPU") >= 2
        checks["no counter of blocks that begins again by itself"] = code.count(r"ATOMG\..*INC\..*GPU") > 0
        checks["results of other blocks that may be stale"] = code.count(r"LDG\..*STRONG\.GPU") >= 9
    return [text for text, fine in checks.items() if not fine]


@pytest.mark.parametrize(("architecture", "name"), CHOSEN)
def test_machine_code(architecture: str, name: str, codes: dict[tuple[str, str], Future[machine_code.Code]]) -> None:
    code, wanted = codes[architecture, name].result(), EVERYTHING[name]
    assert not problems(code, wanted), (code, problems(code, wanted))


def test_every_kernel_is_in_the_cross_section() -> None:
    kernels = {" ".join(name.split()[:3]) for name in EVERYTHING}
    assert {" ".join(name.split()[:3]) for _, name in CHOSEN} == kernels
    assert {architecture for architecture, _ in CHOSEN} == set(machine_code.CAPABILITIES)


@pytest.mark.parametrize("vectors", device_bandwidth.VECTORS)
def test_ceilings_have_all_loads_of_a_thread_in_flight(vectors: int) -> None:
    floats, words = types.Array(types.float32, 1, "C"), types.Array(types.int32, 1, "C")
    copy = machine_code.compile_kernel(device_bandwidth.copy_kernel(vectors), (floats, floats), "sm_90")
    read = machine_code.compile_kernel(device_bandwidth.read_kernel(vectors), (words, words, types.int64), "sm_90")
    for code in (copy, read):
        assert (code.count(r"LDG\..*128.*"), code.together, code.local) == (vectors, vectors, 0)
    assert copy.count(r"STG\..*128.*") == vectors
    assert read.count(r"STG.*") == 1


def test_the_checks_see_what_is_wrong() -> None:
    """A kernel with scalar loads, a maximum that drops NaN, float64 and a register array with a variable index."""

    @cuda.jit
    def slow(x, out, at):  # type: ignore[no-untyped-def]
        values = cuda.local.array(64, types.float32)
        top = x[0, 0, 0]
        for j in range(64):
            values[(j * at) & 63] = x[0, j, 0]
            top = max(top, x[0, j, 0])
        out[0, 0, 0] = values[at] * 1.5 + top

    wanted = next(s for s in EVERYTHING.values() if s.name.startswith("softmax columns tile") and "float32 v" in s.name)
    code = machine_code.compile_kernel(slow, (*wanted.signature, types.int64), "sm_90")
    found = " ".join(problems(code, wanted))
    for text in (
        "local memory",
        "loads of 128 bits",
        "without a branch",
        "stores of 128 bits",
        "float64",
        "exp2",
        "keeps NaN",
    ):
        assert text in found


def test_compiled_kernels_are_found_by_the_next_process(tmp_path: Path) -> None:
    """In a process of its own each, because numba-cuda keeps what it has compiled."""
    outcomes = []
    for change in ("", "", "different sources"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.impls.cuda.cached", change],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}, cwd=Path(__file__).parents[3],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        outcomes.append(done.stdout.split())
    assert outcomes == [["0", "1"], ["1", "0"], ["0", "1"]]  # hits, misses


def test_closures_tell_every_specialisation_from_the_others() -> None:
    built = {id(kernel): kernel for kernel in (wanted.build() for wanted in EVERYTHING.values())}
    assert len({compile_cache.description(kernel) for kernel in built.values()}) == len(built)
    with pytest.raises(TypeError, match="a dict in the closure of a kernel"):
        compile_cache.description(({},))
