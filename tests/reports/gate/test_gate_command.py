"""The gate on real commits: each kind of change gets its verdict and its exit status."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from maxbench.reports.commands import main
from tests.needs import nightly
from tests.reports.gate.conftest import SLOW, Gate, Repository

NUMPY = "softmax.numpy_vectorized[float32,256x1000]"
ONE = ("--only", NUMPY, "--no-starts")


def test_a_slowdown_is_a_regression_that_names_the_benchmark(gate: Gate) -> None:
    assert gate("base", "slow", *ONE) == 1
    assert gate.verdicts == {NUMPY: "slower"}
    (result,) = gate.json["results"]
    assert 0.5 < result["change"]["low"] <= result["change"]["value"] <= result["change"]["high"] < 1.6
    assert result["change"]["processes"] == len(result["processes"]["fresh"]) == 7
    assert "regression (1 slower)" in gate.printed
    assert "what this machine can see today is not known: it was left out" in gate.printed
    assert not gate.json["control"]
    assert gate.markdown.index("slower") < gate.markdown.index("softmax.numpy")
    assert "A/A by cpu clock" in gate.markdown
    (action,) = json.loads((gate._output / "github-action-benchmark.json").read_text())
    assert action["name"] == NUMPY
    assert action["value"] == pytest.approx(result["head_seconds"] * 1e3)
    bencher = json.loads((gate._output / "bencher.json").read_text())[NUMPY]["latency"]
    assert bencher["lower_value"] <= bencher["value"] <= bencher["upper_value"]


def test_identical_commits_pass(gate: Gate) -> None:
    assert gate("base", "base", *ONE, "--only", "argmax.numpy_vectorized[int32,1024x1000]") == 0
    assert set(gate.verdicts.values()) == {"unchanged"}
    assert {c["kind"] for c in gate.json["controls"]} == {"A/A", "untouched kernel"}
    assert gate.json["base"]["commit"] == gate.json["head"]["commit"]
    assert gate.json["control"]
    assert "control, base and head are identical: no regression" in gate.printed
    assert "control, base and head are identical" in gate.markdown.splitlines()[0]


def test_a_head_that_cannot_be_imported_is_an_error(gate: Gate) -> None:
    assert gate("base", "broken", *ONE) == 2
    assert "head (broken (" in gate.errors
    assert "SyntaxError" in gate.errors
    assert gate.json["status"] == 2
    assert "SyntaxError" in gate.markdown


def test_faults_have_verdicts_of_their_own_and_do_not_stop_the_rest(gate: Gate) -> None:
    only = [NUMPY, "argmax.numpy_vectorized[float32,1024x1000]", "naive"]
    assert gate("base", "bad", "--no-starts", *(word for name in only for word in ("--only", name))) == 2
    assert gate.verdicts == {
        NUMPY: "unchanged",
        "argmax.numpy_vectorized[float32,1024x1000]": "wrong",
        "softmax.naive[float32,32x1000]": "failed",
        "argmax.naive[float32,64x1000]": "removed",
    }
    reasons = {r["name"]: r["reason"] for r in gate.json["results"]}
    assert "expected" in reasons["argmax.numpy_vectorized[float32,1024x1000]"]
    assert "SIGKILL" in reasons["softmax.naive[float32,32x1000]"]


def test_comparing_nothing_is_an_error(gate: Gate) -> None:
    assert gate("bad", "base", "--no-starts", "--only", "argmax.naive") == 2
    assert gate.verdicts == {"argmax.naive[float32,64x1000]": "new"}


def test_a_budget_that_ends_too_early_is_inconclusive(gate: Gate) -> None:
    # Head is built and checked at any cost.
    assert gate("base", "bad", *ONE, "--only", "argmax.numpy_vectorized[float32,1024x1000]", "--budget", "0.1") == 2
    assert gate.verdicts == {NUMPY: "inconclusive", "argmax.numpy_vectorized[float32,1024x1000]": "wrong"}
    assert "budget ended before its first process" in gate.json["results"][0]["reason"]
    assert "the budget of 0.1 s is too small to measure anything" in gate.printed


def test_head_is_checked_where_only_instructions_are_counted(gate: Gate) -> None:
    name = "argmax.numpy_vectorized[float32,1024x1000]"
    assert gate("base", "bad", "--only", name, "--instructions", "--no-timing") == 2
    assert gate.verdicts == {name: "wrong"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "'nonsense' is no commit"),
        ([], "BASE is missing"),
        (["base", "--only", "sofmax"], "'sofmax' chooses none"),
        (["base", "--no-timing"], "nothing to do without --instructions"),
    ],
)
def test_unusable_input_is_named(gate: Gate, words: list[str], said: str) -> None:
    assert gate(*words) == 2
    assert said in gate.errors


@pytest.mark.parametrize("option", ["--threshold", "--budget", "--confidence"])
@pytest.mark.parametrize("words", [["base"], ["--calibrate"]])
def test_numbers_that_decide_nothing_are_refused(
    words: list[str], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for given in ("nan", "inf", "-inf", "0", "-1", "1e400", "x"):
        with pytest.raises(SystemExit) as ended:
            main.main(["gate", *words, f"{option}={given}"])
        assert ended.value.code == 2
        assert f"argument {option}: {given!r}: accepted are" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["50", "100"])
def test_a_confidence_that_no_interval_has_is_refused(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main(["gate", "base", "--confidence", given])
    assert f"argument --confidence: {given!r}: accepted are numbers between 50 and 100" in capsys.readouterr().err


def test_a_folder_outside_git_is_named(gate: Gate, tmp_path: Path) -> None:
    assert gate("base", folder=tmp_path) == 2
    assert "is in no git checkout" in gate.errors


@nightly
def test_the_first_call_of_an_implementation_is_gated(gate: Gate, repository: Repository) -> None:
    # The working tree: the default head. It takes 0.2 s of processor time to load.
    path = "impls/kernels/softmax/numpy_vectorized.py"
    repository.append(
        path, "\nimport time\n_end = time.process_time() + 0.2\nwhile time.process_time() < _end:\n    pass\n"
    )
    try:
        assert gate("base", "--only", NUMPY) == 1
    finally:
        repository.git("checkout", "--quiet", path)
    assert gate.verdicts["softmax.numpy_vectorized[float32] first call"] == "slower"
    assert gate.json["head"]["label"] == "working tree"


@nightly
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_instructions_alone_see_the_slowdown(gate: Gate) -> None:
    assert gate("base", "slow", "--only", NUMPY, "--instructions", "--no-timing") == 1
    (result,) = gate.json["results"]
    assert result["verdict"] == "slower"
    assert 0.9 < result["instructions"] < 1.1
    assert "cannot see threads" in gate.markdown


@nightly
def test_a_plugin_is_built_and_gated_in_its_own_repository(
    gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without a network, so with what is installed here.
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": "", "CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    package = Path(__file__).parents[2] / "packages" / "example"
    theirs = Repository(tmp_path)
    shutil.copytree(package, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "output"))
    theirs.commit("base")
    theirs.append("maxbench_example/softmax.py", SLOW)
    theirs.commit("slow")
    name = "softmax.example[float32,256x1000]"
    assert gate("base", "slow", "--only", name, "--no-starts", folder=tmp_path) == 1
    assert gate.verdicts == {name: "slower"}
    assert gate.json["head"]["built"].endswith(", pip install --no-deps --no-build-isolation")
