"""Intervals against SciPy, and the rules that turn processes into verdicts."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from maxbench.reports.analysis import changes, rules
from maxbench.reports.analysis.changes import Change
from maxbench.reports.gate import calibration, instructions, verdicts
from maxbench.reports.gate.benchmarks import Benchmark, choose, every
from maxbench.reports.gate.session import EACH_SECONDS, Session
from maxbench.reports.gate.verdicts import Control, Evidence, Result, Rule
from maxbench.reports.measure import environment
from maxbench.reports.records.run import Machine
from maxbench.reports.system.progress import Bar

RULE = Rule()


@pytest.mark.parametrize(("hits", "trials"), [(0, 300), (3, 100), (99, 100), (59, 59), (1, 2)])
def test_proportion_interval_is_clopper_pearson(hits: int, trials: int) -> None:
    # At the ends the error is all on one side, which is SciPy's interval at 90%.
    level = 0.9 if hits in (0, trials) else 0.95
    expected = binomtest(hits, trials).proportion_ci(level, method="exact")
    assert changes.proportion_interval(hits, trials) == pytest.approx(tuple(expected), abs=1e-9)


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 12, 15, 40])
def test_median_interval_covers_as_it_says(count: int) -> None:
    drop, confidence = rules.median_interval(count)
    assert confidence == pytest.approx(1 - 2 * binom.cdf(drop, count, 0.5))
    assert confidence >= 0.95 or drop == 0
    # Dropping one more would be too much.
    assert 1 - 2 * binom.cdf(drop + 1, count, 0.5) < 0.95


def test_a_linear_drift_and_one_disturbed_quad_change_nothing() -> None:
    drifting = [[100.0 + 8 * i, 103.0 + 8 * i, 101.0 + 8 * i, 102.0 + 8 * i] for i in range(8)]
    drifting[3][2] *= 50
    assert changes.log_ratio(drifting) == pytest.approx(0, abs=1e-12)
    slower = [[a, b, c * 1.05, d * 1.05] for a, b, c, d in drifting]
    assert math.expm1(changes.log_ratio(slower)) == pytest.approx(0.05)


def _evidence(screen: float, confirm: float | None = None, spread: float = 0.001) -> Evidence:
    def around(middle: float, count: int) -> list[float]:
        return [math.log1p(middle) + spread * (i - count // 2) for i in range(count)]

    return Evidence(around(screen, 5), [] if confirm is None else around(confirm, 7), [1.0], [1.0 + screen])


@pytest.mark.parametrize(
    ("evidence", "verdict", "said"),
    [
        (_evidence(0.01), "unchanged", ""),
        (_evidence(0.05, 0.05), "slower", ""),
        (_evidence(-0.05, -0.05), "faster", ""),
        (_evidence(0.05, 0.01), "unchanged", "did not confirm"),
        (_evidence(0.05, -0.05), "unchanged", "did not confirm"),
        (_evidence(0.05), "inconclusive", "before it was confirmed"),
        (_evidence(0.0, spread=0.04), "inconclusive", "cannot be excluded"),
        (Evidence([0.1] * 4, [], [1.0], [1.1]), "inconclusive", "4 of 5"),
        (Evidence(), "inconclusive", "before its first process"),
    ],
)
def test_decide(evidence: Evidence, verdict: str, said: str) -> None:
    found, _, reason = verdicts.decide(evidence, RULE)
    assert found == verdict
    assert said in reason


def test_a_change_below_the_floor_is_none() -> None:
    verdict, _, reason = verdicts.decide(_evidence(0.4), Rule(threshold=0.15, floor=0.5))
    assert (verdict, reason) == ("unchanged", "0.4 s, less than 0.5 s")


def test_what_the_time_is_not_enough_for_is_what_matters_least() -> None:
    workers: Any = None
    session = Session(workers, Bar(), RULE, deadline=0.0, seconds=0.0)
    some = every()[:4]
    session._cost = {b.id: 10.0 for b in some[:3]}
    session._start = 1.0
    assert session._affordable(some, left=-1.0) == []
    assert session._affordable(some, left=10.9) == []
    assert session._affordable(some, left=21.0) == list(some[:2])
    assert session._affordable(some, left=31.0 + EACH_SECONDS) == list(some)
    session._evidence = {b: _evidence(0.1 * i, 0.1 if i == 1 else None) for i, b in enumerate(some)}
    session._evidence[some[0]] = _evidence(0.0, spread=0.04)
    asked: list[tuple[str, list[Benchmark]]] = []

    def noted(what: str, benchmarks: Sequence[Benchmark], confirm: bool) -> bool:
        asked.append((what, list(benchmarks)))
        return False

    session._round = noted  # type: ignore[method-assign]
    assert not session._next()
    # The largest slowdown first; number 1 is confirmed already, number 0 only noisy.
    assert asked == [("first look", []), ("confirming", [some[3], some[2]]), ("looking again", [some[0]])]


def _result(verdict: verdicts.Verdict, low: float = 0.0, high: float = 0.0) -> Result:
    return Result("x", verdict, change=Change((low + high) / 2, low, high, 0.98, 7), clock="cpu")


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (["unchanged", "faster", "new", "removed", "not measured"], 0),
        (["unchanged", "slower", "inconclusive"], 1),
        (["slower", "failed"], 2),
        (["slower", "wrong"], 2),
        (["unchanged", "inconclusive"], 3),
        (["new", "removed", "not measured"], 2),
        ([], 2),
    ],
)
def test_status(found: list[verdicts.Verdict], status: int) -> None:
    assert verdicts.status([_result(verdict) for verdict in found], []) == status


def test_a_control_that_moved_casts_doubt_on_its_own_clock_and_not_on_large_changes() -> None:
    control = Control(every()[0], "cpu", Change(0.04, 0.03, 0.05, 0.98, 7), moved=True)
    small, large, same = _result("slower", 0.05, 0.07), _result("slower", 0.5, 0.6), _result("unchanged")
    other = _result("slower", 0.05, 0.07)
    other.clock = "wall"
    verdicts.doubt([small, large, same, other], [control], 0.025)
    assert [r.verdict for r in (small, large, same, other)] == ["inconclusive", "slower", "inconclusive", "slower"]
    assert verdicts.status([_result("unchanged")], [control]) == 3


@pytest.mark.parametrize(
    ("verdict", "change", "expected"),
    [
        ("unchanged", 0.03, "slower"),
        ("inconclusive", 0.03, "slower"),
        ("unchanged", 0.01, "unchanged"),
        ("faster", 0.03, "faster"),
        ("unchanged", 0.001, "unchanged"),
    ],
)
def test_instructions_decide_where_time_does_not_disagree(
    verdict: verdicts.Verdict, change: float, expected: str
) -> None:
    result = _result(verdict)
    instructions.judge(result, instructions.Count(1000, 1000 * (1 + change)))
    assert result.verdict == expected
    assert ("instructions" in result.reason) == (change > instructions.WARN)


def test_benchmarks_are_chosen_by_part_of_a_name_and_by_pattern() -> None:
    everything = every()
    assert len({b.id for b in everything}) == len(everything)
    assert {b.implementation for b in choose(everything, ["naive"])} == {"naive"}
    assert [b.name for b in choose(everything, ["argmax.*[int32,*"])] == [
        b.name for b in everything if b.operation == "argmax" and b.dtype == "int32"
    ]
    # What either side adds is measured; the libraries that maxbench is compared with are not.
    assert set(every([("softmax", "fresh"), ("argmax", "torch_cpu"), ("softmax", "naive")])) - set(everything) == set(
        every([("softmax", "fresh")], in_tree=False)
    )
    assert every([("softmax", "theirs")], in_tree=False)[0] == Benchmark("softmax", "theirs", "float32", (256, 1000, 1))


def _entries(shift: float, spread: float, extra: float, count: int = 1680) -> list[dict[str, object]]:
    values = np.random.default_rng(5).normal(math.log1p(shift), spread, count)
    return [
        {"implementation": "numpy_vectorized", "name": "x", "extra": extra, "log_ratio": value, "at": i}
        for i, value in enumerate(values)
    ]


def test_calibration_recommends_only_what_it_has_shown() -> None:
    quiet = _entries(0, 0.004, 0) + _entries(0.05, 0.004, 5)
    found = calibration.powers(quiet, RULE)
    threshold = calibration.recommended(found)
    assert threshold is not None
    assert 0.004 < threshold < 0.05
    noise, detection = (next(p for p in found if p.threshold == 0.025 and p.slowdown == s) for s in (0, 5))
    assert (noise.first.hits, noise.first.trials, noise.second.trials) == (0, 336, 240)
    assert detection.both == 1
    assert detection.bounds[0] > 0.95
    # The same with little evidence, or with noise as large as the slowdown, shows nothing.
    assert calibration.recommended(calibration.powers(quiet[:100] + quiet[-100:], RULE)) is None
    loud = _entries(0, 0.1, 0) + _entries(0.05, 0.1, 5)
    assert calibration.recommended(calibration.powers(loud, RULE)) is None


def test_a_record_keeps_only_its_own_machine_and_survives_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "machine", lambda: Machine(cpu="this"))  # takes a second
    record = tmp_path / "record.jsonl"
    good = {**calibration._identity(), "implementation": "a", "name": "b", "extra": 0, "log_ratio": 0.1, "at": 1.0}
    foreign = {**good, "cpu": "another"}
    record.write_text("\n".join([json.dumps(good), json.dumps(foreign), "[]", json.dumps(good)[:30]]))
    entries, strange = calibration.read(record)
    assert entries == [good]
    assert strange == 3
    # What comes after a torn line is a line of its own.
    for count in (2, 3):
        b = every()[0]
        calibration._append(record, {b.id: [[1.0] * 4]}, {b: 0.0}, "cpu", calibration._identity())
        assert [len(calibration.read(record)[0]), calibration.read(record)[1]] == [count, 3]
    with pytest.raises(ValueError, match=r"softmax.*: the clock read nan"):
        calibration._append(record, {b.id: [[math.nan] * 4]}, {b: 0.0}, "cpu", {})
