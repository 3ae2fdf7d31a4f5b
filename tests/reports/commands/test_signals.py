"""Signals: one of them in one command; ``python -m tests.signals`` has all."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest

if os.name != "posix":
    pytest.skip("signals are POSIX's", allow_module_level=True)

from maxbench.bench.processes import launch
from maxbench.reports.commands import main
from tests import signals


@pytest.mark.parametrize("fails", [False, True])
def test_a_signal_is_the_exit_status_whatever_is_made_of_it(
    fails: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def imports(words: object) -> int:
        try:
            os.kill(os.getpid(), signal.SIGHUP)
        except launch.Stopped:
            if fails:
                raise ImportError("cannot import name 'x'") from None
            raise
        return 0

    monkeypatch.setattr(main, "_run", imports)
    monkeypatch.setattr(main.sys, "argv", ["maxbench", "gate", "--help"])
    assert main.main() == 128 + signal.SIGHUP
    assert capsys.readouterr().err == "maxbench gate: stopped by SIGHUP\n"
    assert signal.getsignal(signal.SIGHUP) is not launch.handle


def test_a_check_that_is_terminated_leaves_nothing() -> None:
    with tempfile.TemporaryDirectory(prefix="t-") as folder:  # its temporary folder must have a short path
        left = signals.interrupt("check", "check", signal.SIGTERM, Path(folder))
    assert left.judged("check", "check", signal.SIGTERM) == []
    assert left.seconds < signals.MOST_SECONDS
    assert "maxbench check: stopped by SIGTERM" in left.printed
    assert not left.kept


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"children": 5.1}, "children ran for 5.1 s"),
        ({"status": 1}, "exit status 1"),
        ({"status": None}, "exit status None"),
        ({"temporary": ["maxbench-gate-x"]}, "temporary files"),
        ({"printed": "Interrupted."}, "not said how to go on"),
    ],
)
def test_what_is_not_as_it_must_be_is_named(change: dict[str, object], problem: str) -> None:
    good = {"children": 0.1, "seconds": 0.2, "status": 130, "temporary": [], "kept": [], "cells": 0,
            "printed": "Go on with: maxbench run --resume x"}  # fmt: skip
    assert signals.Left(**good).judged("run", "measure", signal.SIGINT) == []  # type: ignore[arg-type]
    assert signals.Left(**{**good, **change}).judged("run", "measure", signal.SIGINT) == [problem]  # type: ignore[arg-type]
