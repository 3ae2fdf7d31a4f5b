"""Reads a results folder of several machines and commits into series, and names everything odd in it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import asv_results
from ..asv_results import ResultFile

ANCHOR = "history.Anchor.time_anchor"


@dataclass(frozen=True)
class Point:
    """One commit of a series: seconds, and seconds over those of the anchor in the same run (None without one)."""

    commit: str
    date: float
    seconds: float
    ratio: float | None


@dataclass(frozen=True)
class Series:
    """A benchmark with one set of parameters on one machine in one environment, in the order of its commits."""

    machine: str
    environment: str
    benchmark: str
    params: tuple[str, ...]
    points: tuple[Point, ...]

    @property
    def name(self) -> str:
        """``softmax.Sweep.time_call('naive', 'float32', 1024)``."""
        return f"{self.benchmark}({', '.join(self.params)})"


@dataclass
class History:
    """All series of a folder, and the oddities that were found on the way."""

    series: list[Series] = field(default_factory=list)
    oddities: list[str] = field(default_factory=list)


def read(folder: Path, order: Sequence[str] = ()) -> History:
    """Everything that the folder holds.

    Args:
        folder: an asv results folder; nothing in it is changed.
        order: commits from oldest to newest where the repository is at hand; others follow by their date.
    """
    results = asv_results.read(folder)
    history = History(oddities=list(results.warnings))
    chosen = _one_for_each_commit(results.files, history)
    place = {commit: index for index, commit in enumerate(order)}
    if order:
        strange = sorted({f.commit[:8] for f in chosen if f.commit not in place})
        if strange:
            history.oddities.append(f"not in this repository's history: commits {', '.join(strange)}")
    points: dict[tuple[str, str, str, tuple[str, ...]], list[Point]] = defaultdict(list)
    for file in sorted(chosen, key=lambda f: (place.get(f.commit, len(place)), f.date or 0.0)):
        anchor = _anchor(file)
        if anchor is None:
            history.oddities.append(f"{file.path}: has no anchor, so its benchmarks have no ratio")
        for m in file.measurements:
            if m.status == "ok" and m.benchmark != ANCHOR:
                key = (file.machine, file.environment, m.benchmark, m.params)
                points[key].append(Point(file.commit, file.date or 0.0, m.value, m.value / anchor if anchor else None))
    _versions(results.benchmarks, chosen, history)
    _parameters(chosen, history)
    history.series = [Series(*key, tuple(some)) for key, some in sorted(points.items())]
    return history


def _one_for_each_commit(files: Iterable[ResultFile], history: History) -> list[ResultFile]:
    """A machine may hold a commit twice under one environment, in differently named files: the first is used."""
    found: dict[tuple[str, str, str], ResultFile] = {}
    for file in files:
        first = found.setdefault((file.machine, file.environment, file.commit), file)
        if first is not file:
            history.oddities.append(
                f"{file.path}: the same machine, environment and commit as {first.path.name}: not used"
            )
        if file.machine != file.path.parent.name:
            history.oddities.append(f"{file.path}: says it is of machine {file.machine!r}")
    return list(found.values())


def _anchor(file: ResultFile) -> float | None:
    values = [m.value for m in file.measurements if m.benchmark == ANCHOR and m.status == "ok" and m.value > 0]
    return values[0] if values and math.isfinite(values[0]) else None


def _versions(benchmarks: Mapping[str, Mapping[str, object]], files: Iterable[ResultFile], history: History) -> None:
    """Values of another version of a benchmark than the newest are other quantities; both are kept, and named."""
    by_name: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for file in files:
        for name, version in file.versions.items():
            by_name[name][version] += 1
    for name, versions in sorted(by_name.items()):
        if len(versions) > 1:
            counts = ", ".join(f"version {v[:8]}: {count} files" for v, count in sorted(versions.items()))
            history.oddities.append(f"{name}: results of different benchmark versions are in one series ({counts})")
        current = str(benchmarks.get(name, {}).get("version", ""))
        if current and current not in versions:
            history.oddities.append(f"{name}: benchmarks.json has version {current[:8]}, which no result has")


def _parameters(files: Iterable[ResultFile], history: History) -> None:
    """Parameter lists that changed over the commits: every series keeps its own points, only its length differs."""
    lists: dict[str, dict[tuple[tuple[str, ...], ...], int]] = defaultdict(lambda: defaultdict(int))
    for file in files:
        found: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for m in file.measurements:
            found[m.benchmark].append(m.params)
        for name, params in found.items():
            lists[name][tuple(params)] += 1
    for name, variants in sorted(lists.items()):
        if len(variants) > 1:
            common = set.intersection(*(set(v) for v in variants))
            most = max(len(v) for v in variants)
            history.oddities.append(
                f"{name}: its parameter lists differ between files ({len(variants)} lists, up to {most} cells, "
                f"{len(common)} in all of them)"
            )
