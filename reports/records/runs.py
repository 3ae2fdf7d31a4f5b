"""Reads a folder of results: asv's files with what ``maxbench run`` wrote beside them, or asv's files alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from maxbench.impls.agreement import Finding

from . import asv_results, findings, journal
from . import run as run_record
from .journal import Journal
from .reading import Problems
from .run import RunRecord, State


class NoResults(ValueError):
    """A folder that holds nothing a report can be made of; the message says what was looked for."""


@dataclass
class Run:
    """One folder of results, as stored.

    Attributes:
        folder: where it is.
        results: asv's files.
        record: `run.json`; None where there is none, as of asv's results alone.
        journal: what the benchmark processes noted, by benchmark and parameters.
        findings: the agreement check.
        warnings: what could not be read, and what the run itself warned of.
    """

    folder: Path
    results: asv_results.Results
    record: RunRecord | None = None
    journal: Journal = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def about(self) -> RunRecord:
        """The run record; an empty one where there is none."""
        return self.record or RunRecord()

    @property
    def label(self) -> str:
        """What the run is called: its id, or its folder."""
        return self.about.id or self.folder.name

    @property
    def state(self) -> State:
        """How the run ended; finished where nothing is known."""
        return self.about.state


def read(folder: Path) -> Run:
    """What a folder holds: a run folder, an asv results folder, or the `.asv` folder around one.

    Raises:
        NoResults: no such folder, or nothing in it that `maxbench run` or asv wrote.
    """
    if not folder.is_dir():
        raise NoResults(f"{folder}: no such folder")
    problems = Problems(folder)
    record = run_record.load(folder, problems)
    stored = next((f for f in (folder / "asv" / "results", folder / "results", folder) if f.is_dir()), folder)
    known = stored == folder and record is not None
    results = asv_results.Results() if known else asv_results.read(stored, folder)
    run = Run(folder, results, record, journal.load(folder, problems), findings.load(folder, problems))
    if not (record or results.files or results.warnings or run.journal or run.findings or results.machines):
        expected = "expected a folder that `maxbench run --output` wrote, or asv's results folder"
        raise NoResults("\n".join([f"{folder}: no results here; {expected}", *problems.lines()]))
    if record is not None and record.state != "finished":
        from .journal_rows import complete  # here: it needs asv, which takes a while to import

        complete(folder, record, run.results, run.journal)
    run.warnings = [*problems.lines(), *results.warnings, *run.about.warnings]
    return run
