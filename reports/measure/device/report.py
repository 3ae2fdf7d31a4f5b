"""A device report: what a GPU is, agreement of everything on it, and the timing of everything, within a given time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec import structs

from maxbench.bench.processes.crew import Crew
from maxbench.bench.processes.messages import (
    AnyTask,
    CheckTask,
    DescribeTask,
    DeviceJob,
    Gpu,
    Outcome,
    ProbeJob,
    Unavailable,
)  # fmt: skip
from maxbench.impls import registry
from maxbench.impls.agreement import Finding

from ...records import findings
from ...records.run import Implementation, RunRecord, State
from ...system import files, text
from .. import checks, environment, implementations, recording
from ..disturbance import Watch
from . import tasks
from .compilers import Compilers
from .results import Results
from .session import Line, Process, Session, Worker

REPORT_SECONDS = 12.0  # kept for writing the report, which takes about 4
PROBE_SECONDS = 60.0
UNSEEN = "not looked at yet"
SIMULATED = (
    "These are figures of Numba's CUDA simulator, which runs kernels in Python on the host: a rehearsal of the "
    "command. They say nothing about a device, and are not ranked."
)


class NoDevice(RuntimeError):
    """There is no GPU to report on; the message says why."""


@dataclass
class Plan:
    """What is to be reported, and where it goes.

    Attributes:
        folder: the run folder.
        entries: the implementations.
        dtypes: narrows those of the grid; None for all.
        seconds: of everything, the report's writing included.
        sample_seconds: of sampling one implementation on one input.
        simulated: a rehearsal in Numba's simulator.
        machine: a name for the machine, None for its host name.
        command: the words of the command line.
    """

    folder: Path
    entries: Sequence[registry.Entry]
    dtypes: Sequence[str] | None
    seconds: float
    sample_seconds: float
    simulated: bool = False
    machine: str | None = None
    command: list[str] = field(default_factory=list)

    @property
    def names(self) -> dict[str, list[str]]:
        """The implementations of each operation."""
        found: dict[str, list[str]] = {}
        for entry in self.entries:
            found.setdefault(entry.operation, []).append(entry.name)
        return found

    @property
    def variables(self) -> dict[str, str]:
        """The environment of every process that touches the device."""
        simulated = {"NUMBA_ENABLE_CUDASIM": "1"} if self.simulated else {}
        return {**environment.measuring(environment.usable_cpus()), **simulated}


def probe(variables: dict[str, str]) -> Gpu:
    """What the GPU is, asked in a process of its own: a context would take memory from what is measured.

    Raises:
        NoDevice: there is none, or it cannot be used; says why.
    """
    with Crew() as crew:
        work = crew.run(ProbeJob(), env=variables, seconds=PROBE_SECONDS)
    for found in work.those(Gpu):
        return found
    raise NoDevice(next((one.reason for one in work.those(Unavailable)), f"asking for the GPU failed: {work.failure}"))


def begin(plan: Plan) -> RunRecord:
    """What is known of the machine before anything is measured; it takes seconds to find out."""
    # No precheck: what the CPUs' noise lets one see says nothing about times by the device's own events.
    return recording.begin(plan.folder.name, plan.command, "device", environment.usable_cpus(), plan.machine)


class Report:
    """One device report; `record` is saved at every step."""

    def __init__(
        self, plan: Plan, device: Gpu, record: RunRecord | None = None, *, begun: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.plan, self.device, self._clock = plan, device, clock
        self._begun = clock() if begun is None else begun
        self._watch = Watch()
        self._findings: dict[tuple[str, ...], Finding] = {}
        self._unfinished: dict[tuple[str, ...], str] = {}
        self._complete: set[tuple[str, ...]] = set()
        self._entries = {(entry.operation, entry.name): implementations.outline(entry) for entry in plan.entries}
        for entry in self._entries.values():
            entry.status, entry.reason = "unavailable", UNSEEN
        self.tasks = tasks.tasks(plan.names, plan.dtypes, seconds=plan.seconds, simulated=plan.simulated)
        self.record = self._begin(record or begin(plan))
        self.results = Results(plan.folder, self.tasks, self.record, plan.simulated)
        self.save()

    @property
    def findings(self) -> list[Finding]:
        """Of every case that was tried, the last."""
        return list(self._findings.values())

    def _begin(self, begun: RunRecord) -> RunRecord:
        plan = self.plan
        about = {name: value for name, value in structs.asdict(self.device).items() if value is not None}
        begun.id = files.encode(plan.folder.name).decode()
        begun.simulated, begun.device = plan.simulated, about
        begun.implementations = list(self._entries.values())
        begun.warnings = [SIMULATED] if plan.simulated else []
        return begun

    def save(self) -> None:
        """Write the record."""
        self.record.save(self.plan.folder)

    def run(
        self, seen: Callable[[Line, int, int], None],
        start: Callable[[list[AnyTask]], Worker] | None = None, **how: Any,
    ) -> None:  # fmt: skip
        """Do all tasks, or as many as the time allows.

        Args:
            seen: as of `Session`.
            start: makes a worker for tasks; None for processes.
            how: `clock` and `sleep` of the session.

        Raises:
            KeyboardInterrupt: stopped by the user; what was measured is kept, and is marked as interrupted.
        """

        def watch(line: Line, done: int, total: int) -> None:
            if isinstance(line, Finding):
                self._findings[line.operation, line.implementation, line.case, line.dtype] = line
            seen(line, done, total)

        left = self.plan.seconds - REPORT_SECONDS - (self._clock() - self._begun)
        state: State = "interrupted"
        with Crew() as crew, contextlib.ExitStack() as stack:
            if start is None:
                cpus = environment.usable_cpus()
                compilers = Compilers(crew, self.tasks, self.device, self.plan.variables, cpus, left)
                stack.callback(compilers.stop)
            session = Session(self.tasks, start or self._starter(crew), self._keep, max(left, 0.0), seen=watch, **how)
            try:
                session.run()
                state = "finished"
            finally:
                self._finish(state)

    def _starter(self, crew: Crew) -> Callable[[list[AnyTask]], Worker]:
        def start(tasks: list[AnyTask]) -> Worker:
            job = DeviceJob(tasks, self.plan.sample_seconds, self.device.cache_bytes, self.plan.simulated)
            return Process(job, crew, self.plan.variables)

        return start

    def _keep(self, task: AnyTask, name: str, found: Outcome) -> None:
        self.results.record(task, name, found)
        match task:
            case DescribeTask():
                self._describe(self._entries[task.operation, name], found)
            case CheckTask():
                self._checked(task, name, found)

    def _describe(self, entry: Implementation, found: Outcome) -> None:
        if (about := found.about) is not None:
            entry.device, entry.threads, entry.dtypes = about.device, about.threads, about.dtypes
            entry.doc, entry.source = about.doc, about.source
            entry.status, entry.reason = "available", ""
        else:
            entry.reason = found.detail
        self.save()

    def _checked(self, task: CheckTask, name: str, found: Outcome) -> None:
        entry = self._entries[task.operation, name]
        key = (task.operation, name, task.dtype)
        mine = [f for f in self.findings if (f.operation, f.implementation, f.dtype) == key]
        wrong = checks.worst_of(mine)
        if wrong is not None and entry.status not in ("wrong", "failed"):
            entry.status = "failed" if wrong.status == "failed" else "wrong"
            entry.reason = f"{wrong.case} {wrong.dtype}: {wrong.detail}"
        if found.status == "ok":
            self._complete.add(key)
            self._unfinished.pop(key, None)
        elif key not in self._complete:  # by an earlier task
            self._unfinished[key] = found.detail
        findings.save(self.plan.folder, self.findings)
        self.save()

    def _finish(self, state: State) -> None:
        self.record.warnings += self._unchecked()
        recording.end(self.record, state)
        self.record.disturbance = [self._watch.found()]
        findings.save(self.plan.folder, self.findings)
        self.save()

    def _unchecked(self) -> list[str]:
        """What was not checked to the end: a line for each reason why nothing was, one for what was in part."""
        none: dict[str, dict[str, list[str]]] = {}
        some: list[str] = []
        for key, reason in self._unfinished.items():
            operation, name, dtype = key
            if self._entries[operation, name].status != "available":
                continue
            mine = [f for f in self.findings if (f.operation, f.implementation, f.dtype) == key]
            if mine:
                agreed = sum(f.status == "agrees" for f in mine)
                some.append(f"{operation}.{name} in {dtype} (agrees in {agreed}; {reason})")
            else:
                none.setdefault(reason, {}).setdefault(f"{operation}.{name}", []).append(dtype)
        found = []
        for reason, each in none.items():
            who = "; ".join(f"{name} in {text.listed(dtypes)}" for name, dtypes in each.items())
            found.append(f"Not checked against the contract's cases: {who} ({reason}).")
        return found + ([f"Checked against the contract's cases in part: {'; '.join(some)}."] if some else [])
