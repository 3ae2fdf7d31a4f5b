"""What else the machine did during a run: CPU time that other programs took, and whether its clock fell."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil

from . import text
from .records.run import Disturbance
from .runs import Run

# Below these shares nothing is said: medians over processes shrug off what is rare, and clocks are never quite steady.
OTHERS, SLOWER = 0.10, 0.10
LOADED = 0.5  # load average over CPUs, of runs that did not note more
_THROTTLED = Path("/sys/devices/system/cpu")
_IDLE = ("idle", "iowait")
_TWICE = ("guest", "guest_nice")  # what Linux counts as user and nice too
_LOOPS, _TRIES = 20_000, 40


class Watch:
    """Counts from when it is made."""

    def __init__(self, throttled: Path = _THROTTLED) -> None:
        self._root = throttled
        self._loop = loop_seconds()
        self._throttled = throttle_count(throttled)
        self._began = time.monotonic()
        self._busy, self._own = busy_seconds(), own_seconds()

    def found(self) -> Disturbance:
        """Since it was made. Of a virtual machine, CPU time that went to its host counts as other programs'."""
        seconds = time.monotonic() - self._began
        busy, own = busy_seconds() - self._busy, own_seconds() - self._own
        now = throttle_count(self._root)
        known = None not in (now, self._throttled)
        return Disturbance(
            seconds=round(seconds, 1),
            others=round(max(0.0, busy - own) / (seconds * len(_cpus())), 4) if os.name == "posix" else None,
            throttled=(now or 0) - (self._throttled or 0) if known else None,
            slower=round(loop_seconds() / self._loop, 3),
        )


def _cpus() -> list[int]:
    process = psutil.Process()
    return list(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else list(range(psutil.cpu_count() or 1))


def busy_seconds() -> float:
    """Seconds that the CPUs which this process may run on were not idle, since the machine started."""
    times = psutil.cpu_times(percpu=True)
    cpus = [times[cpu] for cpu in _cpus() if cpu < len(times)]
    return float(sum(s for cpu in cpus for kind, s in cpu._asdict().items() if kind not in (*_IDLE, *_TWICE)))


def own_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def throttle_count(root: Path = _THROTTLED) -> int | None:
    """How often heat has lowered the clock of a core, over all cores; None where the system does not count it."""
    counts = []
    for path in root.glob("cpu[0-9]*/thermal_throttle/core_throttle_count"):
        try:
            counts.append(int(path.read_text()))
        except (OSError, ValueError):
            continue
    return sum(counts) if counts else None


def loop_seconds() -> float:
    """The shortest time of a loop that depends on the clock and on nothing else: no memory, no library."""
    shortest = float("inf")
    for _ in range(_TRIES):
        start = time.perf_counter()
        for _ in range(_LOOPS):
            pass
        shortest = min(shortest, time.perf_counter() - start)
    return shortest


def warnings(run: Run) -> list[str]:
    """What of it makes a run's figures doubtful, as sentences."""
    parts = run.about.disturbance
    if parts is None:
        return _by_load(run)
    others = max((part.others or 0.0 for part in parts), default=0.0)
    slower = max((part.slower or 0.0 for part in parts), default=0.0)
    throttled = max((part.throttled or 0 for part in parts), default=0)
    said = []
    if others > OTHERS:
        said.append(f"Other programs took {text.percent(others)} of the CPU time during the run.")
    if throttled > 0:
        said.append(f"The clock was throttled {text.plural(throttled, 'time')} during the run, because of heat.")
    if slower > 1 + SLOWER:
        said.append(
            f"At the end of the run a fixed loop took {text.factor(slower)} as long as at its start: "
            "the clock fell, or the CPU was shared."
        )
    return said


def _by_load(run: Run) -> list[str]:
    load, cpus = run.about.load_average.start, run.about.machine.cores_logical
    if not load or cpus is None or load[0] <= LOADED * cpus:
        return []
    return [f"The load average was {load[0]:.2f} on {text.plural(cpus, 'CPU')} when the run began: others used them."]
