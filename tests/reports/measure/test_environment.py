"""What is recorded of the machine."""

from __future__ import annotations

from pathlib import Path

import cpuinfo
import pytest

from maxbench.reports.measure import environment


def test_the_processors_name_is_that_of_linux_or_of_cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(cpuinfo, "get_cpu_info", lambda: {"brand_raw": "asked"})
    assert environment._processor(file) == "asked"
    file.write_text("processor\t: 0\nmodel\t\t: 85\nmodel name\t: A processor: fast\nmodel name\t: another\n")
    assert environment._processor(file) == "A processor: fast"
    file.write_text("processor\t: 0\nmodel name\t:\nBogoMIPS\t: 50.00\n")  # as on ARM
    assert environment._processor(file) == "asked"
    monkeypatch.setattr(cpuinfo, "get_cpu_info", dict)
    monkeypatch.setattr("platform.processor", lambda: "")
    assert environment._processor(file) == "unknown"
