"""Side by side: who is sampled when, what becomes of those that are wrong or crash, and what the table says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from maxbench.bench.inputs.recipe import Input
from maxbench.bench.processes.crew import Crew
from maxbench.bench.processes.messages import Calibrate, Command, Finish, Prepare, Sample, Turn
from maxbench.bench.workers.turns import CEILING
from maxbench.reports.measure.side_by_side import session
from maxbench.reports.measure.side_by_side.player import Answer, Player
from maxbench.reports.measure.side_by_side.results import Timing
from maxbench.reports.measure.side_by_side.session import OURS
from maxbench.reports.measure.side_by_side.table import table
from maxbench.reports.system import text
from tests.plugins import Install

SHAPE = (4, 10, 1)


def timing(implementation: str, seconds: float, **more: object) -> Timing:
    values = {
        "operation": "softmax", "threads": 1, "dtype": "float32", "case": "ImageNet", "outer": 4, "n": 10, "inner": 1,
        "implementation": implementation, "seconds": seconds, "low": seconds, "high": seconds,
        "gigabytes_per_second": 1e-6 / seconds, "ulp": 1.0, "remark": "", **more,
    }  # fmt: skip
    return Timing(**values)  # type: ignore[arg-type]


def row(lines: list[str], case: str) -> str:
    return next(line for line in lines if line.startswith(f"| {case} "))


def test_the_table_is_over_all_processes_and_shows_wins_and_losses() -> None:
    """Times of three processes each: none of them is decided by its first or its last one alone."""
    found = []
    for ours, torch, numpy, top in ((3, 0.9, 9, 1.1), (2, 1, 8, 1), (1.5, 1.1, 7, 0.9)):
        found += [
            timing(OURS, ours * 1e-6, ulp=ours), timing("torch_cpu", torch * 1e-6, remark="differs"),
            timing("numpy_vectorized", numpy * 1e-6, ulp=numpy / 2), timing(CEILING, top * 1e-6),
        ]  # fmt: skip
    for ours, numpy, top in ((0.9, 9, 2), (1, 8, 2), (1.1, 7, 2)):
        found += [
            timing(OURS, ours * 1e-6, case="won"), timing("numpy_vectorized", numpy * 1e-6, case="won"),
            timing(CEILING, top * 1e-6, case="won"),
        ]  # fmt: skip
    for ours, numpy, top in ((1.0, 1.05, 0.96), (1.02, 1.03, 0.96), (1.04, 1.01, 0.96)):
        found += [
            timing(OURS, ours * 1e-6, case="tied"), timing("numpy_vectorized", numpy * 1e-6, case="tied"),
            timing(CEILING, top * 1e-6, case="tied"),
        ]  # fmt: skip
    for ours, numpy in ((1, 80), (1, 80), (90, 80)):
        found += [timing(OURS, ours * 1e-6, case="noisy"), timing("numpy_vectorized", numpy * 1e-6, case="noisy")]
    lines = table(found)
    lost = "| 0.5 | torch_cpu | 1.0 | 0.500× (0.300–0.733×) | 50% | 3.00 / 4.50 | LOSS, torch_cpu differs |"
    assert row(lines, "ImageNet").endswith(lost)
    won = "| 1.0 | numpy_vectorized | 0.1 | 8.00× (6.36–10.0×) | 200% | 1.00 / 1.00 | ABOVE CEILING |"
    assert row(lines, "won").endswith(won)
    assert row(lines, "tied").endswith("1.01× (0.971–1.05×) | 94% | 1.00 / 1.00 | tie |")
    assert row(lines, "noisy").endswith("80.0× (0.889–80.0×) | – | 1.00 / 1.00 | cannot tell |")
    # The cube root of 0.5 * 8 * 1.03 / 1.02; the fourth cell has no part in it.
    low, high = (0.3 * (7 / 1.1) * (1.01 / 1.04)) ** (1 / 3), (1.1 / 1.5 * 10 * 1.05) ** (1 / 3)
    mean = f"{text.factor((4 * 1.03 / 1.02) ** (1 / 3))} ({text.factor_range(low, high)})"
    assert f"| softmax, float32, 1 | 4 | {mean} | 0.500× | 1 | 1 | 1 |" in lines


def test_one_process_decides_nothing() -> None:
    found = [timing(OURS, 2e-6), timing("numpy_vectorized", 1e-6), timing(CEILING, 1e-6)]
    lines = table(found)
    assert "| 0.500× (1 process) | 50% | 1.00 / 1.00 | cannot tell |" in row(lines, "ImageNet")
    assert "| softmax, float32, 1 | 1 | – | – | 0 | 0 | 1 |" in lines


@pytest.mark.parametrize(("percent", "marked"), [(104.9, False), (105.1, True)])
def test_a_share_is_impossible_where_the_report_says_so(percent: float, marked: bool) -> None:
    found = [timing(OURS, 1e-6), timing("numpy_vectorized", 8e-6), timing(CEILING, percent * 1e-8)]
    assert ("ABOVE CEILING" in row(table(found), "ImageNet")) == marked


def test_who_is_wrong_or_failed_is_not_the_best_other() -> None:
    bad = {"low": math.nan, "high": math.nan, "remark": "at (0, 0, 0)"}
    others = [timing("torch_cpu", math.nan, status="wrong", **bad), timing("naive", math.nan, status="failed", **bad)]
    ours, top = timing(OURS, 2e-6), timing(CEILING, 1e-6)
    lines = table([ours, *others, timing("numpy_vectorized", 8e-6), top])
    assert row(lines, "ImageNet").split(" | ")[3] == "numpy_vectorized"
    for some in ([ours, *others, top], [timing(OURS, math.nan, status="wrong"), timing("naive", 1e-6), top]):
        assert not any(line.startswith("| ImageNet ") for line in table(some))
    # One process that is wrong is enough, whichever it is.
    for place in range(3):
        torch = [timing("torch_cpu", 1e-6) for _ in range(3)]
        torch[place] = others[0]
        lines = table([ours, *torch, timing("numpy_vectorized", 8e-6), top])
        assert row(lines, "ImageNet").split(" | ")[3] == "numpy_vectorized"


def test_errors_are_in_units_of_the_last_place() -> None:
    expected = session.oracle(np.zeros((2, 4, 1), np.float32))
    exact = np.full((2, 4, 1), 0.25, np.float32)
    assert session.largest_error(expected, exact) == 0
    assert session.largest_error(expected, np.nextafter(exact, np.float32(1))) == pytest.approx(1)


class Script:
    """A player that answers from a script, and notes what it was asked."""

    def __init__(self, name: str, log: list[str], seconds: tuple[float, ...] = (), **answers: Answer) -> None:
        self.name, self._log, self._seconds, self._answers = name, log, iter(seconds), answers

    def ask(self, command: Command) -> Answer:
        do = type(command).__name__.lower()
        self._log.append(f"{do} {self.name}")
        if do in self._answers:
            return self._answers[do]
        return Answer(Turn(number=7, seconds=next(self._seconds) if do == "sample" else None))


def cell(*players: Script) -> dict[str, Timing]:
    found = session._cell(
        {player.name: player for player in players},  # type: ignore[misc]
        "softmax", 1, "float32", "some", SHAPE, samples=3,
    )  # fmt: skip
    return {one.implementation: one for one in found}


def test_all_are_sampled_in_turn_in_alternating_order_and_their_medians_are_kept() -> None:
    log: list[str] = []
    x = Input("scores", "float32", SHAPE).array()
    shown = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    shown /= shown.sum(axis=1, keepdims=True)
    found = cell(
        Script(OURS, log, (3e-6, 1e-6, 2e-6), prepare=Answer(Turn(detail="differs: x"), shown.astype(np.float32))),
        Script(CEILING, log, (1e-6, 1e-6, 1e-6)),
        Script("torch_cpu", log, prepare=Answer(Turn("skipped", "not installed"))),
    )
    assert log[:5] == [f"prepare {OURS}", f"prepare {CEILING}", "prepare torch_cpu", f"calibrate {OURS}",
                       f"calibrate {CEILING}"]  # fmt: skip
    ours, top = f"sample {OURS}", f"sample {CEILING}"
    assert log[5:] == [ours, top, top, ours, ours, top, f"finish {OURS}", f"finish {CEILING}"]
    assert set(found) == {OURS, CEILING}  # what is skipped has no line
    mine, ceiling = found[OURS], found[CEILING]
    assert (mine.low, mine.seconds, mine.high) == pytest.approx((1.5e-6, 2e-6, 2.5e-6))
    assert (mine.samples, mine.number, mine.remark, mine.status) == ((3e-6, 1e-6, 2e-6), 7, "differs: x", "ok")
    assert mine.ulp <= 0.5
    assert math.isnan(ceiling.ulp)
    # Softmax reads and writes each element, and so does a copy.
    assert (mine.gigabytes_per_second, ceiling.gigabytes_per_second) == pytest.approx((0.16, 0.32))


@pytest.mark.parametrize("when", ["prepare", "calibrate", "sample", "finish"])
@pytest.mark.parametrize("status", ["wrong", "failed"])
def test_what_is_wrong_or_fails_at_any_time_has_no_time_and_harms_nobody(when: str, status: Any) -> None:
    log: list[str] = []
    bad = Script("bad", log, (1e-6,) * 3, **{when: Answer(Turn(status, "why"))})
    found = cell(Script(OURS, log, (1e-6,) * 3), bad)
    assert (found["bad"].status, found["bad"].remark, found["bad"].samples) == (status, "why", ())
    assert math.isnan(found["bad"].seconds)
    assert found[OURS].status == "ok"
    asked = [line for line in log if line.endswith(" bad")]
    assert asked[-1] == f"{when} bad"  # nothing more is asked of it
    assert asked.count("sample bad") == {"sample": 1, "finish": 3}.get(when, 0)


WRONG = """
    from maxbench import implements

    @implements(dtypes=("float32",))
    def run(x, out):
        out[...] = 0
        return out
"""
PREPARE = Prepare(Input("scores", "float32", SHAPE), 160)


@pytest.fixture
def crew() -> Iterator[Crew]:
    with Crew() as found:
        yield found


def test_a_player_whose_process_ends_is_started_once_more_and_then_left_out(crew: Crew, install: Install) -> None:
    install({"dies": WRONG.replace("out[...] = 0", "import os; os._exit(0)")}, {"argmax.dies": "dies"})
    player = Player(crew, "argmax", "dies", 1)
    for _ in range(2):
        assert player.ask(PREPARE).turn == Turn("failed", "its process ended before it was done: exit status 0")
    began = player._thread
    assert player.ask(PREPARE).turn.detail == "left out after it brought down 2 processes"
    assert player._thread is began is None
    player.end()


def test_a_player_takes_samples_by_the_one_core_and_says_what_is_wrong(crew: Crew, install: Install) -> None:
    install({"zeros": WRONG}, {"argmax.zeros": "zeros"})
    good, bad = Player(crew, "argmax", "numpy_vectorized", 1), Player(crew, "argmax", "zeros", 1)
    try:
        turns = [good.ask(command).turn for command in (PREPARE, Calibrate(), Sample(), Finish())]
        assert [turn.status for turn in turns] == ["ok"] * 4
        assert turns[1].number > 1
        assert turns[2].seconds is not None
        assert 0 < turns[2].seconds < 1e-2
        turn = bad.ask(PREPARE).turn
        assert turn.status == "wrong"
        assert ", got 0 (x = " in turn.detail
    finally:
        good.end()
        bad.end()
