"""The sources of the implementations that a run measured, highlighted for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from ..records import run as run_record
from ..records.run import Implementation
from ..records.runs import Run
from . import links

LIGHT, DARK = "default", "github-dark"
CLASS = "source"


@dataclass(frozen=True)
class Source:
    """An implementation with what its author says of it.

    Attributes:
        id: what the page links to.
        name: ``operation.name``.
        facts: (name, value) pairs: device, threads, dtypes, origin, status.
        summary: the first line of its docstring.
        html: its file, highlighted; None where it has none.
        code: the same as text.
        link: where the file, or else its project, can be read; None where its package does not say.
    """

    id: str
    name: str
    facts: list[tuple[str, str]]
    summary: str
    html: Markup | None
    code: str | None
    link: str | None


def collect(stored: Sequence[Run]) -> list[Source]:
    """Every implementation that the runs list, once."""
    found: dict[tuple[str, str, str], Source] = {}
    for run in stored:
        for entry in run.about.implementations:
            key = entry.operation, entry.name, entry.source or ""
            if key not in found:
                found[key] = _source(entry, len(found) + 1, run.about.source)
    return list(found.values())


def _source(entry: Implementation, number: int, measured: run_record.Source) -> Source:
    code = entry.source
    facts = [
        ("origin", entry.origin),
        ("file", entry.file),
        ("device", entry.device),
        ("threads", entry.threads),
        ("dtypes", ", ".join(entry.dtypes)),
        ("differs", "; ".join(f"{pattern}: {reason}" for pattern, reason in entry.differs.items())),
        ("status", ": ".join(filter(None, (entry.status, entry.reason)))),
    ]
    doc = entry.doc.strip()
    return Source(
        f"source-{number}",
        f"{entry.operation}.{entry.name}",
        [(name, value) for name, value in facts if value],
        doc.splitlines()[0] if doc else "",
        None if code is None else Markup(highlight(code, PythonLexer(), _formatter(LIGHT))),  # noqa: S704 - Pygments escapes
        code,
        links.to_source(entry, measured),
    )


def css(*, dark: bool = False) -> Markup:
    """The style rules of the highlighting, for light or dark paper."""
    rules = _formatter(DARK if dark else LIGHT).get_style_defs(f".{CLASS}")
    return Markup("\n".join(line for line in rules.splitlines() if "background" not in line))  # noqa: S704 - Pygments' own


def _formatter(name: str) -> HtmlFormatter[str]:
    return HtmlFormatter(style=name, cssclass=CLASS)
