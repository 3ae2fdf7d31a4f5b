"""The first call of an implementation in a new process: importing, compiling, and loading compiled code from disk."""

from __future__ import annotations

import abc
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import impls

from . import journal

START_SHAPE = (64, 1000, 1)

_FIRST_CALL = """
import json, sys, time
import numpy as np
where, operation, name, dtype, *shape = sys.argv[1:]
sys.path.insert(0, where)  # the `impls` that is measured, whatever the current folder holds
import impls
from impls import contract
x = np.random.default_rng(0).standard_normal(tuple(map(int, shape))).astype(dtype)
start = time.perf_counter()
try:
    kernel = impls.load(operation, name).kernel
except (impls.Unavailable, impls.UnknownImplementation) as error:
    print(json.dumps({"status": "skipped", "detail": str(error)}))
    sys.exit()
if refusal := kernel.refusal(dtype, x.size):
    print(json.dumps({"status": "skipped", "detail": refusal}))
    sys.exit()
loaded = time.perf_counter()
x, out = kernel.backend.put(x), kernel.backend.put(contract.OPERATIONS[operation].allocate(x))
kernel.backend.synchronize()
ready = time.perf_counter()
kernel.run(x, out)
kernel.backend.synchronize()
print(json.dumps({"load": loaded - start, "first call": time.perf_counter() - ready}))
"""


Found = dict[tuple[str, str], dict[str, Any]]


class Start(abc.ABC):
    """The first call in a new process, with Numba's cache empty (cold) and then filled by that process (warm)."""

    version = "1"
    timeout = 900
    unit = "seconds"
    param_names: ClassVar = ["implementation", "dtype"]
    params: ClassVar[list[list[Any]]]

    @property
    @abc.abstractmethod
    def operation(self) -> str:
        """softmax or argmax."""

    def start_all(self) -> Found:
        """Start every implementation twice, each time in a process of its own.

        An operation's class has a `setup_cache` of its own that calls this: asv tells caches apart by the line that
        defines them, so that two operations would share an inherited one.

        Returns:
            By (implementation, dtype): seconds of ``load``, ``cold`` and ``warm``, or a ``status`` and its ``detail``.
        """
        return {key: measure(self.operation, *key) for key in itertools.product(*self.params)}

    def setup(self, found: Found, *params: Any) -> None:
        """Say in the journal what came of the starts."""
        status, detail = found[params].get("status", "ok"), found[params].get("detail", "")
        journal.note(self, params, status, detail, shape=START_SHAPE, dtype=params[1])
        if status == "skipped":
            raise NotImplementedError(detail)
        if status != "ok":
            raise RuntimeError(detail)

    def track_load(self, found: Found, *params: Any) -> float:
        """Seconds to import the implementation and what it needs."""
        return float(found[params]["load"])

    def track_first_call_cold(self, found: Found, *params: Any) -> float:
        """Seconds of the first call on 64 x 1000 elements, compilation included."""
        return float(found[params]["cold"])

    def track_first_call_warm(self, found: Found, *params: Any) -> float:
        """Seconds of the first call on 64 x 1000 elements in a process that finds the compiled code on disk."""
        return float(found[params]["warm"])


def measure(operation: str, name: str, dtype: str) -> dict[str, Any]:
    """Seconds of load, cold and warm first call; or the status and detail that `Start.setup` reports."""
    if journal.stopped():
        return {"status": "interrupted", "detail": str(journal.Interrupted())}
    with tempfile.TemporaryDirectory(prefix="maxbench-cache-") as cache:
        try:
            cold = _first_call(operation, name, dtype, cache)
            if "status" in cold:
                return cold
            warm = _first_call(operation, name, dtype, cache)
        except RuntimeError as error:
            return {"status": "failed", "detail": str(error)}
    return {"load": warm["load"], "cold": cold["first call"], "warm": warm["first call"]}


def _first_call(operation: str, name: str, dtype: str, cache: str) -> dict[str, Any]:
    """Load and call an implementation for the first time, in a process of its own."""
    where = str(Path(impls.__file__).resolve().parent.parent)
    result = subprocess.run(
        [sys.executable, "-P", "-c", _FIRST_CALL, where, operation, name, dtype, *map(str, START_SHAPE)],
        env={**os.environ, "NUMBA_CACHE_DIR": cache},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(f"first call failed: {(result.stderr.strip().splitlines() or ['no message'])[-1]}")
    times: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return times
