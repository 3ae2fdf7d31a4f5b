"""`index.html`: one file that opens from disk; everything it needs is inside it."""

from __future__ import annotations

from markupsafe import Markup

from ..analysis.content import Content
from . import sources
from .figures import style
from .sections.section import Section
from .templating import environment, source, style_sheet

FIRST_ROWS = 50  # rows of a paged table that are there without JavaScript, and in print


def render(content: Content, parts: list[Section]) -> str:
    """The whole page."""
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            content=content,
            sections=parts,
            style=style_sheet(),
            script=Markup(source("page.js")),  # noqa: S704 - our own file
            variables=style.variables(),
            highlighting=sources.css(),
            highlighting_dark=sources.css(dark=True),
            first_rows=FIRST_ROWS,
        )
    )
