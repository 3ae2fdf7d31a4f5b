"""The folder that a command measures into: made at the start, and what is said of it at the end."""

from __future__ import annotations

import argparse
import datetime
import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import report, terminal
from .cli import ERROR, UsageError
from .content import Content
from .runs import SIDE_CAR

RESULTS = Path("maxbench-results")
_MACHINE = re.compile(r"[^\W_][\w.+@-]*( [\w.+@-]+)*")
_LONGEST_MACHINE = 60


def machine(given: str) -> str:
    """The argument of ``--machine``, which names folders and is a word of asv's command line.

    Raises:
        argparse.ArgumentTypeError: it cannot.
    """
    if not _MACHINE.fullmatch(given) or given.endswith(".") or len(given) > _LONGEST_MACHINE:
        raise argparse.ArgumentTypeError(
            f"{given!r}: accepted are 1 to {_LONGEST_MACHINE} letters, digits and . _ - + @, the first a letter "
            "or digit, the last no dot, with single spaces between"
        )
    return given


def new(output: Path | None, prefix: str = "") -> Path:
    """An empty folder, absolute: `output`, or one of results named after the time.

    Raises:
        UsageError: it holds something already, or cannot be made.
    """
    if output is None:
        stem = f"{prefix}{datetime.datetime.now():%Y%m%d-%H%M%S}"
        output = next(f for f in (RESULTS / f"{stem}{suffix}" for suffix in ("", *"abcdefgh")) if not f.exists())
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        hint = f"; go on with it by --resume {output}" if not prefix and (output / SIDE_CAR).exists() else ""
        raise UsageError(f"--output {output} exists and is not an empty folder{hint}")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--output {output}: {error.strerror}") from None
    return output.resolve()


def write_report(content: Content, folder: Path) -> str:
    """Write the report into the run's folder; why it could not be written, or nothing: the answer is shown anyhow.

    What was measured is there, and a report can be made of it elsewhere.
    """
    try:
        report.write_content(content, folder)
    except OSError as error:
        again = f"maxbench report {shlex.quote(str(folder))} --output DIR"
        return f"the report could not be written: {error}\nWhat was measured is kept; write it elsewhere by: {again}"
    return ""


def conclude(
    content: Content, folder: Path, implementations: Iterable[Mapping[str, Any]], format: str,
    failures: Mapping[tuple[str, tuple[str, ...]], str] | None = None, *, not_measured: bool = False,
    unwritten: str = "",
) -> int:  # fmt: skip
    """Print the answer, where the report is, and last which implementations are wrong or failed.

    Args:
        failures: the cells that failed while they were measured, (benchmark, parameters), and why.
        not_measured: whether those that are wrong were left out.
        unwritten: what `write_report` returned.

    Returns:
        The exit status: 1 if any is wrong or failed, 2 if there is no report.
    """
    terminal.show(content, format)
    print(unwritten or f"\nReport: {folder / report.PAGE}", file=sys.stderr)
    bad = [one for one in implementations if one["status"] in ("wrong", "failed")]
    for one in bad:
        but = ", so not measured" if not_measured else ""
        print(f"{one['status']}{but}: {one['operation']}.{one['name']}: {one['reason']}", file=sys.stderr)
    by_reason: dict[tuple[str, str], list[str]] = {}
    for (benchmark, params), reason in (failures or {}).items():
        operation, _, kind = benchmark.partition(".")
        name = params[0].strip("'\"") if params else ""
        by_reason.setdefault((f"{operation}.{name}", reason), []).append(f"{kind}({', '.join(params[1:])})")
    for (who, reason), cells in by_reason.items():
        more = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
        print(f"failed while it was measured: {who} {cells[0]}{more}: {reason}", file=sys.stderr)
    return ERROR if unwritten else 1 if bad or by_reason else 0
