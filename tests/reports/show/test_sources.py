"""The sources in a report: what a run writes down of an implementation, and where its file can be read."""

from __future__ import annotations

import importlib.metadata
import subprocess
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from maxbench import impls
from maxbench.reports.measure import checks, environment, implementations
from maxbench.reports.measure.checks import Checked
from maxbench.reports.records import runs
from maxbench.reports.records.run import Implementation, Source
from maxbench.reports.show import links, report, sources
from tests.report_data import COMMIT, IMPLEMENTATIONS, Results, everything

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


def _checked(name: str, **found: Any) -> Checked:
    return Checked(next(e for e in impls.catalogue() if (e.operation, e.name) == ("softmax", name)), **found)


def test_a_run_notes_the_file_without_the_folder_it_lies_in() -> None:
    checked = _checked("naive")
    (loaded,) = checks.describe_all([checked.entry])
    described = implementations.describe(loaded)
    assert (described.file, described.status, described.device) == (FILE, "available", "cpu")
    found = implementations.describe(checked)
    assert found.file == FILE
    assert found.source == (Path(impls.__file__).parent.parent / FILE).read_text("utf-8")


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
    assert implementations.describe(_checked("naive")).repository == expected


HUB = "https://github.com/someone/maxbench"
CLONE = {"commit": COMMIT, "dirty": False, "repository": HUB}


@pytest.mark.parametrize(
    ("origin", "declared", "source", "expected"),
    [
        ("maxbench 0.1.0", None, CLONE, f"{HUB}/blob/{COMMIT}/{FILE}"),
        # The clone's own remote has the commit; the package may name a project that has not.
        ("maxbench 0.1.0", "https://example.org/code", CLONE, f"{HUB}/blob/{COMMIT}/{FILE}"),
        (
            "maxbench 0.1.0",
            None,
            {**CLONE, "repository": "https://gitlab.com/a/b"},
            f"https://gitlab.com/a/b/-/blob/{COMMIT}/{FILE}",
        ),
        # Elsewhere nobody knows how files are addressed, and what is not committed is not there.
        ("maxbench 0.1.0", None, {**CLONE, "repository": "https://example.org/code"}, "https://example.org/code"),
        ("maxbench 0.1.0", None, {**CLONE, "dirty": True}, HUB),
        # Installed, or measured in a clone whose remotes have not got the commit.
        ("maxbench 0.1.0", f"{HUB}.git/", {"commit": COMMIT, "dirty": False}, HUB),
        ("maxbench 0.1.0", None, {}, None),
        ("other 2.0", "https://example.org/other", CLONE, "https://example.org/other"),
        ("other 2.0", None, CLONE, None),
        ("maxbench 0.1.0", "javascript:alert(1)", {**CLONE, "repository": "javascript:alert(1)"}, None),
    ],
)
def test_the_link_is_to_the_file_at_the_commit(
    origin: str, declared: str | None, source: dict[str, Any], expected: str | None
) -> None:
    entry = Implementation(operation="softmax", name="naive", origin=origin, repository=declared, file=FILE)
    assert links.to_source(entry, Source(**source)) == expected


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("git@github.com:someone/maxbench.git", HUB),
        ("ssh://git@gitlab.com:2222/a/b/c.git", "https://gitlab.com/a/b/c"),
        (f"{HUB}.git\n", HUB),
        ("https://user:secret@github.com/someone/maxbench", HUB),
        ("../elsewhere", None),
        ("/srv/git/maxbench.git", None),
        ("file:///srv/git/maxbench.git", None),
        ("", None),
    ],
)
def test_the_page_of_a_remote_has_no_password_in_it(remote: str, page: str | None) -> None:
    assert links.of_remote(remote) == page


def test_a_run_notes_the_remote_only_once_it_has_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "impls"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(environment.impls, "__file__", str(package / "__init__.py"))

    def git(*words: str) -> None:
        name = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *name, *words], check=True, capture_output=True)

    git("init", "--initial-branch=main")
    git("add", ".")
    git("commit", "--message=first")
    git("remote", "add", "fork", f"{HUB}.git")
    assert environment.source().repository is None
    git("update-ref", "refs/remotes/fork/main", "HEAD")  # what a push or fetch does
    assert environment.source().repository == HUB
    git("commit", "--allow-empty", "--message=second")
    assert environment.source().repository is None


def test_the_page_and_the_markdown_have_the_link_or_say_that_there_is_none(tmp_path: Path) -> None:
    listed = [{**IMPLEMENTATIONS[0], "file": FILE}, IMPLEMENTATIONS[1]]
    found = Results().add("softmax.Sweep.time_call", ("naive", "float32", 2), [[1.0], [1.0]])
    found.write(tmp_path, side={"implementations": listed, "source": {"version": "0.1.0", **CLONE}})
    page = report.write([tmp_path], tmp_path).read_text("utf-8")
    address = f"{HUB}/blob/{COMMIT}/{FILE}"
    assert f'href="{address}"' in page
    markdown = (tmp_path / "report.md").read_text("utf-8")
    assert f"<{address}>" in markdown
    for written in (page, markdown):
        assert "argmax.absent has no link" in written


def test_what_cannot_run_here_shows_its_source_all_the_same() -> None:
    found = implementations.describe(_checked("numba_cuda", status="unavailable", reason="no GPU here"))
    assert (found.status, found.reason) == ("unavailable", "no GPU here")
    assert found.file == "impls/kernels/softmax/numba_cuda.py"
    assert (found.source or "").startswith('"""Softmax')
    assert found.doc.startswith("Softmax")
