"""``maxbench report``: write the report of stored results again, and show its answer."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..system.usage import UsageError
from . import options

DEFAULT = Path("maxbench-results")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``maxbench report``."""
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="DIR",
        help=f"folders that `maxbench run` wrote, or asv's results folders; several are shown side by side "
        f"(default: {DEFAULT})",
    )  # fmt: skip
    options.add(
        parser, "--output",
        help="where to write the report (default: into the folder of the results; report/ beside them for asv's)",
    )  # fmt: skip
    options.add(parser, "--baseline")
    options.add(parser, "--format")


def main(args: argparse.Namespace) -> int:
    """Write the report; returns the exit status."""
    from ..analysis.content import gather
    from ..records.run import FILE as RECORD
    from ..records.runs import NoResults
    from ..show import report, terminal  # pandas and Matplotlib, which --help does without
    from ..system.output_folder import InTheWay

    folders: list[Path] = args.folders or [DEFAULT]
    try:
        content = gather(folders, args.baseline)
    except (NoResults, ValueError) as error:
        raise UsageError(str(error)) from None
    if args.output is not None:
        output = args.output
    elif len(folders) == 1 and (folders[0] / RECORD).exists():
        output = folders[0]
    else:
        output = Path("maxbench-report")
    try:
        page = report.write_content(content, output)
    except OSError as error:
        where = "" if isinstance(error, InTheWay) else "; name another folder with --output"
        raise UsageError(f"cannot write the report: {error}{where}") from None
    terminal.show(content, args.format)
    print(f"report: {page.resolve()}", file=sys.stdout if args.format == "table" else sys.stderr)
    return 0
