"""Starts child processes: the one launcher, whatever they run.

A child gets an environment, a time limit, a memory limit and a session of its own. However it ends, everything that it
started is ended with it, and its last lines are kept. If this process ends without ending its children, by SIGKILL for
example, a reaper that waits for that ends them within a second.

Descendants are found by a variable in the environment that they started with, which also finds those that have left
their session. A program that clears the environment of what it starts escapes; see docs/isolation.md.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import functools
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

import psutil

import maxbench

PLACE = Path(next(iter(maxbench.__path__))).absolute().parent  # where `maxbench` is imported from

# Seconds that a process which runs foreign code may take, and bytes of memory, in place of the limits below.
LIMIT_SECONDS, LIMIT_BYTES = "MAXBENCH_LIMIT_SECONDS", "MAXBENCH_LIMIT_BYTES"
MEMORY_SHARE = 0.75  # of the memory that is available when a child starts
LEAST_BYTES = 1 << 30
MEMORY_SECONDS = 0.3  # between two looks at what a child holds

MOST_PRINTED = 64 << 20  # bytes; who prints more is ended
KEPT = 1 << 16  # bytes of the end of what was printed
LAST_LINES, LINE_CHARACTERS = 20, 500

# Sockets are temporary files, with paths of at most 103 characters; of those the part below this folder takes 50.
MOST_FOLDER, SHORT_FOLDER = 50, "/tmp"  # noqa: S108

_SESSION = f"MAXBENCH_SESSION_{uuid.uuid4().hex}"
_POLL_SECONDS = 0.05
_POSIX = os.name == "posix"


class Stopped(KeyboardInterrupt):
    """A signal ended the command.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def status(self) -> int:
        """The exit status: 128 and the number of the signal."""
        return 128 + int(self.number)


@dataclass(frozen=True)
class Ending:
    """How a child ended.

    Attributes:
        status: its exit status; negative: the signal that ended it.
        why: what the launcher ended it for; empty where it ended by itself.
        late: whether that was its time limit.
        printed: the last lines of what it printed on both streams.
    """

    status: int
    why: str = ""
    printed: tuple[str, ...] = ()
    late: bool = False

    @property
    def ok(self) -> bool:
        """Whether it ended by itself, with status 0."""
        return self.status == 0 and not self.why

    @property
    def cause(self) -> str:
        """What happened, in a few words without what was printed."""
        if self.why:
            return self.why
        if self.status >= 0:
            return f"exit status {self.status}"
        try:
            return f"killed by {signal.Signals(-self.status).name}"
        except ValueError:
            return f"killed by signal {-self.status}"

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.cause, self.printed[-1] if self.printed else "")))


class Child:
    """A running process.

    Args:
        command: its words.
        env: its whole environment; None for this process's.
        cwd: its folder; None for this process's.
        seconds: its time limit; None for none.
        memory: bytes that a process of it may hold; None for none.
        cpu: the one CPU to run on; None for all of this process's.
        stdin: what it reads; None for nothing.
        log: a file that what it prints is appended to as well.
        said: called, in another thread, with each line that it prints.
        captured: keep all of its standard output (at most MOST_PRINTED bytes) apart: see `output`.

    Raises:
        Stopped: the command is being stopped.
        OSError: it cannot be started.
    """

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None,
        seconds: float | None = None, memory: int | None = None, cpu: int | None = None, stdin: bytes | None = None,
        log: Path | None = None, captured: bool = False,
        said: Callable[[str], Any] | None = None,
    ) -> None:  # fmt: skip
        _reaper()
        self._mark = f"MAXBENCH_CHILD_{uuid.uuid4().hex}"
        self._seconds, self._memory = seconds, memory
        self._started, self._begun = time.time(), time.monotonic()
        self._looked, self._said, self._line = self._begun, said, b""
        self._why, self._late = "", False
        self._output = bytearray()
        self._tail = bytearray()
        self._printed = 0
        self._log: BinaryIO | None = open(log, "ab", buffering=0) if log is not None else None  # noqa: SIM115
        with _lock:
            check_stopped()
            self._process = subprocess.Popen(
                command,
                env={**(os.environ if env is None else env), _SESSION: "1", self._mark: "1"},
                cwd=cwd,
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if captured else subprocess.STDOUT,
                start_new_session=_POSIX,
            )
            _running.add(self)
        if cpu is not None:
            with contextlib.suppress(psutil.Error, AttributeError):  # it has ended; or not on this system
                psutil.Process(self._process.pid).cpu_affinity([cpu])
        _reap(self._process.pid)
        pipes = [(self._process.stdout, captured), (self._process.stderr, False)]
        self._readers = [
            threading.Thread(target=self._drain, args=(pipe, kept), daemon=True) for pipe, kept in pipes if pipe
        ]
        try:
            for reader in self._readers:
                reader.start()
        except RuntimeError as error:
            self.end("what it prints cannot be read")
            raise OSError(errno.ENOMEM, str(error)) from None
        if stdin is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(stdin)
                self._process.stdin.close()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def output(self) -> bytes:
        """Its standard output, where that is `captured`."""
        return bytes(self._output)

    def poll(self) -> Ending | None:
        """How it ended, or None while it runs; enforces the limits."""
        status = self._process.poll()
        if status is None:
            self._enforce()
            status = self._process.poll()
        return None if status is None else self._ended(status)

    def wait(self, tick: Callable[[], Any] = lambda: None) -> Ending:
        """Wait for its end.

        Args:
            tick: called several times a second; what it raises ends the child, and is raised.

        Raises:
            Stopped: the command is being stopped.
        """
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_POLL_SECONDS)
                if (ending := self.poll()) is not None:
                    check_stopped()
                    return ending
                check_stopped()  # it may have been started as the signal came
                tick()
        except BaseException:
            self.end("the command was stopped")
            raise

    def end(self, why: str) -> Ending:
        """End it now, with everything that it started; why is said of it unless it had ended by itself."""
        if self._process.poll() is None:
            self._why = self._why or why
            _kill_group(self._process)
        return self._ended(self._process.wait())

    def descendants(self) -> list[psutil.Process]:
        """The processes that it has started, and they have, as far as they run."""
        return _marked(self._mark, self._started)

    def end_orphans(self) -> None:
        """End what it has started whose own parent has ended."""
        found = self.descendants()
        parents = {process.pid for process in found}
        for process in found:
            with contextlib.suppress(psutil.Error):
                if process.pid != self.pid and process.ppid() not in parents:
                    process.kill()

    def _enforce(self) -> None:
        if self._seconds is not None and time.monotonic() - self._begun > self._seconds:
            self._late = self._process.poll() is None
            self.end(f"not finished after {self._seconds:g} s")
        elif self._printed > MOST_PRINTED:
            self.end(f"printed more than {MOST_PRINTED >> 20} MiB")
        elif self._memory is not None and (held := self._held()) > self._memory:
            self.end(f"held {held / 2**30:.1f} GiB of memory, limit {self._memory / 2**30:.1f} GiB")

    def _held(self) -> int:
        """Bytes that the largest of its processes holds, looked up now and then: it takes a millisecond or more."""
        if self._memory is None or (now := time.monotonic()) < self._looked + MEMORY_SECONDS:
            return 0
        self._looked = now
        return _resident(self._process.pid)

    def _ended(self, status: int) -> Ending:
        with _lock:
            _running.discard(self)
        for process in self.descendants():
            with contextlib.suppress(psutil.Error):
                process.kill()
        for reader in self._readers:
            if reader.is_alive():
                reader.join(2.0)  # a descendant that escaped may hold the pipe open
        if self._log is not None:
            self._log.close()
            self._log = None
        text = bytes(self._tail).decode("utf-8", "replace")
        lines = [line.strip()[-LINE_CHARACTERS:] for line in text.splitlines() if line.strip()]
        return Ending(status, self._why, tuple(lines[-LAST_LINES:]), self._late)

    def _drain(self, pipe: Any, kept: bool) -> None:
        # After the limit it is still read, so that who prints does not wait until the limit of time.
        with pipe, contextlib.suppress(OSError, ValueError):
            while chunk := os.read(pipe.fileno(), KEPT):
                self._printed += len(chunk)
                if kept and len(self._output) < MOST_PRINTED:
                    self._output += chunk
                if not kept:
                    self._tail += chunk
                    del self._tail[:-KEPT]
                if self._said is not None:
                    *lines, self._line = (self._line + chunk).split(b"\n")
                    for line in lines:
                        self._said(line.decode("utf-8", "replace").rstrip())
                if self._log is not None and self._printed <= MOST_PRINTED:
                    with contextlib.suppress(OSError):  # a full disk is no reason to let go of the pipe
                        self._log.write(chunk)


def run(command: Sequence[str], **how: Any) -> tuple[Ending, bytes]:
    """Run a command to its end: how it ended, and what it wrote on standard output; `how` as of `Child`."""
    child = Child(command, captured=True, **how)
    ending = child.wait()
    return ending, child.output


def python(*words: str) -> list[str]:
    """The words that start this Python on a program, without the current folder among the places of modules."""
    flags = [flag for flag, given in (("-s", sys.flags.no_user_site), ("-E", sys.flags.ignore_environment)) if given]
    return [sys.executable, *flags, "-P", *words]


def environment(variables: Mapping[str, str] | None = None, whole: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child that imports what this process imports: from the same places, in the same order.

    Args:
        variables: beside those of this process, or of `whole` in their place.

    The folder of the script that was started, or the current one, is a place only where `maxbench` is in it.
    """
    places = list(sys.path)
    if not sys.flags.safe_path and places and not Path(places[0], "maxbench").is_dir():
        script = Path(sys.argv[0]).resolve().parent if sys.argv and sys.argv[0] else Path.cwd()
        if Path(places[0]).resolve() in (script, Path.cwd()):
            del places[0]
    paths = [*(str(Path(place).absolute()) for place in places), str(PLACE)]
    base = os.environ if whole is None else whole
    return {**base, **(variables or {}), "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def limit_seconds(default: float) -> float:
    """The time limit of a process that runs foreign code.

    Raises:
        ValueError: the variable MAXBENCH_LIMIT_SECONDS holds no positive number.
    """
    return _limit(LIMIT_SECONDS, default)


def limit_bytes() -> int:
    """The memory limit of a process that runs foreign code.

    Raises:
        ValueError: the variable MAXBENCH_LIMIT_BYTES holds no positive number.
    """
    return int(_limit(LIMIT_BYTES, max(LEAST_BYTES, MEMORY_SHARE * psutil.virtual_memory().available)))


def _limit(name: str, default: float) -> float:
    text = os.environ.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name}={text!r}: accepted are positive numbers")
    return value


_lock = threading.RLock()
_running: set[Child] = set()
_stopping: int | None = None
_temporary = ""  # the folder of this command's temporary files

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def handle(number: int, frame: FrameType | None = None) -> None:
    """The handler of a signal that ends the command: ends the children and raises `Stopped`."""
    stop(number)
    raise Stopped(number)


def stop(number: int) -> None:
    """End every child, and start no more: other threads that wait for one, or start one, get `Stopped`."""
    global _stopping
    _stopping = number
    end_all()


def check_stopped() -> None:
    """Raise `Stopped` if the command is being stopped."""
    if _stopping is not None:
        raise Stopped(_stopping)


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP end the command, and whatever it has started ends with it. In the main thread.

    Its temporary files, and those of its children, which may be killed, are in a folder that is removed at the end.

    Raises:
        OSError: there is nowhere to put temporary files.
    """
    global _stopping, _temporary
    usual = os.environ.get("TMPDIR")
    before = {number: signal.signal(number, handle) for number in SIGNALS
              if signal.getsignal(number) is not signal.SIG_IGN}  # fmt: skip
    _stopping = None
    try:
        place = tempfile.gettempdir()
        place = SHORT_FOLDER if _POSIX and len(place) > MOST_FOLDER else place
        os.environ["TMPDIR"] = tempfile.tempdir = _temporary = tempfile.mkdtemp(prefix="maxbench-", dir=place)
        _tell(_reaper(), f"{_temporary}\n")
        yield
    finally:
        close()
        shutil.rmtree(_temporary, ignore_errors=True)
        tempfile.tempdir, _temporary = None, ""
        if usual is None:
            os.environ.pop("TMPDIR", None)
        else:
            os.environ["TMPDIR"] = usual
        for number, handler in before.items():
            signal.signal(number, handler)
        _stopping = None


def end_all() -> None:
    """End every child that runs; those who wait for one are told how it ended."""
    for child in list(_running):
        _kill_group(child._process)


def close() -> None:
    """End every process that this one has started through the launcher, children of children included."""
    for child in list(_running):
        child.end("the command ended")
    for process in _marked(_SESSION, 0.0) if _POSIX and _reaper.cache_info().currsize else ():
        if process.pid != os.getpid() and process.pid != _reaper().pid:
            with contextlib.suppress(psutil.Error):
                process.kill()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if _POSIX:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _marked(mark: str, since: float) -> list[psutil.Process]:
    """The processes that began with a variable in their environment, at or after a time."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            # Times of starts are rounded to ticks of the system's clock.
            if process.create_time() >= since - 1 and mark in process.environ():
                found.append(process)
    return found


def _resident(pid: int) -> int:
    """Bytes that a process or one of its children holds, whichever holds most."""
    most = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                most = max(most, one.memory_info().rss)
    return most


# Reads numbers of process groups and absolute paths of folders, one a line; when its input ends its parent has ended,
# and it ends those, and whatever began with the mark in its environment, and removes these. It has no modules but the
# standard library's, so it starts in 10 ms.
_REAPER = """
import os, signal, sys, time
mark, groups, folders = sys.argv[1].encode() + b"=", [], set()
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
for line in sys.stdin:
    if line.strip() == "done":
        sys.exit()
    if os.path.isabs(line):
        folders.add(line.rstrip("\\n"))
    elif line.strip():
        groups.append(int(line))
for _ in range(3):
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:
            pass
    groups = []
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if mark in file.read():
                        os.kill(int(name), signal.SIGKILL)
            except OSError:
                pass
    time.sleep(0.1)
if folders:
    import shutil
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
"""


@functools.cache
def _reaper() -> subprocess.Popen[bytes]:
    """The process that ends the children if this one cannot."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _REAPER, _SESSION],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=_POSIX,
    )
    atexit.register(_dismiss, process)
    return process


def _reap(group: int) -> None:
    _tell(_reaper(), f"{group}\n")


def _dismiss(process: subprocess.Popen[bytes]) -> None:
    close()
    _tell(process, "done\n")
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(2.0)


def _tell(process: subprocess.Popen[bytes], text: str) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):  # somebody has killed it
            process.stdin.write(text.encode())
            process.stdin.flush()
