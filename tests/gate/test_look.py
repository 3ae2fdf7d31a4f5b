"""What the look before the timing makes of a process, and which of its lines count."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reports.gate import look
from reports.gate.benchmarks import every
from reports.gate.processes import Report, Workers

B = every()[0]


@pytest.mark.parametrize(
    ("clocks", "used"), [({"cpu"}, "cpu"), ({"wall"}, "wall"), ({"cpu", "wall"}, "wall"), ({"device"}, "device")]
)
def test_versions_of_two_clocks_are_compared_by_the_wall_clock(clocks: set[str], used: str) -> None:
    report = Report({(B.id, side): ("ok", "") for side in B.pair}, {B.id: clocks})
    workers: Any = SimpleNamespace(paired=lambda *_, **__: report)
    assert look.look(workers, [B]).clocks == {B: used}


def test_a_line_that_was_cut_off_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(self: Workers, command: list[str], env: Any, limit: float) -> str:
        out = Path(json.loads(Path(command[-1]).read_text())["out"])
        out.write_text('{"event": "measure", "id": 1}\n{"event": "measured", "quads": [[1.0, 2')
        return "killed by SIGKILL"

    monkeypatch.setattr(Workers, "_run_limited", write)
    assert Workers({}, tmp_path).run("x", {}, {}, 1.0) == ([{"event": "measure", "id": 1}], "killed by SIGKILL")
