"""Fixtures of the tests of reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from maxbench.reports.show import report
from maxbench.reports.show.figures import canvas
from maxbench.reports.show.sections.section import Section


@pytest.fixture
def empty_figure() -> canvas.Figure:
    """A figure without marks."""
    return canvas.draw("empty", "empty", "empty", lambda drawing: (drawing.add_subplot(), ())[1])


@pytest.fixture
def undrawn(empty_figure: canvas.Figure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports get an empty figure in place of each: drawing takes most of the time of a report."""

    def draw(sections: Sequence[Section]) -> None:
        for section in sections:
            section.figures += [replace(empty_figure, name=f"{section.id}-{n}") for n in range(len(section.pending))]
            section.pending.clear()

    monkeypatch.setattr(report, "draw", draw)
