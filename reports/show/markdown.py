"""`report.md`: the report as GitHub renders it, with figures by relative path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..system import text
from .grid import Grid, Item

if TYPE_CHECKING:  # pandas and Matplotlib, without which a table can be written
    from ..analysis.content import Content
    from .sections.section import Section
    from .sources import Source

_SIGNS = {"best": "**{}**", "tie": "*{}*"}
_ROWS = 200


def _cell(item: Item) -> str:
    return _SIGNS.get(item.mark, "{}").format(text.markdown(item.words)) if item.words else ""


def grid_as_markdown(grid: Grid) -> str:
    """A table; one that is too long is cut, and says so."""
    lines = [
        f"**{text.markdown(grid.caption)}**",
        "",
        "| " + " | ".join(map(text.markdown, grid.columns)) + " |",
        "|" + "|".join("---:" if i in grid.numeric else "---" for i in range(len(grid.columns))) + "|",
    ]
    lines += ["| " + " | ".join(_cell(item) for item in row) + " |" for row in grid.rows[:_ROWS]]
    rest = (grid.total or len(grid.rows)) - _ROWS
    if rest > 0:
        lines += ["", f"{rest:,} more rows are in [results.csv](results.csv)."]
    return "\n".join(lines)


def render(content: Content, sections: list[Section]) -> str:
    """The whole file."""
    parts = [f"# {text.markdown(content.title)}", *(f"- **{text.markdown(s)}**" for s in content.sentences)]
    parts = [parts[0], "\n".join(parts[1:])] if len(parts) > 1 else parts
    parts += [text.markdown(content.gaps)] if content.gaps else []
    parts += map(text.markdown, content.setups)
    parts += [text.markdown("; ".join(f"{term} {value}" for term, value in pairs)) for pairs in content.trust]
    if content.warnings:
        parts.append("\n".join(f"> - {text.markdown(warning)}" for warning in content.warnings))
    for section in sections:
        parts.append(f"## {text.markdown(section.title)}")
        parts += [text.markdown(section.intro)] if section.intro else []
        for figure in section.figures:
            parts.append(f"![{text.markdown(figure.alt)}](figures/{figure.name}.svg)")
        if section.points:
            parts.append("\n".join(f"- {text.markdown(point)}" for point in section.points))
        parts += [grid_as_markdown(grid) for grid in section.grids if grid.rows and not grid.total]
        parts += [_source(source) for source in section.sources]
    parts.append("## How it was measured")
    for name, facts in content.facts:
        parts += [f"### {text.markdown(name)}"] if content.several else []
        parts.append("\n".join(f"- {text.markdown(term)}: {text.markdown(value)}" for term, value in facts))
    return "\n\n".join(parts) + "\n"


def _source(source: Source) -> str:
    """A source file that unfolds, in a fence longer than any inside it."""
    summary = f" – {text.markdown(source.summary)}" if source.summary else ""
    facts = "\n".join(f"- {text.markdown(name)}: {text.markdown(value)}" for name, value in source.facts)
    parts = [f"<details><summary>{text.markdown(source.name)}{summary}</summary>", facts]
    parts += [f"<{source.link}>"] if source.link else []
    if source.code is not None:
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", source.code)), default=0))
        parts.append(f"{fence}python\n{source.code.rstrip()}\n{fence}")
    return "\n\n".join([*parts, "</details>"])
