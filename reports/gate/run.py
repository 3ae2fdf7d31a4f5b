"""A whole run of the gate: build, check, measure, decide."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import environment
from ..progress import Bar
from . import agreement, benchmarks, sources
from .processes import Workers
from .session import Session
from .sources import Version
from .starts import Starts
from .verdicts import Control, Result, Rule, status

STARTS_SHARE = 0.4  # of the budget at most, so that steady times keep the rest


@dataclass(frozen=True)
class Options:
    """What the user asked for; see ``maxbench gate --help``."""

    base: str
    head: str
    repository: Path
    only: tuple[str, ...] = ()
    rule: Rule = Rule()
    seconds: float = 120.0
    timing: bool = True
    starts: bool = True
    instructions: bool = False


@dataclass
class Outcome:
    """What a run of the gate found.

    Attributes:
        results: benchmarks first, then starts.
        controls: comparisons whose true change is none.
        machine, versions: what it was measured with.
        notes: what a reader must know beyond the figures.
        seconds: the whole run, by part.
    """

    base: Version
    head: Version
    rule: Rule
    results: list[Result] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The exit status."""
        return status(self.results, self.controls)


def compare(options: Options, folder: Path, bar: Bar) -> Outcome:
    """Compare two versions.

    Args:
        folder: an empty folder for the versions, compiled code and jobs.

    Raises:
        SourceError: a version does not exist, does not build, or cannot be imported.
        ValueError: a pattern chooses nothing.
    """
    clock = _Clock()
    bar.show("building base and head", 0, 2, None)
    specs = {options.base, options.head}
    git = any(spec != sources.INSTALLED and "==" not in spec for spec in specs)
    repository = sources.repository(options.repository) if git else options.repository
    base = sources.build("base", options.base, repository, folder / "base")
    head = sources.build("head", options.head, repository, folder / "head")
    again = sources.copy(base, "again")
    everything = benchmarks.every(_plugins(base, head))
    chosen = benchmarks.choose(everything, options.only)
    outcome = Outcome(base, head, options.rule, machine=environment.machine(), versions=environment.versions())
    workers = Workers({"base": base, "head": head, "again": again}, folder)
    clock.part(outcome, "build")
    deadline = time.monotonic() + options.seconds
    bar.show("checking agreement of head", 0, 1, None)
    disagreeing = agreement.check(workers, head, chosen)
    clock.part(outcome, "agreement")
    sound = [b for b in chosen if (b.operation, b.implementation) not in disagreeing]
    starts: list[Result] = []
    if options.starts and options.timing:
        until = time.monotonic() + STARTS_SHARE * options.seconds
        starts = Starts(workers, base, head, folder).measure(sound, bar, min(until, deadline))
        clock.part(outcome, "starts")
    if options.timing:
        left = max(deadline - time.monotonic(), 0.0)
        session = Session(workers, bar, options.rule, left)
        outcome.results, outcome.controls = session.measure(chosen, disagreeing)
        clock.part(outcome, "timing")
    outcome.results += starts
    if not workers.cpus:
        outcome.notes.append("this system cannot pin a process to a CPU, so cores of unequal speed add noise")
    return outcome


def _plugins(base: Version, head: Version) -> tuple[tuple[str, str], ...] | None:
    """Implementations of the plug-in on either side; None where maxbench itself is compared."""
    if (base.plugins is None) != (head.plugins is None):
        raise sources.SourceError("one of base and head is maxbench itself and the other is a plug-in")
    if base.plugins is None or head.plugins is None:
        return None
    return tuple(dict.fromkeys([*base.plugins, *head.plugins]))


class _Clock:
    def __init__(self) -> None:
        self._last = time.monotonic()

    def part(self, outcome: Outcome, name: str) -> None:
        now = time.monotonic()
        outcome.seconds[name] = round(now - self._last, 1)
        self._last = now
