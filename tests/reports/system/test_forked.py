"""Forked copies that share work: they end with the process that made them."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

PROGRAM = r"""
import os
from maxbench.reports.system import forked
forked.cpus = lambda: 2

def task(index):
    os.write(1, f"{os.getpid()}\n".encode())
    if index:
        os.kill(os.getppid(), 9)
    return index

forked.each(task, 2)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux alone")
def test_copies_end_when_their_parent_is_killed() -> None:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    words = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        copies = [int(process.stdout.readline()) for _ in range(2)]
        assert process.wait() == -9
    assert len(copies) == 2
    end = time.monotonic() + 60
    while any(map(psutil.pid_exists, copies)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(psutil.pid_exists, copies))
