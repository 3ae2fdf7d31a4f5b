"""The speed-up over a baseline as a heat map: inputs down, implementations across."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure as Drawing

from ...analysis.contests import Contest
from ...system import text
from . import canvas, style
from .canvas import Mark
from .curves import shown
from .lines import SHOWN, shortened

# Orange is slower, blue is faster; both are as strong at the same factor, and grey means "cannot be told apart".
_COLORS = LinearSegmentedColormap.from_list(
    "speedup", ["#b35806", "#f1a340", "#fee0b6", "#f7f7f6", "#d1e5f0", "#67a9cf", "#2166ac"]
)
_STRONGEST = math.log2(32)
_SAME = "#d9d9d8"
ROWS = 60  # more can neither be read nor drawn in a reasonable time


def speedup(name: str, contests: Sequence[Contest], baseline: str, styles: style.Styles) -> canvas.Figure:
    """How many times faster than the baseline; its own column has the absolute times."""
    names = [baseline, *(key for key in shown(contests) if key != baseline)][:SHOWN]
    first, every = contests[0], len(contests)
    if every > ROWS:
        contests = [contests[round(i * (every - 1) / (ROWS - 1))] for i in range(ROWS)]
    labels = [_label(contest) for contest in contests]
    title = f"{styles.heading(first.operation, first.dtype, run=first.run)}: how many times faster than {baseline}"
    title += f" ({ROWS} of {every:,} inputs)" if every > ROWS else ""
    left, cell, top = 24 + 6.6 * max(map(len, labels)), 60, 86

    width, height = max(canvas.WIDTH, math.ceil(left + cell * len(names) + 40)), top + 22 * len(contests) + 8

    def paint(drawing: Drawing) -> list[Mark]:
        axes = drawing.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set(xlim=(0, width), ylim=(height, 0))
        for j, implementation in enumerate(names):
            axes.text(
                left + cell * (j + 0.35), top - 6, shortened(implementation, 18), rotation=35, fontsize=canvas.SMALL
            )
        marks: list[Mark] = []
        for i in range(len(contests)):
            axes.text(left - 6, top + 22 * i + 11, labels[i], ha="right", va="center_baseline", fontsize=canvas.SMALL)
        for j, implementation in enumerate(names):
            tag, x = styles[implementation].tag, left + cell * j
            filled: list[tuple[Any, str]] = []
            hatched: list[tuple[Any, str]] = []
            for i, contest in enumerate(contests):
                y = top + 22 * i
                color, words = _cell(contest, implementation, baseline)
                corners = ((x, y), (x + cell - 1, y), (x + cell - 1, y + 21), (x, y + 21))
                (filled if color else hatched).append((corners, color or "none"))
                ink = style.INK[0] if color is None else _ink(color)
                axes.text(
                    x + cell / 2, y + 11, words, ha="center", va="center_baseline", fontsize=canvas.SMALL, color=ink,
                    gid=tag,
                )  # fmt: skip
                if said := _words(contest, implementation, baseline):
                    marks.append(Mark(axes, x + cell / 2, y + 11, said, tag, contest.name))
            # Two collections: as many single patches would take several times as long.
            for cells, hatch in ((filled, None), (hatched, "////")):
                if cells:
                    corners, colors = zip(*cells, strict=True)
                    axes.add_collection(
                        PolyCollection(
                            corners, facecolors=colors, edgecolors=style.FAINT[0], linewidths=0, hatch=hatch, gid=tag
                        )
                    )
        return marks

    return canvas.draw(
        name,
        title,
        _alt(title, contests, names, baseline),
        paint,
        width=width,
        axes=height - canvas.ABOVE - canvas.BELOW,
    )


def _label(contest: Contest) -> str:
    return shortened(contest.title, 22)


def _cell(contest: Contest, implementation: str, baseline: str) -> tuple[str | None, str]:
    """Its colour (None for no time) and its words."""
    base, mine = contest.of(baseline), contest.of(implementation)
    if mine is None:
        status = next((cell.status for cell in contest.missing if cell.implementation == implementation), "")
        return None, {"skipped": "n/a", "interrupted": "cut off"}.get(status, status) or "n/a"
    if implementation == baseline:
        return "#efefee", text.seconds(mine.value)
    if base is None:
        return None, text.seconds(mine.value)
    ratio = mine.over(base)
    if not ratio.shown:
        return _SAME, text.factor(ratio.value)
    strength = Normalize(-_STRONGEST, _STRONGEST, clip=True)(math.log2(ratio.value))
    red, green, blue, _ = _COLORS(float(strength))
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}", text.factor(ratio.value)


def _words(contest: Contest, implementation: str, baseline: str) -> str:
    """All that is known of it, with its ratio and why that is not shown."""
    base, mine = contest.of(baseline), contest.of(implementation)
    if mine is None:
        return next(
            (f"{implementation}: {c.reason}" for c in contest.missing if c.implementation == implementation), ""
        )
    over = mine.over(base) if base is not None and base is not mine else None
    why = f", {over.withheld}" if over and over.withheld else ""
    return contest.words(mine) + (f"; {over} as fast as {baseline}{why}" if over else "")


def _ink(color: str) -> str:
    """Black or white, whichever reads better on a colour; both unlike the theme's ink, for they must not change."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#ffffff" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "#000000"


def _alt(title: str, contests: Sequence[Contest], names: Sequence[str], baseline: str) -> str:
    parts = []
    for implementation in names:
        if implementation == baseline:
            continue
        pairs = [(c.of(implementation), c.of(baseline)) for c in contests]
        ratios = [mine.over(base) for mine, base in pairs if mine and base]
        shown = [ratio.value for ratio in ratios if ratio.shown]
        if shown:
            rest = (
                f", not shown on {text.plural(len(ratios) - len(shown), 'input')}" if len(ratios) > len(shown) else ""
            )
            parts.append(f"{implementation} from {text.factor(min(shown))} to {text.factor(max(shown))}{rest}")
        elif ratios:
            parts.append(f"{implementation} {ratios[0].withheld}")
    return f"{title}: {'; '.join(parts) or 'nothing else was measured'}."
