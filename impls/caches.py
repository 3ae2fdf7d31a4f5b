"""Sizes of the processor's caches, which decide how results are best stored."""

from __future__ import annotations

import functools
from pathlib import Path

from . import threads

_ROOT = Path("/sys/devices/system/cpu/cpu0/cache")
_USUAL = {2: 512 << 10, 3: 32 << 20}
# Bytes of the last cache that can be counted on for each CPU that may be used. That of a large server, which a virtual
# machine of it reports in whole, is shared with all that run there: of 260 MiB that two CPUs of an Emerald Rapids
# report, arrays of 32 MiB and more are faster past the caches (1.5 times, and 6% with a reader of the results after
# it); of 16 MiB the call is 15% faster but the call and the reader 10% slower.
_SHARE = 32 << 20


@functools.cache
def last_level(root: Path = _ROOT) -> int:
    """Bytes of the last cache that this process can count on; 32 MiB where the system does not say."""
    return min(max(_sizes(root).values(), default=_USUAL[3]), _SHARE * threads.cpus())


@functools.cache
def second_level(root: Path = _ROOT) -> int:
    """Bytes of a core's second cache; 512 KiB where the system does not say."""
    return _sizes(root).get(2, _USUAL[2])


def _sizes(root: Path) -> dict[int, int]:
    """Bytes of the first core's caches by level, of the larger where instructions have one of their own."""
    sizes: dict[int, int] = {}
    for folder in root.glob("index*"):
        try:
            level, size = (folder / "level").read_text().strip(), (folder / "size").read_text().strip()
        except OSError:
            continue
        if size.endswith("K") and size[:-1].isdecimal() and level.isdecimal():
            sizes[int(level)] = max(sizes.get(int(level), 0), int(size[:-1]) << 10)
    return sizes
