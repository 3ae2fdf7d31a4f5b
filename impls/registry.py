"""The plug-in registry: which implementations exist, where they came from, and loading one by name.

An implementation is a file: ``impls/kernels/<operation>/<name>.py`` in this package, or an entry
point ``<operation>.<name>`` of the group ``maxbench.impls`` in another. It is found without being
imported and loaded when first used; whatever goes wrong then is kept as the reason it is
`Unavailable` and touches nothing else.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.metadata
import pkgutil
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import numpy as np

from . import backends, contract, threads
from .version import __version__

ENTRY_POINT_GROUP = "maxbench.impls"
TIMED = "timed"  # in place of a case's name in declared differences, for arrays that are timed

Threads = Literal["one", "many"]
Bind = Callable[[np.dtype, tuple[int, int, int]], Callable[[np.ndarray, np.ndarray], Any] | None]


class Unavailable(RuntimeError):
    """An implementation that is known but cannot run here; the message says why.

    Attributes:
        reason: the message without the implementation's name.
        broken: whether it does not load although nothing that it needs is missing: a syntax error, for example.
    """

    def __init__(self, message: str, reason: str | None = None, *, broken: bool = False) -> None:
        super().__init__(message)
        self.reason = message if reason is None else reason
        self.broken = broken


class UnknownImplementation(LookupError):
    """No implementation goes by this name; the message lists those that do."""


@dataclass(frozen=True)
class Kernel:
    """A kernel and what its author declares about it: what `implements` returns.

    Attributes:
        run: ``run(x, out) -> result`` on arrays of the kernel's backend. x has shape
            (outer, n, inner), C-contiguous, aligned, native byte order, and must not be changed. out
            is so too and shares no memory with x. Softmax: out has x's shape and dtype; argmax: out
            is (outer, inner) int64. Returns the array that holds the result: `out`, or another where
            the library cannot fill one.
        dtypes: names of the dtypes of x that it takes; the public functions give it bfloat16 as float32 where this
            one is among them and bfloat16 is not.
        backend: where its arrays live.
        threads: whether it uses ``one`` CPU thread or as ``many`` as it is given.
        largest: the most elements of x that it takes, None for no limit; ``largest_reason`` says why.
        bind: of a dtype and a shape of x, what ``run`` does with aligned, C-contiguous, writable arrays x and out of
            them, found out once; it returns None where that depends on more. The public functions call it for small
            arrays.
        differs: where a library's own semantics or accuracy are not the contract's, and why: patterns of
            ``fnmatch`` over ``case/dtype`` (the names that ``maxbench check`` shows; ``timed`` for arrays that
            are timed, whose reason must hold ``up to N ulp``, the most that they may differ by) to the library's
            behaviour. For libraries alone; it excuses values of what it names, not a failure.
    """

    run: Callable[[Any, Any], Any]
    dtypes: tuple[str, ...]
    backend: backends.Backend
    threads: Threads
    largest: int | None
    largest_reason: str
    differs: Mapping[str, str] = field(default_factory=dict)
    bind: Bind | None = None

    def __post_init__(self) -> None:
        for pattern, reason in self.differs.items():
            _check_difference(pattern, reason)

    def difference(self, case: str, dtype: str) -> tuple[str, str] | None:
        """The declared difference (pattern, reason) that covers a case, or None."""
        return next((item for item in self.differs.items() if fnmatchcase(f"{case}/{dtype}", item[0])), None)

    def __call__(self, x: Any, out: Any) -> Any:
        return self.run(x, out)

    def refusal(self, dtype: str, size: int) -> str | None:
        """Why x of this dtype and number of elements is not supported, or None if it is."""
        if dtype not in self.dtypes:
            return f"{dtype} is not among its dtypes ({', '.join(self.dtypes)})"
        if self.largest is not None and size > self.largest:
            return f"{size} elements are more than its limit of {self.largest} ({self.largest_reason})"
        return None


def implements(
    *,
    dtypes: Iterable[str],
    backend: str | backends.Backend = "host",
    threads: Threads = "one",
    largest: int | None = None,
    largest_reason: str = "declared by its author",
    differs: Mapping[str, str] | None = None,
    bind: Bind | None = None,
) -> Callable[[Callable[[Any, Any], Any]], Kernel]:
    """Declare a function ``run(x, out) -> result`` to be an implementation.

    Registers nothing: it returns a `Kernel`, and the file or entry point that holds it gives it its
    operation and name.

    Raises:
        ValueError: a dtype, backend or thread use that does not exist, or a difference without a reason.
    """
    names = tuple(dtypes)
    known = (*contract.DTYPES, *contract.OPTIONAL)
    if (unknown := sorted(set(names) - set(known))) or not names:
        raise ValueError(f"dtypes {unknown or names}: accepted are {', '.join(known)}")
    if threads not in ("one", "many"):
        raise ValueError(f"threads {threads!r}: accepted are 'one' and 'many'")
    home = backends.get(backend) if isinstance(backend, str) else backends.check(backend)

    def declare(run: Callable[[Any, Any], Any]) -> Kernel:
        return Kernel(run, names, home, threads, largest, largest_reason, dict(differs or {}), bind)

    return declare


def _check_difference(pattern: str, reason: str) -> None:
    """Refuse a declared difference that has no reason, or that excuses what it does not name."""
    if not (isinstance(pattern, str) and isinstance(reason, str)):
        raise ValueError(f"differs {pattern!r}: {reason!r}: accepted are texts")
    if not reason.strip():
        raise ValueError(f"differs {[pattern]}: each needs the library's behaviour, in words")
    case = pattern.rpartition("/")[0] or pattern
    if sum(fnmatchcase(one.name, case) for one in contract.KERNEL_CASES) > len(contract.KERNEL_CASES) // 2:
        raise ValueError(f"differs {pattern!r}: it covers most cases; accepted are those that name what differs")
    if pattern.startswith(TIMED) and contract.size_declared(reason) is None:
        raise ValueError(
            f"differs {pattern!r}: {reason!r} does not say by how much the results of arrays that are timed differ; "
            "accepted are reasons that hold 'up to N ulp', or 'up to N ulp at n = M' where the error grows with n"
        )


@dataclass(frozen=True)
class Implementation:
    """A loaded kernel with its identity: operation, name, and where it came from."""

    operation: str
    name: str
    origin: str
    kernel: Kernel
    path: Path | None
    doc: str

    @property
    def source(self) -> str | None:
        """The text of the file that defines it, or None where it has none."""
        return self.path.read_text(encoding="utf-8") if self.path and self.path.is_file() else None


@dataclass(frozen=True)
class Entry:
    """What the catalogue knows of an implementation before it is loaded.

    Attributes:
        operation, name: its identity.
        origin: ``maxbench`` or the package, with its version, that brings it.
        target: what to import: ``module`` or ``module:attribute``.
        problem: why it cannot be loaded even before trying (a name clash, an unknown operation).
    """

    operation: str
    name: str
    origin: str
    target: str
    problem: str | None = None

    @property
    def in_tree(self) -> bool:
        """Whether this package brings it."""
        return self.target.startswith(f"{__package__}.")

    def load(self) -> Implementation:
        """Import it.

        Raises:
            Unavailable: it cannot be used here; the message says why.
        """
        found = _attempt(self)
        if isinstance(found, Refusal):
            message = f"{self.operation}.{self.name} is not available: {found.reason}"
            raise Unavailable(message, found.reason, broken=found.broken)
        return found


def catalogue() -> tuple[Entry, ...]:
    """Every implementation that can be found, in-tree and by entry point, without loading any."""
    return _catalogue()


def load(operation: str, name: str) -> Implementation:
    """The implementation of an operation that goes by a name.

    Raises:
        ValueError: there is no such operation.
        UnknownImplementation: no implementation goes by this name; lists those known.
        Unavailable: it is known but cannot be used here; says why.
    """
    return _load(operation, name)


DEFAULTS = ("numba_parallel", "numpy_vectorized")  # used when none is named, the fastest first


def default(operation: str, dtype: str, size: int) -> Implementation:
    """The implementation used when none is named: the fastest host one that loads and takes x.

    Warns, once a process, where the fastest does not load.

    Raises:
        Unavailable: none does.
    """
    if (first := of_any_size(operation, dtype)) is not None:
        return first
    available, reasons = candidates(operation)
    refusals = [f"{operation}.{name} is not available: {reason}" for name, reason in reasons.items()]
    for implementation in available:
        if (refusal := implementation.kernel.refusal(dtype, size)) is None:
            if DEFAULTS[0] in reasons:
                _warn(reasons[DEFAULTS[0]], implementation.name)
            return implementation
        refusals.append(f"{operation}.{implementation.name}: {refusal}")
    raise Unavailable("; ".join(refusals))


def candidates(operation: str) -> tuple[list[Implementation], dict[str, str]]:
    """The implementations that `default` chooses from, the fastest first, and by name why others do not load."""
    available, reasons = [], {}
    for name in DEFAULTS:
        try:
            available.append(_load(operation, name))
        except Unavailable as error:
            reasons[name] = error.reason
    return available, reasons


@functools.cache
def _warn(reason: str, instead: str) -> None:
    warnings.warn(
        f"{DEFAULTS[0]}, the default implementation, is not available: {reason}; {instead} is used instead",
        RuntimeWarning,
        stacklevel=6,  # the caller of impls.softmax
    )


@functools.cache
def of_any_size(operation: str, dtype: str) -> Implementation | None:
    """The first choice if it takes x of this dtype whatever its size: found out once, as small calls feel it."""
    try:
        implementation = _load(operation, DEFAULTS[0])
    except Unavailable:
        return None
    kernel = implementation.kernel
    return implementation if kernel.largest is None and dtype in kernel.dtypes else None


@functools.cache
def _catalogue() -> tuple[Entry, ...]:
    from . import kernels

    found = {
        (operation, module.name): Entry(
            operation, module.name, f"maxbench {__version__}", f"{kernels.__name__}.{operation}.{module.name}"
        )
        for operation in contract.OPERATIONS
        for path in kernels.__path__
        for module in pkgutil.iter_modules([str(Path(path) / operation)])
    }
    entries = list(found.values())
    points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    for point in sorted(points, key=lambda p: (p.name, p.dist.name if p.dist else "", p.value)):
        origin = f"{point.dist.name} {point.dist.version}" if point.dist else "unknown package"
        operation, _, name = point.name.partition(".")
        problem = None
        if operation not in contract.OPERATIONS or not name.isidentifier():
            problem = (
                f"entry point {point.name!r} is not <operation>.<name> "
                f"with an operation of {', '.join(contract.OPERATIONS)}"
            )
        elif holder := found.get((operation, name)):
            problem = f"name clash: {operation}.{name} of {holder.origin} came first"
        entry = Entry(operation, name, origin, point.value, problem)
        if problem is None:
            found[operation, name] = entry
        entries.append(entry)
    return tuple(entries)


@functools.cache
def _load(operation: str, name: str) -> Implementation:
    if operation not in contract.OPERATIONS:
        raise ValueError(f"unknown operation {operation!r}: known are {', '.join(contract.OPERATIONS)}")
    known = {e.name: e for e in _catalogue() if e.operation == operation and e.problem is None}
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UnknownImplementation(f"unknown {operation} implementation {name!r}{hint} (known: {', '.join(known)})")
    return known[name].load()


@dataclass(frozen=True)
class Refusal:
    """Why an implementation cannot be had; see `Unavailable`."""

    reason: str
    broken: bool = False


@functools.cache
def _attempt(entry: Entry) -> Implementation | Refusal:
    """The implementation, or why it cannot be had; tried once in a process."""
    if entry.problem is not None:
        return Refusal(entry.problem)
    module_name, _, attribute = entry.target.partition(":")
    try:
        with threads.fork_lock:
            module = importlib.import_module(module_name)
        target = functools.reduce(getattr, attribute.split("."), module) if attribute else module
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plug-in may raise anything, SystemExit included
        return refusal_of(error)
    candidates = [target] if isinstance(target, Kernel) else getattr(target, "__dict__", {}).values()
    kernels = [value for value in candidates if isinstance(value, Kernel)]
    if len(kernels) != 1:
        reason = f"{entry.target} defines {len(kernels)} kernels with @implements, expected exactly 1"
        return Refusal(reason, broken=True)
    if not entry.in_tree and "numba" in sys.modules:
        from . import compilation

        compilation.adopt(module_name.partition(".")[0], [kernels[0].run])
    file = getattr(module, "__file__", None)
    return Implementation(
        entry.operation,
        entry.name,
        entry.origin,
        kernels[0],
        Path(file) if file else None,
        (module.__doc__ or "").strip(),
    )


def refusal_of(error: BaseException) -> Refusal:
    """An error in words; of one that Numba raises as it is imported, the setting that it does not name."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    numbas = last is not None and str(last.tb_frame.f_globals.get("__name__")).partition(".")[0] == "numba"
    if numbas:
        try:
            threads.count()
        except ValueError as setting:
            error = setting
    try:
        text = str(error)
    except BaseException as other:  # its own methods may fail as well
        text = f"(its text cannot be had: {type(other).__name__})"
    name = "ValueError" if isinstance(error, threads.SettingError) else type(error).__name__
    broken = not numbas and not isinstance(error, ImportError | NotImplementedError | threads.SettingError)
    return Refusal(f"{name}: {text}" if text else name, broken)
