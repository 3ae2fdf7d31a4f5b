"""Why the numbers can be trusted: agreement, what is missing, every measurement, the sources."""

from __future__ import annotations

from collections.abc import Iterator

from .. import agreement, compare, grids, sources
from ..content import Content
from .section import Section

AGREEMENT = (
    "Every implementation on every case of the contract, against an oracle that is no implementation. A cell says on "
    "how many dtypes it agrees; the reason of any other result is below the table."
)
ABSENT = "What has no time above: unavailable here, not supported, failed, wrong or cut off."
MEASUREMENTS = "One row per measurement. All of them, with every column, are in results.csv."
SOURCES = "What was measured: each implementation's file as it was when the run began, with its origin."


def sections(content: Content) -> Iterator[Section]:
    """The sections about trust."""
    if (found := compare.of(content)) is not None:
        changes, names = found
        table = compare.grid(changes, names)
        yield Section(
            "changes",
            "The two runs compared",
            f"{compare.summary(changes, names)} {compare.CAUTION.format(least=compare.LEAST)}",
            grids=[table],
        )
    yield Section("absent", "Not measured", ABSENT, grids=[content.missing])
    yield Section("agreement", "Agreement", AGREEMENT, grids=agreement.matrices(content.runs))
    yield Section(
        "measurements", "Every measurement", MEASUREMENTS, grids=[grids.measurements(content.table, content.several)]
    )
    yield Section("sources", "Sources", SOURCES, sources=sources.collect(content.runs))
