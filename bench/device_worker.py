"""The process that measures on a GPU: does tasks one after the other, and writes what came of each as lines of JSON.

``python -m bench.device_worker JOB`` reads a JSON file with ``tasks``, ``seconds`` (of sampling, for each input),
``cache_bytes`` and ``out``. It says what it is about to do before it does it, so that whoever reads the lines knows
where a process that ends or never returns was. ``--probe`` instead prints what the GPU is, or why there is none.

A line is ``{"event": "begin", "task", "part"}``, ``{"event": "result", ...}``, ``{"event": "finding", ...}`` or
``{"event": "end", "task"}``. Parts are ``operation.name``; those in a task's ``without`` are left out.
"""

from __future__ import annotations

import gc
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import impls
from impls import agreement, contract

from . import device_cells, device_timing, starts, workloads
from .device_timing import Contestant

SPARE = 0.8  # of the free memory, that buffers may take
SIMULATED_SHAPE = (4, 32, 1)

Emit = Callable[[dict[str, Any]], None]


class Work:
    """What a task needs: where lines go, how long to sample, and the sizes of the device."""

    def __init__(self, emit: Emit, seconds: float, cache_bytes: int, simulated: bool) -> None:
        self.emit, self.seconds, self.cache_bytes, self.simulated = emit, seconds, cache_bytes, simulated

    def do(self, task: dict[str, Any]) -> None:
        """One task, whatever comes of it."""
        kinds = {
            "cell": self._cell,
            "describe": self._describe,
            "check": self._check,
            "launch": self._launch,
            "api": self._api,
            "transfer": self._transfer,
            "memory": self._memory,
            "start": self._start,
        }
        kinds[task["kind"]](task)
        gc.collect()
        self.emit({"event": "end", "task": task["id"]})

    def _result(self, task: dict[str, Any], name: str, **what: Any) -> None:
        self.emit({"event": "result", "task": task["id"], "name": name, **what})

    def _parts(self, task: dict[str, Any]) -> Iterator[tuple[str, impls.Implementation]]:
        """The implementations of a task that can be had, each announced; of the others the result is their reason."""
        for name in task["names"]:
            if name in task.get("without", ()):
                continue
            self.emit({"event": "begin", "task": task["id"], "part": name})
            try:
                found = impls.load(task["operation"], name)
            except (impls.Unavailable, impls.UnknownImplementation) as error:
                self._result(task, name, status="skipped", detail=str(error))
                continue
            if found.kernel.backend.device == "cuda":
                yield name, found
            else:
                detail = f"its arrays are in the memory of the {found.kernel.backend.device}, not of a CUDA device"
                self._result(task, name, status="skipped", detail=detail)

    def _guarded(self, task: dict[str, Any], name: str, measure: Callable[[], dict[str, Any]]) -> None:
        """The result of measuring one part; what it raises is its result as well."""
        try:
            found = measure()
        except NotImplementedError as error:
            found = {"status": "skipped", "detail": str(error)}
        except Exception as error:  # a peer may raise anything; the others are measured all the same
            found = {"status": "failed", "detail": f"{type(error).__name__}: {error}"}
        self._result(task, name, **found)

    def _cell(self, task: dict[str, Any]) -> None:
        cell = device_cells.from_dict(task["cell"])
        ready: list[Contestant] = []
        if cell.benchmark == "Ceiling":
            self._guarded(task, "ceiling", lambda: self._ceiling(task, cell))
            return
        x = device_cells.scores(cell)
        parts = len(task["names"])
        for name, implementation in self._parts(task):
            try:
                room = int(SPARE * self._free() / (parts - len(ready)))
                made = device_timing.prepare(cell, name, implementation.kernel, x, self.cache_bytes, room)
                ready.append(made)
            except NotImplementedError as error:
                self._result(task, name, status="skipped", detail=str(error))
            except Exception as error:  # as above
                self._result(task, name, status="failed", detail=f"{type(error).__name__}: {error}")
        self._sample(task, cell, ready)

    def _sample(self, task: dict[str, Any], cell: device_cells.Cell, ready: list[Contestant]) -> None:
        def announce(name: str) -> None:
            self.emit({"event": "begin", "task": task["id"], "part": name})

        device_timing.interleave(ready, self.seconds * max(1, len(ready)), before=announce)
        for one in ready:
            beyond = device_cells.beyond_cache(cell.pair_bytes, one.copies, self.cache_bytes)
            self._result(task, one.name, status="ok", samples=one.samples, number=one.number, copies=one.copies,
                         beyond_cache=beyond)  # fmt: skip

    def _ceiling(self, task: dict[str, Any], cell: device_cells.Cell) -> dict[str, Any]:
        """The fastest way to copy or to read as many bytes."""
        from impls.cuda import bandwidth

        self.emit({"event": "begin", "task": task["id"], "part": "ceiling"})
        backend = impls.backends.get("numba_cuda")
        copies = device_cells.buffers(cell.pair_bytes, self.cache_bytes, int(SPARE * self._free()))
        if copies < 1:
            raise NotImplementedError(f"{cell.pair_bytes} bytes do not fit the free memory")
        x = np.ones(cell.shape[1], np.float32)
        ways: dict[str, list[Callable[[], Any]]] = {}
        for _ in range(copies):
            given = backend.put(x)
            moves = bandwidth.copies(given, backend.put(x)) if cell.operation == "softmax" else bandwidth.reads(given)
            for way, call in moves.items():
                ways.setdefault(way, []).append(call)
        ready = [_turns(way, calls, device_timing.timer_of(backend)) for way, calls in ways.items()]
        for contestant in ready:
            device_timing.warm_up(contestant)
        device_timing.interleave(ready, self.seconds * len(ready))
        best = min(ready, key=lambda one: float(np.median(one.samples)))
        return {"status": "ok", "samples": best.samples, "number": best.number, "copies": copies, "detail": best.name}

    def _describe(self, task: dict[str, Any]) -> None:
        """What the implementations declare."""
        for name, found in self._parts(task):
            kernel = found.kernel
            self._result(task, name, status="ok", device=kernel.backend.device, threads=kernel.threads,
                         dtypes=list(kernel.dtypes), doc=found.doc, source=found.source)  # fmt: skip

    def _check(self, task: dict[str, Any]) -> None:
        """Agreement on the contract's cases for one implementation and dtype, until the task's seconds are over."""
        end = time.monotonic() + task["seconds"]
        for name, implementation in self._parts(task):
            for finding in agreement.check(implementation, [task["dtype"]]):
                self.emit({"event": "finding", "task": task["id"], **finding.as_dict()})
                if time.monotonic() > end:
                    self._result(task, name, status="skipped", detail=f"not all cases within {task['seconds']:.0f} s")
                    break
            else:
                self._result(task, name, status="ok")

    def _launch(self, task: dict[str, Any]) -> None:
        """What Python takes to start a call on a tiny array."""
        x = workloads.scores(device_cells.LAUNCH_SHAPE, "float32")
        for name, implementation in self._parts(task):

            def measure(kernel: impls.Kernel = implementation.kernel) -> dict[str, Any]:
                given = kernel.backend.put(x)
                out = kernel.backend.put(contract.OPERATIONS[task["operation"]].allocate(x))
                times = device_timing.launch_seconds(lambda: kernel.run(given, out), kernel.backend.synchronize)
                return {"status": "ok", "samples": times, "number": 20}

            self._guarded(task, name, measure)

    def _api(self, task: dict[str, Any]) -> None:
        """End to end: the public function on a host array, copies in and out included."""
        x = workloads.scores(SIMULATED_SHAPE if self.simulated else device_cells.API_SHAPE, "float32")
        operation = contract.OPERATIONS[task["operation"]]
        function = getattr(impls, task["operation"])
        for name, implementation in self._parts(task):

            def measure(one: str = implementation.name) -> dict[str, Any]:
                if wrong := operation.verify(x, function(x, axis=1, impl=one)):
                    raise RuntimeError(f"wrong result: {wrong}")
                return {"status": "ok", "samples": self._wall(lambda: function(x, axis=1, impl=one)), "number": 1}

            self._guarded(task, name, measure)

    def _transfer(self, task: dict[str, Any]) -> None:
        """Copies between host and device, of pinned and of ordinary memory."""
        from numba import cuda

        count = 256 if self.simulated else math.prod(device_cells.API_SHAPE)
        for name in task["names"]:
            if name in task.get("without", ()):
                continue
            self.emit({"event": "begin", "task": task["id"], "part": name})

            def measure(pinned: bool = "pinned" in name, inwards: bool = "to device" in name) -> dict[str, Any]:
                host = cuda.pinned_array(count, np.float32) if pinned else np.empty(count, np.float32)
                host[...] = 1
                device = cuda.to_device(host)

                def copy() -> None:
                    device.copy_to_device(host) if inwards else device.copy_to_host(host)
                    cuda.synchronize()

                return {"status": "ok", "samples": self._wall(copy), "number": 1}

            self._guarded(task, name, measure)

    def _memory(self, task: dict[str, Any]) -> None:
        """Device memory that a call on a resident array takes beyond x and the result, working memory and pools."""
        shape = SIMULATED_SHAPE if self.simulated else (1 << 14, 1024, 1)
        x = workloads.scores(shape, "float32")
        for name, implementation in self._parts(task):

            def measure(kernel: impls.Kernel = implementation.kernel) -> dict[str, Any]:
                if self.simulated:
                    raise NotImplementedError("a simulated device has no memory of its own")
                given = kernel.backend.put(x)
                out = kernel.backend.put(contract.OPERATIONS[task["operation"]].allocate(x))
                kernel.backend.synchronize()
                before = self._free()
                result = kernel.run(given, out)
                kernel.backend.synchronize()
                taken = max(0, before - self._free())
                del result
                return {"status": "ok", "value": float(taken)}

            self._guarded(task, name, measure)

    def _start(self, task: dict[str, Any]) -> None:
        """Load and first call in processes of their own, with an empty compile cache and with the one then filled."""
        for name in task["names"]:
            if name in task.get("without", ()):
                continue
            self.emit({"event": "begin", "task": task["id"], "part": name})
            found = starts.measure(task["operation"], name, "float32")
            self._result(task, name, **({"status": "ok", **found} if "status" not in found else found))

    def _wall(self, call: Callable[[], Any]) -> list[float]:
        """Seconds of calls that wait for their end, by the host's clock; the first is not among them."""
        call()
        times: list[float] = []
        end = time.monotonic() + self.seconds
        while len(times) < device_timing.LEAST_SAMPLES or (
            time.monotonic() < end and len(times) < device_timing.MOST_SAMPLES
        ):
            begin = time.perf_counter()
            call()
            times.append(time.perf_counter() - begin)
        return times

    def _free(self) -> int:
        """Bytes of device memory that are free; the simulator has the host's and is given little."""
        if self.simulated:
            return 1 << 26
        from numba import cuda

        return int(cuda.current_context().get_memory_info().free)


def _turns(name: str, calls: list[Callable[[], Any]], timer: Callable[[Callable[[], Any]], float]) -> Contestant:
    state = iter(_forever(calls))
    return Contestant(name, lambda: next(state)(), timer, len(calls))


def _forever(calls: list[Callable[[], Any]]) -> Iterator[Callable[[], Any]]:
    while True:
        yield from calls


def probe() -> dict[str, Any]:
    """The GPU: name, bytes of memory and L2 cache, compute capability, driver; or ``unavailable``, a reason."""
    from impls.cuda import platform

    if reason := platform.unavailable():
        return {"unavailable": reason}
    if platform.SIMULATED:
        return {"name": platform.device_name(), "simulated": True, "cache_bytes": 1024}
    from numba import cuda
    from numba.cuda.cudadrv.driver import driver

    device = cuda.get_current_device()
    return {
        "name": platform.device_name(),
        "simulated": False,
        "compute_capability": ".".join(map(str, device.compute_capability)),
        "multiprocessors": device.MULTIPROCESSOR_COUNT,
        "cache_bytes": device.L2_CACHE_SIZE,
        "memory_bytes": cuda.current_context().get_memory_info().total,
        "cuda": ".".join(map(str, driver.get_version())),  # the newest that the driver is made for
    }


def main(argument: str) -> None:
    """Do the job in a file, or show the device."""
    if argument == "--probe":
        print(json.dumps(probe()))
        return
    job = json.loads(Path(argument).read_text("utf-8"))
    with open(job["out"], "a", encoding="utf-8", buffering=1) as lines:

        def emit(line: dict[str, Any]) -> None:
            lines.write(json.dumps(line) + "\n")

        work = Work(emit, job["seconds"], job["cache_bytes"], job["simulated"])
        for task in job["tasks"]:
            work.do(task)


if __name__ == "__main__":
    main(sys.argv[1])
