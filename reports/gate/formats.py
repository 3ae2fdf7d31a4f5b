"""The outcome as files: gate.json, Markdown for a pull request, and what two benchmark trackers read."""

from __future__ import annotations

import json
import math
import statistics as medians
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..analysis.changes import Change
from ..analysis.rules import median_interval
from ..system import files, output_folder, text
from .instructions import BLIND_SPOTS
from .outcome import Outcome
from .verdicts import COMPARED, Control, Result, Rule, Verdict

SCHEMA = 1
WRITER = "gate"
JSON, MARKDOWN, ACTION, BENCHER = "gate.json", "gate.md", "github-action-benchmark.json", "bencher.json"

# What a reader must act on comes first.
ORDER: tuple[Verdict, ...] = (
    "slower", "wrong", "failed", "inconclusive", "faster", "new", "removed", "unchanged", "not measured",
)  # fmt: skip
FOLDED: tuple[Verdict, ...] = ("unchanged", "not measured")
_SIGNS = {"slower": "🔴 ", "wrong": "🔴 ", "failed": "🔴 ", "inconclusive": "🟡 ", "faster": "🟢 "}
_STATUS = {0: "no regression", 1: "regression", 2: "error", 3: "inconclusive"}


def check(folder: Path) -> None:
    """Make sure that the files can be written, before anything is measured.

    Raises:
        reports.system.output_folder.InTheWay: a file of another program has the name of one of them.
    """
    output_folder.check(folder, WRITER, (JSON, MARKDOWN, ACTION, BENCHER), _recognised)


def write(outcome: Outcome, folder: Path) -> None:
    """Write all four files, or none.

    Raises:
        OSError: they cannot be written; earlier ones are still there.
    """
    _write(folder, as_json(outcome), as_markdown(outcome), as_action(outcome), as_bencher(outcome))


def write_error(message: str, base: str, head: str, folder: Path) -> None:
    """Write the same files for a run that came to nothing, so that a pull request is told so as well."""
    content = {"schema": SCHEMA, "status": 2, "error": message, "base": {"spec": base}, "head": {"spec": head}}
    _write(folder, content, f"## maxbench gate: error\n\n🔴 {text.markdown(message)}\n", [], {})


def _write(folder: Path, content: Any, markdown: str, action: Any, bencher: Any) -> None:
    named = {JSON: _strict(content), MARKDOWN: markdown, ACTION: _strict(action), BENCHER: _strict(bencher)}
    output_folder.fill(folder, WRITER, {name: files.encode(text) for name, text in named.items()}, _recognised)


def _recognised(name: str, content: bytes) -> bool:
    """Whether a file without a marker is of an earlier version, told by what it begins with."""
    beginning = {
        JSON: b'{\n "schema": ', MARKDOWN: b"## maxbench gate: ", ACTION: b'[\n {\n  "name": ', BENCHER: b'{\n "',
    }[name]  # fmt: skip
    return content.startswith(beginning) or content in (b"[]\n", b"{}\n")


def _strict(content: Any) -> str:
    """As strict JSON.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Everything, with the numbers of every process; ``not_finite`` names numbers that JSON cannot hold."""
    content = {
        "schema": SCHEMA,
        "status": outcome.status,
        "status_text": _STATUS[outcome.status],
        "control": outcome.identical,
        "base": outcome.base.as_dict(),
        "head": outcome.head.as_dict(),
        "rule": vars(outcome.rule),
        "machine": outcome.machine.as_json(),
        "versions": outcome.versions,
        "date": outcome.date,
        "seconds": outcome.seconds,
        "notes": outcome.notes,
        "controls": [control.as_dict() for control in outcome.controls],
        "results": [result.as_dict() for result in outcome.results],
    }
    dropped: list[str] = []
    finite: dict[str, Any] = _finite(content, "", dropped)
    return {**finite, "not_finite": dropped} if dropped else finite


def _finite(value: Any, where: str, dropped: list[str]) -> Any:
    """The value with null for numbers that are not finite, each of which is noted as ``results.0.change.high: inf``."""
    if isinstance(value, float) and not math.isfinite(value):
        dropped.append(f"{where}: {value}")
        return None
    if isinstance(value, dict):
        return {key: _finite(item, f"{where}.{key}".lstrip("."), dropped) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item, f"{where}.{index}", dropped) for index, item in enumerate(value)]
    return value


def columns(rule: Rule) -> tuple[str, ...]:
    """The titles of `row`'s cells."""
    return "benchmark", "base", "head", "change", f"{percent(rule.confidence)} interval", "instructions", "verdict"


def percent(share: float) -> str:
    """A share as it was given: ``99.9%``."""
    return f"{100 * share:.10g}%"


def ordered(results: Sequence[Result]) -> list[Result]:
    """Results as they are shown: by verdict, the largest change first."""
    return sorted(results, key=lambda r: (ORDER.index(r.verdict), -abs(r.change.value) if r.change else 0.0))


def headline(outcome: Outcome) -> str:
    """One sentence: the outcome, and the counts by verdict."""
    counts = [(verdict, sum(r.verdict == verdict for r in outcome.results)) for verdict in ORDER]
    answer = _STATUS[outcome.status]
    if not any(r.verdict in (*COMPARED, "failed", "wrong") for r in outcome.results):
        answer = f"{answer}: nothing could be compared"
    if outcome.identical:
        answer = f"control, base and head are identical: {answer}"
    return f"{answer} ({', '.join(f'{count} {verdict}' for verdict, count in counts if count)})"


def context(outcome: Outcome) -> list[str]:
    """What the figures were measured with, a sentence each."""
    machine, versions = outcome.machine, outcome.versions
    packages = ", ".join(
        f"{name} {versions[name]}" for name in ("python", "numpy", "numba", "maxbench") if name in versions
    )
    lines = [
        f"base {outcome.base.label} ({outcome.base.built}), head {outcome.head.label} ({outcome.head.built})",
        f"{machine.cpu}, {machine.cores_logical} CPUs, {machine.os}; {packages}",
    ]
    if outcome.identical:
        lines.append("this is a control: base and head are identical, so any change that it reads is noise")
    if outcome.controls:
        floor = "; ".join(_control(c) for c in outcome.controls)
        lines.append(f"threshold {outcome.rule.threshold:.1%}; what did not change read: {floor}")
    if any(r.instructions is not None for r in outcome.results):
        lines.append(BLIND_SPOTS)
    return [*lines, *outcome.notes]


def _control(control: Control) -> str:
    read = "nothing" if control.change is None else f"{control.change.value:+.1%}"
    return f"{control.kind} by {control.clock} clock {read}{' (moved)' if control.moved else ''}"


def row(result: Result, rule: Rule) -> tuple[str, ...]:
    """The cells of a result, by `columns`."""
    times = [text.NOTHING if t is None else text.seconds(t) for t in (result.base, result.head)]
    change, interval = (
        (text.NOTHING,) * 2
        if result.change is None
        else (f"{result.change.value:+.1%}", _interval(result.change, rule))
    )
    counted = text.NOTHING if result.instructions is None else f"{result.instructions:+.2%}"
    verdict = f"{result.verdict}: {result.reason}" if result.reason else result.verdict
    return result.name, *times, change, interval, counted, verdict


def _interval(change: Change, rule: Rule) -> str:
    if change.processes < 2:
        return text.NOTHING
    said = f"{change.low:+.1%} to {change.high:+.1%}"
    return said if change.confidence >= rule.confidence else f"{said} ({change.confidence:.0%})"


def as_markdown(outcome: Outcome) -> str:
    """For a pull request: what needs a reader first, what needs none folded away."""
    results = ordered(outcome.results)
    shown = [r for r in results if r.verdict not in FOLDED]
    parts = [
        f"## maxbench gate: {headline(outcome)}",
        "\n".join(f"- {text.markdown(line)}" for line in context(outcome)),
    ]
    if shown:
        parts.append(_table(shown, outcome.rule))
    folded = {verdict: [r for r in results if r.verdict == verdict] for verdict in FOLDED}
    parts += [
        f"<details><summary>{len(some)} {verdict}</summary>\n\n{_table(some, outcome.rule)}\n\n</details>"
        for verdict, some in folded.items()
        if some
    ]
    return "\n\n".join(parts) + "\n"


def _table(results: Sequence[Result], rule: Rule) -> str:
    lines = ["| " + " | ".join(columns(rule)) + " |", "|---|---:|---:|---:|---:|---:|---|"]
    for result in results:
        cells = [text.markdown(cell) for cell in row(result, rule)]
        cells[-1] = _SIGNS.get(result.verdict, "") + cells[-1]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def as_action(outcome: Outcome) -> list[dict[str, Any]]:
    """For github-action-benchmark, tool ``customSmallerIsBetter``: head's times in milliseconds."""
    return [
        {
            "name": r.name,
            "unit": "ms",
            "value": r.head * 1e3,
            "range": "" if low is None or high is None else f"{low * 1e3:.4g} to {high * 1e3:.4g}",
            "extra": f"{r.verdict}, base {r.base * 1e3:.4g} ms" if r.base else r.verdict,
        }
        for r in outcome.results
        if r.head is not None and math.isfinite(r.head)
        for low, high in [_head_interval(r, outcome.rule)]
    ]


def as_bencher(outcome: Outcome) -> dict[str, Any]:
    """Bencher Metric Format: head's latency in nanoseconds with its interval over processes."""
    found: dict[str, Any] = {}
    for r in outcome.results:
        if r.head is not None and math.isfinite(r.head):
            low, high = _head_interval(r, outcome.rule)
            metric = {"value": r.head * 1e9}
            if low is not None and high is not None:
                metric |= {"lower_value": low * 1e9, "upper_value": high * 1e9}
            found[r.name] = {"latency": metric}
    return found


def _head_interval(result: Result, rule: Rule) -> tuple[float | None, float | None]:
    times = sorted(result.evidence.head)
    if len(times) < 2:
        return None, None
    drop, _ = median_interval(len(times), rule.confidence)
    # The median itself may lie beyond where few processes disagree with all.
    middle = medians.median(times)
    return min(times[drop], middle), max(times[-1 - drop], middle)
