"""``maxbench device-report``: everything about a GPU, in one command and a given time."""

from __future__ import annotations

import argparse
import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from maxbench.bench.inputs import device_cells
from maxbench.bench.processes import launch
from maxbench.bench.processes.messages import PartBegins, PartDone
from maxbench.impls import contract, registry

from ..measure import run_folder
from ..measure.device.report import NoDevice, Plan, Report, begin, probe
from ..measure.device.session import Line
from ..measure.selection import select
from ..system.progress import Bar
from ..system.usage import INTERRUPTED, UsageError
from . import options

SECONDS, LEAST_SECONDS = 480.0, 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``maxbench device-report``."""
    what = parser.add_argument_group("what to measure")
    options.add(what, "--only", f"(default: {', '.join(device_cells.IMPLEMENTATIONS)})")
    options.add(what, "--operation")
    options.add(what, "--dtype", "; repeatable", choices=contract.DTYPES)
    options.add(what, "--simulate", ", everything on tiny inputs: its figures are not ranked")
    how = parser.add_argument_group("how")
    enough = options.number(f"{LEAST_SECONDS:.0f} and more", lambda value: LEAST_SECONDS <= value < math.inf)
    options.add(how, "--budget", f"(default: {SECONDS:.0f})", type=enough, default=SECONDS)
    options.renamed(how, "--seconds", "--budget")
    options.add(how, "--sample-seconds", "(default: %(default)s)", default=0.15)
    options.add(how, "--machine")
    where = parser.add_argument_group("results")
    options.add(where, "--output", help=f"a new folder (default: {run_folder.RESULTS}/device-<time>)")
    options.add(where, "--baseline")
    options.add(where, "--format")


def main(args: argparse.Namespace) -> int:
    """0: measured; 1: something is wrong or failed; 2: no GPU, or bad options; a signal's: interrupted."""
    begun = time.monotonic()
    plan = Plan(
        folder=Path(), entries=_entries(args), dtypes=args.dtype, seconds=args.budget,
        sample_seconds=args.sample_seconds, simulated=args.simulate, machine=args.machine,
        command=["device-report", *sys.argv[2:]],
    )  # fmt: skip
    with ThreadPoolExecutor(1) as pool:
        record = pool.submit(begin, plan)
        try:
            device = probe(plan.variables)
        except NoDevice as error:
            raise UsageError(f"{error}; --simulate rehearses the command without one") from None
        plan.folder = run_folder.new(args.output, "device-")
    with Bar() as bar:
        found = Report(plan, device, record.result(), begun=begun)

        def seen(line: Line, done: int, total: int) -> None:
            what = line.part if isinstance(line, PartBegins | PartDone) else "checking"
            bar.show(f"{device.name}: {what}", done, total, None)

        try:
            found.run(seen)
        except KeyboardInterrupt as stop:
            bar.__exit__(None, None, None)
            return _interrupted(plan.folder, args.baseline, stop)
        bar.show("writing the report", 1, 1, None)
        from . import conclude

        content, unwritten = conclude.write_report([plan.folder], plan.folder, args.baseline)
    return conclude.conclude(
        content, plan.folder, found.record.implementations, args.format, found.results.failures, unwritten=unwritten
    )


def _interrupted(folder: Path, baseline: str | None, stop: KeyboardInterrupt) -> int:
    """Write the report of what was measured; the exit status."""
    print(f"Interrupted. What was measured is kept in {folder}", file=sys.stderr)
    from . import conclude

    conclude.so_far(folder, baseline)
    return stop.status if isinstance(stop, launch.Stopped) else INTERRUPTED


def _entries(args: argparse.Namespace) -> tuple[registry.Entry, ...]:
    if args.only:
        return select(args.only, args.operation)
    return tuple(e for e in select(None, args.operation) if e.name in device_cells.IMPLEMENTATIONS)
