"""The answer in a terminal or a pipe: as a table, as Markdown, as CSV or as JSON."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import IO, Any

from rich.console import Console
from rich.text import Text

from ..analysis.content import Content
from ..system import text
from . import tables
from .console import LEGEND, SIGNS, console, draw
from .grid import Grid
from .markdown import grid_as_markdown


def show(content: Content, format: str = "table", stream: IO[str] | None = None) -> None:
    """Write the answer to a stream, standard output if none is given."""
    stream = sys.stdout if stream is None else stream
    if format == "csv":
        stream.write(content.csv())
    elif format == "json":
        stream.write(json.dumps(as_json(content), indent=2, allow_nan=False) + "\n")
    elif format == "markdown":
        stream.write(
            "\n\n".join(
                [*(f"- {text.markdown(s)}" for s in content.sentences), *map(grid_as_markdown, _grids(content))]
            )
            + "\n"
        )
    else:
        _table(content, console(stream))


def as_json(content: Content) -> dict[str, Any]:
    """The answers and the measurements; what is not a number is null."""
    frame = content.table_as_text()
    rows = json.loads(frame.to_json(orient="records", date_format="iso", double_precision=15))
    return {
        "baseline": content.baseline,
        "answers": [dataclasses.asdict(line) for line in content.lines],
        "not_measured": [dataclasses.asdict(a) for a in content.absent],
        "warnings": content.warnings,
        "measurements": rows,
    }


def _grids(content: Content) -> Sequence[Grid]:
    answers = tables.answers(content.lines, content.baseline, content.several)
    return [answers, *_details(content)]


def _details(content: Content) -> list[Grid]:
    absent = [tables.missing(content.absent)] if content.absent else []
    return [*tables.times(content.contests, content.several), *absent]


def _table(content: Content, out: Console) -> None:
    for sentence in content.sentences:
        out.print(Text(sentence, style="bold"))
    for pairs in content.trust:
        out.print(Text("; ".join(f"{term} {value}" for term, value in pairs), style="dim"))
    bars = [grid for one in content.answers if (grid := tables.bars(one, content.baseline))]
    grids = [*bars, *_details(content)]
    for grid in grids:
        out.print()
        draw(grid, out)
    if any(item.mark in SIGNS for grid in grids for row in grid.rows for item in row):
        out.print(Text(LEGEND, style="dim"))
    for warning in content.warnings:
        out.print(Text(f"warning: {warning}", style="yellow"))
