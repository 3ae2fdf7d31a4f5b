"""Verdicts at the edges of their rules, and how often they are right on simulated processes."""

from __future__ import annotations

import collections
import math
from dataclasses import replace

import numpy as np
import pytest

from maxbench.reports.analysis import changes, rules
from maxbench.reports.analysis.changes import Change, ClockError
from maxbench.reports.gate.benchmarks import Benchmark, every
from maxbench.reports.gate.verdicts import Control, Evidence, Result, Rule, decide, doubt, status

RULE = Rule()
ANCHOR = Benchmark("control", "one_thread", "float32", (256, 1000, 1))


def _change(value: float) -> Change:
    return Change(value, value, value, 0.95, 7)


def _evidence(screen: list[float], confirm: list[float] | None = None, seconds: float = 1.0) -> Evidence:
    """From changes as fractions."""
    logs = [[math.log1p(value) for value in some] for some in (screen, confirm or [])]
    return Evidence(*logs, [1.0], [1.0 + seconds])


def test_the_rule_is_the_documented_one() -> None:
    assert (RULE.threshold, RULE.screen, RULE.confirm, RULE.floor, RULE.confidence) == (0.025, 5, 7, 0.0, 0.95)


@pytest.mark.parametrize(("threshold", "less"), [(0.025, -0.025 / 1.025), (0.25, -0.2), (1.0, -0.5)])
def test_a_change_counts_beyond_the_threshold_and_not_at_it(threshold: float, less: float) -> None:
    rule = Rule(threshold=threshold)
    below, above = (math.nextafter(threshold, to) for to in (0.0, math.inf))
    assert [rule.beyond(_change(value)) for value in (0.0, below, threshold, above)] == [0, 0, 0, 1]
    # A speed-up counts from the same ratio on.
    below, above = (math.nextafter(less, to) for to in (0.0, -1.0))
    assert [rule.beyond(_change(value)) for value in (below, less, above, -0.99)] == [0, 0, -1, -1]


def test_a_first_look_flags_from_its_last_process_and_from_the_floor_on() -> None:
    slower = _evidence([0.05] * 5, seconds=0.5)
    assert slower.flagged(Rule(floor=0.5))
    assert not slower.flagged(Rule(floor=math.nextafter(0.5, 1)))
    assert not _evidence([0.05] * 4).flagged(RULE)
    assert _evidence([0.05] * 6).flagged(RULE)
    faster = Evidence([-0.05] * 5, [], [1.0], [0.5])
    assert faster.flagged(Rule(floor=0.5))
    assert not faster.flagged(Rule(floor=math.nextafter(0.5, 1)))
    assert faster.difference == -0.5


def test_what_may_still_be_slower_by_twice_the_threshold_is_vague() -> None:
    wide = _evidence([0.0, 0.0, 0.0, 0.0, 0.06], seconds=0.5)
    high = changes.change(wide.screen).high
    assert not wide.vague(Rule(threshold=high / 2))
    assert wide.vague(Rule(threshold=math.nextafter(high / 2, 0)))
    assert wide.vague(Rule(floor=0.5))
    assert not wide.vague(Rule(floor=math.nextafter(0.5, 1)))
    assert not _evidence([0.0, 0.0, 0.0, 0.06]).vague(RULE)
    assert _evidence([0.0] * 5 + [0.06]).vague(RULE)
    assert decide(_evidence([0.01] * 6), RULE)[0] == "unchanged"
    # Lower confidence leaves the extremes out.
    assert not wide.vague(Rule(confidence=0.6))
    assert decide(wide, RULE)[0] == "inconclusive"


@pytest.mark.parametrize(("sign", "verdict"), [(1, "slower"), (-1, "faster")])
def test_the_median_of_all_confirming_processes_decides(sign: int, verdict: str) -> None:
    def said(beyond: int, count: int = 7) -> tuple[str, Change | None]:
        return decide(_evidence([sign * 0.05] * 5, [sign * 0.06] * beyond + [0.001] * (count - beyond)), RULE)[:2]

    assert said(7)[0] == said(4)[0] == verdict
    assert said(3)[0] == "unchanged"
    assert said(3, 3)[0] == said(6, 6)[0] == "inconclusive"
    # The first look was chosen for being large: the change is that of the fresh processes.
    change = said(7)[1]
    assert change is not None
    assert (change.value, change.processes) == (pytest.approx(sign * 0.06), 7)


def test_a_reason_names_its_figures() -> None:
    assert decide(_evidence([0.05] * 5, [0.001] * 7), RULE)[2].startswith("the first look read +5.0%")
    assert "3 of 5 processes" in decide(_evidence([0.05] * 3), RULE)[2]
    small = decide(_evidence([0.05] * 5, seconds=0.25), Rule(floor=0.5))
    assert small[2] == "0.25 s, less than 0.5 s"
    assert decide(_evidence([0.01] * 5, seconds=0.25), Rule(floor=0.5))[2] == ""
    assert "up to +6.0%" in decide(_evidence([0.0, 0.0, 0.0, 0.0, 0.06]), RULE)[2]
    first = decide(_evidence([0.01] * 3), RULE)[1]
    assert first is not None
    assert first.processes == 3


def _result(verdict: str, change: float | None, clock: str = "cpu") -> Result:
    return Result("x", verdict, change=None if change is None else _change(change), clock=clock)  # type: ignore[arg-type]


def _doubted(result: Result, *moves: float | None, clock: str = "cpu") -> str:
    controls = [
        Control(b, clock, None if move is None else _change(move), moved=True)
        for b, move in zip((every()[0], ANCHOR), moves, strict=False)
    ]
    doubt([result], controls, 0.025)
    return result.verdict


def test_doubt_reaches_as_far_as_twice_the_control() -> None:
    # 1.025 * 1.04 ** 2
    edge = 1.10864
    assert _doubted(_result("slower", edge - 1 - 1e-9), 0.04) == "inconclusive"
    assert _doubted(_result("slower", edge - 1 + 1e-9), 0.04) == "slower"
    assert _doubted(_result("faster", 1 / edge - 1 + 1e-9), 0.04) == "inconclusive"
    assert _doubted(_result("faster", 1 / edge - 1 - 1e-9), 0.04) == "faster"
    assert _doubted(_result("faster", 1 / edge - 1 - 1e-9), 1 / 1.04 - 1) == "faster"
    assert _doubted(_result("slower", edge - 1 - 1e-9), 1 / 1.04 - 1) == "inconclusive"
    assert _doubted(_result("unchanged", 0.0), 0.04) == "inconclusive"
    assert _doubted(_result("slower", 0.025), 0.0) == "inconclusive"
    # A control that doubled leaves a hundredfold improvement one.
    assert _doubted(_result("faster", -0.99), 1.0) == "faster"


def test_the_worst_control_of_the_same_clock_decides() -> None:
    result = _result("slower", 0.05)
    assert _doubted(result, 0.03, -0.04) == "inconclusive"
    assert result.reason == "the untouched kernel control moved by -4.0% in the same processes"
    assert _doubted(_result("slower", 0.05, "wall"), 0.04) == "slower"
    assert _doubted(_result("slower", 0.05), 0.04, clock="wall") == "slower"
    assert _doubted(_result("slower", 0.05), None) == "slower"
    assert _doubted(_result("failed", 0.05), 0.04) == "failed"
    assert _doubted(_result("unchanged", None), 0.04) == "unchanged"
    still = Control(ANCHOR, "cpu", _change(0.04), moved=False)
    result = _result("slower", 0.05)
    doubt([result], [still], 0.025)
    assert result.verdict == "slower"
    doubt([_result("failed", None), result], [replace(still, moved=True)], 0.025)
    assert result.verdict == "inconclusive"


def test_status_with_a_control_that_moved() -> None:
    moved = [Control(ANCHOR, "cpu", _change(0.04), moved=True)]
    assert [status([_result(v, 0.0)], moved) for v in ("unchanged", "faster", "slower", "failed")] == [3, 3, 1, 2]
    assert status([_result("unchanged", 0.0)], [Control(ANCHOR, "cpu", None, moved=False)]) == 0


def test_records_hold_what_was_found() -> None:
    result = Result("x", "slower", "why", _change(0.5), 1.0, 1.5, "cpu", 0.25, evidence=Evidence([0.1], [0.2]))
    assert result.as_dict() == {
        "name": "x", "kind": "time", "verdict": "slower", "reason": "why",
        "change": {"value": 0.5, "low": 0.5, "high": 0.5, "confidence": 0.95, "processes": 7},
        "base_seconds": 1.0, "head_seconds": 1.5, "clock": "cpu", "instructions": 0.25,
        "processes": {"first": [0.1], "fresh": [0.2]},
    }  # fmt: skip
    assert _result("new", None).as_dict()["change"] is None
    control = Control(ANCHOR, "cpu", _change(0.5), moved=True).as_dict()
    assert control["change"]["value"] == 0.5
    assert (control["kind"], control["clock"], control["moved"]) == ("untouched kernel", "cpu", True)
    aa = Control(every()[0], "wall", None, moved=False).as_dict()
    assert (aa["kind"], aa["change"], aa["name"]) == ("A/A", None, every()[0].name)


@pytest.mark.parametrize(
    ("logs", "value", "low", "high", "confidence"),
    [
        ([0.1], 0.1, 0.1, 0.1, 0.0),
        ([0.3, 0.1], 0.2, 0.1, 0.3, 0.5),
        ([0.1, 0.5, 0.2, 0.3, 0.4], 0.3, 0.1, 0.5, 0.9375),
        ([0.1, 0.6, 0.2, 0.3, 0.5, 0.4], 0.35, 0.1, 0.6, 0.96875),
        ([0.0] * 6 + [9.0], 0.0, 0.0, 9.0, 0.984375),
        ([-9.0] + [0.0] * 8, 0.0, 0.0, 0.0, 0.9609375),
        ([0.2] * 7, 0.2, 0.2, 0.2, 0.984375),
    ],
)
def test_the_change_of_few_processes(
    logs: list[float], value: float, low: float, high: float, confidence: float
) -> None:
    found = changes.change(logs)
    assert np.log1p([found.value, found.low, found.high]) == pytest.approx([value, low, high])
    assert (found.confidence, found.processes) == (confidence, len(logs))


def test_the_confidence_decides_how_many_processes_an_interval_leaves_out() -> None:
    assert [rules.median_interval(7, c)[0] for c in (0.6, 0.95, 0.999)] == [1, 0, 0]
    assert rules.median_interval(7, 0.875)[0] == 1  # exactly what is left: 1 - 16 / 128
    assert rules.median_interval(7, math.nextafter(0.875, 1))[0] == 0
    assert changes.change([0.0] * 6 + [9.0], 0.6).high == 0.0
    assert changes.proportion_interval(5, 10, 0.5)[0] > changes.proportion_interval(5, 10)[0]
    assert changes.proportion_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("ratio", [1e-3, 1e-2, 0.5, 1.0, 2.0, 1e3])
def test_a_ratio_of_any_size_is_read(ratio: float) -> None:
    assert changes.log_ratio([[1e6, 3e6, 1e6 * ratio, 3e6 * ratio]] * 8) == pytest.approx(math.log(ratio))


def test_a_version_that_is_too_fast_for_the_clock_is_faster() -> None:
    faster = changes.log_ratio([[1.5e7, 1.5e7, 0.0, 0.0]] * 8)
    assert math.exp(faster) == pytest.approx(1e-6)
    assert changes.log_ratio([[0.0, 0.0, 1.0, 0.0]]) == -faster
    assert decide(Evidence([faster] * 5, [faster] * 7, [1.0], [0.0]), RULE)[0] == "faster"
    assert changes.log_ratio([[1.0, 1.0, 1e-300, 1e-300]]) == faster
    # One reading of a pair may be 0.
    assert changes.log_ratio([[0.0, 2.0, 1.0, 1.0]]) == 0


@pytest.mark.parametrize(
    ("quads", "said"),
    [
        ([[1.0, 1.0, 1.0, math.nan]], "read nan ns"),
        ([[1.0, math.inf, 1.0, 1.0]], "read inf ns"),
        ([[1.0, 1.0, -1.0, 2.0]], "read -1.0 ns"),
        ([[1e308, 1e308, 1.0, 1.0]], "read inf ns"),
        ([[0.0] * 4] * 2, "4 of 4 pairs of samples took 0 ns"),
        ([[1.0, 1.0, 0.0, 0.0], [1.0] * 4], "1 of 4 pairs"),
        ([[0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0]], "2 of 4 pairs"),
    ],
)
def test_times_that_say_nothing_are_named(quads: list[list[float]], said: str) -> None:
    with pytest.raises(ClockError, match=said):
        changes.log_ratio(quads)


def _simulated(effect: float, spread: float) -> collections.Counter[str]:
    """Verdicts on 1,000 checks of a known effect, whose processes have heavy tails."""
    noise = np.random.default_rng(7).standard_t(3, (1000, RULE.screen + RULE.confirm))
    logs = (math.log1p(effect) + spread * noise).tolist()
    seconds = [1.0], [1.0 + effect]
    return collections.Counter(decide(Evidence(row[:5], row[5:], *seconds), RULE)[0] for row in logs)


def test_simulated_checks_raise_few_alarms_and_see_what_is_there() -> None:
    same = _simulated(0.0, 0.005)
    assert same["slower"] + same["faster"] == 0
    assert same["unchanged"] > 950
    assert _simulated(0.05, 0.005)["slower"] > 980
    assert _simulated(1 / 1.05 - 1, 0.005)["faster"] > 980
    assert _simulated(0.015, 0.005)["slower"] < 20
    assert _simulated(-0.99, 0.05)["faster"] == 1000
    # At the threshold each of the two groups sees a change in half of the checks.
    assert 200 < _simulated(0.025, 0.005)["slower"] < 300
    assert 200 < _simulated(1 / 1.025 - 1, 0.005)["faster"] < 300
    noisy = _simulated(0.0, 0.03)
    assert noisy["slower"] + noisy["faster"] < 30
    assert noisy["inconclusive"] > 300
