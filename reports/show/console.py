"""Tables as data, drawn on a terminal or in a pipe, or written as Markdown or CSV."""

from __future__ import annotations

import csv
import dataclasses
import math
import re
from collections.abc import Sequence
from typing import IO, cast

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..system import text
from ..system.text import no_formula
from .grid import Grid, Item
from .markdown import grid_as_markdown

PIPE_WIDTH = 10_000  # whole lines: whatever reads a pipe wants no word cut in two
STYLES = {"best": "bold green", "tie": "yellow", "missing": "dim", "worse": "red"}
SIGNS = {"best": " *", "tie": " =", "worse": " <"}
LEGEND = "* the fastest   = a tie   < slower than the fastest   ? cannot tell"


def console(stream: IO[str]) -> Console:
    """A console that draws for a terminal, and in whole lines for a pipe."""
    if stream.isatty():
        return Console(file=stream, highlight=False, soft_wrap=False)
    return Console(file=cast(IO[str], _Trimmed(stream)), width=PIPE_WIDTH, highlight=False, soft_wrap=False)


class _Trimmed:
    """A stream without the spaces at the ends of lines, by which a table fills its width."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, words: str) -> None:
        self._stream.write(re.sub(r" +$", "", words, flags=re.MULTILINE))

    def flush(self) -> None:
        self._stream.flush()


def show_grid(grid: Grid, format: str, sentences: Sequence[str], notes: Sequence[str], stream: IO[str]) -> None:
    """Write one table with what is to be said of it: as a table, as Markdown or as CSV."""
    if format == "csv":
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(grid.columns)
        writer.writerows([_plain(item) for item in row] for row in grid.rows)
    elif format == "markdown":
        points = "\n".join(f"- {text.markdown(words)}" for words in (*sentences, *notes))
        stream.write(f"{points}\n\n{grid_as_markdown(grid)}\n")
    else:
        out = console(stream)
        for sentence in sentences:
            out.print(Text(sentence, style="bold"))
        if grid.rows:
            draw(grid, out)
        for note in notes:
            out.print(Text(f"note: {note}", style="dim"))


def _plain(item: Item) -> str | float:
    """A number in full where there is one, the words where there is none."""
    if isinstance(item.key, int | float) and math.isfinite(item.key):
        return item.key
    return no_formula(item.words)


def draw(grid: Grid, out: Console) -> None:
    """A grid; where it is too wide for the terminal, its numbers in several tables, or one block of lines per row."""
    out.print(Text(grid.caption, style="italic"))
    parts = _parts(grid, out)
    for part in parts:
        out.print(_drawn(part))
    if parts:
        return
    # Columns folded into a few characters cannot be read.
    for row in grid.rows:
        for name, item in zip(grid.columns, row, strict=True):
            if item.words:
                label = f"{name}: " if name else ""
                out.print(Text.assemble(("  " if item is not row[0] else "") + label, _text(item)))


def _drawn(grid: Grid) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(grid.columns):
        table.add_column(Text(name), justify="right" if index in grid.numeric else "left", overflow="fold")
    for row in grid.rows:
        table.add_row(*(_text(item) for item in row))
    return table


def _parts(grid: Grid, out: Console) -> list[Grid]:
    """The grid where it fits, else its columns of numbers in as few grids as fit, each with all others; [] if none."""

    def fits(part: Grid) -> bool:
        widest = _drawn(part).__rich_measure__(out, out.options.update(max_width=10_000)).maximum
        return widest <= out.width or _wraps_well(part, out.width)

    if fits(grid):
        return [grid]
    numbers = sorted(grid.numeric)
    words = [index for index in range(len(grid.columns)) if index not in grid.numeric]
    if not numbers or words != list(range(len(words))):
        return []
    found: list[Grid] = []
    chosen: list[int] = []
    for index in numbers:
        part = _columns(grid, [*words, *chosen, index])
        if fits(part):
            chosen.append(index)
        elif chosen and fits(_columns(grid, [*words, index])):
            found.append(_columns(grid, [*words, *chosen]))
            chosen = [index]
        else:
            return []
    return [*found, _columns(grid, [*words, *chosen])]


def _columns(grid: Grid, chosen: Sequence[int]) -> Grid:
    numeric = {place for place, index in enumerate(chosen) if index in grid.numeric}
    rows = [[row[index] for index in chosen] for row in grid.rows]
    return dataclasses.replace(grid, columns=[grid.columns[i] for i in chosen], rows=rows, numeric=numeric)


def _wraps_well(grid: Grid, width: int) -> bool:
    """Whether a few columns of prose can fold while every column keeps its longest word."""
    longest = [
        max(
            (
                len(word)
                for cell in (name, *(row[i].words + SIGNS.get(row[i].mark, "") for row in grid.rows))
                for word in cell.split()
            ),
            default=1,
        )
        for i, name in enumerate(grid.columns)
    ]
    return not grid.numeric and sum(longest) + 3 * len(longest) <= width


def _text(item: Item) -> Text:
    return Text(item.words + SIGNS.get(item.mark, ""), style=STYLES.get(item.mark, ""))
