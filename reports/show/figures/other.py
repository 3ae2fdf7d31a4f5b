"""Thread scaling, accuracy and peak memory."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure as Drawing

from ...analysis.scaling import Scaling, Step
from ...system import text
from . import canvas, lines, style
from .canvas import Mark
from .lines import Axes, Point, Series


def scaling(name: str, scalings: Sequence[Scaling], styles: style.Styles) -> canvas.Figure:
    """Speed-up over the fewest threads, against threads; dotted: as many times faster as there are threads."""
    series = [Series(one.implementation, [_step(one, s) for s in one.steps]) for one in scalings]
    first = scalings[0]
    heading = f"{styles.heading(first.operation, first.dtype, run=first.machine)}: {first.input}"
    fewest = min(s.steps[0].threads for s in scalings)
    title = f"{heading}: how many times faster than with {text.plural(fewest, 'thread')}"
    alt = f"{title}. " + "; ".join(f"{one.implementation}: {_last(one.steps[-1])}" for one in scalings)

    def ideal(axes: object) -> None:
        most = max(s.threads for one in scalings for s in one.steps)
        axes.plot([fewest, most], [1, most / fewest], ":", color=style.INK[0], linewidth=1)  # type: ignore[attr-defined]

    labels = Axes("threads", "times faster", x_scale="binary", y_scale="linear", y_from_zero=True)
    return lines.panel(name, heading, title, alt, series, styles, labels, decorate=ideal)


def _step(of: Scaling, step: Step) -> Point:
    words = f"{of.implementation}, {text.plural(step.threads, 'thread')}: {text.seconds(step.time.value)}"
    if step.speedup is None:
        return Point(step.threads, 1.0, words=words)
    words += f"; {step.speedup} as fast; efficiency {step.efficiency.percent}"
    words += f"; {text.plural(step.speedup.processes, 'process')}"
    return Point(step.threads, step.speedup.value, step.speedup.low, step.speedup.high, words)


def _last(step: Step) -> str:
    if step.speedup is None or not step.speedup.shown:
        return f"with {step.threads} threads {step.speedup.withheld if step.speedup else 'not measured'}"
    return (
        f"{text.factor(step.speedup.value)} with {step.threads} threads, "
        f"efficiency {text.percent(step.efficiency.value)}"
    )


def accuracy(name: str, rows: pd.DataFrame, styles: style.Styles) -> canvas.Figure:
    """Largest (whole line) and typical (dotted line) error in ulp against n."""
    names = list(dict.fromkeys(rows["implementation"]))
    dtype = rows["dtype"].iloc[0]
    series = []
    for implementation in names[: lines.SHOWN]:
        for statistic, line in (("largest_error", "-"), ("typical_error", ":")):
            mine = rows[(rows["implementation"] == implementation) & (rows["statistic"] == statistic)].sort_values("n")
            what = f"{implementation}: {statistic.replace('_', ' ')}"
            points = [
                Point(float(n), float(value), words=f"{what} {text.digits(value)} ulp at n = {n:,}")
                for n, value in zip(mine["n"], mine["value"], strict=True)
            ]
            series.append(Series(implementation, points, line))
    heading = styles.heading("softmax", dtype, run=rows["run"].iloc[0])
    title = f"{heading}: error against n, in ulp (whole line: largest; dotted: typical)"
    largest = rows[rows["statistic"] == "largest_error"].groupby("implementation", sort=False)["value"].max()
    alt = f"{title}. Largest error: " + ", ".join(f"{key} {text.digits(value)} ulp" for key, value in largest.items())
    labels = Axes("n (elements per row)", "error (ulp)")
    return lines.panel(name, heading, title, f"{alt}.", series, styles, labels)


def memory(name: str, rows: pd.DataFrame, styles: style.Styles) -> canvas.Figure:
    """Peak memory over that of a process which only holds the arrays."""
    kept = rows.sort_values("over", kind="stable").head(lines.SHOWN)
    operation, dtype = kept["operation"].iloc[0], kept["dtype"].iloc[0]
    shown = [lines.shortened(key, 18) for key in kept["implementation"]]
    heading = styles.heading(operation, dtype, run=kept["run"].iloc[0])
    title = f"{heading}: peak memory over that of the arrays alone"
    alt = f"{title}. " + ", ".join(
        f"{key} {text.size(max(value, 0))}" for key, value in zip(kept["implementation"], kept["over"], strict=True)
    )

    def paint(drawing: Drawing) -> list[Mark]:
        axes = drawing.add_subplot()
        marks = []
        for row, (key, value) in enumerate(zip(kept["implementation"], kept["over"], strict=True)):
            (bar,) = axes.barh(row, value / 2**20, color=styles[key].color, height=0.6)
            bar.set_gid(styles[key].tag)
            words = f"{key}: {text.size(value)} over the arrays alone; 1 process"
            marks.append(Mark(axes, max(value, 0) / 2**20, row, words, styles[key].tag))
            axes.annotate(
                text.size(value),
                (max(value, 0) / 2**20, row),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=canvas.SMALL,
            )
        axes.set_yticks(range(len(kept)), shown)
        axes.set_ylim(len(kept) - 0.5, -0.5)
        axes.margins(x=0.25)
        axes.set_xlabel("peak memory over the arrays (MiB)")
        axes.set_title(canvas.cut(heading), loc="left")
        return marks

    return canvas.draw(name, title, f"{alt}.", paint, axes=10 + 30 * len(kept), left=canvas.names_width(shown))
