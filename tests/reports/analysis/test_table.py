"""The tidy table: values and intervals from raw samples, statuses and reasons, files that cannot be used."""

import json
import math
import statistics
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maxbench import reports
from maxbench.reports.analysis import table
from maxbench.reports.analysis.table import by_process
from maxbench.reports.records import asv_writing, runs
from maxbench.reports.records.asv_results import Measurement, ResultFile
from maxbench.reports.records.asv_results import Results as Stored
from maxbench.reports.records.journal import Line
from maxbench.reports.records.run import RunRecord, Threads
from tests.report_data import FAILED, SKIPPED, Results

PROCESSES = [[3.0e-3, 1.0e-3, 2.0e-3], [5.0e-3, 4.0e-3], [2.5e-3, 2.5e-3, 2.6e-3, 9.0e-3]]


def load_one(folder, **changes):
    found = reports.load(folder)
    assert len(found) == 1
    return found.iloc[0]


def test_the_value_is_the_median_of_process_medians_and_the_interval_their_range(tmp_path):
    Results().add("softmax.Sweep.time_call", ("a", "float32", 1024), PROCESSES, shape=(1024, 1024, 1)).write(tmp_path)
    row = load_one(tmp_path)
    medians = [float(np.median(p)) for p in PROCESSES]
    assert row["value"] == float(np.median(medians)) == 2.55e-3
    assert (row["low"], row["high"]) == (min(medians), max(medians)) == pytest.approx((2.0e-3, 4.5e-3))
    assert row["process_medians"] == tuple(medians)
    assert (row["processes"], row["samples"], row["interval"]) == (3, 9, table.RANGE)
    assert row["unit"] == "s"
    assert row["statistic"] == "time"
    assert (row["outer"], row["n"], row["inner"], row["threads"]) == (1024, 1024, 1, 2)
    assert row["date"] == pd.Timestamp("2026-01-02T03:04:05Z")


def test_bandwidth_counts_the_least_bytes_of_the_operation(tmp_path):
    results = Results()
    results.add("softmax.Sweep.time_call", ("a", "float32", 1024), [[1e-3], [1e-3]], shape=(1024, 1024, 1))
    results.add("argmax.Workloads.time_call", ("a", "int8", "ImageNet"), [[1e-3], [1e-3]])
    results.add("softmax.Start.track_load", ("a", "float32"), 0.5)
    found = reports.load(results.write(tmp_path)).set_index("benchmark")
    assert found.loc["Sweep", "bandwidth"] == pytest.approx(2 * 4 * 2**20 / 1e-3 / 1e9)
    # Without a shape in the journal the workload's own: 1024 rows of 1000 bytes, and an int64 a row.
    assert found.loc["Workloads", "bandwidth"] == pytest.approx(1024 * (1000 + 8) / 1e-3 / 1e9)
    assert math.isnan(found.loc["Start", "bandwidth"])


def test_without_a_journal_the_interval_is_asvs_and_says_so(tmp_path):
    Results().add("softmax.Sweep.time_call", ("a", "float32", 2), PROCESSES).write(tmp_path, journal=False)
    row = load_one(tmp_path)
    every = [s for p in PROCESSES for s in p]
    assert row["value"] == statistics.median(every)
    assert (row["low"], row["high"]) == (min(every) * 0.5, max(every) * 2)
    assert row["interval"] == table.ASV_99
    assert row["processes"] is pd.NA
    assert row["process_medians"] == ()


def test_samples_are_split_by_the_last_processes_of_the_journal():
    assert by_process([1, 2, 3, 4], [9, 3, 1]) == [[1, 2, 3], [4]]
    assert by_process([1, 2, 3, 4], [3, 2]) == []  # they do not add up
    assert by_process([1, 2], [None, 2]) == [[1, 2]]
    assert by_process([1, 2], [None]) == []
    assert by_process([], []) == []


@pytest.mark.parametrize(
    ("value", "note", "status", "reason"),
    [
        (SKIPPED, {"detail": "float16 is not among its dtypes"}, "skipped", "float16 is not among its dtypes"),
        (FAILED, {"detail": "MemoryError: no"}, "failed", "MemoryError: no"),
        (FAILED, {"detail": "at (0, 1)", "status": "wrong"}, "wrong", "at (0, 1)"),
        (
            FAILED,
            {"detail": "the run was interrupted", "status": "interrupted"},
            "interrupted",
            "the run was interrupted",
        ),
        (FAILED, {"status": "ok"}, "failed", "the process ended without a result"),
    ],
)
def test_what_has_no_value_has_a_status_and_a_reason(tmp_path, value, note, status, reason):
    Results().add("softmax.Sweep.time_call", ("a", "float32", 2), value, **note).write(tmp_path)
    row = load_one(tmp_path)
    assert row["status"] == status
    assert reason in row["reason"]
    assert math.isnan(row["value"])


def test_null_and_nan_without_a_journal_stay_apart(tmp_path):
    results = Results().add("softmax.Sweep.time_call", ("a", "float32", 2), FAILED)
    results.add("softmax.Sweep.time_call", ("b", "float32", 2), SKIPPED)
    found = reports.load(results.write(tmp_path, journal=False)).set_index("implementation")
    assert list(found["status"]) == ["failed", "skipped"]
    assert found["reason"].str.contains("without a reason").all()


def test_one_wrong_process_is_enough(tmp_path):
    results = Results().add("softmax.Sweep.time_call", ("a", "float32", 2), PROCESSES)
    results.notes[1].update(status="wrong", detail="at (3, 4)")
    row = load_one(results.write(tmp_path))
    assert (row["status"], row["reason"]) == ("wrong", "at (3, 4)")


def test_columns_are_as_documented_and_survive_csv(tmp_path):
    Results().add("softmax.Sweep.time_call", ("a", "float32", 2), PROCESSES).write(tmp_path)
    found = reports.load(tmp_path)
    assert list(found) == table.NAMES
    assert all(meaning for _, meaning, _ in table.COLUMNS)


def test_a_benchmark_row_cut_short_by_asv_is_read(tmp_path):
    # asv writes null for a whole column of nulls and cuts trailing nulls off.
    Results().add("softmax.Sweep.time_call", ("a", "float32", 2), PROCESSES).write(tmp_path)
    path = next(tmp_path.glob("asv/results/box/0*.json"))
    data = json.loads(path.read_text())
    data["results"]["softmax.Sweep.time_call"] = [None, [["'a'"], ["'float32'"], ["2", "4"]], "1"]
    path.write_text(json.dumps(data))
    assert list(reports.load(tmp_path)["status"]) == ["failed", "failed"]


@pytest.mark.parametrize("content", ["", '{"version": 2, "resu', "[1, 2]", '{"version": 3}', "\x00\xff", '{"a": ' * 9])
def test_a_file_that_cannot_be_used_is_set_aside_by_name(tmp_path, content):
    Results().add("softmax.Sweep.time_call", ("a", "float32", 2), PROCESSES).write(tmp_path)
    bad = tmp_path / "asv" / "results" / "box" / "bad.json"
    bad.write_bytes(content.encode("latin-1"))
    run = runs.read(tmp_path)
    assert [w for w in run.warnings if str(bad) in w and w.startswith("set aside")]
    assert len(table.frame([run])) == 1


@pytest.mark.parametrize("name", ["run.json", "agreement.json"])
@pytest.mark.parametrize("content", ["{", "[3]", "3", '{"schema": 99}'])
def test_a_broken_side_car_is_set_aside_by_name(tmp_path, name, content):
    Results().add("softmax.Sweep.time_call", ("a", "float32", 2), PROCESSES).write(tmp_path)
    (tmp_path / name).write_text(content)
    run = runs.read(tmp_path)
    assert [w for w in run.warnings if name in w]
    assert len(table.frame([run])) == 1


def test_broken_lines_of_the_journal_are_counted(tmp_path):
    Results().add("softmax.Sweep.time_call", ("a", "float32", 2), PROCESSES).write(tmp_path)
    with open(tmp_path / "journal.jsonl", "a") as journal:
        journal.write('{"benchmark": "softm\n[]\n')
    run = runs.read(tmp_path)
    assert [w.partition("journal.jsonl: ")[2] for w in run.warnings] == [
        "line 4: left out: truncated or not JSON (Unterminated string starting at: line 1 column 15 (char 14))",
        "line 5: left out: holds a list of 0, not an object",
    ]
    assert len(table.frame([run]).iloc[0]["process_medians"]) == 3


def test_plain_asv_results_of_several_machines_and_commits(tmp_path):
    results = Results().add("softmax.Sweep.time_call", ("a", "float32", 2), PROCESSES)
    results.write(tmp_path / "results", machine="one", run=False)
    results.write(tmp_path / "results", machine="one", commit="f" * 40, run=False)
    results.write(tmp_path / "results", machine="two", run=False)
    for folder in (tmp_path, tmp_path / "results"):
        assert sorted(reports.load(folder)["run"]) == ["one/01234567", "one/ffffffff", "two/01234567"]


def test_folders_without_results_are_refused_by_name(tmp_path):
    with pytest.raises(runs.NoResults, match="no such folder"):
        reports.load(tmp_path / "absent")
    with pytest.raises(runs.NoResults, match="no results here"):
        reports.load(tmp_path)


def test_a_dtype_that_a_process_never_saw_is_that_of_the_others(tmp_path):
    results = Results().add("argmax.Own.time_call", ("a",), PROCESSES, shape=(3, 4, 1), dtype="int8")
    results.add("argmax.Own.time_call", ("b",), SKIPPED, detail="not available")
    assert list(reports.load(results.write(tmp_path))["dtype"]) == ["int8", "int8"]


def noted(results, *notes):
    """The one cell of the results, with these lines in its journal in place of its own."""
    results.notes = [results.notes[0] | note for note in notes]
    return results


def test_the_last_note_of_a_cell_is_the_one_that_counts(tmp_path):
    results = Results().add("softmax.Sweep.time_call", ("a", "float32", 2), FAILED)
    noted(results, {"detail": "first"}, {"detail": "second"}, {"detail": "last"}).write(tmp_path / "reason")
    assert load_one(tmp_path / "reason")["reason"] == "last"
    results = Results().add("softmax.Sweep.time_call", ("a", "float32", 2), PROCESSES[:1])
    noted(results, {"shape": [8, 2, 1]}, {"shape": [9, 2, 3]}, {"shape": None}).write(tmp_path / "shape")
    row = load_one(tmp_path / "shape")
    assert (row["outer"], row["n"], row["inner"]) == (9, 2, 3)
    results = Results().add("softmax.Start.track_load", ("a", "float32"), 0.5)
    noted(results, {"processes": {"load": [1.0, 2.0]}}, {"processes": {"load": [4.0, 5.0, 9.0]}}, {}).write(
        tmp_path / "processes"
    )
    row = load_one(tmp_path / "processes")
    assert (row["value"], row["low"], row["high"], row["processes"]) == (5.0, 4.0, 9.0, 3)
    stopped = {"status": "interrupted", "detail": "stopped"}
    for name, notes, status in (("late", ({}, stopped), "interrupted"), ("early", (stopped, {}), "failed")):
        results = Results().add("softmax.Sweep.time_call", ("a", "float32", 2), FAILED)
        noted(results, *notes).write(tmp_path / name)
        assert load_one(tmp_path / name)["status"] == status


def test_the_dates_of_asv_are_in_milliseconds(tmp_path):
    results = Results().add("softmax.Sweep.time_call", ("a", "float32", 2), PROCESSES)
    folder = results.write(tmp_path, run=False)
    (path,) = folder.glob("*/0*.json")
    data = json.loads(path.read_text())
    started = data["result_columns"].index("started_at")
    data["results"]["softmax.Sweep.time_call"][started] = 1_600_000_000_000
    path.write_text(json.dumps(data))
    assert load_one(tmp_path)["date"] == pd.Timestamp("2020-09-13T12:26:40Z")
    data["results"]["softmax.Sweep.time_call"][started] = None
    path.write_text(json.dumps(data))
    assert load_one(tmp_path)["date"] == pd.Timestamp("2023-11-14T22:13:20Z")


def test_what_is_written_for_asv_is_dated_in_milliseconds(tmp_path, monkeypatch):
    monkeypatch.setattr(asv_writing.time, "time", lambda: 1_600_000_000.5)
    rows = {("'a'", "'float32'", "2"): asv_writing.sampled([1.0, 2.0], 1)}
    lists = [["'a'"], ["'float32'"], ["2"]]
    where = tmp_path / "box"
    where.mkdir()
    asv_writing.write(where, "env", "0" * 40, "1", {"softmax.Sweep.time_call": (lists, rows)})
    (path,) = where.glob("*.json")
    data = json.loads(path.read_text())
    row = dict(zip(data["result_columns"], data["results"]["softmax.Sweep.time_call"], strict=False))
    assert data["date"] == row["started_at"] == asv_writing.absent(failed=True)["started_at"] == 1_600_000_000_500


def cell(benchmark="softmax.Sweep.time_call", params=("'a'", "'float32'", "2"), status="ok", **more):
    """A measurement as it is stored; of one sample unless the test says otherwise."""
    return Measurement(
        benchmark, params, status, *({"value": 1.0, "samples": (), "low": None, "high": None} | more).values()
    )


def line(**fields):
    return Line(**{"benchmark": "softmax.Sweep", "params": ["'a'", "'float32'", "2"], "status": "ok"} | fields)


def row_of(measurement, notes=(), unit=None, names=None):
    """The one row of a run that holds a measurement."""
    file = ResultFile(Path("f"), "box", "c" * 40, "env", 5.0, {}, (measurement,))
    known = {"unit": unit, "param_names": names} if unit or names else None
    stored = Stored([file], benchmarks={measurement.benchmark: known} if known else {})
    journal = {(measurement.benchmark.rpartition(".")[0], measurement.params): list(notes)}
    (row,) = table.frame([runs.Run(Path("r"), stored, journal=journal)]).to_dict("records")
    return row


@pytest.mark.parametrize(
    ("status", "notes", "expected"),
    [
        # A wrong result in any process is wrong, whatever asv has; so is a failure, of a time that asv has.
        ("ok", ["ok", "wrong 1", "failed 2", "wrong 3"], "wrong 1"),
        ("failed", ["failed 1", "wrong 2"], "wrong 2"),
        ("ok", ["ok", "failed 1", "failed 2"], "failed 1"),
        ("skipped", ["failed 1", "skipped 2"], "skipped 2"),
        ("skipped", ["failed 1"], "skipped asv recorded a skip without a reason"),
        # What the author has declared of an ok one: the first that says something.
        ("ok", ["ok", "ok declared", "ok later"], "ok declared"),
        ("ok", ["skipped not here", "interrupted there"], "ok "),
        ("ok", [], "ok "),
        # Of the others the last one of its kind, and an interruption where it is the very last.
        ("failed", ["failed 1", "failed 2", "skipped 3"], "failed 2"),
        ("failed", ["failed 1", "interrupted 2"], "interrupted 2"),
        ("failed", ["interrupted 1", "failed 2"], "failed 2"),
        ("skipped", ["skipped 1", "interrupted 2"], "interrupted 2"),
        ("failed", ["skipped 1"],
         "failed the process ended without a result: it crashed, ran out of memory or out of time"),
        ("failed", [], "failed asv recorded a failure without a reason"),
        ("skipped", [], "skipped asv recorded a skip without a reason"),
    ],
)  # fmt: skip
def test_the_status_of_a_cell_is_from_asv_and_from_its_processes(status, notes, expected):
    lines = [line(status=kind, detail=detail) for kind, _, detail in (note.partition(" ") for note in notes)]
    row = row_of(cell(status=status), lines)
    assert f"{row['status']} {row['reason']}" == expected
    assert math.isnan(row["value"]) is (row["status"] != "ok")


def test_a_process_that_fails_after_it_was_measured_fails_times_alone():
    row = row_of(cell("softmax.Start.track_load", ("'a'", "'float32'")), [line(status="failed")])
    assert row["status"] == "ok"


@pytest.mark.parametrize(
    ("more", "repeats", "expected"),
    [
        # (value, low, high, interval, processes, samples, medians)
        ({}, [], (1.0, math.nan, math.nan, table.NONE, None, 1, ())),
        ({}, [1], (1.0, math.nan, math.nan, table.NONE, 1, 1, ())),
        ({"samples": (1.0, 2.0)}, [], (1.0, math.nan, math.nan, table.NONE, None, 2, ())),
        ({"samples": (1.0, 2.0)}, [2], (1.0, math.nan, math.nan, table.NONE, 1, 2, (1.5,))),
        ({"samples": (1.0, 2.0), "low": 0.5, "high": 3.0}, [2], (1.0, 0.5, 3.0, table.ASV_99, 1, 2, (1.5,))),
        ({"samples": (1.0,), "low": 0.5, "high": None}, [], (1.0, math.nan, math.nan, table.NONE, None, 1, ())),
        ({"samples": (1.0,), "low": None, "high": 3.0}, [], (1.0, math.nan, math.nan, table.NONE, None, 1, ())),
        ({"low": 0.5, "high": 3.0}, [], (1.0, 0.5, 3.0, table.ASV_99, None, 0, ())),
        ({"samples": (5.0, 1.0, 3.0)}, [1, 2], (3.5, 2.0, 5.0, table.RANGE, 2, 3, (5.0, 2.0))),
        ({"samples": tuple(map(float, range(1, 10)))}, [1] * 9,
         (5.0, 2.0, 8.0, table.ORDER_95, 9, 9, tuple(map(float, range(1, 10))))),
    ],
)  # fmt: skip
def test_an_estimate_is_over_processes_where_they_can_be_told_apart(more, repeats, expected):
    notes = [line(repeat=repeat) for repeat in repeats]
    found = table.estimate_of(cell(**more), [*notes, line(status="failed", repeat=7)])
    if not repeats and not more.get("samples"):
        found = table.estimate_of(cell(**more), [])
    assert repr(tuple(vars(found).values())) == repr(expected)


def test_one_process_of_several_has_no_interval_of_its_own():
    notes = [
        line(processes={"load": [1.0, 3.0]}),
        line(processes={"load": [9.0]}),
        line(processes={"other": [5.0, 6.0]}),
    ]
    found = table.estimate_of(cell("softmax.Start.track_load"), notes)
    assert (found.value, found.processes, found.samples) == (2.0, 2, 2)


@pytest.mark.parametrize(
    ("benchmark", "params", "expected"),
    [
        ("softmax.Sweep.time_call", ("'a'", "'float32'", "1024"), {"n": 1024, "outer": 1024, "inner": 1}),
        ("softmax.Api.time_call", ("'a'", "'float32'", "1024"), {"n": 1024, "outer": 1024, "inner": 1}),
        ("softmax.Sweep.time_call", ("'a'", "'float32'", "0"), {"n": None, "outer": None, "inner": None}),
        ("softmax.Sweep.time_call", ("'a'", "'float32'", "1"), {"n": 1, "outer": 1 << 20}),
        ("softmax.Orders.time_call", ("'a'", "'float32'", "'random'"), {"order": "random", "outer": None}),
        ("softmax.Strided.time_call", ("'a'", "'float32'", "7"), {"n": 7, "outer": None, "inner": None}),
        ("softmax.Strided.time_call", ("'a'", "'float32'", str(2**53)), {"n": 2**53}),
        ("softmax.Strided.time_call", ("'a'", "'float32'", str(2**53 + 1)), {"n": None}),
        ("softmax.Strided.time_call", ("'a'", "'float32'", "True"), {"n": None}),
        ("softmax.Shapes.time_call", ("'a'", "'float32'", "3", "5"), {"outer": 3, "n": 5, "inner": 1}),
        ("softmax.Shapes.time_call", ("'a'", "'float32'", "'x'", "5"), {"outer": None, "n": 5, "inner": None}),
        ("softmax.Threads.time_call", ("'a'", "'float32'", "5", "4"), {"n": 5, "threads": 4}),
        ("softmax.Workloads.time_call", ("'a'", "'float32'", "'ImageNet'"), {"outer": 1024, "n": 1000, "inner": 1}),
        ("softmax.Workloads.time_call", ("'a'", "'float32'", "'segmented image'"), {"n": 21, "inner": 65536}),
        ("softmax.Workloads.time_call", ("'a'", "'float32'", "'mine'"), {"workload": "mine", "outer": None}),
        ("softmax.Start.track_first_call_cold", ("'a'", "'float32'"),
         {"statistic": "first_call", "cache": "cold", "unit": "s"}),
        ("softmax.Memory.peakmem_call", ("'a'", "'float32'"), {"statistic": "peak_memory", "unit": "B"}),
        ("softmax.Own.time_call", ("'a'",), {"implementation": "a", "dtype": "", "statistic": "time", "unit": "s"}),
    ],
)  # fmt: skip
def test_parameters_have_columns_and_sizes(benchmark, params, expected):
    row = row_of(cell(benchmark, params))
    assert {name: None if pd.isna(row[name]) else row[name] for name in expected} == expected


def test_benchmarks_of_others_keep_their_parameters_and_units():
    of = "softmax.Mine.track_power", ("'a'", "3", "'x'")
    row = row_of(cell(*of), unit="watts", names=["implementation", "depth", "kind"])
    assert (row["workload"], row["statistic"], row["unit"]) == ("depth=3, kind=x", "power", "watts")
    row = row_of(cell(*of), unit="seconds", names=["implementation", "rank", "workload"])
    assert (row["workload"], row["unit"]) == ("x, rank=3", "s")
    for names in (["implementation", "rank"], ["implementation", "x", "y", "z"]):  # another version's: not as many
        row = row_of(cell(*of), unit="bytes", names=names)
        assert (row["implementation"], row["dtype"], row["workload"], row["unit"]) == ("a", "3", "", "B")
    row = row_of(cell("softmax.Mine.timeraw_load", ("'a'",)))
    assert (row["statistic"], row["unit"]) == ("timeraw_load", "")


def test_what_is_no_benchmark_of_an_operation_is_left_out(tmp_path):
    others = ("other.Sweep.time_call", "softmax.time_call")
    file = ResultFile(Path("f"), "box", "c" * 40, "env", None, {}, (*map(cell, others), cell()))
    assert len(table.frame([runs.Run(tmp_path, Stored([file]))])) == 1


def test_a_date_is_that_of_the_run_else_of_the_measurement_else_of_the_file(tmp_path):
    def date(record, started, of):
        file = ResultFile(Path("f"), "box", "c" * 40, "env", of, {}, (cell(started=started),))
        column = table.frame([runs.Run(tmp_path, Stored([file]), record)])["date"]
        assert str(column.dt.tz) == "UTC"
        return column.iloc[0]

    begun = RunRecord(started=pd.Timestamp("2026-01-02T03:04:05Z").to_pydatetime())
    assert date(begun, 1.0, 2.0) == begun.started
    assert date(RunRecord(), 1.0, 2.0) == pd.Timestamp(1, unit="s", tz="UTC")
    assert date(None, None, 2.0) == pd.Timestamp(2, unit="s", tz="UTC")
    last = pd.Timestamp("2200-01-01", tz="UTC").timestamp()
    assert date(None, last - 1, 2.0) == pd.Timestamp(last - 1, unit="s", tz="UTC")
    assert all(map(pd.isna, (date(None, last, 2.0), date(None, None, None))))


def test_a_run_is_called_by_its_id_else_by_machine_commit_and_environment(tmp_path):
    each = (("x", "a", "one"), ("x", "a", "two"), ("x", "b", "one"), ("y", "a", "two"))
    files = [ResultFile(Path("f"), machine, commit * 40, env, None, {}, (cell(),)) for machine, commit, env in each]
    found = table.frame([runs.Run(tmp_path, Stored(files))])
    assert list(found["run"]) == ["x/aaaaaaaa one", "x/aaaaaaaa two", "x/bbbbbbbb", "y/aaaaaaaa"]
    assert (list(found["machine"]), found["commit"][2]) == (["x", "x", "x", "y"], "b" * 40)
    record = RunRecord(id="mine", threads=Threads(numba=3))
    record.machine.name = "z"
    found = table.frame([runs.Run(tmp_path, Stored(files), record)])
    assert (set(found["run"]), set(found["machine"]), set(found["threads"])) == ({"mine"}, {"z"}, {3})


def test_bandwidth_is_not_known_of_what_has_no_size_or_no_dtype():
    assert math.isnan(row_of(cell(params=("'a'", "'float99'", "2")))["bandwidth"])
    assert math.isnan(row_of(cell("softmax.Strided.time_call"))["bandwidth"])
    assert row_of(cell(value=0.5))["bandwidth"] == pytest.approx(2 * 4 * 2**20 / 0.5 / 1e9, rel=1e-12)


def test_an_array_s_dtype_is_that_of_its_own_run_and_operation(tmp_path):
    cells = {("softmax", "Own"): "float32", ("argmax", "Own"): "int8"}
    measured = [
        cell(f"{operation}.{benchmark}.time_call", (f"'{name}'",)) for operation, benchmark in cells for name in "ab"
    ]
    others = [cell(f"softmax.{benchmark}.time_call", ("'a'",)) for benchmark in ("Api", "Sweep")]
    journal = {
        (f"{operation}.Own", ("'a'",)): [line(dtype=None), line(dtype=dtype)] for (operation, _), dtype in cells.items()
    }
    file = ResultFile(Path("f"), "box", "c" * 40, "env", None, {}, (*measured, *others))
    alone = runs.Run(tmp_path, Stored([file]), RunRecord(id="2"))
    found = table.frame([runs.Run(tmp_path, Stored([file]), RunRecord(id="1"), journal), alone])
    assert list(found["dtype"]) == ["float32"] * 2 + ["int8"] * 2 + [""] * 8
