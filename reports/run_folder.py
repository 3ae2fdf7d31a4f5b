"""The folder that a command measures into: made at the start, and what is said of it at the end."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import report, terminal
from .cli import UsageError
from .content import Content
from .runs import SIDE_CAR

RESULTS = Path("maxbench-results")


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


def conclude(
    content: Content,
    folder: Path,
    implementations: Iterable[Mapping[str, Any]],
    format: str,
    wrong_means: str = "wrong",
) -> int:
    """Print the answer, where the report is and which implementations are wrong (`wrong_means` begins those lines).

    Returns:
        The exit status: 1 if any is wrong.
    """
    terminal.show(content, format)
    print(f"\nReport: {folder / report.PAGE}", file=sys.stderr)
    wrong = [one for one in implementations if one["status"] == "wrong"]
    for one in wrong:
        print(f"{wrong_means}: {one['operation']}.{one['name']}: {one['reason']}", file=sys.stderr)
    return 1 if wrong else 0
