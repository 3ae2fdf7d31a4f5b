"""The size of the processor's last cache, which decides how results are best stored."""

from __future__ import annotations

import functools
from pathlib import Path

_ROOT = Path("/sys/devices/system/cpu/cpu0/cache")
_USUAL = 32 << 20


@functools.cache
def last_level(root: Path = _ROOT) -> int:
    """Bytes of the first core's largest cache; 32 MiB where the system does not say."""
    sizes = []
    for file in root.glob("index*/size"):
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if text.endswith("K") and text[:-1].isdecimal():
            sizes.append(int(text[:-1]) << 10)
    return max(sizes, default=_USUAL)
