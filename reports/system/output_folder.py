"""A folder that a command fills: it replaces and removes its own files there, and no others.

A marker in the folder lists what was written, by whom, with a digest of the content. A file that is not in the list,
that was changed since, that another command wrote, or that is a link, is not ours: in the way of one to be written it
is an error, before anything is written, and elsewhere it stays.

A folder that an earlier version filled has no marker. There the caller may recognise its files by their content; those
are replaced, and none is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from . import files

MARKER = ".maxbench.json"
SCHEMA = 1
_SHOWN = 3  # files in the way that a message names
_LARGEST = 1 << 28  # bytes; nothing that a command writes is larger

Recognise = Callable[[str, bytes], bool]
Listed = dict[str, dict[str, list[str]]]  # writer -> file -> digests of the contents that it may have


class InTheWay(OSError):
    """A file that is not ours is where one of ours is to be written; the message names it."""


def check(folder: Path, writer: str, names: Iterable[str], recognise: Recognise = lambda name, content: False) -> None:
    """Make sure that `fill` may write these files; for a command that measures first.

    Raises:
        InTheWay: it may not.
        ValueError: a name leads out of the folder.
    """
    listed, _ = _marker(folder)
    problems = [why for name in names if (why := _problem(folder, writer, name, listed, recognise))]
    if problems:
        more = f", and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise InTheWay(
            f"{'; '.join(problems[:_SHOWN])}{more}: nothing was written; move what is yours away, or name another "
            "folder with --output"
        )


def fill(
    folder: Path, writer: str, contents: Mapping[str, bytes | Path], recognise: Recognise = lambda name, content: False
) -> None:
    """Write files into a folder, which is made if need be, and remove those of an earlier filling that are no more.

    All are written under temporary names before the first is replaced, so that a full disk or an interruption leaves
    the earlier files; then they are put into place in their order.

    Args:
        writer: the command, which the folder may share with others.
        contents: relative path, with slashes -> the content, or a file that holds it.
        recognise: whether a file at one of these paths, with this content, is ours although no marker lists it.

    Raises:
        InTheWay: what is not ours is in the way.
        ValueError: a path leads out of the folder.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        check(folder, writer, contents, recognise)
        listed, left = _marker(folder)
        _remove_staging(folder, left)
        staging = f".maxbench-{uuid.uuid4().hex}"
        _write_marker(folder, listed, staging)
        try:
            digests = _stage(folder / staging, contents)
            old = listed.get(writer, {})
            either = {name: [*old.get(name, []), digest] for name, digest in digests.items()}
            _write_marker(folder, {**listed, writer: {**old, **either}}, staging)
            _place(folder, folder / staging, contents)
            for name in old.keys() - digests.keys():
                _remove(folder, name, old[name])
            listed = {**listed, writer: {name: [digest] for name, digest in digests.items()}}
            _write_marker(folder, listed, staging)
        finally:
            _remove_staging(folder, staging)
        _write_marker(folder, listed, None)


def _stage(staging: Path, contents: Mapping[str, bytes | Path]) -> dict[str, str]:
    """Write everything under numbers; the digests."""
    staging.mkdir()
    digests = {}
    for number, (name, content) in enumerate(contents.items()):
        data = content.read_bytes() if isinstance(content, Path) else content
        files.write_new(staging / str(number), data)
        digests[name] = _digest(data)
    return digests


def _place(folder: Path, staging: Path, names: Iterable[str]) -> None:
    """Move what is staged to where it belongs."""
    parents = {folder}
    for number, name in enumerate(names):
        path = _path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        parents.add(path.parent)
        (staging / str(number)).replace(path)
    for parent in parents:
        files.sync_folder(parent)


def _path(folder: Path, name: str) -> Path:
    return files.inside(folder, *name.split("/"))


def _problem(folder: Path, writer: str, name: str, listed: Listed, recognise: Recognise) -> str:
    """Why a file may not be written; nothing where it may."""
    path = _path(folder, name)
    if name.split("/")[0].startswith(".maxbench"):
        raise ValueError(f"{name!r} is a name that the marker of {folder} uses")
    for parent in reversed(PurePosixPath(name).parents):
        mode = _mode(folder / parent) if parent != PurePosixPath() else None
        if mode is not None and not stat.S_ISDIR(mode):
            return f"{folder / parent} is {_kind(mode)} and no folder that maxbench made"
    mode = _mode(path)
    if mode is None:
        return ""
    if not stat.S_ISREG(mode):
        return f"{path} is {_kind(mode)}"
    content = path.read_bytes() if path.stat().st_size <= _LARGEST else b""
    for who, written in listed.items():
        if name in written and who != writer:
            return f"{path} was written by `maxbench {who}`"
    if name in listed.get(writer, {}):
        return "" if _digest(content) in listed[writer][name] else f"{path} was changed since maxbench wrote it"
    return "" if recognise(name, content) else f"{path} was not written by `maxbench {writer}`"


def _remove(folder: Path, name: str, digests: list[str]) -> None:
    """Remove a file of an earlier filling, if it is still the one that was written, and folders left empty by it."""
    with contextlib.suppress(OSError, ValueError):  # whatever stays does no harm
        path = _path(folder, name)
        parents = [folder / parent for parent in PurePosixPath(name).parents][:-1]
        if any(not stat.S_ISDIR(_mode(parent) or 0) for parent in parents) or not stat.S_ISREG(_mode(path) or 0):
            return
        if _digest(path.read_bytes()) in digests:
            path.unlink()
            for parent in parents:
                parent.rmdir()


def _mode(path: Path) -> int | None:
    """What is at a path, without following a link; None for nothing."""
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return None


def _kind(mode: int) -> str:
    kinds = {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFLNK: "a symbolic link"}
    return kinds.get(stat.S_IFMT(mode), "no regular file")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _marker(folder: Path) -> tuple[Listed, str | None]:
    """What the marker lists, and the name of a folder of temporary files that an interruption has left.

    Raises:
        InTheWay: it is none that this version can read.
    """
    path = folder / MARKER
    mode = _mode(path)
    if mode is None:
        return {}, None
    try:
        readable = stat.S_ISREG(mode) and path.stat().st_size <= _LARGEST
        found: Any = json.loads(path.read_text("utf-8")) if readable else None
        listed = {
            str(who): {str(name): [str(d) for d in digests] for name, digests in written.items()}
            for who, written in found["files"].items()
        }
        if found["schema"] != SCHEMA:
            raise ValueError(found["schema"])
        return listed, found.get("staging")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise InTheWay(
            f"{path} is not a list of files that this version of maxbench can read: nothing was written; remove it if "
            "the other files in the folder are yours, or name another folder with --output"
        ) from None


def _write_marker(folder: Path, listed: Listed, staging: str | None) -> None:
    content = {"schema": SCHEMA, "what": "files in this folder that maxbench wrote, and their SHA-256", "files": listed}
    files.write_json(folder / MARKER, {**content, **({"staging": staging} if staging else {})})


def _remove_staging(folder: Path, name: object) -> None:
    """Remove temporary files; the name is from a marker, which may hold anything."""
    if isinstance(name, str) and name.startswith(".maxbench-") and len(name) == 42:
        with contextlib.suppress(ValueError):
            path = files.inside(folder, name)
            if stat.S_ISDIR(_mode(path) or 0):
                shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One filling at a time; the lock ends with its process."""
    if os.name != "posix":
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
