"""Writes a report: the page, the Markdown, the figures and the table, each file whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from . import files, markdown, page, sections
from .content import Content, no_collection
from .content import gather as content

__all__ = ["PAGE", "content", "write", "write_content"]

PAGE = "index.html"


def write(folders: Sequence[Path], output: Path, baseline: str | None = None) -> Path:
    """Write the report of results folders into a folder, which may be one of them; returns the path of the page.

    Raises:
        reports.runs.NoResults: a folder is missing or holds no results.
        ValueError: the baseline was not measured.
    """
    return write_content(content(folders, baseline), output)


def write_content(found: Content, output: Path) -> Path:
    """The same from content that is at hand."""
    with no_collection():
        return _write(found, output)


def _write(found: Content, output: Path) -> Path:
    parts = sections.build(found)
    output.mkdir(parents=True, exist_ok=True)
    drawn = output / "figures"
    drawn.mkdir(exist_ok=True)
    figures = [figure for section in parts for figure in section.figures]
    for figure in figures:
        files.write_bytes(drawn / f"{figure.name}.svg", figure.svg.encode())
        files.write_bytes(drawn / f"{figure.name}.png", figure.png)
    files.write_bytes(output / "results.csv", found.table_as_text().to_csv(index=False).encode())
    _parquet(found, output / "results.parquet")
    files.write_bytes(output / "report.md", markdown.render(found, parts).encode())
    files.write_bytes(output / PAGE, page.render(found, parts).encode())
    # Last, so that no page is left without its figures: those of an earlier report that this one does not have.
    kept = {f"{figure.name}{ending}" for figure in figures for ending in (".svg", ".png")}
    for path in drawn.iterdir():
        if path.suffix in (".svg", ".png") and path.name not in kept:
            path.unlink()
    return output / PAGE


def _parquet(found: Content, path: Path) -> None:
    """The table as Parquet."""
    buffer = io.BytesIO()
    frame = found.everything.copy()
    frame["process_medians"] = [list(m) if isinstance(m, tuple) else [] for m in frame["process_medians"]]
    frame.to_parquet(buffer, index=False)
    files.write_bytes(path, buffer.getvalue())
