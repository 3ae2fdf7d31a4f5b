"""``maxbench publish``: asv's own pages of stored results, with an index of comparisons."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..system.usage import UsageError
from . import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``maxbench publish``."""
    parser.add_argument(
        "folders",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="folders that `maxbench run` wrote, or asv's results folders",
    )
    options.add(
        parser, "--output", default=Path("maxbench-html"),
        help="where to write the pages; earlier pages there are replaced (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--offline",
        action="store_true",
        help="fetch the libraries of asv's pages with npm and put them beside the pages, which then need no network",
    )


def main(args: argparse.Namespace) -> int:
    """Write the pages and say where they are."""
    from ..records.runs import NoResults
    from ..show.asv_pages import PublishFailed, publish

    try:
        index = publish(args.folders, args.output, offline=args.offline)
    except (NoResults, PublishFailed, OSError) as error:
        raise UsageError(str(error)) from None
    print(index.resolve())
    return 0
