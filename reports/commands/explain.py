"""``maxbench explain``: which kernel of `numba_parallel` takes an array here, why, and what bounds its time."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from typing import Any

import msgspec

from maxbench.bench.processes.crew import Crew
from maxbench.bench.processes.messages import Explained, ExplainJob, Loop
from maxbench.impls import contract
from maxbench.impls.layout import fold_shape

from ..measure import environment
from ..show.console import show_grid
from ..show.grid import Grid, Item
from ..system import text
from ..system.usage import ERROR, UsageError
from . import options

SECONDS = 300.0  # compiling everything anew takes half a minute


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``maxbench explain``."""
    parser.add_argument("operation", choices=sorted(contract.OPERATIONS), metavar="OPERATION", help="softmax or argmax")
    parser.add_argument("shape", type=options.shape, metavar="SHAPE", help="of the array, as 64x1000")
    options.add(parser, "--axis", default=-1)
    options.add(parser, "--dtype", "(default: float32)", action="store", default="float32")
    options.add(parser, "--threads", "(default: all)")
    parser.add_argument("--asm", action="store_true", help="compile it, and show the hottest loop of every kernel")
    options.add(parser, "--format")


def main(args: argparse.Namespace) -> int:
    """0: explained; 2: it cannot be."""
    operation = contract.OPERATIONS[args.operation]
    dtype = contract.WIDER.get(args.dtype, args.dtype)
    if dtype not in operation.dtypes:
        raise UsageError(f"--dtype {args.dtype!r}: {args.operation} takes {', '.join(operation.dtypes)}")
    try:
        folded = fold_shape(args.shape, args.axis).shape
    except ValueError as error:  # AxisError is one
        raise UsageError(f"--axis {args.axis}: {error}") from None
    variables = environment.measuring(args.threads or environment.usable_cpus())
    if environment.CPU_TABLE not in os.environ:
        del variables[environment.CPU_TABLE]  # what a call takes, and not what the commands measure
    cache = tempfile.mkdtemp(prefix="maxbench-explain-") if args.asm else None
    try:
        if cache is not None:
            variables["NUMBA_CACHE_DIR"] = cache  # code from disk cannot be looked at
        with Crew() as crew:
            work = crew.run(ExplainJob(args.operation, dtype, folded, args.asm), env=variables, seconds=SECONDS)
    finally:
        if cache is not None:
            shutil.rmtree(cache, ignore_errors=True)
    if not (found := work.those(Explained)):
        print(f"maxbench explain: {work.failure}", file=sys.stderr)
        return ERROR
    for warning in found[0].warnings:
        print(f"maxbench explain: {warning}", file=sys.stderr)
    _print(found[0], args, folded, dtype)
    return 0


def _print(found: Explained, args: argparse.Namespace, folded: tuple[int, int, int], dtype: str) -> None:
    if args.format == "json":
        print(json.dumps({"shape": folded, "dtype": dtype, **msgspec.to_builtins(found)}, indent=2))
        return
    rows = [
        [Item(str(number)), Item(one.regime, mark="" if one.against else "best"), Item(one.reason),
         Item("; ".join(one.against) or "chosen", mark="missing" if one.against else "best")]
        for number, one in enumerate(found.considered, 1)
    ]  # fmt: skip
    grid = Grid("regimes", "Regimes", ["", "kernel", "what for", "why not"], rows)
    show_grid(grid, args.format, _sentences(found, args, folded, dtype), _notes(found, args), sys.stdout)
    for loop in found.loops if args.format == "table" else []:
        print(f"\n{_of_loop(loop)}\n{loop.code}")


def _sentences(found: Explained, args: argparse.Namespace, folded: tuple[int, int, int], dtype: str) -> list[str]:
    outer, n, inner = folded
    layout = (
        f"{outer:,} × {n:,} × {inner:,} (outer, reduced, inner)"
        if inner > 1
        else f"{text.plural(outer, 'row')} of {n:,}"
    )
    threads = text.plural(found.threads, "thread")
    how = [f"{found.parts} parts"] * (found.parts > 1) + [f"tiles of {found.tile} columns"] * (found.tile > 0)
    chosen = found.considered[-1]
    by_way = "" if dtype == args.dtype else f", by way of {dtype}"
    return [
        f"{args.operation} of {layout} in {args.dtype}{by_way}: {', '.join([chosen.regime, threads, *how])}",
        f"{chosen.regime}: {chosen.reason}",
    ]


def _notes(found: Explained, args: argparse.Namespace) -> list[str]:
    softmax = args.operation == "softmax"
    moved = found.bytes * (2 if softmax else 1)
    # What is moved beyond a read and a write takes as long as in a copy.
    factor = (found.reads + found.writes) / (2 if softmax else 1)
    facts: dict[str, Any] = found.machine
    caches = ", ".join(f"{name.upper()} {text.size(facts[name])}" for name in ("l1", "l2", "llc"))
    traffic = f"x is read {_times(found.reads)}" + (f" and as much written {_times(found.writes)}" if softmax else "")
    ceiling = f"{text.seconds(found.ceiling)}, {moved / found.ceiling / 1e9:.3g} GB/s ({found.way})"
    bound = f"at that rate the call takes {text.seconds(found.ceiling * factor)} at least"
    if softmax and 2 * found.bytes < facts["llc"]:
        bound += "; within the caches its exponentials take longer than its bytes"
    about = (
        f"{facts['vector_registers']} vector registers of {facts['vector_bytes']} bytes; caches to count on: {caches}"
    )
    if not factor:
        return [about, "x is not read"]
    return [
        about,
        f"{traffic}: {text.size(round((found.reads + found.writes) * found.bytes))}",
        f"a {'copy' if softmax else 'read'} of x took {ceiling} here; {bound}",
        *map(_of_loop, found.loops if args.format != "table" else []),
    ]


def _times(count: float) -> str:
    return "once" if count == 1 else "twice" if count == 2 else f"{count:g} times"


def _of_loop(loop: Loop) -> str:
    of = f"{loop.kernel}: {loop.instructions} instructions in its hottest loop, {loop.vectors} of them of vectors"
    if not loop.exponentials:
        return of
    return f"{of}; {loop.instructions / loop.exponentials:.1f} for each of {loop.exponentials} vectors of exponentials"
