"""``maxbench run``: check, measure with asv, report, and print the comparison."""

from __future__ import annotations

import argparse
import contextlib
import math
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from maxbench.bench.inputs import array_files
from maxbench.bench.processes import launch
from maxbench.impls import contract, layout

from ..measure import environment, precheck, run_folder
from ..measure.asv_driver import AsvFailed
from ..measure.run import Measurement, Plan
from ..measure.selection import select
from ..records import journal
from ..records import run as run_record
from ..records.reading import Problems
from ..records.run import FILE as RECORD
from ..records.run import Array, Implementation, RunRecord
from ..system import lock
from ..system.progress import Bar
from ..system.usage import INTERRUPTED, UsageError
from . import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``maxbench run``."""
    what = parser.add_argument_group("what to measure")
    what.add_argument("--array", type=Path, metavar="FILE", help="your own array: .npy (memory-mapped) or .npz")
    what.add_argument("--key", help="which array of an .npz file")
    what.add_argument("--shape", type=options.shape, metavar="SHAPE", help="an array of this shape, as 64x1000")
    options.add(what, "--axis", "; of --array and --shape")
    what.add_argument("--full", action="store_true", help="the whole grid, in 5 processes")
    options.add(what, "--only", "; of implementations")
    options.add(what, "--operation")
    options.add(what, "--dtype", "; repeatable", choices=contract.DTYPES)
    how = parser.add_argument_group("how")
    options.add(how, "--threads", "(default: all CPUs)")
    # What `--resume` finds in the records of earlier versions.
    options.add(how, "--processes", "(default: 5, or what fits a quick run)", also=("--rounds",))
    options.add(how, "--machine")
    where = parser.add_argument_group("results")
    options.add(where, "--output", help=f"a new folder (default: {run_folder.RESULTS}/<date>-<time>)")
    where.add_argument("--resume", type=Path, metavar="DIR", help="go on with an interrupted run, with its own options")
    options.add(where, "--baseline")
    options.add(where, "--format")


def main(args: argparse.Namespace) -> int:
    """Check, measure, report. 0: measured; 1: something is wrong or failed."""
    if args.resume is not None:
        args, resumed = _resume(args)
    else:
        resumed = None
    plan = _plan(args)
    try:
        return _measure(plan, args, resumed)
    except (OSError, MemoryError) as error:
        how = f"What was measured is kept; go on with: {_again(plan)}" if (plan.folder / RECORD).exists() else ""
        raise UsageError(f"{plan.folder}: {str(error) or 'not enough memory'}. {how}".rstrip()) from None
    finally:
        lock.drop(plan.folder)


def _measure(plan: Plan, args: argparse.Namespace, resumed: RunRecord | None) -> int:
    with Bar() as bar:
        try:
            noise = None if resumed else precheck.announce(plan.threads)
            with Measurement(plan, bar, resumed, noise) as measurement:
                measurement.save()
                if not measurement.begun:  # what failed there may have lacked memory
                    measurement.check()
                if alone := _nothing_to_compare(measurement.record.implementations):
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
        from . import conclude

        content, unwritten = conclude.write_report([plan.folder], plan.folder, args.baseline)
    return conclude.conclude(
        content, plan.folder, measurement.record.implementations, args.format, measurement.failures,
        not_measured=True, unwritten=unwritten,
    )  # fmt: skip


def _nothing_to_compare(implementations: Sequence[Implementation]) -> str:
    """What to say where wrong or failed implementations leave at most one of each operation; else nothing."""
    bad = [one for one in implementations if one.status in ("wrong", "failed")]
    left = Counter(one.operation for one in implementations if one.status == "available")
    if not bad or any(left[operation] > 1 for operation in left):
        return ""
    lines = [f"{one.status}: {one.operation}.{one.name}: {one.reason}" for one in bad]
    return "\n".join([*lines, "Nothing is left to compare, so nothing was measured."])


def _interrupted(plan: Plan, args: argparse.Namespace, status: int) -> int:
    if not (plan.folder / RECORD).exists():
        with contextlib.suppress(OSError):  # where nothing was written into it
            lock.drop(plan.folder)
            plan.folder.rmdir()
        print("Interrupted before anything was measured.", file=sys.stderr)
        return status
    if (record := run_record.load(plan.folder, Problems(plan.folder))) is not None:
        record.state = "interrupted"
        record.save(plan.folder)
    print(f"Interrupted. What was measured is kept in {plan.folder}", file=sys.stderr)
    if (plan.folder / journal.FILE).exists():
        from . import conclude

        conclude.so_far(plan.folder, args.baseline)
    print(f"Go on with: {_again(plan)}", file=sys.stderr)
    return status


def _again(plan: Plan) -> str:
    return f"maxbench run --resume {shlex.quote(str(plan.folder))}"


def _plan(args: argparse.Namespace) -> Plan:
    if args.array is None and (args.key is not None or (args.axis is not None and args.shape is None)):
        raise UsageError("--key belongs to --array FILE, --axis to it or to --shape SHAPE")
    if args.array is not None and (args.dtype or args.full or args.shape is not None):
        raise UsageError("--array is measured in its own dtype and shape: leave out --dtype, --full and --shape")
    if args.shape is not None and (args.full or len(args.dtype or ()) > 1):
        raise UsageError("--shape is measured in one dtype on its own grid: give one --dtype, and leave out --full")
    threads = environment.usable_cpus() if args.threads is None else args.threads
    entries = select(args.only, args.operation)
    names = dict.fromkeys(entry.name for entry in entries)
    if args.baseline is not None and args.baseline not in names:
        raise UsageError(f"--baseline {args.baseline} is not measured: accepted are {', '.join(names)}")
    array, dtypes = None, tuple(args.dtype) if args.dtype else None
    if args.array is not None or args.shape is not None:
        array, dtypes = _array(args)
    if dtypes is not None:
        kept = tuple(e for e in entries if set(dtypes) & set(contract.OPERATIONS[e.operation].dtypes))
        if not kept:
            raise UsageError(f"no chosen operation takes {', '.join(dtypes)}")
        entries = kept
    return Plan(
        folder=args.resume if args.resume is not None else run_folder.new(args.output),
        grid="full" if args.full else "quick",
        entries=entries,
        dtypes=dtypes,
        threads=threads,
        array=array,
        rounds=args.processes,
        command=_words(args),
        machine=args.machine,
    )


def _array(args: argparse.Namespace) -> tuple[Array, tuple[str, ...]]:
    """The user's array for the record, and the dtypes its two operations are computed in."""
    try:
        if args.shape is not None:
            shape, name, path = args.shape, (args.dtype or ["float32"])[0], None
            needed, most = 2 * math.prod(shape) * np.dtype(name).itemsize, launch.limit_bytes()
            if needed > most:
                raise ValueError(
                    f"--shape takes {needed:,} bytes with a result, more than a process may have, {most:,}"
                )
        else:
            a = array_files.read_array(args.array, args.key)
            shape, name, path = a.shape, a.dtype.newbyteorder("=").name, str(args.array.resolve())
        if name not in contract.DTYPES:
            raise ValueError(f"{args.array}: dtype {name} is not accepted, only {', '.join(contract.DTYPES)}")
        axis = None if shape == () else -1 if args.axis is None else args.axis
        if 0 in layout.fold_shape(shape, axis).shape:
            raise ValueError(f"{args.array}: shape {shape} holds no elements")
    except (OSError, ValueError, np.exceptions.AxisError) as error:
        raise UsageError(str(error)) from None
    described = Array(path=path, key=args.key, axis=axis, shape=list(shape), dtype=name)
    softmax = name if name in contract.FLOATS else "float64"
    return described, tuple(dict.fromkeys((softmax, name)))


def _words(args: argparse.Namespace) -> list[str]:
    """The options that a resumed run needs again."""
    words = []
    for option in ("array", "key", "axis", "operation", "threads", "processes", "machine"):
        if (value := getattr(args, option)) is not None:
            words += [f"--{option}", str(value.resolve() if option == "array" else value)]
    if args.shape is not None:
        words += ["--shape", "x".join(map(str, args.shape))]
    for option in ("only", "dtype"):
        words += [word for value in getattr(args, option) or () for word in (f"--{option}", value)]
    return [*words, *(["--full"] if args.full else [])]


def _resume(args: argparse.Namespace) -> tuple[argparse.Namespace, RunRecord]:
    """The options of the interrupted run with the new ones for output, and its record."""
    given = ("array", "key", "shape", "axis", "only", "operation", "dtype", "threads", "processes", "machine", "output")
    if named := [f"--{o}" for o in given if getattr(args, o) is not None] + (["--full"] if args.full else []):
        raise UsageError(f"--resume goes on with the run's own options: leave out {', '.join(named)}")
    folder = run_folder.again(args.resume)
    problems = Problems(folder)
    record = run_record.load(folder, problems)
    # A field that is left out would have another run resumed.
    if record is None or problems.found:
        why = "; ".join(problems.lines()) or f"it has no {run_record.FILE}"
        raise UsageError(f"{folder}: no run to resume: {why}")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    again = parser.parse_args([*record.command, "--resume", str(folder)])
    again.baseline, again.format = args.baseline, args.format
    if environment.source().content != record.source.content:
        raise UsageError(f"{folder} was measured with other code, at {record.source.commit}: start a new run")
    return again, record
