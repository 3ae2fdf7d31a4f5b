"""The map of the fastest: n across, rows down, and at each measured input the winner with its probability."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from ...analysis.contests import Contest
from . import canvas, lines, style


def winners(name: str, contests: Sequence[Contest], styles: style.Styles) -> canvas.Figure:
    """One mark per input: filled for a clear winner, else hollow, labelled where it is not certain."""
    placed = [c for c in contests if c.n and c.outer and c.inner and c.fastest]
    first = placed[0]
    heading = styles.heading(first.operation, first.dtype, run=first.run)
    title = f"{heading}: the fastest by n and number of rows"
    hollow = any(not c.clear for c in placed)
    names = list(dict.fromkeys(c.ranked[0].implementation for c in placed))

    def paint(drawing: Drawing) -> None:
        axes = drawing.add_subplot()
        for implementation in names:
            look = styles[implementation]
            axes.plot([], [], look.marker, color=look.color, markersize=9, label=lines.shortened(implementation))
        # All marks of a look at once: drawing a line for each would take several times as long.
        marks: dict[tuple[str, bool], list[tuple[int, int]]] = {}
        for contest in placed:
            n, rows = contest.n or 1, (contest.outer or 1) * (contest.inner or 1)
            marks.setdefault((contest.ranked[0].implementation, contest.clear), []).append((n, rows))
            chance = contest.probability(contest.ranked[0].implementation)
            if chance < 0.995:
                axes.annotate(
                    f"{chance:.0%}", (n, rows), xytext=(6, 3), textcoords="offset points", fontsize=canvas.SMALL
                )
        for (implementation, clear), places in marks.items():
            look = styles[implementation]
            filled = look.color if clear else "none"
            axes.plot(*zip(*places, strict=True), look.marker, color=look.color, markerfacecolor=filled, markersize=9)
        if hollow:
            axes.plot([], [], "o", color=style.INK[0], markerfacecolor="none", markersize=9, label="hollow: not clear")
        for axis, label in ((axes.xaxis, "n (elements per row)"), (axes.yaxis, "rows (outer × inner)")):
            axis.set_label_text(label)
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(10, numticks=9))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(FuncFormatter(lambda value, _: lines.short(value)))
        axes.margins(0.1)
        axes.grid(visible=True)
        axes.set_title(canvas.cut(heading), loc="left")
        canvas.legend(drawing, *axes.get_legend_handles_labels())

    return canvas.draw(name, title, _alt(title, placed), paint, legend=len(names) + hollow)


def _alt(title: str, contests: Sequence[Contest]) -> str:
    parts = [f"{c.title}: {' or '.join(cell.implementation for cell in c.rivals)}" for c in contests]
    return f"{title}. {'; '.join(parts)}."
