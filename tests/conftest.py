"""Fixtures for every test file."""

from tests.browser import browser

__all__ = ["browser"]
