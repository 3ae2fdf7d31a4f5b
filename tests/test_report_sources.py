"""The sources in a report: what a run writes down of an implementation, and where its file can be read."""

from __future__ import annotations

import importlib.metadata
from email.message import Message
from pathlib import Path

import pytest

import impls
from reports import implementations, links, report, runs, sources
from tests.report_data import COMMIT, IMPLEMENTATIONS, everything

FILE = "impls/kernels/softmax/naive.py"


def test_sources_are_shown_once_with_what_is_known_of_them(tmp_path: Path) -> None:
    for name in ("a", "b"):
        everything().write(tmp_path / name, side={"implementations": IMPLEMENTATIONS, "id": name})
    found = sources.collect([runs.read(tmp_path / name) for name in ("a", "b")])
    assert [one.name for one in found] == ["softmax.naive", "argmax.absent"]
    assert found[0].summary == "As the definition reads."
    assert found[0].html is not None
    assert "&lt;img" not in found[0].html
    assert found[1].html is None
    assert ("status", "unavailable: no GPU here") in found[1].facts


def _naive() -> impls.Entry:
    return next(e for e in impls.catalogue() if (e.operation, e.name) == ("softmax", "naive"))


def test_a_run_notes_the_file_without_the_folder_it_lies_in() -> None:
    found = implementations.describe(_naive(), [])
    assert found["file"] == FILE
    assert found["source"] == (Path(impls.__file__).parent.parent / FILE).read_text("utf-8")


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (
            [("Source Code", "https://example.org/code"), ("Homepage", "https://example.org")],
            "https://example.org/code",
        ),
        ([("Documentation", "https://example.org/docs"), ("homepage", "https://example.org")], "https://example.org"),
        ([("Source", "javascript:alert(1)"), ("Homepage", "http://example.org")], "http://example.org"),
        ([("Documentation", "https://example.org/docs")], None),
    ],
)
def test_the_repository_is_what_the_package_declares(
    monkeypatch: pytest.MonkeyPatch, declared: list[tuple[str, str]], expected: str | None
) -> None:
    metadata = Message()
    for label, url in declared:
        metadata["Project-URL"] = f"{label}, {url}"
    monkeypatch.setattr(importlib.metadata, "metadata", lambda name: metadata)
    assert implementations.describe(_naive(), [])["repository"] == expected


HUB = "https://github.com/someone/maxbench"


@pytest.mark.parametrize(
    ("origin", "repository", "commit", "expected"),
    [
        ("maxbench 0.1.0", f"{HUB}.git", COMMIT, f"{HUB}/blob/{COMMIT}/{FILE}"),
        ("maxbench 0.1.0", "https://gitlab.com/a/b/", COMMIT, f"https://gitlab.com/a/b/-/blob/{COMMIT}/{FILE}"),
        # Elsewhere nobody knows how files are addressed, and the commit of a plug-in is not known.
        ("maxbench 0.1.0", "https://example.org/code", COMMIT, "https://example.org/code"),
        ("other 2.0", HUB, COMMIT, HUB),
        ("maxbench 0.1.0", HUB, None, HUB),
        ("maxbench 0.1.0", None, COMMIT, None),
        ("maxbench 0.1.0", "javascript:alert(1)", COMMIT, None),
    ],
)
def test_the_link_is_to_the_file_at_the_commit(
    origin: str, repository: str | None, commit: str | None, expected: str | None
) -> None:
    entry = {"origin": origin, "repository": repository, "file": FILE}
    assert links.to_source(entry, commit) == expected


def test_the_page_and_the_markdown_have_the_link(tmp_path: Path) -> None:
    listed = [{**IMPLEMENTATIONS[0], "file": FILE, "repository": HUB}]
    everything().write(tmp_path, side={"implementations": listed})
    page = report.write([tmp_path], tmp_path).read_text("utf-8")
    address = f"{HUB}/blob/{COMMIT}/{FILE}"
    assert f'href="{address}"' in page
    assert f"<{address}>" in (tmp_path / "report.md").read_text("utf-8")
