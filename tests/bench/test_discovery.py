"""What asv does before it measures: it imports every module of `bench`, whatever is installed."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import importlib.machinery, pkgutil, sys
import numba

OPTIONAL = {"numba_cuda", "cuda", "scipy", "torch", "jax", "onnx", "onnxruntime", "cupy", "ml_dtypes", "dask"}
find = importlib.machinery.PathFinder.find_spec

def present(name, path=None, target=None):
    if name == "numba.cuda" or name.partition(".")[0] in OPTIONAL:
        return None
    return find(name, path, target)

importlib.machinery.PathFinder.find_spec = present
for name in [name for name in sys.modules if name.startswith("numba.cuda")]:
    del sys.modules[name]
sys.meta_path[:] = [one for one in sys.meta_path if "numba" not in repr(one)]  # numba-cuda's own
import maxbench.bench
found = [name for _, name, _ in pkgutil.walk_packages(maxbench.bench.__path__, "maxbench.bench.")]
for name in found:
    importlib.import_module(name)
print(*found)
"""


def test_every_module_is_imported_without_what_is_optional() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"maxbench.bench.softmax", "maxbench.bench.workers.device_bandwidth"} <= set(done.stdout.split())
