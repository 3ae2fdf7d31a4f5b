"""Ladders and break-even from rows and numbers that the test chooses."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from maxbench.bench.inputs import device_cells
from maxbench.reports.analysis import startup
from maxbench.reports.analysis.derived import Derived, Measured
from maxbench.reports.analysis.startup import BreakEven, Ladder

INF, NAN = math.inf, math.nan


def row(benchmark: str, value: float = 1.0, **changes: Any) -> dict[str, Any]:
    return {
        "run": "r", "operation": "softmax", "implementation": "a", "dtype": "float32", "benchmark": benchmark,
        "statistic": "time", "cache": "", "n": 1024, "outer": 1024, "inner": 1, "value": value, "low": value,
        "high": value, "processes": 3, "status": "ok",
    } | changes  # fmt: skip


def rungs(*rows: dict[str, Any]) -> list[dict[str, float]]:
    """The values of each ladder's rungs, in their order."""
    table = pd.DataFrame(rows)
    for name in ("n", "outer", "inner", "processes"):
        table[name] = table[name].astype("Int64")
    return [{key: one.value for key, one in ladder.rungs.items()} for ladder in startup.ladders(table)]


COLD = row("Start", 7.0, statistic="first_call", cache="cold")
LAUNCH = row("Launch", 8.0)
KERNEL_ROWS, API_ROWS = device_cells.SWEEP_BYTES // 4 // 1024, device_cells.API_SHAPE[0]


@pytest.mark.parametrize(
    ("one", "rung"),
    [
        (row("Start", statistic="load"), "load"),
        (row("Start", statistic="first_call", cache="warm"), "warm"),
        (row("Sweep"), "call"),
        (row("Sweep", outer=512, inner=2), "call"),
        (row("Sweep", outer=pd.NA), "call"),
        (row("Sweep", inner=pd.NA), "call"),
        (row("Own", n=3), "call"),
        (row("Api"), "api"),
        (row("Api", outer=pd.NA), "api"),
        (row("Launch", n=32), "launch"),
        (row("Sweep", outer=KERNEL_ROWS), "device"),
        (row("Api", outer=API_ROWS), "end_to_end"),
        (row("Sweep", n=512, outer=2048), None),
        (row("Sweep", n=2048, outer=512), None),
        (row("Sweep", outer=1025), None),
        (row("Sweep", outer=API_ROWS), None),
        (row("Api", outer=KERNEL_ROWS), None),
        (row("Sweep", statistic="load"), None),
        (row("Api", statistic="load"), None),
        (row("Sweep", statistic="typical_error"), None),
        (row("Sweep", status="wrong"), None),
        (row("Sweep", status="failed"), None),
        (row("Workloads"), None),
        (row("Transfer", implementation="host to device"), None),
    ],
)
def test_a_row_is_the_rung_of_its_benchmark_and_size(one: dict[str, Any], rung: str | None) -> None:
    (found,) = rungs(COLD, one)
    assert found == {"cold": 7.0} | ({rung: 1.0} if rung else {})
    assert list(found) == [key for key, _, _ in startup.RUNGS if key in found]


def test_a_ladder_has_a_start_or_a_step_on_a_device() -> None:
    assert rungs(row("Sweep"), row("Api"), row("Start", statistic="first_call", cache="warm")) == []
    assert rungs(row("Start", 2.0, statistic="load"), row("Api")) == [{"load": 2.0, "api": 1.0}]
    for key, one in (("launch", LAUNCH), ("device", row("Sweep", 8.0, outer=KERNEL_ROWS)),
                     ("end_to_end", row("Api", 8.0, outer=API_ROWS))):  # fmt: skip
        copies = [row("Transfer", 2.0, implementation="host to device, pinned"),
                  row("Transfer", 3.0, implementation="device to host, pinned"),
                  row("Transfer", 4.0, implementation="host to device, pinned", run="s")]  # fmt: skip
        assert rungs(*copies, one, row("Launch", run="t")) == [
            {"transfer_in": 2.0, "transfer_out": 3.0, key: 8.0}, {"launch": 1.0},
        ]  # fmt: skip
        assert rungs(*copies, row("Start", statistic="load")) == [{"load": 1.0}]
    assert rungs(row("Sweep", implementation="b"), COLD) == [{"cold": 7.0}]
    differing = ({"run": "s"}, {"operation": "argmax"}, {"implementation": "b"}, {"dtype": "int8"})
    assert len(rungs(LAUNCH, *(LAUNCH | change for change in differing))) == 5


def test_a_ladder_says_whose_it_is_and_what_its_call_is_made_on() -> None:
    table = pd.DataFrame([COLD, row("Own")])
    assert startup.ladders(table) == [
        Ladder("r", "softmax", "a", "float32", {"cold": Measured(7.0, 7.0, 7.0, 3), "call": Measured(1.0, 1.0, 1.0, 3)},
               startup.OWN)
    ]  # fmt: skip
    assert [one.input for one in startup.ladders(pd.DataFrame([COLD, row("Sweep")]))] == [startup.STEADY]
    assert [one.input for one in startup.ladders(pd.DataFrame([COLD]))] == [startup.STEADY]


def ladder(name: str = "a", **seconds: float) -> Ladder:
    return Ladder("r", "softmax", name, "float32", {
        key: Measured(value, 0.9 * value, 1.1 * value, 3) for key, value in seconds.items()
    })  # fmt: skip


FULL = ladder(load=1.0, cold=5.0, warm=2.0, call=0.5, api=0.75)


def test_what_a_start_consists_of() -> None:
    assert FULL.compiling == Derived(3.0, 4.5 - 2.2, 5.5 - 1.8, 3, 0.0)
    assert FULL.allocating == Derived(0.25, 0.675 - 0.55, pytest.approx(0.825 - 0.45), 3, 0.0)
    assert (FULL.start(compiling=True).value, FULL.start(compiling=False).value) == (6.0, 3.0)
    assert (FULL.after(4, compiling=True), FULL.after(4, compiling=False)) == (8.0, 5.0)
    assert math.isnan(FULL.of("launch").value)
    assert startup.rung_times(ladder(load=1.0, cold=2.0)) == "import 1.00 s, first call, compiling 2.00 s"


@pytest.mark.parametrize(
    ("cost", "gain", "calls"),
    [(2.0, 0.5, 4.0), (-2.0, 0.5, 0.0), (0.0, 0.5, 0.0), (2.0, 0.0, INF), (2.0, -0.5, INF), (-2.0, -0.5, INF),
     (-2.0, 0.0, INF), (NAN, 0.5, NAN), (NAN, 0.0, NAN), (2.0, NAN, NAN), (1e-9, 2.0, 5e-10), (0.5, 1.0, 0.5)],
)  # fmt: skip
def test_costs_are_paid_by_gains(cost: float, gain: float, calls: float) -> None:
    assert repr(startup._paid(cost, gain)) == repr(calls)


def test_break_even_has_the_widest_interval() -> None:
    slow = ladder("slow", load=0.5, cold=1.0, warm=1.0, call=2.0)
    even = startup.break_even(FULL, slow, compiling=True)
    cost, gain = (6.0 - 1.5, 0.9 * 6.0 - 1.1 * 1.5, 1.1 * 6.0 - 0.9 * 1.5), (1.5, 1.8 - 0.55, 2.2 - 0.45)
    approx = [pytest.approx(x) for x in (cost[0] / gain[0], cost[1] / gain[2], cost[2] / gain[1])]
    assert even == BreakEven("a", approx[0], approx[1], approx[2], 3)
    assert even is not None
    assert (even.value, even.shown) == (even.calls, True)
    for missing in ({"load": 1.0, "cold": 1.0, "warm": 1.0}, {"load": 1.0, "call": 1.0}, {"cold": 1.0, "call": 1.0}):
        assert startup.break_even(FULL, ladder(**missing), compiling=True) is None
        assert startup.break_even(ladder(**missing), FULL, compiling=True) is None


@pytest.mark.parametrize(
    ("calls", "low", "high", "processes", "shown"),
    [
        (1999.2, 1000.0, 3000.5, 3, "after 2,000 calls (1,000–3,001)"),
        (2.0, INF, INF, 3, "after 2 calls"),
        (INF, INF, INF, 3, "never"),
        (0.0, 0.0, 0.0, 3, "at once"),
        (0.5, 0.0, 1.0, 3, "after 1 call (0–1)"),
        (0.0, 0.0, INF, 3, "not shown: the calls are too close"),
        (9.0, 5.0, INF, 3, "not shown: the calls are too close"),
        (9.0, 5.0, 10.0, 2, "not shown: 2 processes"),
        (9.0, NAN, 10.0, 3, "not shown: one sample: no interval"),
    ],
)
def test_break_even_is_shown_with_its_interval(
    calls: float, low: float, high: float, processes: int, shown: str
) -> None:
    even = BreakEven("a", calls, low, high, processes)
    assert (str(even), even.shown) == (shown, not shown.startswith("not shown"))


BASE = ladder("base", load=1.0, cold=1.0, warm=1.0, call=1.0)


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (ladder(load=1.0, cold=6.0, warm=2.0, call=0.5),
         "pays off after 10 calls (7–17) where it has to compile, and after 2 calls (1–5) with the compiled code on "
         "disk."),
        (ladder(load=1.0, cold=0.1, warm=0.1, call=0.1), "pays off from the first call on."),
        (ladder(load=1.0, cold=6.0, warm=0.1, call=0.5),
         "pays off after 10 calls (7–17) where it has to compile, and from the first call on with the compiled code on "
         "disk."),
        (ladder(load=1.0, cold=2.0, warm=2.0, call=2.0),
         "never pays off on 1024 × 1024 elements (float32), where a call of it is not faster."),
        (ladder(load=1.0, cold=2.0, warm=2.0, call=0.95), "when it pays off is not shown: the calls are too close."),
        (ladder(load=1.0, cold=2.0, call=0.5), None),
        (ladder(load=1.0, warm=2.0, call=0.5), None),
    ],
)  # fmt: skip
def test_break_even_in_words(one: Ladder, said: str | None) -> None:
    about = f"softmax.a against base: {said}" if said else "softmax.a: not all of its times were measured."
    assert startup.sentence(one, BASE) == about


def test_what_is_not_shown_is_not_said_in_words() -> None:
    one = ladder(load=1.0, cold=6.0, warm=0.1, call=0.5)
    one.rungs["warm"] = Measured(0.1, 0.09, 0.11, 2)
    assert startup.sentence(one, BASE) == (
        "softmax.a against base: pays off after 10 calls (7–17) where it has to compile, and not shown: 2 processes "
        "with the compiled code on disk."
    )
