"""A panel of lines: one series per implementation, with intervals, a legend below, and axes in the field's units."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, LogLocator, NullLocator

from . import canvas, style
from .canvas import Mark

Scale = Literal["log", "linear", "binary"]
SHOWN = 12  # implementations in one panel; more cannot be told apart


@dataclass(frozen=True)
class Point:
    """x, y, y's interval (NaN where there is none), and, where it answers when touched, its words and its input."""

    x: float
    y: float
    low: float = math.nan
    high: float = math.nan
    words: str = ""
    input: str = ""


@dataclass(frozen=True)
class Series:
    """A named line; its name is an implementation's, whose style it has, unless a line of its own is given."""

    name: str
    points: Sequence[Point]
    line: str | None = None


@dataclass(frozen=True)
class Axes:
    """What a panel's axes show: labels with units, scales, and the unit that ticks get (s for seconds)."""

    x: str
    y: str
    x_scale: Scale = "log"
    y_scale: Scale = "log"
    y_unit: str = ""
    y_from_zero: bool = False
    x_unit: str = ""


def panel(
    name: str,
    heading: str,
    title: str,
    alt: str,
    series: Sequence[Series],
    styles: style.Styles,
    labels: Axes,
    *,
    decorate: Callable[[Any], None] | None = None,
    extra: int = 0,
    steps: bool = False,
) -> canvas.Figure:
    """Draw a panel; `decorate` adds to its axes before the legend is made, where it names `extra` lines."""
    kept = series[:SHOWN]

    def paint(drawing: Drawing) -> list[Mark]:
        axes = drawing.add_subplot()
        for one in kept:
            _line(axes, one, styles, steps=steps)
        if decorate is not None:
            decorate(axes)  # first, for the axes to span that as well
        axes.set_title(canvas.cut(heading), loc="left", pad=8)
        _scale(axes, labels, [p.x for one in kept for p in one.points])
        axes.grid(visible=True, which="major")
        axes.set_xlabel(labels.x)
        axes.set_ylabel(labels.y)
        _legend(drawing, axes)
        return [
            Mark(axes, p.x, p.y, p.words, styles[one.name].tag, p.input) for one in kept for p in one.points if p.words
        ]

    return canvas.draw(name, title, alt, paint, legend=len({one.name for one in kept}) + extra)


def _line(axes: Any, one: Series, styles: style.Styles, *, steps: bool) -> None:
    look = styles[one.name]
    x, y, low, high = np.array([(p.x, p.y, p.low, p.high) for p in one.points], float).reshape(-1, 4).T
    axes.plot(
        x,
        y,
        one.line or look.line,
        color=look.color,
        marker=look.marker,
        markevery=max(1, len(x) // 8),
        drawstyle="steps-post" if steps else "default",
        label=one.name,
        gid=look.tag,
    )
    known = np.isfinite(low) & np.isfinite(high)
    if known.any():  # without an interval each point would still be drawn, as an empty path
        axes.vlines(x[known], low[known], high[known], color=look.color, linewidth=3, alpha=0.45, gid=look.tag)


def _scale(axes: Any, labels: Axes, xs: Sequence[float]) -> None:
    if labels.x_scale == "log":
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(10, numticks=9))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    elif labels.x_scale == "binary":
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(sorted(set(xs))))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if labels.y_scale == "log":
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        # A power of ten each, or where there would be one or two of them more; minor ticks cost time and say little.
        axes.yaxis.set_major_locator(LogLocator(10, subs=(1,) if high > 50 * low else (1, 2, 5), numticks=12))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(
            EngFormatter("s") if labels.y_unit == "s" else FuncFormatter(lambda value, _: short(value))
        )
    elif labels.y_from_zero:
        axes.set_ylim(bottom=0)


def _legend(drawing: Drawing, axes: Any) -> None:
    """The legend under the panel, in two columns; a name that has two lines once."""
    handles, names = axes.get_legend_handles_labels()
    once: dict[str, Any] = {}
    for name, handle in zip(names, handles, strict=True):
        once.setdefault(name, handle)
    if once:
        canvas.legend(drawing, once.values(), [shortened(name) for name in once])


def shortened(name: str, most: int = 24) -> str:
    """A name cut to fit."""
    name = " ".join(name.split())
    return name if len(name) <= most else f"{name[: most - 1]}…"


def short(value: float) -> str:
    """1, 10, 1k, 1M."""
    for scale, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:g}{letter}"
    return f"{value:g}"
