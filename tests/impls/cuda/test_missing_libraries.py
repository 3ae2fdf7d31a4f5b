"""What is missing for CUDA is named, with the command that brings it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("numba_cuda") is None, reason="not installed: numba-cuda; pip install 'maxbench[test]'"
)

_PROGRAM = """
import sys
from maxbench.impls.cuda import platform
def fails(*arguments):
    raise RuntimeError("Failure finding libnvvm.so\\nsearched in many places")
if sys.argv[1] == "nvvm":
    from numba.cuda.cudadrv import driver, nvvm
    platform._driver_problem = lambda: None
    driver.get_current_device = fails
    nvvm.NVVM = fails
    print(platform.compiler_problem())
elif sys.argv[1] == "library":
    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name.startswith("numba.cuda"):
                fails()
    sys.meta_path.insert(0, Finder())
    print(platform.unavailable())
else:
    from numba.cuda.cudadrv import driver
    driver.driver.get_device_count = (lambda: 0) if sys.argv[1] == "none" else fails
    print(platform.unavailable())
"""
BRINGS = "cannot be loaded (Failure finding libnvvm.so); pip install 'maxbench[cuda]' brings it"


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("nvvm", f"NVVM, which compiles CUDA kernels, {BRINGS}"),
        ("library", f"a library of CUDA {BRINGS}"),
        ("none", "no CUDA GPU: the driver finds 0 devices"),
        ("driver", "no CUDA GPU: Failure finding libnvvm.so searched in many places"),
    ],
)
def test_what_is_missing_is_named(missing: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_ENABLE_CUDASIM", raising=False)
    command = [sys.executable, "-c", _PROGRAM, missing]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert (done.stdout.strip(), done.returncode) == (said, 0), done.stderr
