"""Compiled code on disk, keyed by its content: every file is named by a digest of all that its code is made from.

Numba's own cache compares the one file that defines a function, so that it loads stale code after an edit of a helper
that was inlined; its index of a function's files is not safe against a second process; and it raises where no folder
can be written. Here a folder belongs to the sources that may be inlined and the versions of what compiles them, and a
file to a function, a signature, a processor and Numba's settings.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import hashlib
import itertools
import os
import pickle
import re
import secrets
import sys
import time
import uuid
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core import config, types
from numba.core.bytecode import FunctionIdentity
from numba.core.caching import FunctionCache, _Cache, _cache_log
from numba.core.compiler import CompileResult
from numba.core.registry import CPUDispatcher
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

from .internal import COMMON
from .threads import SettingError


def _number_apart() -> None:
    """Number the functions that this process compiles otherwise than any other process does.

    Numba names a symbol of compiled code by its function and a number that every process counts from 1. Two functions
    of one factory, each compiled in a process of its own, would have the same symbols, and a process that loads both
    from disk would run the first in place of the second.
    """
    FunctionIdentity._unique_ids = itertools.count(secrets.randbits(40))


_number_apart()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_number_apart)
TREE = Path(__file__).parent
KEPT, MONTH, HOUR = 32, 30 * 86400.0, 3600.0  # folders; seconds since their last use
# Settings that change no machine code: where it is kept, by how many threads of which layer it is run, what is shown.
_IRRELEVANT = re.compile(r"CACHE_.*|CUDA_.*|(NUMBA_)?(DEFAULT_)?NUM_THREADS|THREADING_LAYER.*|DEBUG_CACHE|.*WARNINGS?")
_LAYERS = ("default", "safe", "forksafe", "threadsafe", "tbb", "omp", "workqueue")
# Top-level modules that versions in the key stand for.
_VERSIONED = {"numba", "llvmlite", "numpy", *sys.stdlib_module_names}
# Values whose representation is all that they are.
_CONSTANTS = (
    *(bool, int, float, complex, str, bytes, enum.Enum, type, BuiltinFunctionType),
    *(np.generic, np.dtype, np.ufunc, types.Type),
)
_warned = False


def cached_njit(function: Any = None, /, **options: Any) -> Any:
    """As `numba.njit` with ``cache=True``, with the cache of this module; it takes no signatures.

    Raises:
        SettingError: a setting of Numba's does not let this function be compiled or run; names it.
    """
    if function is None:
        return functools.partial(cached_njit, **options)
    if config.DISABLE_JIT:
        raise SettingError(f"NUMBA_DISABLE_JIT={config.DISABLE_JIT}: accepted is 0")
    if options.get("parallel"):
        check_layer()
    dispatcher = numba.njit(**COMMON | options)(function)
    dispatcher._cache = Cache(dispatcher, (TREE,))
    return dispatcher


def check_layer() -> None:
    """For what runs on Numba's threads.

    Raises:
        SettingError: the setting names no threading layer of Numba's.
    """
    if str(config.THREADING_LAYER).lower() not in _LAYERS:
        raise SettingError(f"NUMBA_THREADING_LAYER={config.THREADING_LAYER!r}: accepted are {', '.join(_LAYERS)}")


def adopt(package: str, functions: Iterable[Any]) -> None:
    """Put the cache of this module in place of Numba's for the functions of a top-level package or module.

    These are all that its modules hold, and `functions`, which they may hold within other objects. They are then keyed
    by the sources of the package as well as by those of this one. A function that was compiled as it was defined, for
    a signature that it was given, keeps Numba's.
    """
    root = sys.modules[package]
    places = [*getattr(root, "__path__", [])] or [getattr(root, "__file__", None)]
    if None in places:
        return
    sources = (TREE, *map(Path, places))
    modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == package]
    dispatchers: list[Any] = [*(value for module in modules for value in list(vars(module).values())), *functions]
    for dispatcher in dispatchers:
        if (
            isinstance(dispatcher, CPUDispatcher)
            and type(dispatcher._cache) is FunctionCache
            and not dispatcher.overloads
        ):
            dispatcher._cache = Cache(dispatcher, sources)


class Cache(_Cache):  # type: ignore[misc]
    """The files of one function.

    Args:
        dispatcher: what `numba.njit` made of the function.
        sources: folders and files whose code may be inlined into it.
    """

    def __init__(self, dispatcher: Any, sources: tuple[Path, ...]) -> None:
        self._function, self._options, self._sources = dispatcher.py_func, dispatcher.targetoptions, sources
        self._content = _content(sources)  # of what was imported, not of what an editor writes later
        self._names: dict[Any, str | None] = {}  # by signature, of what is being compiled
        self._loads = self._saves = True

    @property
    def cache_path(self) -> str:
        return str(_places()[0] / self._folder)

    @property
    def _folder(self) -> str:
        return f"maxbench-numba-{self._content}"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        target_context.refresh()
        name = self._names[sig] = self._name(sig, target_context.codegen()) if self._content else None
        if name is None or not self._loads:
            return None
        for place in _places():
            path = place / self._folder / name
            with contextlib.suppress(Exception):  # whatever is wrong with a file, compiling replaces it
                payload = _read(path)
                found = CompileResult._rebuild(target_context, *pickle.loads(payload))  # noqa: S301
                _cache_log("[cache] data loaded from %r", str(path))
                _touch(path.parent)
                return found
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        name = self._names.pop(sig, None)
        # A result with lifted loops or pointers is of this process, as in Numba.
        if not self._saves or any(not lifted.can_cache for lifted in data.lifted) or data.library.has_dynamic_globals:
            return
        if self._content is None:
            _warn(f"no source files in {' or '.join(map(str, self._sources))}")
        elif name is not None and _digest(self._sources) == self._content:  # no edit since the import
            payload = dumps(data._reduce())
            problem = _write(self._folder, name, hashlib.sha256(payload).digest() + payload)
            if problem is not None:
                _warn(f"{problem}; set NUMBA_CACHE_DIR to a folder that only you can write")

    def enable(self) -> None:
        self._loads = self._saves = True

    def disable(self) -> None:
        self._loads = self._saves = False

    def flush(self) -> None:
        """Compile anew from now on, and replace what is on disk."""
        self._loads = False

    def _name(self, sig: Any, codegen: Any) -> str | None:
        """The file of a signature; None where a part of the key is particular to this process."""
        settings = {
            name: value for name, value in vars(config).items() if name.isupper() and not _IRRELEVANT.fullmatch(name)
        }
        parts = sig, codegen.magic_tuple(), sorted(settings.items()), sorted(self._options.items())
        key = f"{parts} {_description(self._function, set())}"
        return None if " at 0x" in key else f"{hashlib.sha256(key.encode()).hexdigest()}.nbc"


def _description(value: Any, seen: set[int]) -> str:
    """A value that compiled code may hold as a constant, the same in every process.

    Of a function it is its code and, in turn, all values that it closes over and reads as a global or as an attribute
    of a module: they may come from elsewhere than from source text. Implementations that `numba.extending.overload`
    adds to a function are not found so. Of functions of this package that are called only what they close over is
    described, to save time: the other values that they read follow from its sources and from the processor.
    """
    if isinstance(value, np.ndarray):
        return f"{value.dtype!r} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    if value is None or isinstance(value, _CONSTANTS):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, (tuple, frozenset)):
        items = [_description(item, seen) for item in value]
        return f"({', '.join(items if isinstance(value, tuple) else sorted(items))})"
    if isinstance(value, ModuleType):
        return value.__name__
    # A dispatcher and an intrinsic hold the function that they were made of.
    function = getattr(value, "py_func", None) or getattr(value, "_defn", None) or value
    if not isinstance(function, FunctionType):
        return f"{type(value).__module__}.{type(value).__qualname__}"
    name = f"{function.__module__}.{function.__qualname__}"
    called = bool(seen) and _is_in_the_key(function.__module__)
    if seen and (id(function) in seen or (called and "<locals>" not in name)):
        return name
    seen.add(id(function))
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    found = {one: cell.cell_contents for one, cell in cells}
    if called:  # which of the functions that its factory makes
        return "\n".join([name, *(f"{one} = {_description(value, seen)}" for one, value in found.items())])
    code, names = _code(function.__code__)
    for one in sorted(names & function.__globals__.keys()):
        found[one] = value = function.__globals__[one]
        if isinstance(value, ModuleType) and not _is_in_the_key(value.__name__):
            found |= {f"{one}.{attribute}": vars(value)[attribute] for attribute in sorted(names & vars(value).keys())}
    return "\n".join([name, code, *(f"{one} = {_description(value, seen)}" for one, value in found.items())])


def _is_in_the_key(module: str) -> bool:
    """Whether it is of this package or of one that a version stands for."""
    return module.partition(".")[0] in _VERSIONED or module.startswith(f"{__package__}.")


def _code(code: CodeType) -> tuple[str, set[str]]:
    """Bytecode with its constants and names, and all names, those of functions within included."""
    names, constants = set(code.co_names), []
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            text, inner = _code(constant)
            names |= inner
        else:
            text = _description(constant, set())
        constants.append(text)
    return f"{code.co_code!r} {code.co_names} ({', '.join(constants)})", names


@functools.cache
def _content(sources: tuple[Path, ...]) -> str | None:
    return _digest(sources)


def _digest(sources: Iterable[Path]) -> str | None:
    """A digest of all Python files in these places, and of what compiles them; None where there are none."""
    versions = sys.version, sys.implementation.cache_tag, numba.__version__, llvmlite.__version__, np.__version__
    digest = hashlib.sha256(repr(versions).encode())
    for source in sources:
        files = [source] if source.is_file() else sorted(_below(source))
        if not files:
            return None
        for path in files:
            with contextlib.suppress(OSError), open(path, "rb", buffering=0) as file:  # Python cannot read it either
                text = file.read()
                digest.update(f"{str(path)[len(str(source)) :]}\0{len(text)}\0".encode() + text)
    return digest.hexdigest()[:32]


def _below(folder: Path) -> Iterator[str]:
    for parent, below, names in os.walk(folder):
        below[:] = [name for name in below if name != "__pycache__"]
        yield from (os.path.join(parent, name) for name in names if name.endswith(".py"))


def _places() -> list[Path]:
    """Folders for compiled code, the best first, as Numba has them."""
    if config.CACHE_DIR:
        return [Path(config.CACHE_DIR)]
    own = Path(AppDirs(appname="numba", appauthor=False).user_cache_dir)
    # Without a home folder it is relative: a folder named "~" in the current one.
    return [TREE / "__pycache__", *([own] if own.is_absolute() else [])]


def _check_owner(status: os.stat_result) -> None:
    """Code that is loaded is run: nobody else may have written it.

    Raises:
        PermissionError: another user than root can write there.
    """
    if os.name == "posix" and (status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022):
        raise PermissionError("other users can write to it")


def _read(path: Path) -> bytes:
    """What `_write` wrote.

    Raises:
        OSError, ValueError: there is nothing, or nothing that can be trusted.
    """
    _check_owner(path.parent.stat())
    with open(path, "rb") as file:
        _check_owner(os.fstat(file.fileno()))
        data = file.read()
    if hashlib.sha256(data[32:]).digest() != data[:32]:
        raise ValueError(f"{path} is damaged")
    return data[32:]


def _write(folder: str, name: str, data: bytes) -> str | None:
    """Put a file into the first place that can be written, in whole or not at all; None, or why there is none."""
    problems = []
    for place in _places():
        path = place / folder / name
        temporary = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
        try:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            _check_owner(path.parent.stat())
            try:
                temporary.write_bytes(data)
                temporary.chmod(0o644)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            problems.append(f"{path.parent}: {error.strerror or error}")
            continue
        _cache_log("[cache] data saved to %r", str(path))
        _prune(place)
        return None
    return "; ".join(problems)


@functools.cache
def _touch(folder: Path) -> None:
    """Mark a folder as in use, once a process."""
    with contextlib.suppress(OSError):
        os.utime(folder)


@functools.cache
def _prune(place: Path) -> None:
    """Remove the folders of old keys, once a process.

    One that was used within the last hour may be in use by another process. Of a process that has run for longer,
    what it has loaded stays in its memory.
    """
    found = []
    for folder in place.glob("maxbench-numba-*"):
        with contextlib.suppress(OSError):
            status = folder.lstat()
            _check_owner(status)
            found.append((time.time() - status.st_mtime, folder))
    for number, (unused, folder) in enumerate(sorted(found)):
        if unused > HOUR and (unused > MONTH or number >= KEPT):
            with contextlib.suppress(OSError):
                for path in [*folder.glob("*.nbc"), *folder.glob("*.tmp")]:
                    path.unlink()
                folder.rmdir()


def _warn(problem: str) -> None:
    """Say, once a process, that every process compiles anew."""
    global _warned
    if not _warned:
        _warned = True
        text = f"compiled code cannot be kept on disk, so that every process compiles it anew: {problem}"
        warnings.warn(text, RuntimeWarning, stacklevel=2)
