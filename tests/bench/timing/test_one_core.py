"""asv's cells, side by side, the gate and the device path all measure by one `prepare` and one sampler."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import maxbench.bench.softmax
from maxbench import Unavailable, implements, impls
from maxbench.bench import timing
from maxbench.bench.inputs import grid
from maxbench.bench.inputs.device_cells import Cell
from maxbench.bench.inputs.recipe import Input
from maxbench.bench.processes import link, sides
from maxbench.bench.processes.crew import Crew
from maxbench.bench.processes.messages import (
    Calibrate,
    CellTask,
    Command,
    Event,
    Finish,
    Pair,
    PartDone,
    Prepare,
    QuadsJob,
    Quit,
    Sample,
    Turn,
    TurnsJob,
)  # fmt: skip
from maxbench.bench.timing import ready, sampling
from maxbench.bench.workers import device, quads, turns
from tests.impls.cuda.fakes import Backend, Link

SHAPE = (4, 10, 1)


class Stacks:
    """Where `prepare` and `Sampler.sample` were called from: the modules of `bench`, the innermost first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.prepared: list[list[str]] = []
        self.sampled: list[list[str]] = []
        self._watch(monkeypatch, timing, "prepare", ready.prepare, self.prepared)
        self._watch(monkeypatch, sampling.Sampler, "sample", sampling.Sampler.sample, self.sampled)

    @staticmethod
    def _watch(
        patch: pytest.MonkeyPatch, where: Any, name: str, function: Callable[..., Any], stacks: list[list[str]]
    ) -> None:
        assert getattr(where, name) is function

        def watched(*args: Any, **how: Any) -> Any:
            frame, found = sys._getframe(1), list[str]()
            while frame is not None:
                module = frame.f_globals.get("__name__", "")
                if module.startswith("maxbench.bench.") and module not in found[-1:]:
                    found.append(module)
                frame = frame.f_back  # type: ignore[assignment]
            stacks.append(found)
            return function(*args, **how)

        patch.setattr(where, name, watched)


@pytest.fixture
def stacks(monkeypatch: pytest.MonkeyPatch) -> Stacks:
    return Stacks(monkeypatch)


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(grid.SECONDS, "0.01")
    monkeypatch.delenv(link.TOKEN, raising=False)
    with Crew() as crew:
        for name, value in crew.variables.items():
            monkeypatch.setenv(name, value)
        yield


@pytest.mark.usefixtures("variables")
def test_asvs_cells(stacks: Stacks) -> None:
    cell = maxbench.bench.softmax.Sweep()
    cell.setup("numpy_vectorized", "float32", 1024)
    assert stacks.prepared == [["maxbench.bench.suite.base"]]
    taken = list(stacks.sampled)
    assert len(taken) == cell.repeat
    # The one sample at a random place that is checked is taken by the same sampler.
    checked = [stack for stack in taken if stack[0] == "maxbench.bench.timing.ready"]
    assert checked == [["maxbench.bench.timing.ready", "maxbench.bench.timing.schedules", "maxbench.bench.suite.base"]]
    assert all(stack[-2:] == ["maxbench.bench.timing.schedules", "maxbench.bench.suite.base"] for stack in taken)
    for _ in range(cell.repeat):
        cell.time_call("numpy_vectorized", "float32", 1024)
    assert stacks.sampled == taken  # asv itself times nothing


def test_side_by_side(stacks: Stacks) -> None:
    todo = iter([Prepare(Input("scores", "float32", SHAPE), 160), Calibrate(), Sample(), Finish(), Quit()])

    class Told(Link):
        def say(self, event: Event) -> Command:
            return next(todo) if isinstance(event, Turn) else super().say(event)

    turns.main(Told(), TurnsJob("softmax", "numpy_vectorized", one_thread=True))  # type: ignore[arg-type]
    assert not list(todo)
    assert stacks.prepared == [["maxbench.bench.workers.turns"]]
    assert 1 <= len(stacks.sampled) <= turns.BATCHES
    assert {tuple(stack) for stack in stacks.sampled} == {("maxbench.bench.workers.turns",)}


def test_the_gate(stacks: Stacks, monkeypatch: pytest.MonkeyPatch) -> None:
    class Side:
        package = SimpleNamespace(Unavailable=Unavailable)

        def __init__(self, name: str, root: Path) -> None:
            self.name = name

        def entered(self) -> Any:
            return sampling.collector_held()  # any context

        def load(self, operation: str, name: str) -> Any:
            return impls.load(operation, name).kernel

    monkeypatch.setattr(sides, "Side", Side)
    pair = Pair("b", "softmax", "numpy_vectorized", "float32", SHAPE, ("base", "head"))
    quads.main(Link(), QuadsJob({"base": ".", "head": "."}, [pair], 2, seed=0))  # type: ignore[arg-type]
    assert stacks.prepared == [["maxbench.bench.workers.quads"]] * 2
    assert stacks.sampled == [["maxbench.bench.timing.schedules", "maxbench.bench.workers.quads"]] * 2 * 4


def test_the_device(stacks: Stacks, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Backend()

    @implements(backend=backend, dtypes=("float32",))
    def kernel(x: Any, out: Any) -> Any:
        backend.calls += 1
        np.exp(x - x.max(axis=1, keepdims=True), out=out)
        out /= out.sum(axis=1, keepdims=True)
        return out

    monkeypatch.setattr(device.impls, "load", lambda operation, name: SimpleNamespace(name=name, kernel=kernel))
    cell = Cell("softmax", "Sweep", "float32", 10, SHAPE, 0)
    task = CellTask(id=0, operation="softmax", names=["mine"], cell=cell)
    told = Link()
    device.Work(told, 0.0, 1024, simulated=True).do(task)  # type: ignore[arg-type]
    assert [done.outcome.status for done in told.those(PartDone)] == ["ok"]
    assert stacks.prepared == [["maxbench.bench.workers.device"]]
    assert (
        stacks.sampled == [["maxbench.bench.timing.schedules", "maxbench.bench.workers.device"]] * device.LEAST_SAMPLES
    )
