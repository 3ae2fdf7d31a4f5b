"""A run of the gate over its parts, which are scripted: what is done when, and what its time is enough for."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from maxbench.reports.gate import instructions, run, trees
from maxbench.reports.gate.benchmarks import Benchmark, every
from maxbench.reports.gate.instructions import Count
from maxbench.reports.gate.look import Look
from maxbench.reports.gate.outcome import Outcome
from maxbench.reports.gate.sources import Version
from maxbench.reports.gate.verdicts import Control, Result, Rule
from maxbench.reports.records.run import Machine

NAIVE, NUMPY = "softmax.naive[", "softmax.numpy_vectorized[float32,256x1000]"


class Stage:
    """The parts of a run: each takes the seconds that are given for it, and notes that it was called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.now, self.folder = 100.0, folder
        self.costs = dict.fromkeys(("build", "start", "look", "check", "session", "count"), 0.0)
        self.done: list[str] = []
        self.wrong: set[str] = set()
        self.removed: set[str] = set()
        self.content = {"base": "1", "head": "2"}
        self.clocks: dict[str, str] = {}
        self.sizes: list[int] = []
        self.counts: dict[str, Count] = {}
        self.given: dict[str, Any] = {}
        monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(run.sources, "build", self.build)
        monkeypatch.setattr(run.sources, "copy", lambda version, role: replace(version, role=role))
        monkeypatch.setattr(run.trees, "repository", lambda folder: folder)
        monkeypatch.setattr(run.environment, "machine", lambda: Machine(cpu="a CPU"))
        monkeypatch.setattr(run.environment, "versions", dict)
        monkeypatch.setattr(run.look, "look", self.look)
        monkeypatch.setattr(run.agreement, "check", self.check)
        monkeypatch.setattr(run, "Starts", self.starts)
        monkeypatch.setattr(run, "Session", self.session)
        monkeypatch.setattr(run.instructions, "count", self.count)
        each = lambda function, items: [function(item) for item in items]  # noqa: E731
        monkeypatch.setattr(run, "Crew", lambda: contextlib.nullcontext())
        monkeypatch.setattr(run, "Workers", lambda *_: SimpleNamespace(each=each, cpus=[0]))

    def spend(self, part: str, name: str = "") -> None:
        self.done.append(f"{part} {name}".strip())
        self.now += self.costs[part]

    def build(self, role: str, spec: str, repository: Path, root: Path) -> Version:
        self.spend("build", role)
        (root / "impls").mkdir(parents=True)
        (root / "impls" / "a.py").write_text(self.content[role])
        return Version(role, spec, None, root, "copied", ())

    def starts(self, workers: Any, base: Version, head: Version, deadline: float, rule: Rule) -> Any:
        self.given["starts"] = deadline - 100.0, rule.confidence

        def measure(b: Benchmark) -> list[Result]:
            self.spend("start", b.implementation)
            return [Result(f"{b.operation}.{b.implementation} first call", "unchanged")]

        return SimpleNamespace(measure=measure)

    def look(self, workers: Any, benchmarks: Sequence[Benchmark]) -> Look:
        self.spend("look", f"{benchmarks[0].implementation}{'/again' if benchmarks[0].pair[1] == 'again' else ''}")
        gone = [b for b in benchmarks if b.implementation in self.removed]
        there = [b for b in benchmarks if b not in gone]
        results = {b: Result(b.name, "removed") for b in gone}
        self.sizes.append(len(benchmarks))
        return Look({b: self.clocks.get(b.implementation, "cpu") for b in there}, results, set(there))

    def check(self, workers: Any, head: Version, benchmarks: Sequence[Benchmark]) -> Any:
        self.spend("check", benchmarks[0].implementation)
        assert head.role == "head"
        assert len({(b.implementation, b.dtype) for b in benchmarks}) == 1
        names = benchmarks[0].implementation, benchmarks[0].dtype
        return ("wrong", "head: a case") if self.wrong.intersection(names) else None

    def session(self, workers: Any, bar: Any, rule: Rule, deadline: float, seconds: float) -> Any:
        self.given["session"] = deadline - 100.0, seconds

        def measure(benchmarks: Any, controls: Any) -> Any:
            self.spend("session")
            self.given["controls"] = [b.implementation for b in controls]
            verdict: Any = "unchanged" if self.now <= deadline else "inconclusive"
            results = {b: Result(b.name, verdict, clock=clock) for b, clock in benchmarks.items()}
            return results, [Control(b, clock, None, False) for b, clock in controls.items()]

        return SimpleNamespace(measure=measure)

    def count(self, workers: Any, some: Sequence[Benchmark]) -> dict[Benchmark, Count]:
        self.spend("count", str(len(some)))
        if not self.counts:
            raise instructions.CannotCount("no valgrind")
        return {b: self.counts[b.implementation] for b in some if b.implementation in self.counts}

    def __call__(self, **options: Any) -> Outcome:
        given = {"only": (NAIVE, NUMPY), "began": 100.0, "seconds": 120.0, **options}
        self.shown: list[tuple[Any, ...]] = []
        bar: Any = SimpleNamespace(show=lambda *what: self.shown.append(what))
        return run.compare(run.Options("main", "HEAD", Path(), **given), self.folder, bar)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    return Stage(monkeypatch, tmp_path)


def _verdicts(outcome: Outcome) -> list[str]:
    return [r.verdict for r in outcome.results]


def test_what_compiles_longest_begins_first_and_results_keep_their_order(stage: Stage) -> None:
    stage.costs = {"build": 1.0, "start": 2.0, "look": 3.0, "check": 4.0, "session": 5.0, "count": 0.0}
    outcome = stage()
    names = "numpy_vectorized", "naive"
    loaded = [f"{part} {name}" for name in names for part in ("start", "look")]
    checked = [f"check {name}" for name in names]
    assert stage.done == ["build base", "build head", *loaded, *checked, "look naive/again", "session"]
    assert [r.name for r in outcome.results] == [
        "softmax.naive[float32,32x1000]", NUMPY, "softmax.naive first call", "softmax.numpy_vectorized first call"
    ]  # fmt: skip
    assert outcome.seconds == {"build": 2.0, "agreement and first calls": 21.0, "timing": 5.0}
    assert stage.given == {"starts": (60.0, 0.95), "session": (117.0, 120.0), "controls": ["naive", "one_thread"]}
    assert {c.clock for c in outcome.controls} == {"cpu"}
    assert outcome.status == 0
    assert outcome.notes == []
    assert [what[:3] for what in stage.shown] == [
        ("building base and head", 0, 2),
        *((what, done, 2) for what in ("first calls", "checking head") for done in range(3)),
    ]  # fmt: skip


def test_a_run_takes_three_minutes_unless_it_is_told() -> None:
    assert run.Options("main", "HEAD", Path()).seconds == 180


def test_the_time_before_the_build_counts(stage: Stage) -> None:
    outcome = stage(began=90.0, rule=Rule(confidence=0.99))
    assert outcome.seconds["build"] == 10.0
    assert stage.given["starts"] == (50.0, 0.99)
    assert stage.given["session"] == (107.0, 120.0)


def test_where_the_time_is_over_head_is_checked_all_the_same(stage: Stage) -> None:
    stage.costs["build"] = 45.0  # of 120 s: 90 leave nothing to be loaded
    stage.costs["check"] = 20.0
    stage.wrong = {"naive"}
    outcome = stage(starts=False)
    assert stage.done == ["build base", "build head", "check numpy_vectorized", "check naive", "session"]
    assert _verdicts(outcome) == ["wrong", "inconclusive"]
    assert outcome.results[1].reason == "the time budget ended before its first process"
    assert outcome.notes == [
        "the budget of 120 s is too small to measure anything: building and checking head, which are done at any cost, "
        "took 130 s; give --budget more"
    ]
    assert stage.given["controls"] == []


def test_what_is_loaded_just_in_time_is_timed(stage: Stage) -> None:
    stage.costs["build"] = 44.5
    outcome = stage(starts=False)
    assert "look naive" in stage.done
    assert _verdicts(outcome) == ["unchanged", "unchanged"]
    assert outcome.seconds == {"build": 89.0, "agreement and first calls": 0.0, "timing": 0.0}
    assert outcome.notes == []


def test_controls_are_loaded_clock_by_clock(stage: Stage) -> None:
    stage.clocks = {"numpy_vectorized": "wall"}
    outcome = stage(starts=False)
    assert [done for done in stage.done if "again" in done] == ["look naive/again", "look numpy_vectorized/again"]
    assert [(c.benchmark.implementation, c.clock) for c in outcome.controls] == [
        ("naive", "cpu"), ("one_thread", "cpu"), ("numpy_vectorized", "wall"), ("many_threads", "wall")
    ]  # fmt: skip
    assert stage.sizes[-2:] == [2, 2]


@pytest.mark.parametrize("seconds", [58.5, 60.0])
def test_no_control_is_loaded_at_the_end(stage: Stage, seconds: float) -> None:
    stage.costs["look"] = seconds
    outcome = stage(starts=False)
    assert stage.done[-1:] == ["session"]
    assert "look naive/again" not in stage.done
    assert len(outcome.notes) == 1


def test_what_is_wrong_or_not_on_both_sides_is_not_timed(stage: Stage) -> None:
    stage.wrong, stage.removed = {"naive"}, {"numpy_vectorized"}
    outcome = stage()
    assert _verdicts(outcome) == ["wrong", "removed"]
    assert outcome.results[0].reason == "head: a case"
    assert outcome.status == 2
    assert "check numpy_vectorized" not in stage.done


def test_a_dtype_that_is_wrong_is_not_timed_and_the_others_are(stage: Stage) -> None:
    stage.wrong = {"float64"}
    outcome = stage(only=("softmax.numpy_vectorized",))
    assert [done for done in stage.done if "check" in done] == ["check numpy_vectorized"] * 2
    assert {r.name.partition("[")[2].partition(",")[0]: r.verdict for r in outcome.results} == {
        "float32": "unchanged", "float64": "wrong"
    }  # fmt: skip
    assert outcome.status == 2


def test_without_timing_instructions_decide(stage: Stage) -> None:
    stage.counts = {"naive": Count(100.0, 103.0)}
    outcome = stage(timing=False, instructions=True)
    assert stage.done[2:] == [
        "look numpy_vectorized", "look naive", "check numpy_vectorized", "check naive", "count 2"
    ]  # fmt: skip
    assert _verdicts(outcome) == ["slower", "not measured"]
    assert outcome.results[1].reason == "a GPU's instructions cannot be counted"
    assert {r.kind for r in outcome.results} == {"instructions"}
    assert outcome.seconds == {"build": 0.0, "agreement": 0.0, "instructions": 0.0}


def test_where_nothing_counts_the_reason_is_said(stage: Stage) -> None:
    outcome = stage(timing=False, instructions=True)
    assert {r.reason for r in outcome.results} == {"instructions were not counted: no valgrind"}
    assert outcome.notes == ["instructions were not counted: no valgrind"]
    assert outcome.status == 2


def test_times_stay_where_instructions_are_not_counted(stage: Stage) -> None:
    outcome = stage(instructions=True, starts=False)
    assert _verdicts(outcome) == ["unchanged", "unchanged"]
    assert {r.kind for r in outcome.results} == {"time"}


def test_instructions_that_the_time_is_not_enough_for_are_inconclusive(stage: Stage) -> None:
    stage.counts = {"naive": Count(100.0, 100.0), "numpy_vectorized": Count(100.0, 100.0)}
    # Three seconds for the report, 30 for a process under valgrind, 4 for each benchmark.
    outcome = stage(timing=False, instructions=True, seconds=40.9)
    assert stage.done[-1] == "count 1"
    assert [(r.verdict, r.reason) for r in outcome.results] == [
        ("unchanged", ""),
        ("inconclusive", "the time budget ended before its instructions were counted"),
    ]
    assert outcome.notes == ["the time budget ended before the instructions of 1 benchmarks were counted"]


def test_instructions_are_counted_while_there_is_just_time(stage: Stage) -> None:
    stage.counts = {"naive": Count(100.0, 100.0)}
    stage(timing=False, instructions=True, seconds=37.0)
    assert stage.done[-1] == "count 1"


def test_no_instruction_is_counted_after_the_end(stage: Stage) -> None:
    stage.counts = {"naive": Count(100.0, 100.0)}
    outcome = stage(timing=False, instructions=True, seconds=36.9)
    assert not any(done.startswith("count") for done in stage.done)
    assert _verdicts(outcome) == ["inconclusive", "inconclusive"]


@pytest.mark.parametrize(("base", "head"), [("1", "1"), ("1", "2"), ("2", "1")])
def test_the_same_files_are_a_control(stage: Stage, base: str, head: str) -> None:
    stage.content = {"base": base, "head": head}
    assert stage().identical is (base == head)


def test_a_plugin_is_not_compared_with_maxbench(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    base, head = (Version(role, role, None, Path(), "", (("softmax", "mine"),)) for role in ("base", "head"))
    with pytest.raises(trees.SourceError, match="one of base and head is maxbench itself"):
        run._benchmarks(base, replace(base, is_plugin=True))
    with pytest.raises(trees.SourceError):
        run._benchmarks(replace(base, is_plugin=True), base)
    assert set(run._benchmarks(base, head)) > set(every())
    plugins = run._benchmarks(replace(base, is_plugin=True), replace(base, is_plugin=True))
    assert {b.implementation for b in plugins} == {"mine"}


def test_a_system_without_pinning_is_noted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    each = lambda function, items: [function(item) for item in items]  # noqa: E731
    monkeypatch.setattr(run, "Workers", lambda *_: SimpleNamespace(each=each, cpus=[]))
    assert "cannot pin" in stage().notes[0]
