"""Which kernel takes which shape: one table for each operation and layout, which a machine may override.

A regime is used for rows that it can hold; the first that can is taken. What a thread holds is given in 32-bit
registers, so that one table serves all dtypes: 32 registers are 32 elements of up to 32 bits, or 16 of 64.
The built-in numbers come from timings on an NVIDIA H200 (docs/cuda.md). A machine's own table is read from the file
that MAXBENCH_CUDA_TABLE names, or from maxbench/cuda-<device>.json in the user's cache folder, where
``maxbench tune --device cuda`` writes it.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from .elements import Element
from .platform import SIMULATED

KINDS = {
    "softmax rows": ("short", "rows", "shared", "split"),
    "softmax columns": ("short", "tile", "split"),
    "argmax rows": ("short", "rows", "parts"),
    "argmax columns": ("short", "parts"),
}
"""Table name -> the kernels that it may name; the last one takes rows of any length."""

TABLE_FILE = "MAXBENCH_CUDA_TABLE"

Layout = Literal["rows", "columns"]


@dataclass(frozen=True)
class Regime:
    """How rows of some lengths are shared out.

    Attributes:
        kernel: short: a thread a row, through shared memory, up to 32 columns (8 of 64 bits); of a strided axis, a
            thread a column, where fewer than a cache line lie side by side. rows: `sharing` threads a row, in
            registers. shared: a row in the shared memory of a block, or of several. split, parts: a row by tiles, over
            as many blocks as fill the device; split reads it twice. tile: a strided axis in registers.
        threads: of a block.
        sharing: threads that share one row or column (1 for short).
        registers: of 32 bits, that hold elements in each thread.
        longest: the longest row to use it for, where that is less than it can hold.
    """

    kernel: str
    threads: int
    sharing: int
    registers: int
    longest: int | None = None

    def elements(self, element: Element) -> int:
        """Elements that a thread holds."""
        return max(1, self.registers // (2 if element.wide else 1))

    def vectors(self, element: Element) -> int:
        """16-byte vectors that a thread holds, at least one."""
        return max(1, self.elements(element) // element.per_vector)


Table = Mapping[str, tuple[Regime, ...]]

DEVICE: Table = {
    "softmax rows": (
        Regime("short", 128, 1, 16, longest=16),
        Regime("rows", 128, 8, 8),  # up to 64 columns of 32 bits
        Regime("rows", 128, 16, 8),
        Regime("rows", 128, 32, 8),
        Regime("rows", 128, 32, 16),
        Regime("rows", 128, 32, 32),  # 1024
        Regime("rows", 128, 128, 16),
        Regime("rows", 128, 128, 32),
        Regime("rows", 512, 512, 16),  # 8192: several blocks a multiprocessor, so that loads and stores overlap
        Regime("rows", 512, 512, 32),  # 16384
        Regime("shared", 512, 512, 16),  # 57,600 in the 227 KB of a block, and up to 64 blocks a row: 3,686,400
        Regime("split", 256, 256, 32),
    ),
    "softmax columns": (
        Regime("short", 128, 1, 32),
        Regime("tile", 256, 2, 64),  # up to 32 elements of 32 bits
        Regime("tile", 128, 16, 32),
        Regime("tile", 256, 16, 64),
        Regime("tile", 256, 64, 32),
        Regime("tile", 512, 64, 64),  # 1024
        Regime("split", 256, 16, 32),
    ),
    "argmax rows": (
        Regime("short", 128, 1, 16, longest=16),
        Regime("rows", 128, 4, 8),
        Regime("rows", 128, 8, 8),
        Regime("rows", 128, 16, 8),
        Regime("rows", 128, 32, 8),
        Regime("rows", 128, 32, 16),
        Regime("rows", 128, 32, 32),
        Regime("parts", 128, 128, 16, longest=4096),
        Regime("parts", 256, 256, 32, longest=16384),
        Regime("parts", 128, 128, 32),
    ),
    "argmax columns": (
        Regime("short", 128, 1, 32),
        Regime("parts", 256, 1, 32, longest=64),
        Regime("parts", 256, 8, 32, longest=512),
        Regime("parts", 256, 16, 32),
    ),
}

# Simulated threads are dear and exchange values slowly: few, with long registers.
SIMULATOR: Table = {
    "softmax rows": (
        Regime("short", 4, 1, 512, longest=32),
        Regime("rows", 8, 2, 64),
        Regime("rows", 8, 4, 128),
        Regime("rows", 8, 8, 256),
        Regime("split", 8, 8, 256),
    ),
    "softmax columns": (
        Regime("tile", 8, 2, 64),
        Regime("split", 8, 2, 256),
    ),
    "argmax rows": (
        Regime("short", 4, 1, 512, longest=32),
        Regime("rows", 8, 2, 64),
        Regime("rows", 8, 4, 128),
        Regime("parts", 8, 8, 256),
    ),
    "argmax columns": (
        Regime("parts", 8, 1, 64, longest=64),
        Regime("parts", 8, 2, 64),
    ),
}


def built_in() -> Table:
    """The table without any file: the device's, or the simulator's."""
    return SIMULATOR if SIMULATED else DEVICE


def machine_file(device: str) -> Path:
    """Where the table of a device, by its name, is kept: ``maxbench tune --device cuda`` writes it.

    A path that begins with ``~`` where the user has no home folder.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")  # noqa: PTH111
    return Path(base) / "maxbench" / f"cuda-{re.sub(r'[^A-Za-z0-9]+', '-', device).strip('-')}.json"


def load(device: str) -> tuple[Table, str]:
    """The table for a device, and where it is from: a file or ``built in``.

    A machine's own file that cannot be used is left alone, with a warning; the built-in table stands in for it.

    Raises:
        ValueError: the file that MAXBENCH_CUDA_TABLE names holds something else than a table; says what.
        FileNotFoundError: it names no file.
    """
    if named := os.environ.get(TABLE_FILE):
        return read(Path(named), device), named
    path = machine_file(device)
    if SIMULATED or not path.is_file():
        return built_in(), "built in"
    try:
        return read(path, device), str(path)
    except (ValueError, OSError) as error:
        warnings.warn(f"the built-in CUDA regimes are used: {error}", RuntimeWarning, stacklevel=2)
        return built_in(), "built in"


def read(path: Path, device: str) -> Table:
    """The table of a file; what it leaves out is the built-in one's.

    Raises:
        ValueError: it holds something else than a table, or that of another device; says what.
        FileNotFoundError: there is no such file.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or not isinstance(data.get("tables"), dict):
            raise ValueError("expected an object with `device` and `tables`")
        tables = {name: _regimes(name, entries) for name, entries in data["tables"].items()}
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path}: not a table of CUDA regimes: {error}") from None
    if data.get("device") != device:
        raise ValueError(f"{path}: it was measured on {data.get('device')!r}, and this device is {device!r}")
    return {**built_in(), **tables}


def as_json(table: Table, device: str) -> str:
    """The text of a table file."""
    tables = {name: [asdict(regime) for regime in regimes] for name, regimes in table.items()}
    return json.dumps({"device": device, "tables": tables}, indent=1) + "\n"


def _regimes(name: str, entries: Any) -> tuple[Regime, ...]:
    if name not in KINDS:
        raise ValueError(f"{name!r}: accepted are {', '.join(KINDS)}")
    known = {field.name for field in fields(Regime)}
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{name}: not a list of regimes")
    regimes = []
    for entry in entries:
        if unknown := sorted(set(entry) - known):
            raise ValueError(f"{name}: {unknown} in a regime: accepted are {', '.join(sorted(known))}")
        regimes.append(checked(name, Regime(**entry)))
    if not regimes or regimes[-1].kernel != KINDS[name][-1] or regimes[-1].longest is not None:
        raise ValueError(f"{name}: the last regime must be {KINDS[name][-1]!r} without `longest`, to take every row")
    return tuple(regimes)


def checked(name: str, regime: Regime) -> Regime:
    """The regime, if its kernel can be built.

    Raises:
        ValueError: says what is wrong with it.
    """
    if regime.kernel not in KINDS[name]:
        raise ValueError(f"{name}: kernel {regime.kernel!r}: accepted are {', '.join(KINDS[name])}")
    for what in ("threads", "sharing", "registers"):
        value = getattr(regime, what)
        any_number = what == "registers" and name.endswith("columns")
        if not isinstance(value, int) or value < 1 or (value & (value - 1) and not any_number):
            wanted = "positive integer" if any_number else "power of two"
            raise ValueError(f"{name}: {what} {value!r} is not a {wanted}")
    if regime.longest is not None and (not isinstance(regime.longest, int) or regime.longest < 1):
        raise ValueError(f"{name}: longest {regime.longest!r} is neither a positive integer nor null")
    if regime.threads > 1024 or regime.sharing > regime.threads:
        raise ValueError(f"{name}: {regime.threads} threads, {regime.sharing} of them to a row, of at most 1024")
    across_warps = name.endswith("rows") and regime.sharing > 32
    whole_block = across_warps or (regime.kernel in ("shared", "split", "parts") and name.endswith("rows"))
    if whole_block and regime.sharing != regime.threads:
        raise ValueError(
            f"{name}: {regime.kernel} with more than a warp to a row shares it among all threads of a block"
        )
    return regime
