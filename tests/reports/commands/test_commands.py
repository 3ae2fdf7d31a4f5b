"""The command line: list, check, new, and what is said about input that cannot be used."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import maxbench
from maxbench import impls
from maxbench.impls import agreement
from maxbench.reports.commands import main
from maxbench.reports.commands import run as run_command
from maxbench.reports.measure import precheck
from maxbench.reports.measure.run import Measurement
from maxbench.reports.records import reading
from maxbench.reports.records.run import Implementation
from maxbench.reports.show import console
from tests.plugins import Install

WRONG = """
    from maxbench import implements

    @implements(dtypes=("float32",))
    def run(x, out):
        out[...] = 0
        return out
"""


def run(*words: str) -> int:
    return main.main(words)


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "naive", "numba_simple") == 0
    text = capsys.readouterr().out
    assert "float16/32/64, bool" in text
    assert f"maxbench {impls.__version__}" in text
    assert run("list", "numba_simple", "--operation", "argmax", "--format", "json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["operation"], row["implementation"], row["status"]) == ("argmax", "numba_simple", "available")


def test_list_marks_the_default_and_says_why_another_is_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("list", "argmax.num*", "argmax.naive", "--format", "json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [r["implementation"] for r in rows if r["default"]] == ["numba_parallel"]
    assert [r["implementation"] for r in rows if r["layer"]] == ["numba_parallel"]
    assert {r["layer"] for r in rows} <= {None, "tbb", "omp", "workqueue"}
    monkeypatch.setenv("NUMBA_NUM_THREADS", "none")
    assert run("list", "argmax.naive", "argmax.numpy*", "--format", "csv") == 0  # the default is looked at all the same
    rows = {row["implementation"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert rows.keys() == {"naive", "numpy_vectorized"}
    why = "available: the default; numba_parallel is unavailable: ValueError: NUMBA_NUM_THREADS='none': "
    assert rows["numpy_vectorized"]["status"].startswith(why)
    assert rows["naive"]["status"] == "available"


@pytest.mark.parametrize("width", [40, 120])
def test_list_says_everything_as_it_is_whatever_the_width(
    width: int, install: Install, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "PIPE_WIDTH", width)
    reason = "not here; pip install 'thing[extra]' [red]brings it[/red]"
    install({"planted": f"raise ImportError({reason!r})"}, {"argmax.planted": "planted"})
    assert run("list", "argmax.planted", "naive") == 0
    written = capsys.readouterr().out
    assert max(map(len, written.splitlines())) <= width
    assert "".join(reason.split()) in "".join(written.split())
    assert "numpy_vectorized" not in written


def test_list_says_everything_as_it_is_in_csv_and_markdown(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = "not here; pip install 'thing[extra]' [red]brings it[/red]"
    install({"planted": f"raise ImportError({reason!r})"}, {"argmax.planted": "planted"})
    assert run("list", "argmax.planted", "--format", "csv") == 0
    heads, row = csv.reader(io.StringIO(capsys.readouterr().out))
    assert dict(zip(heads, row, strict=True))["status"] == f"unavailable: ImportError: {reason}"
    assert run("list", "naive", "--format", "markdown") == 0
    assert "| softmax | naive | cpu | one | float16/32/64 |" in capsys.readouterr().out


def test_check_is_1_when_something_is_wrong(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install({"planted": WRONG}, {"argmax.planted": "planted"})
    assert run("check", "argmax.planted", "argmax.numpy*", "--dtype", "float32") == 1
    text = capsys.readouterr().out
    assert "wrong: argmax.planted n = 2 float32: at (0, 0): expected" in text
    assert "more; --format json has all" in text
    assert run("check", "argmax.planted", "--dtype", "float32", "--format", "json") == 1
    findings = json.loads(capsys.readouterr().out)
    assert {f["implementation"] for f in findings} == {"planted"}
    assert {f["status"] for f in findings} >= {"wrong", "agrees"}


def test_check_is_1_when_what_was_named_cannot_be_checked(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    modules = {"absent": "import nothing_like_it", "broken": "def run(:"}
    install(modules, {"argmax.absent": "absent", "argmax.broken": "broken", "argmax.naive": "absent"})
    for words, status, said in (
        (["absent"], 1, "argmax.absent was named and is unavailable"),
        (["argmax.absent"], 1, "argmax.absent was named and is unavailable"),
        (["absen"], 0, ""),
        (["argmax.abs*"], 0, ""),
        (["broken"], 1, ""),
        (["bro*"], 1, ""),
    ):
        assert run("check", *words, "--dtype", "float32") == status, words
        told = capsys.readouterr()
        assert said in told.err
        assert bool(said) == ("was named" in told.err)
        kind = "failed: argmax.broken: SyntaxError" if "bro" in words[0] else "unavailable: argmax.absent: Module"
        assert kind in told.out


def test_check_is_1_when_it_raises(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install({"planted": WRONG.replace("out[...] = 0", "raise ValueError('no')")}, {"argmax.planted": "planted"})
    assert run("check", "argmax.planted", "--dtype", "float32", "--format", "json") == 1
    findings = json.loads(capsys.readouterr().out)
    assert {f["status"] for f in findings} == {"failed", "wrong", "agrees"}  # an out that is refused is refused before
    failed = {f["case"]: f["detail"] for f in findings if f["status"] == "failed"}
    assert failed.pop("pairs of a softmax and an argmax") == "ValueError: no"
    assert set(failed.values()) == {"raised ValueError: no"}


def test_a_run_of_what_is_wrong_alone_ends_before_it_measures(
    install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install({"planted": WRONG}, {"argmax.planted": "planted"})
    np.save(tmp_path / "x.npy", np.eye(3, dtype=np.float32))
    monkeypatch.setattr(precheck, "announce", lambda threads: None)
    monkeypatch.setattr(Measurement, "measure", None)  # nor is it called
    words = ["--array", str(tmp_path / "x.npy"), "--threads", "1", "--output", str(tmp_path / "out")]
    assert run("run", "--only", "argmax.planted", "--only", "argmax.numpy*", *words) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "\nwrong: argmax.planted: n = 2 float32: at (0, 0): expected 1" in f"\n{said.err}"
    assert said.err.endswith("Nothing is left to compare, so nothing was measured.\n")
    side = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))
    assert side["state"] == "finished"
    assert {one["name"]: one["status"] for one in side["implementations"]} == {
        "planted": "wrong", "numpy_vectorized": "available",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("statuses", "ended"),
    [
        ("softmax.a wrong", True),
        ("softmax.a failed", True),
        ("softmax.a wrong, softmax.b available", True),
        ("softmax.a wrong, softmax.b available, argmax.b available", True),
        ("softmax.a wrong, softmax.b available, softmax.c available", False),
        ("softmax.a wrong, argmax.b available, argmax.c available", False),
        ("softmax.a available", False),
        ("softmax.a unavailable, softmax.b available", False),
    ],
)
def test_when_nothing_is_left_to_compare(statuses: str, ended: bool) -> None:
    rows = [pair.split() for pair in statuses.split(", ")]
    found = [(*who.split("."), status) for who, status in rows]
    said = run_command._nothing_to_compare([
        reading.convert(Implementation, {"operation": o, "name": n, "status": s, "reason": "as planted"})
        for o, n, s in found
    ])  # fmt: skip
    assert bool(said) == ended
    if ended:
        assert said.startswith(f"{rows[0][1]}: softmax.a: as planted\n")


def test_check_is_0_when_nothing_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "numpy_vectorized", "--dtype", "float64") == 0
    text = capsys.readouterr().out
    assert "pairs of a softmax and an argmax" in text
    assert "wrong:" not in text


@pytest.mark.parametrize("operation", ["softmax", "argmax"])
def test_new_writes_a_file_that_works(
    operation: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], install: Install
) -> None:
    assert run("new", operation, "mine", "--folder", str(tmp_path)) == 0
    assert f'"{operation}.mine"' in capsys.readouterr().out
    source = (tmp_path / "mine.py").read_text()
    assert len(source.splitlines()) < 20
    names: dict = {}
    exec(source, names)
    x = np.random.default_rng(0).standard_normal((4, 9, 2))
    kernel = names["run"]
    out = np.empty(x.shape) if operation == "softmax" else np.empty((4, 2), np.int64)
    np.testing.assert_allclose(kernel(x, out), getattr(impls, operation)(x, 1, impl="numpy_vectorized"), rtol=1e-13)
    install({"mine": source}, {f"{operation}.mine": "mine"})
    findings = agreement.check(impls.load(operation, "mine"))
    assert {finding.status for finding in findings} == {"agrees", "not supported"}
    assert run("new", operation, "mine", "--folder", str(tmp_path)) == 2
    assert "exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["new", "softmax", "not-a-name"], "'not-a-name' is not a Python name"),
        (["new", "softmax", "x", "--folder", "nowhere"], "nowhere: no such folder"),
        (["list", "nothing*"], "no implementation matches 'nothing*' (known: "),
        (["check", "nothing"], "no implementation matches 'nothing'"),
        (["run", "--key", "a"], "--key belongs to --array FILE"),
        (["run", "--baseline", "numpy"], "--baseline numpy is not measured: accepted are"),
        (["run", "--array", "nowhere.npy"], "nowhere.npy: no such file"),
        (["run", "--array", "x.npy", "--full"], "leave out --dtype, --full and --shape"),
        (["run", "--operation", "softmax", "--dtype", "int8"], "no chosen operation takes int8"),
        (["run", "--resume", "nowhere"], "nowhere: no run to go on with"),
        (["run", "--resume", "nowhere", "--full"], "--resume goes on with the run's own options: leave out --full"),
    ],
)
def test_unusable_input_is_named(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("array", "words", "message"),
    [
        (np.ones((2, 3), complex), [], "dtype complex128 is not accepted, only float16"),
        (np.array([{}, 1]), [], "holds Python objects, which are never unpickled"),
        (np.ones((2, 3)), ["--axis", "2"], "axis 2 is out of bounds"),
        (np.ones((0, 3)), [], "shape (0, 3) holds no elements"),
    ],
)
def test_unusable_arrays_are_named(
    array: np.ndarray, words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    assert run("run", "--array", str(tmp_path / "x.npy"), "--output", str(tmp_path / "out"), *words) == 2
    assert message in capsys.readouterr().err


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("all of it")
    assert run("run", "--output", str(tmp_path)) == 2
    assert "exists and is not an empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['maxbench', '--help']\nfrom maxbench.reports.commands.main import main\ntry: main()\n"
    )
    program += "except SystemExit: pass\nprint('numba' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False"


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m maxbench.reports.commands.main list naive | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError("Unable to allocate 8 EiB"), "not enough memory: Unable to allocate 8 EiB"),
        (ImportError("x.so: failed to map segment from shared object"), "not enough memory: x.so: failed to map"),
        (RuntimeError("can't start new thread"), "not enough memory: can't start new thread"),
    ],
)
def test_want_of_memory_is_a_message(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(command: str) -> None:
        try:
            raise error
        except ImportError as cause:  # as libraries do
            raise ImportError("no library") from cause

    monkeypatch.setattr(main, "_module", fails)
    assert run("list") == 2
    expected = "not enough memory: no library" if isinstance(error, ImportError) else said
    assert capsys.readouterr().err.startswith(f"maxbench list: {expected}")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError()])
def test_a_run_that_nothing_more_can_be_kept_of_says_how_to_go_on(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(measurement: Measurement) -> None:
        raise error

    np.save(tmp_path / "x.npy", np.eye(3, dtype=np.float32))
    monkeypatch.setattr(precheck, "announce", lambda threads: None)
    monkeypatch.setattr(Measurement, "check", fails)
    out = tmp_path / "out"
    words = ["run", "--array", str(tmp_path / "x.npy"), "--only", "numpy*"]
    assert run(*words, "--output", str(out)) == 2
    what = "[Errno 28] No space left on device" if isinstance(error, OSError) else "not enough memory"
    kept = f"{out}: {what}. What was measured is kept; go on with: maxbench run --resume {out}"
    assert capsys.readouterr().err == f"maxbench run: {kept}\n"
    assert [path.name for path in out.iterdir()] == ["run.json"]  # nor the lock
    checked: list[Measurement] = []
    monkeypatch.setattr(Measurement, "check", lambda measurement: checked.append(measurement))
    monkeypatch.setattr(run_command, "_nothing_to_compare", lambda implementations: "checked again")
    assert run("run", "--resume", str(out)) == 1
    assert capsys.readouterr().err == "checked again\n"
    assert len(checked) == 1


def test_an_error_of_our_own_is_not_taken_for_a_bad_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Python ends with 1 after a traceback, which from the gate would mean a regression.
    monkeypatch.delattr(maxbench, "impls")
    monkeypatch.setitem(sys.modules, "maxbench.impls", None)
    assert run("list") == 2
    said = capsys.readouterr().err
    assert "ModuleNotFoundError" in said
    assert "an error of its own" in said
