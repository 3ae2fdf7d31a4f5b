"""The lock of a run folder: one process measures into it at a time, and a second one is told which.

The system releases it when the process ends, also by SIGKILL. Children do not hold it: the descriptor is closed when
they start another program, and in copies that are forked.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
import errno
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from .usage import UsageError

if os.name == "posix":
    import fcntl
else:
    import msvcrt

NAME = ".lock"
_HOLDER_BYTES = 4096
_BYTE = 1 << 30  # Windows locks bytes and keeps others from reading them: one beyond the holder's description
_TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
# Network and foreign file systems without locks.
_WITHOUT = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)

_held: dict[Path, int] = {}


def take(folder: Path) -> None:
    """Lock a folder until `drop`, or the end of this process; nothing where this process holds it already.

    Raises:
        UsageError: another process holds it, which the message names.
        OSError: the lock's file cannot be written.
    """
    path = folder.resolve() / NAME
    while not (path in _held and _is(path, _held[path])):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            _lock(handle, folder)
            if _is(path, handle):  # else its holder has dropped it between the two calls
                _describe(handle)
                _held[path] = handle
        finally:
            if _held.get(path) != handle:
                os.close(handle)


def drop(folder: Path) -> None:
    """Unlock a folder, and leave no file of the lock in it."""
    path = folder.resolve() / NAME
    if (handle := _held.pop(path, None)) is not None:
        with contextlib.suppress(OSError):
            if _is(path, handle):
                path.unlink()
        with contextlib.suppress(OSError):
            os.close(handle)


@atexit.register
def _drop_all() -> None:
    for path in list(_held):
        drop(path.parent)


def _is(path: Path, handle: int) -> bool:
    """Whether a descriptor is of the file that a path leads to now."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _lock(handle: int, folder: Path) -> None:
    try:
        if os.name == "posix":
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            os.lseek(handle, _BYTE, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            os.lseek(handle, 0, os.SEEK_SET)
    except OSError as error:
        if error.errno in _TAKEN:
            raise UsageError(f"{folder} is in use by {_holder(handle)}: wait until it ends, or end it") from None
        if error.errno not in _WITHOUT:
            raise
        print(f"maxbench: {folder} cannot be locked ({error.strerror}): start no second run in it", file=sys.stderr)


def _describe(handle: int) -> None:
    about = {
        "pid": os.getpid(),
        "host": platform.node(),
        "since": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": sys.argv[1:],
    }
    os.ftruncate(handle, 0)
    os.write(handle, json.dumps(about).encode()[:_HOLDER_BYTES])


def _holder(handle: int) -> str:
    """Who has written into a lock's file, for a message."""
    try:
        about: Any = json.loads(os.read(handle, _HOLDER_BYTES))
        return (
            f"process {int(about['pid'])} on {str(about['host'])!r} since {str(about['since'])!r} "
            f"(maxbench {' '.join(map(str, about['command']))!r})"
        )
    except (OSError, ValueError, TypeError, KeyError):
        return "another process"


def _forget() -> None:
    """A forked copy does not hold what its parent has locked: it may outlive it."""
    for handle in _held.values():
        with contextlib.suppress(OSError):
            os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
