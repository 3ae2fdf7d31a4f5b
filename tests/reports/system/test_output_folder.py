"""Folders that commands fill: their own files are replaced and removed there, and nothing else is touched."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from maxbench.reports.show import report
from maxbench.reports.system import files, output_folder
from maxbench.reports.system.output_folder import InTheWay, check, fill
from tests.report_data import Results

BOTH = {"figures/a.svg": b"a", "page.html": b"page"}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file, link and the like below a folder, without the marker."""
    found = {}
    for path in folder.rglob("*"):
        if path.name != output_folder.MARKER and (path.is_symlink() or not path.is_dir()):
            name = path.relative_to(folder).as_posix()
            found[name] = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
    return found


def test_own_files_are_replaced_and_removed_and_others_stay(tmp_path: Path) -> None:
    fill(tmp_path / "new" / "out", "report", BOTH)
    out = tmp_path / "new" / "out"
    assert contents(out) == BOTH
    (out / "figures" / "mine.svg").write_bytes(b"mine")
    (out / "mine.txt").write_bytes(b"mine")
    fill(out, "report", {"page.html": b"second", "b/c.svg": b"c"})
    assert contents(out) == {"page.html": b"second", "b/c.svg": b"c", "figures/mine.svg": b"mine", "mine.txt": b"mine"}
    fill(out, "report", {"page.html": b"third"})
    assert not (out / "b").exists()  # left empty by what was removed


def test_two_commands_share_a_folder_but_not_a_file(tmp_path: Path) -> None:
    fill(tmp_path, "report", {"a": b"a", "b": b"b"})
    fill(tmp_path, "gate", {"c": b"c"})
    with pytest.raises(InTheWay, match="a was written by `maxbench report`"):
        fill(tmp_path, "gate", {"a": b"theirs"})
    fill(tmp_path, "report", {"a": b"a"})
    assert contents(tmp_path) == {"a": b"a", "c": b"c"}


def _foreign(path: Path) -> None:
    path.write_bytes(b"mine")


def _link(path: Path) -> None:
    (path.parent / "target").write_bytes(b"mine")
    path.symlink_to("target")


def _changed(path: Path) -> None:
    fill(path.parent, "report", {path.name: b"ours"})
    path.write_bytes(b"mine")


def _now_a_link(path: Path) -> None:
    fill(path.parent, "report", {path.name: b"ours"})
    path.rename(path.with_name("target"))
    path.symlink_to("target")


def _everything(folder: Path) -> dict[Path, tuple[int, ...]]:
    """What a change of a file, link or folder changes; the time of the last access is none of it."""
    found = {path: path.lstat() for path in folder.rglob("*")}
    return {path: (at.st_mode, at.st_ino, at.st_nlink, at.st_size, at.st_mtime_ns) for path, at in found.items()}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_foreign, "was not written by"),
        (_link, "is a symbolic link"),
        (lambda path: path.symlink_to("nowhere"), "is a symbolic link"),
        (Path.mkdir, "is a folder"),
        (os.mkfifo, "is no regular file"),
        (_changed, "was changed since maxbench wrote it"),
        (_now_a_link, "is a symbolic link"),
    ],
)
def test_what_is_not_ours_is_an_error_before_anything_is_written(
    tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    make(tmp_path / "page.html")
    before = _everything(tmp_path)
    with pytest.raises(InTheWay, match=f"page.html {said}.*nothing was written.*--output"):
        fill(tmp_path, "report", BOTH)
    assert _everything(tmp_path) == before


@pytest.mark.parametrize("name", ["figures", "figures/deep"])
def test_a_link_or_file_in_place_of_a_folder_is_not_followed(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InTheWay, match=f"{name} is a symbolic link"):
        fill(out, "report", {"figures/deep/a.svg": b"a"})
    (out / name).unlink()
    (out / name).write_bytes(b"mine")
    with pytest.raises(InTheWay, match=f"{name} is a file"):
        fill(out, "report", {"figures/deep/a.svg": b"a"})
    assert not list((tmp_path / "elsewhere").iterdir())


def test_an_earlier_file_is_not_removed_through_a_link_nor_when_it_was_changed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    fill(out, "report", {"figures/a": b"a", "other/b": b"b", "c": b"c"})
    (out / "figures").rename(tmp_path / "figures")
    (out / "figures").symlink_to(tmp_path / "figures")
    (out / "other" / "b").write_bytes(b"mine")
    (out / "c").rename(tmp_path / "c")
    (out / "c").symlink_to(tmp_path / "c")
    fill(out, "report", {"d": b"d"})
    assert (tmp_path / "figures" / "a").read_bytes() == b"a"
    assert (out / "other" / "b").read_bytes() == b"mine"
    assert (out / "c").read_bytes() == b"c"


def test_a_marker_names_nothing_outside(tmp_path: Path) -> None:
    out = tmp_path / "out"
    fill(out, "report", {"a": b"a"})
    (tmp_path / "victim").write_bytes(b"a")
    (out / ".maxbench-x").mkdir()
    staged = ".maxbench-x/../../".ljust(42, "s")  # as long as a name of ours
    (out / staged).mkdir()
    marker = out / output_folder.MARKER
    found = json.loads(marker.read_text())
    digest = found["files"]["report"]["a"]
    found["files"]["report"] |= {"../victim": digest, str(tmp_path / "victim"): digest, "": digest}
    found["staging"] = staged
    marker.write_text(json.dumps(found))
    fill(out, "report", {"b": b"b"})
    assert (tmp_path / "victim").exists()
    assert (out / staged).exists()
    assert contents(out) == {"b": b"b"}


@pytest.mark.parametrize(
    "damage",
    ["", "[]", "{}", '{"schema": 2, "files": {}}', '{"schema": 1, "files": {"report": {"a": 1}}}', "[" * 100_000],
)
def test_a_marker_that_cannot_be_read_is_an_error(tmp_path: Path, damage: str) -> None:
    fill(tmp_path, "report", {"a": b"a"})
    (tmp_path / output_folder.MARKER).write_text(damage)
    with pytest.raises(InTheWay, match=r"\.maxbench\.json is not a list of files"):
        fill(tmp_path, "report", {"a": b"b"})
    assert contents(tmp_path) == {"a": b"a"}


def test_a_marker_that_is_a_link_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text('{"schema": 1, "files": {}}')
    (tmp_path / output_folder.MARKER).symlink_to("file")
    with pytest.raises(InTheWay):
        fill(tmp_path, "report", {"a": b"b"})


@pytest.mark.parametrize("name", ["../a", "/a", "", "a//b", "a/./b", "a/..", "a\0b", "a\nb", "a\\b", "x" * 256])
def test_names_stay_inside(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a file"):
        fill(tmp_path / "out", "report", {name: b""})
    assert not any((tmp_path / "out").iterdir())


def test_a_full_disk_leaves_the_earlier_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "report", BOTH)
    before = contents(tmp_path)
    written = files.write_new

    def full(path: Path, content: bytes) -> None:
        if content == b"second":
            raise OSError(28, "No space left on device")
        written(path, content)

    monkeypatch.setattr(files, "write_new", full)
    with pytest.raises(OSError, match="No space"):
        fill(tmp_path, "report", {"figures/a.svg": b"first", "page.html": b"second"})
    assert contents(tmp_path) == before
    monkeypatch.undo()
    fill(tmp_path, "report", {"page.html": b"second"})
    assert contents(tmp_path) == {"page.html": b"second"}


@pytest.mark.parametrize("moved", range(3))
def test_after_a_kill_at_any_move_the_folder_is_filled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    fill(tmp_path, "report", BOTH)
    replace, count = Path.replace, 0

    def killed(path: Path, target: Path) -> Path:
        nonlocal count
        if path.parent.name.startswith(".maxbench-"):
            if count == moved:
                raise KeyboardInterrupt
            count += 1
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", killed)
    # As after SIGKILL: nothing is tidied up.
    monkeypatch.setattr(output_folder, "_remove_staging", lambda folder, name: None)
    new = {"figures/b.svg": b"b", "figures/a.svg": b"new", "page.html": b"new"}
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, "report", new)
    monkeypatch.undo()
    assert (tmp_path / "page.html").read_bytes() == b"page"  # last
    assert list(tmp_path.glob(".maxbench-*"))
    fill(tmp_path, "report", {"page.html": b"third"})
    assert contents(tmp_path) == {"page.html": b"third"}


def test_one_fills_a_folder_at_a_time(tmp_path: Path) -> None:
    errors = []

    def often(letter: str) -> None:
        try:
            for number in range(20):
                fill(tmp_path, "report", {"a": f"{letter}{number}".encode(), letter: b""})
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=often, args=(letter,)) for letter in "xyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(contents(tmp_path)) == 2


def test_a_check_writes_nothing(tmp_path: Path) -> None:
    check(tmp_path / "new", "gate", ["gate.json"])
    assert not (tmp_path / "new").exists()
    _foreign(tmp_path / "gate.json")
    with pytest.raises(InTheWay, match=r"gate\.json was not written by"):
        check(tmp_path, "gate", ["gate.json"])


def test_what_a_caller_recognises_is_replaced_and_never_removed(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"old report")
    seen = lambda name, content: content == b"old report"  # noqa: E731
    fill(tmp_path, "report", {"a": b"new"}, seen)
    assert contents(tmp_path) == {"a": b"new", "b": b"old report", "c": b"old report"}


@pytest.mark.usefixtures("undrawn")
def test_a_report_of_an_earlier_version_is_replaced_and_lookalikes_are_not(tmp_path: Path) -> None:
    results = Results()
    for name in ("fast", "slow"):
        for n in (2, 1024, 1048576):
            results.add("softmax.Sweep.time_call", (name, "float32", n), [[1e-3], [1.1e-3], [1.05e-3]])
    folder = results.write(tmp_path / "run")
    report.write([folder], folder)
    written = contents(folder)
    (folder / output_folder.MARKER).unlink()
    report.write([folder], folder)
    assert contents(folder) == written
    kinds = {
        Path(name).suffix: name for name in json.loads((folder / output_folder.MARKER).read_text())["files"]["report"]
    }
    assert set(kinds) == {".html", ".md", ".csv", ".parquet", ".svg", ".png"}
    for name in kinds.values():
        (folder / output_folder.MARKER).unlink()
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(b"<svg># mine" + kept)
        with pytest.raises(InTheWay, match=f"{name} was not written by"):
            report.write([folder], folder)
        (folder / name).write_bytes(kept)
        report.write([folder], folder)
