"""``maxbench list``: every implementation, where it comes from, what it takes, and whether it can run here."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from typing import Any

from maxbench import impls
from maxbench.impls import registry

from ..measure import checks
from ..measure.selection import select
from ..show.console import show_grid
from ..show.grid import Grid, Item
from . import options

_COLUMNS = ("operation", "implementation", "device", "threads", "dtypes", "origin", "status")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``maxbench list``."""
    options.add(parser, "PATTERN")
    options.add(parser, "--operation")
    options.add(parser, "--format")


def main(args: argparse.Namespace) -> int:
    """0, whatever is available."""
    entries = select(args.pattern, args.operation)
    defaults = [e for e in impls.catalogue() if e.in_tree and e.name in registry.DEFAULTS]
    found = checks.describe_all(list(dict.fromkeys([*entries, *defaults])))
    rows = [_row(checked, found) for checked in found if checked.entry in entries]
    if args.format == "json":
        json.dump(rows, sys.stdout, indent=1)
        print()
        return 0
    cells = []
    for row in rows:
        row["threads"] = f"{row['threads']} ({row['layer']})" if row["layer"] else row["threads"]
        status = f"{row['status']}{': ' if row['reason'] else ''}{row['reason']}"
        mark = "" if row["status"] == "available" else "missing"
        cells.append([*(Item(_text(row[key])) for key in _COLUMNS[:-1]), Item(status, mark=mark)])
    show_grid(Grid("list", "Implementations", list(_COLUMNS), cells), args.format, [], [], sys.stdout)
    return 0


def _row(checked: checks.Checked, found: Sequence[checks.Checked]) -> dict[str, Any]:
    entry, about = checked.entry, checked.about
    row: dict[str, Any] = {
        "operation": entry.operation,
        "implementation": entry.name,
        "device": None,
        "threads": None,
        "layer": None,
        "dtypes": None,
        "origin": entry.origin,
        "default": False,
        "status": checked.status,
        "reason": checked.reason,
    }
    if about is None:
        return row
    row.update(device=about.device, threads=about.threads, dtypes=about.dtypes, layer=about.layer)
    # The first that is available is the default, as `impls.registry.default` chooses.
    choice = [c for name in registry.DEFAULTS for c in found
              if c.entry.in_tree and (c.entry.operation, c.entry.name) == (entry.operation, name)]  # fmt: skip
    if next((c.entry for c in choice if c.status == "available"), None) == entry:
        absent = itertools.takewhile(lambda c: c.entry != entry, choice)
        instead = [f"{c.entry.name} is unavailable: {c.reason}" for c in absent]
        row.update(default=True, reason="; ".join(["the default", *instead]))
    return row


def _text(value: object) -> str:
    if isinstance(value, list):
        return _short(value)
    return "" if value is None else str(value)


def _short(dtypes: list[str]) -> str:
    """Dtype names with runs of a kind drawn together: float16/32/64, int8/16."""
    widths: dict[str, list[str]] = {}
    for name in dtypes:
        kind = name.rstrip("0123456789")
        widths.setdefault(kind, []).append(name[len(kind) :])
    return ", ".join(kind + "/".join(found) for kind, found in widths.items())
