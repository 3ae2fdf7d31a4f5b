"""The map of the fastest: n across, rows down, a cell for each octave of both, filled where an input was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, MultipleLocator

from ...analysis.contests import Contest
from ...system import text
from . import canvas, lines, style
from .canvas import Mark

COLUMNS, ROWS = 25, 21  # octaves: n up to 2^24, rows up to 2^20
HATCH = "////"


def winners(name: str, contests: Sequence[Contest], styles: style.Styles) -> canvas.Figure:
    """Filled for a clear winner, hatched for a tie, an outline where it cannot be told; empty: not measured."""
    placed = [c for c in contests if c.n and c.outer and c.inner and c.fastest]
    first = placed[0]
    heading = styles.heading(first.operation, first.dtype, run=first.run)
    title = f"{heading}: the fastest by n and number of rows"
    names = list(dict.fromkeys(c.ranked[0].implementation for c in placed))
    looks = [look for look in ("tie", "cannot tell") if any(_look(c) == look for c in placed)]
    cells: dict[tuple[int, int], list[Contest]] = {}
    for contest in placed:
        cells.setdefault(_octaves(contest), []).append(contest)

    def paint(drawing: Drawing) -> list[Mark]:
        axes = drawing.add_subplot()
        across, down = (max(size, 1 + max(key[i] for key in cells)) for i, size in enumerate((COLUMNS, ROWS)))
        axes.set(xlim=(-0.5, across - 0.5), ylim=(-0.5, down - 0.5))
        axes.grid(visible=True)
        axes.set_axisbelow(True)
        marks = []
        # All cells of a look at once: a patch for each would take several times as long.
        groups: dict[tuple[str, str], list[list[tuple[float, float]]]] = {}
        centres: dict[str, list[tuple[float, float]]] = {}
        for (column, row), here in cells.items():
            for place, contest in enumerate(here):  # inputs of the same octaves share a cell
                left, width = column - 0.47 + 0.94 * place / len(here), 0.94 / len(here)
                low, high = row - 0.47, row + 0.47
                winner, look = contest.ranked[0].implementation, _look(contest)
                corners = [(left, low), (left + width, low), (left + width, high), (left, high)]
                groups.setdefault((winner, look), []).append(corners)
                if look == "faster":
                    centres.setdefault(winner, []).append((left + width / 2, row))
                marks.append(Mark(axes, left + width / 2, row, words(contest), styles[winner].tag, contest.name))
        for (winner, look), shapes in groups.items():
            color, tag = styles[winner].color, styles[winner].tag
            axes.add_collection(
                PolyCollection(
                    shapes, facecolors=color if look == "faster" else "none", edgecolors=color, linewidths=1.2,
                    hatch=HATCH if look == "tie" else None, gid=tag,
                )
            )  # fmt: skip
        for winner, points in centres.items():  # the marker tells them apart without colour
            marker = styles[winner].marker
            axes.plot(*zip(*points, strict=True), marker, color=style.PAPER[0], markersize=4, gid=styles[winner].tag)
        for winner in names:
            one = styles[winner]
            axes.plot([], [], one.marker, color=one.color, markersize=8, label=lines.shortened(winner), gid=one.tag)
        for look in looks:
            hatch = HATCH * 2 if look == "tie" else None
            (patch,) = axes.fill([], [], facecolor="none", edgecolor=style.INK[0], hatch=hatch, linewidth=1)
            patch.set_label({"tie": "hatched: tie", "cannot tell": "outline: cannot tell"}[look])
        for axis, label in ((axes.xaxis, "n (elements per row)"), (axes.yaxis, "rows (outer × inner)")):
            axis.set_label_text(label)
            axis.set_major_locator(MultipleLocator(4))
            axis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))
        axes.set_title(canvas.cut(heading), loc="left")
        canvas.legend(drawing, *axes.get_legend_handles_labels())
        return marks

    return canvas.draw(name, title, _alt(title, placed), paint, axes=12 * ROWS, legend=len(names) + len(looks))


def _octaves(contest: Contest) -> tuple[int, int]:
    rows = (contest.outer or 1) * (contest.inner or 1)
    return round(math.log2(contest.n or 1)), round(math.log2(rows))


def _look(contest: Contest) -> str:
    return contest.decision.outcome


def _power(octave: float) -> str:
    """1, 16, 256, 4k (4,096), 64k, 1M (2^20), 16M."""
    power = round(octave)
    return f"{2 ** (power % 10)}{('', 'k', 'M', 'G')[min(power // 10, 3)]}" if power >= 0 else ""


def words(contest: Contest) -> str:
    """The winner and the runner-up with their chances, for one line."""
    best, second = contest.ranked[0], contest.runner_up
    chance = contest.probability(best.implementation)
    likely = f"; fastest with a probability of {text.percent(chance)}" if math.isfinite(chance) else ""
    over = contest.over_runner_up()
    beside = f"; {over} as fast as {second.implementation}" if over and second else ""
    return f"{contest.decision}: {contest.words(best)}{likely}{beside}"


def _alt(title: str, contests: Sequence[Contest]) -> str:
    parts = [f"{c.title}: {' or '.join(cell.implementation for cell in c.rivals)}" for c in contests]
    return f"{title}. {'; '.join(parts)}."
