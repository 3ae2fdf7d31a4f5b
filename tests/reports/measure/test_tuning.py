"""The search for faster kernels: who wins, which lengths are one range, and a bad table that it mends."""

from __future__ import annotations

from typing import Any

import pytest

from maxbench.bench.processes.messages import Timed
from maxbench.bench.workers import tune
from maxbench.impls.cpu import regimes, tuned
from maxbench.impls.cpu.machine import this_machine
from maxbench.impls.cpu.plan import Problem, plan
from maxbench.reports.measure import tuning


def timed(n: int, variant: int, gain: float, **more: Any) -> Timed:
    given = {"operation": "softmax", "dtype": "float32", "beyond": False, "whole": False, "wrong": "", **more}
    return Timed(n=n, variant=variant, seconds=1e-3, gain=gain, **given)


def test_neighbouring_lengths_with_one_winner_are_one_range() -> None:
    given = [
        timed(10, 3, 1.2), timed(10, 6, 1.1),
        timed(20, 3, 1.5), timed(20, 6, 1.6, wrong="row 0"),
        timed(30, 3, 1.1), timed(30, 6, 1.4),
        timed(40, 3, 1.03), timed(40, 6, 0.5),
        timed(50, 6, 1.9),
        timed(20, 6, 1.3, beyond=True),
        timed(20, 6, 1.7, dtype="float64"),
        timed(10, 0, 1.3, operation="argmax"),
    ]  # fmt: skip
    found = tuning.winners(given[::-1])
    assert {(f.operation, f.dtype, f.beyond, f.variant.kernel, f.columns, f.gain) for f in found} == {
        ("softmax", "float32", False, "pipelined", (10, 20), 1.2),
        ("softmax", "float32", False, "rows", (30, 30), 1.4),
        ("softmax", "float32", False, "rows", (50, 50), 1.9),
        ("softmax", "float32", True, "rows", (20, 20), 1.3),
        ("softmax", "float64", False, "rows", (20, 20), 1.7),
        ("argmax", "float32", False, "packed", (10, 10), 1.3),
    }
    assert all(f.variant in regimes.LIMITS[f.operation] for f in found)


def test_a_bad_bound_of_the_built_in_table_is_mended(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    machine, n = this_machine(), 500
    rows = regimes.TABLES["argmax", False]
    bad = regimes.Regime(kernel="transposed", reason="a bad bound", columns=regimes.at_most(512))
    monkeypatch.setitem(regimes.TABLES, ("argmax", False), (bad, *rows))
    problem = Problem("argmax", "float32", (100, n, 1), 1)
    assert plan(machine, problem).regime is bad
    found = list(tune.search(machine, "argmax", "float32", n, False, tuning.GAIN))
    # Not the choice itself, nor what cannot take such rows.
    tried = {
        (regimes.LIMITS["argmax"][one.variant].kernel, regimes.LIMITS["argmax"][one.variant].prefetch) for one in found
    }
    assert tried == {("rows", 0), ("rows", 32), ("rows", 64)}
    assert [one.wrong for one in found] == [""] * 3
    path = tmp_path / "table.json"
    path.write_text(tuned.as_json(tuning.winners(found), machine))
    monkeypatch.setenv(tuned.TABLE_FILE, str(path))
    tuned.load.cache_clear()
    assert plan(machine, problem, tuned.table_of(machine, problem)).regime.kernel == "rows"
    tuned.load.cache_clear()


def test_a_wrong_kernel_is_named_and_never_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    bound = tune.argmax.bound

    def spoiled(chosen: Any, *given: Any) -> Any:
        call = bound(chosen, *given)
        if chosen.regime in regimes.TABLES["argmax", False]:
            return call

        def wrong(x: Any, out: Any) -> None:
            call(x, out)
            out[-1] += 1

        return wrong

    monkeypatch.setattr(tune.argmax, "bound", spoiled)
    found = list(tune.search(this_machine(), "argmax", "float32", 200, False, tuning.GAIN))
    assert len(found) >= 2
    assert all(one.wrong and one.gain == 0 for one in found)
    assert tuning.winners(found) == []
