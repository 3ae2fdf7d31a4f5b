"""The answer of side by side as a table in Markdown."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from maxbench.bench.workers.turns import CEILING

from ...analysis import derived, rules
from ...analysis.contests import Cell
from ...analysis.derived import Derived
from ...system import text
from .results import Timing
from .session import OURS

_MARKS = {"faster": "", "slower": "LOSS", "tie": "tie", "cannot tell": "cannot tell"}


def _over_processes(timings: Sequence[Timing]) -> Cell:
    """One implementation on one input. A process that is wrong or failed makes it so, whatever the others measured."""
    bad = next((t for t in timings if t.status != "ok"), None)
    first, medians = timings[0], tuple(t.seconds for t in timings)
    value = statistics.median(medians)
    bandwidth = first.gigabytes_per_second * first.seconds / value
    remarks = dict.fromkeys([bad.remark] if bad else [t.remark for t in timings if t.remark])
    return Cell(
        first.implementation, value, *rules.interval(medians), medians, bandwidth,
        bad.status if bad else "ok", "; ".join(remarks),
    )  # fmt: skip


def _largest_ulp(timings: Sequence[Timing]) -> float:
    return max((t.ulp for t in timings if not math.isnan(t.ulp)), default=math.nan)


def table(found: Iterable[Timing]) -> list[str]:
    """Markdown: one row a cell over all of its processes, with the best of the others; losses are marked."""
    grouped: dict[tuple[Any, ...], dict[str, list[Timing]]] = {}
    for t in found:
        key = (t.operation, t.threads, t.dtype, t.case)
        grouped.setdefault(key, {}).setdefault(t.implementation, []).append(t)
    lines: list[str] = []
    ratios: dict[tuple[Any, ...], list[Derived]] = {}
    for key, each in grouped.items():
        by = {name: _over_processes(timings) for name, timings in each.items()}
        ours, top = by.get(OURS), by.get(CEILING)
        others = [cell for name, cell in by.items() if name not in (OURS, CEILING) and cell.measured]
        if not others or ours is None or not ours.measured:
            continue
        best = min(others, key=lambda cell: cell.value)
        ratio, share = ours.over(best), ours.bandwidth / top.bandwidth if top and top.measured else math.nan
        marks = [_MARKS[ratio.decide().outcome], "ABOVE CEILING" if rules.impossible(share) else "", ours.reason]
        if best.reason:
            marks.append(f"{best.implementation} {best.reason}")
        ulp, theirs = (_largest_ulp(each.get(name, ())) for name in (OURS, "numpy_vectorized"))
        errors = "" if math.isnan(ulp) or math.isnan(theirs) else f"{ulp:.2f} / {theirs:.2f}"
        if key[:3] not in ratios:
            operation, count, dtype = key[:3]
            lines += ["", f"### {operation}, {dtype}, {text.plural(count, 'thread')}", ""]
            lines += ["| case | shape | GB/s | best other | GB/s | times faster | of ceiling | ulp: ours / NumPy | |"]
            lines += ["|---|---|--:|---|--:|--:|--:|--:|---|"]
        ratios.setdefault(key[:3], []).append(ratio)
        first = each[OURS][0]
        shape = f"{first.outer} x {first.n} x {first.inner}"
        lines.append(
            f"| {first.case} | {shape} | {ours.bandwidth:.1f} | {best.implementation} | {best.bandwidth:.1f} | {ratio} "
            f"| {text.percent(share)} | {errors} | {', '.join(filter(None, marks))} |"
        )
    lines += ["", "Cells that cannot be told have no part in the mean and are not the smallest.", ""]
    lines += ["| | cells | geometric mean over the best other | smallest | losses | ties | cannot tell |"]
    lines += ["|---|--:|--:|--:|--:|--:|--:|"]
    for (operation, count, dtype), some in ratios.items():
        outcomes = Counter(ratio.decide().outcome for ratio in some)
        told = [ratio.value for ratio in some if ratio.decide().outcome != "cannot tell"]
        mean, left = derived.geometric_mean(some)
        lines.append(
            f"| {operation}, {dtype}, {count} | {len(some)} | {mean if told else text.NOTHING} "
            f"| {text.factor(min(told, default=math.nan))} | {outcomes['slower']} | {outcomes['tie']} | {left} |"
        )
    return lines
