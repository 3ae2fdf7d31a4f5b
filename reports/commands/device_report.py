"""``maxbench device-report``: everything about a GPU, in one command and a given time."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench import device_cells
from impls import contract, registry

from .. import environment, precheck, run_folder, terminal
from ..cli import UsageError
from ..content import gather
from ..device_report import NoDevice, Plan, Report, probe
from ..device_session import Line
from ..progress import Bar
from ..selection import select

SECONDS, LEAST_SECONDS = 480.0, 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``maxbench device-report``."""
    what = parser.add_argument_group("what to measure")
    what.add_argument(
        "--only", action="append", metavar="PATTERN",
        help=f"implementations (default: {', '.join(device_cells.IMPLEMENTATIONS)}); repeatable",
    )  # fmt: skip
    what.add_argument("--operation", choices=sorted(contract.OPERATIONS), help="one operation instead of both")
    what.add_argument("--dtype", action="append", choices=contract.DTYPES, help="only these; repeatable")
    what.add_argument(
        "--simulate", action="store_true",
        help="rehearse everything in Numba's simulator, without a GPU and on tiny inputs: its figures are not ranked",
    )  # fmt: skip
    how = parser.add_argument_group("how")
    how.add_argument(
        "--seconds", type=float, default=SECONDS, metavar="S",
        help="of everything; what is wanted least is left out (default: %(default).0f)",
    )  # fmt: skip
    how.add_argument(
        "--sample-seconds", type=float, default=0.15, metavar="S",
        help="of sampling one implementation on one input (default: %(default)s)",
    )  # fmt: skip
    how.add_argument(
        "--machine", type=run_folder.machine, metavar="NAME", help="its name in results (default: its host name)"
    )
    where = parser.add_argument_group("results")
    where.add_argument(
        "--output", type=Path, metavar="DIR", help=f"a new folder (default: {run_folder.RESULTS}/device-<time>)"
    )
    where.add_argument("--baseline", metavar="NAME", help="the implementation that speed-ups are over")
    where.add_argument("--format", choices=terminal.FORMATS, default="table", help="of the answer on standard output")


def main(args: argparse.Namespace) -> int:
    """0: measured; 1: something is wrong or failed; 2: no GPU, or bad options."""
    if args.seconds < LEAST_SECONDS:
        raise UsageError(f"--seconds {args.seconds:g}: accepted are {LEAST_SECONDS:.0f} and more")
    if args.sample_seconds <= 0:
        raise UsageError(f"--sample-seconds {args.sample_seconds:g}: accepted are positive numbers")
    plan = Plan(
        folder=Path(), entries=_entries(args), dtypes=args.dtype, seconds=args.seconds,
        sample_seconds=args.sample_seconds, simulated=args.simulate, machine=args.machine,
        command=["device-report", *sys.argv[2:]],
    )  # fmt: skip
    try:
        device = probe(plan.variables)
    except NoDevice as error:
        raise UsageError(f"{error}; --simulate rehearses the command without one") from None
    plan.folder = run_folder.new(args.output, "device-")
    noise = precheck.announce(environment.usable_cpus())
    with Bar() as bar:
        found = Report(plan, device, precheck=noise)

        def seen(line: Line, done: int, total: int) -> None:
            bar.show(f"{device['name']}: {line.get('part') or line['event']}", done, total, None)

        found.run(seen)
        bar.show("writing the report", 1, 1, None)
        content = gather([plan.folder], args.baseline)
        unwritten = run_folder.write_report(content, plan.folder)
    return run_folder.conclude(
        content, plan.folder, found.side["implementations"], args.format, found.results.failures, unwritten=unwritten
    )


def _entries(args: argparse.Namespace) -> tuple[registry.Entry, ...]:
    if args.only:
        return select(args.only, args.operation)
    return tuple(e for e in select(None, args.operation) if e.name in device_cells.IMPLEMENTATIONS)
