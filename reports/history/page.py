"""The history's page: figures of the anchored series with their steps, the suspects, and links into asv's graphs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from ..records.asv_results import literal
from ..show.asv_pages import Preset
from ..show.figures import canvas, style
from ..show.templating import environment, style_sheet
from .series import History, Series
from .steps import Found

Group = tuple[str, str, str, tuple[str, ...]]


def render(history: History, found: Sequence[Found], order: Sequence[str], presets: Sequence[Preset]) -> str:
    """The whole page.

    Args:
        order: all commits of the repository from oldest to newest, to number those measured.
        presets: links into asv's graphs.
    """
    template = environment().get_template("history.html.j2")
    return template.render(
        style=style_sheet(),
        variables=style.variables(),
        machines=sorted({s.machine for s in history.series}),
        commits=len({p.commit for s in history.series for p in s.points}),
        steps=[_row(f) for f in found],
        figures=figures(history.series, found, order),
        oddities=history.oddities,
        presets=presets,
    )


def _row(f: Found) -> dict[str, Any]:
    return {
        "machine": f.series.machine,
        "series": f.series.name,
        "size": f"{f.step.size:+.1%}",
        "worse": f.step.size > 0,
        "suspects": f"{f.step.before[:8]}..{f.step.after[:8]}",
        "confidence": f"{math.floor(f.step.confidence * 1000) / 10:g}%",
        "sure": f.step.sure,
    }


def figures(series: Sequence[Series], found: Sequence[Found], order: Sequence[str]) -> list[canvas.Figure]:
    """One figure for each benchmark, machine and set of parameters, with a line for each implementation."""
    groups: dict[Group, list[Series]] = defaultdict(list)
    for one in series:
        if any(p.ratio is not None for p in one.points):
            groups[one.machine, one.environment, one.benchmark, one.params[1:]].append(one)
    styles = style.Styles(_implementation(one) for one in series)
    place = {commit: index for index, commit in enumerate(order)}
    return [
        _figure(f"history-{index}", key, some, [f for f in found if f.series in some], styles, place)
        for index, (key, some) in enumerate(sorted(groups.items()))
    ]


def _implementation(one: Series) -> str:
    return str(literal(one.params[0])) if one.params else one.benchmark


def _figure(
    name: str, key: Group, some: Sequence[Series], found: Sequence[Found], styles: style.Styles, place: dict[str, int]
) -> canvas.Figure:
    machine, _, benchmark, params = key
    heading = ", ".join([benchmark, *(str(literal(p)) for p in params)])
    steps = "; ".join(
        f"{_implementation(f.series)} {f.step.size:+.1%} at {f.step.after[:8]}" for f in found if f.step.sure
    )
    title = f"{heading} on {machine}: time over the anchor's, by commit"
    # The axis is the order of the commits measured here: git's numbers would leave gaps as wide as what was skipped.
    commits = sorted({p.commit for one in some for p in one.points}, key=lambda c: place.get(c, len(place)))
    at = {commit: index for index, commit in enumerate(commits)}

    def paint(drawing: Drawing) -> list[canvas.Mark]:
        axes = drawing.add_subplot()
        for one in some:
            points = [p for p in one.points if p.ratio]
            drawn = styles[_implementation(one)]
            axes.plot(
                [at[p.commit] for p in points], [p.ratio or math.nan for p in points],
                color=drawn.color, marker=drawn.marker, linestyle=drawn.line, markersize=3,
                label=", ".join(filter(None, [_implementation(one), one.version])),
            )  # fmt: skip
            for f in found:
                if f.series is one and f.step.sure:
                    axes.axvline(at[f.step.after] - 0.5, color=drawn.color, linewidth=1, linestyle=":")
                    axes.annotate(
                        f"{f.step.size:+.1%}", (at[f.step.after] - 0.5, 1), xycoords=("data", "axes fraction"),
                        xytext=(3, -12), textcoords="offset points", color=drawn.color,
                    )  # fmt: skip
        axes.set_yscale("log")
        ratios = [p.ratio for one in some for p in one.points if p.ratio]
        spread = max(ratios) / min(ratios)
        axes.yaxis.set_major_locator(
            MaxNLocator(6) if spread < 5 else LogLocator(10, subs=(1,) if spread > 50 else (1, 2, 5), numticks=12)
        )
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
        axes.grid(visible=True, axis="y")
        ticks = sorted({0, len(commits) // 2, len(commits) - 1})
        axes.set_xticks(ticks, [commits[i][:8] for i in ticks])
        axes.set_ylabel("time / anchor")
        axes.set_title(f"{heading} on {machine}", loc="left")
        canvas.legend(drawing, *axes.get_legend_handles_labels())
        return []

    alt = f"{title}. {steps or 'No step.'}"
    return canvas.draw(name, title, alt, paint, width=canvas.WIDTH * 2, legend=len(some))
