"""A repository with many commits, and asv results of them as two machines would leave them."""

from __future__ import annotations

import itertools
import json
import math
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

COMMITS, STEP, SIZE = 24, 14, 0.08
BENCHMARK = "softmax.Sweep.time_call"
NAMES, SIZES = ["'naive'", "'numpy_vectorized'"], ["32", "1024"]


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def row(values: list[Any], params: list[list[str]], version: str) -> list[Any]:
    samples = [[v, v] if isinstance(v, float) and math.isfinite(v) else None for v in values]
    return [values, params, version, 1_700_000_000_000, 1.0, samples]


def result_file(machine: str, commit: str, results: dict[str, list[Any]], date: int = 0) -> dict[str, Any]:
    return {
        "version": 2, "commit_hash": commit, "env_name": "virtualenv-py3.11", "date": date, "python": "3.11",
        "params": {"machine": machine, "python": "3.11"}, "requirements": {}, "env_vars": {},
        "result_columns": ["result", "params", "version", "started_at", "duration", "samples"], "results": results,
    }  # fmt: skip


def anchor(seconds: float) -> list[Any]:
    return row([seconds], [["'one_thread'"]], "1")


class Folder:
    """A results folder and the repository that it belongs to."""

    def __init__(self, folder: Path) -> None:
        self.repository, self.results = folder / "repository", folder / "results"
        self.repository.mkdir(parents=True)
        self.results.mkdir()
        git(self.repository, "init", "--quiet", "--initial-branch", "main")
        (self.repository / "asv.conf.json").write_text(
            json.dumps({"version": 1, "project": "p", "project_url": "#", "repo": ".", "branches": ["main"]})
        )
        git(self.repository, "add", "--all")
        for index in range(COMMITS):
            git(self.repository, "commit", "--quiet", "--allow-empty", "--message", f"commit {index}")
        self.commits = git(self.repository, "rev-list", "--reverse", "main").split()

    def fill(self) -> None:
        """Both machines drift by a factor of 2 over time; numpy_vectorized is slower from commit STEP on."""
        noise = random.Random(3)
        for machine, speed in (("one", 1.0), ("two", 3.0)):
            for index, commit in enumerate(self.commits):
                drift = speed * (1 + index / COMMITS)
                values = []
                for name, size in itertools.product(NAMES, SIZES):
                    step = 1 + SIZE if name == "'numpy_vectorized'" and index >= STEP else 1
                    values.append(drift * step * int(size) * 1e-6 * math.exp(noise.gauss(0, 0.006)))
                self.write(
                    machine, commit,
                    {BENCHMARK: row(values, [NAMES, SIZES], "1"), "history.Anchor.time_anchor": anchor(drift * 3e-4)},
                    date=1_700_000_000_000 + index * 1000,
                )  # fmt: skip
        found = {
            "name": BENCHMARK, "param_names": ["implementation", "n"], "params": [NAMES, SIZES], "version": "1",
            "type": "time", "unit": "seconds", "code": "", "timeout": 60,
        }  # fmt: skip
        self.write_json("benchmarks.json", {BENCHMARK: found, "version": 2})

    def write(self, machine: str, commit: str, results: dict[str, list[Any]], date: int = 0) -> Path:
        (self.results / machine).mkdir(exist_ok=True)
        about = {"machine": machine, "os": "x", "arch": "x", "cpu": "x", "num_cpu": "2", "ram": "1", "version": 1}
        self.write_json(f"{machine}/machine.json", about)
        return self.write_json(f"{machine}/{commit[:8]}-v.json", result_file(machine, commit, results, date))

    def write_json(self, name: str, content: Any) -> Path:
        path = self.results / name
        path.write_text(json.dumps(content))
        return path

    def content(self) -> dict[str, bytes]:
        files = (p for p in self.results.rglob("*") if p.is_file())
        return {p.relative_to(self.results).as_posix(): p.read_bytes() for p in files}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)
