"""A repository whose commits change `impls` in known ways, and the command run on it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from maxbench import impls
from maxbench.reports.commands import main
from maxbench.reports.measure import precheck
from maxbench.reports.measure.precheck import Precheck

SLOW = """

_exact = run.run


@implements(dtypes=("float16", "float32", "float64"))
def run(x, out):
    _exact(x, out)
    return _exact(x, out)
"""
WRONG = """

_right = run.run


@implements(dtypes=DTYPES)
def run(x, out):
    _right(x, out)
    out[-1] += 1
    return out
"""
CRASH = """

import os


@implements(dtypes=("float16", "float32", "float64"))
def run(x, out):
    os.kill(os.getpid(), 9)
"""


class Repository:
    """A git repository with tagged commits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet")

    def git(self, *words: str) -> str:
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(self.folder), *identity, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def commit(self, tag: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", tag)
        self.git("tag", tag)

    def append(self, path: str, text: str) -> None:
        with open(self.folder / path, "a", encoding="utf-8") as file:
            file.write(text)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Commits: base; slow (softmax.numpy_vectorized twice the work); bad (several faults); broken (no import)."""
    found = Repository(tmp_path_factory.mktemp("repository"))
    source = Path(impls.__file__).parent
    shutil.copytree(source, found.folder / "impls", ignore=shutil.ignore_patterns("__pycache__"))
    found.commit("base")
    kernels = "impls/kernels"
    found.append(f"{kernels}/softmax/numpy_vectorized.py", SLOW)
    found.commit("slow")
    found.git("checkout", "--quiet", "base")
    found.append(f"{kernels}/argmax/numpy_vectorized.py", WRONG)
    found.append(f"{kernels}/softmax/naive.py", CRASH)
    found.git("rm", "--quiet", f"{kernels}/argmax/naive.py")
    found.commit("bad")
    found.git("checkout", "--quiet", "base")
    (found.folder / "impls/__init__.py").write_text("def broken(:\n")
    found.commit("broken")
    found.git("checkout", "--quiet", "base")
    return found


class Gate:
    """``maxbench gate`` in this process: its exit status, what it printed, and gate.json."""

    def __init__(self, folder: Path, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder, self._output, self._capsys = folder, output, capsys

    def __call__(self, *words: str, folder: Path | None = None) -> int:
        common = ["--repository", str(folder or self._folder), "--output", str(self._output)]
        status = main.main(["gate", *words, *common])
        self.printed, self.errors = self._capsys.readouterr()
        return status

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self._output / "gate.json").read_text("utf-8"))
        return found

    @property
    def markdown(self) -> str:
        return (self._output / "gate.md").read_text("utf-8")

    @property
    def verdicts(self) -> dict[str, str]:
        return {r["name"]: r["verdict"] for r in self.json["results"]}


@pytest.fixture
def gate(
    repository: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Gate:
    # Three seconds of each command, and tests of its own.
    monkeypatch.setattr(precheck, "take", lambda threads: Precheck(0.0, threads, problem="it was left out"))
    return Gate(repository.folder, tmp_path / "output", capsys)
