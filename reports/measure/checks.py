"""Checks implementations, each in a process of its own, and says what each is: this process loads none of them.

What a process says of its results is not asked: the judge has the results. A process that crashes, hangs or breaks off
is a finding about its implementation, and no other is lost.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from maxbench.bench.processes.crew import Crew, Work
from maxbench.bench.processes.messages import About, CheckJob, Described, Given, Trial, Tried, Unavailable
from maxbench.bench.processes.messages import Checked as Judged
from maxbench.bench.processes.verdict import Verdict
from maxbench.impls import agreement, contract, registry
from maxbench.impls.agreement import Finding, Status
from maxbench.impls.contract.layouts import OUT_LAYOUTS

from ..records.run import Availability

TIMEOUT = 900.0  # seconds for all trials of one implementation; the slowest is a simulated GPU
DESCRIBE_SECONDS = 60.0  # for loading one

Entry = registry.Entry


@dataclass
class Checked:
    """An implementation that was looked at.

    Attributes:
        status: ``available``, ``unavailable``, ``failed`` (it does not load although nothing is missing, or its process
            ended) or ``wrong``.
        reason: of a status that is not available.
        about: what it declares; None where it does not load.
        findings: one for each trial.
        pairs: its results for `agreement.pair_inputs`.
    """

    entry: Entry
    status: Availability = "available"
    reason: str = ""
    about: About | None = None
    findings: list[Finding] = field(default_factory=list)
    pairs: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)


def describe_all(entries: Sequence[Entry], crew: Crew | None = None) -> list[Checked]:
    """What each entry is. Those of this package share processes, as they are many; each other has one of its own."""
    own = [entry for entry in entries if entry.in_tree and not entry.problem]
    groups = [[e for e in own if e.operation == operation] for operation in contract.OPERATIONS]
    single = [[entry] for entry in entries if entry not in own]

    def one(group: list[Entry]) -> list[Checked]:
        return _describe(hired, group)

    with _hired(crew) as hired, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = {id(c.entry): c for some in pool.map(one, [*filter(None, groups), *single]) for c in some}
    return [found[id(entry)] for entry in entries]


def _describe(crew: Crew, group: list[Entry]) -> list[Checked]:
    if group[0].problem:
        return [Checked(group[0], "unavailable", group[0].problem)]
    job = CheckJob(group[0].operation, [entry.name for entry in group])
    work = crew.run(job, seconds=DESCRIBE_SECONDS * len(group))
    if work.failure is not None and len(group) > 1:
        return [checked for entry in group for checked in _describe(crew, [entry])]
    return [_loaded(entry, work) for entry in group]


def _loaded(entry: Entry, work: Work) -> Checked:
    """What a worker said of loading an entry."""
    checked = Checked(entry)
    for message in work.messages:
        match message:
            case Unavailable(name=entry.name):
                checked.status, checked.reason = "failed" if message.broken else "unavailable", message.reason
            case Described(name=entry.name):
                checked.about = message.about
    if work.failure is not None:
        checked.status, checked.reason = "failed", work.failure
    elif checked.about is None and checked.status == "available":
        checked.status, checked.reason = "failed", "its process said nothing of it"
    return checked


def check_all(
    entries: Sequence[Entry],
    dtypes: Iterable[str] | None = None,
    *,
    jobs: int | None = None,
    done: Callable[[Checked], None] = lambda checked: None,
    timeout: float = TIMEOUT,
    crew: Crew | None = None,
    env: Mapping[str, str] | None = None,
) -> tuple[list[Checked], list[Finding]]:
    """Check every entry, `jobs` at a time (None: one a CPU), and all pairs of those that are sound.

    Args:
        entries: what to check; one that does not load gives one finding that says why.
        dtypes: narrows the cases; None means all.
        done: called, from another thread, as each entry is finished.
        timeout: seconds after which an implementation's process is ended.
        env: variables of the processes, beside those of this one.

    Returns:
        Each entry as it was found, and the findings of pairs.
    """
    wanted = None if dtypes is None else tuple(dtypes)

    def one(entry: Entry) -> Checked:
        checked = _check(hired, entry, wanted, timeout, env)
        done(checked)
        return checked

    with _hired(crew) as hired, ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        found = list(pool.map(one, entries))
    sound = {
        operation: {c.entry.name: c.pairs for c in found if c.entry.operation == operation and c.status == "available"}
        for operation in contract.OPERATIONS
    }
    return found, list(agreement.check_pairs(sound["softmax"], sound["argmax"]))


def _check(
    crew: Crew, entry: Entry, dtypes: tuple[str, ...] | None, timeout: float, env: Mapping[str, str] | None
) -> Checked:
    if entry.problem:
        checked = Checked(entry, "unavailable", entry.problem)
        checked.findings.append(_finding(entry, "unavailable", entry.problem))
        return checked
    job = CheckJob(entry.operation, [entry.name], trials=True, dtypes=None if dtypes is None else list(dtypes))
    work = crew.run(job, seconds=timeout, env=env)
    checked = _loaded(entry, work)
    if checked.about is None:
        status: Status = "failed" if checked.status == "failed" else "unavailable"
        checked.findings.append(_finding(entry, status, checked.reason))
        return checked
    checked.findings += _findings(entry, checked.about, work, dtypes)
    for given in work.those(Given):
        checked.pairs[given.about.dtype_of_x, given.about.what] = given.values
    if worst := worst_of(checked.findings):
        where = f"{worst.case} {worst.dtype}: ".lstrip() if worst.case else ""
        checked.status = "failed" if worst.status == "failed" else "wrong"
        checked.reason = f"{where}{worst.detail}"
    return checked


def worst_of(findings: Iterable[Finding]) -> Finding | None:
    """The finding to quote of an implementation: a crash, else an error without a size, else the first error."""
    bad = [finding for finding in findings if finding.status in ("failed", "wrong")]
    return min(bad, key=lambda finding: (finding.status != "failed", not finding.unsized), default=None)


def _finding(entry: Entry, status: Status, detail: str, case: str = "", dtype: str = "", declared: str = "") -> Finding:
    return Finding(entry.operation, entry.name, case, dtype, status, detail, declared)


def _findings(entry: Entry, about: About, work: Work, dtypes: tuple[str, ...] | None) -> Iterable[Finding]:
    """A finding for each trial, from what the judge said and from what the process said of those without a result."""
    wanted = agreement.wanted_dtypes(entry.operation, dtypes)
    for name in [name for name in wanted if name in contract.OPTIONAL and name not in about.dtypes]:
        wanted.remove(name)
        if dtypes is not None:
            yield _finding(entry, "not supported", f"{name} is not among its dtypes", dtype=name)
    verdicts: dict[tuple[str, str], list[Verdict]] = {}
    for judged in work.those(Judged):
        verdicts.setdefault((judged.claim.case, judged.claim.input.dtype), []).append(judged.verdict)
    ends: dict[tuple[str, str], list[Tried]] = {}
    for tried in work.those(Tried):
        ends.setdefault((tried.case, tried.dtype), []).append(tried)
    occurred: set[str] = set()
    refusing = {layout.name for layout in OUT_LAYOUTS if layout.refused is not None}  # where no result is right
    for case, dtype in agreement.names_of_trials(wanted):
        given, said = verdicts.get((case, dtype), []), ends.get((case, dtype), [])
        bad = next((v for v in given if v.status == "wrong"), None) or next(
            (v for v in given if v.status == "differs"), None
        )
        spoken = next((one for one in said if one.status != "agrees"), None)
        if bad is not None:
            if bad.status == "differs":
                occurred.add(bad.pattern)
            yield replace(_finding(entry, bad.status, bad.detail, case, dtype, bad.declared), unsized=bad.unsized)
        elif spoken is not None:
            yield _finding(entry, spoken.status, spoken.detail, case, dtype)
        elif given or (case in refusing and said):
            yield _finding(entry, "agrees", "", case, dtype)
        elif work.failure is None:
            yield _finding(entry, "failed", "its process said nothing of it", case, dtype)
    if work.failure is not None:
        last = next((m for m in reversed(work.messages) if isinstance(m, Trial | Tried)), Trial("", ""))
        yield _finding(entry, "failed", work.failure, last.case, last.dtype)
    elif dtypes is None:
        yield from agreement.stale(entry.operation, entry.name, about.differs, occurred)


def _hired(crew: Crew | None) -> contextlib.AbstractContextManager[Crew]:
    return Crew() if crew is None else contextlib.nullcontext(crew)
