"""All implementations on all inputs at a glance: a dot and its interval each, time on a log axis, the ceiling."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from ...analysis.contests import Contest
from ...analysis.rules import Outcome
from ...system import text
from . import canvas, lines, style
from .canvas import Mark
from .curves import shown

WIDTH = 520  # two stand side by side on 1280 px
ROW = 30  # px of an input: its name, and below it what the leader reaches there
ROWS = 24
COLUMNS = 3  # of the legend
_COLORS: dict[Outcome, str] = {"faster": style.GOOD[0], "slower": style.BAD[0]}


def overview(name: str, contests: Sequence[Contest], leader: str, styles: style.Styles) -> canvas.Figure:
    """One row an input, with the leader's speed over the fastest of all others below its name."""
    first, every = contests[0], len(contests)
    if every > ROWS:
        contests = [contests[round(i * (every - 1) / (ROWS - 1))] for i in range(ROWS)]
    names = shown(contests)
    heading = styles.heading(first.operation, first.dtype, run=first.run)
    title = f"{heading}: time of one call; below each input {leader} over the fastest of all others"
    title += f" ({ROWS} of {every:,} inputs)" if every > ROWS else ""
    labels = [lines.shortened(contest.title, 20) for contest in contests]
    left = canvas.names_width(labels)
    tops = [(row, c, c.ceiling.value) for row, c in enumerate(contests) if c.ceiling and not c.ceiling.doubt]

    def paint(drawing: Drawing) -> list[Mark]:
        axes = drawing.add_subplot()
        marks: list[Mark] = []
        for row, contest in enumerate(contests):
            words, color = verdict(contest, leader)
            axes.annotate(
                labels[row], (0, row), xytext=(-8, 6), xycoords=("axes fraction", "data"),
                textcoords="offset points", ha="right", va="center",
            )  # fmt: skip
            axes.annotate(
                words, (0, row), xytext=(-8, -7), xycoords=("axes fraction", "data"),
                textcoords="offset points", ha="right", va="center", fontsize=canvas.SMALL, color=color,
                fontweight="bold" if contest.outcome(leader).outcome in _COLORS else "normal",
            )  # fmt: skip
        for implementation in names:
            look = styles[implementation]
            rows = [(row, cell) for row, c in enumerate(contests) if (cell := c.of(implementation))]
            axes.hlines(
                [row for row, _ in rows], [cell.low for _, cell in rows], [cell.high for _, cell in rows],
                color=look.color, linewidth=5, alpha=0.45, gid=look.tag,
            )  # fmt: skip
            axes.plot(
                [cell.value for _, cell in rows], [row for row, _ in rows], look.marker, color=look.color,
                markersize=7 if implementation == leader else 6, label=implementation, gid=look.tag,
            )  # fmt: skip
            marks += [
                Mark(axes, cell.value, row, contests[row].words(cell), look.tag, contests[row].name)
                for row, cell in rows
            ]
        if tops:
            axes.plot(
                [value for *_, value in tops], [row for row, *_ in tops], "|", color=style.INK[0], markersize=16,
                markeredgewidth=1.6, label="ceiling",
            )  # fmt: skip
            marks += [Mark(axes, value, row, c.ceiling_words, input=c.name) for row, c, value in tops]
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(10, numticks=9))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(EngFormatter("s", sep=" "))
        axes.set_yticks(range(len(contests)), [""] * len(contests))
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(contests) - 0.5, -0.5)
        axes.grid(visible=True)
        axes.set_xlabel("time of one call")
        # Above the labels too: it is longer than the axes are wide.
        words = canvas.cut(f"{heading}: below each input {leader} over the best other", 74)
        axes.set_title(words, loc="left", x=-left / (WIDTH - left - canvas.RIGHT))
        canvas.legend(drawing, *axes.get_legend_handles_labels(), columns=COLUMNS)
        return marks

    said = (f"{contest.title} {words}" for contest in contests if (words := verdict(contest, leader)[0]))
    return canvas.draw(
        name, title, f"{title}. {leader}: {'; '.join(said)}.", paint, width=WIDTH, axes=ROW * len(contests) + 6,
        left=left, legend=len(names) + bool(tops), columns=COLUMNS,
    )  # fmt: skip


def verdict(contest: Contest, leader: str) -> tuple[str, str]:
    """What the leader reaches on an input, in a few words, and their colour."""
    outcome, ratio = contest.outcome(leader).outcome, contest.over_best_other(leader)
    if outcome not in _COLORS or ratio is None:
        return outcome, style.INK[0]
    return f"{text.factor(ratio.value)} {'faster' if outcome == 'faster' else 'LOST'}", _COLORS[outcome]
