"""``maxbench side-by-side``: `numba_parallel` and its peers in turn, with several numbers of threads."""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

from bench import workloads
from impls import contract

from .. import environment, files, precheck, report, run_folder, side_by_side
from ..cli import ERROR, UsageError
from ..content import gather
from ..progress import Bar

TABLE = "side-by-side.md"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``maxbench side-by-side``."""
    cpus = environment.usable_cpus()
    what = parser.add_argument_group("what to measure")
    what.add_argument("--operation", action="append", choices=sorted(contract.OPERATIONS), help="one instead of both")
    what.add_argument(
        "--dtype", action="append", choices=contract.FLOATS, help="instead of float32 and float64; repeatable"
    )
    what.add_argument("--case", default="", metavar="EXPRESSION", help="only inputs whose name it matches")
    what.add_argument(
        "--step", type=int, default=1, metavar="K", help="of the sweeps over n: every so many-th power of two"
    )
    how = parser.add_argument_group("how")
    how.add_argument(
        "--threads", type=int, nargs="+", default=sorted({1, cpus}), metavar="N", help="(default: 1 and all CPUs)"
    )
    how.add_argument("--processes", type=int, default=3, metavar="N", help="of each (default: 3)")
    how.add_argument("--rounds", type=int, default=3, metavar="N", help="in each process (default: 3)")
    how.add_argument(
        "--machine", type=run_folder.machine, metavar="NAME", help="its name in results (default: its host name)"
    )
    where = parser.add_argument_group("results")
    where.add_argument(
        "--output", type=Path, metavar="DIR", help=f"a new folder (default: {run_folder.RESULTS}/side-by-side-<time>)"
    )


def main(args: argparse.Namespace) -> int:
    """0: measured; 1: something is wrong or failed; 2: bad options."""
    cpus = environment.usable_cpus()
    if bad := [n for n in args.threads if not 1 <= n <= cpus]:
        raise UsageError(f"--threads {bad[0]}: accepted are 1 to {cpus}, the CPUs that may be used here")
    for option in ("step", "processes", "rounds"):
        if getattr(args, option) < 1:
            raise UsageError(f"--{option} {getattr(args, option)}: accepted are 1 and more")
    try:
        re.compile(args.case)
    except re.error as error:
        raise UsageError(f"--case {args.case!r} is not a regular expression: {error}") from None
    plan = side_by_side.Plan(
        folder=Path(), operations=args.operation or list(contract.OPERATIONS),
        dtypes=args.dtype or ["float32", "float64"], threads=sorted(set(args.threads)), case=args.case,
        step=args.step, rounds=args.rounds, processes=args.processes, machine=args.machine,
        command=["side-by-side", *sys.argv[2:]],
    )  # fmt: skip
    if not plan.cells:
        known = ", ".join(name for name, _ in workloads.cells())
        raise UsageError(f"--case {args.case!r} matches no input: they are {known}")
    plan.folder = run_folder.new(args.output, "side-by-side-")
    noise = precheck.announce(max(plan.threads))
    begun = time.monotonic()
    with Bar() as bar:

        def seen(cell: str, done: int, total: int) -> None:
            bar.show(cell, done, total, (time.monotonic() - begun) / done * (total - done))

        folders, found = side_by_side.run(plan, seen, noise)
        bar.show("writing the report", 1, 1, None)
        lines = side_by_side.table(found)
        files.write_bytes(plan.folder / TABLE, ("\n".join(lines).strip() + "\n").encode())
        unwritten = run_folder.write_report(gather(folders), plan.folder)
    print("\n".join(lines))
    print(unwritten or f"\nReport: {plan.folder / report.PAGE}", file=sys.stderr)
    wrong = {(t.operation, t.implementation, t.remark): t for t in found if t.status != "ok"}
    for t in wrong.values():
        print(f"{t.status}: {t.operation}.{t.implementation}, {t.dtype} {t.case}: {t.remark}", file=sys.stderr)
    return ERROR if unwritten else 1 if wrong else 0
