"""Reading records: each field has its type and its bounds, and one that is wrong costs itself alone."""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from maxbench.bench.processes.link import printable
from maxbench.bench.processes.messages import Seconds
from maxbench.impls.agreement import Finding
from maxbench.reports.analysis import content
from maxbench.reports.records import asv_results, findings, journal, reading, run, runs
from maxbench.reports.records.journal import Line
from maxbench.reports.records.reading import Problems, Unreadable
from maxbench.reports.records.run import Disturbance, Gpu, Machine, RunRecord
from maxbench.reports.show import terminal
from tests.report_data import COLUMNS, Results, side_car

JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda parts: some.lists(parts, max_size=4) | some.dictionaries(some.text(), parts, max_size=4),
    max_leaves=12,
)


def loaded(folder: Path, **changes: Any) -> tuple[RunRecord | None, list[str]]:
    (folder / "run.json").write_text(json.dumps(side_car("box") | changes))
    problems = Problems(folder)
    return run.load(folder, problems), [f"{p.field}: {p.reason}" for p in problems.found]


def test_a_record_is_written_and_read_as_it_was(tmp_path: Path) -> None:
    record, said = loaded(tmp_path, more={"of": "another version"}, machine={"name": "box", "more": 1})
    assert said == []
    assert record is not None
    record.state, record.disturbance = "interrupted", [Disturbance(seconds=1.5, others=0.25)]
    record.save(tmp_path)
    again = run.load(tmp_path, Problems(tmp_path))
    assert again == record
    assert again.unknown == {"more": {"of": "another version"}}
    assert again.machine.unknown == {"more": 1}
    assert json.loads((tmp_path / "run.json").read_text())["machine"]["more"] == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"threads": {"numba": True}}, "threads.numba: Expected int | null, got bool; it is true"),
        ({"threads": {"numba": 0}}, "threads.numba: Expected int >= 1; it is 0"),
        ({"machine": {"name": 3}}, "machine.name: Expected str, got int; it is 3"),
        ({"machine": {"caches": {"L1d": -1, "L2": 8}}}, "machine.caches.L1d: Expected int >= 1; it is -1"),
        ({"machine": {"gpu": [{"name": "G"}, 3]}}, "machine.gpu[1]: Expected object, got int; it is 3"),
        ({"state": "over"}, "state: Expected one of running, interrupted, failed, finished; it is \"over\""),
        ({"started": "yesterday"}, "started: Invalid RFC3339 encoded datetime; it is \"yesterday\""),
        ({"started": "2026-01-02T03:04:05"}, "started: Expected datetime with a timezone component; it is"),
        ({"rounds": -1}, "rounds: Expected int >= 0; it is -1"),
        ({"rounds": 10**400}, "rounds: Expected int <= 9007199254740992; it is 1000"),
        ({"load_average": {"end": [0.1, math.inf]}}, "load_average.end[1]: Expected float <= 1e+18; it is Infinity"),
        ({"disturbance": [{"slower": 0}]}, "disturbance[0].slower: Expected float > 0.0; it is 0"),
        ({"implementations": [{"operation": "max", "name": "a"}]}, "implementations[0].operation: Expected one of"),
        ({"implementations": [{"operation": "argmax"}]}, "implementations[0]: has no name"),
        ({"command": "maxbench"}, "command: Expected array, got str; it is \"maxbench\""),
    ],
)  # fmt: skip
def test_a_field_that_is_wrong_is_named_and_the_rest_is_read(tmp_path: Path, changes: Any, said: str) -> None:
    record, problems = loaded(tmp_path, **changes)
    assert len(problems) == 1
    assert problems[0].startswith(said)
    assert record is not None
    assert record.id == "run-1"
    assert record.versions["numpy"] == "2.4.6"


def test_parts_of_lists_and_tables_that_are_right_are_kept(tmp_path: Path) -> None:
    listed = [
        {"operation": "argmax", "name": "a"},
        {"operation": "argmax", "name": []},
        {"operation": "softmax", "name": "b"},
    ]
    record, said = loaded(tmp_path, implementations=listed, machine={"caches": {"L1d": 0, "L2": 8}})
    assert record is not None
    assert [one.name for one in record.implementations] == ["a", "b"]
    assert record.machine.caches == {"L2": 8}
    assert len(said) == 2


@pytest.mark.parametrize("schema", [2, 0, True, "1", None, 1.0])
def test_another_schema_is_not_read(tmp_path: Path, schema: Any) -> None:
    record, said = loaded(tmp_path, schema=schema)
    assert record is None
    assert said == [f": schema {json.dumps(schema)}, expected 1"]


@given(JSON)
def test_whatever_json_holds_a_record_or_a_problem_comes_of_it(value: Any) -> None:
    for kind in (RunRecord, Line, Machine):
        problems = Problems(Path())
        record = reading.read(kind, value, Path("f"), problems) if isinstance(value, dict) else None
        assert record is None or reading.read(kind, record.as_json(), Path("f"), Problems(Path())) == record
        for line in problems.lines():
            assert line.isprintable()


@given(some.text() | some.text("\x1b\u202e\ud800 a\n\t"))
def test_texts_are_made_printable(text: str) -> None:
    found = reading.parse(json.dumps({text: [text]}))
    ((key, (value,)),) = found.items()
    assert key == value == printable(text)
    assert value.replace("\n", "").replace("\t", "").isprintable()
    assert len(value) == len(text)
    value.encode()


@given(some.floats() | some.integers() | some.booleans())
def test_seconds_are_finite_and_positive(value: Any) -> None:
    if type(value) in (int, float) and 0 < value <= 1e9:
        assert reading.convert(Seconds, value) == value
    else:
        with pytest.raises(Unreadable, match="it is"):
            reading.convert(Seconds, value)


def test_only_regular_files_inside_the_folder_are_read(tmp_path: Path) -> None:
    folder, secret = tmp_path / "run", tmp_path / "secret.json"
    folder.mkdir()
    secret.write_text("{}")
    (folder / "inside.json").write_text("[1]")
    (folder / "link.json").symlink_to("inside.json")
    (folder / "out.json").symlink_to(secret)
    (folder / "loop.json").symlink_to("loop.json")
    (folder / "zero.json").symlink_to("/dev/zero")
    (folder / "latin.json").write_bytes(b'"\xe9"')
    (folder / "deep.json").write_text("[" * 200_000)
    os.mkfifo(folder / "fifo.json")
    (folder / "folder.json").mkdir()
    with open(folder / "large.json", "wb") as file:
        file.truncate(reading.MOST_BYTES + 1)
    problems = Problems(folder)
    names = ("none", "inside", "link", "out", "loop", "zero", "latin", "deep", "fifo", "folder", "large")
    assert [reading.load(folder / f"{name}.json", problems) for name in names] == [None, [1], [1], *[None] * 8]
    said = [str(problem).removeprefix(f"set aside {folder}/") for problem in problems.found]
    assert said == [
        "out.json: is a link that leads out of the folder",
        "loop.json: is a loop of links",
        "zero.json: is a link that leads out of the folder",
        "latin.json: is not UTF-8 text",
        "deep.json: is nested too deeply",
        "fifo.json: is not a regular file",
        "folder.json: is not a regular file",
        "large.json: has 268,435,457 bytes, more than the 268,435,456 that are read",
    ]


def test_a_file_that_grows_is_not_read_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.json").write_text("{}" + " " * 100)
    monkeypatch.setattr(reading, "MOST_BYTES", 50)
    monkeypatch.setattr(reading.os, "fstat", lambda handle: os.stat_result((0o100644, *[0] * 9)))
    with pytest.raises(Unreadable, match="grows beyond the 50 bytes that are read"):
        reading.read_text(tmp_path / "run.json", tmp_path)


def test_a_file_of_the_largest_size_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.json").write_text("[12]")
    monkeypatch.setattr(reading, "MOST_BYTES", 4)
    assert reading.read_text(tmp_path / "run.json", tmp_path) == "[12]"
    monkeypatch.setattr(reading, "MOST_BYTES", 3)
    with pytest.raises(Unreadable, match="has 4 bytes, more than the 3 that are read"):
        reading.read_text(tmp_path / "run.json", tmp_path)


@pytest.mark.parametrize("number", [errno.EIO, errno.ELOOP, errno.EDQUOT])
def test_what_the_system_refuses_is_named_and_nothing_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "run.json").write_text("{}")
    handles = Path("/proc/self/fd")
    opened = len(list(handles.iterdir())) if handles.exists() else 0

    def refuse(*_: Any) -> Any:
        raise OSError(number, "refused")

    for name in ("open", "fstat"):
        with monkeypatch.context() as patch:
            patch.setattr(reading.os, name, refuse)
            problems = Problems(tmp_path)
            assert reading.load(tmp_path / "run.json", problems) is None
            loop = number == errno.ELOOP and name == "open"
            assert [one.reason for one in problems.found] == ["is a loop of links" if loop else "refused"]
    assert reading.load(tmp_path / "run.json", Problems(tmp_path)) == {}
    assert (len(list(handles.iterdir())) if opened else 0) == opened


@pytest.mark.parametrize("count", [1, 5, 6, 1005])
def test_of_many_problems_five_are_named(count: int) -> None:
    problems = Problems(Path())
    for k in range(count):
        problems.add(Path("a"), f"{k}", "wrong")
    problems.add(Path("b"), "", "gone")
    named = [f"a: {k}: wrong" for k in range(min(count, 5))]
    more = [f"a: {count - 5:,} more of the kind"] if count > 5 else []
    assert problems.lines() == [*named, *more, "set aside b: gone"]


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (int, "x" * 58, f'Expected int, got str; it is "{"x" * 58}"'),
        (int, "x" * 59, f'Expected int, got str; it is "{"x" * 59}...'),
        (int, {"a": 1, "b": 2}, "Expected int, got object; it is an object of 2"),
        (int, [0] * 1000, "Expected int, got array; it is a list of 1,000"),
        (list[Machine], [{}, {"caches": {"L1": 0, "L2": 1}}],
         "[1].caches[...]: Expected int >= 1; it is an object of 2"),
        (list[Machine], [{}, {"gpu": [{}]}], "[1].gpu[0]: Object missing required field name; it is an object of 0"),
        (list[Machine], [{}, {"gpu": [{"name": "x"}, {"name": 3}]}], "[1].gpu[1].name: Expected str, got int; it is 3"),
        (dict[str, Machine], {"a": {"name": 3}}, "[...].name: Expected str, got int; it is an object of 1"),
        (dict[str, list[int]], {"a": ["x"]}, "[...][0]: Expected int, got str; it is an object of 1"),
        (Literal["a", "b"], "c", 'Expected one of a, b; it is "c"'),
    ],
)  # fmt: skip
def test_a_refusal_says_where_what_is_accepted_and_what_it_is(kind: Any, value: Any, said: str) -> None:
    with pytest.raises(Unreadable) as caught:
        reading.convert(kind, value)
    assert str(caught.value) == said
    with pytest.raises(Unreadable, match="Number out of range; it is a int"):
        reading.convert(Seconds, 10**5000)


def test_an_object_is_loaded_and_other_values_are_problems(tmp_path: Path) -> None:
    for words, value, said in (("{}", {}, []), ("[1]", None, ["holds a list of 1, not an object"]), ("{", None, [
        "truncated or not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"
    ]), ("null", None, [])):  # fmt: skip
        (tmp_path / "a.json").write_text(words)
        problems = Problems(tmp_path)
        assert reading.load_object(tmp_path / "a.json", problems) == value
        assert [problem.reason for problem in problems.found] == said


def test_records_are_plain_for_json() -> None:
    record = Machine(name="box", caches={"L1": 1}, gpu=[Gpu(name="G", unknown={"more": 1})])
    found = reading.plain({"a": [record], "b": (1, None), "c": {"d": record}})
    assert found == json.loads(json.dumps(found))
    assert found["a"][0] == found["c"]["d"]
    assert (found["a"][0]["caches"], found["a"][0]["gpu"][0]["more"], found["b"]) == ({"L1": 1}, 1, [1, None])


def test_what_is_required_and_wrong_costs_the_record_and_is_named_once() -> None:
    for value, said in (
        ({"name": 3}, ["name: Expected str, got int; it is 3"]),
        ({}, ["machine.gpu: has no name"]),
        ({"name": "G", "driver": 3}, ["driver: Expected str | null, got int; it is 3"]),
    ):
        problems = Problems(Path())
        record = reading.read(Gpu, value, Path("f"), problems, "" if value else "machine.gpu.")
        assert [f"{problem.field}: {problem.reason}" for problem in problems.found] == said
        assert record == (Gpu(name="G") if "driver" in value else None)


def test_many_problems_of_a_file_are_counted(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text("[]\n" * 8)
    problems = Problems(tmp_path)
    assert journal.load(tmp_path, problems) == {}
    assert problems.lines()[0] == f"{tmp_path / 'journal.jsonl'}: line 1: left out: holds a list of 0, not an object"
    assert problems.lines()[5:] == [f"{tmp_path / 'journal.jsonl'}: 3 more of the kind"]


def test_lines_of_the_journal_are_kept_in_order_and_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / journal.FILE
    for repeat in (1, 2):
        journal.append(path, Line(benchmark="argmax.Sweep", params=["'a'", "2"], status="ok", repeat=repeat))
    with open(path, "a") as file:
        for change in (
            {"repeat": 0, "shape": [1, 2]},
            {"shape": [1, 2, 3, 4]},
            {"status": "fine"},
            {"repeat": 7, "detail": "\x1b"},
        ):
            line = {"benchmark": "argmax.Sweep", "params": ["'a'", "2"], "status": "ok"} | change
            file.write(json.dumps(line) + "\n")
        file.write('{"benchmark": "argm')
    problems = Problems(tmp_path)
    found = journal.load(tmp_path, problems)
    assert [line.repeat for line in found["argmax.Sweep", ("'a'", "2")]] == [1, 2, None, None, 7]
    assert found["argmax.Sweep", ("'a'", "2")][-1].detail == "\ufffd"
    assert [problem.field for problem in problems.found] == [
        "line 3: shape", "line 3: repeat", "line 4: shape", "line 5: status", "line 7",
    ]  # fmt: skip


def test_findings_are_left_out_one_by_one(tmp_path: Path) -> None:
    good = {"operation": "softmax", "implementation": "a", "case": "c", "dtype": "float32", "status": "agrees"}
    (tmp_path / findings.FILE).write_text(json.dumps([good, {**good, "status": "fine"}, {"operation": "softmax"}, 3]))
    problems = Problems(tmp_path)
    assert [finding.as_dict() for finding in findings.load(tmp_path, problems)] == [
        {**good, "detail": "", "declared": "", "unsized": False}
    ]
    assert [problem.field for problem in problems.found] == ["finding 2", "finding 3", "finding 4"]


def test_findings_are_written_and_read_as_they_were(tmp_path: Path) -> None:
    assert findings.load(tmp_path, problems := Problems(tmp_path)) == []
    given = [Finding("softmax", "a", "ties", "float32", "agrees"), Finding("argmax", "b", "", "", "failed", "why")]
    findings.save(tmp_path, given)
    assert findings.load(tmp_path, problems) == given
    findings.save(tmp_path, [])
    assert findings.load(tmp_path, problems) == []
    assert problems.found == []
    (tmp_path / findings.FILE).write_text("{}")
    assert findings.load(tmp_path, problems) == []
    assert [problem.reason for problem in problems.found] == ["holds an object of 0, not a list of findings"]


def _file(folder: Path, **row: Any) -> asv_results.Results:
    """asv's results of two cells, with other columns in the row of the benchmark."""
    samples = [[1.0, 1.1, 1.2], [2.0, 2.1, 2.2]]
    columns = {
        "result": [1.1, 2.1], "params": [["'a'", "'b'"]], "version": "1", "started_at": 1, "samples": samples,
        "stats_ci_99_a": [1.0, 2.0], "stats_ci_99_b": [1.2, 2.2], **row,
    }  # fmt: skip
    folder = Results().add("softmax.Sweep.time_call", ("a",), [[1.0]]).write(folder, run=False)
    (path,) = folder.glob("*/*-env.json")
    data = json.loads(path.read_text())
    data["results"] = {"softmax.Sweep.time_call": [columns.get(name) for name in COLUMNS]}
    path.write_text(json.dumps(data))
    return asv_results.read(folder)


@pytest.mark.parametrize(
    ("row", "kept", "said"),
    [
        ({}, [1.1, 2.1], ""),
        ({"result": [True, 2.1]}, [2.1], "('a'): left out: Expected float, got bool; it is true"),
        ({"result": [0, 2.1], "samples": None}, [2.1], "('a'): left out: Expected float > 0.0; it is 0"),
        ({"result": [-1.0, 2.1], "samples": None}, [2.1], "('a'): left out: Expected float > 0.0; it is -1.0"),
        ({"result": [1e400, 2.1], "samples": None}, [2.1], "('a'): left out: Expected float <= 1000000000.0; it is"),
        ({"result": [10**400, 2.1], "samples": None}, [2.1], "('a'): left out: Number out of range"),
        ({"result": ["fast", 2.1]}, [2.1], "('a'): left out: Expected float, got str; it is \"fast\""),
        ({"result": [5.0, 2.1]}, [2.1], "('a'): left out: its result 5 is not the median of its samples, 1 to 1.2"),
        ({"samples": [[1.0, -1.0, 1.2], [2.1]]}, [2.1], "('a'): left out: [1]: Expected float > 0.0; it is -1.0"),
        ({"stats_ci_99_a": [1.15, 2.0]}, [2.1], "('a'): left out: its interval, 1.15 to 1.2, does not contain"),
        ({"stats_ci_99_b": [1.05, 2.2]}, [2.1], "('a'): left out: its interval, 1 to 1.05, does not contain"),
        ({"stats_ci_99_a": [-0.5, 2.0]}, [1.1, 2.1], ""),  # asv's of a few samples
        ({"stats_ci_99_a": [-1e400, 2.0]}, [1.1, 2.1], ""),
        ({"stats_ci_99_a": ["low", 2.0]}, [2.1], "('a'): left out: Expected float, got str; it is \"low\""),
        ({"result": [1.1]}, [], ": result does not hold one value for each of 2 sets of parameters"),
        ({"params": [["'a'"] * 1000] * 6}, [], ": has 1,000,000,000,000,000,000 sets of parameters, more than"),
        ({"params": 3}, [], ": Expected array, got int; it is 3"),
        ({"started_at": "noon"}, [1.1, 2.1], ".started_at: Expected float | null, got str; it is \"noon\""),
    ],
)  # fmt: skip
def test_a_cell_of_asv_that_is_wrong_is_left_out_alone(tmp_path: Path, row: Any, kept: list[float], said: str) -> None:
    found = _file(tmp_path, **row)
    assert [m.value for file in found.files for m in file.measurements] == kept
    assert [w.partition("softmax.Sweep.time_call")[2][: len(said)] for w in found.warnings] == ([said] if said else [])
    few = "stats_ci_99_a" in row and kept == [1.1, 2.1]
    assert [m.low for file in found.files for m in file.measurements if m.value == 1.1] == (
        [None if few else 1.0] if 1.1 in kept else []
    )


def test_nulls_and_nans_are_failures_and_skips(tmp_path: Path) -> None:
    found = _file(tmp_path, result=[None, math.nan])
    assert [m.status for file in found.files for m in file.measurements] == ["failed", "skipped"]


def test_a_machine_that_is_a_path_is_not_taken_for_one(tmp_path: Path) -> None:
    for name, ok in {"box": True, "/x": False, "..": False, "a/b": False, "": False, 3: False}.items():
        folder = Results().add("softmax.Sweep.time_call", ("a",), [[1.0]]).write(tmp_path / "results", run=False)
        (path,) = folder.glob("*/*-env.json")
        path.write_text(json.dumps({**json.loads(path.read_text()), "params": {"machine": name}}))
        found = asv_results.read(folder)
        assert [file.machine for file in found.files] == ["box"]
        assert bool(found.warnings) is not ok, name


def test_two_environments_of_a_commit_are_two_runs(tmp_path: Path) -> None:
    for environment, seconds in (("one", 1.0), ("two", 3.0)):
        folder = Results().add("softmax.Sweep.time_call", ("a", "float32", 2), [[seconds]]).write(tmp_path, run=False)
        (path,) = folder.glob("*/*-env.json")
        path.write_text(json.dumps({**json.loads(path.read_text()), "env_name": environment}))
        path.rename(path.with_name(f"01234567-{environment}.json"))
    frame = runs_table(tmp_path)
    assert dict(zip(frame["run"], frame["value"], strict=True)) == {"box/01234567 one": 1.0, "box/01234567 two": 3.0}


def runs_table(folder: Path) -> Any:
    from maxbench.reports.analysis import table

    return table.frame([runs.read(folder)])


def test_journals_of_older_versions_have_wrong_results(tmp_path: Path) -> None:
    line = {"benchmark": "argmax.Sweep", "params": ["'a'"], "status": "failed"}
    said = ["RuntimeError: wrong result: at (0, 1)", "RuntimeError: out of memory"]
    lines = [*({**line, "detail": detail} for detail in said), {**line, "detail": said[0], "round": 0}]
    (tmp_path / journal.FILE).write_text("".join(json.dumps(one) + "\n" for one in lines))
    (found,) = journal.load(tmp_path, Problems(tmp_path)).values()
    assert [(one.status, one.detail) for one in found] == [
        ("wrong", "at (0, 1)"), ("failed", said[1]), ("failed", said[0]),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "plain"])
def test_a_spreadsheet_takes_no_text_for_a_formula(tmp_path: Path, name: str) -> None:
    Results().add("softmax.Sweep.time_call", (name, "float32", 2), [[1.0, 1.0]] * 3).write(tmp_path)
    stream = io.StringIO()
    terminal.show(content.gather([tmp_path]), "csv", stream)
    (row,) = csv.DictReader(stream.getvalue().splitlines())
    assert row["implementation"] == (name if name == "plain" else f"'{name}")
    assert row["value"] == "1.0"
