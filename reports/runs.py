"""Reads a folder of results: asv's files with what ``maxbench run`` wrote beside them, or asv's files alone."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import asv_results

SCHEMA = 1
SIDE_CAR, JOURNAL, AGREEMENT = "run.json", "journal.jsonl", "agreement.json"

# What a benchmark process noted: (benchmark without its method, parameters) -> its lines in order.
Journal = dict[tuple[str, tuple[str, ...]], list[dict[str, Any]]]


class NoResults(ValueError):
    """A folder that holds nothing a report can be made of; the message says what was looked for."""


@dataclass
class Run:
    """One folder of results, as stored.

    Attributes:
        folder: where it is.
        results: asv's files.
        side: the side-car `run.json`: machine, threads, versions, source and so on; empty without one.
        journal: what the benchmark processes noted, by benchmark and parameters.
        findings: the agreement check, as `impls.agreement.Finding` has it.
        warnings: files that were set aside and what the run itself warned of.
    """

    folder: Path
    results: asv_results.Results
    side: dict[str, Any] = field(default_factory=dict)
    journal: Journal = field(default_factory=dict)
    findings: list[dict[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        """running, interrupted or finished; finished where nothing is known."""
        return str(self.side.get("state", "finished"))

    def get(self, *keys: str) -> Any:
        """A nested entry of the side-car, None where it is missing or not where it should be."""
        value: Any = self.side
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value


def read(folder: Path) -> Run:
    """What a folder holds: a run folder, an asv results folder, or the `.asv` folder around one.

    Raises:
        NoResults: no such folder, or nothing in it that `maxbench run` or asv wrote.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NoResults(f"{folder}: no such folder")
    warnings: list[str] = []
    side = _object(folder / SIDE_CAR, warnings)
    if side and side.get("schema") != SCHEMA:
        warnings.append(f"set aside {folder / SIDE_CAR}: schema {side.get('schema')!r}, expected {SCHEMA}")
        side = {}
    stored = next((f for f in (folder / "asv" / "results", folder / "results", folder) if f.is_dir()), folder)
    results = asv_results.read(stored) if stored != folder or not side else asv_results.Results()
    run = Run(folder, results, side, read_journal(folder / JOURNAL, warnings), _findings(folder / AGREEMENT, warnings))
    if not (side or results.files or results.warnings or run.journal or run.findings or results.machines):
        raise NoResults(
            f"{folder}: no results here; expected a folder that `maxbench run --output` wrote, or asv's results folder"
        )
    if side and run.state != "finished":
        from .journal_rows import complete  # here: it needs asv, which takes a while to import

        complete(run)
    own = side.get("warnings")
    run.warnings = [*warnings, *results.warnings, *(map(str, own) if isinstance(own, list) else ())]
    return run


def _load(path: Path, warnings: list[str]) -> Any:
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        warnings.append(f"set aside {path}: truncated or not JSON ({error})")
        return None


def _object(path: Path, warnings: list[str]) -> dict[str, Any]:
    value = _load(path, warnings)
    if value is None:
        return {}
    if not isinstance(value, dict):
        warnings.append(f"set aside {path}: holds a {type(value).__name__}, not an object")
        return {}
    return value


def _findings(path: Path, warnings: list[str]) -> list[dict[str, str]]:
    value = _load(path, warnings)
    if value is None:
        return []
    keys = ("operation", "implementation", "case", "dtype", "status")
    if not isinstance(value, list) or not all(isinstance(f, dict) and all(k in f for k in keys) for f in value):
        warnings.append(f"set aside {path}: not a list of findings with {', '.join(keys)}")
        return []
    return [{key: str(finding.get(key, "")) for key in (*keys, "detail")} for finding in value]


def read_journal(path: Path, warnings: list[str]) -> Journal:
    """The lines of a journal; what cannot be read of it becomes a warning."""
    journal: Journal = defaultdict(list)
    if not path.is_file():
        return {}
    bad = 0
    for entry in _entries(_lines(path, warnings)):
        try:
            journal[str(entry["benchmark"]), tuple(map(str, entry["params"]))].append(entry)
        except (ValueError, TypeError, KeyError):
            bad += 1
    if bad:
        warnings.append(
            f"{path}: {bad} line{'s' if bad > 1 else ''} cannot be read and {'were' if bad > 1 else 'was'} left out"
        )
    return {key: _current(lines) for key, lines in journal.items()}


def _current(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines of a cell without failures in a round in which it was measured after all, by a resumed run.

    Its process may have failed for want of memory or disk. A wrong result stays.
    """
    last = {line["round"]: index for index, line in enumerate(lines) if "round" in line and line.get("status") == "ok"}
    passing = ("failed", "interrupted")
    return [
        line for index, line in enumerate(lines)
        if not (line.get("status") in passing and index < last.get(line.get("round"), 0))
    ]  # fmt: skip


def _entries(lines: list[str]) -> list[Any]:
    """The lines as JSON, None for one that is none; all at once where all are, which is several times as fast."""
    try:
        found: list[Any] = json.loads(f"[{','.join(lines)}]")
        if len(found) == len(lines):
            return found
    except ValueError:
        pass
    return [_entry(line) for line in lines]


def _entry(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _lines(path: Path, warnings: list[str]) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        warnings.append(f"set aside {path}: {error}")
        return []
