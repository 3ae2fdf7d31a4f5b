"""Why the numbers can be trusted: agreement, what is missing, every measurement, the sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...analysis import rules
from ...analysis.content import Content
from ...system import text
from .. import agreement, compare, sources, tables
from .section import Section

AGREEMENT = (
    "Every implementation on every case of the contract, against an oracle that is no implementation. A cell says on "
    "how many dtypes it agrees; the reason of any other result is below the table."
)
ABSENT = "What has no time above: unavailable here, not supported, failed, wrong or cut off."
MEASUREMENTS = "One row per measurement. All of them, with every column, are in results.csv."
NO_LINK = (
    "neither does the package name a web address, nor was this measured in a clone with a remote that has the commit."
)
SOURCES = "What was measured: each implementation's file as it was when the run began, with its origin."


def sections(content: Content) -> Iterator[Section]:
    """The sections about trust."""
    if (found := compare.of(content.contests, content.names)) is not None:
        changes, names = found
        table = compare.grid(changes, names)
        yield Section(
            "changes",
            "The two runs compared",
            f"{compare.summary(changes, names)} {compare.CAUTION.format(least=rules.BETWEEN_RUNS)}",
            grids=[table],
        )
    yield Section("absent", "Not measured", ABSENT, grids=[tables.missing(content.absent)])
    yield Section("agreement", "Agreement", AGREEMENT, grids=agreement.matrices(content.runs))
    yield Section(
        "measurements", "Every measurement", MEASUREMENTS, grids=[tables.measurements(content.table, content.several)]
    )
    found_sources = sources.collect(content.runs)
    yield Section("sources", "Sources", f"{SOURCES}{_without_link(found_sources)}", sources=found_sources)


def _without_link(found: Sequence[sources.Source]) -> str:
    names = [source.name for source in found if source.link is None]
    if not names:
        return ""
    if len(names) == len(found):
        return f" None of them has a link: {NO_LINK}"
    return f" {text.listed(names)} {'has' if len(names) == 1 else 'have'} no link: {NO_LINK}"
