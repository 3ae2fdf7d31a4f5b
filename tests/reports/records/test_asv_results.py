"""asv's result files and benchmarks.json: every field arrives where it belongs, and limits hold to the last unit."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from maxbench.reports.records import asv_results
from maxbench.reports.records.asv_results import Measurement, ResultFile

NAME = "softmax.Sweep.time_call"
WHOLE: dict[str, Any] = {
    "commit_hash": "c" * 40, "env_name": "env", "params": {"machine": "box"}, "date": 1_700_000_000_500, "version": 2,
    "requirements": {"numpy": "2.0", "numba": None},
    "result_columns": ["result", "params", "version", "started_at", "samples", "stats_ci_99_a", "stats_ci_99_b"],
    "results": {NAME: [[1.0, 2.0], [["'a'"], ["2", "4"]], 7, 1500, [[1.0], [1.5, 2.5]], [0.5, 0.0], [1.5, 3.0]]},
}  # fmt: skip


def stored(folder: Path, **changes: Any) -> Path:
    """A result file in a machine's folder."""
    path = folder / "box" / "cccccccc-env.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(WHOLE | changes))
    return path


def row(folder: Path, **columns: Any) -> asv_results.Results:
    """What is read of one benchmark with these columns."""
    stored(folder, result_columns=list(columns), results={NAME: list(columns.values())})
    return asv_results.read(folder)


def values(found: asv_results.Results) -> list[float]:
    return [one.value for file in found.files for one in file.measurements]


def test_every_field_arrives_where_it_belongs(tmp_path: Path) -> None:
    notes = {"grid": "quick", "conditions": {"threads": "2"}, "select": ["softmax"]}
    path = stored(tmp_path, **{asv_results.NOTES: notes})
    expected = ResultFile(
        path=path, machine="box", commit="c" * 40, environment="env", date=1_700_000_000.5,
        requirements={"numpy": "2.0", "numba": ""}, versions={NAME: "7"},
        measurements=(
            Measurement(NAME, ("'a'", "2"), "ok", 1.0, (1.0,), 0.5, 1.5, 1.5),
            Measurement(NAME, ("'a'", "4"), "ok", 2.0, (1.5, 2.5), 0.0, 3.0, 1.5),
        ),
        grid="quick", conditions={"threads": "2"}, select=("softmax",),
    )  # fmt: skip
    assert asv_results.read(tmp_path) == asv_results.Results(files=[expected])
    assert asv_results.read_file(path) == expected
    (plain,) = asv_results.read(stored(tmp_path).parents[1]).files
    assert (plain.grid, plain.conditions, plain.select) == (None, {}, None)


def test_one_file_is_read_whole_or_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.json: no such file"):
        asv_results.read_file(tmp_path / "none.json")
    (tmp_path / "cut.json").write_text("{")
    with pytest.raises(ValueError, match=r"cut\.json: truncated or not JSON"):
        asv_results.read_file(tmp_path / "cut.json")
    with pytest.raises(ValueError, match=r"env\.json: date: Expected float"):
        asv_results.read_file(stored(tmp_path, date="today"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 1}, "format version 1, expected 2"),
        ({"version": 3}, "format version 3, expected 2"),
        ({"commit_hash": ""}, "commit_hash: Expected str of length >= 1"),
        ({"commit_hash": "c" * 201}, "commit_hash: Expected str of length <= 200"),
        ({"env_name": "e" * 1001}, "env_name: Expected str of length <= 1000"),
        ({"results": None}, "results: Expected object, got null"),
    ],
)
def test_a_file_of_another_format_is_set_aside(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    stored(tmp_path, **changes)
    found = asv_results.read(tmp_path)
    assert (found.files, [said in warning for warning in found.warnings]) == ([], [True])


def test_names_may_be_as_long_as_asv_s(tmp_path: Path) -> None:
    for changes in ({"commit_hash": "c" * 200}, {"env_name": "e" * 1000}, {"params": {"machine": "m" * 200}}):
        stored(tmp_path, **changes)
        found = asv_results.read(tmp_path)
        assert (len(found.files), found.warnings) == (1, [])
    stored(tmp_path, params={})
    assert [file.machine for file in asv_results.read(tmp_path).files] == ["box"]


def test_a_file_without_results_says_so(tmp_path: Path) -> None:
    path = stored(tmp_path)
    path.write_text('{"version": 2}')
    (warning,) = asv_results.read(tmp_path).warnings
    assert warning == f"set aside {path}: not an asv result file (it has no results)"


def test_results_beside_the_machines_folders_are_none_of_asv(tmp_path: Path) -> None:
    for name in ("aaaaaaaa-env.json", "cccccccc-env.json"):
        (tmp_path / name).write_text(json.dumps(WHOLE))
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "machine.json").write_text('{"cpu": "A CPU", "num_cpu": 2}')
    assert asv_results.read(tmp_path) == asv_results.Results(machines={"box": {"cpu": "A CPU", "num_cpu": "2"}})


def test_the_first_benchmark_that_is_damaged_does_not_cost_the_next(tmp_path: Path) -> None:
    stored(tmp_path, results={"a.A.time_call": [[1.0], 3], "b.B.time_call": 2.0})
    found = asv_results.read(tmp_path)
    assert [(file.measurements[0].benchmark, file.versions) for file in found.files] == [("b.B.time_call", {})]
    assert [warning.partition("a.A.time_call")[2][:10] for warning in found.warnings] == [": Expected"]


def test_as_many_cells_as_the_limit_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asv_results, "MOST_CELLS", 4)
    assert values(row(tmp_path, result=[1.0] * 4, params=[["1", "2"], ["3", "4"]])) == [1.0] * 4
    found = row(tmp_path, result=[1.0] * 5, params=[["1", "2", "3", "4", "5"]])
    assert values(found) == []
    assert found.warnings[0].endswith(": has 5 sets of parameters, more than the 4 that are read")
    about = {"four": {"params": [["1", "2"], ["3", "4"]]}, "five": {"params": [["1", "2", "3", "4", "5"]]}}
    (tmp_path / "benchmarks.json").write_text(json.dumps(about))
    found = asv_results.read(tmp_path)
    assert found.benchmarks == {"four": about["four"]}
    assert found.warnings[0].endswith("benchmarks.json: five.params: more than 4 sets of parameters")


@pytest.mark.parametrize("number", [1, 3])
def test_a_column_has_one_value_for_each_cell(tmp_path: Path, number: int) -> None:
    found = row(tmp_path, result=[1.0] * number, params=[["1", "2"]])
    assert values(found) == []
    assert "result does not hold one value for each of 2 sets of parameters" in found.warnings[0]


# A billionth to either side is rounding, a hundred times as much is not.
@pytest.mark.parametrize("way", [-1, 1])
@pytest.mark.parametrize(("by", "kept"), [(1e-9, True), (1e-7, False)])
def test_a_result_lies_among_its_samples_and_in_its_interval(tmp_path: Path, way: int, by: float, kept: bool) -> None:
    value = 2.0 * (1 + way * by)
    for columns in ({"samples": [[2.0, 2.0]]}, {"stats_ci_99_a": [2.0], "stats_ci_99_b": [2.0]}):
        found = row(tmp_path, result=[value], params=[], **columns)
        assert values(found) == ([value] if kept else [])
        assert len(found.warnings) == (not kept)


def test_an_interval_has_two_ends_that_are_finite(tmp_path: Path) -> None:
    nothing = {"stats_ci_99_a": [1.0], "stats_ci_99_b": [3.0]}
    for change in ({"stats_ci_99_a": [None]}, {"stats_ci_99_b": [None]}, {"stats_ci_99_b": [math.inf]}, {
        "stats_ci_99_a": [math.nan]
    }):  # fmt: skip
        (file,) = row(tmp_path, result=[2.0], params=[], **nothing | change).files
        assert (file.measurements[0].low, file.measurements[0].high) == (None, None)


def test_times_are_positive_and_other_values_may_be_zero(tmp_path: Path) -> None:
    for name, kept in (("a.A.time_call", []), ("a.A.track_load", [0]), ("a.time.peakmem_call", [0])):
        stored(tmp_path, results={name: [[0], []]})
        assert values(asv_results.read(tmp_path)) == kept


def test_descriptions_of_benchmarks_are_joined_over_machines(tmp_path: Path) -> None:
    one = {"params": [["1", "2"]], "unit": "s", "version": 1}
    two = {"params": [["2", "3"]], "unit": "seconds", "version": "2"}
    for folder, about in ((tmp_path, {"x": one, "version": 2}), (tmp_path / "box", {"x": two, "y": one})):
        folder.mkdir(exist_ok=True)
        (folder / "benchmarks.json").write_text(json.dumps(about))
    found = asv_results.read(tmp_path)
    assert found.benchmarks == {"x": {**two, "params": [["1", "2", "3"]]}, "y": one}
    assert found.warnings == []


@pytest.mark.parametrize(("first", "second"), [([["1"]], []), ([], [["1"]]), ([["1"], ["2"]], [["1"]])])
def test_of_benchmarks_with_other_parameters_the_later_counts(first: list[Any], second: list[Any]) -> None:
    assert asv_results.joined({"params": first, "a": 1}, {"params": second}) == {"params": second}
    if not second:
        assert asv_results.joined({"params": first}, {}) == {}


def test_a_benchmark_that_is_described_wrongly_is_left_out_alone(tmp_path: Path) -> None:
    wrong = {"param_names": [3], "params": [["1"]]}
    (tmp_path / "benchmarks.json").write_text(json.dumps({"a": wrong, "b": {"params": None}, "c": {}}))
    found = asv_results.read(tmp_path)
    assert found.benchmarks == {"b": {"params": None}, "c": {}}
    assert [warning.partition("json: ")[2][:26] for warning in found.warnings] == ["a.param_names[0]: Expected"]


def test_parameters_are_literals_or_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("3", "'a'", "None", "(1, 2.5)", "float32", "f(", "'\x1b'", "'\\x1b'", "[" * 4000)
    expected = (3, "a", None, (1, 2.5), "float32", "f(", "\ufffd", "\ufffd", "[" * 4000)
    assert tuple(map(asv_results.literal, words)) == expected
    assert asv_results.literal("1" + " " * 4095) == 1
    assert asv_results.literal("1" + " " * 4096) == "1" + " " * 4096
