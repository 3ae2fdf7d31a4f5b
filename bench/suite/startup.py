"""The first call of an implementation in a new process: importing, compiling, and loading compiled code from disk."""

from __future__ import annotations

import itertools
import tempfile
from typing import TYPE_CHECKING, Any, ClassVar

from ..processes.messages import Checked, FirstCallJob, NoResult, Outcome, Started
from . import base

if TYPE_CHECKING:
    from ..processes.crew import Crew

START_SHAPE = (64, 1000, 1)
START_SECONDS = 120.0

Found = dict[tuple[str, str], Outcome]


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
            By (implementation, dtype): see `measure`.
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
        found = self._found[name, dtype]
        self.outcome.shape, self.outcome.dtype, self.outcome.values = START_SHAPE, dtype, found.values
        return base.told(found)

    def track_load(self, found: Found, *params: Any) -> float:
        """Seconds to import the implementation and what it needs."""
        return base.value(found[params], "track_load")

    def track_first_call_cold(self, found: Found, *params: Any) -> float:
        """Seconds of the first call on 64 x 1000 elements, compilation included."""
        return base.value(found[params], "track_first_call_cold")

    def track_first_call_warm(self, found: Found, *params: Any) -> float:
        """Seconds of the first call on 64 x 1000 elements in a process that finds the compiled code on disk."""
        return base.value(found[params], "track_first_call_warm")


def measure(crew: Crew, operation: str, name: str, dtype: str) -> Outcome:
    """Seconds of load, cold and warm first call, by the names of the methods that return them; or what went wrong."""
    times = []
    with tempfile.TemporaryDirectory(prefix="maxbench-cache-") as cache:
        for _ in ("cold", "warm"):
            job = FirstCallJob(operation, name, dtype)
            work = crew.run(job, env={"NUMBA_CACHE_DIR": cache}, seconds=START_SECONDS)
            if refused := work.those(NoResult):
                return Outcome(refused[0].status, refused[0].detail)
            if wrong := [one.verdict.detail for one in work.those(Checked) if one.verdict.status == "wrong"]:
                return Outcome("wrong", wrong[0])
            if work.failure is not None or not (started := work.those(Started)):
                return Outcome("failed", work.failure or "its process said nothing of its start")
            times.append(started[0])
    cold, warm = times
    return Outcome(values={
        "track_load": warm.load, "track_first_call_cold": cold.first_call, "track_first_call_warm": warm.first_call,
    })  # fmt: skip
