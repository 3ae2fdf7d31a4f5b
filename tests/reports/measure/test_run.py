"""``maxbench run`` from end to end: what it writes, what Ctrl-C leaves, how it goes on, files that are not its own."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maxbench import reports
from maxbench.bench.processes import launch
from maxbench.reports.commands import main
from maxbench.reports.measure import asv_driver, environment, precheck
from maxbench.reports.records.run import Machine, Precheck
from maxbench.reports.system.interrupts import Interrupts
from maxbench.reports.system.progress import Journal
from tests.plugins import Install

DIGITS = Path(__file__).parents[3] / "bench" / "inputs" / "data" / "digits_logits.npy"
SMALL = ("--only", "numpy_vectorized", "--processes", "2", "--machine", "a machine")


@pytest.fixture(scope="module", autouse=True)
def _short_samples() -> Iterator[None]:
    """Times are not what is tested here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAXBENCH_SECONDS", "0.01")
        yield


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on the digits' logits, started as the README does: in some folder, with no --output."""
    folder = tmp_path_factory.mktemp("somewhere")
    words = ["run", "--array", str(DIGITS), *SMALL, "--only", "naive"]
    ran = subprocess.run(
        [sys.executable, "-m", "maxbench.reports.commands.main", *words], capture_output=True, text=True, cwd=folder,
        env={**os.environ, "HOME": str(folder / "home")},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    (made,) = (folder / "maxbench-results").iterdir()
    assert f"Report: {made / 'index.html'}" in ran.stderr
    return made


def side(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text("utf-8"))
    return found


def test_a_run_leaves_results_and_a_report(done: Path) -> None:
    for name in ("index.html", "report.md", "results.csv", "run.json", "agreement.json", "journal.jsonl", "asv.log"):
        assert (done / name).stat().st_size > 0, name
    assert list((done / "figures").glob("*.svg"))
    frame = reports.load(done)
    own = frame[(frame["benchmark"] == "Own") & (frame["status"] == "ok")]
    assert set(own["implementation"]) == {"naive", "numpy_vectorized"}
    assert set(own["operation"]) == {"softmax", "argmax"}
    assert (own["processes"] == 2).all()
    assert (own["low"] <= own["value"]).all()
    assert (own["value"] <= own["high"]).all()
    assert (own["n"] == 10).all()
    starts = frame[frame["benchmark"] == "Start"]
    assert (starts["status"] == "ok").all()


def test_the_side_car_has_what_asv_does_not_record(done: Path) -> None:
    found = side(done)
    assert found["state"] == "finished"
    assert found["rounds"] == 2
    assert found["machine"]["name"] == "a machine"
    assert found["machine"]["cores_logical"] == os.cpu_count()
    assert found["threads"]["numba"] == environment.usable_cpus()
    assert found["threads"]["layer"] in ("omp", "tbb", "workqueue")
    assert {"python", "numpy", "numba", "asv"} <= set(found["versions"])
    assert set(found["source"]) == {"version", "commit", "branch", "dirty", "repository", "content"}
    (disturbance,) = found["disturbance"]
    assert disturbance["seconds"] > 1
    assert 0 <= disturbance["others"] < 1
    assert disturbance["slower"] > 0
    assert found["array"]["shape"] == [1797, 10]
    assert found["array"]["dtype"] == "float32"
    assert {i["name"] for i in found["implementations"]} == {"naive", "numpy_vectorized"}
    assert all(i["status"] == "available" and i["source"] and i["doc"] for i in found["implementations"])


def test_asv_writes_nothing_in_the_run_folder_and_the_home_folder(done: Path) -> None:
    assert sorted(path.name for path in (done / "asv").iterdir()) == ["results"]
    assert not (done.parents[1] / "home" / ".asv-machine.json").exists()
    machine = json.loads((done / "asv" / "results" / "a_machine" / "machine.json").read_text())
    assert machine["machine"] == "a_machine"


def test_a_finished_run_is_not_run_over(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["run", "--output", str(done)]) == 2
    assert f"go on with it by --resume {done}" in capsys.readouterr().err


def test_code_that_has_changed_is_not_mixed_in(done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(done, tmp_path / "copy")
    found = side(done)
    found["source"].update(content="0" * 40)
    (tmp_path / "copy" / "run.json").write_text(json.dumps(found))
    assert main.main(["run", "--resume", str(tmp_path / "copy")]) == 2
    assert "was measured with other code" in capsys.readouterr().err


def test_a_wrong_implementation_is_not_measured(
    install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precheck, "take", lambda threads: Precheck(0.0, threads, problem="it was left out"))
    source = """
        from maxbench import implements

        @implements(dtypes=("float32",))
        def run(x, out):
            out[...] = 0
            return out
    """
    install({"zeros": source}, {"argmax.zeros": "zeros"})
    words = ["--only", "zeros", "--only", "numpy", "--only", "naive", "--operation", "argmax", "--processes", "1"]
    assert main.main(["run", "--array", str(DIGITS), "--output", str(tmp_path / "run"), *words]) == 1
    said = capsys.readouterr()
    assert "wrong, so not measured: argmax.zeros: n = 2 float32: at (0, 0): expected" in said.err
    assert "zeros" in said.out
    frame = reports.load(tmp_path / "run")
    assert not len(frame[(frame["implementation"] == "zeros") & (frame["status"] == "ok")])
    assert len(frame[(frame["implementation"] == "numpy_vectorized") & (frame["status"] == "ok")])


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="sends SIGINT as a terminal does")
def test_an_interrupted_run_keeps_what_it_has_and_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ["--only", "numpy_vectorized", "--only", "naive", "--operation", "argmax", "--processes", "2"]
    words += ["--shape", "5x4x100", "--axis", "1", "--dtype", "int16"]  # few benchmarks are of one's own array
    words += ["--output", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "maxbench.reports.commands.main", "run", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # As a terminal starts it: the jobs of a script may have SIGINT ignored, which children inherit.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    journal = folder / "journal.jsonl"

    def lines() -> int:
        return len(journal.read_text().splitlines()) if journal.exists() else 0

    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None and lines() < 1:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert f"maxbench run --resume {folder}" in said
    assert "Report so far" in said
    assert side(folder)["state"] == "interrupted"
    kept = reports.load(folder)
    ok = kept[kept["status"] == "ok"]
    assert len(ok)
    before = lines()
    again = subprocess.run(
        [sys.executable, "-m", "maxbench.reports.commands.main", "run", "--resume", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert side(folder)["state"] == "finished"
    frame = reports.load(folder)
    timed = frame[frame["statistic"] == "time"]
    assert (timed["status"] == "ok").all()
    own = timed[timed["benchmark"] == "Own"]
    assert set(zip(own["outer"], own["n"], own["inner"], own["dtype"], strict=True)) == {(5, 4, 100, "int16")}
    assert "Write maxbench.argmax(x, axis=1, impl=" in again.stdout
    assert timed["processes"].isin([2, 3]).all()  # the third of what was measured again beside the ceilings
    assert lines() > before


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="sends itself SIGINT")
@pytest.mark.parametrize("where", ["discovering", "starting", "forking"])
def test_an_interruption_as_asv_starts_leaves_no_process(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C as a process is made, which gets it too where it is forking."""
    driver = asv_driver.Driver(tmp_path, "m", "0" * 40, {})
    driver.prepare(Machine())
    began = tmp_path / "began"
    program = f"open({str(began)!r}, 'w').close(); import time; time.sleep(60)"
    popen, started = subprocess.Popen, []

    def start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        asv = "asv" in command
        process = popen([sys.executable, "-c", program] if asv else command, **options)
        if asv:
            started.append(process)
            while where == "starting" and not began.exists():
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)
            if where == "forking":
                process.send_signal(signal.SIGINT)
                process.wait()
        return process

    monkeypatch.setattr(launch.subprocess, "Popen", start)
    asked = driver.discover if where == "discovering" else driver.round
    with pytest.raises(launch.Stopped), Interrupts() as interrupts:
        asked([".*"], interrupts.point)
    assert [process.poll() is not None for process in started] == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--shape", "64x"], "'64x': accepted are lengths from 1 on, joined by x"),
        (["--shape", "64x10", "--axis", "2"], "axis 2 is out of bounds"),
        (["--shape", "1099511627775x64"], "--shape takes 562,949,953,420,800 bytes with a result, more than"),
        (["--shape", "64x10", "--full"], "--shape is measured in one dtype on its own grid"),
        (["--shape", "64x10", "--dtype", "int8", "--dtype", "bool"], "--shape is measured in one dtype"),
        (["--shape", "64x10", "--array", str(DIGITS)], "--array is measured in its own dtype and shape"),
        (["--shape", "64x10", "--key", "a"], "--key belongs to --array FILE"),
        (["--axis", "1"], "--axis to it or to --shape SHAPE"),
    ],
)
def test_what_cannot_be_measured_of_a_shape(
    words: list[str], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status: object = main.main(["run", *words, "--output", str(tmp_path / "run")])
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert why in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_benchmarks_that_cannot_be_imported_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = asv_driver.Driver(tmp_path, "m", "0" * 40, {"MAXBENCH_GRID": "no such grid"})
    driver.prepare(Machine())
    with pytest.raises(asv_driver.AsvFailed, match="asv ended with exit status"):
        driver.discover([".*"], lambda: None)


def test_the_time_left_is_learnt_from_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"benchmark": "old", "params": ["x"], "at": 1}\n')
    journal = Journal(path)
    journal._last = 100.0
    assert journal.seconds([("a", "x")]) is None
    with open(path, "a") as file:
        file.write('{"benchmark": "a", "params": ["x", "1"], "at": 102.0}\n')
        file.write('{"benchmark": "a", "params": ["y", "1"], "at": 110.0}\nnot json\n{"benchmark": "b", "par')
    assert journal.read() == 3
    assert journal.seconds([("a", "x", "1")]) == pytest.approx(2.0)
    assert journal.seconds([("b", "x", "7")]) == pytest.approx(2.0)  # as others of its implementation
    assert journal.seconds([("b", "z", "7")]) == pytest.approx(5.0)  # as all of them


def test_memory_caches_are_read_from_the_system(tmp_path: Path) -> None:
    for index, (level, kind, size) in enumerate(
        [("1", "Data", "32K"), ("1", "Instruction", "32K"), ("2", "Unified", "1024K")]
    ):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, value in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(value + "\n")
    (tmp_path / "index9").mkdir()
    assert environment.caches(tmp_path) == {"L1d": 32 * 1024, "L2": 1024 * 1024}


def test_an_installed_copy_in_an_ignored_folder_is_no_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (
        ["init", "-q"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    package = tmp_path / "venv" / "impls"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(environment.impls, "__file__", str(package / "__init__.py"))
    found = environment.source()
    assert (found.commit, found.dirty) == (None, None)
    subprocess.run(["git", "add", "venv"], cwd=tmp_path, check=True)
    found = environment.source()
    assert len(found.commit or "") == 40
    (package / "more.py").write_text("x = 1")
    assert environment.source().content != found.content


def test_a_big_array_is_measured_in_less_than_four_times_its_size(tmp_path: Path) -> None:
    # The 1 GB array that must fit 4 GB, a sixteenth as large: memory map, copy and output, and what libraries need.
    np.save(tmp_path / "x.npy", np.ones((1 << 14, 1 << 10), np.float32))
    program = f"""
import os, resource
os.environ["MAXBENCH_ARRAY"] = {str(tmp_path / "x.npy")!r}
from maxbench.bench import softmax, argmax
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
own = softmax.Own()
own.setup("numpy_vectorized")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / (1 << 26))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(ran.stdout) < 4.0
