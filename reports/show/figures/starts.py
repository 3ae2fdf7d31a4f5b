"""The ladder of times per implementation, and the time of a start with k calls: where lines cross it has paid off."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import EngFormatter, LogLocator

from ...analysis import startup
from ...analysis.startup import RUNGS, Ladder
from ...system import text
from . import canvas, lines, style
from .canvas import Mark
from .lines import Axes, Point, Series

_STEP = 0.14  # of a row
_MARKS = dict(zip((key for key, _, _ in RUNGS), "<X^os*PvDh", strict=True))


def ladder(name: str, ladders: Sequence[Ladder], styles: style.Styles) -> canvas.Figure:
    """One row per implementation, one mark per rung, time on a log axis."""
    kept = ladders[: lines.SHOWN]
    heading = styles.heading(kept[0].operation, kept[0].dtype, run=kept[0].run)
    title = f"{heading}: from import to a steady call"
    alt = f"{title}. " + "; ".join(f"{one.implementation}: {startup.rung_times(one)}" for one in kept) + "."
    shown = [lines.shortened(one.implementation, 18) for one in kept]
    used = [key for key, _, _ in RUNGS if any(key in one.rungs for one in kept)]

    def paint(drawing: Drawing) -> list[Mark]:
        axes = drawing.add_subplot()
        marks = []
        for row, one in enumerate(kept):
            look = styles[one.implementation]
            times = [rung.value for rung in one.rungs.values()]
            axes.hlines(row, min(times), max(times), color=look.color, linewidth=2, alpha=0.4, gid=look.tag)
            for key, rung in one.rungs.items():
                # Each a little below the one before it: times that are nearly equal would cover each other.
                y = row + _STEP * (used.index(key) - (len(used) - 1) / 2)
                axes.plot(rung.value, y, _MARKS[key], color=look.color, markersize=7, gid=look.tag)
                marks.append(Mark(axes, rung.value, y, startup.rung_words(one, key), look.tag))
        for key in used:
            title = next(t for k, t, _ in RUNGS if k == key)
            axes.plot([], [], _MARKS[key], color=style.INK[0], markersize=7, label=title)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(10, numticks=8))
        axes.xaxis.set_major_formatter(EngFormatter("s", sep=""))
        axes.set_yticks(range(len(kept)), shown)
        axes.set_ylim(len(kept) - 0.5, -0.5)
        axes.grid(visible=True, axis="x")
        axes.set_xlabel("time")
        axes.set_title(canvas.cut(heading), loc="left")
        canvas.legend(drawing, *axes.get_legend_handles_labels())
        return marks

    return canvas.draw(
        name, title, alt, paint, axes=20 + 34 * len(kept), left=canvas.names_width(shown), legend=len(used)
    )


def break_even(
    name: str, ladders: Sequence[Ladder], baseline: Ladder, styles: style.Styles, *, compiling: bool
) -> canvas.Figure:
    """Seconds from nothing to the end of k calls, against k."""
    known = [one for one in ladders if math.isfinite(one.after(1, compiling=compiling))][: lines.SHOWN]
    calls = np.unique(np.geomspace(1, 1e6, 61).round())
    series = [Series(one.implementation, [Point(k, one.after(k, compiling=compiling)) for k in calls]) for one in known]
    where = "compiling" if compiling else "from cache"
    heading = f"{styles.heading(baseline.operation, baseline.dtype, run=baseline.run)}: {where}"
    title = f"{heading}: time of a start and k calls on {baseline.input}"
    said = [
        f"{one.implementation} {even}"
        for one in known
        if one is not baseline and (even := startup.break_even(one, baseline, compiling=compiling))
    ]
    alt = f"{title}. Pays off against {baseline.implementation}: {text.listed(said) or 'nothing to compare'}."
    labels = Axes("calls k", "import + first call + k calls", y_unit="s")
    return lines.panel(name, heading, title, alt, series, styles, labels)
