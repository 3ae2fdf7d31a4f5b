"""``maxbench list``: every implementation, where it comes from, what it takes, and whether it can run here."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import impls
from impls import contract, registry, threads
from impls.backends import HOST

from ..grids import Grid, Item
from ..selection import select
from ..terminal import FORMATS, show_grid

_COLUMNS = ("operation", "implementation", "device", "threads", "dtypes", "origin", "status")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``maxbench list``."""
    parser.add_argument("pattern", nargs="*", metavar="PATTERN", help="implementations, e.g. 'numba_*'")
    parser.add_argument("--operation", choices=sorted(contract.OPERATIONS), help="one operation instead of both")
    parser.add_argument("--format", choices=FORMATS, default="table")


def main(args: argparse.Namespace) -> int:
    """0, whatever is available."""
    rows = [_row(entry) for entry in select(args.pattern, args.operation)]
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


def _row(entry: impls.Entry) -> dict[str, Any]:
    row: dict[str, Any] = {
        "operation": entry.operation,
        "implementation": entry.name,
        "device": None,
        "threads": None,
        "layer": None,
        "dtypes": None,
        "origin": entry.origin,
        "default": False,
        "status": "available",
        "reason": "",
    }
    try:
        kernel = entry.load().kernel
    except impls.Unavailable as error:
        row.update(status="unavailable", reason=error.reason)
        return row
    row.update(device=kernel.backend.device, threads=kernel.threads, dtypes=list(kernel.dtypes))
    if kernel.threads == "many" and kernel.backend is HOST and kernel.run.__module__.startswith("impls."):
        row["layer"] = threads.layer()  # of this package's host implementations only Numba's use several threads
    available, reasons = registry.candidates(entry.operation)
    if entry.name in [implementation.name for implementation in available[:1]]:
        instead = [f"{name} is unavailable: {reason}" for name, reason in reasons.items()]
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
