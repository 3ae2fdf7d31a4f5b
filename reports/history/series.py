"""Reads a results folder of several machines and commits into series, and names everything odd in it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..records import asv_results
from ..records.asv_results import Measurement, ResultFile, Results
from ..system import text

ANCHOR = "history.Anchor.time_anchor"
# Machine, environment, benchmark, params, and what else tells values of another quantity apart.
Key = tuple[str, str, str, tuple[str, ...], str]


@dataclass(frozen=True)
class Point:
    """One commit of a series: seconds, and seconds over those of the anchor in the same run (None without one).

    ``placed`` says whether the order of commits has it: where it belongs is not known of any other.
    """

    commit: str
    date: float
    seconds: float
    ratio: float | None
    placed: bool = True


@dataclass(frozen=True)
class Series:
    """A benchmark with one set of parameters on one machine in one environment, in the order of its commits.

    ``version`` tells apart what another version of the benchmark or of the anchor measured, or the same one under other
    conditions (threads, waiting, samples), which is another quantity; it is empty where there is but one.
    """

    machine: str
    environment: str
    benchmark: str
    params: tuple[str, ...]
    version: str
    points: tuple[Point, ...]

    @property
    def name(self) -> str:
        """``softmax.Sweep.time_call('naive', 'float32', 1024)``."""
        called = f"{self.benchmark}({', '.join(self.params)})"
        return f"{called}, {self.version}" if self.version else called


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
    place = {commit: index for index, commit in enumerate(order)}
    if order:
        strange = sorted({f.commit[:8] for f in results.files if f.commit not in place})
        if strange:
            history.oddities.append(
                f"not in this repository's history, so no steps are searched there: commits {', '.join(strange)}"
            )
    versions = _versions(results, history)
    noted = _conditions(results, history)
    points: dict[Key, dict[str, Point]] = defaultdict(dict)
    for file in sorted(results.files, key=lambda f: (place.get(f.commit, len(place)), f.date or 0.0, _started(f))):
        anchor = _anchor(file)
        if anchor is None:
            history.oddities.append(f"{file.path}: has no anchor, so its benchmarks have no ratio")
        if file.machine != file.path.parent.name:
            history.oddities.append(f"{file.path}: says it is of machine {file.machine!r}")
        again = 0
        for m in file.measurements:
            if m.status == "ok" and m.benchmark != ANCHOR:
                series = points[
                    file.machine, file.environment, m.benchmark, m.params, _quantity(file, m, versions, noted)
                ]
                again += file.commit in series
                series[file.commit] = Point(
                    file.commit, file.date or 0.0, m.value, m.value / anchor if anchor else None,
                    not order or file.commit in place,
                )  # fmt: skip
        if again:
            history.oddities.append(
                f"{file.path}: measures again {again} cells of the same machine, environment and commit as an older "
                "file; the newer ones are used"
            )
    _parameters(results.files, history)
    history.series = [Series(*key, tuple(some.values())) for key, some in sorted(points.items())]
    return history


def _started(file: ResultFile) -> float:
    return max((m.started or 0.0 for m in file.measurements), default=0.0)


def _anchor(file: ResultFile) -> float | None:
    values = [m.value for m in file.measurements if m.benchmark == ANCHOR and m.status == "ok" and m.value > 0]
    return values[0] if values and math.isfinite(values[0]) else None


def _versions(results: Results, history: History) -> dict[str, set[str]]:
    """The versions of every benchmark. Values of another one are another quantity, which is kept apart and named."""
    by_name: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for file in results.files:
        for name, version in file.versions.items():
            by_name[name][version] += 1
    for name, versions in sorted(by_name.items()):
        if len(versions) > 1:
            counts = ", ".join(f"version {v[:8]}: {count} files" for v, count in sorted(versions.items()))
            history.oddities.append(f"{name}: different benchmark versions are series of their own ({counts})")
        current = str(results.benchmarks.get(name, {}).get("version", ""))
        if current and current not in versions:
            history.oddities.append(f"{name}: benchmarks.json has version {current[:8]}, which no result has")
    return {name: set(versions) for name, versions in by_name.items()}


def _conditions(results: Results, history: History) -> list[str]:
    """The conditions that differ between files. Values measured under others are kept apart and named."""
    differ = []
    for name in dict.fromkeys(name for file in results.files for name in file.conditions):
        counts = Counter(file.conditions.get(name, "unknown") for file in results.files)
        if len(counts) > 1:
            differ.append(name)
            listed = ", ".join(f"{value}: {text.plural(count, 'file')}" for value, count in sorted(counts.items()))
            history.oddities.append(f"different {name} are series of their own ({listed})")
    return differ


def _quantity(file: ResultFile, m: Measurement, versions: Mapping[str, set[str]], noted: Sequence[str]) -> str:
    """What tells apart values of different versions, of the benchmark or of the anchor, and of other conditions."""
    said = ((m.benchmark, "version"), (ANCHOR, "anchor version"))
    words = [
        f"{word} {file.versions.get(name, 'unknown')[:8]}" for name, word in said if len(versions.get(name, ())) > 1
    ]
    return ", ".join([*words, *(f"{name} {file.conditions.get(name, 'unknown')}" for name in noted)])


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
