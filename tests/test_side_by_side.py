"""`python -m bench.side_by_side`: what it times, what it writes, and what its table says of it."""

from __future__ import annotations

import math
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bench import side_by_side
from bench.side_by_side import CEILING, OURS, Timing

ROOT = Path(__file__).parent.parent


def timing(implementation: str, seconds: float, **more: object) -> Timing:
    values = {
        "operation": "softmax", "threads": 1, "dtype": "float32", "case": "ImageNet", "outer": 4, "n": 10, "inner": 1,
        "implementation": implementation, "seconds": seconds, "low": seconds, "high": seconds,
        "gigabytes_per_second": 1e-6 / seconds, "ulp": 1.0, "remark": "", **more,
    }  # fmt: skip
    return Timing(**values)  # type: ignore[arg-type]


def test_a_command_measures_every_chosen_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "times.csv"
    arguments = ["--output", str(output), "--dtype", "float32", "--case", r"^n = 2\^4", "--rounds", "3"]
    assert side_by_side.main(arguments) == 0
    found = side_by_side.read(output)
    cells = {(t.operation, t.case) for t in found}
    assert cells == {(o, c) for o in ("softmax", "argmax") for c in ("n = 2^4", "n = 2^4, strided")}
    for cell in cells:
        by = {t.implementation: t for t in found if (t.operation, t.case) == cell}
        assert {OURS, "numpy_vectorized", CEILING} <= set(by)
        assert all(0 < t.low <= t.seconds <= t.high for t in by.values())
        assert not by[OURS].remark
        ours, ceiling = by[OURS], by[CEILING]
        count = ours.outer * ours.n * ours.inner * 4
        results = count if cell[0] == "softmax" else ours.outer * ours.inner * 8
        assert math.isclose(ours.gigabytes_per_second, (count + results) / ours.seconds / 1e9)
        assert math.isclose(ceiling.gigabytes_per_second, count * (1 + (cell[0] == "softmax")) / ceiling.seconds / 1e9)
    assert capsys.readouterr().out.count("| n = 2^4") == 4


def test_the_number_of_threads_is_that_of_the_environment(tmp_path: Path) -> None:
    output = tmp_path / "times.csv"
    words = side_by_side.command(output, ["argmax"], ["float32"], case=r"^n = 2\^4$", step=1, rounds=1)
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert {t.threads for t in side_by_side.read(output)} == {2}
    assert "### argmax, float32, 2 threads" in done.stdout


def test_the_table_shows_wins_and_losses() -> None:
    found = [
        timing(OURS, 2e-6), timing("torch_cpu", 1e-6, remark="differs"), timing("numpy_vectorized", 8e-6, ulp=3.0),
        timing(CEILING, 1e-6),
        timing(OURS, 1e-6, case="other"), timing("numpy_vectorized", 8e-6, case="other"),
        timing(CEILING, 2e-6, case="other"),
    ]  # fmt: skip
    lines = side_by_side.table(found)
    lost, won = (next(line for line in lines if line.startswith(f"| {case} ")) for case in ("ImageNet", "other"))
    assert "| torch_cpu | 1.0 | 0.50 | 50% | 1.00 / 3.00 | LOSS, torch_cpu differs |" in lost
    assert "| numpy_vectorized | 0.1 | 8.00 | 200% | 1.00 / 1.00 | ABOVE CEILING |" in won
    assert "| softmax, float32, 1 | 2 | 2.00 | 0.50 | 1 |" in lines


def test_errors_are_in_units_of_the_last_place() -> None:
    expected = side_by_side.oracle(np.zeros((2, 4, 1), np.float32))
    exact = np.full((2, 4, 1), 0.25, np.float32)
    assert side_by_side.largest_error(expected, exact) == 0
    assert side_by_side.largest_error(expected, np.nextafter(exact, np.float32(1))) == pytest.approx(1)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    found = [timing(OURS, 1.5e-6, remark='a "quoted", remark'), timing(CEILING, 1e-6)]
    side_by_side.write(tmp_path / "t.csv", found)
    assert side_by_side.read(tmp_path / "t.csv") == found
