"""The cells of a run: what the journal says of those that end early, and what an interruption leaves to go on from.

asv is replaced by what it does to a run: it starts cells, which say what came of them, and saves by its own results.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from asv.environment import get_env_name
from asv.results import Results
from asv.runner import BenchmarkResult

import impls
import reports
from bench import launch
from bench.hub import Talk
from reports import measure
from reports.asv_driver import Driver
from reports.cells import ENDED, Cells
from reports.measure import Measurement, Plan
from reports.progress import Bar
from reports.records import run as run_record
from reports.records.reading import Problems
from reports.records.run import Implementation, Machine, RunRecord, Source

PACKAGE = Path(impls.__file__).resolve().parent
NAMES, SIZES = ["'a'", "'b'"], ["2", "4"]
BEGIN = {"benchmark": "argmax.Sweep", "params": ["'a'", "'float32'", "2"], "impls": str(PACKAGE)}


class Heard:
    """Cells, their journal, and how often they were tidied."""

    def __init__(self, path: Path) -> None:
        self.path, self.tidied = path, 0
        self.cells = Cells(path, PACKAGE, self._tidy)

    def _tidy(self) -> None:
        self.tidied += 1

    def begin(self, pid: int = 1, **what: Any) -> Talk:
        talk = Talk("", pid)
        assert self.cells.heard(talk, {**BEGIN, **what}) is None
        return talk

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []


@pytest.fixture
def heard(tmp_path: Path) -> Heard:
    return Heard(tmp_path / "journal.jsonl")


def test_a_cell_that_is_measured_is_noted_once_with_its_samples(heard: Heard) -> None:
    talk = heard.begin()
    assert heard.lines == []
    done = {"status": "ok", "detail": "remark", "samples": [3.0, 1.0], "repeat": 2, "number": 7, "dtype": "float32"}
    heard.cells.heard(talk, {"event": "done", **done, "shape": [1, 2, 1]})
    heard.cells.heard(talk, {"event": "end", "problem": ""})  # as every process ends
    (line,) = heard.lines
    assert line.items() >= {
        "benchmark": "argmax.Sweep", "params": BEGIN["params"], "status": "ok", "detail": "remark", "pid": 1,
        "repeat": 2, "number": 7, "shape": [1, 2, 1], "dtype": "float32",
    }.items()  # fmt: skip
    row = heard.cells.rows["argmax.Sweep", tuple(BEGIN["params"])]
    assert (row["result"], row["samples"], row["stats_number"]) == (2.0, [3.0, 1.0], 1)
    assert heard.cells.bad == {}
    assert heard.tidied == 1


@pytest.mark.parametrize(
    ("problem", "detail"), [("", ENDED), ("ValueError: odd", "it said what it must not: ValueError: odd")]
)
def test_a_cell_that_ends_before_it_is_done_has_failed(heard: Heard, problem: str, detail: str) -> None:
    heard.cells.heard(heard.begin(), {"event": "end", "problem": problem})
    (line,) = heard.lines
    assert (line["status"], line["detail"]) == ("failed", detail)
    assert heard.cells.bad == {("argmax.Sweep", tuple(BEGIN["params"])): detail}
    assert heard.tidied == 1


def test_a_cell_that_holds_too_much_memory_is_ended_and_says_so(heard: Heard) -> None:
    program = [sys.executable, "-c", "print('ready', flush=True); input()"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        talk = heard.begin(process.pid)
        heard.cells.limit(1 << 40)
        assert process.poll() is None
        heard.cells.limit(1 << 20)
        assert process.wait(5) == -signal.SIGKILL
    heard.cells.limit(1 << 20)  # it is gone
    heard.cells.heard(talk, {"event": "end", "problem": ""})
    assert re.fullmatch(r"held 0\.0 GiB of memory, limit 0\.0 GiB", heard.lines[-1]["detail"])


def test_a_process_that_is_not_ours_is_not_ended(heard: Heard) -> None:
    """A cell says which process it is, and may say anything."""
    program = "import subprocess as s; print(s.Popen(['sleep', '60'], stdout=s.DEVNULL, stderr=s.DEVNULL).pid)"
    started = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    stranger = psutil.Process(int(started.stdout))
    try:
        heard.begin(stranger.pid)
        heard.cells.limit(1)
        assert stranger.status() == psutil.STATUS_SLEEPING
    finally:
        stranger.kill()


def test_what_ends_with_an_interrupted_run_has_not_failed(heard: Heard) -> None:
    talk, other = heard.begin(), heard.begin()
    heard.cells.stop()
    heard.cells.heard(talk, {"event": "end", "problem": ""})
    heard.cells.heard(other, {"event": "done", "status": "ok", "samples": [1.0]})
    assert heard.lines == []
    assert heard.cells.bad == heard.cells.rows == {}
    assert heard.cells.heard(Talk("", 1), dict(BEGIN)) == {"stop": True}


def _benchmark(name: str, kind: str, *params: list[str]) -> dict[str, Any]:
    names = ["implementation", "dtype", "n"][: len(params)]
    return {"name": name, "type": kind, "version": "2", "params": list(params), "param_names": names, "code": "",
            "unit": "seconds", "timeout": 60}  # fmt: skip


TIMED, MEMORY = "argmax.Sweep.time_call", "argmax.Memory.peakmem_call"
BENCHMARKS = {
    TIMED: _benchmark(TIMED, "time", NAMES, ["'float32'"], SIZES),
    MEMORY: _benchmark(MEMORY, "peakmemory", NAMES[:1], ["'float32'"]),
}


class Asv:
    """In place of `Driver._asv`.

    Attributes:
        stop_at: at which of the cells that are still to come SIGINT arrives; None for never.
        stop_after: or after the end of which round.
        measured: the cells in order, without those that were stopped.
    """

    def __init__(self) -> None:
        self.stop_at: int | None = None
        self.stop_after: int | None = None
        self.measured: list[str] = []
        self.run: Measurement
        self._counts = itertools.count(2)

    def __call__(self, driver: Driver, words: Sequence[str], tick: Callable[[], None]) -> launch.Ending:
        if "just-discover" in words:
            driver.results.mkdir(parents=True, exist_ok=True)
            (driver.results / "benchmarks.json").write_text(json.dumps({**BENCHMARKS, "version": 2}))
            return launch.Ending(0)
        chosen = [words[i + 1] for i, word in enumerate(words) if word == "--bench"]
        environment = get_env_name("existing", sys.executable.replace(os.path.sep, "_"), {}, {})
        path = driver.results / driver.machine / f"{driver.commit[:8]}-{environment}.json"
        if path.exists():
            results = Results.load(str(path))
        else:
            path.parent.mkdir(exist_ok=True)
            results = Results({"machine": driver.machine}, {}, driver.commit, 0, "3", environment, {})
        for name, benchmark in BENCHMARKS.items():
            cells = list(itertools.product(*benchmark["params"]))
            wanted = {i for i, cell in enumerate(cells)
                      if any(re.search(e, f"{name}({', '.join(cell)})") for e in chosen)}  # fmt: skip
            if name in results.get_all_result_keys() and "--append-samples" in words:
                # asv takes the numbers of calls from the rounds before: a cell has samples of one each.
                stats = results.get_result_stats(name, benchmark["params"])
                assert {stat["number"] for stat in stats or () if stat and "number" in stat} <= {1}
            found = {i: self._cell(name, cells[i], tick) for i in sorted(wanted)}
            if found:
                samples = [found.get(i) for i in range(len(cells))]
                timed = name == TIMED
                taken = BenchmarkResult([s and s[0] for s in samples], samples if timed else [None] * len(cells),
                                        [1 if timed and s else None for s in samples], 0, "", None)  # fmt: skip
                results.add_result(benchmark, taken, record_samples=True, append_samples="--append-samples" in words,
                                   selected_idx=wanted)  # fmt: skip
        results.save(str(driver.results))
        if self.stop_after == self.run.record.rounds + 1:
            self.stop_after = os.kill(os.getpid(), signal.SIGINT)
        return launch.Ending(0)

    def _cell(self, name: str, params: tuple[str, ...], tick: Callable[[], None]) -> list[float]:
        talk, cells = Talk("", 1), self.run._cells
        cells.heard(talk, {**BEGIN, "benchmark": name.rpartition(".")[0], "params": list(params)})
        if self.stop_at == 0:
            os.kill(os.getpid(), signal.SIGINT)
        try:
            tick()
        except KeyboardInterrupt:
            cells.heard(talk, {"event": "end", "problem": ""})  # as it does when asv is ended
            raise
        self.stop_at = None if self.stop_at is None else self.stop_at - 1
        self.measured.append(f"{name.split('.')[1]}({', '.join(params)})")
        # Every process takes another number of samples.
        samples = [float(len(self.measured))] * next(self._counts)
        more = {"samples": samples, "repeat": len(samples), "number": 1} if name == TIMED else {}
        shape = [2, int(params[2]) if name == TIMED else 2, 1]
        cells.heard(talk, {"event": "done", "status": "ok", "shape": shape, "dtype": "float32", **more})
        return samples


@pytest.fixture
def asv(monkeypatch: pytest.MonkeyPatch) -> Asv:
    found = Asv()
    monkeypatch.setattr(Driver, "_asv", lambda driver, words, tick: found(driver, words, tick))
    monkeypatch.setattr(measure, "doubted_ceilings", lambda folder: set())
    return found


@contextlib.contextmanager
def measuring(asv: Asv, folder: Path) -> Iterator[Measurement]:
    """A run over two implementations in two rounds, new or gone on with."""
    record = run_record.load(folder, Problems(folder)) or RunRecord(
        machine=Machine(name="m"),
        source=Source(commit="0" * 40),
        implementations=[Implementation(operation="argmax", name=name.strip("'")) for name in NAMES],
    )
    entries: Any = [SimpleNamespace(operation="argmax")]
    plan = Plan(folder, "quick", entries, None, 1, None, rounds=2)
    with Bar() as bar:
        asv.run = Measurement(plan, bar, record)
        yield asv.run


def _stopped(asv: Asv, folder: Path, at: int) -> dict[str, Any]:
    """The side-car of a run that is stopped at one of its cells."""
    asv.stop_at = at
    with measuring(asv, folder) as run, pytest.raises(launch.Stopped):
        run.measure()
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    assert found["state"] == "interrupted"
    return found


def _times(folder: Path) -> dict[tuple[str, int], tuple[str, Any, Any]]:
    table = reports.load(folder)
    table = table[table["benchmark"] == "Sweep"]
    return {(row["implementation"], row["n"]): (row["status"], row["processes"], row["process_medians"])
            for row in table.to_dict("records")}  # fmt: skip


def test_a_first_round_that_is_interrupted_twice_keeps_all_that_it_measured(asv: Asv, tmp_path: Path) -> None:
    assert _stopped(asv, tmp_path, 1)["rounds"] == 0
    first = list(asv.measured)
    assert first == ["Sweep('a', 'float32', 2)"]
    found = _times(tmp_path)
    assert found.pop(("a", 2)) == ("ok", 1, (1.0,))
    assert {status for status, *_ in found.values()} == {"interrupted"}
    assert _stopped(asv, tmp_path, 2)["rounds"] == 0
    assert asv.measured[1:] == ["Sweep('a', 'float32', 4)", "Sweep('b', 'float32', 2)"]
    found = _times(tmp_path)
    assert found.pop(("b", 4))[0] == "interrupted"
    assert found == {("a", 2): ("ok", 1, (1.0,)), ("a", 4): ("ok", 1, (2.0,)), ("b", 2): ("ok", 1, (3.0,))}
    asv.stop_at = None
    with measuring(asv, tmp_path) as run:
        run.measure()
    # What is left of the first round, and the second, which is of timings only.
    every = [f"Sweep({name}, 'float32', {size})" for name in NAMES for size in SIZES]
    assert sorted(asv.measured[3:5]) == ["Memory('a', 'float32')", every[-1]]
    assert asv.measured[5:] == every
    found = _times(tmp_path)
    assert {(status, processes) for status, processes, _ in found.values()} == {("ok", 2)}
    assert found["a", 2][2] == (1.0, 6.0)


def test_a_later_round_that_is_interrupted_leaves_the_rounds_before_it(asv: Asv, tmp_path: Path) -> None:
    assert _stopped(asv, tmp_path, 5 + 2)["rounds"] == 1
    assert len(asv.measured) == 7
    found = _times(tmp_path)
    assert {(status, processes) for status, processes, _ in found.values()} == {("ok", 1)}
    assert len(set(found.values())) == 4  # each process's own
    asv.stop_at = None
    with measuring(asv, tmp_path) as run:
        run.measure()
    assert len(asv.measured) == 7 + 4
    found = _times(tmp_path)
    assert {(status, processes) for status, processes, _ in found.values()} == {("ok", 2)}
    assert found["b", 4][2][1] == 11.0
    assert json.loads((tmp_path / "run.json").read_text())["state"] == "finished"


def test_an_interruption_as_a_round_ends_counts_it_once(asv: Asv, tmp_path: Path) -> None:
    for rounds, cells in ((1, 5), (2, 9)):
        asv.stop_after = rounds
        with measuring(asv, tmp_path) as run, pytest.raises(launch.Stopped):
            run.measure()
        side = json.loads((tmp_path / "run.json").read_text())
        assert (side["state"], side["rounds"], len(asv.measured)) == ("interrupted", rounds, cells)
    with measuring(asv, tmp_path) as run:
        run.measure()
    assert len(asv.measured) == 9
    assert {(status, processes) for status, processes, _ in _times(tmp_path).values()} == {("ok", 2)}


def test_a_truncated_results_file_does_not_stop_a_resumed_run(asv: Asv, tmp_path: Path) -> None:
    asv.stop_after = 1
    with measuring(asv, tmp_path) as run, pytest.raises(launch.Stopped):
        run.measure()
    (path,) = (tmp_path / "asv" / "results" / "m").glob("0*.json")
    path.write_text(path.read_text()[:200])
    side = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**side, "rounds": 0}))
    with measuring(asv, tmp_path) as run:
        run.measure()
    assert any("truncated" in warning for warning in run.record.warnings)
    assert len(asv.measured) == 5 + 5 + 4
    assert {(status, processes) for status, processes, _ in _times(tmp_path).values()} == {("ok", 2)}


def test_what_is_left_running_is_ended_as_a_cell_ends(asv: Asv, tmp_path: Path) -> None:
    tidied: list[int] = []

    class Child:
        def end_orphans(self) -> None:
            tidied.append(1)

    with measuring(asv, tmp_path) as run:
        run._cells.heard(talk := Talk("", 1), dict(BEGIN))
        run._cells.heard(talk, {"event": "end", "problem": ""})  # asv has ended
        run.driver.child = Child()  # type: ignore[assignment]
        run._cells.heard(talk := Talk("", 1), dict(BEGIN))
        assert tidied == []
        run._cells.heard(talk, {"event": "done", "status": "ok"})
        assert tidied == [1]
        run.crew.close()
