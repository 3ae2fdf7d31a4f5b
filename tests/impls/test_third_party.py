"""Packages of other authors, installed for real into an environment of their own: no edit in maxbench is needed."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

PACKAGES = Path(__file__).parents[1] / "packages"
Maxbench = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def maxbench(tmp_path_factory: pytest.TempPathFactory) -> Maxbench:
    """The command in an environment with both packages, which sees what is installed here and adds to it."""
    folder = tmp_path_factory.mktemp("third-party")
    venv.create(folder / "venv", with_pip=False, symlinks=os.name == "posix")
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    theirs = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    here = sysconfig.get_path("purelib")
    (Path(theirs.stdout.strip()) / "outer.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "--quiet",
    ]
    pip += ["--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, PACKAGES / "example", PACKAGES / "broken"], check=True, cwd=folder)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, "-m", "maxbench.reports.commands.main", *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
        )

    return run


def test_both_are_listed(maxbench: Maxbench) -> None:
    done = maxbench("list", "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = {(row["operation"], row["implementation"]): row for row in json.loads(done.stdout)}
    assert rows["softmax", "example"]["origin"] == "maxbench-example 1.2.3"
    assert rows["softmax", "example"]["status"] == "available"
    assert rows["argmax", "broken"]["origin"] == "maxbench-broken 0.0.1"
    assert rows["argmax", "broken"]["status"] == "failed"
    assert rows["argmax", "broken"]["reason"] == "RuntimeError: this package is broken on purpose"
    assert rows["argmax", "naive"]["status"] == "available"


def test_both_are_checked(maxbench: Maxbench) -> None:
    done = maxbench("check", "example", "broken", "softmax.naive", "argmax.naive", "--dtype", "float32")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "failed: argmax.broken: RuntimeError: this package is broken on purpose" in done.stdout
    assert "example" in done.stdout


def test_the_good_one_is_measured_and_reported(maxbench: Maxbench, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((50, 20)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    done = maxbench(
        *("run", "--array", str(tmp_path / "x.npy"), "--processes", "1", "--output", str(tmp_path / "run")),
        *("--only", "example", "--only", "broken", "--only", "numpy_vectorized"),
    )
    assert done.returncode == 1, done.stderr
    assert "example" in done.stdout
    assert "this package is broken on purpose" in done.stdout
    assert "failed, so not measured: argmax.broken" in done.stderr.splitlines()[-1]
    with open(tmp_path / "run" / "results.csv", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["implementation"] == "example"]
    timed = [row for row in rows if row["status"] == "ok" and row["benchmark"] == "Own"]
    assert timed
    assert all(float(row["value"]) > 0 for row in timed)
    page = (tmp_path / "run" / "index.html").read_text("utf-8")
    assert "example" in page
    assert "maxbench-example 1.2.3" in page
    assert sys.executable not in page
