"""Writes a report: the page, the Markdown, the figures and the table, all of them or none."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

from ..analysis.content import Content, no_collection
from ..analysis.content import gather as content
from ..system import files, output_folder
from . import markdown, page
from .figures import style
from .sections import cost, speed, trust
from .sections.section import Section, draw

__all__ = ["PAGE", "content", "write", "write_content"]

PAGE = "index.html"
WRITER = "report"


def write(folders: Sequence[Path], output: Path, baseline: str | None = None) -> Path:
    """Write the report of results folders into a folder, which may be one of them; returns the path of the page.

    Raises:
        reports.records.runs.NoResults: a folder is missing or holds no results.
        ValueError: the baseline was not measured.
        OSError: see `write_content`.
    """
    return write_content(content(folders, baseline), output)


def write_content(found: Content, output: Path) -> Path:
    """The same from content that is at hand.

    Raises:
        InTheWay: the folder holds a file, link or folder in place of one of the report's that
            no report has written; nothing was written.
        OSError: the folder cannot be written; an earlier report in it is still there.
    """
    with no_collection():
        parts = sections(found)
        contents = {}
        for figure in (figure for section in parts for figure in section.figures):
            contents[f"figures/{figure.name}.svg"] = files.encode(figure.svg)
            contents[f"figures/{figure.name}.png"] = figure.png
        contents["results.csv"] = files.encode(found.csv())
        contents["results.parquet"] = _parquet(found)
        contents["report.md"] = files.encode(markdown.render(found, parts))
        contents[PAGE] = files.encode(page.render(found, parts))  # last, so that it never lacks a figure
    output_folder.fill(output, WRITER, contents, _recognised)
    return output / PAGE


def sections(found: Content) -> list[Section]:
    """The sections that have something to show, in order, drawn."""
    styles = page.styles(found)
    every = [*speed.sections(found, styles), *cost.sections(found, styles), *trust.sections(found)]
    kept = [section for section in every if section]
    draw(kept)
    return kept


def _parquet(found: Content) -> bytes:
    """The table as Parquet."""
    buffer = io.BytesIO()
    frame = found.everything.copy()
    frame["process_medians"] = [list(m) if isinstance(m, tuple) else [] for m in frame["process_medians"]]
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


_COLUMNS = b"run,machine,commit,date,operation,implementation,"
_TITLE = re.compile(rb"<title>[^<\n]* compared( on [^<\n]*)?</title>\n<link rel=\"icon\" href=\"data:,\">")


def _recognised(name: str, content: bytes) -> bool:
    """Whether a file without a marker is from a report of an earlier version.

    Told by what no other program writes: the titles of the page and of the Markdown, the columns of the table, the
    background of the figures, and PNG files that Matplotlib wrote with a description and without its own name.
    """
    if name == PAGE:
        return content.startswith(b"<!DOCTYPE html>") and bool(_TITLE.search(content, 0, 2000))
    if name == "report.md":
        return bool(re.match(rb"# [^\n]* compared( on [^\n]*)?\n", content))
    if name == "results.csv":
        return content.startswith(_COLUMNS)
    if name == "results.parquet":
        return content.startswith(b"PAR1") and b"process_medians" in content
    if name.endswith(".svg"):
        head = content[:3000]
        background = f'style="fill: {style.PAPER[0]}"'.encode()
        return head.startswith(b"<?xml") and background in head and b"<dc:creator>" not in head
    return content.startswith(b"\x89PNG") and b"Description" in content[:1000] and b"Software" not in content[:1000]
