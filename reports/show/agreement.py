"""The agreement matrix: implementation by case, and the reason of everything that is not agreement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from maxbench.impls.agreement import Finding

from ..records.runs import Run
from ..system import text
from .grid import Grid, Item

FOLDED = (20, 12)  # a matrix of more cases, or of more implementations, is shown only when it is asked for
_ORDER = ("failed", "wrong", "stale", "differs", "unavailable", "not supported", "agrees")
_MARKS = {
    "failed": "worse", "wrong": "worse", "stale": "worse", "differs": "tie", "agrees": "", "not supported": "missing",
    "unavailable": "missing",
}  # fmt: skip


def matrices(stored: Sequence[Run]) -> list[Grid]:
    """For every run and operation a matrix of cases and implementations, and one table of reasons."""
    found: list[Grid] = []
    if summary := _summary(stored):
        columns = [
            "implementation",
            "cases and dtypes",
            "agrees",
            "differs",
            "wrong",
            "failed",
            "not supported",
            "unavailable",
        ]
        found.append(Grid("agreement-summary", "Agreement in all", columns, summary, {1, 2, 3, 4, 5, 6}))
    for number, run in enumerate(stored, 1):
        name = f" ({run.label})" if len(stored) > 1 else ""
        for operation in dict.fromkeys(f.operation for f in run.findings):
            mine = [f for f in run.findings if f.operation == operation]
            found.append(_matrix(f"agreement-{number}-{len(found) + 1}", operation, name, mine))
        if reasons := _reasons(run.findings):
            columns = ["implementation", "status", "reason", "cases"]
            found.append(Grid(f"reasons-{number}", f"Reasons{name}", columns, reasons))
    return found


def _summary(stored: Sequence[Run]) -> list[list[Item]]:
    """One row per implementation (and run): on how many cases and dtypes it has which status."""
    rows = []
    for run in stored:
        name = f" ({run.label})" if len(stored) > 1 else ""
        counts: dict[str, Counter[str]] = {}
        for f in run.findings:
            if f.status == "stale":
                continue  # of a declaration, not of a case: among the reasons
            counts.setdefault(f"{f.operation}.{f.implementation}", Counter())[f.status] += 1
        for who, count in counts.items():
            if who.startswith("pair.") and not count["wrong"]:
                continue  # every softmax with every argmax: only those that disagree are worth a row
            rows.append(
                [
                    Item(who + name),
                    Item(f"{count.total():,}", count.total()),
                    Item(f"{count['agrees']:,}", count["agrees"]),
                    Item(f"{count['differs']:,}", count["differs"], "tie" if count["differs"] else ""),
                    Item(f"{count['wrong']:,}", count["wrong"], "worse" if count["wrong"] else ""),
                    Item(f"{count['failed']:,}", count["failed"], "worse" if count["failed"] else ""),
                    Item(f"{count['not supported']:,}", count["not supported"]),
                    Item("yes" if count["unavailable"] else "", mark="missing"),
                ]
            )
    return rows


def _matrix(id: str, operation: str, name: str, findings: Sequence[Finding]) -> Grid:
    names = list(dict.fromkeys(f.implementation for f in findings))
    cases = list(dict.fromkeys(f.case for f in findings if f.case))
    cells: dict[tuple[str, str], list[Finding]] = {}
    whole: dict[str, Finding] = {}
    for finding in findings:
        if finding.case:
            cells.setdefault((finding.case, finding.implementation), []).append(finding)
        elif finding.status not in ("stale", "not supported"):  # it is unavailable, whatever the case
            whole[finding.implementation] = finding
    rows = []
    for case in cases:
        row = [Item(case)]
        for implementation in names:
            here = cells.get((case, implementation)) or ([whole[implementation]] if implementation in whole else [])
            row.append(_cell(here))
        rows.append(row)
    if not cases:
        rows = [[Item("every case"), *(_cell([whole[key]]) for key in names)]]
    what = "softmax / argmax pairs" if operation == "pair" else operation
    caption = f"{what}: every case{name}"
    return Grid(id, caption, ["case", *names], rows, folded=len(rows) > FOLDED[0] or len(names) > FOLDED[1])


def _cell(findings: Sequence[Finding]) -> Item:
    """The worst of the dtypes, named where they are not all of one status."""
    if not findings:
        return Item(text.NOTHING, mark="missing")
    by = {status: [f.dtype for f in findings if f.status == status] for status in _ORDER}
    worst = next((status for status in _ORDER if by[status]), findings[0].status)
    if worst in ("failed", "wrong"):
        detail = next(f.detail for f in findings if f.status == worst)
        return Item(": ".join(filter(None, (worst, ", ".join(filter(None, by[worst]))))), mark="worse", title=detail)
    if worst == "differs":
        declared = next(f.declared for f in findings if f.status == "differs")
        return Item(f"differs: {', '.join(by['differs'])}", mark="tie", title=declared)
    if worst == "unavailable":
        return Item("unavailable", mark="missing", title=findings[0].detail)
    if by["agrees"]:
        rest = f", {len(by['not supported'])} not supported" if by["not supported"] else ""
        return Item(f"agrees ({len(by['agrees'])}{rest})")
    return Item(worst, mark=_MARKS.get(worst, ""))


def _reasons(findings: Sequence[Finding]) -> list[list[Item]]:
    grouped: dict[tuple[str, str, str], list[Finding]] = {}
    for f in findings:
        if f.status != "agrees":
            reason = f.declared or f.detail
            grouped.setdefault((f"{f.operation}.{f.implementation}", f.status, reason), []).append(f)
    rows = []
    for (who, status, detail), group in sorted(
        grouped.items(), key=lambda item: _ORDER.index(item[0][1]) if item[0][1] in _ORDER else 0
    ):
        cases = list(dict.fromkeys(f"{f.case} {f.dtype}".strip() or "all" for f in group))
        more = f" and {len(cases) - 3} more" if len(cases) > 3 else ""
        rows.append(
            [
                Item(who),
                Item(status, mark=_MARKS.get(status, "")),
                Item(detail),
                Item("; ".join(cases[:3]) + more, len(cases)),
            ]
        )
    return rows
