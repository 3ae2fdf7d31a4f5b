"""Says how `numba_parallel` does a call: regimes that its table tries, bytes that move, the ceiling, the hot loop."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from numba.core import event

from maxbench.impls import load, threads
from maxbench.impls.compilation import Cache
from maxbench.impls.cpu import plan, regimes, tuned
from maxbench.impls.cpu.machine import Machine, this_machine

from ..inputs import workloads
from ..processes.link import Link
from ..processes.messages import Considered, Explained, ExplainJob, Loop
from ..suite import ceiling

_LABELS = {
    "columns": "columns",
    "vectors": "vectors a row",
    "outer": "vectors of rows",
    "inner": "vectors of the inner axis",
    "idle": "threads without a row or tile",
    "part": "elements for each thread",
    "row_l2": "a row in units of the L2",
    "rows_llc": "a row for each thread in units of the last-level cache",
    "tile_l1": "a tile in units of the L1",
    "tile_l2": "a tile in units of the L2",
    "matrix_l1": "x[i] in units of the L1",
}
_SWITCHES = {  # where it is False, and where it is True
    "beyond": ("x and the result fit the last-level cache", "x and the result exceed the last-level cache"),
    "recompute": ("exponentials are stored at this size", "exponentials are computed twice at this size"),
}
_NEEDS = {
    "vector_bytes": "vector registers of {0.vector_bytes} bytes",
    "vector_registers": "{0.vector_registers} vector registers",
    "whole": "rows of whole vectors",
    "aligned": "an aligned output",
}
_LABEL, _JUMP = re.compile(r"^(\.?L\w+):"), re.compile(r"^\s+j\w+\s+(\.?L\w+)")
_VECTOR = re.compile(r"%[xyz]mm\d")
# The exponent of an exponential is shifted to its bits, once a vector.
_EXPONENTIAL = re.compile(r"^\s+v?psll[dq]\s+\$(23|52),.*%[xyz]mm")


def main(link: Link, job: ExplainJob) -> None:
    """Plan, measure the ceiling, and look at the machine code if that is wanted."""
    problem = plan.Problem(job.operation, job.dtype, job.shape, threads.numbas())
    machine = this_machine()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = tuned.table_of(machine, problem)
    chosen = plan.plan(machine, problem, table)
    way, call = ceiling.fastest(job.operation, problem.bytes)
    seconds = ceiling.shortest(call, 0.3)
    reads, writes = plan.traffic(chosen, machine, problem)
    link.say(Explained(
        machine={name: int(value) for name, value in vars(machine).items()}, threads=chosen.threads,
        parts=chosen.parts, tile=chosen.tile if "column" in chosen.regime.kernel else 0,
        considered=[_considered(one, machine, problem) for one in _until(chosen.regime, table)],
        bytes=problem.bytes, reads=reads, writes=writes, ceiling=seconds, way=way,
        loops=list(_loops(job, problem)) if job.code else [], warnings=[str(one.message) for one in caught],
    ))  # fmt: skip


def _until(chosen: regimes.Regime, table: Sequence[regimes.Regime]) -> Iterator[regimes.Regime]:
    for one in table:
        yield one
        if one is chosen:
            return


def _considered(regime: regimes.Regime, machine: Machine, problem: plan.Problem) -> Considered:
    measured = plan.measures(machine, problem)
    ranges = {name: (least, most) for name, least, most in regime.conditions}
    against = []
    for name in plan.misfits(regime, machine, problem, measured):
        if name == "dtypes":
            against.append(f"takes {', '.join(regime.dtypes)}")
        elif name in _SWITCHES:
            against.append(_SWITCHES[name][int(measured[name])])
        elif name in _NEEDS:
            against.append(f"needs {_NEEDS[name].format(regime)}")
        else:
            against.append(f"{_LABELS[name]}: {_number(measured[name])}, takes {_range(*ranges[name])}")
    flags = {
        "non-temporal stores": regime.streaming,
        "two rows at a time": regime.interleave == 2,
        "exponentials in the output": regime.in_output,
        "the best in registers": regime.in_registers,
        f"prefetch of {regime.prefetch} vectors": regime.prefetch > 0,
    }
    variant = ", ".join([regime.kernel.replace("_", " "), *(text for text, holds in flags.items() if holds)])
    return Considered(variant, regime.reason, against)


def _range(least: float, most: float) -> str:
    """A range in words; `regimes.above` and `regimes.below` a number end beside it."""
    if least == most:
        return _number(least)
    low = f"{'above ' if float(f'{least:.3g}') < least else ''}{_number(least)}"
    if most == math.inf:
        return low if low.startswith("above") else f"{low} and more"
    high = f"{'below' if float(f'{most:.3g}') > most else 'up to'} {_number(most)}"
    return high if least == 0 else f"{low}, {high}"


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _loops(job: ExplainJob, problem: plan.Problem) -> Iterator[Loop]:
    """The hottest loop of every kernel that the call compiles: there is no compiled code on disk."""
    kernel = load(job.operation, "numba_parallel").kernel
    x = workloads.scores(job.shape, job.dtype)
    outer, _, inner = job.shape
    out = np.empty_like(x) if job.operation == "softmax" else np.empty((outer, inner), np.int64)
    with event.install_recorder("numba:compile") as recorder:
        kernel.run(x, out)
    seen = set()
    for _, one in recorder.buffer:
        dispatcher = one.data["dispatcher"]
        module = dispatcher.py_func.__module__
        if dispatcher in seen or ".impls.cpu." not in module or not isinstance(dispatcher._cache, Cache):
            continue  # what kernels call is in their own code
        seen.add(dispatcher)
        for text in dispatcher.inspect_asm().values():
            if loop := hottest(text):
                lines, instructions, vectors, exponentials = loop
                name = f"{module.rpartition('.')[2]}.{dispatcher.py_func.__name__}"
                yield Loop(name, instructions, vectors, exponentials, "\n".join(lines))


def hottest(assembly: str) -> tuple[list[str], int, int, int] | None:
    """The loop, or function without loops, with the most exponentials, or else the most instructions of vectors.

    What belongs to loops within a loop does not count for it. Of equals it is the innermost.

    Args:
        assembly: the text of x86 machine code.

    Returns:
        Its text, and how many instructions, instructions of vectors and vectors of exponentials a turn has; None
        without vectors.
    """
    labels: dict[str, int] = {}
    lines: list[str] = []
    loops: list[tuple[int, int]] = []  # where they begin and end, inner ones first
    function = 0
    for line in assembly.splitlines():
        if line.startswith(".Lfunc_end"):
            if not any(begin >= function for begin, _ in loops):
                loops.append((function, len(lines)))
            function = len(lines)
        elif label := _LABEL.match(line):
            labels[label[1]] = len(lines)
        elif line.startswith("\t") and not line.lstrip().startswith((".", "#")):
            lines.append(line.expandtabs(1).rstrip())
            if (jump := _JUMP.match(line)) and jump[1] in labels:
                loops.append((labels[jump[1]], len(lines)))
    best, key = None, (0, 0)
    for begin, end in loops:
        within = {k for first, last in loops if begin <= first and last < end for k in range(first, last)}
        own = [lines[k] for k in range(begin, end) if k not in within]
        vectors = sum(bool(_VECTOR.search(one)) for one in own)
        exponentials = sum(bool(_EXPONENTIAL.match(one)) for one in own)
        if vectors and (exponentials, vectors) > key:
            best, key = (lines[begin:end], len(own), vectors, exponentials), (exponentials, vectors)
    return best
