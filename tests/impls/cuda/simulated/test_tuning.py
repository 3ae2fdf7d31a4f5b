"""A rehearsal of ``maxbench tune --device cuda``: candidates are run, checked and timed, the table is read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from maxbench.impls.cuda import plans, platform, regimes
from maxbench.impls.cuda.regimes import Regime
from maxbench.reports.commands import main
from maxbench.reports.measure.device import tuning
from maxbench.reports.system import usage
from tests.impls.cuda import simulator
from tests.needs import ALL


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "table.json"
    with simulator.installed():
        words = ["tune", "--device", "cuda", "--simulate", "--sample-seconds", "0.001", "--output", str(path)]
        assert main.main(words if ALL else [*words, "--budget", "2"]) == 0
    said = capsys.readouterr().out
    assert f"table of {platform.SIMULATOR_NAME}: {path}" in said
    assert ("no time was left for" in said) != ALL
    monkeypatch.setenv(regimes.TABLE_FILE, str(path))
    table, where = regimes.load(platform.SIMULATOR_NAME)
    assert where == str(path)
    assert table["softmax rows"][-1] == regimes.SIMULATOR["softmax rows"][-1]


def test_it_needs_a_place_for_a_simulators_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["tune", "--device", "cuda", "--simulate"]) == usage.ERROR
    assert "--simulate needs --output" in capsys.readouterr().err


def test_a_candidate_that_cannot_run_is_left_out() -> None:
    device = plans.Device(2, regimes.SIMULATOR)
    measure = tuning.OnDevice(device, 0.001, 1024)
    good, bad = Regime("rows", 32, 32, 8), Regime("rows", 32, 1, 8)
    with simulator.installed():
        found = measure("argmax rows", 40, [good, bad])
    assert isinstance(found[good], float)
    assert found[bad] == "StopIteration"
