"""`index.html`: one file that opens from disk; everything it needs is inside it."""

from __future__ import annotations

from markupsafe import Markup

from maxbench.bench.suite import base

from ..analysis.content import Content
from . import sources
from .figures import Styles, style
from .sections.section import Section
from .templating import environment, source, style_sheet

FIRST_ROWS = 50  # rows of a paged table that are there without JavaScript, and in print


def styles(content: Content) -> Styles:
    """How each implementation that was measured is drawn, the same wherever it is."""
    table = content.table
    drawn = (table["status"] == "ok") & (table["benchmark"] != "Ceiling")
    return Styles(set(table["implementation"][drawn]) - {base.Memory.BASELINE}, content.names)


def render(content: Content, parts: list[Section]) -> str:
    """The whole page; the section `overview` stands on its first screen."""
    looks = styles(content)
    measured = dict.fromkeys(cell.implementation for contest in content.contests for cell in contest.ranked)
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            content=content,
            lead=next((part for part in parts if part.id == "overview"), None),
            sections=[part for part in parts if part.id != "overview"],
            shown=[(name, looks[name]) for name in measured],
            style=style_sheet(),
            script=Markup(source("tables.js") + source("figures.js")),  # noqa: S704 - our own file
            variables=style.variables(),
            highlighting=sources.css(),
            highlighting_dark=sources.css(dark=True),
            first_rows=FIRST_ROWS,
        )
    )
