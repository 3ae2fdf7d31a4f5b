"""What a run of the gate found, which its formats tell."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from ..records.run import Machine
from .sources import Version
from .verdicts import Control, Result, Rule, status


@dataclass
class Outcome:
    """What a run of the gate found.

    Attributes:
        results: benchmarks first, then starts.
        controls: comparisons whose true change is none.
        machine, versions: what it was measured with.
        notes: what a reader must know beyond the figures.
        seconds: the whole run, by part.
        identical: whether base and head have the same files, so that any change is noise.
    """

    base: Version
    head: Version
    rule: Rule
    results: list[Result] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)
    machine: Machine = field(default_factory=Machine)
    versions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    identical: bool = False
    date: str = field(default_factory=lambda: datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"))

    @property
    def status(self) -> int:
        """The exit status."""
        return status(self.results, self.controls)
