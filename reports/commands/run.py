"""``maxbench run``: check, measure with asv, report, and print the comparison."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import launch, workloads
from impls import contract, layout

from .. import environment, files, precheck, report, run_folder, terminal
from ..asv_driver import AsvFailed
from ..cli import INTERRUPTED, UsageError
from ..content import gather
from ..measure import Measurement, Plan
from ..progress import Bar
from ..runs import SCHEMA, SIDE_CAR
from ..selection import select


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``maxbench run``."""
    what = parser.add_argument_group("what to measure")
    what.add_argument("--array", type=Path, metavar="FILE", help="your own array: .npy (memory-mapped) or .npz")
    what.add_argument("--key", help="which array of an .npz file")
    what.add_argument("--axis", type=int, help="the axis to reduce (default: the last)")
    what.add_argument("--full", action="store_true", help="the whole grid, 5 rounds")
    what.add_argument(
        "--only",
        action="append",
        metavar="PATTERN",
        help="implementations, e.g. 'numba_*' or softmax.naive; repeatable",
    )
    what.add_argument("--operation", choices=sorted(contract.OPERATIONS), help="one operation instead of both")
    what.add_argument("--dtype", action="append", choices=contract.DTYPES, help="instead of the grid's; repeatable")
    how = parser.add_argument_group("how")
    how.add_argument("--threads", type=int, metavar="N", help="CPU threads for every library (default: all CPUs)")
    how.add_argument(
        "--rounds", type=int, metavar="N", help="processes per cell (default: 5, or what fits a quick run)"
    )
    how.add_argument(
        "--machine", type=run_folder.machine, metavar="NAME", help="its name in results (default: its host name)"
    )
    where = parser.add_argument_group("results")
    where.add_argument(
        "--output", type=Path, metavar="DIR", help=f"a new folder (default: {run_folder.RESULTS}/<date>-<time>)"
    )
    where.add_argument("--resume", type=Path, metavar="DIR", help="go on with an interrupted run, with its own options")
    where.add_argument("--baseline", metavar="NAME", help="the implementation that speed-ups are over")
    where.add_argument("--format", choices=terminal.FORMATS, default="table", help="of the answer on standard output")


def main(args: argparse.Namespace) -> int:
    """Check, measure, report. 0: measured; 1: something is wrong or failed."""
    if args.resume is not None:
        args, resumed = _resume(args)
    else:
        resumed = None
    plan = _plan(args)
    with Bar() as bar:
        try:
            noise = None if resumed else precheck.announce(plan.threads)
            measurement = Measurement(plan, bar, resumed, noise)
            measurement.save()
            if not measurement.side["implementations"]:
                measurement.check()
            if alone := _nothing_to_compare(measurement.side["implementations"]):
                measurement.finish("finished")
                bar.__exit__(None, None, None)
                print(alone, file=sys.stderr)
                return 1
            measurement.measure()
        except AsvFailed as error:
            raise UsageError(str(error)) from None
        except KeyboardInterrupt as stop:
            bar.__exit__(None, None, None)
            return _interrupted(plan, args, stop.status if isinstance(stop, launch.Stopped) else INTERRUPTED)
        bar.show("writing the report", 0, 1, None)
        content = gather([plan.folder], args.baseline)
        unwritten = run_folder.write_report(content, plan.folder)
    return run_folder.conclude(
        content, plan.folder, measurement.side["implementations"], args.format, measurement.failures,
        not_measured=True, unwritten=unwritten,
    )  # fmt: skip


def _nothing_to_compare(implementations: Sequence[Mapping[str, Any]]) -> str:
    """What to say where wrong or failed implementations leave at most one of each operation; else nothing."""
    bad = [one for one in implementations if one["status"] in ("wrong", "failed")]
    left = Counter(one["operation"] for one in implementations if one["status"] == "available")
    if not bad or any(left[operation] > 1 for operation in left):
        return ""
    lines = [f"{one['status']}: {one['operation']}.{one['name']}: {one['reason']}" for one in bad]
    return "\n".join([*lines, "Nothing is left to compare, so nothing was measured."])


def _interrupted(plan: Plan, args: argparse.Namespace, status: int) -> int:
    if not (plan.folder / SIDE_CAR).exists():
        with contextlib.suppress(OSError):
            plan.folder.rmdir()  # where nothing was written into it
        print("Interrupted before anything was measured.", file=sys.stderr)
        return status
    side = json.loads((plan.folder / SIDE_CAR).read_text("utf-8"))
    side["state"] = "interrupted"
    files.write_json(plan.folder / SIDE_CAR, side)
    print(f"Interrupted. What was measured is kept in {plan.folder}", file=sys.stderr)
    if side.get("rounds") or any((plan.folder / "asv" / "results").glob("*/*-*.json")):
        unwritten = run_folder.write_report(gather([plan.folder], args.baseline), plan.folder)
        print(unwritten or f"Report so far: {plan.folder / report.PAGE}", file=sys.stderr)
    print(f"Go on with: maxbench run --resume {shlex.quote(str(plan.folder))}", file=sys.stderr)
    return status


def _plan(args: argparse.Namespace) -> Plan:
    if args.array is None and (args.key is not None or args.axis is not None):
        raise UsageError("--key and --axis belong to --array FILE")
    if args.array is not None and (args.dtype or args.full):
        raise UsageError("--array is measured in its own dtype on its own grid: leave out --dtype and --full")
    threads = environment.usable_cpus() if args.threads is None else args.threads
    if not 1 <= threads <= (os.cpu_count() or 1):
        raise UsageError(f"--threads {threads}: accepted are 1 to {os.cpu_count()}, the CPUs of this machine")
    if args.rounds is not None and args.rounds < 1:
        raise UsageError(f"--rounds {args.rounds}: accepted are 1 and more")
    entries = select(args.only, args.operation)
    names = dict.fromkeys(entry.name for entry in entries)
    if args.baseline is not None and args.baseline not in names:
        raise UsageError(f"--baseline {args.baseline} is not measured: accepted are {', '.join(names)}")
    array, dtypes = None, tuple(args.dtype) if args.dtype else None
    if args.array is not None:
        array, dtypes = _array(args)
    if dtypes is not None:
        kept = tuple(e for e in entries if set(dtypes) & set(contract.OPERATIONS[e.operation].dtypes))
        if not kept:
            raise UsageError(f"no chosen operation takes {', '.join(dtypes)}")
        entries = kept
    return Plan(
        folder=args.resume.resolve() if args.resume is not None else run_folder.new(args.output),
        grid="full" if args.full else "quick",
        entries=entries,
        dtypes=dtypes,
        threads=threads,
        array=array,
        rounds=args.rounds,
        command=_words(args),
        machine=args.machine,
    )


def _array(args: argparse.Namespace) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The user's array for the side-car, and the dtypes its two operations are computed in."""
    try:
        a = workloads.read_array(args.array, args.key)
        name = a.dtype.newbyteorder("=").name
        if name not in contract.DTYPES:
            raise ValueError(f"{args.array}: dtype {a.dtype} is not accepted, only {', '.join(contract.DTYPES)}")
        axis = -1 if args.axis is None else args.axis
        folded = layout.fold(a, axis if a.ndim else None)
    except (OSError, ValueError, np.exceptions.AxisError) as error:
        raise UsageError(str(error)) from None
    if 0 in folded.shape:
        raise UsageError(f"{args.array}: shape {a.shape} holds no elements")
    described = {
        "path": str(args.array.resolve()),
        "key": args.key,
        "axis": axis if a.ndim else None,
        "shape": list(a.shape),
        "dtype": name,
    }
    softmax = name if name in contract.FLOATS else "float64"
    return described, tuple(dict.fromkeys((softmax, name)))


def _words(args: argparse.Namespace) -> list[str]:
    """The options that a resumed run needs again."""
    words = []
    for option in ("array", "key", "axis", "operation", "threads", "rounds", "machine"):
        if (value := getattr(args, option)) is not None:
            words += [f"--{option}", str(value.resolve() if option == "array" else value)]
    for option in ("only", "dtype"):
        words += [word for value in getattr(args, option) or () for word in (f"--{option}", value)]
    return [*words, *(["--full"] if args.full else [])]


def _resume(args: argparse.Namespace) -> tuple[argparse.Namespace, dict[str, Any] | None]:
    """The options of the interrupted run with the new ones for output, and its side-car."""
    folder: Path = args.resume
    given = ("array", "key", "axis", "only", "operation", "dtype", "threads", "rounds", "machine", "output")
    if named := [f"--{o}" for o in given if getattr(args, o) is not None] + (["--full"] if args.full else []):
        raise UsageError(f"--resume goes on with the run's own options: leave out {', '.join(named)}")
    try:
        side = json.loads((folder / SIDE_CAR).read_text("utf-8"))
        if not isinstance(side, dict) or side.get("schema") != SCHEMA or not isinstance(side.get("command"), list):
            raise ValueError(f"not a side-car of schema {SCHEMA}")
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder}: no run to go on with: {folder / SIDE_CAR}: {error}") from None
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    again = parser.parse_args([*map(str, side["command"]), "--resume", str(folder)])
    again.baseline, again.format = args.baseline, args.format
    if environment.source()["content"] != side["source"]["content"]:
        raise UsageError(f"{folder} was measured with other code, at {side['source']['commit']}: start a new run")
    return again, side
