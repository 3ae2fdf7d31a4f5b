"""Runs tests/impls/cuda/simulated in a process of its own: numba-cuda decides at import whether it simulates."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).parent


FILES = sorted(path.name for path in (HERE / "simulated").glob("test_*.py"))


@pytest.fixture(scope="module")
def results() -> dict[str, subprocess.CompletedProcess[str]]:
    """What came of each file: as many at a time as there are cores."""
    missing = [name for name in ("numba_cuda", "cuda.bindings", "greenlet") if not _installed(name)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; pip install 'maxbench[test]'")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(FILES, pool.map(_run, FILES), strict=True))


def _run(file: str) -> subprocess.CompletedProcess[str]:
    # Not -x: one run shows everything that is wrong.
    options = ["-q", "-n", "0", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, str(HERE / "simulated" / file)]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    return subprocess.run(
        command, cwd=HERE.parent.parent, env=environment, capture_output=True, text=True, timeout=400, check=False
    )


@pytest.mark.parametrize("file", FILES)
def test_in_simulator(file: str, results: dict[str, subprocess.CompletedProcess[str]]) -> None:
    result = results[file]
    assert result.returncode == 0, f"{result.stdout[-6000:]}\n{result.stderr[-2000:]}"
    assert " passed" in result.stdout


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
