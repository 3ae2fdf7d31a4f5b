"""Fixtures and settings for every test file."""

import gc
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from tests.browser import browser
from tests.plugins import install

__all__ = ["browser", "install"]

# `python -m pytest` puts it there: the packages in it would have a second name.
sys.path[:] = [place for place in sys.path if Path(place).resolve() != Path(__file__).parent.parent]

# Compiling makes many objects, few of them garbage, and the collector would take 6 to 9% of its time.
gc.set_threshold(50_000, 20, 20)

# No test depends on how fast the machine is, nor on what ``maxbench tune`` has measured there.
os.environ["MAXBENCH_CPU_TABLE"] = ""
settings.register_profile("maxbench", deadline=None)
settings.load_profile("maxbench")

# Ignored in what a shell runs in the background, and by all that this starts: some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """One process runs a file, and one all that compile the same kernels, which two at a time would compile twice."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(super()._split_scope(nodeid))
        compiles = file.parent == Path("tests/impls") or file.name in ("test_upstream.py", "test_bench.py")
        return "kernels" if compiles else str(file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)
