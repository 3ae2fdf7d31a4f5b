"""Run records and run folders: limits of every kind of number, defaults, and what counts as a results folder."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from maxbench.bench.processes import messages
from maxbench.reports.records import reading, run, runs
from maxbench.reports.records.reading import Problems, Unreadable
from maxbench.reports.records.run import RunRecord, Source
from tests.report_data import Results, findings, side_car

LARGE = 10**18


@pytest.mark.parametrize(
    ("kind", "accepted", "refused"),
    [
        (messages.Seconds, [5e-324, 1e9], [0, 1e9 + 1]),
        (messages.Amount, [0, LARGE], [-5e-324, 1.1e18]),
        (messages.Count, [0, 2**53], [-1, 2**53 + 1]),
        (messages.Positive, [1, 2**53], [0, 2**53 + 1]),
        (run.Ratio, [5e-324, LARGE], [0, 1.1e18]),
        (run.Fraction, [-1, LARGE], [-1.001, 1.1e18]),
    ],
)
def test_numbers_have_limits(kind: Any, accepted: list[float], refused: list[float]) -> None:
    assert [reading.convert(kind, value) for value in accepted] == accepted
    for value in refused:
        with pytest.raises(Unreadable, match="Expected"):
            reading.convert(kind, value)


@pytest.mark.parametrize(
    ("kind", "field", "accepted", "refused"),
    [
        (run.Array, {"path": "x"}, {"axis": [-64, 64, None]}, {"axis": [-65, 65]}),
        (RunRecord, {}, {"schema": [1, 2]}, {"schema": [0]}),
        (run.Threads, {}, {"numba": [1, None], "waiting": [None, "x"]}, {"numba": [0]}),
        (run.Threads, {}, {"affinity": [[0], None], "layer": ["omp"], "quota": [0.5]}, {"quota": [0]}),
    ],
)
def test_fields_have_limits(kind: Any, field: dict[str, Any], accepted: Any, refused: Any) -> None:
    for values, count in ((accepted, 0), (refused, 1)):
        for name, each in values.items():
            for value in each:
                problems = Problems(Path())
                record = reading.read(kind, {**field, name: value}, Path("f"), problems)
                assert len(problems.found) == count
                assert (getattr(record, name) == value) is (count == 0)


def test_an_empty_record_has_the_documented_defaults() -> None:
    record = RunRecord()
    assert record.as_json() == {
        "schema": 1, "id": "", "started": None, "finished": None, "state": "finished", "command": [], "grid": "",
        "machine": {
            "name": "unknown", "cpu": "unknown", "arch": "", "cores_physical": None, "cores_logical": None,
            "memory_bytes": None, "os": "", "caches": {}, "gpu": [],
        },
        "threads": {
            "numba": None, "waiting": None, "layer": None, "quota": None, "affinity": None, "variables": {},
        },
        "precheck": None, "load_average": {"start": None, "end": None}, "versions": {},
        "source": {
            "version": None, "commit": None, "branch": None, "dirty": None, "repository": None, "content": None,
        },
        "array": None, "implementations": [], "warnings": [], "rounds": 0, "disturbance": None, "simulated": False,
        "device": None,
    }  # fmt: skip
    assert run.Implementation(operation="softmax", name="a").as_json() == {
        "operation": "softmax", "name": "a", "origin": "", "status": "available", "reason": "", "device": None,
        "threads": None, "dtypes": [], "differs": {}, "doc": "", "source": None, "file": None, "repository": None,
    }  # fmt: skip
    assert run.Array(path="x").as_json() == {"path": "x", "key": None, "axis": None, "shape": [], "dtype": ""}
    assert run.Gpu(name="G").as_json() == {"name": "G", "driver": None}
    noise = {"visible": 0.5, "bias": -0.25, "spread": 0.125, "processes": 3}
    assert run.Noise(visible=0.5, bias=-0.25, spread=0.125, processes=3).as_json() == noise
    assert run.Disturbance().as_json() == {"seconds": None, "others": None, "throttled": None, "slower": None}
    assert run.Precheck(seconds=1.0, threads=2).as_json() == {
        "seconds": 1.0, "threads": 2, "layer": None, "quota": None, "others": None, "throttled": None, "slower": None,
        "noise": {}, "problem": "",
    }  # fmt: skip


def test_results_are_kept_by_the_commit_else_by_the_content() -> None:
    sources = (Source(commit="a", content="b"), Source(content="b"), Source())
    assert [RunRecord(source=source).identity for source in sources] == ["a", "b", "unknown"]


def test_the_time_is_in_utc_and_whole_seconds() -> None:
    now = run.now()
    assert (now.tzinfo, now.microsecond) == (datetime.UTC, 0)
    assert abs((datetime.datetime.now(datetime.UTC) - now).total_seconds()) < 60


def test_a_folder_without_a_record_has_no_problem(tmp_path: Path) -> None:
    problems = Problems(tmp_path)
    assert run.load(tmp_path, problems) is None
    assert problems.found == []


def test_a_run_without_a_record_is_called_by_its_folder(tmp_path: Path) -> None:
    bare = runs.Run(tmp_path / "mine", runs.asv_results.Results())
    assert (bare.about, bare.label, bare.state) == (RunRecord(), "mine", "finished")
    assert (bare.record, bare.journal, bare.findings, bare.warnings) == (None, {}, [], [])
    named = runs.Run(tmp_path, bare.results, RunRecord(id="run-1", state="failed"))
    assert (named.about, named.label, named.state) == (named.record, "run-1", "failed")


@pytest.mark.parametrize("place", ["asv/results", "results", "."])
def test_results_are_found_in_each_kind_of_folder(tmp_path: Path, place: str) -> None:
    Results().add("softmax.Sweep.time_call", ("a", "float32", 2), [[1.0]]).write(tmp_path / place, run=False)
    found = runs.read(tmp_path)
    assert [file.machine for file in found.results.files] == ["box"]
    assert (found.folder, found.record, found.warnings) == (tmp_path, None, [])


def test_a_whole_run_folder_is_read(tmp_path: Path) -> None:
    results = Results().add("softmax.Sweep.time_call", ("a", "float32", 2), [[1.0]])
    results.write(tmp_path, side={"warnings": ["the run's"], "rounds": -1}, findings=[*findings(("a",), 1), {}])
    (tmp_path / "asv" / "results" / "box" / "bad.json").write_text("{")
    found = runs.read(tmp_path)
    assert (found.label, len(found.results.files), len(found.journal), len(found.findings)) == ("run-1", 1, 1, 3)
    said = ("run.json: rounds: ", "agreement.json: finding 4: ", "bad.json: truncated", "the run's")
    assert [words in warning for words, warning in zip(said, found.warnings, strict=True)] == [True] * 4


def test_a_run_whose_first_round_has_not_ended_holds_no_results_of_asv(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(side_car("box")))
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "other.json").write_text("{}")
    found = runs.read(tmp_path)
    assert (found.label, found.results, found.warnings) == ("run-1", runs.asv_results.Results(), [])


def test_any_part_makes_a_results_folder(tmp_path: Path) -> None:
    line = {"benchmark": "argmax.Sweep", "params": ["'a'"], "status": "ok"}
    parts = {
        "journal.jsonl": json.dumps(line), "agreement.json": json.dumps(findings(("a",), 1)),
        "results/box/machine.json": '{"cpu": "A CPU"}', "results/box/bad.json": "{", "run.json": '{"schema": 1}',
    }  # fmt: skip
    for number, (name, words) in enumerate(parts.items()):
        path = tmp_path / str(number) / name
        path.parent.mkdir(parents=True)
        path.write_text(words)
        assert runs.read(tmp_path / str(number)).folder == tmp_path / str(number)


def test_what_is_no_results_folder_is_refused_with_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(runs.NoResults, match="absent: no such folder"):
        runs.read(tmp_path / "absent")
    (tmp_path / "run.json").write_text('{"schema": 2}')
    with pytest.raises(runs.NoResults) as caught:
        runs.read(tmp_path)
    assert str(caught.value).splitlines() == [
        f"{tmp_path}: no results here; expected a folder that `maxbench run --output` wrote, or asv's results folder",
        f"set aside {tmp_path / 'run.json'}: schema 2, expected 1",
    ]


@pytest.mark.parametrize("state", ["running", "interrupted", "failed", "finished"])
def test_a_run_that_has_not_finished_has_what_its_journal_holds(tmp_path: Path, state: str) -> None:
    results = Results().add("softmax.Sweep.time_call", ("a", "float32", 2), [[1.0]])
    results.notes[0]["samples"] = [2.0]
    results.write(tmp_path, side={"state": state})
    about = {"softmax.Sweep.time_call": {"params": [["'a'"], ["'float32'"], ["2"]]}}
    (tmp_path / "asv" / "results" / "benchmarks.json").write_text(json.dumps(about))
    (file,) = runs.read(tmp_path).results.files
    assert file.measurements[0].value == (1.0 if state == "finished" else 2.0)
