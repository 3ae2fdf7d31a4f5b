"""The frame of every figure: size, fonts, and turning a drawing into SVG and PNG."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Drawing

from . import style

# Figures are drawn in CSS pixels: one point of Matplotlib's SVG is one pixel of the page.
DOTS = 72
WIDTH = 372  # fits a page 400 px wide without shrinking, so text keeps its size
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
class Figure:
    """A finished figure.

    Attributes:
        name: of its files, without an ending.
        title: what it shows, with units.
        alt: what it says, for those who cannot see it.
        svg: the file: light, with its own background.
        png: the file, at twice the size.
        inline: the same SVG for the page, its colours as CSS variables.
        width: in px; below it text would be smaller than 11 px.
    """

    name: str
    title: str
    alt: str
    svg: str
    png: bytes
    inline: Markup
    width: int


def draw(
    name: str, title: str, alt: str, paint: Callable[[Drawing], None], *, width: int = WIDTH, height: int = 300
) -> Figure:
    """Make a figure of a size in px; `paint` fills Matplotlib's figure."""
    with mpl.rc_context({**SETTINGS, "svg.hashsalt": name}):
        drawing = Drawing(figsize=(width / DOTS, height / DOTS), dpi=DOTS, layout="constrained")
        FigureCanvasAgg(drawing)
        paint(drawing)
        svg, png = io.StringIO(), io.BytesIO()
        drawing.savefig(svg, format="svg", metadata={"Date": None, "Creator": None, "Title": title})
        drawing.set_layout_engine("none")  # the layout is found; finding it again would take as long as drawing
        drawing.savefig(png, format="png", dpi=2 * DOTS, metadata={"Software": None, "Description": alt})
    return Figure(name, title, alt, svg.getvalue(), png.getvalue(), _inline(svg.getvalue(), name, alt), width)


_DROPPED = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<title>.*?</title>", re.DOTALL)
_SIZE = re.compile(r'(<svg[^>]*?) width="[^"]*"| height="[\d.]+pt"')


def _inline(svg: str, name: str, alt: str) -> Markup:
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
    return Markup(text.strip())  # noqa: S704 - Matplotlib escaped what it drew, and alt is escaped above
