"""Fixtures and settings for every test file."""

import signal
import sys
from pathlib import Path

from hypothesis import settings

from tests.browser import browser
from tests.plugins import install

__all__ = ["browser", "install"]

# `python -m pytest` puts it there: the packages in it would have a second name.
sys.path[:] = [place for place in sys.path if Path(place).resolve() != Path(__file__).parent.parent]

# No test depends on how fast the machine is.
settings.register_profile("maxbench", deadline=None)
settings.load_profile("maxbench")

# Ignored in what a shell runs in the background, and by all that this starts: some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)
