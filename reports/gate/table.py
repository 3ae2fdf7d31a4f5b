"""The outcome on standard output."""

from __future__ import annotations

import sys
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from ..terminal import console
from . import formats
from .run import Outcome
from .verdicts import Verdict

_STYLES: dict[Verdict, str] = {
    "slower": "bold red", "wrong": "bold red", "failed": "bold red", "inconclusive": "yellow", "faster": "green",
    "not measured": "dim",
}  # fmt: skip


def show(outcome: Outcome, folder: Path) -> None:
    """Print every result, what it was measured with, and the answer last."""
    screen = console(sys.stdout)
    table = Table(box=box.SIMPLE, pad_edge=False)
    for index, name in enumerate(formats.COLUMNS):
        table.add_column(name, overflow="fold", justify="right" if 0 < index < len(formats.COLUMNS) - 1 else "left")
    for result in formats.ordered(outcome.results):
        table.add_row(*map(Text, formats.row(result)), style=_STYLES.get(result.verdict))
    screen.print(table)
    for line in formats.context(outcome):
        screen.print(Text(line))
    parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in outcome.seconds.items())
    screen.print(Text(f"took {sum(outcome.seconds.values()):.0f} s ({parts}); files are in {folder}"))
    screen.print(Text(formats.headline(outcome)), style="bold")
