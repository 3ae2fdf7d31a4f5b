"""The templates of pages, and how what they show is escaped."""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ..system import text
from .grid import Grid

TEMPLATES = Path(__file__).parent / "templates"
PAGED = 300  # tables with more rows are shown page by page


@functools.cache
def environment() -> jinja2.Environment:
    """Where the templates are loaded from; whatever they show is escaped."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["paged"] = lambda grid: len(grid.rows) > PAGED
    found.filters["data"] = _data
    found.filters["factor"] = text.factor
    return found


def style_sheet() -> Markup:
    """The style of every page, to stand in a style element; `figures.style.variables` are its colours."""
    return Markup(source("style.css"))  # noqa: S704 - our own file


def source(name: str) -> str:
    """The text of a file among the templates."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _data(grid: Grid) -> Markup:
    """The rows as JSON that may stand in a script element: [words, key] pairs, or the words where they are the key."""
    rows: list[list[Any]] = [
        [item.words if item.sort == item.words else [item.words, _key(item.sort)] for item in row] for row in grid.rows
    ]
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # No </script> and no <!-- can come of this; U+2028 and 2029 end lines in old JavaScript.
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - JSON without a character that HTML reads


def _key(key: float | str) -> float | str:
    return "" if isinstance(key, float) and not math.isfinite(key) else key
