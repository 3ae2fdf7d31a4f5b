"""What a run notes of the machine's other work and of its clock, and what a report says of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from maxbench.reports.analysis import content
from maxbench.reports.measure import disturbance
from maxbench.reports.records.run import Disturbance
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
