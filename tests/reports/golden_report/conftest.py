"""One report for all of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import data, page


@pytest.fixture(scope="package")
def raw() -> data.Raw:
    return data.made()


@pytest.fixture(scope="package")
def found(raw: data.Raw, tmp_path_factory: pytest.TempPathFactory) -> Iterator[page.Report]:
    with pytest.MonkeyPatch.context() as patch:
        yield page.written(raw, tmp_path_factory.mktemp("golden"), patch)
