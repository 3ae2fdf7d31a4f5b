"""Processes that compile the kernels of a device report, or of tuning, while the GPU measures."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence

from maxbench.bench.inputs.device_cells import OURS
from maxbench.bench.processes.crew import Crew
from maxbench.bench.processes.messages import AnyTask, CellTask, CheckTask, CompileJob, Gpu, LaunchTask

MOST, FEW = 12, 3
KEPT = 3  # CPUs: for the process that measures, for the judge, and for what else there is


def order(tasks: Sequence[AnyTask], processes: int) -> list[AnyTask]:
    """The tasks whose kernels are to be compiled, most wanted first.

    Few processes leave the cases that are checked first to the process that measures, which begins with them itself.
    """
    ours = [task for task in tasks if OURS in task.names or (isinstance(task, CellTask) and task.names == ["ceiling"])]
    wanted: list[AnyTask] = [task for task in ours if isinstance(task, CellTask | CheckTask | LaunchTask)]
    if processes > FEW:
        return wanted
    checked: list[AnyTask] = [task for task in wanted if isinstance(task, CheckTask)]
    return [task for task in wanted if not isinstance(task, CheckTask)] + checked


class Compilers:
    """So many processes as CPUs are left; see `bench.workers.compile`. What goes wrong in them is of no account.

    Args:
        tasks: in the order in which they will be done; None for tuning.
        cpus: that there are.
        seconds: after which they are ended.
    """

    def __init__(
        self, crew: Crew, tasks: Sequence[AnyTask] | None, device: Gpu, environment: Mapping[str, str], cpus: int,
        seconds: float,
    ) -> None:  # fmt: skip
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        capability, multiprocessors, shared = device.compute_capability, device.multiprocessors, device.shared_bytes
        if device.simulated or capability is None or multiprocessors is None or shared is None or seconds <= 0:
            return
        count = min(MOST, max(1, cpus - KEPT))
        for first in range(count):
            wanted = None if tasks is None else order(tasks, count)
            job = CompileJob(wanted, device.name, capability, multiprocessors, shared, first, count)
            self._threads.append(
                threading.Thread(target=self._run, args=(crew, job, dict(environment), seconds), daemon=True)
            )
            self._threads[-1].start()

    def _run(self, crew: Crew, job: CompileJob, environment: dict[str, str], seconds: float) -> None:
        with contextlib.suppress(Exception):
            crew.run(job, env=environment, seconds=seconds, tick=self._tick)

    def _tick(self) -> None:
        if self._stop.is_set():
            raise RuntimeError("it was stopped")

    def stop(self) -> None:
        """End those that are left."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
