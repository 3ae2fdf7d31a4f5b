"""The launcher's parts, with clocks and processes that a test says of: environment, limits, what is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from maxbench.bench.processes import launch
from maxbench.bench.processes.launch import Child, Ending


@pytest.mark.parametrize(
    ("ending", "cause", "text", "ok"),
    [
        (Ending(0), "exit status 0", "exit status 0", True),
        (Ending(0, "late"), "late", "late", False),
        (Ending(2, "", ("a", "b")), "exit status 2", "exit status 2: b", False),
        (Ending(-9), "killed by SIGKILL", "killed by SIGKILL", False),
        (Ending(-1, "", ("a",)), "killed by SIGHUP", "killed by SIGHUP: a", False),
        (Ending(-200), "killed by signal 200", "killed by signal 200", False),
    ],
)
def test_endings_in_words(ending: Ending, cause: str, text: str, ok: bool) -> None:
    assert (ending.cause, str(ending), ending.ok, ending.late) == (cause, text, ok, False)


def test_what_stops_a_command_has_its_status() -> None:
    assert launch.Stopped().status == 130
    assert launch.Stopped(signal.SIGHUP).status == 129
    assert isinstance(launch.Stopped(), KeyboardInterrupt)
    assert [int(number) for number in launch.SIGNALS] == [2, 15, 1]


def test_a_python_has_the_users_flags_and_never_the_current_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    for user, ignore, flags in ((0, 0, []), (1, 0, ["-s"]), (0, 1, ["-E"]), (1, 1, ["-s", "-E"])):
        monkeypatch.setattr(sys, "flags", SimpleNamespace(no_user_site=user, ignore_environment=ignore))
        assert launch.python("a", "b") == [sys.executable, *flags, "-P", "a", "b"]


class Places:
    """The path of this process, and how it was started."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._patch, self.folder = monkeypatch, folder
        monkeypatch.chdir(folder)

    def __call__(self, path: list[str], argv: list[str], safe: bool = False) -> list[str]:
        self._patch.setattr(sys, "path", path)
        self._patch.setattr(sys, "argv", argv)
        self._patch.setattr(sys, "flags", SimpleNamespace(safe_path=safe))
        return launch.environment()["PYTHONPATH"].split(os.pathsep)


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Places:
    (tmp_path / "scripts").mkdir()
    return Places(monkeypatch, tmp_path)


def test_children_import_from_the_same_places_in_the_same_order(places: Places) -> None:
    root, here, scripts = str(launch.PLACE), str(places.folder), str(places.folder / "scripts")
    assert places(["/a", "/b", "/a"], ["/x/y"]) == ["/a", "/b", root]
    assert places([root, "/a"], ["/x/y"]) == [root, "/a"]
    assert places(["/a", "b"], ["/x/y"]) == ["/a", f"{here}/b", root]
    assert places([], ["/x/y"]) == [root]
    # The folder of the script, or the current one, is left out ...
    assert places([scripts, "/b"], [f"{scripts}/run.py"]) == ["/b", root]
    assert places(["", "/b"], [""]) == ["/b", root]
    assert places(["", "/b"], []) == ["/b", root]
    assert places(["", "/b"], ["/x/y"]) == ["/b", root]
    assert places([here, "/b"], ["-c"]) == ["/b", root]
    # ... where it stands first, was not given on purpose, and has no `maxbench`.
    assert places(["/b", scripts], [f"{scripts}/run.py"]) == ["/b", scripts, root]
    assert places([scripts, "/b"], [f"{scripts}/run.py"], safe=True) == [scripts, "/b", root]
    (places.folder / "scripts" / "maxbench").mkdir()
    assert places([scripts, "/b"], [f"{scripts}/run.py"]) == [scripts, "/b", root]


def test_the_environment_is_that_of_this_process_and_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "1")
    found = launch.environment({"KEPT": "2", "MORE": "3"})
    assert (found["KEPT"], found["MORE"]) == ("2", "3")
    assert launch.environment()["KEPT"] == "1"
    assert set(launch.environment({"MORE": "3"}, {"ONLY": "4"})) == {"MORE", "ONLY", "PYTHONPATH"}
    assert set(launch.environment(whole={})) == {"PYTHONPATH"}


def test_the_memory_limit_is_a_share_of_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(launch.LIMIT_BYTES, raising=False)
    for available, limit in ((8 << 30, 6 << 30), (1 << 30, 1 << 30), (2 << 30, 3 << 29)):
        monkeypatch.setattr(psutil, "virtual_memory", lambda size=available: SimpleNamespace(available=size))
        assert launch.limit_bytes() == limit


class Fake:
    """A child without a process, whose clock a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **limits: Any) -> None:
        self.now = 100.0
        self.ended: list[int] = []
        self.status: int | None = None
        self.held: list[int] = []
        monkeypatch.setattr(launch.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(launch, "_kill_group", lambda process: self.kill())
        monkeypatch.setattr(launch, "_marked", lambda mark, since: [])
        monkeypatch.setattr(launch, "_resident", lambda pid: self.held.pop(0))
        self.child = Child.__new__(Child)
        process = SimpleNamespace(pid=1, poll=lambda: self.status, wait=lambda: self.status)
        self.child.__dict__.update(
            _process=process, _mark="m", _started=0.0, _begun=100.0, _looked=100.0, _why="", _late=False, _printed=0,
            _tail=bytearray(), _readers=[], _log=None, _seconds=None, _memory=None,
        )  # fmt: skip
        self.child.__dict__.update({f"_{name}": value for name, value in limits.items()})

    def kill(self) -> None:
        self.ended.append(1)
        self.status = -9


def test_a_time_limit_at_its_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(monkeypatch, seconds=2.5)
    for fake.now in (101.0, 102.5):
        assert fake.child.poll() is None
    fake.now = 102.51
    assert fake.child.poll() == Ending(-9, "not finished after 2.5 s", (), True)
    assert fake.ended == [1]


def test_what_ended_by_itself_is_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(monkeypatch, seconds=2.5)
    fake.now, fake.status = 110.0, 0
    fake.child._enforce()
    assert fake.child.poll() == Ending(0)
    assert fake.ended == []


def test_without_limits_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(monkeypatch)
    fake.now = 1e9
    assert fake.child.poll() is None


def test_an_output_limit_at_its_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(monkeypatch, printed=launch.MOST_PRINTED)
    assert fake.child.poll() is None
    fake.child._printed += 1
    assert fake.child.poll() == Ending(-9, "printed more than 64 MiB")


def test_a_memory_limit_at_its_edge_looked_at_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(monkeypatch, memory=1 << 30)
    fake.held = [1 << 30, 3 << 29]
    fake.now = 100.29
    assert fake.child.poll() is None
    assert len(fake.held) == 2
    fake.now = 100.31
    assert fake.child.poll() is None
    assert len(fake.held) == 1
    fake.now = 100.5
    assert fake.child.poll() is None
    assert len(fake.held) == 1
    fake.now = 100.62
    assert fake.child.poll() == Ending(-9, "held 1.5 GiB of memory, limit 1.0 GiB")


def test_the_first_reason_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(monkeypatch, why="first")
    assert fake.child.end("second").why == "first"
    assert fake.child.end("third").why == "first"
    assert fake.ended == [1]


def test_the_last_lines_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "\n \n".join(f"{'x' * 600}{number} " for number in range(30))
    fake = Fake(monkeypatch, tail=bytearray(lines.encode() + b"\xff\n"))
    printed = fake.child._ended(0).printed
    assert len(printed) == launch.LAST_LINES
    assert printed[0] == ("x" * 600 + "10")[-launch.LINE_CHARACTERS :]
    assert printed[-1].endswith("29 \N{REPLACEMENT CHARACTER}")


class Known:
    """A process as psutil has it."""

    def __init__(self, pid: int, parent: int, log: list[int], environment: Any = (), began: float = 0.0) -> None:
        self.pid, self._parent, self._log = pid, parent, log
        self._environment, self._began = environment, began

    def ppid(self) -> int:
        return self._parent

    def kill(self) -> None:
        self._log.append(self.pid)

    def create_time(self) -> float:
        return self._began

    def environ(self) -> Any:
        if self._environment is None:
            raise psutil.AccessDenied
        return self._environment


def test_orphans_are_those_whose_parent_is_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(monkeypatch)
    killed: list[int] = []
    # The child itself is 1; 2 is its child and 3 that one's; 4 has lost its parent, 5 is a child of that.
    parents = {1: 0, 2: 1, 3: 2, 4: 0, 5: 4}
    known = [Known(pid, parent, killed) for pid, parent in parents.items()]
    monkeypatch.setattr(launch, "_marked", lambda mark, since: known)
    fake.child.end_orphans()
    assert killed == [4]
    fake.child._ended(0)
    assert killed == [4, 1, 2, 3, 4, 5]


def test_processes_are_found_by_their_mark_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[int] = []
    known = [
        Known(1, 0, log, {"m": "1"}, 50.0), Known(2, 0, log, {"m": "1"}, 48.9), Known(3, 0, log, {"n": "1"}, 50.0),
        Known(4, 0, log, None, 50.0), Known(5, 0, log, {"m": "1"}, 49.0), Known(6, 0, log, {"m": "1"}, 99.0),
    ]  # fmt: skip
    monkeypatch.setattr(psutil, "process_iter", lambda: known)
    assert [process.pid for process in launch._marked("m", 50.0)] == [1, 5, 6]


def test_the_largest_of_a_childs_processes_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    class Held:
        def __init__(self, pid: int, rss: Any = 5) -> None:
            self._rss = rss

        def children(self, recursive: bool = False) -> list[Held]:
            return [Held(2, 9), Held(3, None), Held(4, 7)] if recursive else []

        def memory_info(self) -> Any:
            if self._rss is None:
                raise psutil.NoSuchProcess(3)
            return SimpleNamespace(rss=self._rss)

    monkeypatch.setattr(psutil, "Process", Held)
    assert launch._resident(1) == 9
    monkeypatch.setattr(Held, "children", lambda self, recursive: [])
    assert launch._resident(1) == 5

    def ended(pid: int) -> None:
        raise psutil.NoSuchProcess(pid)

    monkeypatch.setattr(psutil, "Process", ended)
    assert launch._resident(1) == 0


class Pipe:
    """What a child prints, in pieces."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = [*chunks, b""]

    def fileno(self) -> Any:
        return self

    def __enter__(self) -> Pipe:
        return self

    def __exit__(self, *error: object) -> None:
        pass


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_printed_is_kept_up_to_limits(kept: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(launch.os, "read", lambda pipe, size: pipe.chunks.pop(0))
    monkeypatch.setattr(launch, "MOST_PRINTED", 10)
    monkeypatch.setattr(launch, "KEPT", 6)
    said: list[str] = []
    with open(tmp_path / "log", "wb") as log:
        fake = Fake(monkeypatch, output=bytearray(), said=said.append, line=b"", log=log)
        fake.child._drain(Pipe(b"one \ntw", b"o\n", b"x", b"beyond\n"), kept)
    assert fake.child._printed == 17
    found = fake.child.output, bytes(fake.child._tail)
    assert found == ((b"one \ntwo\nx", b"") if kept else (b"", b"eyond\n"))
    assert said == ["one", "two", "xbeyond"]
    assert (tmp_path / "log").read_bytes() == b"one \ntwo\nx"


def test_signals_are_handled_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    monkeypatch.setattr(launch, "close", lambda: closed.append(1))
    closed: list[int] = []
    term = signal.getsignal(signal.SIGTERM)
    try:
        with launch.handled():
            assert signal.getsignal(signal.SIGTERM) is launch.handle
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # nohup
            assert launch._stopping is None
            launch.stop(15)
            assert launch._stopping == 15
            assert closed == []
        assert closed == [1]
        assert launch._stopping is None
        assert signal.getsignal(signal.SIGTERM) is term
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_reaper_is_told_of_every_group(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(launch, "_tell", lambda process, text: told.append(text))
    child = Child([sys.executable, "-S", "-c", "import os; print(os.getsid(0) == os.getpid())"])
    ending = child.wait()
    assert ending.ok
    assert os.name != "posix" or ending.printed == ("True",)
    assert told == [f"{child.pid}\n"]
    assert child not in launch._running


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX's")
def test_groups_are_ended_and_then_whatever_bears_the_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[Any] = []
    monkeypatch.setattr(os, "killpg", lambda group, number: ended.append((group, number)))
    running = SimpleNamespace(_process=SimpleNamespace(pid=7), end=lambda why: ended.append(why))
    monkeypatch.setattr(launch, "_running", [running])
    launch.end_all()
    assert ended == [(7, signal.SIGKILL)]
    del ended[:]
    own, reaper = os.getpid(), launch._reaper().pid
    asked: list[Any] = []

    def marked(mark: str, since: float) -> list[Known]:
        asked.append((mark, since))
        return [Known(pid, 0, ended) for pid in (1, own, reaper, max(own, reaper) + 1)]

    monkeypatch.setattr(launch, "_marked", marked)
    launch.close()
    assert ended == ["the command ended", 1, max(own, reaper) + 1]
    assert asked == [(launch._SESSION, 0.0)]


REAPER = [sys.executable, "-I", "-S", "-c", launch._REAPER, "NO_SUCH_MARK"]


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX's")
@pytest.mark.parametrize("done", [True, False])
def test_the_reaper_ends_groups_unless_it_is_dismissed(done: bool) -> None:
    waits = [sys.executable, "-S", "-c", "input()"]
    with (
        subprocess.Popen(waits, stdin=subprocess.PIPE, start_new_session=True) as one,
        subprocess.Popen(REAPER, stdin=subprocess.PIPE, start_new_session=True) as reaper,
    ):
        launch._tell(reaper, f"{one.pid}\n")
        if done:
            launch._tell(reaper, "done\n")
            assert reaper.wait(5) == 0
            assert one.poll() is None
            one.kill()
        else:
            assert reaper.stdin is not None
            reaper.stdin.close()
            reaper.stdin = None
        assert one.wait(5) == -9


def test_a_reaper_that_somebody_killed_is_none() -> None:
    class Broken:
        def write(self, text: bytes) -> None:
            raise BrokenPipeError

    launch._tell(SimpleNamespace(stdin=Broken()), "1\n")  # type: ignore[arg-type]
    launch._tell(SimpleNamespace(stdin=None), "1\n")  # type: ignore[arg-type]
