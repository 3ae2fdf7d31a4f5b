"""What a run notes of the machine's other work and of its clock, and what a report says of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from maxbench.reports.analysis import content, doubts
from maxbench.reports.measure import disturbance
from maxbench.reports.records import asv_results, runs
from maxbench.reports.records.run import Disturbance, LoadAverage, Machine, Noise, Precheck, RunRecord
from tests.report_data import Results

BURN = "import time; end = time.process_time() + 0.6\nwhile time.process_time() < end: pass"


def throttled(folder: Path, *counts: str) -> Path:
    for cpu, count in enumerate(counts):
        path = folder / f"cpu{cpu}" / "thermal_throttle"
        path.mkdir(parents=True, exist_ok=True)
        (path / "core_throttle_count").write_text(f"{count}\n")
    return folder


def test_a_run_s_own_processes_are_not_others() -> None:
    own, busy = disturbance.own_seconds(), disturbance.busy_seconds()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    spent = disturbance.own_seconds() - own
    assert spent > 0.55
    # The system counts in hundredths of a second.
    assert disturbance.busy_seconds() - busy > 0.9 * spent - 0.1


def test_others_are_what_is_busy_beyond_one_s_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    busy, own, clock = iter([100.0, 108.0]), iter([10.0, 13.0]), iter([0.0, 10.0])
    monkeypatch.setattr(disturbance, "busy_seconds", lambda: next(busy))
    monkeypatch.setattr(disturbance, "own_seconds", lambda: next(own))
    monkeypatch.setattr(disturbance, "_cpus", lambda: [0, 1])
    monkeypatch.setattr(disturbance, "loop_seconds", iter([2e-4, 2.5e-4]).__next__)
    monkeypatch.setattr(disturbance.time, "monotonic", lambda: next(clock))
    watch = disturbance.Watch(throttled(tmp_path, "3", "4"))
    throttled(tmp_path, "5", "4")
    found = watch.found()
    assert found == Disturbance(seconds=10.0, others=(8 - 3) / (10 * 2), throttled=2, slower=1.25)


def test_no_count_of_throttling_is_not_zero(tmp_path: Path) -> None:
    assert disturbance.throttle_count(tmp_path) is None
    assert disturbance.throttle_count(throttled(tmp_path, "0", "what")) == 0


@pytest.mark.parametrize(
    ("side", "said"),
    [
        ({"disturbance": [{"others": 0.02, "throttled": 0, "slower": 1.01}]}, []),
        (
            {"disturbance": [{"others": None, "throttled": None, "slower": None}, 3]},
            ["disturbance[1]: Expected object, got int; it is 3"],
        ),
        (
            # Interrupted and gone on with: the worse of the two.
            {"disturbance": [{"others": 0.27, "throttled": 2, "slower": 1.0}, {"others": 0.01, "slower": 1.3}]},
            ["Other programs took 27% of the CPU", "throttled 2 times", "a fixed loop took 1.30× as long"],
        ),
        ({"load_average": {"start": [0.9, 0, 0]}}, []),
        ({"load_average": {"start": [1.5, 0, 0]}}, ["The load average was 1.50 on 2 CPUs when the run began"]),
        ({"load_average": "none"}, ['load_average: Expected object, got str; it is "none"']),
    ],
)
def test_a_report_warns_of_what_makes_its_numbers_doubtful(
    tmp_path: Path, side: dict[str, Any], said: list[str]
) -> None:
    found = Results().add("softmax.Sweep.time_call", ("a", "float32", 2), [[1.0]] * 5)
    warnings = content.gather([found.write(tmp_path, side=side)]).warnings
    assert len(warnings) == len(said)
    for warning, expected in zip(warnings, said, strict=True):
        assert expected in warning


def precheck(**changes: Any) -> Precheck:
    noise = {name: Noise(visible=visible, bias=0.0, spread=0.1, processes=3) for name, visible in SEEN.items()}
    return Precheck(**{"seconds": 2.0, "threads": 2, "noise": noise} | changes)


SEEN = {"a": 0.01, "b": 0.03, "c": 0.02}
UNKNOWN = {"noise": {}, "problem": "it was stopped"}


def test_what_a_machine_can_see_is_what_its_worst_kernel_can() -> None:
    assert doubts.visible(precheck()) == 0.03
    assert doubts.sentence(precheck()) == "this machine can see 3.0% in 60 s today"
    assert doubts.sentence(precheck(**UNKNOWN)) == "what this machine can see today is not known: it was stopped"


@pytest.mark.parametrize(
    ("changes", "line", "before"),
    [
        ({}, "2 threads", ""),
        ({"threads": 1, "layer": "omp"}, "1 thread (omp)", ""),
        ({"quota": 2.0}, "2 threads, quota 2 CPUs", ""),
        ({"quota": 3.0}, "2 threads, quota 3 CPUs", ""),
        ({"quota": 1.5}, "2 threads, quota 1.5 CPUs", "2 threads have a quota of 1.5 CPUs: they are paused."),
        ({"others": 0.0}, "2 threads, other programs take 0% of the CPUs", ""),
        ({"others": 0.1}, "2 threads, other programs take 10% of the CPUs", ""),
        ({"others": 0.11}, "2 threads, other programs take 11% of the CPUs",
         "Before the run other programs took 11% of the CPU time."),
        ({"throttled": 0}, "2 threads", ""),
        ({"throttled": 1}, "2 threads, throttled 1 time", "The clock was throttled before the run, because of heat."),
        ({"slower": 1.0}, "2 threads", ""),
        ({"slower": 1.1}, "2 threads", ""),
        ({"slower": 1.11}, "2 threads", "Within 2 s before the run a fixed loop became 1.11× as slow."),
    ],
)  # fmt: skip
def test_what_a_precheck_saw_is_shown_and_what_is_doubtful_is_said(
    changes: dict[str, Any], line: str, before: str
) -> None:
    found = precheck(**changes)
    assert doubts.line(found) == f"{doubts.sentence(found)}; {line}"
    assert doubts.before(found) == ([before] if before else [])
    unknown = "What this machine can see today is not known: it was stopped."
    assert doubts.before(precheck(**changes, **UNKNOWN)) == [unknown, *doubts.before(found)]


def during(**record: Any) -> list[str]:
    return doubts.during(runs.Run(Path("r"), asv_results.Results(), RunRecord(**record)))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([], []),
        ([Disturbance()], []),
        ([Disturbance(others=0.10, throttled=0, slower=1.10)], []),
        ([Disturbance(others=0.11), Disturbance(others=0.05)],
         ["Other programs took 11% of the CPU time during the run."]),
        ([Disturbance(throttled=1), Disturbance(throttled=0)],
         ["The clock was throttled 1 time during the run, because of heat."]),
        ([Disturbance(slower=1.11), Disturbance(slower=1.0)],
         ["At the end of the run a fixed loop took 1.11× as long as at its start: "
          "the clock fell, or the CPU was shared."]),
    ],
)  # fmt: skip
def test_the_worst_part_of_a_run_counts(parts: list[Disturbance], said: list[str]) -> None:
    assert during(disturbance=parts, load_average=LoadAverage(start=[9.0])) == said


@pytest.mark.parametrize(
    ("cpus", "load", "doubted"),
    [(4, [2.0], False), (4, [2.01], True), (None, [9.0], False), (4, None, False), (4, [], False)],
)
def test_of_older_runs_the_load_counts(cpus: int | None, load: list[float] | None, doubted: bool) -> None:
    found = during(machine=Machine(cores_logical=cpus), load_average=LoadAverage(start=load))
    said = "The load average was 2.01 on 4 CPUs when the run began: others used them."
    assert found == ([said] if doubted else [])
