"""Fixtures for the tests of the measuring core."""

import pytest

from maxbench.bench.timing import sampling


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No garbage is collected before sampling, which takes as long as most tests here."""
    monkeypatch.setattr(sampling, "_collect", lambda: None)
