"""SIGKILL at two moments of one small run; ``python -m tests.kill_moments`` has many."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

if os.name != "posix":
    pytest.skip("SIGKILL is POSIX's", allow_module_level=True)

from tests.kill_moments import Chain, plan
from tests.needs import nightly

FEW = ("--only", "numpy_vectorized", "--operation", "argmax")


@nightly
def test_a_run_that_is_killed_as_it_checks_and_as_it_measures_loses_nothing() -> None:
    with tempfile.TemporaryDirectory(prefix="k-") as name:  # its temporary folders must have short paths
        folder = Path(name)
        run = Chain(folder, [*plan(folder), *FEW])
        assert run.moment(60.0, (run.output / "run.json").exists) == []
        assert not (run.output / "journal.jsonl").exists()
        assert run.moment(60.0, _lines(run.output / "journal.jsonl", 2)) == []
        assert run.end() == []


def _lines(journal: Path, count: int) -> Callable[[], bool]:
    def written() -> bool:
        return journal.exists() and journal.read_bytes().count(b"\n") >= count

    return written


def test_what_is_wrong_of_a_run_that_was_killed_is_named(tmp_path: Path) -> None:
    run = Chain(tmp_path, [])
    run.output.mkdir()
    journal = run.output / "journal.jsonl"
    journal.write_text('{"benchmark": "argmax.Own", "params": ["1"], "status": "ok", "round": 0, "samples": [1.0]}\n')
    assert run._looked() == ["a journal without run.json"]
    (run.output / "run.json").write_text('{"schema": 1, "state": "finished"}')
    (found,) = run._looked()
    assert found.startswith("measured: (Counter({1.0: 1}), set()); in the report: (Counter(), set())")
    journal.write_text("")
    assert run._looked() == ["lines of the journal are lost"]
