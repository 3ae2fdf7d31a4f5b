"""``maxbench side-by-side``: `numba_parallel` and its peers in turn, with several numbers of threads."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from maxbench.bench.inputs import workloads
from maxbench.impls import contract

from ..measure import environment, precheck, run_folder
from ..measure.selection import matches
from ..measure.side_by_side import session
from ..system import files
from ..system.progress import Bar
from ..system.usage import ERROR, UsageError
from . import options

TABLE = "side-by-side.md"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``maxbench side-by-side``."""
    what = parser.add_argument_group("what to measure")
    options.add(what, "--operation")
    options.add(what, "--dtype", "; repeatable (default: float32 and float64)", choices=contract.FLOATS)
    options.add(what, "--input")
    options.renamed(what, "--case", "--input, which takes a pattern with * and ? and no regular expression")
    what.add_argument(
        "--step", type=options.count, default=1, metavar="K", help="of the sweeps over n: every so many-th power of two"
    )
    how = parser.add_argument_group("how")
    cpus = sorted({1, environment.usable_cpus()})
    options.add(how, "--threads", "; several in turn (default: 1 and all CPUs)", nargs="+", default=cpus)
    options.add(how, "--processes", "(default: 3)", default=3)
    options.add(how, "--samples", "(default: 3)", default=3)
    options.renamed(how, "--rounds", "--samples (samples that a process takes), or --processes")
    options.add(how, "--machine")
    where = parser.add_argument_group("results")
    options.add(where, "--output", help=f"a new folder (default: {run_folder.RESULTS}/side-by-side-<time>)")


def main(args: argparse.Namespace) -> int:
    """0: measured; 1: something is wrong or failed; 2: bad options."""
    names = [name for name, _ in workloads.cells(args.step)]
    for pattern in args.input or ():
        if not any(matches(pattern, name) for name in names):
            raise UsageError(f"--input {pattern!r} matches no input: they are {', '.join(names)}")
    plan = session.Plan(
        folder=Path(), operations=[args.operation] if args.operation else list(contract.OPERATIONS),
        dtypes=args.dtype or ["float32", "float64"], threads=sorted(set(args.threads)), inputs=args.input or (),
        step=args.step, samples=args.samples, processes=args.processes, machine=args.machine,
        command=["side-by-side", *sys.argv[2:]],
    )  # fmt: skip
    plan.folder = run_folder.new(args.output, "side-by-side-")
    noise = precheck.announce(max(plan.threads))
    begun = time.monotonic()
    with Bar() as bar:

        def seen(cell: str, done: int, total: int) -> None:
            bar.show(cell, done, total, (time.monotonic() - begun) / done * (total - done))

        folders, found = session.run(plan, seen, noise)
        bar.show("writing the report", 1, 1, None)
        from ..measure.side_by_side.table import table
        from ..show.report import PAGE
        from . import conclude

        lines = table(found)
        files.write_bytes(plan.folder / TABLE, ("\n".join(lines).strip() + "\n").encode())

        _, unwritten = conclude.write_report(folders, plan.folder)
    print("\n".join(lines))
    print(unwritten or f"\nReport: {plan.folder / PAGE}", file=sys.stderr)
    wrong = {(t.operation, t.implementation, t.remark): t for t in found if t.status != "ok"}
    for t in wrong.values():
        print(f"{t.status}: {t.operation}.{t.implementation}, {t.dtype} {t.case}: {t.remark}", file=sys.stderr)
    return ERROR if unwritten else 1 if wrong else 0
