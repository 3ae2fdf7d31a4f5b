"""CPU threads: how many, on which of Numba's threading layers, and parallel calls from any thread and forked child."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.metadata
import math
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_TBB = {"linux": "libtbb.so.12", "darwin": "libtbb.12.dylib", "win32": "tbb12.dll"}
# Turns that a waiting OpenMP thread spins before it sleeps: libgomp's own default, 300,000 turns or more, keeps a core
# from another process for milliseconds. The threads of one call start within far fewer.
_SPINS = {"GOMP_SPINCOUNT": "10000"}

_here = threading.local()  # serial: whether the calling thread's parallel calls have one thread
_threads: Callable[[], int] | None = None  # Numba's number for the calling thread, once its threads have been started
_users: set[int] = set()  # the Python threads that started or used them; -1 for another package's
_layer: str | None = None
_serial = False  # whether this is a forked child in which Numba's threads cannot be used
_lock: Any = None  # held by a call on a layer that takes only one at a time
_compiling: Any = contextlib.nullcontext()  # Numba's lock, while this process forks
fork_lock = threading.RLock()
"""Held while an implementation is loaded or threads are started: a fork waits for it."""


class SettingError(ValueError):
    """A setting of the environment that cannot be used; the message names it and what is accepted."""


def cpus() -> int:
    """The CPUs that this process may use at once: those of its affinity, or its cgroups' quota, rounded up, if less."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = quota()
    return usable if allowed is None else max(1, min(usable, math.ceil(allowed)))


@functools.cache
def quota(process: Path = Path("/proc/self")) -> float | None:
    """CPUs' worth of time that the cgroups of this process allow, None without a limit: the least of all levels.

    Both versions of cgroups have one: ``cpu.max`` in v2, ``cpu.cfs_quota_us`` and ``cpu.cfs_period_us`` in v1.
    """
    try:
        mounts, groups = (process / "mountinfo").read_text(), (process / "cgroup").read_text()
    except OSError:
        return None
    paths = {controllers: path for _, controllers, path in (line.split(":", 2) for line in groups.splitlines())}
    limits = []
    for line in mounts.splitlines():
        mount, _, kind = line.partition(" - ")
        root, point = mount.split()[3:5]
        version, options = kind.split()[0], kind.split()[-1].split(",")
        if version == "cgroup2":
            path = paths.get("")
        elif version == "cgroup" and "cpu" in options:
            path = next((path for names, path in paths.items() if "cpu" in names.split(",")), None)
        else:
            continue
        # A container sees its own group at the mount point, whatever the path outside is.
        inside = path is not None and path.startswith(root)
        folder = Path(point, path[len(root) :].lstrip("/")) if path is not None and inside else Path(point)
        limits += [_limit(level) for level in (folder, *folder.parents) if level.is_relative_to(point)]
    return min((limit for limit in limits if limit is not None), default=None)


def _limit(group: Path) -> float | None:
    """The quota of one cgroup in CPUs; None where it has none."""
    try:
        if (group / "cpu.max").exists():
            allowed, period = (group / "cpu.max").read_text().split()
        else:
            allowed, period = ((group / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return int(allowed) / int(period) if allowed != "max" and int(allowed) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def count() -> int:
    """The CPU threads that an implementation may use: NUMBA_NUM_THREADS where it is set, else the usable CPUs.

    Numba reads the variable itself; the other libraries' implementations call this, so that all have as many.

    Raises:
        ValueError: NUMBA_NUM_THREADS is no positive integer.
    """
    given = os.environ.get("NUMBA_NUM_THREADS")
    if given is None:
        return cpus()
    if not given.isdecimal() or int(given) < 1:
        raise SettingError(f"NUMBA_NUM_THREADS={given!r}: accepted is a positive integer")
    return int(given)


def layer() -> str:
    """The threading layer that Numba's threads run on, started if they were not: ``tbb``, ``omp`` or ``workqueue``.

    TBB where it is installed: it is safe in threads and forks, and its waiting threads sleep. A layer that Numba's own
    settings name, or that runs already, stays; one that cannot be had is named in a RuntimeWarning.
    """
    _start()
    assert _layer is not None
    return _layer


def numbas() -> int:
    """Threads of a parallel call: `numba.get_num_threads`, and no more than `count`.

    1 within `serial`. Numba's function takes 0.8 us, most of them for two locks, and several with cold caches.
    """
    if getattr(_here, "serial", False):
        return 1
    return (_threads or _start())()


@contextlib.contextmanager
def serial() -> Iterator[None]:
    """Implementations that the calling thread runs use that thread alone, and start no others.

    For tasks that run side by side already, one on each core, as those of Dask.
    """
    before = getattr(_here, "serial", False)
    _here.serial = True
    try:
        yield
    finally:
        _here.serial = before


def are_lost() -> bool:
    """Whether this is a forked child in which Numba's threads cannot be used."""
    return _serial


def in_parallel(function: Any, *args: Any) -> Any:
    """Call a function that was compiled with parallel=True, from any thread and in any process.

    Results do not depend on what else runs: where Numba's threads cannot be used, the function's own Python code runs
    the same chunks one after another. That is so in children that were forked after GNU OpenMP's threads were started,
    of which Numba ends those that use them, and in children forked after several threads used TBB: it cannot stop then.

    Returns:
        What the function does.
    """
    if _serial:
        return function.py_func(*args)
    _users.add(threading.get_ident())
    if _lock is None:
        return function(*args)
    with _lock:
        return function(*args)


def _start() -> Callable[[], int]:
    """Start Numba's threads; returns how to query their number."""
    global _threads, _layer, _lock
    with fork_lock:
        if _threads is not None:
            return _threads
        import numba
        from numba.np.ufunc import parallel

        if _running() is None:
            named = str(numba.config.THREADING_LAYER).lower()
            has_tbb = named not in ("omp", "workqueue") and _load_tbb()
            with contextlib.nullcontext() if has_tbb else _short_spins():
                _launch(numba)
            _users.add(threading.get_ident())
        else:
            _users.add(-1)
        _layer = str(numba.threading_layer())
        if _layer != "tbb":
            # workqueue aborts the process where two threads enter it; OpenMP gives each thread a team of its own,
            # which compete for the cores.
            _lock = threading.RLock()
        # Once they run, Numba has a function that only returns the number.
        number, limit = getattr(parallel, "_get_num_threads", numba.get_num_threads), count()
        _threads = (lambda: 1) if numba.config.NUMBA_NUM_THREADS == 1 else (lambda: min(number(), limit))
        return _threads


def _launch(numba: Any) -> None:
    """Let Numba start its threads, on its default layer where the one that its settings name cannot be had."""
    try:
        numba.get_num_threads()
    except ValueError as error:
        named = numba.config.THREADING_LAYER
        reason = " ".join(str(error).split())
        warnings.warn(
            f"NUMBA_THREADING_LAYER={named!r}: {reason}; Numba's default layer is used instead", RuntimeWarning, 2
        )
        numba.config.THREADING_LAYER = "default"
        try:
            numba.get_num_threads()
        finally:
            numba.config.THREADING_LAYER = named


def _running() -> str | None:
    """The layer of Numba's threads if they have been started, by whomever."""
    try:
        return str(sys.modules["numba"].threading_layer())
    except (KeyError, AttributeError, ValueError):  # not imported, not imported whole, not started
        return None


def _load_tbb() -> bool:
    """Load TBB's library by its path: pip installs it outside of the search path, and Numba loads it by name."""
    name = _TBB.get(sys.platform)
    if name is None:
        return False
    with contextlib.suppress(OSError):
        ctypes.CDLL(name, ctypes.RTLD_GLOBAL)
        return True
    with contextlib.suppress(importlib.metadata.PackageNotFoundError, OSError):
        for file in importlib.metadata.files("tbb") or ():
            if file.name == name:
                ctypes.CDLL(str(file.locate()), ctypes.RTLD_GLOBAL)
                return True
    return False


@contextlib.contextmanager
def _short_spins() -> Iterator[None]:
    """While libgomp is loaded, which reads its settings then, unless the user has set how threads wait."""
    if sys.platform != "linux" or not os.environ.keys().isdisjoint({*_SPINS, "OMP_WAIT_POLICY"}):
        yield
        return
    os.environ.update(_SPINS)
    try:
        yield
    finally:
        for name in _SPINS:
            del os.environ[name]


def _before_fork() -> None:
    """Wait for what a child would find half done and locked for ever: loading, starting threads, compilation."""
    global _compiling
    fork_lock.acquire()
    module = sys.modules.get("numba.core.compiler_lock")
    _compiling = getattr(module, "global_compiler_lock", contextlib.nullcontext())
    _compiling.__enter__()


def _after_fork() -> None:
    """End what `_before_fork` began, in the parent and in the child."""
    _compiling.__exit__(None, None, None)
    fork_lock.release()


def _after_fork_in_child() -> None:
    """Decide whether Numba's threads can be used; make the lock of a call that was running in the parent anew."""
    global _serial, _lock
    _after_fork()
    running = _layer or _running()
    if running == "omp":
        _serial = _serial or sys.platform == "linux"
    elif running is not None:
        # Numba stops TBB's threads before a fork, which works in the thread that started them if no other used them.
        # A child of workqueue can hang where several threads of the parent used it.
        _serial = _serial or _users != {threading.get_ident()}
    if _layer in ("omp", "workqueue"):
        _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
