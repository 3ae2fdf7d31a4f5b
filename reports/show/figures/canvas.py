"""The frame of every figure: size, fonts, what answers when touched, and turning a drawing into SVG and PNG."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Drawing

from . import style

# Figures are drawn in CSS pixels: one point of Matplotlib's SVG is one pixel of the page.
DOTS = 72
WIDTH = 356  # fits a page 400 px wide, twice on paper and three times on 1280 px, so text keeps its size
FONT = 12
SMALL = 11  # the smallest text of any figure, in px

SETTINGS: Any = {  # keys as Matplotlib names them
    "svg.fonttype": "none",
    "svg.id": None,
    "font.size": FONT,
    "font.family": ["DejaVu Sans"],
    "axes.titlesize": FONT,
    "axes.labelsize": FONT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "axes.edgecolor": style.INK[0],
    "axes.labelcolor": style.INK[0],
    "axes.titlecolor": style.INK[0],
    "text.color": style.INK[0],
    "xtick.color": style.INK[0],
    "ytick.color": style.INK[0],
    "grid.color": style.FAINT[0],
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": style.PAPER[0],
    "axes.facecolor": "none",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "savefig.facecolor": style.PAPER[0],
    "text.parse_math": False,  # names are shown as they are, whatever they hold
}


@dataclass(frozen=True)
class Mark:
    """A point of a figure that answers when touched, at (x, y) in the data of its axes.

    Attributes:
        words: all that is known of it.
        tag: `Style.tag` of its implementation, empty where it has none.
        input: what it was measured on; marks of the same input are set off together.
    """

    axes: Any
    x: float
    y: float
    words: str
    tag: str = ""
    input: str = ""


@dataclass(frozen=True)
class Figure:
    """A finished figure.

    Attributes:
        name: of its files, without an ending.
        title: what it shows, with units.
        alt: what it says, for those who cannot see it.
        svg: the file: light, with its own background.
        png: the file, at twice the size.
        inline: the same SVG for the page, its colours as CSS variables, with its marks.
        width: in px; below it text would be smaller than 11 px.
    """

    name: str
    title: str
    alt: str
    svg: str
    png: bytes
    inline: Markup
    width: int


# Room around the axes in px: tick labels and the axis label on the left and below, the heading above. Fixed, so that
# the axes of panels stand in line; and finding a layout by measuring all text would take longer than drawing.
LEFT, RIGHT, ABOVE, BELOW = 66, 12, 28, 46
LEGEND_ROW = 17
COLUMNS = 2  # of a legend


def draw(
    name: str,
    title: str,
    alt: str,
    paint: Callable[[Drawing], Sequence[Mark]],
    *,
    width: int = WIDTH,
    axes: int = 220,
    left: int = LEFT,
    legend: int = 0,
    columns: int = COLUMNS,
) -> Figure:
    """Make a figure; `paint` fills Matplotlib's and returns its marks.

    Sizes are in px: the width of all, the height of the axes, the room to their left; `legend` is the number of names
    in the legend below, and `columns` that of its columns.
    """
    rows = math.ceil(legend / columns)
    below = BELOW + LEGEND_ROW * rows + (8 if rows else 0)
    height = ABOVE + axes + below
    with mpl.rc_context({**SETTINGS, "svg.hashsalt": name}):
        drawing = Drawing(figsize=(width / DOTS, height / DOTS), dpi=DOTS)
        drawing.subplots_adjust(left / width, below / height, 1 - RIGHT / width, 1 - ABOVE / height)
        canvas = FigureCanvasAgg(drawing)
        marks = paint(drawing)
        svg, png = io.StringIO(), io.BytesIO()
        # `savefig` would draw everything once more beforehand, to find a layout.
        FigureCanvasSVG(drawing).print_svg(  # type: ignore[no-untyped-call]
            svg, metadata={"Date": None, "Creator": None, "Title": title}
        )
        placed = [(mark, *mark.axes.transData.transform((mark.x, mark.y))) for mark in marks]
        drawing.set_dpi(2 * DOTS)
        canvas.print_png(png, metadata={"Software": None, "Description": alt})  # type: ignore[no-untyped-call]
    text = _TAG.sub(r"<g class=\1", _MARGIN.sub("\n", svg.getvalue()))
    touched = "".join(_circle(mark, x, height - y) for mark, x, y in placed if math.isfinite(x) and math.isfinite(y))
    return Figure(name, title, alt, text, png.getvalue(), _inline(text, name, alt, touched), width)


def _circle(mark: Mark, x: float, y: float) -> str:
    """A mark as an element of the page's SVG, which shows only when it is touched."""
    key = f' data-input="{escape(mark.input)}"' if mark.input else ""
    tag = f" {mark.tag}" if mark.tag else ""
    words = escape(_UNIT.sub("\N{NO-BREAK SPACE}", mark.words))
    return f'<circle class="mark{tag}" cx="{x:.1f}" cy="{y:.1f}" r="7" data-words="{words}"{key}/>'


def cut(heading: str, most: int = 40) -> str:
    """A heading as far as it fits; the figure's title has all of it."""
    heading = " ".join(heading.split())
    return heading if len(heading) <= most else f"{heading[: most - 1]}…"


def names_width(names: Iterable[str]) -> int:
    """Room in px for names at the left of the axes."""
    return 16 + math.ceil(6.8 * max(map(len, names), default=0))


def legend(drawing: Drawing, handles: Iterable[Any], names: Iterable[str], columns: int = COLUMNS) -> None:
    """A legend under the axes; an entry whose handle has a tag is one that hides its implementation on the page."""
    handles = list(handles)
    found: Any = drawing.legend(
        handles,
        list(names),
        loc="lower left",
        bbox_to_anchor=(0.01, 0),
        ncols=columns,
        borderaxespad=0.3,
        columnspacing=1,
    )
    for handle, drawn, words in zip(handles, found.legend_handles, found.get_texts(), strict=True):
        if tag := handle.get_gid():
            drawn.set_gid(f"{tag} entry")
            words.set_gid(f"{tag} entry")


_DROPPED = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<title>.*?</title>", re.DOTALL)
_MARGIN = re.compile(" *\\n *")  # a twentieth of a figure
_TAG = re.compile(r'<g id=("i\d+(?: entry)?")')  # ids are unlike each other, classes need not be
_UNIT = re.compile(r"(?<=\d) (?=(?:[mµn]?s|[KMG]?i?B|GB/s|ulp|process\w*)\b)")  # read with its number
_SIZE = re.compile(r'(<svg[^>]*?) width="[^"]*"| height="[\d.]+pt"')


def _inline(svg: str, name: str, alt: str, marks: str) -> Markup:
    """The SVG as an element of the page: described, in the page's colours, its ids unlike those of others."""
    text = _DROPPED.sub("", svg)
    head, _, body = text.partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    head = f'{head} role="img" aria-label="{escape(alt)}"'
    text = f"{head}>{body}"
    text = re.sub(r'(id="|url\(#|href="#)', lambda m: f"{m[1]}{name}-", text)
    # A font of the reader's, not the one Matplotlib measured with.
    text = text.replace("'DejaVu Sans'", "sans-serif")
    for variable, light, _ in style.variables():
        text = text.replace(light, f"var(--{variable})")
    text = text.strip().removesuffix("</svg>") + f"{marks}</svg>"
    return Markup(text)  # noqa: S704 - Matplotlib escaped what it drew; alt and the words of marks are escaped above
