"""Which regime takes which arrays, on machines on paper; nothing is compiled or run."""

from __future__ import annotations

import math
import random
from dataclasses import fields

import pytest

from maxbench.impls.contract import DTYPES, FLOATS
from maxbench.impls.cpu.machine import Machine
from maxbench.impls.cpu.plan import Plan, Problem, plan, traffic
from maxbench.impls.cpu.regimes import TABLES, Operation, Range, Regime, above, at_least, at_most, below, recompute_from

MIB = 1 << 20
LAPTOP = Machine(32, 16, l1=32 << 10, l2=MIB // 2, llc=8 * MIB)  # AVX2
ZEN_3 = Machine(32, 16, l1=32 << 10, l2=MIB // 2, llc=32 * MIB)
ZEN_5 = Machine(64, 32, l1=48 << 10, l2=MIB, llc=32 * MIB)
EMERALD_RAPIDS = Machine(64, 32, l1=48 << 10, l2=2 * MIB, llc=64 * MIB)
UNKNOWN = Machine(16, 16)  # SSE2, and no information on caches
NEON = Machine(16, 32, l1=128 << 10, l2=16 * MIB, llc=16 * MIB)
MACHINES = (LAPTOP, ZEN_3, ZEN_5, EMERALD_RAPIDS, UNKNOWN, NEON)


def softmax(machine: Machine, *shape: int, dtype: str = "float32", threads: int = 2, aligned: bool = True) -> Plan:
    outer, n, inner = shape if len(shape) == 3 else (*shape, 1)
    return plan(machine, Problem("softmax", dtype, (outer, n, inner), threads, aligned))


def argmax(machine: Machine, *shape: int, dtype: str = "float32", threads: int = 2) -> Plan:
    outer, n, inner = shape if len(shape) == 3 else (*shape, 1)
    return plan(machine, Problem("argmax", dtype, (outer, n, inner), threads))


def text(found: Plan) -> str:
    regime = found.regime
    streaming = " streaming" if regime.streaming else ""
    return f"{regime.kernel}{streaming}{f' {regime.interleave}' if regime.interleave > 1 else ''}"


# The workloads of the suite.
@pytest.mark.parametrize(
    ("shape", "laptop", "zen_5", "emerald_rapids"),
    [
        ((1048576, 2), "transposed", "transposed", "transposed"),
        ((131072, 10), "transposed", "transposed", "transposed"),
        ((1024, 1000), "rows", "pipelined", "pipelined"),
        ((98304, 512), "rows streaming", "pipelined streaming 2", "pipelined streaming 2"),
        ((64, 50257), "rows streaming", "pipelined", "pipelined"),
        ((32, 128256), "rows streaming", "rows", "rows"),
        ((8, 21, 65536), "column_tiles streaming", *["pipelined_column_tiles streaming"] * 2),
        ((1, 1 << 24), "split_rows", "split_rows", "split_rows"),
    ],
)
def test_the_workloads(shape: tuple[int, ...], laptop: str, zen_5: str, emerald_rapids: str) -> None:
    machines = (LAPTOP, laptop), (ZEN_5, zen_5), (EMERALD_RAPIDS, emerald_rapids)
    assert [(name, text(softmax(machine, *shape))) for machine, name in machines] == [(n, n) for _, n in machines]


def test_a_row_of_softmax_on_both_sides_of_each_bound() -> None:
    def kernels(machine: Machine, *sizes: int, rows: int = 100, dtype: str = "float32") -> list[str]:
        return [text(softmax(machine, rows, n, dtype=dtype)) for n in sizes]

    assert kernels(EMERALD_RAPIDS, 3, 4, 5) == ["transposed", "packed", "transposed"]
    assert kernels(EMERALD_RAPIDS, 24, 25, 128, 129) == ["transposed", "registers", "registers", "pipelined"]
    assert kernels(EMERALD_RAPIDS, 15, 16, 64, 65, dtype="float64") == ["transposed", *["registers"] * 2, "pipelined"]
    assert kernels(ZEN_3, 4, 63, 64) == ["transposed", "transposed", "rows"]
    assert kernels(ZEN_3, 31, 32, dtype="float64") == ["transposed", "rows"]
    assert kernels(ZEN_3, 15, 16, rows=15) == ["transposed", "rows"]
    row = EMERALD_RAPIDS.l2 // 4 // 5
    assert kernels(EMERALD_RAPIDS, row, row + 1, rows=3) == ["pipelined", "rows"]
    assert text(softmax(EMERALD_RAPIDS, 1, 65535)) == "pipelined"
    assert text(softmax(EMERALD_RAPIDS, 1, 65536)) == "split_rows"
    assert text(softmax(EMERALD_RAPIDS, 1, 65536, threads=1)) == "pipelined"


def test_register_resident_rows_beyond_the_caches() -> None:
    """Whole vectors get non-temporal stores in an aligned output; long rows of other lengths are pipelined."""
    shape = 1 << 20, 112
    assert text(softmax(EMERALD_RAPIDS, *shape)) == "registers streaming"
    assert text(softmax(EMERALD_RAPIDS, *shape, aligned=False)) == "registers"
    assert text(softmax(EMERALD_RAPIDS, 1 << 20, 90)) == "registers"
    assert text(softmax(EMERALD_RAPIDS, 1 << 20, 100)) == "pipelined streaming 2"
    assert text(softmax(EMERALD_RAPIDS, 1 << 10, 100)) == "registers"


def test_non_temporal_stores_begin_where_x_and_the_result_exceed_the_last_level_cache() -> None:
    rows = LAPTOP.llc // 2 // 4000
    assert text(softmax(LAPTOP, rows, 1000)) == "rows"
    assert text(softmax(LAPTOP, rows + 1, 1000)) == "rows streaming"
    assert text(softmax(LAPTOP, 10 * rows, 1000, dtype="float16")) == "rows"
    # Not where the exponentials of each thread's row find no room.
    assert text(softmax(LAPTOP, 30, 500_000, threads=2)) == "rows"


def test_exponentials_are_computed_twice_where_memory_is_slower() -> None:
    llc = EMERALD_RAPIDS.llc
    assert [recompute_from("float32", size) for size in (16, 32, 64)] == [1 / 2, 1 / 2, 1 / 4]
    for dtype, size, share in (("float32", 4, 1 / 4), ("float64", 8, 1)):
        n = int(share * llc) // size
        assert [softmax(EMERALD_RAPIDS, 1, m, dtype=dtype).recompute for m in (n - 1, n)] == [False, True]
        assert text(softmax(EMERALD_RAPIDS, 3, n, dtype=dtype, threads=1)) == "split_rows"
        assert text(softmax(EMERALD_RAPIDS, 3, n - 1, dtype=dtype, threads=1)).startswith("rows")
    assert not softmax(ZEN_3, 1, 1 << 27, dtype="float64").recompute
    assert softmax(ZEN_3, 1, 100_000, dtype="float16").recompute


def test_columns_of_softmax() -> None:
    def tile(found: Plan) -> tuple[str, bool, int, int]:
        return found.regime.kernel, found.regime.in_output, found.tile, found.tiles

    assert tile(softmax(ZEN_3, 100, 60, 300)) == ("column_tiles", False, 128, 3)
    assert tile(softmax(ZEN_3, 100, 65, 300)) == ("column_tiles", True, 128, 3)
    assert tile(softmax(ZEN_3, 100, 65, 300, dtype="float16")) == ("column_tiles", False, 112, 3)
    assert tile(softmax(ZEN_3, 100, 9000, 16, dtype="float16")) == ("column_tiles", False, 16, 1)
    assert tile(softmax(ZEN_3, 100, 512, 8)) == ("column_tiles", False, 16, 1)
    assert softmax(ZEN_3, 100, 513, 8).regime.kernel == "split_columns"
    assert (few := softmax(ZEN_3, 1, 9000, 16)).regime.kernel == "split_columns"
    assert few.parts == 2
    assert softmax(ZEN_3, 1, 9000, 16, threads=1).parts == 1
    assert softmax(ZEN_3, 2, 300, 1 << 15).regime.kernel == "split_columns"  # 150 KB a tile: more than L2 / 4
    assert text(softmax(ZEN_3, 2, 250, 1 << 16)) == "column_tiles streaming"
    assert text(softmax(ZEN_3, 1000, 1000, 16)) == "column_tiles streaming"  # x[i] is narrower than a tile
    assert softmax(ZEN_3, 100, 9000, 8).parts == 1  # no thread is idle
    # Exponentials of columns wait in all of the output.
    assert [softmax(ZEN_3, outer, 9000, 8).recompute for outer in (58, 59)] == [False, True]


def test_rows_and_columns_of_argmax() -> None:
    def kernels(*sizes: int, dtype: str = "float32") -> list[str]:
        return [argmax(ZEN_3, 100, n, dtype=dtype).regime.kernel for n in sizes]

    assert kernels(1, 2, dtype="bool") == ["zeros", "transposed"]
    assert kernels(3, 4, 7, 8, 64, 65) == ["transposed", "packed", "transposed", "registers", "registers", "rows"]
    assert kernels(3, 4, 64, 65, dtype="float64") == ["transposed", "registers", "registers", "rows"]
    assert kernels(3, 4, 32, 33, dtype="int64") == ["transposed", "registers", "registers", "rows"]
    assert kernels(95, 96, dtype="float16") == ["transposed", "rows"]
    assert kernels(63, 64, dtype="bool") == ["transposed", "rows"]
    assert argmax(ZEN_3, 100, 1000).prefetch == 32 * 16
    assert argmax(ZEN_3, 10_000, 1000).prefetch == 0
    assert argmax(ZEN_5, 10_000, 1000, dtype="float64").prefetch == 64 * 8
    assert [argmax(ZEN_3, 1, 1 << n).parts for n in (15, 16, 17, 18, 24)] == [1, 1, 4, 8, 8]
    assert argmax(ZEN_3, 1, 1 << 24, threads=1).parts == 1
    assert argmax(ZEN_3, 8, 1 << 20).parts == 1
    assert argmax(ZEN_3, 100, 16, 1000).regime.in_registers
    assert not argmax(ZEN_3, 100, 17, 1000).regime.in_registers
    assert argmax(ZEN_3, 100, 40, 100).regime.in_registers  # 16 KB
    assert [argmax(ZEN_3, 10, 100, inner).tiles for inner in (2047, 2048, 2049)] == [1, 1, 2]
    assert [softmax(ZEN_3, 10, 40, inner).tiles for inner in (128, 143, 144)] == [1, 1, 2]  # with what is left over
    assert argmax(ZEN_3, 1, 3 << 30, 2, dtype="int8", threads=1).parts == 3


@pytest.mark.parametrize(("operation", "bytes_"), [("softmax", 1 << 17), ("argmax", 1 << 19)])
def test_small_calls_start_no_threads(operation: Operation, bytes_: int) -> None:
    rows = bytes_ // 4000
    found = [plan(ZEN_3, Problem(operation, "float32", (n, 1000, 1), 8)).threads for n in (rows, rows + 1)]
    assert found == [1, 8]


def test_ranges_include_their_ends() -> None:
    ends = [(one.least <= 2 <= one.most) for one in (Range(2, 2), at_least(2), at_most(2), above(2), below(2))]
    assert ends == [True, True, True, False, False]


@pytest.mark.parametrize("machine", MACHINES)
def test_every_array_has_a_plan_that_its_kernel_can_do(machine: Machine) -> None:
    rng = random.Random(0)
    for _ in range(4000):
        size = 2 ** rng.uniform(0, 34)
        n = max(1, int(2 ** rng.uniform(0, math.log2(size + 1))))
        inner = rng.choice([1, 1, max(1, int(2 ** rng.uniform(0, 18)))])
        outer = max(1, int(size / n / inner))
        operation: Operation = rng.choice(["softmax", "argmax"])
        dtype, threads = (
            rng.choice((*FLOATS, "bfloat16") if operation == "softmax" else (*DTYPES, "bfloat16")),
            rng.choice([1, 2, 64]),
        )
        found = plan(machine, Problem(operation, dtype, (outer, n, inner), threads, rng.random() < 0.5))
        regime, lanes = found.regime, 8 if dtype == "float64" else 16
        assert regime in TABLES[operation, inner > 1]
        assert found.parts >= 1
        assert found.tile >= 1
        assert regime.vector_bytes <= machine.vector_bytes
        assert regime.vector_registers <= machine.vector_registers
        if operation == "softmax":
            assert found.tile % lanes == 0
            if regime.streaming:
                assert dtype in ("float32", "float64")
                assert inner in (1, *range(lanes, inner + 1))
            if regime.kernel in ("rows", "pipelined", "split_rows"):
                assert n >= lanes
            if regime.kernel == "registers":
                assert n <= 8 * lanes
                assert dtype in ("float32", "float64")
            if regime.kernel == "split_columns":
                assert n * inner >= 16 * lanes * found.parts
            if regime.in_output:
                assert dtype in ("float32", "float64")
                assert inner >= lanes


def test_every_regime_takes_some_arrays() -> None:
    """A regime behind one that takes all of its arrays would be dead."""
    rng = random.Random(1)
    seen: set[int] = set()
    for _ in range(60_000):
        size = 2 ** rng.uniform(0, 31)
        n = rng.choice([2, 4, 16, 32, 48, 100, max(1, int(2 ** rng.uniform(0, math.log2(size + 1))))])
        inner = rng.choice([1, 1, 16 * rng.randrange(1, 70), max(1, int(2 ** rng.uniform(0, 18)))])
        operation: Operation = rng.choice(["softmax", "argmax"])
        dtype = rng.choice((*FLOATS, "bfloat16") if operation == "softmax" else (*DTYPES, "bfloat16"))
        shape = max(1, int(size / n / inner)), n, inner
        problem = Problem(operation, dtype, shape, rng.choice([1, 2]), rng.random() < 0.5)
        seen.add(id(plan(rng.choice(MACHINES), problem).regime))
    dead = [one for table in TABLES.values() for one in table if id(one) not in seen]
    assert dead == []


def test_traffic() -> None:
    """An ordinary store beyond the caches reads the line first; split rows and columns pass twice."""

    def of(machine: Machine, *shape: int, dtype: str = "float32", threads: int = 2) -> tuple[int, int]:
        outer, n, inner = shape if len(shape) == 3 else (*shape, 1)
        problem = Problem("softmax", dtype, (outer, n, inner), threads)
        return traffic(plan(machine, problem), machine, problem)

    assert of(LAPTOP, 100, 1000) == (1, 1)
    assert of(LAPTOP, 10_000, 1000) == (1, 1)  # non-temporal stores
    assert of(LAPTOP, 10_000, 1000, dtype="float16") == of(LAPTOP, 10_000, 1000, dtype="bfloat16") == (2, 1)
    assert of(LAPTOP, 1 << 20, 10) == (2, 1)
    assert of(ZEN_5, 1, 1 << 24) == (2, 1)  # recomputed
    assert of(ZEN_5, 1, 1 << 24, dtype="float16") == of(ZEN_5, 1, 1 << 24, dtype="bfloat16") == (3, 1)
    assert of(ZEN_5, 1, 100_000) == (2, 2)  # within the caches
    assert of(ZEN_3, 1, 1 << 24, dtype="float64") == (3, 2)
    problem = Problem("argmax", "float32", (100, 1000, 1))
    assert traffic(plan(ZEN_3, problem), ZEN_3, problem) == (1, 0)


def test_a_regime_gives_a_reason_in_one_line() -> None:
    for table in TABLES.values():
        for regime in table:
            assert regime.reason
            assert regime.kernel
            assert len(regime.reason) <= 90
            assert "\n" not in regime.reason
        last = table[-1]
        narrow = [f.name for f in fields(Regime) if isinstance(one := getattr(last, f.name), Range) and one != Range()]
        assert narrow == []
        assert not last.dtypes
        assert last.whole is None
        assert last.beyond is None
