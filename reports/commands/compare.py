"""``maxbench compare``: two runs, input by input."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..system.usage import UsageError
from . import options

if TYPE_CHECKING:
    from ..analysis.content import Content
    from ..show.compare import Change


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``maxbench compare``."""
    for name in ("first", "second"):
        parser.add_argument(name, type=Path, metavar=name.upper(), help="a folder that `maxbench run` wrote, or asv's")
    parser.add_argument("--all", action="store_true", help="also the ties")
    options.add(
        parser, "--threshold", ": runs at different times differ by several percent without any change (default: 10)",
        type=options.number("0 and more, below 1000", lambda value: 0 <= value < 1000), default=10.0,
    )  # fmt: skip
    options.renamed(parser, "--least", "--threshold")
    options.add(parser, "--format")


def main(args: argparse.Namespace) -> int:
    """Print the comparison; returns the exit status, which does not depend on what it says."""
    from ..analysis.content import gather
    from ..records.runs import NoResults
    from ..show import compare
    from ..show.console import show_grid

    try:
        contents = [gather([folder]) for folder in (args.first, args.second)]
    except NoResults as error:
        raise UsageError(str(error)) from None
    for folder, content in zip((args.first, args.second), contents, strict=True):
        if len(content.names) != 1:
            held = ", ".join(content.names) or "none"
            raise UsageError(f"{folder} holds {len(content.names)} runs ({held}); compare takes folders of one each")
    names = _names(contents)
    found = compare.changes(contents[0].contests, contents[1].contests, args.threshold / 100)
    shown = found if args.all else [c for c in found if c.verdict != "tie"]
    notes = [
        *(
            f"the runs differ in {difference}"
            for difference in compare.differences(contents[0].runs[0], contents[1].runs[0])
        ),
        compare.CAUTION.format(least=args.threshold / 100),
    ]
    if args.format == "json":
        print(json.dumps({"names": names, "notes": notes, "changes": [_as_json(c) for c in found]}, indent=2))
    else:
        grid = compare.grid(shown if args.format == "table" else found, names)
        show_grid(grid, args.format, [compare.summary(found, names)], notes, sys.stdout)
    return 0


def _names(contents: list[Content]) -> tuple[str, str]:
    first, second = (content.names[0] for content in contents)
    return (first, second) if first != second else (f"{first} (first)", f"{second} (second)")


def _as_json(change: Change) -> dict[str, Any]:
    found = {
        name: getattr(change, name) for name in ("operation", "implementation", "input", "dtype", "verdict", "reason")
    }
    for name in ("first", "second"):
        cell = getattr(change, name)
        found[name] = cell and {"value": cell.value, "low": cell.low, "high": cell.high}
    found["ratio"] = change.ratio and dataclasses.asdict(change.ratio)
    return {key: _finite(value) for key, value in found.items()}


def _finite(value: Any) -> Any:
    """The same with null for what JSON cannot say."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    return None if isinstance(value, float) and value - value != 0 else value
