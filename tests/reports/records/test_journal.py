"""The journal: lines are appended whole or not at all, and a failure counts until its round was measured after all."""

from __future__ import annotations

import errno
import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from maxbench.reports.records import journal
from maxbench.reports.records.journal import Line
from maxbench.reports.records.reading import Problems

CELL = {"benchmark": "argmax.Sweep", "params": ["'a'", "2"]}
STATUSES = ("ok", "failed", "skipped", "wrong", "interrupted")


def loaded(folder: Path, *lines: dict[str, Any]) -> list[Line]:
    """The lines of one cell, as they are read."""
    (folder / journal.FILE).write_text("".join(json.dumps(CELL | line) + "\n" for line in lines))
    problems = Problems(folder)
    found = journal.load(folder, problems)
    assert (list(found), problems.found) == ([("argmax.Sweep", ("'a'", "2"))], [])
    return found["argmax.Sweep", ("'a'", "2")]


def test_a_line_is_written_without_what_is_not_known_and_read_as_it_was(tmp_path: Path) -> None:
    line = Line(
        **CELL, status="ok", detail="\N{DAGGER}", pid=0, at=1.5, shape=[1, 2, 3], dtype="float32", repeat=2, number=1,
        copies=0, beyond_cache=False, processes={"load": [0.0]}, round=0, samples=[0.5], values={"x": 0.0},
    )  # fmt: skip
    for one in (line, Line(**CELL, status="skipped")):
        path = tmp_path / one.status / journal.FILE
        path.parent.mkdir()
        journal.append(path, one)
        assert journal.load(path.parent, Problems(path.parent)) == {one.key: [one]}
    assert json.loads(path.read_text()) == CELL | {"status": "skipped", "detail": ""}


def test_a_line_is_on_disk_when_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / journal.FILE
    synced = []
    monkeypatch.setattr(journal.os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size))
    for _ in range(2):
        journal.append(path, Line(**CELL, status="ok"))
        assert synced[-1] == path.stat().st_size
    assert len(synced) == 2


def test_a_line_that_does_not_fit_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / journal.FILE
    journal.append(path, Line(**CELL, status="ok"))
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        with pytest.raises(OSError, match="No space left") as caught:
            journal.append(path, Line(**CELL, status="ok"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_bytes() == before

    def fail(handle: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(journal.os, "fsync", fail)
    with pytest.raises(OSError, match="broken"):
        journal.append(path, Line(**CELL, status="ok"))
    assert path.read_bytes() == before


def test_a_journal_that_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / journal.FILE).mkdir()
    problems = Problems(tmp_path)
    assert journal.load(tmp_path, problems) == {}
    assert problems.lines() == [f"set aside {tmp_path / journal.FILE}: is not a regular file"]


def test_a_bad_byte_costs_no_line(tmp_path: Path) -> None:
    line = json.dumps(CELL | {"status": "ok", "detail": "?"}).encode().replace(b"?", b"\xff")
    (tmp_path / journal.FILE).write_bytes(line + b"\n\n \n" + line)
    (lines,) = journal.load(tmp_path, problems := Problems(tmp_path)).values()
    assert ([one.detail for one in lines], problems.found) == (["\ufffd"] * 2, [])


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("round", [None, 0])
def test_only_failures_of_older_versions_are_wrong_results(tmp_path: Path, status: Any, round: int | None) -> None:
    detail = "RuntimeError: wrong result: at (0, 1)"
    (line,) = loaded(tmp_path, {"status": status, "detail": detail, "round": round})
    older = status == "failed" and round is None
    assert (line.status, line.detail) == (("wrong", "at (0, 1)") if older else (status, detail))


@given(some.lists(some.tuples(some.sampled_from(STATUSES), some.none() | some.integers(0, 2)), max_size=6))
def test_a_failure_counts_unless_its_round_was_measured_later(lines: list[tuple[Any, int | None]]) -> None:
    given = [Line(**CELL, status=status, round=round) for status, round in lines]
    kept = [
        line
        for index, line in enumerate(given)
        if line.status in ("ok", "skipped", "wrong") or line.round is None or ("ok", line.round) not in lines[index:]
    ]
    assert journal._current(given) == kept


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("[" * 100_000, "left out: is nested too deeply"),
        ("3", "left out: holds 3, not an object"),
        ("{'a': 1}", "left out: truncated or not JSON"),
        ('{"benchmark": "a"}', "has no params, status"),
    ],
)
def test_what_is_no_line_is_left_out_alone(tmp_path: Path, words: str, reason: str) -> None:
    good = json.dumps(CELL | {"status": "ok"})
    (tmp_path / journal.FILE).write_text(f"{good}\n{words}\n{good}\n")
    (lines,) = journal.load(tmp_path, problems := Problems(tmp_path)).values()
    assert len(lines) == 2
    assert [(problem.field, problem.reason[: len(reason)]) for problem in problems.found] == [("line 2", reason)]
