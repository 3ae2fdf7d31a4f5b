"""Time, bandwidth and share of the ceiling against n, and how many inputs each implementation is near the best on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...analysis.contests import Cell, Contest
from ...analysis.shortfall import Reasons
from ...system import text
from . import canvas, lines, style
from .lines import Axes, Point, Series

_N = "n (elements per row; the total is constant)"


def time(name: str, contests: Sequence[Contest], styles: style.Styles, caches: Mapping[str, int]) -> canvas.Figure:
    """Time of one call against n, on log axes; the ceiling as a line where it was measured."""
    axes = Axes(_N, "time of one call", y_unit="s")
    ceiling = [Point(c.n or 0, c.ceiling.value) for c in contests if c.ceiling and not c.ceiling.doubt]
    return _against_n(
        name, contests, styles, caches, axes, lambda _, cell: (cell.value, cell.low, cell.high), ceiling=ceiling
    )


def bandwidth(name: str, contests: Sequence[Contest], styles: style.Styles, caches: Mapping[str, int]) -> canvas.Figure:
    """Bandwidth against n: the least bytes that the operation must move, over the time."""

    def of(_: Contest, cell: Cell) -> tuple[float, float, float]:
        moved = cell.bandwidth * cell.value
        return cell.bandwidth, moved / cell.high, moved / cell.low

    axes = Axes(_N, "bandwidth (GB/s)", y_scale="linear", y_from_zero=True)
    ceiling = [Point(c.n or 0, c.ceiling.bandwidth) for c in contests if c.ceiling and not c.ceiling.doubt]
    return _against_n(name, contests, styles, caches, axes, of, ceiling=ceiling)


def share(
    name: str, contests: Sequence[Contest], styles: style.Styles, caches: Mapping[str, int], reasons: Reasons
) -> canvas.Figure:
    """Share of the measured ceiling against n, in percent; a point says why it is low."""

    def of(contest: Contest, cell: Cell) -> tuple[float, float, float]:
        ratio = contest.share(cell)
        return (100 * ratio.value, 100 * ratio.low, 100 * ratio.high) if ratio else (math.nan,) * 3

    axes = Axes(_N, "share of the ceiling (%)", y_scale="linear", y_from_zero=True)
    known = [c for c in contests if c.ceiling and not c.ceiling.doubt]
    return _against_n(name, known, styles, caches, axes, of, why=reasons.of)


def _against_n(
    name: str,
    contests: Sequence[Contest],
    styles: style.Styles,
    caches: Mapping[str, int],
    axes: Axes,
    of: Callable[[Contest, Cell], tuple[float, float, float]],
    *,
    ceiling: Sequence[Point] = (),
    why: Callable[[Contest, Cell], str] = lambda contest, cell: "",
) -> canvas.Figure:
    contests = sorted(contests, key=lambda c: c.n or 0)
    first, names = contests[0], shown(contests)
    series = []
    for implementation in names:
        points = []
        for contest in contests:
            cell = contest.of(implementation)
            if cell is None:
                points.append(Point(contest.n or 0, math.nan))
                continue
            words = "; ".join(filter(None, (contest.words(cell), why(contest, cell))))
            points.append(Point(contest.n or 0, *of(contest, cell), words, contest.name))
        series.append(Series(implementation, points))
    axis = ["strided axis"] if first.benchmark == "Strided" else []
    heading = styles.heading(first.operation, first.dtype, *axis, run=first.run)

    def decorate(drawn: Any) -> None:
        if ceiling:
            points = sorted(ceiling, key=lambda p: p.x)
            drawn.plot(
                [p.x for p in points],
                [p.y for p in points],
                color=style.INK[0],
                linewidth=1,
                linestyle=(0, (4, 2)),
                label="ceiling",
            )
        mark_caches(drawn, first.dtype, caches, [c.n or 0 for c in contests])

    title = f"{heading}: {axes.y} against n"
    return lines.panel(
        name, heading, title, _alt(title, contests, names), series, styles, axes, decorate=decorate, extra=bool(ceiling)
    )


def shown(contests: Sequence[Contest]) -> list[str]:
    """The implementations drawn: all that were measured, or those with the best times where there are too many."""
    best: dict[str, float] = {}
    for contest in contests:
        for cell in contest.ranked:
            relative = cell.value / contest.ranked[0].value
            best[cell.implementation] = min(best.get(cell.implementation, math.inf), relative)
    kept = sorted(best, key=lambda key: best[key])[: lines.SHOWN]
    return [key for key in best if key in kept]


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
            axes.text(
                n,
                1.01,
                lines.shortened(cache, 6),
                transform=axes.get_xaxis_transform(),
                ha="center",
                fontsize=canvas.SMALL,
            )


def profile(name: str, contests: Sequence[Contest], styles: style.Styles) -> canvas.Figure:
    """Performance profile: on which share of the inputs an implementation is within a factor of the best.

    An input that an implementation did not run counts as infinitely slow there. Source: E. D. Dolan and J. J. More,
    "Benchmarking optimization software with performance profiles", Mathematical Programming 91, 2002.
    """
    names = shown(contests)
    factors = {key: sorted(slowdown for c in contests if (slowdown := _slowdown(c, key)) is not None) for key in names}
    last = 2 * max((f[-1] for f in factors.values() if f), default=1)
    series = []
    for key, found in factors.items():
        points = [Point(1, 0)] if not found or found[0] > 1 else []
        points += [Point(tau, 100 * (i + 1) / len(contests)) for i, tau in enumerate(found)]
        series.append(Series(key, [*points, Point(last, 100 * len(found) / len(contests))]))
    about = styles.heading(contests[0].operation, run=contests[0].run)
    heading = f"{about}: {text.plural(len(contests), 'input')}"
    title = f"{about}: share of inputs on which an implementation is within a factor of the fastest"
    best = {key: sum(f == 1 for f in found) for key, found in factors.items()}
    alt = (
        f"{title}. Fastest: " + ", ".join(f"{key} on {count}" for key, count in best.items()) + f" of {len(contests)}."
    )
    labels = Axes("within this factor of the fastest", "share of inputs (%)", y_scale="linear", y_from_zero=True)
    return lines.panel(name, heading, title, alt, series, styles, labels, steps=True)


def _slowdown(contest: Contest, implementation: str) -> float | None:
    cell = contest.of(implementation)
    return cell.value / contest.ranked[0].value if cell else None


def _alt(title: str, contests: Sequence[Contest], names: Sequence[str]) -> str:
    parts = [
        f"at n = {contest.n:,} {best.implementation} has the smallest time, {text.seconds(best.value)}"
        for contest in (contests[0], contests[-1])
        if (best := contest.fastest)
    ]
    return f"{title}, for {text.listed(list(names))}; {'; '.join(parts)}."
