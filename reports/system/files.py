"""Writing files whole or not at all, and making paths of names that come from data."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from pathlib import Path
from typing import Any

_LONGEST = 255  # bytes of a file's name, in most file systems
# Besides control characters: separators of Windows as well, so that a name means the same on every system.
_REFUSED = frozenset('/\\:*?"<>|')


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a reader, and a machine that loses power, has the old content or the new, never a part.

    A link at the path is replaced, and what it points to is left as it is.

    Raises:
        OSError: it cannot be written; what was there is still there.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        write_new(temporary, content)
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):  # with the name that the caller knows
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    sync_folder(path.parent)


def write_new(path: Path, content: bytes) -> None:
    """Write a file that does not exist, and wait until it is on the disk.

    Raises:
        FileExistsError: it exists, or a link does.
        OSError: it cannot be written; it does not exist then.
    """
    with open(path, "xb") as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            path.unlink()
            raise


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot
            os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, content: str) -> None:
    """`write_bytes` of text, encoded by `encode`."""
    write_bytes(path, encode(content))


def write_json(path: Path, content: Any) -> None:
    """`write_bytes` of a value as indented JSON."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def encode(content: str) -> bytes:
    r"""Text as UTF-8.

    What UTF-8 has no code for, the bytes of a file's name that is not UTF-8, becomes ``\udc80`` and so on, which JSON
    reads back as it was.
    """
    return content.encode("utf-8", "backslashreplace")


def inside(folder: Path, *names: str) -> Path:
    """The path of these names in a folder, where each is one component of it.

    Raises:
        ValueError: a name is empty, ``.`` or ``..``, is too long for a file system, or holds a separator, a control
            character or what the system cannot encode.
    """
    for name in names:
        try:
            length = len(os.fsencode(name))
        except UnicodeEncodeError:
            length = 0
        if not 0 < length <= _LONGEST or name in (".", "..") or any(c < " " or c in _REFUSED for c in name):
            raise ValueError(
                f"{name!r} cannot name a file in {folder}: accepted are 1 to {_LONGEST} bytes without control "
                f"characters and {' '.join(sorted(_REFUSED))}, and not '.' or '..'"
            )
    return folder.joinpath(*names)


def safe_name(text: str) -> str:
    """A name that `inside` accepts: letters, digits, ``.``, ``_`` and ``-`` of the text, ``_`` for all else."""
    name = "".join(c if c.isalnum() or c in "._-" else "_" for c in text)[:60]
    return name if name.strip(".") and name[0] != "-" else f"_{name.strip('.')}"
