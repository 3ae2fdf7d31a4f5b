"""The launcher: limits, what is left running, signals, and a parent that is killed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from maxbench.bench.processes import launch
from maxbench.bench.processes.launch import Child, Ending

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sessions and signals are POSIX's")

FORKS = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(sys.argv[1], "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
while not os.path.exists(sys.argv[1]) or not os.path.getsize(sys.argv[1]):
    time.sleep(0.01)
"""


def python(code: str, *words: str) -> list[str]:
    return [sys.executable, "-c", code, *words]


def gone(pid: int, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def written(path: Path) -> int:
    end = time.monotonic() + 20
    while time.monotonic() < end and not (path.exists() and path.read_text().strip()):
        time.sleep(0.02)
    return int(path.read_text())


@pytest.mark.parametrize(
    ("code", "cause", "last"),
    [
        ("print('a'); print('b')", "exit status 0", "b"),
        ("import sys; print('a'); sys.exit('bad')", "exit status 1", "bad"),
        ("import os; os._exit(7)", "exit status 7", None),
        ("import os; os.abort()", "killed by SIGABRT", None),
    ],
)
def test_how_a_child_ends_and_what_it_printed_last(code: str, cause: str, last: str | None) -> None:
    ending = Child(python(code)).wait()
    assert ending.cause == cause
    assert ending.ok == (cause == "exit status 0")
    assert (ending.printed or (None,))[-1] == last
    assert str(ending) == (cause if last is None else f"{cause}: {last}")


def test_output_that_is_captured_is_apart_from_errors() -> None:
    ending, output = launch.run(python("import sys; print('out'); print('err', file=sys.stderr)"))
    assert ending == Ending(0, "", ("err",))
    assert output == b"out\n"


def test_standard_input_and_the_folder(tmp_path: Path) -> None:
    child = Child(python("import os, sys; print(os.getcwd(), sys.stdin.read())"), stdin=b"told", cwd=tmp_path)
    assert child.wait().printed == (f"{tmp_path} told",)
    assert Child(python("import sys; print(repr(sys.stdin.read()))")).wait().printed == ("''",)


def test_what_is_printed_goes_into_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    Child(python("print('now')"), log=log).wait()
    assert log.read_text() == "before\nnow\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is full")
def test_a_log_on_a_full_disk_ends_no_child() -> None:
    code = "for _ in range(3): print('x' * 100_000, flush=True)\nprint('done')"
    ending = Child(python(code), log=Path("/dev/full")).wait()
    assert ending.ok
    assert ending.printed[-1] == "done"


def test_a_child_whose_output_nobody_can_read_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no memory for the thread that reads it."""

    def start(thread: object) -> None:
        raise RuntimeError("can't start new thread")

    launch._reaper()
    running = set(launch._running)
    with monkeypatch.context() as patch:
        patch.setattr(launch.threading.Thread, "start", start)
        with pytest.raises(OSError, match="can't start new thread") as caught:
            Child(python("import time; time.sleep(600)"))
    assert caught.value.errno == errno.ENOMEM
    assert launch._running == running


def test_a_child_that_hangs_is_ended_in_time() -> None:
    code = "import signal, time; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64)); time.sleep(600)"
    begin = time.monotonic()
    ending = Child(python(code), seconds=0.5).wait()
    assert time.monotonic() - begin < 5
    assert ending.cause == "not finished after 0.5 s"
    assert not ending.ok


def test_a_child_that_takes_too_much_memory_is_ended() -> None:
    ending = Child(python("x = b'1' * (400 << 20); import time; time.sleep(600)"), memory=200 << 20).wait()
    assert "GiB of memory, limit 0.2 GiB" in ending.cause


def test_a_child_that_prints_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "MOST_PRINTED", 1 << 20)
    ending = Child(python("while True: print('x' * 1000)")).wait()
    assert ending.cause == "printed more than 1 MiB"
    assert all(len(line) <= launch.LINE_CHARACTERS for line in ending.printed)


def test_what_a_child_leaves_running_is_ended_with_it(tmp_path: Path) -> None:
    assert Child(python(FORKS, str(tmp_path / "pid"))).wait().ok
    assert gone(written(tmp_path / "pid"))


def test_orphans_are_ended_while_the_child_runs(tmp_path: Path) -> None:
    child = Child(python(FORKS + "time.sleep(600)", str(tmp_path / "pid")))
    daemon = written(tmp_path / "pid")
    time.sleep(0.2)
    child.end_orphans()
    assert gone(daemon)
    assert child.poll() is None
    assert child.end("enough").why == "enough"


def test_one_cpu() -> None:
    cpu = min(os.sched_getaffinity(0))
    child = Child(python("import os, time; time.sleep(0.2); print(os.sched_getaffinity(0))"), cpu=cpu)
    assert child.wait().printed == (f"{{{cpu}}}",)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e999", "many", ""])
def test_limits_are_positive_numbers(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(launch.LIMIT_SECONDS, text)
    with pytest.raises(ValueError, match=f"MAXBENCH_LIMIT_SECONDS='{text}': accepted are positive numbers"):
        launch.limit_seconds(5.0)


def test_limits_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(launch.LIMIT_SECONDS, raising=False)
    assert launch.limit_seconds(5.0) == 5.0
    monkeypatch.setenv(launch.LIMIT_SECONDS, "2.5")
    monkeypatch.setenv(launch.LIMIT_BYTES, "1e9")
    assert launch.limit_seconds(5.0) == 2.5
    assert launch.limit_bytes() == 10**9
    monkeypatch.delenv(launch.LIMIT_BYTES)
    assert launch.LEAST_BYTES <= launch.limit_bytes() <= psutil.virtual_memory().total


def test_modules_come_from_where_this_process_has_them_and_not_from_the_current_folder(tmp_path: Path) -> None:
    for name in ("maxbench", "impls", "bench"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "random.py").write_text("raise SystemExit('the wrong one')")
    code = "import random; from maxbench import bench, impls; print(impls.__file__)"
    ending = Child(launch.python("-c", code), env=launch.environment(), cwd=tmp_path).wait()
    assert ending.printed[-1] == str(launch.PLACE / "maxbench" / "impls" / "__init__.py")


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        yield Path(folder)


PARENT = """
import sys, tempfile, time
from maxbench.bench.processes import launch
code = "import tempfile; tempfile.mkdtemp(); " + open(sys.argv[1]).read()
def main():
    tempfile.mkstemp()
    child = launch.Child([sys.executable, "-c", code, sys.argv[2]])
    print("ready", flush=True)
    child.wait()
try:
    with launch.handled():
        main()
except launch.Stopped as stopped:
    sys.exit(stopped.status)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_ends_the_children_and_theirs(number: signal.Signals, tmp_path: Path, short: Path) -> None:
    (tmp_path / "code.py").write_text(FORKS + "time.sleep(600)")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "code.py"), str(tmp_path / "pid")], stdout=subprocess.PIPE,
        env=launch.environment({"TMPDIR": str(short)}), text=True,
    )  # fmt: skip
    daemon = written(tmp_path / "pid")
    children = [p.pid for p in psutil.Process(parent.pid).children(recursive=True)]
    assert len(children) >= 2  # the child, and what watches this parent
    (folder,) = short.iterdir()
    assert len(list(folder.iterdir())) == 2  # this parent's, and the child's
    parent.send_signal(number)
    status = parent.wait(5)
    assert status == (-9 if number == signal.SIGKILL else 128 + number)
    assert all(map(gone, [daemon, *children]))
    assert not list(short.iterdir())


def test_temporary_files_go_where_they_did_once_the_command_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    for usual in (tempfile.gettempdir(), None):
        if usual is None:
            monkeypatch.delenv("TMPDIR", raising=False)
        else:
            monkeypatch.setenv("TMPDIR", usual)
        before = tempfile.gettempdir()
        with launch.handled():
            folder = Path(tempfile.gettempdir())
            assert folder.parent == Path(before)
            assert os.environ["TMPDIR"] == str(folder)
        assert tempfile.gettempdir() == before
        assert os.environ.get("TMPDIR") == usual
        assert not folder.exists()


def test_a_temporary_folder_too_deep_for_sockets_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for length, used in ((launch.MOST_FOLDER, True), (launch.MOST_FOLDER + 1, False)):
        place = Path(tempfile.gettempdir())
        place /= "x" * (length - len(str(place)) - 1)
        place.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(place))
        with launch.handled():
            assert (Path(tempfile.gettempdir()).parent == place) is used
        place.rmdir()
        monkeypatch.undo()


def test_nothing_starts_once_the_command_is_stopped() -> None:
    with launch.handled():
        with pytest.raises(launch.Stopped) as stopped:
            launch.handle(signal.SIGTERM)
        assert stopped.value.status == 143
        assert str(stopped.value) == "SIGTERM"
        with pytest.raises(launch.Stopped):
            Child(python("pass"))
    assert Child(python("pass")).wait().ok


def test_a_child_that_starts_as_the_signal_comes_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    launch._reaper()
    popen = subprocess.Popen

    def start(*args: Any, **how: Any) -> Any:
        process = popen(*args, **how)
        launch.stop(signal.SIGTERM)  # in another thread, when this child is not among those that run yet
        return process

    with launch.handled():
        monkeypatch.setattr(launch.subprocess, "Popen", start)
        child = Child(python("import time; time.sleep(60)"))
        begin = time.monotonic()
        with pytest.raises(launch.Stopped):
            child.wait()
    assert time.monotonic() - begin < 5
    assert gone(child.pid)
