"""The sections of a report, in order: each a sentence or two on what it shows, figures and tables."""

from __future__ import annotations

from ..content import Content
from ..figures import Styles
from . import cost, speed, trust
from .section import Section, draw

__all__ = ["Section", "build"]


def build(content: Content) -> list[Section]:
    """The sections that have something to show."""
    styles = Styles(content.table["implementation"], content.names)
    found = [*speed.sections(content, styles), *cost.sections(content, styles), *trust.sections(content)]
    kept = [section for section in found if section]
    draw(kept)
    return kept
