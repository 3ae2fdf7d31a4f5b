"""The lock of a run folder: one process has it, and it dies with it, whatever the process leaves running."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from maxbench.reports.commands import main
from maxbench.reports.measure import run_folder
from maxbench.reports.system import lock
from maxbench.reports.system.usage import UsageError

HOLD = r"""
import subprocess, sys, os
from pathlib import Path
from maxbench.reports.system import lock
lock.take(Path(sys.argv[1]))
if os.fork() == 0:  # as a pool of processes that outlives the one that is killed
    os.write(1, f"{os.getpid()}\n".encode())
    sys.stdin.read()
    os._exit(0)
child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, close_fds=False)
os.write(1, f"{child.pid}\n".encode())
sys.stdin.read()
"""


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a folder's lock, with a forked copy and a child."""
    words = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        children = [int(process.stdout.readline()) for _ in range(2)]
        try:
            yield process
        finally:
            process.kill()
            for child in children:
                os.kill(child, signal.SIGKILL)


@pytest.mark.skipif(os.name != "posix", reason="forks")
def test_a_second_process_is_told_who_has_it_until_the_first_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with holder(tmp_path) as process:
        (tmp_path / "run.json").write_text("{}")
        assert main.main(["run", "--resume", str(tmp_path)]) == 2
        assert f"{tmp_path} is in use by process {process.pid} on " in capsys.readouterr().err
        (tmp_path / "run.json").unlink()
        assert main.main(["run", "--output", str(tmp_path)]) == 2
        assert f"is in use by process {process.pid} on " in capsys.readouterr().err
        process.kill()
        process.wait()
        lock.take(tmp_path)  # its children run
        lock.take(tmp_path)
        assert json.loads((tmp_path / lock.NAME).read_text())["pid"] == os.getpid()
    lock.drop(tmp_path)
    lock.drop(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_ends_leaves_no_file_of_its_lock(tmp_path: Path) -> None:
    program = f"from maxbench.reports.system import lock; from pathlib import Path; lock.take(Path({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_dropped_as_it_was_taken_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who opens the file before its holder removes it would hold a lock on a file that no other process opens."""
    taken, real = [], lock._lock

    def late(handle: int, folder: Path) -> None:
        if not taken:
            (tmp_path / lock.NAME).unlink()
        taken.append(handle)
        real(handle, folder)

    monkeypatch.setattr(lock, "_lock", late)
    lock.take(tmp_path)
    assert len(taken) == 2
    assert (tmp_path / lock.NAME).exists()
    lock.drop(tmp_path)


def test_a_file_system_without_locks_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def without(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", without)
    lock.take(tmp_path)
    assert f"{tmp_path} cannot be locked (No locks available): start no second run in it" in capsys.readouterr().err
    lock.drop(tmp_path)


def _new(barrier: object, queue: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    queue.put(str(run_folder.new(None)))  # type: ignore[attr-defined]


def test_runs_that_start_in_the_same_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    context = multiprocessing.get_context("fork" if os.name == "posix" else "spawn")
    barrier, queue = context.Barrier(3), context.Queue()
    processes = [context.Process(target=_new, args=(barrier, queue)) for _ in range(3)]
    for process in processes:
        process.start()
    made = {queue.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert len(made) == 3


def test_an_output_folder_that_is_filled_before_it_is_locked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taking = lock.take

    def late(folder: Path) -> None:
        (folder / "run.json").write_text("{}")  # of a run that began and ended in between
        taking(folder)

    monkeypatch.setattr(lock, "take", late)
    with pytest.raises(UsageError, match="is not an empty folder; go on with it by --resume"):
        run_folder.new(tmp_path)
    lock.drop(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="makes links and a FIFO")
@pytest.mark.parametrize("name", ["journal.jsonl", "run.json", "asv", "figures/x.svg", "fifo"])
def test_a_run_is_not_gone_on_with_outside_of_its_folder(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, outside = tmp_path / "run", tmp_path / "outside"
    (folder / "figures").mkdir(parents=True)
    outside.write_text("mine")
    (folder / "run.json").write_text("{}")
    (folder / name).unlink(missing_ok=True)
    if name == "fifo":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to(outside)
    assert main.main(["run", "--resume", str(folder)]) == 2
    said = capsys.readouterr().err
    assert f"{folder / name} " in said
    assert "leads out of the folder" in said or "neither a file nor a folder" in said
    assert outside.read_text() == "mine"
    assert not (folder / lock.NAME).exists()
