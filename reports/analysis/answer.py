"""The answer in words: what is fastest, what was not measured and why, and what to be careful about."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from maxbench.impls.registry import DEFAULTS

from ..records.journal import SPENT
from ..records.runs import Run
from ..system import text
from . import doubts, startup
from .contests import Contest, main_contests
from .derived import Derived
from .rules import LEAST_PROCESSES, Outcome
from .startup import Ladder
from .table import ASV_99

NAMED = 4  # inputs that a sentence names; of more it gives the number
FEW_PROCESSES = 5
_SAID = {"skipped": "not supported", "interrupted": "the run was interrupted", "wrong": "its result was wrong"}
NOISY = 0.10  # a cell is noisy when its interval is wider than this share of its value


@dataclass(frozen=True)
class Line:
    """The answer for one input, as text."""

    run: str
    operation: str
    input: str
    shape: str
    dtype: str
    fastest: str
    time: str
    over_baseline: str
    over_runner_up: str
    outcome: Outcome  # of the fastest against all others


def lines(contests: Sequence[Contest], baseline: str | None) -> list[Line]:
    """One line for every input that the answer is about."""
    return [_line(contest, baseline) for contest in main_contests(contests)]


def _line(contest: Contest, baseline: str | None) -> Line:
    fastest, second = contest.fastest, contest.runner_up
    over = contest.over_baseline(baseline) if baseline else None
    margin = contest.over_runner_up()
    return Line(
        run=contest.run,
        operation=contest.operation,
        input=contest.title,
        shape=contest.shape,
        dtype=contest.dtype,
        fastest=_winner(contest),
        time=str(fastest) if fastest else text.NOTHING,
        over_baseline=str(over) if over else "is the baseline" if fastest and _is(fastest, baseline) else text.NOTHING,
        over_runner_up=f"{margin} over {second.implementation}" if margin and second else text.NOTHING,
        outcome=contest.decision.outcome,
    )


def _is(cell: object, name: str | None) -> bool:
    return getattr(cell, "implementation", None) == name


def _winner(contest: Contest) -> str:
    if not contest.ranked:
        return "nothing was measured"
    names = text.listed([cell.implementation for cell in contest.rivals])
    match contest.decision.outcome:
        case "tie":
            return f"tie: {names}"
        case "cannot tell":
            rest = "" if len(contest.rivals) > 1 else " has the smallest time"
            return f"cannot tell ({contest.decision.reason}): {names}{rest}"
    return names


def sentences(contests: Sequence[Contest], baseline: str | None) -> list[str]:
    """One sentence for the user's array and one for each operation's other inputs."""
    found = main_contests(contests)
    said = [_own(contest, baseline) for contest in found if contest.benchmark == "Own"]
    for operation in dict.fromkeys(c.operation for c in found):
        rest = [c for c in found if c.operation == operation and c.benchmark != "Own"]
        if rest:
            said.append(_summary(operation, rest, baseline))
    return said


def _own(contest: Contest, baseline: str | None) -> str:
    about = f"{contest.operation} on your array ({', '.join(filter(None, (contest.shape, contest.dtype)))})"
    fastest, second = contest.fastest, contest.runner_up
    if fastest is None:
        return f"{about}: nothing was measured."
    winner = fastest.implementation + (", the baseline, is fastest" if _is(fastest, baseline) else " is fastest")
    words = [f"{about}: {winner if contest.clear else _winner(contest)}, {fastest}"]
    over = contest.over_baseline(baseline) if baseline else None
    if over and over.shown:
        words.append(f"{over} as fast as {baseline}, the baseline")
    margin = contest.over_runner_up()
    if margin and margin.shown and second and not _is(second, baseline):
        words.append(f"{margin} as fast as {second.implementation}, the runner-up")
    return "; ".join(words) + "."


def calls(contests: Sequence[Contest], axis: int | None, ladders: Sequence[Ladder], baseline: str | None) -> list[str]:
    """The calls to write for the user's array, an operation each, with their first call and when it has paid off."""
    said = []
    for contest in main_contests(contests):
        if contest.benchmark != "Own" or contest.fastest is None:
            continue
        names = [cell.implementation for cell in contest.rivals]
        name = next((name for name in DEFAULTS if name in names), names[0])
        impl = "" if name == DEFAULTS[0] else f', impl="{name}"'
        said.append(f"Write maxbench.{contest.operation}(x, axis={axis}{impl}).")
        where = contest.run, contest.operation
        of = {one.implementation: one for one in ladders if (one.run, one.operation) == where}
        if name in of:
            cold, warm = (of[name].start(compiling=compiling) for compiling in (True, False))
            if not math.isnan(cold.value) and not math.isnan(warm.value):
                times = f"{text.seconds(cold.value)}, {text.seconds(warm.value)} with compiled code on disk"
                said[-1] += (
                    f" Import and first call in a new process, on 64 × 1000 elements, take {times} "
                    f"({text.plural(min(cold.processes, warm.processes), 'process')})."
                )
        if name in of and baseline in of and name != baseline:
            even = startup.break_even(of[name], of[baseline], compiling=True)
            said[-1] += f" {startup.sentence(of[name], of[baseline])}" if even is not None and even.shown else ""
    return said


def _summary(operation: str, contests: Sequence[Contest], baseline: str | None) -> str:
    of = f"of {text.plural(len(contests), 'input')}"
    wins = Counter(_winner(c) for c in contests)
    words = []
    for winner, count in wins.most_common():
        mine = [c for c in contests if _winner(c) == winner]
        if not mine[0].ranked:
            words.append(f"nothing was measured on {count} {of}")
            continue
        over = [_range([c.over_baseline(baseline) for c in mine], baseline)] if baseline else []
        if mine[0].clear and any(c.runner_up and not _is(c.runner_up, baseline) for c in mine):
            over.append(_range([c.over_runner_up() for c in mine], "the runner-up"))
        many = f" ({', '.join(filter(None, over))})" if any(over) else ""
        verb = "is fastest on" if mine[0].clear else "on"
        names = text.listed([_named(c, contests) for c in mine])
        words.append(f"{winner} {verb} {names if count <= NAMED else f'{count} {of}'}{many}")
    return f"{operation}: {'; '.join(words)}."


def _range(ratios: Sequence[Derived | None], whom: str) -> str:
    """From the smallest to the largest of the ratios that are shown; of a single one its interval."""
    known = [ratio for ratio in ratios if ratio is not None and ratio.shown]
    if not known:
        return ""
    low, high = (text.factor(of(ratio.value for ratio in known)) for of in (min, max))
    words = f"{str(known[0]) if len(known) == 1 else low if low == high else f'{low} to {high}'} as fast as {whom}"
    rest = sum(ratio is not None for ratio in ratios) - len(known)
    return f"{words}, not shown on {text.plural(rest, 'input')}" if rest else words


def _named(contest: Contest, among: Sequence[Contest]) -> str:
    """An input's title, with its dtype where there are several."""
    return contest.title if len({c.dtype for c in among}) == 1 else f"{contest.title} {contest.dtype}"


@dataclass(frozen=True)
class Absent:
    """An implementation that was not measured, on how many inputs, and why."""

    operation: str
    implementation: str
    status: str
    reason: str
    count: int
    where: str


def absent(table: pd.DataFrame, stored: Sequence[Run]) -> list[Absent]:
    """What was not measured and why: from the measurements, and what the run records list as unavailable."""
    rows = table[table["status"] != "ok"]
    found: list[Absent] = []
    for key, group in rows.groupby(["operation", "implementation", "status", "reason"], sort=False):
        operation, implementation, status, reason = map(str, key)
        places = [_place(record) for record in group.head(3).to_dict("records")]
        more = f" and {len(group) - len(places)} more" if len(group) > len(places) else ""
        found.append(Absent(operation, implementation, status, reason, len(group), "; ".join(places) + more))
    named = {(a.operation, a.implementation) for a in found}
    for run in stored:
        for entry in run.about.implementations:
            key = entry.operation, entry.name
            if entry.status != "available" and key not in named:
                named.add(key)
                found.append(Absent(*key, entry.status, entry.reason, 0, "everywhere"))
    return sorted(found, key=lambda a: (_rank(a.status), a.operation != "softmax", a.implementation))


def _rank(status: str) -> int:
    """The worst first."""
    order = ("wrong", "failed", "interrupted", "unavailable", "skipped")
    return order.index(status) if status in order else 0


def gaps(contests: Sequence[Contest], absents: Sequence[Absent]) -> str:
    """What has no time in the answer, and why, in one sentence; empty where nothing is missing there."""
    reasons: dict[str, list[str]] = {}
    for one in absents:
        if one.status == "unavailable":
            reasons.setdefault(f" ({text.cut(one.reason)})", []).append(f"{one.operation}.{one.implementation}")
    found = main_contests(contests)
    inputs = Counter(contest.operation for contest in found)
    missing: dict[tuple[str, str], list[str]] = {}
    for contest in found:
        for cell in contest.missing:
            said = "the time was spent" if SPENT in cell.reason else _SAID.get(cell.status, cell.status)
            missing.setdefault((contest.operation, cell.implementation), []).append(said)
    for (operation, name), causes in missing.items():
        where = "" if len(causes) == inputs[operation] else f" on {len(causes)} of {inputs[operation]} inputs"
        why = text.listed(list(dict.fromkeys(causes)))
        reasons.setdefault(f"{where} ({why})", []).append(f"{operation}.{name}")
    return f"Not measured: {'; '.join(text.listed(who) + why for why, who in reasons.items())}." if reasons else ""


def _place(record: dict[Hashable, Any]) -> str:
    size = "" if record["workload"] or pd.isna(record["n"]) else f"n = {record['n']:,}"
    parts = (record["benchmark"], record["workload"], size, record["order"], record["cache"], record["dtype"])
    return " ".join(str(part) for part in parts if part)


def warnings(table: pd.DataFrame, stored: Sequence[Run], absents: Sequence[Absent]) -> list[str]:
    """What to be careful about: the runs' own warnings, wrong results, and how sure the intervals are."""
    said = [warning for run in stored for warning in run.warnings]
    for run in stored:
        name = f"run {run.label}" if run.about.id else run.label
        checked = run.about.precheck
        found = [*(doubts.before(checked) if checked else []), *doubts.during(run)]
        said += [f"{name}: {warning}" if len(stored) > 1 else warning for warning in found]
        if run.state != "finished":
            said.append(
                f"{name} is {'still running' if run.state == 'running' else 'not complete: it was interrupted'}."
            )
    wrong = [a for a in absents if a.status == "wrong"]
    for operation, implementation in dict.fromkeys((a.operation, a.implementation) for a in wrong):
        said.append(f"{operation}.{implementation} gave a wrong result and is not ranked where it did.")
    timed = table[(table["status"] == "ok") & (table["statistic"] == "time")]
    return said + _differing(timed) + _certainty(timed)


def _differing(timed: pd.DataFrame) -> list[str]:
    """One sentence for every implementation that is timed although its results are not all the contract's."""
    return [
        f"{operation}.{implementation} is not equal to the others where its time carries a \N{DAGGER} "
        f"({text.plural(len(rows), 'time')}): {rows['reason'].iloc[0]}."
        for (operation, implementation), rows in timed[timed["reason"] != ""].groupby(
            ["operation", "implementation"], sort=False
        )
    ]


def above_ceiling(contests: Sequence[Contest]) -> list[str]:
    """The ceilings whose shares are withheld, each with its reason."""
    doubted = [(c.operation, c.ceiling) for c in contests if c.ceiling and c.ceiling.doubt]
    return list(
        dict.fromkeys(
            f"{operation}: the share of the ceiling of {text.size(ceiling.size)} is {ceiling.doubt}."
            for operation, ceiling in doubted
        )
    )


def _certainty(timed: pd.DataFrame) -> list[str]:
    said = []
    if alone := int(timed["low"].isna().sum()):
        whole = text.plural(len(timed), "time")
        said.append(f"{alone:,} of {whole} cannot be compared: no interval, as of one sample.")
    counts = timed["processes"].dropna()
    if len(counts) and (few := int(counts.min())) < FEW_PROCESSES:
        said.append(
            f"Some intervals come from only {text.plural(few, 'process')}: {coverage(few)} "
            f"'--processes {FEW_PROCESSES}' takes {FEW_PROCESSES}."
        )
        if few < LEAST_PROCESSES:
            said.append(
                f"What is fastest, speed-ups, shares and differences need {LEAST_PROCESSES} processes: those of fewer "
                "are marked with their number and are no property of an implementation."
            )
    if (timed["interval"] == ASV_99).any():
        said.append(
            "Some intervals are asv's 99% intervals over samples, because the samples cannot be told apart by "
            "process; they leave out how much one process differs from the next."
        )
    noisy = (timed["high"] - timed["low"]) > NOISY * timed["value"]
    if len(timed) and noisy.mean() > 0.2:
        said.append(
            f"Noisy: the interval of {noisy.sum()} of {len(timed)} times is wider than {NOISY:.0%} of the time itself."
        )
    return said


def coverage(processes: int) -> str:
    """What the range of the medians of k processes means."""
    if processes < 2:
        return "one process says nothing about the next."
    return (
        f"the range of {processes} process medians holds the median over all processes "
        f"with probability {1 - 2 ** (1 - processes):.0%}."
    )
