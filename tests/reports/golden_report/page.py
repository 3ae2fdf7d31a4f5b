"""A report as its readers have it: the tables of its page, and what its figures draw and are described by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup
from matplotlib.figure import Figure as Drawing

from maxbench.reports.show import figures, report
from maxbench.reports.show.figures import canvas

from .data import Raw


@dataclass
class Cell:
    """A cell of a table on the page: its words, its class, and the number it sorts by."""

    words: str = ""
    mark: str = ""
    key: str | None = None

    @property
    def number(self) -> float:
        assert self.key is not None, self.words
        return float(self.key)


class Tables(HTMLParser):
    """The tables of a page by id: rows of cells, the heads first."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, list[list[Cell]]] = {}
        self._id, self._cell = "", None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "div" and (given.get("id") or "").startswith("g-"):
            self._id = str(given["id"]).removeprefix("g-")
            self.found[self._id] = []
        elif tag == "tr":
            self.found[self._id].append([])
        elif tag in ("td", "th"):
            self._cell = Cell(mark=given.get("class") or "", key=given.get("data-key"))
            self.found[self._id][-1].append(self._cell)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.words += data

    def rows(self, id: str) -> list[dict[str, Cell]]:
        """The rows of a table as column -> cell."""
        heads, *rows = self.found[id]
        return [dict(zip((head.words for head in heads), row, strict=True)) for row in rows]


@dataclass
class Report:
    """A written report: its page, its tables, and of every figure what is drawn, described, and said when touched."""

    page: str
    tables: Tables
    drawings: dict[str, Drawing]
    alts: dict[str, str]
    marks: dict[str, list[canvas.Mark]]
    folder: Path


def written(raw: Raw, folder: Path, patch: pytest.MonkeyPatch) -> Report:
    """The report of it; its figures are filled in, but not turned into files, which takes long."""
    drawings: dict[str, Drawing] = {}
    alts: dict[str, str] = {}
    marks: dict[str, list[canvas.Mark]] = {}

    def draw(name: str, title: str, alt: str, paint: Any, **_: Any) -> figures.Figure:
        drawings[name] = Drawing()
        alts[name] = alt
        marks[name] = list(paint(drawings[name]))
        return figures.Figure(name, title, alt, "<svg/>", b"", Markup("<svg></svg>"), 300)

    patch.setattr(canvas, "draw", draw)
    patch.setattr(
        "maxbench.reports.system.forked.cpus", lambda: 1
    )  # a forked process would keep its drawings to itself
    raw.results.write(folder)
    page = report.write([folder], folder).read_text("utf-8")
    return Report(page, Tables(page), drawings, alts, marks, folder)


_SCALES = {
    "s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "%": 0.01, "×": 1,
    "GB/s": 1, "": 1,
}  # fmt: skip
_NUMBER = re.compile(r"(-?[\d,]+(?:\.\d+)?) ?(ms|µs|ns|s|KiB|MiB|GiB|B|%|×|GB/s)?(?![\w/])")


def said(words: str) -> list[float]:
    """The numbers in words, in seconds, bytes or shares; of a range "1.2–1.3 ms" both ends have its unit."""
    found = [(float(m[1].replace(",", "")), m[2]) for m in _NUMBER.finditer(words)]
    units = [unit or next((later for _, later in found[i:] if later), "") for i, (_, unit) in enumerate(found)]
    return [number * _SCALES[unit] for (number, _), unit in zip(found, units, strict=True)]
