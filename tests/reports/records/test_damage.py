"""Damaged and hostile folders and array files: read as far as they are right, and named where they are not.

`python -m tests.reports.records` writes whole reports of 400 folders.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from maxbench.bench.inputs.array_files import read_array
from maxbench.reports.analysis import table
from maxbench.reports.records import runs
from maxbench.reports.show import report
from tests.needs import ALL
from tests.reports.records.__main__ import faults, wrong_numbers
from tests.reports.records.damage import arrays, folders, healthy


def test_the_healthy_folder_has_every_number(tmp_path: Path) -> None:
    run = runs.read(healthy(tmp_path / "run"))
    frame = table.frame([run])
    assert run.warnings == []
    assert list(frame["status"]) == ["ok"] * 6
    assert wrong_numbers(frame) == []
    assert faults(tmp_path / "run", tmp_path / "report", whole=False) == []


def test_the_checks_see_what_they_look_for(tmp_path: Path) -> None:
    frame = table.frame([runs.read(healthy(tmp_path / "run"))])
    frame.loc[0, "value"] *= 1.05
    frame.loc[1, "low"] = frame.loc[1, "value"] * 2
    assert len(wrong_numbers(frame)) == 3


def test_damaged_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not ALL:  # drawing takes most of the time
        monkeypatch.setattr(report, "draw", lambda sections: None)
    count = 400 if ALL else 40
    found = {done: faults(folder, tmp_path / "report", whole=False) for done, folder in folders(tmp_path, count)}
    assert len(found) == count
    assert {done: some for done, some in found.items() if some} == {}


def test_array_files(tmp_path: Path) -> None:
    files = arrays(tmp_path / "arrays")
    assert len(files) >= 25
    said = {}
    for name, path in files.items():
        key = "a" if name in ("long.npz", "encrypted.npz") else None
        with pytest.raises(ValueError, match=name.replace(".", r"\.")) as caught:
            read_array(path, key)
        said[name] = str(caught.value).removeprefix(f"{path}: ")
    assert said["huge.npy"] == "holds 0 bytes where its header announces 8,000,000,000,000"
    assert said["announces.npz"] == "holds 0 bytes where its header announces 8,000,000,000,000"
    assert said["long.npy"] == "holds 8,004 bytes where its header announces 8,000"
    assert said["large-header.npy"] == "has a header of more than 10,000 bytes"
    assert said["overflow.npy"] == "holds 8 bytes where its header announces 147,573,952,589,676,412,928"
    assert said["negative.npy"] == "has a header with an impossible shape"
    assert said["third.npy"] == "has format version 3.0, accepted are 1.0 and 2.0"
    assert said["objects.npy"].startswith("holds Python objects, which are never unpickled")
    assert said["no-array.npz"] == "holds no array"
    assert said["names.npz"] == r"holds 2 arrays, name one with --key: a\x1b[2J\u202e, b"
    assert said["fifo.npy"] == said["folder.npy"] == "is not a regular file"
    assert said["encrypted.npz"] == "is encrypted"
    assert said["bool-shape.npy"] == "has a header with an impossible shape"
    assert said["calls.npy"] == "has no header of an array (malformed node or string)"
    for words in said.values():
        assert words.isprintable(), words
        assert not words.endswith(("Error", "Exception")), words
