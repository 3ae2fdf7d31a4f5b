"""`maxbench side-by-side`: the records it leaves are those that its processes measured, and reports read them."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from maxbench import reports
from maxbench.bench.inputs import grid, workloads
from maxbench.bench.workers.turns import CEILING
from maxbench.reports.analysis.content import gather
from maxbench.reports.commands import main
from maxbench.reports.measure import precheck
from maxbench.reports.measure.side_by_side import results, session
from maxbench.reports.measure.side_by_side.results import Timing
from maxbench.reports.measure.side_by_side.session import OURS
from maxbench.reports.records.run import Precheck, RunRecord
from maxbench.reports.show import asv_pages
from tests.plugins import Install


def timing(implementation: str, *samples: float, **more: Any) -> Timing:
    values = {
        "operation": "softmax", "threads": 2, "dtype": "float32", "case": "n = 2^4", "outer": 65536,
        "n": 16, "inner": 1,
        "implementation": implementation, "seconds": statistics.median(samples), "low": min(samples),
        "high": max(samples), "gigabytes_per_second": 1.0, "ulp": 2.5, "remark": "", "samples": samples, "number": 7,
        **more,
    }  # fmt: skip
    return Timing(**values)


@pytest.fixture(scope="module")
def side() -> RunRecord:
    plan = session.Plan(Path(), ["softmax"], ["float32"], [2], machine="some machine")
    return session._begin(plan, 2, None)


def recorded(folder: Path, side: RunRecord, *processes: list[Timing]) -> Path:
    side.state = "finished"
    results.record(folder, side, processes)
    return folder


def test_a_report_reads_what_was_measured(tmp_path: Path, side: RunRecord) -> None:
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


def test_asv_publishes_what_was_measured(tmp_path: Path, side: RunRecord) -> None:
    found = [timing(OURS, 1e-3), timing("numpy_vectorized", 2e-3), timing(CEILING, 5e-4)]
    index = asv_pages.publish([recorded(tmp_path / "run", side, found)], tmp_path / "html")
    assert "softmax.Sweep.time_call" in index.read_text("utf-8")


def test_the_contests_name_their_axis_and_their_ceiling(tmp_path: Path, side: RunRecord) -> None:
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


def test_a_wrong_result_is_not_ranked(tmp_path: Path, side: RunRecord) -> None:
    wrong = timing(OURS, 1e-3, status="wrong", remark="at (0, 1, 0): expected 1, got 2")
    found = [wrong, timing("onnx_runtime", 2e-3)]
    content = gather([recorded(tmp_path / "run", side, found)])
    (contest,) = content.contests
    assert [cell.implementation for cell in contest.ranked] == ["onnx_runtime"]
    (row,) = content.table[content.table["implementation"] == OURS][lambda t: t["statistic"] == "time"].to_dict(
        "records"
    )
    assert (row["status"], row["reason"]) == ("wrong", "at (0, 1, 0): expected 1, got 2")


@pytest.fixture
def no_precheck(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine can see is not what is tested here, and takes seconds."""
    monkeypatch.setattr(precheck, "take", lambda threads: Precheck(seconds=0.1, threads=threads, problem="not asked"))


@pytest.mark.usefixtures("no_precheck")
def test_the_command_measures_and_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # One peer, whose arrays are not NumPy's: starting all of them takes most of a minute.
    assert set(session._contestants("argmax")) == {OURS, "numpy_vectorized", *grid.PEERS["argmax"]}
    monkeypatch.setattr(session, "_contestants", lambda operation: (OURS, "numpy_vectorized", "onnx_runtime"))
    folder = tmp_path / "out"
    arguments = ["--operation", "argmax", "--dtype", "float32", "--input", "n = 2^4*", "--samples", "2"]
    arguments += ["--processes", "1", "--threads", "1", "--machine", "some machine", "--output", str(folder)]
    assert main.main(["side-by-side", *arguments]) == 0
    said = capsys.readouterr()
    assert "### argmax, float32, 1 thread" in said.out
    assert said.out.count("| n = 2^4") == 2
    assert "what this machine can see today is not known: not asked" in said.err
    assert "### argmax, float32, 1 thread" in (folder / "side-by-side.md").read_text("utf-8")
    assert (folder / "index.html").is_file()
    table = reports.load(folder / "1-thread")
    assert {OURS, "numpy_vectorized", CEILING} <= set(table["implementation"])
    assert set(table["benchmark"]) == {"Sweep", "Strided", "Ceiling"}
    times = table[table["implementation"] == OURS]
    # It reads every element, and writes a position of eight bytes for each row.
    moved = times["outer"] * times["n"] * times["inner"] * 4 + times["outer"] * times["inner"] * 8
    assert list(times["bandwidth"]) == pytest.approx(list(moved / times["value"] / 1e9))
    assert (times["value"] > 0).all()
    # asv's interval of so few samples may reach below zero, and is none then.
    known = times[times["interval"] != "none"]
    assert ((known["low"] <= known["value"]) & (known["value"] <= known["high"]) & (known["low"] >= 0)).all()
    assert times[times["interval"] == "none"]["low"].isna().all()
    written = json.loads((folder / "1-thread" / "run.json").read_text("utf-8"))
    assert (written["state"], written["threads"]["numba"]) == ("finished", 1)
    assert {one["name"] for one in written["implementations"]} >= {OURS, "numpy_vectorized"}


@pytest.mark.usefixtures("no_precheck")
def test_wrong_and_crashing_ones_are_said_last_and_in_the_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], install: Install, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    source = """
        from maxbench import implements

        @implements(dtypes=("float32",))
        def run(x, out):
            {}
            return out
    """
    bodies = {"zeros": "out[...] = 0", "dies": "import os; os.abort()"}
    install({k: source.format(v) for k, v in bodies.items()}, {f"argmax.{name}": name for name in bodies})
    monkeypatch.setattr(session, "_contestants", lambda operation: ("numpy_vectorized", *bodies))
    folder = tmp_path / "out"
    arguments = ["--operation", "argmax", "--dtype", "float32", "--input", "ImageNet", "--samples", "1"]
    arguments += ["--processes", "1", "--threads", "2", "--output", str(folder)]
    assert main.main(["side-by-side", *arguments]) == 1
    last = capsys.readouterr().err.strip().splitlines()[-2:]
    wrong = next(line for line in last if line.startswith("wrong: argmax.zeros, float32 ImageNet: at ("))
    assert ", got 0 (x = " in wrong
    assert "failed: argmax.dies, float32 ImageNet: its process ended: killed by SIGABRT" in last
    table = reports.load(folder / "2-threads").set_index("implementation")
    assert dict(table["status"]) == {"numpy_vectorized": "ok", "zeros": "wrong", "dies": "failed", CEILING: "ok"}
    assert set(table["threads"]) == {2}
    assert json.loads((folder / "2-threads" / "run.json").read_text("utf-8"))["threads"]["numba"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no such input"], "--input 'no such input' matches no input: they are two-class filter"),
        (["ImageNet", "Imagenet*"], "--input 'Imagenet*' matches no input"),
    ],
)
def test_inputs_that_are_not_there_are_named(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["side-by-side", *(word for name in arguments for word in ("--input", name))]) == 2
    assert message in capsys.readouterr().err


def test_inputs_are_chosen_by_patterns() -> None:
    def chosen(*patterns: str) -> list[str]:
        plan = session.Plan(Path(), ["softmax"], ["float32"], [1], inputs=patterns, step=12)
        return [name for name, _ in plan.shapes]

    swept = ["n = 2^1", "n = 2^13"]
    assert chosen("n = *")[:2] == swept
    assert chosen("n = 2^?") == swept[:1]
    assert chosen("ImageNet", "n = 2^??") == ["ImageNet", *swept[1:]]
    assert chosen() == [name for name, _ in workloads.cells(12)]


def test_the_names_of_inputs_are_those_of_the_cells() -> None:
    for case, (_, n, inner) in workloads.cells():
        found = results._key(timing(OURS, 1.0, case=case, n=n, inner=inner))[0]
        swept = "Strided" if inner > 1 else "Sweep"
        assert found == f"softmax.{swept if case.startswith('n = ') else 'Workloads'}"
