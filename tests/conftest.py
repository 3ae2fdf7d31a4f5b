"""Fixtures for every test file."""

from tests.browser import browser
from tests.plugins import install

__all__ = ["browser", "install"]
