"""The agreement check of a run, `agreement.json`: a list of findings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from maxbench.bench.processes.link import called
from maxbench.impls.agreement import Finding

from ..system import files
from . import reading
from .reading import Problems, Unreadable

FILE = "agreement.json"


def save(folder: Path, findings: Iterable[Finding]) -> None:
    """Write the findings of a run."""
    files.write_json(folder / FILE, [finding.as_dict() for finding in findings])


def load(folder: Path, problems: Problems) -> list[Finding]:
    """The findings of a run folder; one that is no record is left out."""
    path = folder / FILE
    value = reading.load(path, problems)
    if value is not None and not isinstance(value, list):
        problems.add(path, "", f"holds {called(value)}, not a list of findings")
        return []
    found = []
    for number, item in enumerate(value or [], 1):
        try:
            found.append(reading.convert(Finding, item))
        except Unreadable as error:
            problems.add(path, f"finding {number}", f"left out: {error}")
    return found
