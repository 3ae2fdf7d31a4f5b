"""Writes a report: the page, the Markdown, the figures and the table, each file whole or not at all."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import markdown, page, sections
from .content import Content, gather

PAGE = "index.html"


def write(folders: Sequence[Path], output: Path, baseline: str | None = None) -> Path:
    """Write the report of results folders into a folder, which may be one of them; returns the path of the page.

    Raises:
        reports.runs.NoResults: a folder is missing or holds no results.
        ValueError: the baseline was not measured.
    """
    return write_content(gather(folders, baseline), output)


def write_content(content: Content, output: Path) -> Path:
    """The same from content that is at hand."""
    parts = sections.build(content)
    output.mkdir(parents=True, exist_ok=True)
    drawn = output / "figures"
    drawn.mkdir(exist_ok=True)
    figures = [figure for section in parts for figure in section.figures]
    for figure in figures:
        put(drawn / f"{figure.name}.svg", figure.svg.encode())
        put(drawn / f"{figure.name}.png", figure.png)
    put(output / "results.csv", content.table_as_text().to_csv(index=False).encode())
    _parquet(content, output / "results.parquet")
    put(output / "report.md", markdown.render(content, parts).encode())
    put(output / PAGE, page.render(content, parts).encode())
    # Last, so that no page is left without its figures: those of an earlier report that this one does not have.
    kept = {f"{figure.name}{ending}" for figure in figures for ending in (".svg", ".png")}
    for path in drawn.iterdir():
        if path.suffix in (".svg", ".png") and path.name not in kept:
            path.unlink()
    return output / PAGE


def _parquet(content: Content, path: Path) -> None:
    """The table as Parquet, where pyarrow is installed; a stale one is not left behind."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        path.unlink(missing_ok=True)
        return
    buffer = io.BytesIO()
    frame = content.everything.copy()
    frame["process_medians"] = [list(m) if isinstance(m, tuple) else [] for m in frame["process_medians"]]
    frame.to_parquet(buffer, index=False)
    put(path, buffer.getvalue())


def put(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
