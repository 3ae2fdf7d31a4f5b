"""What comes of every cell of a run: which are bad, which have samples, and who is left out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from maxbench.bench.processes.hub import Talk
from maxbench.bench.processes.messages import VERSION, Cell, CellDone, Ended, Hello, Outcome, Welcome
from maxbench.reports.measure import cells
from maxbench.reports.measure.cells import Cells

LEFT_OUT = Welcome(VERSION, refusal="left out after it brought down 2 processes")


class Run:
    """Cells in a folder, and their journal."""

    def __init__(self, folder: Path) -> None:
        self.cells = Cells(folder / "journal.jsonl", Path("here"))
        self._journal = folder / "journal.jsonl"

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._journal.read_text().splitlines()]

    def begin(self, *params: str, benchmark: str = "softmax.Sweep", pid: int = 7, impls: str = "here") -> Any:
        talk = Talk("", pid)
        return talk, self.cells.heard(talk, Hello(VERSION, "", pid, Cell(benchmark, list(params), impls)))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


@pytest.mark.parametrize(
    ("status", "bad"), [("failed", True), ("wrong", True), ("skipped", False), ("interrupted", False), ("ok", False)]
)
@pytest.mark.parametrize("samples", [[1.0], [], None])
def test_what_is_bad_and_what_has_samples(run: Run, status: Any, bad: bool, samples: list[float] | None) -> None:
    talk, _ = run.begin("'a'")
    values = {"peakmem_call": 1.0}
    run.cells.heard(talk, CellDone(Outcome(status, "why " * 1000, samples=samples, values=values)))
    assert run.cells.bad == ({("softmax.Sweep", ("'a'",)): ("why " * 1000)[:2000]} if bad else {})
    assert run.lines[0].get("samples") == (samples if status == "ok" else None)
    assert run.lines[0].get("values") == (values if status == "ok" else None)
    assert len(run.lines[0]["detail"]) == 2000
    assert run.lines[0]["status"] == status


def test_who_brings_down_two_processes_is_left_out_and_no_other(run: Run) -> None:
    for count in range(2):
        talk, answer = run.begin("'a'")
        assert answer == Welcome(VERSION)
        assert run.cells.heard(talk, Ended()) is None
        assert len(run.lines) == count + 1
    assert run.begin("'a'", benchmark="softmax.Api")[1] == LEFT_OUT
    assert run.begin("'b'")[1] == Welcome(VERSION)
    assert run.begin("'a'", benchmark="argmax.Sweep")[1] == Welcome(VERSION)
    assert run.begin()[1] == Welcome(VERSION)


def test_a_run_that_stops_and_a_package_that_is_another(run: Run) -> None:
    assert run.begin("'a'", impls="there")[1] == Welcome(
        VERSION, refusal="asv imported the maxbench in there, not the one that runs, in here"
    )
    run.cells.stop()
    assert run.begin("'a'")[1] == Welcome(VERSION, stop=True)


def test_the_reason_has_gib(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Large:
        def __init__(self, pid: int = 1) -> None:
            self.pid, self.rss = pid, 3 << 30

        def children(self, recursive: bool) -> list[Large]:
            return [Large(os.getpid())] if recursive else []

        def memory_info(self) -> Any:
            return self

        def kill(self) -> None:
            ended.append(1)

    ended: list[int] = []
    monkeypatch.setattr(cells.psutil, "Process", Large)
    talk, _ = run.begin("'a'", pid=os.getpid())
    run.cells.limit(3 << 30)
    assert not ended
    run.cells.limit(1 << 29)
    assert ended == [1]
    run.cells.heard(talk, Ended())
    assert run.lines[0]["detail"] == "held 3.0 GiB of memory, limit 0.5 GiB"
