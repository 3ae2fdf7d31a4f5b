"""Fixtures and settings for every test file."""

import signal

from tests.browser import browser
from tests.plugins import install

__all__ = ["browser", "install"]

# Ignored in what a shell runs in the background, and by all that this starts: some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)
