"""The folder that a command measures into: made at the start, and what is said of it at the end."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import os
from pathlib import Path

from ..records.run import FILE as RECORD
from ..system import lock
from ..system.usage import UsageError

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
        hint = f"; go on with it by --resume {output}" if not prefix and (output / RECORD).exists() else ""
        raise UsageError(f"--output {output} exists and is not an empty folder{hint}")


def again(folder: Path) -> Path:
    """The folder of an earlier run, absolute and locked for this process.

    Raises:
        UsageError: it holds no run, is another process's, or has something in it that leads out of it.
    """
    folder = folder.resolve()
    if not (folder / RECORD).is_file():
        raise UsageError(f"{folder}: no run to go on with: it has no file {RECORD}")
    for place, folders, names in os.walk(folder):
        for path in (Path(place, name) for name in (*folders, *names)):
            if not path.resolve().is_relative_to(folder):
                raise UsageError(f"{path} leads out of the folder: a run is resumed only where nothing does")
            if not (path.is_dir() or path.is_file() or path.is_symlink()):
                raise UsageError(f"{path} is neither a file nor a folder")
    try:
        lock.take(folder)
    except OSError as error:
        raise UsageError(f"--resume {folder}: {error.strerror}") from None
    return folder
