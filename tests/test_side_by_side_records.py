"""`maxbench side-by-side`: the records it leaves are those that its processes measured, and reports read them."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

import reports
from bench import side_by_side as timings
from bench.side_by_side import CEILING, OURS, Timing
from reports import cli, environment, side_by_side
from reports.content import gather


def timing(implementation: str, *samples: float, **more: Any) -> Timing:
    values = {
        "operation": "softmax", "threads": 2, "dtype": "float32", "case": "n = 2^4", "outer": 65536,
        "n": 16, "inner": 1,
        "implementation": implementation, "seconds": statistics.median(samples), "low": min(samples),
        "high": max(samples), "gigabytes_per_second": 1.0, "ulp": 2.5, "remark": "", "samples": samples, "number": 7,
        **more,
    }  # fmt: skip
    return Timing(**values)


@pytest.fixture
def side() -> dict[str, Any]:
    plan = side_by_side.Plan(Path(), ["softmax"], ["float32"], [2], machine="some machine")
    return side_by_side._begin(plan, 2)


def recorded(folder: Path, side: dict[str, Any], *processes: list[Timing]) -> Path:
    side_by_side.record(folder, {**side, "state": "finished"}, processes)
    return folder


def test_a_report_reads_what_was_measured(tmp_path: Path, side: dict[str, Any]) -> None:
    strided = {"case": "n = 2^4, strided", "outer": 1024, "inner": 64}
    first = [
        timing(OURS, 1e-3, 1.2e-3, 1.1e-3), timing("torch_cpu", 3e-3, 3e-3, 3e-3, remark="differs: sums"),
        timing(CEILING, 1e-4, 1e-4, 1e-4), timing(OURS, 5e-3, 5e-3, 5e-3, **strided),
        timing(CEILING, 3e-4, 3e-4, 3e-4, **strided),
    ]  # fmt: skip
    second = [timing(OURS, 1.3e-3, 1.3e-3, 1.5e-3), timing("torch_cpu", 2e-3, 2e-3, 2e-3, remark="differs: sums")]
    table = reports.load(recorded(tmp_path / "run", side, first, second))
    ours = table[(table["implementation"] == OURS) & (table["statistic"] == "time")]
    row = ours[ours["benchmark"] == "Sweep"].iloc[0]
    assert (row["n"], row["outer"], row["inner"], row["threads"], row["processes"]) == (16, 65536, 1, 2, 2)
    assert row["process_medians"] == (1.1e-3, 1.3e-3)
    assert (row["low"], row["value"], row["high"]) == (1.1e-3, pytest.approx(1.2e-3), 1.3e-3)
    assert row["bandwidth"] == pytest.approx(2 * 65536 * 16 * 4 / 1.2e-3 / 1e9)
    other = ours[ours["benchmark"] == "Strided"].iloc[0]
    assert (other["n"], other["outer"], other["inner"], other["value"]) == (16, 1024, 64, 5e-3)
    ceiling = table[table["benchmark"] == "Ceiling"].iloc[0]
    assert len(table[table["benchmark"] == "Ceiling"]) == 1, "inputs of the same size have one"
    assert (ceiling["value"], ceiling["outer"] * ceiling["n"]) == (pytest.approx(2e-4), 1 << 20)
    assert table[table["implementation"] == "torch_cpu"].iloc[0]["reason"] == "differs: sums"
    errors = table[table["statistic"] == "largest_error"]
    assert set(errors["value"]) == {2.5}


def test_the_contests_name_their_axis_and_their_ceiling(tmp_path: Path, side: dict[str, Any]) -> None:
    strided = {"case": "n = 2^4, strided", "outer": 1024, "inner": 64}
    found = [timing(OURS, 1e-3), timing("onnx_runtime", 2e-3), timing(CEILING, 5e-4)]
    found += [timing(OURS, 3e-3, **strided), timing("onnx_runtime", 1e-3, **strided)]
    content = gather([recorded(tmp_path / "run", side, found)])
    by = {contest.title: contest for contest in content.contests}
    assert set(by) == {"n = 16", "n = 16, strided"}
    assert [by[t].ranked[0].implementation for t in ("n = 16", "n = 16, strided")] == [OURS, "onnx_runtime"]
    share = by["n = 16"].share(by["n = 16"].ranked[0])
    assert share is not None
    assert share.value == pytest.approx(0.5)


def test_a_wrong_result_is_not_ranked(tmp_path: Path, side: dict[str, Any]) -> None:
    found = [timing(OURS, 1e-3, remark="wrong at (0, 1, 0): expected 1, got 2"), timing("onnx_runtime", 2e-3)]
    content = gather([recorded(tmp_path / "run", side, found)])
    (contest,) = content.contests
    assert [cell.implementation for cell in contest.ranked] == ["onnx_runtime"]
    (row,) = content.table[content.table["implementation"] == OURS][lambda t: t["statistic"] == "time"].to_dict(
        "records"
    )
    assert (row["status"], row["reason"]) == ("wrong", "at (0, 1, 0): expected 1, got 2")


def test_the_command_measures_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    arguments = ["--operation", "argmax", "--dtype", "float32", "--case", r"^n = 2\^4$", "--rounds", "2"]
    arguments += ["--processes", "1", "--threads", "1", "--machine", "some machine", "--output", str(folder)]
    assert cli.main(["side-by-side", *arguments]) == 0
    assert "### argmax, float32, 1 thread" in capsys.readouterr().out
    assert "### argmax, float32, 1 thread" in (folder / "side-by-side.md").read_text("utf-8")
    assert (folder / "index.html").is_file()
    table = reports.load(folder / "1-thread")
    assert {OURS, "numpy_vectorized", CEILING} <= set(table["implementation"])
    written = json.loads((folder / "1-thread" / "run.json").read_text("utf-8"))
    assert (written["state"], written["threads"]["numba"]) == ("finished", 1)


def test_a_process_that_fails_is_an_error_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CPU_NAME", "haswell")
    monkeypatch.setattr(environment, "thread_variables", lambda count: {"NUMBA_NUM_THREADS": "none"})
    plan = side_by_side.Plan(tmp_path, ["argmax"], ["float32"], [1], case=r"^n = 2\^4$", rounds=1, processes=1)
    with pytest.raises(side_by_side.Failed, match="NUMBA_NUM_THREADS"):
        side_by_side.run(plan, lambda *_: None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threads", "4096"], "--threads 4096: accepted are 1 to"),
        (["--rounds", "0"], "--rounds 0: accepted are 1 and more"),
        (["--case", "("], "not a regular expression"),
        (["--case", "no such input"], "matches no input: they are two-class filter"),
    ],
)
def test_bad_options_are_named(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["side-by-side", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_names_of_inputs_are_those_of_the_cells() -> None:
    for case, (_, n, inner) in timings.cells():
        found = side_by_side._key(timing(OURS, 1.0, case=case, n=n, inner=inner))[0]
        swept = "Strided" if inner > 1 else "Sweep"
        assert found == f"softmax.{swept if case.startswith('n = ') else 'Workloads'}"
