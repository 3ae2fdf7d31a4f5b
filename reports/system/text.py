"""Numbers as people read them: three digits and a unit."""

from __future__ import annotations

import math
import re

_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
NOTHING = "–"


def digits(value: float) -> str:
    """Three significant digits, without an exponent, with separators between thousands."""
    if not math.isfinite(value):
        return NOTHING
    if value == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(float(f"{value:.2e}")))))
    return f"{float(f'{value:.2e}'):,.{places}f}"


def _unit(value: float, units: tuple[tuple[float, str], ...]) -> tuple[float, str]:
    return next((unit for unit in units if abs(float(f"{value / unit[0]:.2e}")) >= 1), units[-1])


def seconds(value: float) -> str:
    """A time: ``1.23 ms``."""
    return _scaled(value, _TIMES)


def size(value: float) -> str:
    """A number of bytes: ``16.0 MiB``."""
    return _scaled(value, _SIZES)


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    if not math.isfinite(value):
        return NOTHING
    scale, name = _unit(value, units)
    return f"{digits(value / scale)} {name}"


def seconds_range(low: float, high: float) -> str:
    """An interval of times in one unit: ``1.20–1.31 ms``; empty where there is none."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    scale, name = _unit(low, _TIMES)
    return f"{digits(low / scale)}–{digits(high / scale)} {name}"


def factor(value: float) -> str:
    """A ratio: ``5.12×``."""
    return f"{digits(value)}×" if math.isfinite(value) else NOTHING


def factor_range(low: float, high: float) -> str:
    """An interval of ratios: ``4.90–5.31×``; empty where there is none."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"{digits(low)}–{digits(high)}×"


def bandwidth(value: float) -> str:
    """GB/s: ``12.3 GB/s``."""
    return f"{digits(value)} GB/s" if math.isfinite(value) else NOTHING


def percent(value: float) -> str:
    """A share: ``87%``, ``0.3%``."""
    if not math.isfinite(value):
        return NOTHING
    return f"{value:.0%}" if value >= 0.0995 or value == 0 else f"{value:.1%}"


def shape(outer: int, n: int, inner: int) -> str:
    """``1024 × 1000`` for the last axis, ``8 × 21 × 65536 (axis 1)`` for a middle one."""
    return f"{outer} × {n}" if inner == 1 else f"{outer} × {n} × {inner} (axis 1)"


def plural(count: int, noun: str) -> str:
    """``1 process``, ``2 processes``."""
    ending = "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{'' if count == 1 else ending}"


def processes(count: int) -> str:
    """``3 processes``; of none, where they cannot be told apart, ``processes not known``."""
    return plural(count, "process") if count else "processes not known"


def cut(words: str, most: int = 90) -> str:
    """The first of several sentences or lines, and of that no more than so many characters."""
    first = re.split(r"\n|(?<=[a-z])\. ", words.strip(), maxsplit=1)[0]
    return first if len(first) <= most else f"{first[: most - 1]}…"


def listed(names: list[str]) -> str:
    """``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def no_formula(words: str) -> str:
    """Words for a cell of a spreadsheet: an apostrophe stands before what it would take for a formula."""
    return f"'{words}" if words[:1] in ("=", "+", "-", "@", "\t", "\r") else words


def markdown(words: str) -> str:
    """Words that Markdown and HTML leave as they are, on one line."""
    words = " ".join(words.split())
    words = words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|~$#@!])", r"\\\1", words)
