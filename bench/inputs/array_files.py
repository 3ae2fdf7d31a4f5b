"""Reads an array from a .npy or .npz file, whatever the file holds."""

from __future__ import annotations

import math
import os
import stat
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

MOST_NAMED = 20  # members of an archive
_PICKLED = "holds Python objects, which are never unpickled; save it with a numeric dtype"


def read_array(path: str | os.PathLike[str], key: str | None = None) -> np.ndarray:
    """The array of a .npy file, memory-mapped, or of a .npz file by its key.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not an .npy or .npz file, a damaged one, an object array (which would have to be unpickled and never
            is), one that does not fit the memory, or no or an unknown key for an .npz of several arrays.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise FileNotFoundError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    if not stat.S_ISREG(mode):
        raise ValueError(f"{path}: is not a regular file")
    try:
        return _read(path, key)
    except Exception as error:  # a damaged archive raises zlib's, zipfile's and the tokenizer's errors, among others
        raise ValueError(f"{path}: {str(error).strip() or type(error).__name__}") from None


def _read(path: Path, key: str | None) -> np.ndarray:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return _member(archive, key)
    if key is not None:
        raise ValueError("is not an .npz file, so it takes no --key")
    with open(path, "rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise ValueError("is neither an .npy nor an .npz file")
        file.seek(0)
        _check(file, path.stat().st_size, mapped=True)
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _member(archive: zipfile.ZipFile, key: str | None) -> np.ndarray:
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist() if _is_array(info)}
    # What a terminal would obey is escaped in a name.
    names = ", ".join(
        [*(repr(name)[1:-1] for name in list(members)[:MOST_NAMED]), *["..."] * (len(members) > MOST_NAMED)]
    )
    if not members:
        raise ValueError("holds no array")
    if key is None and len(members) != 1:
        raise ValueError(f"holds {len(members)} arrays, name one with --key: {names}")
    if key is not None and key not in members:
        raise ValueError(f"has no array {key!r}: it holds {names}")
    info = members[key] if key is not None else next(iter(members.values()))
    if info.flag_bits & 1:
        raise ValueError("is encrypted")
    with archive.open(info) as file:
        _check(file, info.file_size, mapped=False)
    with archive.open(info) as file:
        array: np.ndarray = npy.read_array(file, allow_pickle=False)
        if file.read(1):  # to the end, so that the checksum is compared
            raise ValueError("holds more than its header announces")
        return array


def _is_array(info: zipfile.ZipInfo) -> bool:
    return info.filename.endswith(".npy") and not info.is_dir()


def _check(file: IO[bytes], size: int, mapped: bool) -> None:
    """Compare what the header announces with the size of the file, before anything of that size is allocated."""
    try:
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"has format version {version[0]}.{version[1]}, accepted are 1.0 and 2.0")
        shape, _, dtype = npy.read_array_header_1_0(file) if version == (1, 0) else npy.read_array_header_2_0(file)
    except Exception as error:  # the header is evaluated as Python, which raises the parser's errors
        said = str(error)
        if said.startswith("has format version"):
            raise
        long = "Header info length" in said
        raise ValueError(
            "has a header of more than 10,000 bytes"
            if long
            else f"has no header of an array ({said.partition(' on line')[0]})"
        ) from None
    if dtype.hasobject:
        raise ValueError(_PICKLED)
    if any(type(length) is not int or not 0 <= length < 1 << 63 for length in shape):
        raise ValueError("has a header with an impossible shape")
    announced = math.prod(shape) * dtype.itemsize
    held = size - file.tell()
    if announced != held:
        raise ValueError(f"holds {held:,} bytes where its header announces {announced:,}")
    if not mapped and announced > (memory := _memory()):
        raise ValueError(f"would take {announced:,} bytes, more than the memory of this machine, {memory:,}")


def _memory() -> int:
    if not hasattr(os, "sysconf"):
        return 1 << 62
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
