"""``maxbench gate``: did a change make an implementation slower?"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from ..analysis import doubts
from ..gate import calibration, formats, run, sources, table, trees
from ..gate.verdicts import INCONCLUSIVE, Rule
from ..measure import environment, precheck
from ..system.progress import Bar
from ..system.usage import ERROR, UsageError
from . import options

OUTPUT = Path("maxbench-results/gate")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``maxbench gate``."""
    parser.epilog = (
        "Exit status: 0 no regression; 1 a regression; 2 an error, a wrong or failing implementation, or nothing that "
        "could be compared; 3 inconclusive."
    )
    parser.add_argument("base", nargs="?", metavar="BASE", help=f"what to compare with: {trees.ACCEPTED[13:]}")
    parser.add_argument("head", nargs="?", metavar="HEAD", default=".", help="what may be slower (default: .)")
    options.add(parser, "--repository")
    what = parser.add_argument_group("what to measure")
    options.add(what, "--only", "; of benchmarks, as they are printed", default=[])
    what.add_argument("--instructions", action="store_true", help="also count instructions under valgrind (Linux)")
    what.add_argument("--no-timing", action="store_true", help="with --instructions: count only, on any noisy machine")
    what.add_argument("--no-starts", action="store_true", help="leave out compile and first-call times")
    how = parser.add_argument_group("how")
    options.add(how, "--threshold", "(default: 2.5)", type=options.positive, default=2.5)
    how.add_argument(
        "--confidence",
        type=options.number("numbers between 50 and 100", lambda value: 50 < value < 100),
        default=95.0,
        metavar="PERCENT",
        help="of all intervals (default: 95)",
    )
    options.add(how, "--budget", "(default: 180)", default=180.0)
    options.add(how, "--output", default=OUTPUT, help=f"for files (default: {OUTPUT})")
    how.add_argument("--allow-inconclusive", action="store_true", help="exit with 0 where it would be 3")
    proof = parser.add_argument_group("proof of the gate")
    proof.add_argument(
        "--calibrate",
        action="store_true",
        help="measure false alarms and detection on this machine instead (BASE defaults to the installed version)",
    )
    proof.add_argument(
        "--calibration", type=Path, metavar="FILE", help="where measurements add up over calls (default: in --output)"
    )


def main(args: argparse.Namespace) -> int:
    """Compare, print, write the files; the exit status is the verdict."""
    began = time.monotonic()
    if args.calibrate:
        return _calibrate(args)
    if args.no_timing and not args.instructions:
        raise UsageError("--no-timing leaves nothing to do without --instructions")
    if args.base is None:
        raise UsageError(f"BASE is missing: {trees.ACCEPTED}")
    chosen = run.Options(
        base=args.base,
        head=args.head,
        repository=args.repository,
        only=tuple(args.only),
        rule=_rule(args),
        began=began,
        seconds=args.budget,
        timing=not args.no_timing,
        starts=not args.no_starts,
        instructions=args.instructions,
    )
    formats.check(args.output)
    try:
        with tempfile.TemporaryDirectory(prefix="maxbench-gate-") as folder, Bar() as bar:
            noise = precheck.announce(environment.usable_cpus())
            outcome = run.compare(chosen, Path(folder), bar)
            outcome.notes.insert(0, doubts.line(noise))
    except (trees.SourceError, ValueError) as error:
        formats.write_error(str(error), chosen.base, chosen.head, args.output)
        raise UsageError(str(error)) from None
    except Exception as error:  # a pull request must be told of our own faults as well
        formats.write_error(f"{type(error).__name__}: {error}", chosen.base, chosen.head, args.output)
        raise
    table.show(outcome, args.output)
    try:
        formats.write(outcome, args.output)
    except OSError as error:  # the verdict is known, and a regression stays one
        print(f"maxbench gate: the files could not be written: {error}", file=sys.stderr)
        return outcome.status or ERROR
    return 0 if args.allow_inconclusive and outcome.status == INCONCLUSIVE else outcome.status


def _rule(args: argparse.Namespace) -> Rule:
    return Rule(threshold=args.threshold / 100, confidence=args.confidence / 100)


def _calibrate(args: argparse.Namespace) -> int:
    """Measure for --budget seconds more, and print the proof from all that was ever measured here.

    0: a threshold with few enough false alarms and enough detection is shown; 3: not yet, or there is none.
    """
    record = args.calibration or args.output / calibration.RECORD
    _check_record(record)
    table.check_proof(args.output)
    spec = args.base or trees.INSTALLED
    try:
        with tempfile.TemporaryDirectory(prefix="maxbench-gate-") as name, Bar() as bar:
            folder = Path(name)
            repository = trees.repository(args.repository) if spec != trees.INSTALLED else sources.PACKAGE.parent
            version = sources.build("base", spec, repository, folder / "base")
            calibration.measure(version, folder, record, args.budget, bar, args.only)
    except (trees.SourceError, ValueError) as error:
        raise UsageError(str(error)) from None
    return table.show_proof(calibration.prove(record, _rule(args)), args.output)


def _check_record(record: Path) -> None:
    """Measurements are added to a file that holds such, and to no other.

    Raises:
        UsageError: it holds something else.
    """
    if record.is_file():
        with open(record, "rb") as file:
            start = file.read(len(calibration.FIRST_WORDS))
        if not start or start == calibration.FIRST_WORDS:
            return
    elif not record.exists():
        return
    raise UsageError(f"{record} holds no measurements of the gate: name another file by --calibration")
