"""What the look before the timing makes of a process."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from maxbench.reports.gate import look
from maxbench.reports.gate.benchmarks import every
from maxbench.reports.gate.processes import Report

B = every()[0]


@pytest.mark.parametrize(
    ("clocks", "used"), [({"cpu"}, "cpu"), ({"wall"}, "wall"), ({"cpu", "wall"}, "wall"), ({"device"}, "device")]
)
def test_versions_of_two_clocks_are_compared_by_the_wall_clock(clocks: set[str], used: str) -> None:
    report = Report({(B.id, side): ("ok", "") for side in B.pair}, {B.id: clocks})
    workers: Any = SimpleNamespace(paired=lambda *_, **__: report)
    assert look.look(workers, [B]).clocks == {B: used}
