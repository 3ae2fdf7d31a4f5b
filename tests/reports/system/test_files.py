"""Files that are written whole or not at all, and paths made of names that come from data."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maxbench.reports.records import asv_writing
from maxbench.reports.records.run import Machine
from maxbench.reports.system import files

NAMES = st.one_of(st.text(st.characters(), max_size=300), st.sampled_from(["..", ".", "", "/", "a/b", "\0", "-x"]))


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    (tmp_path / "link").symlink_to("target")
    files.write_text(tmp_path / "link", "ours")
    assert (tmp_path / "target").read_text() == "mine"
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "link").read_text() == "ours"
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        files.write_new(tmp_path / "dangling", b"")
    assert not (tmp_path / "nowhere").exists()


def test_files_are_readable_as_others_are(tmp_path: Path) -> None:
    usual = os.umask(0o027)
    try:
        files.write_text(tmp_path / "file", "")
    finally:
        os.umask(usual)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_content_is_on_the_disk_before_it_replaces_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    done = []
    sync = os.fsync

    def fsync(handle: int) -> None:
        done.append(("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file", path.read_text()))
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    files.write_text(path, "new")
    assert done == [("file", "old"), ("folder", "new")]


def test_a_failure_leaves_the_old_content_alone_and_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '[^']*/file'$"):
        files.write_text(path, "new")
    with pytest.raises(OSError, match="No space"):
        files.write_new(tmp_path / "new", b"")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"file": "old"}
    (tmp_path / "folder").mkdir()
    monkeypatch.undo()
    with pytest.raises(IsADirectoryError):
        files.write_text(tmp_path / "folder", "new")
    assert {p.name for p in tmp_path.iterdir()} == {"file", "folder"}


def test_names_that_are_not_utf_8_are_written_and_read_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"r\xff")
    path = files.inside(tmp_path, name)
    files.write_json(path, {"folder": name, "×": "µ"})
    assert [os.fsencode(path.name) for path in tmp_path.iterdir()] == [b"r\xff"]
    assert json.loads(path.read_text("utf-8")) == {"folder": name, "×": "µ"}


@given(NAMES)
@example("..")
@example("a\\..\\b")
def test_a_path_made_of_a_name_is_inside_or_refused(name: str) -> None:
    folder = Path("/folder")
    try:
        path = files.inside(folder, "one", name)
    except ValueError:
        with pytest.raises(ValueError, match="cannot name a file in /folder: accepted are"):
            files.inside(folder, name)
        return
    assert path.parent == folder / "one"
    assert Path(os.path.normpath(path)) == path
    assert os.fsdecode(os.fsencode(path)) == str(path)


@given(NAMES)
@example("")
@example("..")
@example(".-")
def test_a_safe_name_is_accepted_and_no_option(name: str) -> None:
    safe = files.safe_name(name)
    assert files.inside(Path("/folder"), safe).name == safe
    assert not safe.startswith("-")


@pytest.mark.parametrize(
    ("name", "folder"), [("..", "_"), ("/x", "_x"), ("", "_"), ("-x", "_-x"), ("a/../..", "a_.._..")]
)
def test_a_machine_has_its_folder_in_the_runs(tmp_path: Path, name: str, folder: str) -> None:
    where = asv_writing.machine_folder(tmp_path, Machine(name=name))
    assert where == tmp_path / "asv" / "results" / folder
    assert json.loads((where / "machine.json").read_text())["machine"] == folder
