"""What else the machine did during a run: CPU time that other programs took, and whether its clock fell."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil

from ..records.run import Disturbance

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
