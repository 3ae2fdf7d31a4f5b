"""The cells of a run: what the journal says of those that end early, and what an interruption leaves to go on from.

asv is replaced by what it does to a run: it starts cells, which say what came of them.
"""

from __future__ import annotations

import contextlib
import errno
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

from maxbench import impls, reports
from maxbench.bench.processes import launch
from maxbench.bench.processes.hub import Talk
from maxbench.bench.processes.messages import VERSION, Cell, CellDone, Ended, Hello, Message, Outcome, Welcome
from maxbench.reports.measure import run
from maxbench.reports.measure.asv_driver import Driver
from maxbench.reports.measure.cells import ENDED, Cells
from maxbench.reports.measure.run import Measurement, Plan
from maxbench.reports.records import journal as journal_record
from maxbench.reports.records import run as run_record
from maxbench.reports.records.reading import Problems
from maxbench.reports.records.run import Implementation, Machine, RunRecord, Source
from maxbench.reports.system.progress import Bar

PACKAGE = Path(impls.__file__).resolve().parent
NAMES, SIZES = ["'a'", "'b'"], ["2", "4"]
CELL = Cell("argmax.Sweep", ["'a'", "'float32'", "2"], str(PACKAGE))


def hello(cell: Cell = CELL) -> Hello:
    return Hello(VERSION, "", 1, cell)


class Heard:
    """Cells, their journal, and how often they were tidied."""

    def __init__(self, path: Path) -> None:
        self.path, self.tidied = path, 0
        self.cells = Cells(path, PACKAGE, self._tidy)

    def _tidy(self) -> None:
        self.tidied += 1

    def begin(self, pid: int = 1) -> Talk:
        talk = Talk("", pid)
        assert self.cells.heard(talk, hello()) == Welcome(VERSION)
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
    outcome = Outcome("ok", "remark", (1, 2, 1), "float32", repeat=2, number=7, samples=[3.0, 1.0])
    heard.cells.heard(talk, CellDone(outcome))
    heard.cells.heard(talk, Ended())  # as every process ends
    (line,) = heard.lines
    assert line.items() >= {
        "benchmark": "argmax.Sweep", "params": CELL.params, "status": "ok", "detail": "remark", "pid": 1,
        "repeat": 2, "number": 7, "shape": [1, 2, 1], "dtype": "float32",
    }.items()  # fmt: skip
    assert line["samples"] == [3.0, 1.0]
    ((key, kept),) = heard.cells.lines.items()
    assert key == ("argmax.Sweep", tuple(CELL.params))
    assert [one.as_json() for one in kept] == [line]
    assert heard.cells.bad == {}
    assert heard.tidied == 1


@pytest.mark.parametrize(("problem", "detail"), [("", ENDED), ("it said what it must not", "it said what it must not")])
def test_a_cell_that_ends_before_it_is_done_has_failed(heard: Heard, problem: str, detail: str) -> None:
    heard.cells.heard(heard.begin(), Ended(problem))
    (line,) = heard.lines
    assert (line["status"], line["detail"]) == ("failed", detail)
    assert heard.cells.bad == {("argmax.Sweep", tuple(CELL.params)): detail}
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
    heard.cells.heard(talk, Ended())
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
    heard.cells.heard(talk, Ended())
    heard.cells.heard(other, CellDone(Outcome(samples=[1.0])))
    assert heard.lines == []
    assert heard.cells.bad == heard.cells.lines == {}
    assert heard.cells.heard(Talk("", 1), hello()) == Welcome(VERSION, stop=True)


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
            (driver._home / "results").mkdir()
            (driver._home / "results" / "benchmarks.json").write_text(json.dumps({**BENCHMARKS, "version": 2}))
            return launch.Ending(0)
        chosen = [words[i + 1] for i, word in enumerate(words) if word == "--bench"]
        for name, benchmark in BENCHMARKS.items():
            for cell in itertools.product(*benchmark["params"]):
                if any(re.search(expression, f"{name}({', '.join(cell)})") for expression in chosen):
                    self._cell(name, cell, tick)
        if self.stop_after == self.run.record.rounds + 1:
            self.stop_after = os.kill(os.getpid(), signal.SIGINT)
        return launch.Ending(0)

    def _cell(self, name: str, params: tuple[str, ...], tick: Callable[[], None]) -> None:
        talk, cells = Talk("", 1), self.run._cells
        cells.heard(talk, hello(Cell(name.rpartition(".")[0], list(params), str(PACKAGE))))
        if self.stop_at == 0:
            os.kill(os.getpid(), signal.SIGINT)
        try:
            tick()
        except KeyboardInterrupt:
            cells.heard(talk, Ended())  # as it does when asv is ended
            raise
        self.stop_at = None if self.stop_at is None else self.stop_at - 1
        self.measured.append(f"{name.split('.')[1]}({', '.join(params)})")
        # Every process takes another number of samples.
        samples = [float(len(self.measured))] * next(self._counts)
        outcome = Outcome(shape=(2, int(params[2]) if name == TIMED else 2, 1), dtype="float32")
        if name == TIMED:
            outcome.samples, outcome.repeat, outcome.number = samples, len(samples), 1
        else:
            outcome.values = {"peakmem_call": samples[0]}
        cells.heard(talk, CellDone(outcome))


@pytest.fixture
def asv(monkeypatch: pytest.MonkeyPatch) -> Asv:
    found = Asv()
    monkeypatch.setattr(Driver, "_asv", lambda driver, words, tick: found(driver, words, tick))
    monkeypatch.setattr(run, "doubted_ceilings", lambda folder: set())
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
    with Bar() as bar, Measurement(plan, bar, record) as asv.run:
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


def test_a_later_round_that_is_interrupted_keeps_what_it_measured(asv: Asv, tmp_path: Path) -> None:
    assert _stopped(asv, tmp_path, 5 + 2)["rounds"] == 1
    assert len(asv.measured) == 7
    found = _times(tmp_path)
    assert [(status, processes) for status, processes, _ in found.values()] == [("ok", 2)] * 2 + [("ok", 1)] * 2
    assert len(set(found.values())) == 4  # each process's own
    asv.stop_at = None
    with measuring(asv, tmp_path) as run:
        run.measure()
    assert len(asv.measured) == 7 + 2
    found = _times(tmp_path)
    assert {(status, processes) for status, processes, _ in found.values()} == {("ok", 2)}
    assert found["b", 4][2][1] == 9.0
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


def test_result_files_that_are_damaged_or_gone_are_made_again_from_the_journal(asv: Asv, tmp_path: Path) -> None:
    asv.stop_after = 1
    with measuring(asv, tmp_path) as run, pytest.raises(launch.Stopped):
        run.measure()
    (path,) = (tmp_path / "asv" / "results" / "m").glob("0*.json")
    path.write_text(path.read_text()[:200])
    (tmp_path / "asv" / "results" / "m" / "machine.json").unlink()
    with measuring(asv, tmp_path) as run:
        run.measure()
    assert len(asv.measured) == 5 + 4
    assert {(status, processes) for status, processes, _ in _times(tmp_path).values()} == {("ok", 2)}
    memory = reports.load(tmp_path).set_index("benchmark").loc["Memory"]
    assert (memory["status"], memory["value"]) == ("ok", 5.0)


def test_a_run_that_was_killed_has_in_its_report_what_it_had_measured(asv: Asv, tmp_path: Path) -> None:
    """Of a round that has not ended asv's results have nothing, and its last line may be cut off."""
    _stopped(asv, tmp_path, 5 + 2)
    side = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**side, "state": "running", "rounds": 0}))
    journal = tmp_path / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[: whole.rstrip().rfind(b"\n") + 30])
    for path in (tmp_path / "asv" / "results" / "m").glob("0*.json"):
        path.unlink()
    assert [found[1] for found in _times(tmp_path).values()] == [2, 1, 1, 1]
    asv.stop_at = None
    with measuring(asv, tmp_path) as run:
        run.measure()
    assert journal.read_bytes().startswith(whole[: whole.rstrip().rfind(b"\n") + 1])
    assert len(asv.measured) == 7 + 3  # the one whose line was cut off again
    found = _times(tmp_path)
    assert {(status, processes) for status, processes, _ in found.values()} == {("ok", 2)}
    assert found["a", 2][2] == (1.0, 6.0)


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files")
@pytest.mark.parametrize(("at", "processes"), [(7, [2, 1, 1, 1]), (9, [2, 2, 2, 1])], ids=["within", "last of a round"])
def test_a_full_disk_stops_the_run_and_what_was_measured_is_kept(
    at: int, processes: list[int], asv: Asv, tmp_path: Path
) -> None:
    """The line that does not fit is written in part, which must not stay."""
    import resource

    journal = tmp_path / "journal.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(cells: Cells, talk: Talk, message: Message) -> Any:
        full = len(asv.measured) == at and isinstance(message, CellDone)
        if full:
            resource.setrlimit(resource.RLIMIT_FSIZE, (journal.stat().st_size + 20, before[1]))
        try:
            return heard(cells, talk, message)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    heard = Cells.heard
    with pytest.MonkeyPatch.context() as patch, measuring(asv, tmp_path) as run:
        patch.setattr(Cells, "heard", fill)
        with pytest.raises(OSError, match=r"No space left|File too large"):
            run.measure()
        assert run._cells.heard(Talk("", 1), hello()) == Welcome(VERSION, stop=True)
    assert json.loads((tmp_path / "run.json").read_text())["state"] == "failed"
    content = journal.read_bytes()
    assert content.endswith(b"}\n")
    assert content.count(b"\n") == at - 1
    assert [found[1] for found in _times(tmp_path).values()] == processes
    with measuring(asv, tmp_path) as run:
        run.measure()
    assert len(asv.measured) == 9 + 1
    assert journal.read_bytes().startswith(content)
    assert {(status, processes) for status, processes, _ in _times(tmp_path).values()} == {("ok", 2)}


def test_asv_that_fails_because_nothing_can_be_written_is_not_blamed(
    asv: Asv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with measuring(asv, tmp_path) as run:

        def fails(driver: Driver, words: Sequence[str], tick: Callable[[], None]) -> launch.Ending:
            run._cells.failure = OSError(errno.ENOSPC, "No space left on device")
            return launch.Ending(1)

        monkeypatch.setattr(Driver, "discover", lambda *args: BENCHMARKS)
        monkeypatch.setattr(Driver, "_asv", fails)
        with pytest.raises(OSError, match="No space left"):
            run.measure()


def test_a_failure_in_a_round_that_measured_it_after_all_does_not_count(tmp_path: Path) -> None:
    """As of a run that lacked memory, and was resumed with more. A wrong result is not made right."""
    path = tmp_path / "journal.jsonl"
    of = {
        "a": "0 failed, 0 ok, 1 ok", "b": "0 ok, 1 failed, 1 interrupted, 1 ok", "c": "0 wrong, 0 ok",
        "d": "0 ok, 1 failed", "e": "0 failed, 1 ok", "f": "failed, ok",
    }  # fmt: skip
    with open(path, "w", encoding="utf-8") as file:
        for name, words in of.items():
            for word in words.split(", "):
                *rounds, status = word.split()
                line = {"benchmark": "argmax.Own", "params": [name], "status": status}
                file.write(json.dumps(line | ({"round": int(rounds[0])} if rounds else {})) + "\n")
    lines = journal_record.load(tmp_path, Problems(tmp_path))
    found = {params[0]: [line.status for line in some] for (_, params), some in lines.items()}
    assert found == {
        "a": ["ok", "ok"], "b": ["ok", "ok"], "c": ["wrong", "ok"], "d": ["ok", "failed"], "e": ["failed", "ok"],
        "f": ["failed", "ok"],
    }  # fmt: skip


def test_what_is_left_running_is_ended_as_a_cell_ends(asv: Asv, tmp_path: Path) -> None:
    tidied: list[int] = []

    class Child:
        def end_orphans(self) -> None:
            tidied.append(1)

    with measuring(asv, tmp_path) as run:
        run._cells.heard(talk := Talk("", 1), hello())
        run._cells.heard(talk, Ended())  # asv has ended
        run.driver.child = Child()  # type: ignore[assignment]
        run._cells.heard(talk := Talk("", 1), hello())
        assert tidied == []
        run._cells.heard(talk, CellDone(Outcome()))
        assert tidied == [1]
