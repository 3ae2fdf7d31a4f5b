"""`report.md`: the report as GitHub renders it, with figures by relative path."""

from __future__ import annotations

import re

from .content import Content
from .sections import Section
from .sources import Source
from .tables import Grid, Item

_SIGNS = {"best": "**{}**", "tie": "*{}*"}
_ROWS = 200


def escaped(words: str) -> str:
    """Words that Markdown and HTML leave as they are, on one line."""
    words = " ".join(words.split())
    words = words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|~$#@!])", r"\\\1", words)


def _cell(item: Item) -> str:
    return _SIGNS.get(item.mark, "{}").format(escaped(item.words)) if item.words else ""


def grid_as_markdown(grid: Grid) -> str:
    """A table; one that is too long is cut, and says so."""
    lines = [
        f"**{escaped(grid.caption)}**",
        "",
        "| " + " | ".join(map(escaped, grid.columns)) + " |",
        "|" + "|".join("---:" if i in grid.numeric else "---" for i in range(len(grid.columns))) + "|",
    ]
    lines += ["| " + " | ".join(_cell(item) for item in row) + " |" for row in grid.rows[:_ROWS]]
    rest = (grid.total or len(grid.rows)) - _ROWS
    if rest > 0:
        lines += ["", f"{rest:,} more rows are in [results.csv](results.csv)."]
    return "\n".join(lines)


def render(content: Content, sections: list[Section]) -> str:
    """The whole file."""
    parts = [f"# {escaped(content.title)}", *(f"- **{escaped(s)}**" for s in content.sentences)]
    parts = [parts[0], "\n".join(parts[1:])] if len(parts) > 1 else parts
    parts += [escaped(content.gaps)] if content.gaps else []
    parts += map(escaped, content.setups)
    if content.warnings:
        parts.append("\n".join(f"> - {escaped(warning)}" for warning in content.warnings))
    for section in sections:
        parts.append(f"## {escaped(section.title)}")
        parts += [escaped(section.intro)] if section.intro else []
        for figure in section.figures:
            parts.append(f"![{escaped(figure.alt)}](figures/{figure.name}.svg)")
        if section.points:
            parts.append("\n".join(f"- {escaped(point)}" for point in section.points))
        parts += [grid_as_markdown(grid) for grid in section.grids if grid.rows and not grid.total]
        parts += [_source(source) for source in section.sources]
    parts.append("## How it was measured")
    for name, facts in content.facts:
        parts += [f"### {escaped(name)}"] if content.several else []
        parts.append("\n".join(f"- {escaped(term)}: {escaped(value)}" for term, value in facts))
    return "\n\n".join(parts) + "\n"


def _source(source: Source) -> str:
    """A source file that unfolds, in a fence longer than any inside it."""
    summary = f" – {escaped(source.summary)}" if source.summary else ""
    facts = "\n".join(f"- {escaped(name)}: {escaped(value)}" for name, value in source.facts)
    parts = [f"<details><summary>{escaped(source.name)}{summary}</summary>", facts]
    parts += [f"<{source.link}>"] if source.link else []
    if source.code is not None:
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", source.code)), default=0))
        parts.append(f"{fence}python\n{source.code.rstrip()}\n{fence}")
    return "\n\n".join([*parts, "</details>"])
