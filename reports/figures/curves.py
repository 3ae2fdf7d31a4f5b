"""Time and bandwidth against n, one line per implementation with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, NullLocator

from .. import text
from ..comparison import Cell, Contest
from . import canvas, style

SHOWN = 12  # implementations in one panel; more cannot be told apart


def time(name: str, contests: Sequence[Contest], styles: style.Styles, caches: Mapping[str, int]) -> canvas.Figure:
    """Time of one call against n, on log axes."""
    return _panel(name, contests, styles, caches, "time of one call", lambda c: (c.value, c.low, c.high), log=True)


def bandwidth(name: str, contests: Sequence[Contest], styles: style.Styles, caches: Mapping[str, int]) -> canvas.Figure:
    """Bandwidth against n: the least bytes that the operation must move, over the time."""

    def of(cell: Cell) -> tuple[float, float, float]:
        moved = cell.bandwidth * cell.value
        return cell.bandwidth, moved / cell.high, moved / cell.low

    return _panel(name, contests, styles, caches, "bandwidth (GB/s)", of, log=False)


def _panel(
    name: str,
    contests: Sequence[Contest],
    styles: style.Styles,
    caches: Mapping[str, int],
    what: str,
    of: Callable[[Cell], tuple[float, float, float]],
    *,
    log: bool,
) -> canvas.Figure:
    first = contests[0]
    contests = sorted(contests, key=lambda c: c.n or 0)
    names = shown(contests)
    title = f"{first.operation}, {first.dtype}: {what} against n"

    def paint(drawing: Drawing) -> None:
        axes = drawing.add_subplot()
        for implementation in names:
            line(axes, implementation, contests, styles, of)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(10, numticks=9))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        if log:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(10, numticks=9))
            axes.yaxis.set_major_formatter(EngFormatter("s"))
        else:
            axes.set_ylim(bottom=0)
        axes.grid(visible=True, which="major")
        axes.set_xlabel("n (elements per row; the total is constant)")
        axes.set_ylabel(what)
        axes.set_title(f"{first.operation}, {first.dtype}", loc="left", pad=8)
        mark_caches(axes, first.dtype, caches, [c.n or 0 for c in contests])
        legend(drawing, axes)

    rows = math.ceil(len(names) / 2)
    return canvas.draw(name, title, _alt(title, contests, names), paint, height=290 + 17 * rows)


def shown(contests: Sequence[Contest]) -> list[str]:
    """The implementations drawn: all that were measured, or those with the best times where there are too many."""
    best: dict[str, float] = {}
    for contest in contests:
        for cell in contest.ranked:
            relative = cell.value / contest.ranked[0].value
            best[cell.implementation] = min(best.get(cell.implementation, math.inf), relative)
    kept = sorted(best, key=lambda key: best[key])[:SHOWN]
    return [key for key in best if key in kept]


def line(
    axes: Any,
    implementation: str,
    contests: Sequence[Contest],
    styles: style.Styles,
    of: Callable[[Cell], tuple[float, float, float]],
) -> None:
    """One implementation's line with its intervals; a gap where it was not measured."""
    look = styles[implementation]
    points = []
    for contest in contests:
        cell = contest.of(implementation)
        points.append((contest.n, *(of(cell) if cell else (math.nan,) * 3)))
    n, value, low, high = np.array(points, float).T
    axes.plot(n, value, look.line, color=look.color, marker=look.marker, label=implementation)
    axes.vlines(n, low, high, color=look.color, linewidth=3, alpha=0.45)


def mark_caches(axes: Any, dtype: str, caches: Mapping[str, int], sizes: Sequence[int]) -> None:
    """Dotted lines where one row fills a cache."""
    try:
        itemsize = np.dtype(dtype).itemsize
    except TypeError:
        return
    for cache, size in caches.items():
        n = size / itemsize
        if min(sizes) < n < max(sizes):
            axes.axvline(n, color=style.INK[0], linewidth=0.8, linestyle=":")
            axes.text(n, 1.01, cache, transform=axes.get_xaxis_transform(), ha="center", fontsize=canvas.SMALL)


def legend(drawing: Drawing, axes: Any) -> None:
    """The legend under the panel, in two columns."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        drawing.legend(handles, [shortened(label) for label in labels], loc="outside lower left", ncols=2)


def shortened(name: str, most: int = 24) -> str:
    """A name cut to fit."""
    name = " ".join(name.split())
    return name if len(name) <= most else f"{name[: most - 1]}…"


def short(value: float) -> str:
    """1, 10, 1k, 1M."""
    return f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"


def _alt(title: str, contests: Sequence[Contest], names: Sequence[str]) -> str:
    parts = [
        f"at n = {contest.n:,} {contest.fastest.implementation} is fastest with {text.seconds(contest.fastest.value)}"
        for contest in (contests[0], contests[-1])
        if contest.fastest
    ]
    return f"{title}, for {text.listed(list(names))}; {'; '.join(parts)}."
