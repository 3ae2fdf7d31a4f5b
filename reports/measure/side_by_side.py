"""`numba_parallel` beside the libraries that users would otherwise call, and beside the machine's ceiling: in turn.

Every implementation has a process of its own, and they are sampled one after the other, round after round, so that a
disturbance meets all of them; asv, which measures one after the other, measures steadier times but compares less well.
One thread is timed by the CPU clock of the process, more by the wall clock. What was measured becomes the records that
a report is made of: a folder for each number of threads.
"""

from __future__ import annotations

import json
import math
import queue
import statistics
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from maxbench import impls
from maxbench.bench.inputs import grid, workloads
from maxbench.bench.inputs.recipe import Input
from maxbench.bench.processes import launch, messages
from maxbench.bench.processes.crew import Crew
from maxbench.bench.processes.messages import Command, Given, Message, Quit, Turn, TurnsJob
from maxbench.bench.timing import schedules
from maxbench.bench.workers.turns import CEILING, SHOWN
from maxbench.impls import contract

from ..analysis import derived, rules
from ..analysis.contests import Cell
from ..analysis.derived import Derived
from ..records import asv_writing
from ..records.asv_writing import Params, Row
from ..records.journal import FILE as JOURNAL
from ..records.journal import Line
from ..records.run import Precheck, RunRecord, State
from ..system import files, text
from . import checks, environment, implementations, recording
from .selection import matches

OURS = "numba_parallel"
ANSWER_SECONDS = 240.0  # until a process that was told to do something is taken to hang; it may compile
MOST_ENDS = 2  # processes that an implementation may bring down before its other cells are left out
_DOC = "Seconds of one steady call on a preallocated output, all implementations in turn."
# Benchmark -> the name of its last parameter.
_LAST = {"Workloads": "workload", "Sweep": "n", "Strided": "n", "Ceiling": "n"}


@dataclass(frozen=True)
class Timing:
    """One implementation in one cell: seconds a call, of each round and over all, and how right it was.

    `status` is ok, wrong or failed; seconds are NaN where it is not ok. `remark` says why, or how it differs.
    """

    operation: str
    threads: int
    dtype: str
    case: str
    outer: int
    n: int
    inner: int
    implementation: str
    seconds: float
    low: float
    high: float
    gigabytes_per_second: float
    ulp: float
    remark: str
    samples: tuple[float, ...] = ()
    number: int = 1  # calls in a batch
    status: Literal["ok", "wrong", "failed"] = "ok"


@dataclass
class Plan:
    """What is measured, in so many processes of every implementation for each number of threads.

    Attributes:
        inputs: only inputs whose name one of these patterns matches; all without one.
        step: every so many-th power of two of the sweeps.
        samples: that a process takes of each input.
    """

    folder: Path
    operations: Sequence[str]
    dtypes: Sequence[str]
    threads: Sequence[int]
    inputs: Sequence[str] = ()
    step: int = 1
    samples: int = 3
    processes: int = 3
    machine: str | None = None
    command: list[str] = field(default_factory=list)

    @property
    def shapes(self) -> list[tuple[str, tuple[int, int, int]]]:
        """Name and shape of every input."""
        patterns = self.inputs or ("*",)
        return [cell for cell in workloads.cells(self.step) if any(matches(one, cell[0]) for one in patterns)]

    @property
    def cells(self) -> int:
        """How many cells one process measures."""
        return len(self.shapes) * len(self.operations) * len(self.dtypes)


def run(
    plan: Plan, seen: Callable[[str, int, int], None], precheck: Precheck | None = None
) -> tuple[list[Path], list[Timing]]:
    """Measure, with each number of threads in turn, and keep what there is after each of them.

    Args:
        seen: told the cell that was measured, how many have been and how many there are.
        precheck: what the command found in its first seconds.

    Returns:
        The folders of the runs, and all timings.

    Raises:
        KeyboardInterrupt: stopped by the user; what was measured is kept.
    """
    sides = {number: _begin(plan, number, precheck) for number in plan.threads}
    found: dict[int, list[list[Timing]]] = {number: [] for number in plan.threads}
    folders = {number: plan.folder / _name(number) for number in plan.threads}
    total, done = plan.cells * len(plan.threads) * plan.processes, 0
    with Crew() as crew:
        entries = [entry for entry in impls.catalogue() if entry.operation in plan.operations]
        described = checks.describe_all([e for e in entries if e.name in _contestants(e.operation)], crew)
        for turn in range(plan.processes):
            for number in plan.threads:
                state: State = "interrupted"
                kept = list[Timing]()
                try:
                    for cell, timings in _processes(plan, number, crew, described):
                        done += 1
                        kept += timings
                        seen(f"{cell}, {_name(number)}", done, total)
                    state = "finished" if turn == plan.processes - 1 else "running"
                finally:
                    if kept:
                        found[number].append(kept)
                        recording.end(sides[number], state)
                        record(folders[number], sides[number], found[number], described)
    measured = [number for number in plan.threads if found[number]]
    return [folders[n] for n in measured], [timing for n in measured for times in found[n] for timing in times]


def _contestants(operation: str) -> tuple[str, ...]:
    return (OURS, "numpy_vectorized", *grid.PEERS[operation])


def _processes(
    plan: Plan, number: int, crew: Crew, described: Sequence[checks.Checked]
) -> Iterator[tuple[str, list[Timing]]]:
    """A fresh process of every implementation; yields each cell with what they took in it."""
    for operation in plan.operations:
        names = [c.entry.name for c in described if c.entry.operation == operation and c.status == "available"]
        players = {name: Player(crew, operation, name, number) for name in (*names, CEILING)}
        try:
            for dtype in plan.dtypes:
                for case, shape in plan.shapes:
                    timings = _cell(players, operation, number, dtype, case, shape, plan.samples)
                    yield f"{operation} {dtype} {case}", timings
        finally:
            for player in players.values():
                player.end()


@dataclass
class Answer:
    """What came of a command.

    Attributes:
        turn: what the process said, or what is to be said of one that ended over it.
        shown: the first rows of a result, where they were asked for.
        ended: the process ended over it.
    """

    turn: Turn
    shown: np.ndarray | None = None
    ended: bool = False


class Player:
    """A worker process (`bench.workers.turns`) that waits for its turn; started anew where it ends."""

    def __init__(self, crew: Crew, operation: str, name: str, threads: int) -> None:
        self.name = name
        self._crew, self._job = crew, TurnsJob(operation, name, one_thread=threads == 1)
        self._env = environment.measuring(threads)
        self._ends = 0
        self._thread: threading.Thread | None = None

    def ask(self, command: Command) -> Answer:
        """Have something done."""
        if self._thread is None:
            if self._ends >= MOST_ENDS:
                return Answer(Turn("failed", f"left out after it brought down {MOST_ENDS} processes"))
            self._start()
            if (first := self._answer()).turn.status != "ok":
                return self._gone(first)
        self._commands.put(command)
        answer = self._answer()
        return self._gone(answer) if answer.ended else answer

    def _answer(self) -> Answer:
        """What the process says next, or that it took too long."""
        limit = launch.limit_seconds(ANSWER_SECONDS)
        try:
            return self._answers.get(timeout=limit)
        except queue.Empty:
            self._late.set()
            self._answers.get()  # how it ended
            return Answer(Turn("failed", f"not finished after {limit:g} s"), ended=True)

    def end(self) -> None:
        """Let the process end."""
        if self._thread is not None:
            self._commands.put(Quit())
            self._thread.join()
            self._thread = None

    def _gone(self, answer: Answer) -> Answer:
        self._ends += 1
        self.end()
        return answer

    def _start(self) -> None:
        self._commands: queue.Queue[Command] = queue.Queue()
        self._answers: queue.Queue[Answer] = queue.Queue()
        self._late = threading.Event()
        commands, answers, late, shown = self._commands, self._answers, self._late, list[np.ndarray]()

        def tick() -> None:
            if late.is_set():
                raise TimeoutError

        def heard(message: Message) -> Command | None:
            match message:
                case Given():
                    shown.append(message.values)
                case Turn():
                    answers.put(Answer(message, shown.pop() if shown else None))
                    return commands.get()
            return None

        def work() -> None:
            try:
                failure = self._crew.run(self._job, env=self._env, seconds=math.inf, heard=heard, tick=tick).failure
            except BaseException as error:
                failure = str(error) or type(error).__name__
            commands.put(Quit())  # for a conversation that outlives its process
            answers.put(Answer(Turn("failed", failure or "its process ended"), ended=True))

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()


def _cell(
    players: Mapping[str, Player], operation: str, number: int, dtype: str, case: str, shape: tuple[int, int, int],
    samples: int,
) -> list[Timing]:  # fmt: skip
    """Everyone on one input, in turn."""
    given = Input("scores", dtype, shape)
    size = math.prod(shape) * np.dtype(dtype).itemsize
    prepare = messages.Prepare(given, size, show=operation == "softmax")
    told = {name: player.ask(prepare) for name, player in players.items()}
    numbers: dict[str, int] = {}
    times: dict[str, list[float]] = {name: [] for name in told}

    def ask(name: str, command: Command) -> Turn:
        answer = players[name].ask(command)
        if answer.turn.status != "ok":
            told[name] = answer
        return answer.turn

    def sound() -> list[str]:
        return [name for name, answer in told.items() if answer.turn.status == "ok"]

    for name in sound():
        numbers[name] = ask(name, messages.Calibrate()).number
    for turn in range(samples):
        for name in schedules.ordered(sound(), turn):
            if (seconds := ask(name, messages.Sample()).seconds) is not None:
                times[name].append(seconds)
    for name in sound():
        ask(name, messages.Finish())
    expected = oracle(given.array()) if any(answer.shown is not None for answer in told.values()) else None
    least = contract.OPERATIONS[operation].least_bytes(*shape, np.dtype(dtype).itemsize)
    found = []
    for name, answer in told.items():
        last, shown = answer.turn, answer.shown
        if last.status == "skipped":
            continue
        ok = last.status == "ok" and bool(times[name])
        low, middle, high = _quartiles(times[name]) if ok else (math.nan,) * 3
        moved = least if name != CEILING else size * (2 if operation == "softmax" else 1)
        ulp = math.nan if shown is None or expected is None else largest_error(expected, shown)
        found.append(
            Timing(
                operation, number, dtype, case, *shape, name, middle, low, high, moved / middle / 1e9, ulp,
                last.detail, tuple(times[name]) if ok else (), numbers.get(name, 1),
                "ok" if ok else "wrong" if last.status == "wrong" else "failed",
            )
        )  # fmt: skip
    return found


def oracle(x: np.ndarray) -> np.ndarray:
    """Softmax of the first rows of x, of about SHOWN elements, in a wider type."""
    rows = max(1, min(x.shape[0], SHOWN // max(1, x[0].size)))
    wide = x[:rows].astype(np.float64 if x.dtype != np.float64 else np.longdouble)
    expected: np.ndarray = np.exp(wide - wide.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    return expected


def largest_error(expected: np.ndarray, result: np.ndarray) -> float:
    """The largest error of a softmax against its `oracle`, in ulp, over the rows that this has."""
    got = result[: len(expected)]
    if result.dtype == np.float64:
        error = np.abs(got - expected) / np.spacing(expected.astype(np.float64))
        return float(error.max())
    return float(contract.softmax.ulp_error(got.astype(np.float64), expected, result.dtype).max())


def _quartiles(samples: Sequence[float]) -> tuple[float, float, float]:
    if len(samples) < 2:
        return samples[0], samples[0], samples[0]
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive")
    return low, middle, high


def _over_processes(timings: Sequence[Timing]) -> Cell:
    """One implementation on one input. A process that is wrong or failed makes it so, whatever the others measured."""
    bad = next((t for t in timings if t.status != "ok"), None)
    first, medians = timings[0], tuple(t.seconds for t in timings)
    value = statistics.median(medians)
    bandwidth = first.gigabytes_per_second * first.seconds / value
    remarks = dict.fromkeys([bad.remark] if bad else [t.remark for t in timings if t.remark])
    return Cell(
        first.implementation, value, *rules.interval(medians), medians, bandwidth,
        bad.status if bad else "ok", "; ".join(remarks),
    )  # fmt: skip


def _largest_ulp(timings: Sequence[Timing]) -> float:
    return max((t.ulp for t in timings if not math.isnan(t.ulp)), default=math.nan)


_MARKS = {"faster": "", "slower": "LOSS", "tie": "tie", "cannot tell": "cannot tell"}


def table(found: Iterable[Timing]) -> list[str]:
    """Markdown: one row a cell over all of its processes, with the best of the others; losses are marked."""
    grouped: dict[tuple[Any, ...], dict[str, list[Timing]]] = {}
    for t in found:
        key = (t.operation, t.threads, t.dtype, t.case)
        grouped.setdefault(key, {}).setdefault(t.implementation, []).append(t)
    lines: list[str] = []
    ratios: dict[tuple[Any, ...], list[Derived]] = {}
    for key, each in grouped.items():
        by = {name: _over_processes(timings) for name, timings in each.items()}
        ours, top = by.get(OURS), by.get(CEILING)
        others = [cell for name, cell in by.items() if name not in (OURS, CEILING) and cell.measured]
        if not others or ours is None or not ours.measured:
            continue
        best = min(others, key=lambda cell: cell.value)
        ratio, share = ours.over(best), ours.bandwidth / top.bandwidth if top and top.measured else math.nan
        marks = [_MARKS[ratio.decide().outcome], "ABOVE CEILING" if rules.impossible(share) else "", ours.reason]
        if best.reason:
            marks.append(f"{best.implementation} {best.reason}")
        ulp, theirs = (_largest_ulp(each.get(name, ())) for name in (OURS, "numpy_vectorized"))
        errors = "" if math.isnan(ulp) or math.isnan(theirs) else f"{ulp:.2f} / {theirs:.2f}"
        if key[:3] not in ratios:
            operation, count, dtype = key[:3]
            lines += ["", f"### {operation}, {dtype}, {text.plural(count, 'thread')}", ""]
            lines += ["| case | shape | GB/s | best other | GB/s | times faster | of ceiling | ulp: ours / NumPy | |"]
            lines += ["|---|---|--:|---|--:|--:|--:|--:|---|"]
        ratios.setdefault(key[:3], []).append(ratio)
        first = each[OURS][0]
        shape = f"{first.outer} x {first.n} x {first.inner}"
        lines.append(
            f"| {first.case} | {shape} | {ours.bandwidth:.1f} | {best.implementation} | {best.bandwidth:.1f} | {ratio} "
            f"| {text.percent(share)} | {errors} | {', '.join(filter(None, marks))} |"
        )
    lines += ["", "Cells that cannot be told have no part in the mean and are not the smallest.", ""]
    lines += ["| | cells | geometric mean over the best other | smallest | losses | ties | cannot tell |"]
    lines += ["|---|--:|--:|--:|--:|--:|--:|"]
    for (operation, count, dtype), some in ratios.items():
        outcomes = Counter(ratio.decide().outcome for ratio in some)
        told = [ratio.value for ratio in some if ratio.decide().outcome != "cannot tell"]
        mean, left = derived.geometric_mean(some)
        lines.append(
            f"| {operation}, {dtype}, {count} | {len(some)} | {mean if told else text.NOTHING} "
            f"| {text.factor(min(told, default=math.nan))} | {outcomes['slower']} | {outcomes['tie']} | {left} |"
        )
    return lines


def record(
    folder: Path, side: RunRecord, processes: Sequence[Sequence[Timing]], checked: Sequence[checks.Checked] = ()
) -> None:
    """Write a run's folder from the timings of one or more processes with the same number of threads."""
    folder.mkdir(parents=True, exist_ok=True)
    times: dict[tuple[str, Params], list[tuple[int, list[Timing]]]] = {}
    for turn, found in enumerate(processes):
        for timing in found:
            kept = times.setdefault(_key(timing), [])
            if kept and kept[-1][0] == turn:  # ceilings of inputs of the same size
                kept[-1][1].append(timing)
            else:
                kept.append((turn, [timing]))
    lines = []
    rows: dict[str, dict[Params, Row]] = {}
    for (benchmark, params), groups in times.items():
        bad = next((t for _, ts in groups for t in ts if t.status != "ok"), None)
        samples = []
        for _, group in groups:
            taken = [s for t in group for s in t.samples]
            samples += taken
            first = group[0]
            remark = "" if first.implementation == CEILING else first.remark  # the way that was fastest
            detail = bad.remark if bad else remark
            lines.append(Line(
                benchmark=benchmark, params=list(params), status=bad.status if bad else "ok", detail=detail,
                shape=[first.outer, first.n, first.inner], dtype=first.dtype, repeat=None if bad else len(taken),
                number=first.number,
            ))  # fmt: skip
        row = asv_writing.absent(failed=True) if bad else asv_writing.sampled(samples, groups[0][1][0].number)
        rows.setdefault(f"{benchmark}.time_call", {})[params] = row
    rows |= _errors(processes)
    measured = {(t.operation, t.implementation) for found in processes for t in found}
    side.implementations = [
        implementations.describe(c) for c in checked if (c.entry.operation, c.entry.name) in measured
    ]
    where = asv_writing.machine_folder(folder, side.machine)
    results, described = {}, {}
    for name, mine in rows.items():
        lists = [list(dict.fromkeys(params[place] for params in mine)) for place in range(3)]
        results[name] = (lists, mine)
        names = ("implementation", "dtype", _LAST.get(name.split(".")[1], "n"))
        unit = "seconds" if name.endswith("time_call") else "ulp"
        described[name] = dict(zip(names, lists, strict=True)), unit, _DOC
    asv_writing.describe(where, described)
    asv_writing.write(where, "side-by-side", side.identity, "side by side 1", results)
    files.write_text(folder / JOURNAL, "".join(f"{json.dumps(line.as_json())}\n" for line in lines))
    side.save(folder)


def _key(timing: Timing) -> tuple[str, Params]:
    """Benchmark, and parameters as asv writes them."""
    if timing.implementation == CEILING:
        # As `bench.suite.ceiling`: by the number of float32 elements that take as many bytes.
        size = timing.outer * timing.n * timing.inner * np.dtype(timing.dtype).itemsize // 4
        return f"{timing.operation}.Ceiling", (repr(CEILING), repr("float32"), repr(size))
    if timing.case in workloads.WORKLOADS:
        benchmark, last = "Workloads", repr(timing.case)
    else:
        benchmark, last = ("Strided" if timing.case.endswith("strided") else "Sweep"), repr(timing.n)
    return f"{timing.operation}.{benchmark}", (repr(timing.implementation), repr(timing.dtype), last)


def _errors(processes: Sequence[Sequence[Timing]]) -> dict[str, dict[Params, Row]]:
    """The largest errors over the sweep along the last axis, as `bench.suite.accuracy` has them."""
    found: dict[Params, Row] = {}
    for timing in (t for times in processes for t in times):
        benchmark, params = _key(timing)
        if benchmark == "softmax.Sweep" and not math.isnan(timing.ulp):
            found[params] = {"result": timing.ulp}
    return {"softmax.Accuracy.track_largest_error": found} if found else {}


def _begin(plan: Plan, number: int, precheck: Precheck | None) -> RunRecord:
    return recording.begin(_name(number), plan.command, "side by side", number, plan.machine, precheck=precheck)


def _name(number: int) -> str:
    return f"{number} thread{'s' if number > 1 else ''}".replace(" ", "-")
