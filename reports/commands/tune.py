"""``maxbench tune``: time the kernels of our own implementations on this machine, and keep where others are faster."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from maxbench.bench.processes.messages import Timed
from maxbench.impls import contract
from maxbench.impls.cpu import tuned
from maxbench.impls.cpu.machine import this_machine
from maxbench.impls.cpu.regimes import LIMITS

from ..measure import environment, precheck, tuning
from ..show.console import show_grid
from ..show.grid import Grid, Item
from ..system import files, text
from ..system.progress import Bar
from ..system.usage import ERROR, NO_HOME, UsageError
from . import options, tune_cuda


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``maxbench tune``."""
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu",
        help="numba_parallel on the CPU, or numba_cuda on this GPU (default: cpu)",
    )  # fmt: skip
    options.add(parser, "--budget", "and keeps the built-in choice (default: %(default).0f)", default=600.0)
    options.renamed(parser, "--seconds", "--budget")
    options.add(
        parser, "--output", metavar="FILE",
        help="where to write the table (default: where it is found again, in the user's cache folder)",
    )  # fmt: skip
    cpu = parser.add_argument_group("on the CPU")
    options.add(cpu, "--operation")
    options.add(cpu, "--dtype", "; repeatable (default: float32 and float64)")
    options.add(cpu, "--threads", "(default: all)")
    options.add(cpu, "--format")
    cuda = parser.add_argument_group("on a GPU")
    options.add(cuda, "--sample-seconds", "(default: 0.02)")
    options.add(cuda, "--simulate", ", on a few tiny inputs; the table is written to --output only")


def main(args: argparse.Namespace) -> int:
    """0: the table is written; 1: a kernel was wrong; 2: no GPU, bad options, or a process that crashed."""
    others = ("operation", "dtype", "threads") if args.device == "cuda" else ("sample_seconds", "simulate")
    for name in others:
        if getattr(args, name):
            raise UsageError(f"--{name.replace('_', '-')} is not for --device {args.device}")
    if args.device == "cuda":
        args.sample_seconds = args.sample_seconds or 0.02
        return tune_cuda.main(args)
    operations = [args.operation] if args.operation else list(contract.OPERATIONS)
    dtypes = list(dict.fromkeys(args.dtype or ["float32", "float64"]))
    for dtype in dtypes:
        for operation in operations:
            if dtype not in (taken := contract.OPERATIONS[operation].dtypes) or dtype in contract.WIDER:
                accepted = ", ".join(name for name in taken if name not in contract.WIDER)
                raise UsageError(f"--dtype {dtype!r}: {operation} takes {accepted}")
    machine = this_machine()
    if args.output is None and NO_HOME in os.environ and not os.environ.get("XDG_CACHE_HOME"):
        raise UsageError("this user has no home folder to keep the table in: name a file by --output")
    path = tuned.machine_file(machine)
    if args.output is not None:
        path = tune_cuda.checked(args.output, "machine", "regimes", "CPU")
    threads = args.threads or environment.usable_cpus()
    precheck.announce(threads)
    wanted = [(operation, dtype) for operation in LIMITS if operation in operations for dtype in dtypes]
    lengths = len(tuning.LENGTHS) * 2 * len(wanted)
    done: set[tuple[str, str, bool, int]] = set()
    with Bar() as bar:

        def seen(one: Timed) -> None:
            done.add((one.operation, one.dtype, one.beyond, one.n))
            bar.show(f"{one.operation} of {one.n:,} columns in {one.dtype}", len(done), lengths, None)

        found = tuning.tune(wanted, threads, args.budget, seen)
    for failure in (*found.failures, *found.wrong):
        print(failure, file=sys.stderr)
    if found.failures:
        return ERROR
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(path, tuned.as_json(found.found, machine))
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    _print(found, path, args)
    return 1 if found.wrong else 0


def _print(found: tuning.Tuned, path: Path, args: argparse.Namespace) -> None:
    rows = [
        [
            Item(one.operation),
            Item(one.dtype),
            Item(f"{one.columns[0]:,}" if len(set(one.columns)) == 1 else f"{one.columns[0]:,} to {one.columns[1]:,}"),
            Item("whole vectors" if one.whole else "others"),
            Item("beyond" if one.beyond else "within"),
            Item(", ".join(filter(None, [
                one.variant.kernel.replace("_", " "), "non-temporal stores" * one.variant.streaming,
                "two rows at a time" * (one.variant.interleave == 2), f"prefetch of {one.variant.prefetch} vectors" * (
                    one.operation == "argmax" and one.variant.kernel == "rows"),
            ]))),
            Item(text.factor(one.gain), one.gain, "best"),
        ]
        for one in found.found
    ]  # fmt: skip
    columns = ["operation", "dtype", "columns", "rows of", "last-level cache", "kernel", "over the built-in choice"]
    count = len({(one.operation, one.dtype, one.beyond, one.n) for one in found.timed})
    sentence = (
        f"in {len(rows)} ranges of columns another kernel is faster than the built-in choice, by 3% or more"
        if rows else "the built-in choice is the fastest everywhere, within 3%"
    )  # fmt: skip
    notes = [
        f"{text.plural(count, 'row length')} timed; a gain is the least over sizes, numbers of threads and alignments",
        *(f"no time was left for {what}: the built-in choice stays" for what in found.left),
        f"table of this machine: {path.resolve()}",
    ]
    show_grid(Grid("tuned", "Faster here", columns, rows), args.format, [sentence], notes, sys.stdout)
