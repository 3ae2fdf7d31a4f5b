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
from typing import Any

import numpy as np

from maxbench.bench.processes.crew import Crew, Work
from maxbench.bench.processes.link import Message
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
        about: what it declares: device, backend, threads, dtypes, doc, source, path, largest, differs; empty where it
            does not load.
        findings: one for each trial.
        pairs: its results for `agreement.pair_inputs`.
    """

    entry: Entry
    status: Availability = "available"
    reason: str = ""
    about: dict[str, Any] = field(default_factory=dict)
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
    job = {"operation": group[0].operation, "names": [entry.name for entry in group], "trials": False, "dtypes": None}
    work = crew.run("check", job, seconds=DESCRIBE_SECONDS * len(group))
    if work.failure is not None and len(group) > 1:
        return [checked for entry in group for checked in _describe(crew, [entry])]
    return [_loaded(entry, work) for entry in group]


def _loaded(entry: Entry, work: Work) -> Checked:
    """What a worker said of loading an entry."""
    checked = Checked(entry)
    for message in work.those("unavailable"):
        if message.get("name") == entry.name:
            checked.status = "failed" if message.get("broken") else "unavailable"
            checked.reason = str(message.get("reason"))
    for message in work.those("described"):
        if message.get("name") == entry.name:
            checked.about = _about(message)
    if work.failure is not None:
        checked.status, checked.reason = "failed", work.failure
    elif not checked.about and checked.status == "available":
        checked.status, checked.reason = "failed", "its process said nothing of it"
    return checked


def _about(message: Message) -> dict[str, Any]:
    """A description as it is kept: of the right types, whatever was said."""
    known = (*contract.DTYPES, *contract.OPTIONAL)
    about: dict[str, Any] = {key: str(message.get(key, "")) for key in ("device", "backend", "threads", "doc")}
    for key in ("source", "path", "layer"):
        about[key] = None if message.get(key) is None else str(message[key])
    dtypes = message.get("dtypes")
    about["dtypes"] = [name for name in dtypes if name in known] if isinstance(dtypes, list) else []
    differs = message.get("differs")
    about["differs"] = {str(k): str(v) for k, v in differs.items()} if isinstance(differs, dict) else {}
    return about


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
    job = {"operation": entry.operation, "names": [entry.name], "trials": True, "dtypes": dtypes and list(dtypes)}
    work = crew.run("check", job, seconds=timeout, env=env)
    checked = _loaded(entry, work)
    if not checked.about:
        status: Status = "failed" if checked.status == "failed" else "unavailable"
        checked.findings.append(_finding(entry, status, checked.reason))
        return checked
    checked.findings += _findings(checked, work, dtypes)
    for message in work.those("array"):
        array = message["array"]
        checked.pairs[str(message.get("dtype_of_x")), str(message.get("what"))] = array
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


def _findings(checked: Checked, work: Work, dtypes: tuple[str, ...] | None) -> Iterable[Finding]:
    """A finding for each trial, from what the judge said and from what the process said of those without a result."""
    entry, differs = checked.entry, checked.about["differs"]
    wanted = agreement.wanted_dtypes(entry.operation, dtypes)
    for name in [name for name in wanted if name in contract.OPTIONAL and name not in checked.about["dtypes"]]:
        wanted.remove(name)
        if dtypes is not None:
            yield _finding(entry, "not supported", f"{name} is not among its dtypes", dtype=name)
    said = _by_trial(work)
    last = next((m for m in reversed(work.messages) if m.get("event") in ("trial", "refused")), None)
    occurred: set[str] = set()
    refusing = {layout.name for layout in OUT_LAYOUTS if layout.refused is not None}  # where no result is right
    for case, dtype in agreement.names_of_trials(wanted):
        messages = said.get((case, dtype), [])
        verdicts = [m["verdict"] for m in messages if m["event"] == "checked"]
        bad = next((v for v in verdicts if v.status == "wrong"), None) or next(
            (v for v in verdicts if v.status == "differs"), None
        )
        spoken = next((m for m in messages if m["event"] in ("broken", "raised", "refused")), None)
        if bad is not None:
            if bad.status == "differs":
                occurred.add(bad.pattern)
            status: Status = "wrong" if bad.status == "wrong" else "differs"
            yield replace(_finding(entry, status, bad.detail, case, dtype, bad.declared), unsized=bad.unsized)
        elif spoken is not None:
            statuses: dict[str, Status] = {"broken": "wrong", "raised": "failed", "refused": "not supported"}
            yield _finding(entry, statuses[spoken["event"]], str(spoken.get("detail")), case, dtype)
        elif verdicts or (case in refusing and any(m["event"] == "tried" for m in messages)):
            yield _finding(entry, "agrees", "", case, dtype)
        elif work.failure is None:
            yield _finding(entry, "failed", "its process said nothing of it", case, dtype)
    if work.failure is not None:
        where = (str(last.get("case")), str(last.get("dtype"))) if last else ("", "")
        yield _finding(entry, "failed", work.failure, *where)
    elif dtypes is None:
        yield from agreement.stale(entry.operation, entry.name, differs, occurred)


def _by_trial(work: Work) -> dict[tuple[str, str], list[Message]]:
    found: dict[tuple[str, str], list[Message]] = {}
    for message in work.messages:
        if message.get("event") == "checked":
            claim = message["claim"]
            found.setdefault((claim.case, claim.input.dtype), []).append(message)
        elif message.get("event") in ("broken", "raised", "refused", "tried"):
            found.setdefault((str(message.get("case")), str(message.get("dtype"))), []).append(message)
    return found


def _hired(crew: Crew | None) -> contextlib.AbstractContextManager[Crew]:
    return Crew() if crew is None else contextlib.nullcontext(crew)
