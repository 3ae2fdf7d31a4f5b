"""Facts of the machine that regimes are chosen by: vector registers and caches. Nothing is decided here."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from .. import simd, threads

_ROOT = Path("/sys/devices/system/cpu/cpu0/cache")
_USUAL = {1: 32 << 10, 2: 512 << 10, 3: 32 << 20}
# Bytes of the last-level cache that can be counted on for each CPU that may be used. A virtual machine reports that of
# a large server in whole, which all that run there share: of 260 MiB that two CPUs of an Emerald Rapids report, arrays
# of 32 MiB and more are faster with non-temporal stores (1.5 times, and 6% with a reader of the results after it).
_SHARE = 32 << 20


@dataclass(frozen=True)
class Machine:
    """What kernels are compiled for and run on.

    Attributes:
        vector_bytes: bytes of a vector register: 64 with AVX-512, 32 with AVX2, 16 with SSE2 and NEON.
        vector_registers: how many there are: 32 with AVX-512 and NEON, 16 with AVX2 and SSE2.
        l1: bytes of a core's first-level data cache.
        l2: bytes of a core's second-level cache.
        llc: bytes of the last-level cache that the process can count on.
    """

    vector_bytes: int
    vector_registers: int
    l1: int = _USUAL[1]
    l2: int = _USUAL[2]
    llc: int = _USUAL[3]


@functools.cache
def this_machine(root: Path = _ROOT) -> Machine:
    """The machine at hand; usual sizes for caches of which the system reports nothing."""
    found = cache_sizes(root)
    llc = min(max(found.values(), default=_USUAL[3]), _SHARE * threads.cpus())
    sizes = _USUAL | found
    return Machine(simd.register_bytes(), simd.register_count(), sizes[1], sizes[2], llc)


def cache_sizes(root: Path) -> dict[int, int]:
    """Bytes of the first core's caches for data by level, as Linux reports them."""
    sizes: dict[int, int] = {}
    for folder in root.glob("index*"):
        try:
            level, size, kind = ((folder / name).read_text().strip() for name in ("level", "size", "type"))
        except OSError:
            continue
        if kind != "Instruction" and size.endswith("K") and size[:-1].isdecimal() and level.isdecimal():
            sizes[int(level)] = int(size[:-1]) << 10
    return sizes
