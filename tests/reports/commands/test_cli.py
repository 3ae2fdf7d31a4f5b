"""The command in other surroundings: output that is closed, full or in another encoding, and no home folder."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from maxbench.impls import compilation
from maxbench.impls.cuda import regimes
from maxbench.reports.commands import conclude, main, options
from maxbench.reports.system import output_folder, usage
from tests.report_data import Results

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="a system without /dev/full")
COMMAND = [sys.executable, "-P", "-m", "maxbench.reports.commands.main"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = Results()
    for name in ("fast", "slow×…"):
        found.add("softmax.Sweep.time_call", (name, "float32", 2), [[1e-3], [1.1e-3], [1.05e-3]])
    return found.write(tmp_path / "run")


def maxbench(*words: object, **how: Any) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LC_", "LANG"))}
    env |= how.pop("env", {})
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **how}
    return subprocess.run([*COMMAND, *map(str, words)], env=env, encoding="utf-8", timeout=120, check=False, **how)


@pytest.mark.parametrize("kind", ["full", "closed", "no reader"])
def test_a_report_is_complete_where_its_answer_cannot_be_shown(folder: Path, tmp_path: Path, kind: str) -> None:
    output = tmp_path / "out"
    if kind == "full":
        with open("/dev/full", "w") as full:
            done = maxbench("report", folder, "--output", output, stdout=full)
    elif kind == "closed":
        words = ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, "report", str(folder), "--output", str(output)]
        done = subprocess.run(words, stderr=subprocess.PIPE, encoding="utf-8", timeout=120, check=False)
    else:
        reader, writer = os.pipe()
        os.close(reader)
        done = maxbench("report", folder, "--output", output, stdout=writer)
        os.close(writer)
    why = {"full": "No space left", "closed": "it is closed", "no reader": "Broken pipe"}[kind]
    assert done.returncode == usage.ERROR
    assert done.stderr.startswith("maxbench report: cannot write to standard output: ")
    assert why in done.stderr
    assert done.stderr.count("\n") == 1
    assert "</html>" in (output / "index.html").read_text("utf-8")
    assert (output / "results.csv").is_file()


def test_all_streams_may_be_closed(folder: Path, tmp_path: Path) -> None:
    words = [*COMMAND, "report", str(folder), "--output", str(tmp_path / "out")]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *words], timeout=120, check=False)
    assert done.returncode == usage.ERROR
    assert "</html>" in (tmp_path / "out" / "index.html").read_text("utf-8")
    with open("/dev/full", "w") as full:
        assert maxbench("--help", stdout=full).returncode == usage.ERROR
        assert maxbench("report", tmp_path / "none", stdout=full, stderr=full).returncode == usage.ERROR


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_any_encoding_shows_the_answer(folder: Path, tmp_path: Path, encoding: str) -> None:
    env = {"PYTHONIOENCODING": encoding}
    done = maxbench("report", folder, "--output", tmp_path / "out", env=env, errors="surrogateescape")
    assert (done.returncode, done.stderr) == (0, "")
    assert "fastest" in done.stdout
    assert ("slowx..." in done.stdout) == (encoding == "ascii")
    done = maxbench("report", folder, "--output", tmp_path / "out", "--format", "json", env=env)
    assert "slow×…" in {row["implementation"] for row in json.loads(done.stdout)["measurements"]}


def test_what_has_no_likeness_in_an_encoding_is_shown_by_its_code() -> None:
    main._safe_streams()  # registers it; pytest's streams stay
    assert "µ × \u202e\udcff".encode("ascii", "maxbench") == rb"u x \u202e\udcff"


def test_folders_whose_names_are_not_utf_8(folder: Path, tmp_path: Path) -> None:
    strange = tmp_path / os.fsdecode(b"r\xff")
    folder.rename(strange)
    for format in ("table", "json", "csv", "markdown"):
        done = maxbench("report", strange, "--output", tmp_path / os.fsdecode(b"o\xff"), "--format", format)
        assert done.returncode == 0, done.stderr
        assert r"o\udcff/index.html" in done.stdout + done.stderr
    assert (tmp_path / os.fsdecode(b"o\xff") / "index.html").is_file()


NO_PASSWD = """
import os, pwd, sys
def unknown(uid):
    raise KeyError(uid)
pwd.getpwuid = unknown
from maxbench.reports.commands import main
status = main.main()
print(os.environ["HOME"], os.path.exists(os.environ["HOME"]))
raise SystemExit(status)
"""


def test_a_user_without_a_home_folder(folder: Path, tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR")}
    env["TMPDIR"] = "/tmp"
    words = [sys.executable, "-P", "-c", NO_PASSWD, "report", str(folder)]
    done = subprocess.run(words, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    home, there = done.stdout.splitlines()[-1].split()
    assert home.startswith("/tmp/maxbench-")
    assert there == "False"  # it went with the command
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_home_folder_that_cannot_be_written(folder: Path) -> None:
    home = folder / "run.json"  # no folder can be made in it, even by root
    done = maxbench("report", folder, env={"HOME": str(home), "MPLCONFIGDIR": "", "XDG_CONFIG_HOME": ""})
    assert (done.returncode, done.stderr) == (0, "")


def test_no_folder_is_named_after_a_home_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(compilation.config, "CACHE_DIR", "")
    assert [place.name for place in compilation._places()] == ["__pycache__"]
    assert not regimes.machine_file("gpu").is_file()


@pytest.mark.parametrize("name", ["..", "/x", "", "a/b", "a\nb", "-x", "x" * 61, "a.", " a", "a\u202eb", "a\udcff"])
def test_a_machines_name_is_checked(name: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="accepted are 1 to 60 letters") as said:
        options.machine(name)
    assert repr(name) in str(said.value)


@pytest.mark.parametrize("command", [["run"], ["side-by-side"], ["device-report"], ["history", "run", "HEAD"]])
def test_every_command_checks_the_machines_name(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main([*command, "--machine=..", "--nonsense"])
    assert ended.value.code == usage.ERROR
    assert "argument --machine: '..': accepted are" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["laptop", "My laptop 2", "node-1.example.org", "größe_2+x@y"])
def test_usual_names_of_machines_are_accepted(name: str) -> None:
    assert options.machine(name) == name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["history", "run", "--", "--output=written"], "'--output=written' is no revision"),
        (["history", "run", "--", "--all"], "'--all' is no revision"),
        (["history", "run", "--", "-1..HEAD"], "'-1..HEAD' is no revision"),
        (["history", "run", ""], "'' is no revision"),
        (["history", "run", "HEAD\n--all"], r"'HEAD\n--all' is no revision"),
        (["history", "run", "--bench=--config=x", "HEAD"], "'--config=x' would be an option to asv"),
        (["gate", "--no-starts", "--", "--output=written"], "'--output=written' is no revision"),
    ],
)
def test_a_revision_is_no_option(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "one"]):
        identity = ["-c", "user.name=x", "-c", "user.email=x"]
        repository.mkdir(exist_ok=True)
        subprocess.run(["git", "-C", str(repository), *identity, *command], check=True)
    (repository / "asv.conf.json").write_text("{}")
    monkeypatch.chdir(repository)
    monkeypatch.setattr(
        "maxbench.reports.measure.precheck.announce", lambda threads: SimpleNamespace(line="", layer=None)
    )
    assert main.main(words) == usage.ERROR
    assert said in capsys.readouterr().err
    assert not (repository / "written").exists()


@pytest.mark.parametrize(
    ("words", "name", "said"),
    [
        (["gate", "HEAD", "--output"], "gate.md", "was not written by `maxbench gate`"),
        (["gate", "--calibrate", "--output"], "calibration.md", "was not written by `maxbench gate --calibrate`"),
        (["gate", "--calibrate", "--output"], "calibration.jsonl", "holds no measurements of the gate"),
    ],
)
def test_the_gate_measures_nothing_where_its_files_cannot_be_written(
    tmp_path: Path, words: list[str], name: str, said: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("maxbench.reports.measure.precheck.announce", lambda threads: pytest.fail("it measures"))
    monkeypatch.setattr("maxbench.reports.gate.sources.build", lambda *words: pytest.fail("it builds"))
    (tmp_path / name).write_text("mine")
    assert main.main([*words, str(tmp_path)]) == usage.ERROR
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: "mine"}


def test_a_run_shows_its_answer_where_the_report_cannot_be_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "report.md").write_text("mine")
    content, unwritten = conclude.write_report([folder], folder)
    assert "report.md was not written by `maxbench report`" in unwritten
    assert f"maxbench report {folder} --output DIR" in unwritten
    assert conclude.conclude(content, folder, [], "csv", unwritten=unwritten) == usage.ERROR
    shown = capsys.readouterr()
    assert "softmax,fast" in shown.out
    assert unwritten in shown.err
    assert (folder / "report.md").read_text() == "mine"
    assert not (folder / output_folder.MARKER).exists()


def test_an_error_of_the_disk_is_a_message(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*words: object) -> None:
        raise OSError(28, "No space left on device", "file")

    monkeypatch.setattr("maxbench.reports.records.runs.read", full)
    monkeypatch.setattr("maxbench.reports.show.asv_pages.runs.read", full)
    monkeypatch.setattr("maxbench.reports.analysis.content.read", full)
    assert main.main(["compare", str(folder), str(folder)]) == usage.ERROR
    assert capsys.readouterr().err == "maxbench compare: [Errno 28] No space left on device: 'file'\n"


def test_new_and_tune_cuda_replace_no_file_of_the_users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from maxbench.reports.commands import tune_cuda

    (tmp_path / "thesis.txt").write_text("mine")
    (tmp_path / "fast.py").symlink_to("thesis.txt")
    (tmp_path / "slow.py").symlink_to("nowhere")
    for name in ("fast", "slow"):
        assert main.main(["new", "softmax", name, "--folder", str(tmp_path)]) == usage.ERROR
        assert f"{name}.py exists" in capsys.readouterr().err
    (tmp_path / "table.json").write_text(regimes.as_json(regimes.DEVICE, "gpu"))
    assert tune_cuda.checked(tmp_path / "table.json") == tmp_path / "table.json"
    (tmp_path / "link.json").symlink_to("table.json")
    for name in ("thesis.txt", "fast.py", "slow.py", "link.json"):
        with pytest.raises(usage.UsageError, match="is no table of CUDA regimes"):
            tune_cuda.checked(tmp_path / name)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_commands_start_without_pandas_and_matplotlib() -> None:
    """They take a second to import, and no command needs them before it has something to show."""
    program = """
        import importlib, sys
        from maxbench.reports.commands.main import COMMANDS
        for name in COMMANDS:
            importlib.import_module("maxbench.reports.commands." + name.replace("-", "_"))
        print({"pandas", "matplotlib", "pyarrow"} & set(sys.modules))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
