"""The folder that a command measures into: made at the start, and what is said of it at the end."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from . import lock, report, terminal
from .cli import ERROR, UsageError
from .content import Content
from .records.run import FILE as SIDE_CAR
from .records.run import Implementation

RESULTS = Path("maxbench-results")


def new(output: Path | None, prefix: str = "") -> Path:
    """An empty folder, absolute and locked for this process: `output`, or one of results named after the time.

    Raises:
        UsageError: it holds something already, is another process's, or cannot be made.
    """
    try:
        if output is None:
            output = _named_after_time(prefix)
        else:
            with contextlib.suppress(FileExistsError):
                output.mkdir(parents=True)
        _empty(output, prefix)
        lock.take(output)
        _empty(output, prefix)  # until it was locked, another run may have filled it
    except OSError as error:
        raise UsageError(f"--output {output}: {error.strerror}") from None
    return output.resolve()


def _named_after_time(prefix: str) -> Path:
    """A folder that did not exist, made so that a second command at the same time makes another one."""
    stem = f"{prefix}{datetime.datetime.now():%Y%m%d-%H%M%S}"
    for suffix in itertools.chain(("",), (f"-{count}" for count in itertools.count(2))):
        folder = RESULTS / f"{stem}{suffix}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            break
    return folder


def _empty(output: Path, prefix: str) -> None:
    if not output.is_dir() or any(path.name != lock.NAME for path in output.iterdir()):
        hint = f"; go on with it by --resume {output}" if not prefix and (output / SIDE_CAR).exists() else ""
        raise UsageError(f"--output {output} exists and is not an empty folder{hint}")


def again(folder: Path) -> Path:
    """The folder of an earlier run, absolute and locked for this process.

    Raises:
        UsageError: it holds no run, is another process's, or has something in it that leads out of it.
    """
    folder = folder.resolve()
    if not (folder / SIDE_CAR).is_file():
        raise UsageError(f"{folder}: no run to go on with: it has no file {SIDE_CAR}")
    for place, folders, names in os.walk(folder):
        for path in (Path(place, name) for name in (*folders, *names)):
            if not path.resolve().is_relative_to(folder):
                raise UsageError(f"{path} leads out of the folder: a run is gone on with only where it does not")
            if not (path.is_dir() or path.is_file() or path.is_symlink()):
                raise UsageError(f"{path} is neither a file nor a folder")
    try:
        lock.take(folder)
    except OSError as error:
        raise UsageError(f"--resume {folder}: {error.strerror}") from None
    return folder


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
    content: Content, folder: Path, implementations: Iterable[Implementation], format: str,
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
    print(f"\nReport: {folder / report.PAGE}", file=sys.stderr)
    bad = [one for one in implementations if one.status in ("wrong", "failed")]
    for one in bad:
        but = ", so not measured" if not_measured else ""
        print(f"{one.status}{but}: {one.operation}.{one.name}: {one.reason}", file=sys.stderr)
    by_reason: dict[tuple[str, str], list[str]] = {}
    for (benchmark, params), reason in (failures or {}).items():
        operation, _, kind = benchmark.partition(".")
        name = params[0].strip("'\"") if params else ""
        by_reason.setdefault((f"{operation}.{name}", reason), []).append(f"{kind}({', '.join(params[1:])})")
    for (who, reason), cells in by_reason.items():
        more = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
        print(f"failed while it was measured: {who} {cells[0]}{more}: {reason}", file=sys.stderr)
    return ERROR if unwritten else 1 if bad or by_reason else 0
