"""``maxbench tune``: the table that it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maxbench.impls.cpu import tuned
from maxbench.impls.cpu.machine import this_machine
from maxbench.reports.commands.main import main
from maxbench.reports.measure import precheck, tuning


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precheck, "announce", lambda threads: None)
    monkeypatch.setattr(tuning.tune, "__defaults__", ((4, 200),))


@pytest.mark.usefixtures("short")
def test_the_table_is_written_and_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "table.json"
    words = ["tune", "--operation", "argmax", "--dtype", "float32", "--threads", "1", "--output", str(path)]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "4 row lengths timed" in said  # within the last-level cache and beyond
    assert f"table of this machine: {path}" in said
    assert "no time was left" not in said
    tuned.read(path, this_machine())
    # Again, in no time; the file is replaced, as it is a table.
    assert main([*words, "--budget", "0.001"]) == 0
    said = capsys.readouterr().out
    assert "no time was left for argmax in float32, rows of " in said
    assert json.loads(path.read_text())["maxbench"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--operation", "softmax", "--dtype", "int8"], "--dtype 'int8': softmax takes float16, float32, float64"),
        (["--dtype", "bfloat16"], "--dtype 'bfloat16': "),
        (["--budget", "0"], "accepted are finite numbers above 0"),
        (["--output", "{there}"], "exists and is no table of CPU regimes: name another file"),
    ],
)
@pytest.mark.usefixtures("short")
def test_what_is_refused(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = tmp_path / "notes.txt"
    there.write_text("mine")
    try:
        status: object = main(["tune", *(word.format(there=there) for word in words)])
    except SystemExit as end:
        status = end.code
    assert status == 2
    assert said in capsys.readouterr().err
    assert there.read_text() == "mine"
