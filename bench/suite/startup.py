"""The first call of an implementation in a new process: importing, compiling, and loading compiled code from disk."""

from __future__ import annotations

import itertools
import tempfile
from typing import TYPE_CHECKING, Any, ClassVar

from . import base

if TYPE_CHECKING:
    from ..processes.crew import Crew

START_SHAPE = (64, 1000, 1)
START_SECONDS = 120.0

Found = dict[tuple[str, str], dict[str, Any]]


class Start(base.Cell):
    """The first call in a new process, with Numba's cache empty (cold) and then filled by that process (warm)."""

    unit = "seconds"
    rounds = 1
    param_names: ClassVar = ["implementation", "dtype"]

    def start_all(self) -> Found:
        """Start every implementation twice, each time in a process of its own.

        An operation's class has a `setup_cache` of its own that calls this: asv tells caches apart by the line that
        defines them, so that two operations would share an inherited one.

        Returns:
            By (implementation, dtype): seconds of ``load``, ``cold`` and ``warm``, or a ``status`` and its ``detail``.
        """
        from ..processes.crew import Crew  # here: it needs psutil, which an environment of asv may lack

        with Crew() as crew:
            return {key: measure(crew, self.operation, *key) for key in itertools.product(*self.params)}

    def setup(self, *params: Any) -> None:
        """Report the result of the starts; see `base.Cell.setup`."""
        self._found: Found = params[0]
        super().setup(*params[1:])

    def measure(self, name: str, *rest: Any) -> str:
        (dtype,) = rest
        self.facts.update(shape=list(START_SHAPE), dtype=dtype)
        found = self._found[name, dtype]
        if "load" in found:
            self.facts["values"] = {
                "track_load": found["load"], "track_first_call_cold": found["cold"],
                "track_first_call_warm": found["warm"],
            }  # fmt: skip
        return base.told(found)

    def track_load(self, found: Found, *params: Any) -> float:
        """Seconds to import the implementation and what it needs."""
        return float(found[params]["load"])

    def track_first_call_cold(self, found: Found, *params: Any) -> float:
        """Seconds of the first call on 64 x 1000 elements, compilation included."""
        return float(found[params]["cold"])

    def track_first_call_warm(self, found: Found, *params: Any) -> float:
        """Seconds of the first call on 64 x 1000 elements in a process that finds the compiled code on disk."""
        return float(found[params]["warm"])


def measure(crew: Crew, operation: str, name: str, dtype: str) -> dict[str, Any]:
    """Seconds of load, cold and warm first call; or the status and detail of what went wrong."""
    job = {"operation": operation, "name": name, "dtype": dtype}
    times = []
    with tempfile.TemporaryDirectory(prefix="maxbench-cache-") as cache:
        for _ in ("cold", "warm"):
            work = crew.run("first_call", job, env={"NUMBA_CACHE_DIR": cache}, seconds=START_SECONDS)
            if refused := work.those("refused"):
                return {"status": "skipped", "detail": str(refused[0]["detail"])}
            if wrong := [m["verdict"].detail for m in work.those("checked") if m["verdict"].status == "wrong"]:
                return {"status": "wrong", "detail": wrong[0]}
            if work.failure is not None or not work.those("started"):
                return {"status": "failed", "detail": work.failure or "its process said nothing of its start"}
            times.append(work.those("started")[0])
    cold, warm = times
    return {"load": warm["load"], "cold": cold["first_call"], "warm": warm["first_call"]}
