"""The device report: its results are read like the CPU's, whatever happens to it; and a rehearsal in the simulator."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maxbench import impls, reports
from maxbench.bench.inputs import device_cells
from maxbench.bench.processes import launch
from maxbench.bench.processes.messages import AnyTask, CellTask, CheckTask, DescribeTask, Gpu, LaunchTask, Outcome
from maxbench.impls import contract
from maxbench.impls.agreement import Finding
from maxbench.reports.analysis.content import gather
from maxbench.reports.commands import main
from maxbench.reports.measure import environment
from maxbench.reports.measure.device.report import REPORT_SECONDS, NoDevice, Plan, Report, probe
from maxbench.reports.measure.device.tasks import CHECK_SECONDS
from maxbench.reports.system import usage
from tests.impls.cuda.fakes import Clock, Does, Worker, measured

H200 = Gpu("NVIDIA H200", simulated=False, cache_bytes=60 << 20, compute_capability="9.0")
NAMES = ("numba_cuda", "torch_cuda")


@pytest.fixture(scope="module", autouse=True)
def _machine_asked_once() -> Iterator[None]:
    """What the machine is takes seconds to find out, and is the same for every report."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("machine", "threads", "source"):
            patch.setattr(environment, name, functools.cache(getattr(environment, name)))
        yield


def run(folder: Path, does: Does, seconds: float = 480.0, each: float = 0.5) -> Report:
    """A report on a device that is pretended, by a worker that takes `each` seconds for a part."""
    folder.mkdir()
    clock = Clock()
    entries = [e for e in impls.catalogue() if e.name in NAMES]
    report = Report(Plan(folder, entries, None, seconds, 0.1, machine="box"), H200, clock=clock)
    report.run(
        lambda line, done, total: None, lambda left: Worker(left, clock, each, does), clock=clock, sleep=clock.sleep
    )
    assert clock.now <= seconds - REPORT_SECONDS + each
    return report


def does(task: AnyTask, name: str) -> Outcome | str:
    if isinstance(task, DescribeTask) and (task.operation, name) == ("argmax", "torch_cuda"):
        return Outcome("skipped", "PyTorch finds no CUDA device")
    if isinstance(task, CellTask) and task.cell.label == 1024 and name == "torch_cuda":
        if task.operation == "argmax":
            return "killed by signal 11"
        if task.cell.dtype == "float32":
            return Outcome("wrong", "at (0, 0, 0)")
    return measured(task, name)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return run(tmp_path_factory.mktemp("device") / "run", does)


def test_the_results_are_read_like_the_cpus(finished: Report) -> None:
    table = reports.load(finished.plan.folder)
    assert set(table["operation"]) == {"softmax", "argmax"}
    times = table[(table["benchmark"] == "Sweep") & (table["operation"] == "softmax") & (table["n"] == 16384)]
    mine = times[(times["implementation"] == "numba_cuda") & (times["dtype"] == "float32")].iloc[0]
    assert mine["value"] == pytest.approx(1.04e-3)
    assert (mine["low"], mine["high"]) == pytest.approx((1e-3, 1.08e-3))
    assert mine["bandwidth"] == pytest.approx((1 << 30) / 1.04e-3 / 1e9)
    assert (mine["outer"], mine["inner"]) == (8192, 1)
    wrong = table[table["status"] == "wrong"]
    assert list(wrong["reason"].unique()) == ["at (0, 0, 0)"]
    crashed = table[(table["operation"] == "argmax") & (table["n"] == 1024) & (table["status"] == "failed")]
    assert "its process ended: killed by signal 11" in set(crashed["reason"].str[-39:])
    starts = table[(table["benchmark"] == "Start") & (table["status"] == "ok")]
    assert set(starts["cache"]) == {"", "cold", "warm"}
    kinds = set(table["benchmark"])
    assert kinds >= {"Sweep", "Workloads", "Ceiling", "Launch", "Api", "Transfer", "DeviceMemory", "Start"}


def test_every_part_of_every_task_has_a_row(finished: Report) -> None:
    table = reports.load(finished.plan.folder)
    planned = sum(
        len(task.names) * (3 if task.kind == "start" else 1)
        for task in finished.tasks
        if task.kind not in ("check", "describe")
    )
    assert len(table) == planned
    assert not table["reason"].str.contains("without a reason").any()


def test_the_report_compares_with_the_ceiling_of_the_run(finished: Report) -> None:
    content = gather([finished.plan.folder])
    (contest,) = (c for c in content.contests if (c.operation, c.n, c.dtype, c.title) ==
                  ("softmax", 16384, "float32", "n = 16,384"))  # fmt: skip
    share = contest.share(contest.fastest) if contest.fastest else None
    assert share is not None
    assert share.value == pytest.approx(0.9, rel=1e-3)


def test_the_side_car_says_what_was_found(finished: Report) -> None:
    side = json.loads((finished.plan.folder / "run.json").read_text("utf-8"))
    assert side["state"] == "finished"
    about = {"name": "NVIDIA H200", "simulated": False, "cache_bytes": 60 << 20, "compute_capability": "9.0"}
    assert side["device"] == about
    status = {(i["operation"], i["name"]): (i["status"], i["reason"]) for i in side["implementations"]}
    assert status["softmax", "numba_cuda"][0] == "available"
    assert status["argmax", "torch_cuda"] == ("unavailable", "PyTorch finds no CUDA device")
    assert not list(finished.plan.folder.rglob(".*"))  # no file is left half-written


def test_what_the_time_does_not_suffice_for_is_said(tmp_path: Path) -> None:
    run(tmp_path / "run", measured, seconds=30 + REPORT_SECONDS, each=1.0)
    table = reports.load(tmp_path / "run")
    left = table[table["status"] == "skipped"]
    assert set(left["reason"]) == {"the time of 30 s was spent before this was measured"}
    done = table[(table["status"] == "ok") & (table["benchmark"] == "Sweep")]
    wanted = {c.label for c in device_cells.cells(["softmax"]) if c.priority == device_cells.PRIMARY}
    assert set(done["n"]) <= wanted


def test_an_interrupted_report_keeps_what_it_has(tmp_path: Path) -> None:
    def stop(task: AnyTask, name: str) -> Outcome:
        if isinstance(task, LaunchTask):
            raise KeyboardInterrupt
        return measured(task, name)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", stop)
    assert json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))["state"] == "interrupted"
    table = reports.load(tmp_path / "run")
    assert set(table["status"]) == {"ok", "interrupted"}


def command(
    does: Does, folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str, each: float = 0.5
) -> int:  # fmt: skip
    """The command's exit status, on a device that is pretended."""
    clock, run_report = Clock(), Report.run

    def pretended(self: Report, seen: Any) -> None:
        run_report(self, seen, lambda left: Worker(left, clock, each, does), clock=clock, sleep=clock.sleep)

    monkeypatch.setattr(Report, "run", pretended)
    monkeypatch.setattr("maxbench.reports.commands.device_report.probe", lambda variables: H200)
    return main.main(["device-report", "--only", "numba_cuda", "--output", str(folder), *words])


@pytest.mark.parametrize(("stop", "status"), [(KeyboardInterrupt(), 130), (launch.Stopped(signal.SIGTERM), 143)])
def test_an_interrupted_command_ends_with_a_report(
    stop: BaseException,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def does(task: AnyTask, name: str) -> Outcome:
        if isinstance(task, LaunchTask):
            raise stop
        return measured(task, name)

    assert command(does, tmp_path / "run", monkeypatch) == status
    said = capsys.readouterr().err
    assert f"Interrupted. What was measured is kept in {tmp_path / 'run'}" in said
    assert f"Report so far: {tmp_path / 'run' / 'index.html'}" in said
    page = (tmp_path / "run" / "index.html").read_text("utf-8")
    assert "attention rows" in page
    table = reports.load(tmp_path / "run")
    assert set(table.loc[table["benchmark"] == "Launch", "status"]) == {"interrupted"}
    first = table[(table["benchmark"] == "Sweep") & (table["n"] == 1024) & (table["dtype"] == "float32")]
    assert set(first["status"]) == {"ok"}


def test_a_command_that_is_out_of_time_ends_with_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(measured, tmp_path / "run", monkeypatch, "--budget", "60", each=2.0) == 0
    assert f"Report: {tmp_path / 'run' / 'index.html'}" in capsys.readouterr().err
    table = reports.load(tmp_path / "run")
    assert "was spent before this was measured" in table.loc[table["status"] == "skipped", "reason"].iloc[0]
    assert (tmp_path / "run" / "index.html").is_file()


def test_a_wrong_case_is_told_and_an_unfinished_check_too(tmp_path: Path) -> None:
    def check(task: AnyTask, name: str) -> Outcome | list[Finding | Outcome]:
        if not isinstance(task, CheckTask):
            return measured(task, name)
        wrong = (task.operation, name) == ("argmax", "torch_cuda")
        said = Finding(task.operation, name, "NaN first", task.dtype, "wrong" if wrong else "agrees", "at")
        if task.operation == "softmax" and task.dtype == "float64":
            return [said, Outcome("skipped", "not all cases within 40 s")]
        if task.dtype in ("float16", "bfloat16") and name == "torch_cuda":
            return Outcome("skipped", "the time was spent")
        if (task.dtype, task.every, task.seconds) == ("float32", 1, CHECK_SECONDS) and name == "numba_cuda":
            return Outcome("skipped", "all are known")  # by the first task
        return [said, Outcome()]

    report = run(tmp_path / "run", check)
    unfinished = [text for text in report.record.warnings if "the contract's cases" in text]
    assert unfinished == [
        "Not checked against the contract's cases: softmax.torch_cuda in float16 and bfloat16 (the time was spent).",
        "Checked against the contract's cases in part: softmax.numba_cuda in float64 (agrees in 1; not all cases "
        "within 40 s); softmax.torch_cuda in float64 (agrees in 1; not all cases within 40 s).",
    ]
    status = {(i.operation, i.name): (i.status, i.reason) for i in report.record.implementations}
    assert status["argmax", "torch_cuda"] == ("wrong", "NaN first float32: at")
    assert status["argmax", "numba_cuda"][0] == "available"
    stored = json.loads((tmp_path / "run" / "agreement.json").read_text("utf-8"))
    checked = {"float16", "float32", "float64", *contract.OPTIONAL}
    assert {f["dtype"] for f in stored} == checked
    assert len(stored) == 2 * 2 * len(checked) - 4


def test_without_a_device_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def nothing(variables: dict[str, str]) -> Gpu:
        raise NoDevice("no CUDA GPU: the driver finds 0 devices")

    monkeypatch.setattr("maxbench.reports.commands.device_report.probe", nothing)
    assert main.main(["device-report"]) == usage.ERROR
    assert "no CUDA GPU: the driver finds 0 devices; --simulate rehearses" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--only", "nobody"], "no implementation matches 'nobody'"),
        (["--simulate", "--output", str(Path(__file__).parent)], "exists and is not an empty folder"),
    ],
)
def test_bad_options(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["device-report", *words]) == usage.ERROR
    assert text in capsys.readouterr().err


needs_simulator = pytest.mark.skipif(
    importlib.util.find_spec("numba_cuda") is None, reason="not installed: numba-cuda; pip install 'maxbench[test]'"
)


@needs_simulator
def test_the_probe_of_the_simulator() -> None:
    assert probe({"NUMBA_ENABLE_CUDASIM": "1"}).simulated


@needs_simulator
def test_a_rehearsal_measures_every_kind_and_ranks_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "maxbench.reports.commands.main", "device-report", "--simulate", "--only",
               "softmax.numba_cuda", "--sample-seconds", "0.01", "--output", str(tmp_path / "run")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert "say nothing about a device, and are not ranked" in " ".join(done.stdout.split())
    table = reports.load(tmp_path / "run")
    assert all(table["benchmark"].str.startswith("Simulated"))
    bad = table[table["status"] != "ok"]
    assert set(bad["benchmark"]) == {"SimulatedDeviceMemory"}, bad[["benchmark", "status", "reason"]].to_string()
    kinds = {"Sweep", "Workloads", "Ceiling", "Launch", "Api", "Transfer", "Start"}
    assert {f"Simulated{kind}" for kind in kinds} <= set(table["benchmark"])
    assert not gather([tmp_path / "run"]).contests
    lines = [json.loads(line) for line in (tmp_path / "run" / "journal.jsonl").read_text("utf-8").splitlines()]
    ceilings = [line for line in lines if line["benchmark"].endswith("Ceiling")]
    fastest = sorted(min(line["ways"].values()) for line in ceilings)
    assert fastest == pytest.approx(sorted(table.loc[table["benchmark"] == "SimulatedCeiling", "value"]))
    assert {line["detail"] for line in ceilings} == {""}  # how the bytes were moved is no declared difference
    assert {"the driver's copy", "a kernel, 4 x 4 vectors a block"} in [set(line["ways"]) for line in ceilings]
