"""Speed-up and efficiency over runs with several numbers of threads."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from maxbench.reports.analysis import scaling
from maxbench.reports.analysis.derived import Derived, Measured


def row(threads: Any, value: float = 1.0, **changes: Any) -> dict[str, Any]:
    return {
        "machine": "box", "operation": "softmax", "implementation": "a", "dtype": "float32", "benchmark": "Sweep",
        "workload": "", "n": 1024, "threads": threads, "statistic": "time", "status": "ok", "value": value,
        "low": 0.5 * value, "high": 2 * value, "processes": 3,
    } | changes  # fmt: skip


def scalings(*rows: dict[str, Any]) -> list[scaling.Scaling]:
    table = pd.DataFrame(rows)
    for name in ("n", "threads", "processes"):
        table[name] = table[name].astype("Int64")
    return scaling.scalings(table)


def test_efficiency_is_speed_up_over_the_factor_of_threads() -> None:
    (found,) = scalings(row(6, 1.0), row(2, 2.0, processes=4), row(6, 0.5))
    assert (found.machine, found.operation, found.implementation, found.dtype) == ("box", "softmax", "a", "float32")
    assert found.steps == (
        scaling.Step(2, Measured(2.0, 1.0, 4.0, 4), None, Derived(1.0, 1.0, 1.0, 4)),
        # Of two runs with as many threads the later counts.
        scaling.Step(6, Measured(0.5, 0.25, 1.0, 3), Derived(4.0, 1.0, 16.0, 3, 1.0),
                     Derived(*(pytest.approx(x / 3) for x in (4.0, 1.0, 16.0)), 3)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "n = 1,024"),
        ({"benchmark": "Threads"}, "n = 1,024"),
        ({"benchmark": "Strided"}, "n = 1,024"),
        ({"benchmark": "Workloads", "workload": "ImageNet", "n": pd.NA}, "ImageNet"),
        ({"benchmark": "Own", "n": pd.NA}, "your array"),
        ({"benchmark": "Api"}, None),
        ({"status": "failed"}, None),
        ({"status": "wrong"}, None),
        ({"statistic": "load"}, None),
    ],
)
def test_inputs_are_timed_ones_on_which_implementations_compete(changes: dict[str, Any], name: str | None) -> None:
    assert [found.input for found in scalings(row(1, **changes), row(2, **changes))] == ([name] if name else [])


def test_each_input_is_by_itself_and_has_more_than_one_number_of_threads() -> None:
    others: list[dict[str, Any]] = [
        {}, {"machine": "b"}, {"operation": "argmax"}, {"implementation": "z"}, {"dtype": "int8"}, {"n": 2},
        {"benchmark": "Own"}, {"workload": "x"}, {"implementation": "b", "n": pd.NA, "workload": "w"},
    ]  # fmt: skip
    assert scalings(*(row(k, **other) for k, other in enumerate(others)), row(pd.NA), row(0)) == []
    found = scalings(*(row(threads, **other) for threads in (1, 2) for other in others))
    assert [one.implementation for one in found] == [str(other.get("implementation", "a")) for other in others]
    assert [len(one.steps) for one in found] == [2] * len(others)
    assert not math.isnan(found[-1].steps[1].efficiency.value)
