"""The figures of a report: every one drawn once, kept as SVG for files, as SVG for the page, and as PNG."""

from __future__ import annotations

from .canvas import Figure
from .style import Styles

__all__ = ["Figure", "Styles"]
