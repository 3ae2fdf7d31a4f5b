"""Fixtures and settings for every test file."""

import gc
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from tests.browser import browser
from tests.plugins import install

__all__ = ["browser", "install"]

# `python -m pytest` puts it there: the packages in it would have a second name.
sys.path[:] = [place for place in sys.path if Path(place).resolve() != Path(__file__).parent.parent]

# Compiling makes many objects, few of them garbage: a tenth of its time would go into looking for it.
gc.set_threshold(50_000, 20, 20)

# No test depends on how fast the machine is.
settings.register_profile("maxbench", deadline=None)
settings.load_profile("maxbench")

# Ignored in what a shell runs in the background, and by all that this starts: some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process runs a file, and one all that compile the same kernels, which two at a time would compile twice.

    Before the hook of pytest-xdist, which reads the marks.
    """
    kernels = Path(__file__).parent / "impls"
    for item in items:
        group = "impls" if item.path.parent == kernels else item.path
        item.add_marker(pytest.mark.xdist_group(str(group)))
