"""What is written in asv's format: whole files, as asv's own reader and ours take them."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from asv.results import Results as AsvResults
from asv.results import get_filename

from maxbench.reports.records import asv_results, asv_writing, journal_rows
from maxbench.reports.records.journal import Journal, Line
from maxbench.reports.records.run import Machine, RunRecord

TIME, LOAD = "softmax.Sweep.time_call", "softmax.Start.track_load"
BENCHMARKS: dict[str, dict[str, Any]] = {
    TIME: {"params": [["'a'", "'b'"], ["2"]], "version": 3}, LOAD: {"params": [["'a'"]], "version": "4"},
}  # fmt: skip
NOW = 1_600_000_000.25


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asv_writing.time, "time", lambda: NOW)


def test_a_result_file_holds_what_was_given(tmp_path: Path) -> None:
    where = tmp_path / "box"
    where.mkdir()
    rows = {("'b'",): {"result": 2.0, "samples": [2.0]}, ("'c'",): {"result": 3.0, "started_at": 7}}
    asv_writing.write(where, "env", "c" * 40, "9", {TIME: ([["'a'", "'b'", "'c'"]], rows)}, missing=None)
    (path,) = where.iterdir()
    assert path == asv_writing.path(where, "env", "c" * 40) == where / "cccccccc-env.json"
    assert json.loads(path.read_text()) == {
        "commit_hash": "c" * 40, "env_name": "env", "date": int(NOW * 1000), "params": {"machine": "box"},
        "python": "", "requirements": {}, "env_vars": {}, "durations": {}, "version": 2,
        "result_columns": asv_writing.COLUMNS,
        "results": {TIME: [
            [None, 2.0, 3.0], [["'a'", "'b'", "'c'"]], "9", 7, [None] * 3, [None] * 3, [None] * 3, [None, [2.0], None],
        ]},
    }  # fmt: skip
    assert AsvResults.load(str(path)).get_result_value(TIME, [["'a'", "'b'", "'c'"]]) == [None, 2.0, 3.0]
    assert asv_results.read_file(path).measurements[2].started == 0.007


def test_what_has_no_row_was_skipped_unless_it_failed() -> None:
    content = asv_writing.content("box", "env", "c", "1", {TIME: ([["'a'"]], {})})
    assert math.isnan(content["results"][TIME][0][0])
    assert content["results"][TIME][3] is None


def test_files_are_named_as_asv_names_them(tmp_path: Path) -> None:
    assert asv_writing.path(tmp_path / "box", "device-launch", "c" * 40) == tmp_path / get_filename(
        "box", "c" * 40, "device-launch"
    )


def test_without_asv_there_is_no_interval(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "asv_runner.statistics", None)
    row = asv_writing.sampled([3.0, 1.0, 2.0], 5)
    assert row == {"result": 2.0, "samples": [3.0, 1.0, 2.0], "stats_number": 5, "started_at": int(NOW * 1000)}
    asv_writing.write(tmp_path, "env", "c" * 40, "9", {TIME: ([["'a'"]], {("'a'",): row})})
    (measurement,) = asv_results.read_file(asv_writing.path(tmp_path, "env", "c" * 40)).measurements
    assert (measurement.value, measurement.low, measurement.high) == (2.0, None, None)


def test_rows_of_times_have_asv_s_interval() -> None:
    row = asv_writing.sampled([3.0, 1.0, 2.0], 5)
    assert row["stats_ci_99_a"] < 1.0 < 3.0 < row["stats_ci_99_b"]
    assert (row["result"], row["samples"], row["stats_number"]) == (2.0, [3.0, 1.0, 2.0], 5)
    many = asv_writing.sampled([float(k) for k in range(101)], 1)
    assert 0 < many["stats_ci_99_a"] < 50 < many["stats_ci_99_b"] < 100
    assert asv_writing.absent(failed=True) == {"result": None, "started_at": int(NOW * 1000)}
    assert math.isnan(asv_writing.absent(failed=False)["result"])
    assert row["started_at"] == asv_writing.absent(failed=False)["started_at"] == int(NOW * 1000)


def test_a_machine_s_folder_describes_it_and_its_benchmarks(tmp_path: Path) -> None:
    machine = Machine(name="a/b", cpu="A CPU", arch="x", os="Linux", memory_bytes=8, cores_logical=4)
    for _ in range(2):
        where = asv_writing.machine_folder(tmp_path, machine)
    assert (where.parent, where.name) == (tmp_path / "asv" / "results", "a_b")
    assert json.loads((where / "machine.json").read_text()) == {
        "machine": "a_b", "cpu": "A CPU", "arch": "x", "os": "Linux", "ram": "8", "num_cpu": "4", "version": 1,
    }  # fmt: skip
    asv_writing.describe(where, {TIME: ({"n": ["2", "4"]}, "seconds", "a time"), LOAD: ({}, "ulp", "an error")})
    assert json.loads((where.parent / "benchmarks.json").read_text()) == {
        TIME: {"name": TIME, "param_names": ["n"], "params": [["2", "4"]], "unit": "seconds", "type": "time",
               "version": "1", "code": "", "doc": "a time"},
        LOAD: {"name": LOAD, "param_names": [], "params": [], "unit": "ulp", "type": "track",
               "version": "1", "code": "", "doc": "an error"},
        "version": 2,
    }  # fmt: skip


def line(status: Any = "ok", *, of: str = "softmax.Sweep", **fields: Any) -> Line:
    return Line(benchmark=of, params=["'a'", "2"] if of == "softmax.Sweep" else ["'a'"], status=status, **fields)


@pytest.mark.parametrize(
    ("one", "time", "load"),
    [
        (line(samples=[1.0]), True, False),
        (line(samples=[]), False, False),
        (line(values={"track_load": 0.0}), False, True),
        (line(values={"other": 1.0}), False, False),
        (line("skipped"), True, True),
        *[(line(status, samples=[1.0], values={"track_load": 1.0}), False, False)
          for status in ("failed", "wrong", "interrupted")],
    ],
)  # fmt: skip
def test_a_line_settles_what_it_measured_or_skipped(one: Line, time: bool, load: bool) -> None:
    assert (journal_rows.has(one, TIME), journal_rows.has(one, LOAD)) == (time, load)


def test_rows_are_made_of_the_lines_that_measured() -> None:
    times = [line("failed", at=1.0), line(at=2.5, samples=[3.0, 5.0]), line(at=9.0, samples=[4.0]), line("interrupted")]
    loads = [line(of="softmax.Start", values={"track_load": value}) for value in (1.0, 5.0, 2.0)]
    found = journal_rows.rows(BENCHMARKS, {lines[0].key: lines for lines in (times, loads)})
    assert found[LOAD] == ([["'a'"]], {("'a'",): {"result": 2.0, "started_at": None}})
    lists, rows = found[TIME]
    assert lists == [["'a'", "'b'"], ["2"]]
    assert list(rows) == [("'a'", "2")]
    row = rows["'a'", "2"]
    assert (row["result"], row["samples"], row["stats_number"], row["started_at"]) == (4.0, [3.0, 5.0, 4.0], 1, 2500)


@pytest.mark.parametrize(
    ("last", "skipped"), [("skipped", True), ("failed", False), ("interrupted", False), ("ok", False), ("wrong", False)]
)
def test_what_was_not_measured_is_skipped_if_its_last_line_is(last: Any, skipped: bool) -> None:
    journal: Journal = {line().key: [line("skipped"), line("failed"), line(last)]}
    _, rows = journal_rows.rows({TIME: BENCHMARKS[TIME]}, journal)[TIME]
    assert repr(rows["'a'", "2"]["result"]) == ("nan" if skipped else "None")


def test_the_result_file_of_a_run_has_the_version_of_its_benchmarks() -> None:
    content = journal_rows.content(BENCHMARKS, {}, "box", "c")
    assert content["results"][TIME][:3] == [[None, None], [["'a'", "'b'"], ["2"]], "3"]
    assert (content["params"], content["commit_hash"], content["env_name"]) == ({"machine": "box"}, "c", "existing")
    assert journal_rows.content({TIME: {"params": []}}, {}, "box", "c")["results"][TIME][2] == ""
    assert journal_rows.content({}, {}, "box", "c")["results"] == {}


def test_a_run_that_was_ended_has_all_that_its_journal_holds(tmp_path: Path) -> None:
    journal: Journal = {line().key: [line(samples=[2.0])]}
    results = asv_results.Results(benchmarks={**BENCHMARKS, "x.Y.time_z": {}})
    record = RunRecord(machine=Machine(name="a/b"))
    journal_rows.complete(tmp_path, record, results, journal)
    (file,) = results.files
    assert (file.path, file.machine) == (tmp_path / "asv" / "results" / "a_b", "a_b")
    assert (file.commit, file.environment) == ("unknown", "existing")
    assert {one.params: one.status for one in file.measurements} == {
        ("'a'", "2"): "ok", ("'b'", "2"): "failed", ("'a'",): "failed",
    }  # fmt: skip
    added = {"benchmark": "softmax.Sweep", "params": ["'b'", "2"], "status": "interrupted"}
    assert journal.pop(("softmax.Sweep", ("'b'", "2"))) == [Line(**added, detail=journal_rows.INTERRUPTED)]
    assert {key: [one.status for one in lines] for key, lines in journal.items()} == {
        ("softmax.Sweep", ("'a'", "2")): ["ok"], ("softmax.Start", ("'a'",)): ["interrupted"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("one", "complete"), [(line(samples=[1.0]), True), (line(values={"x": 1.0}), True), (line(), False)]
)
def test_a_journal_without_measurements_leaves_asv_s_files(tmp_path: Path, one: Line, complete: bool) -> None:
    results = asv_results.Results()
    journal_rows.complete(tmp_path, RunRecord(), results, {one.key: [one]})
    assert bool(results.files) is complete


def test_cells_are_in_the_order_in_which_asv_runs_them() -> None:
    expected = [(LOAD, "'a'"), (TIME, "'a'", "2"), (TIME, "'b'", "2")]
    assert list(journal_rows.cells(BENCHMARKS)) == expected
