"""Agreement: running an implementation on every case of the contract and saying what came of it."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from . import api, contract
from .backends import HOST
from .contract.dtypes import finfo, named
from .contract.layouts import LAYOUTS, OUT_LAYOUTS, OutLayout
from .registry import TIMED, Implementation, Kernel

Status = Literal["agrees", "differs", "wrong", "failed", "stale", "not supported", "unavailable"]


@dataclass(frozen=True)
class Finding:
    """What came of one case with one implementation.

    Attributes:
        operation, implementation: whose result it was; the implementation of a finding about a
            pair is ``softmax name / argmax name`` and its operation ``pair``.
        case, dtype: on what input.
        status: agrees; differs, as its author has declared; wrong; failed, where it raised, crashed or hung, or does
            not load although nothing that it needs is missing; not supported; unavailable; or stale, of a declared
            difference that did not occur.
        detail: the mismatch or the reason; empty where it agrees.
        declared: where it differs, the library's behaviour that the author has declared.
        unsized: whether the error has no size, as of a NaN or of an element that was not written.
    """

    operation: str
    implementation: str
    case: str
    dtype: str
    status: Status
    detail: str = ""
    declared: str = ""
    unsized: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Result:
    """What an implementation gave for an input of a trial.

    Attributes:
        array: the result as rows: softmax (outer, n, inner), argmax (outer, inner).
        axis: the axis of the input that was reduced, where the trial's inputs differ in it.
        x: the input after the call, where it can be had back.
        problem: what is wrong beside the result's values, in words.
    """

    array: Any
    axis: int | None = None
    x: np.ndarray | None = None
    problem: str = ""


@dataclass(frozen=True)
class Trial:
    """One case of the contract with one implementation.

    Attributes:
        kind: what its input is: a ``case``, a ``layout`` of x, or a layout of ``out``.
        case, dtype: the names that findings have.
        size: elements of the input.
        run: calls the implementation; gives its results one after the other. It may raise anything.
    """

    kind: Literal["case", "layout", "out"]
    case: str
    dtype: str
    size: int
    run: Callable[[], Iterator[Result]]


class Broken(Exception):
    """An implementation did what is wrong whatever its result is; the message says what."""


Allocate = Callable[[str, np.ndarray], tuple[np.ndarray, Callable[[], bool]]]
"""(operation, x) -> a poisoned out, and whether the memory around it is as it was."""


def _unguarded(operation: str, x: np.ndarray) -> tuple[np.ndarray, Callable[[], bool]]:
    return contract.OPERATIONS[operation].allocate(x), lambda: True


def trials(implementation: Implementation, dtypes: Iterable[str], allocate: Allocate = _unguarded) -> Iterator[Trial]:
    """Every kernel case and every layout of x and of out, in these dtypes; `allocate` makes the outputs of cases."""
    wanted = list(dtypes)
    yield from case_trials(contract.OPERATIONS[implementation.operation], implementation.kernel, wanted, allocate)
    for layout, dtype in itertools.product(LAYOUTS, wanted):
        a = layout.array(dtype)
        yield Trial("layout", layout.name, dtype, a.size, functools.partial(_layout, implementation, a, layout.axis))
    for out_layout, dtype in itertools.product(OUT_LAYOUTS, wanted):
        x = out_input(dtype)
        run = functools.partial(out_results, implementation, out_layout, x)
        yield Trial("out", out_layout.name, dtype, x.size, run)


def case_trials(
    operation: contract.Operation, kernel: Any, dtypes: Iterable[str], allocate: Allocate = _unguarded
) -> Iterator[Trial]:
    """Every kernel case, in these dtypes; `allocate` makes the outputs."""
    for case, dtype in itertools.product(contract.KERNEL_CASES, list(dtypes)):
        if dtype in case.dtypes:
            x = case.array(dtype)
            run = functools.partial(case_results, operation, kernel, x, allocate)
            yield Trial("case", case.name, dtype, x.size, run)


def out_input(dtype: str) -> np.ndarray:
    """What is reduced into every layout of out: three axes."""
    x: np.ndarray = np.random.default_rng(0).standard_normal((4, 33, 5)).astype(named(dtype))
    return x


def names_of_trials(dtypes: Iterable[str]) -> list[tuple[str, str]]:
    """(case, dtype) of every trial in these dtypes, in order."""
    wanted = list(dtypes)
    cases = [(case.name, dtype) for case in contract.KERNEL_CASES for dtype in wanted if dtype in case.dtypes]
    layouts = [layout.name for layout in LAYOUTS] + [layout.name for layout in OUT_LAYOUTS]
    return cases + list(itertools.product(layouts, wanted))


def wanted_dtypes(operation: str, dtypes: Iterable[str] | None) -> list[str]:
    """The dtypes of an operation that are asked for; None means all."""
    asked = None if dtypes is None else set(dtypes)
    return [name for name in contract.OPERATIONS[operation].dtypes if asked is None or name in asked]


def check(implementation: Implementation, dtypes: Iterable[str] | None = None) -> Iterator[Finding]:
    """Run every trial in this process and compare; dtypes narrows them, None means all.

    At the end come the declared differences that did not occur, when nothing was left out: a narrower check cannot
    tell. A dtype of `contract.OPTIONAL` that is not taken makes one finding where it was asked for, else none.
    """
    operation, kernel = contract.OPERATIONS[implementation.operation], implementation.kernel
    who = implementation.operation, implementation.name
    wanted = wanted_dtypes(operation.name, dtypes)
    for name in [name for name in wanted if name in contract.OPTIONAL and name not in kernel.dtypes]:
        wanted.remove(name)
        if dtypes is not None:
            yield Finding(*who, "", name, "not supported", str(kernel.refusal(name, 0)))
    occurred: set[str] = set()
    for trial in trials(implementation, wanted):
        names = *who, trial.case, trial.dtype
        if refusal := kernel.refusal(trial.dtype, trial.size):
            yield Finding(*names, "not supported", refusal)
            continue
        found = outcome(operation, trial.run(), functools.partial(_input, trial))
        declared = difference(kernel, trial.case, trial.dtype, found) if found is not None else None
        if found is None:
            yield Finding(*names, "agrees")
        elif declared is None:
            yield Finding(*names, "failed" if str(found).startswith("raised ") else "wrong", str(found))
        else:
            occurred.add(declared[0])
            yield Finding(*names, "differs", str(found), declared[1])
    if dtypes is None:
        yield from stale(*who, kernel.differs, occurred)


def stale(operation: str, name: str, differs: Mapping[str, str], occurred: Iterable[str]) -> Iterator[Finding]:
    """A finding for every declared difference that did not occur on the contract's cases."""
    for pattern, reason in differs.items():
        if pattern not in set(occurred) and not pattern.startswith(TIMED):
            detail = f"the declared difference {pattern!r} did not occur here: {reason}"
            yield Finding(operation, name, "", "", "stale", detail)


def difference(kernel: Kernel, case: str, dtype: str, found: contract.Mismatch | str) -> tuple[str, str] | None:
    """The declared difference (pattern, reason) that excuses what was found, or None.

    Only values are excused: no error, overwritten input, or result of another shape or dtype.
    """
    if isinstance(found, str) or not found.position:
        return None
    return kernel.difference(case, dtype)


def outcome(
    operation: contract.Operation, results: Iterable[Result], rows: Callable[[int | None], np.ndarray]
) -> contract.Mismatch | str | None:
    """What is wrong with results: a mismatch, or in words; or None.

    Args:
        results: made one after the other; making one may raise anything.
        rows: axis -> what the input held before.
    """
    try:
        for result in results:
            x = rows(result.axis)
            if mismatch := operation.verify(x, result.array):
                return mismatch
            if result.problem:
                return result.problem
            if result.x is not None and result.x.tobytes() != x.tobytes():
                return "the input was overwritten"
    except Broken as broken:
        return str(broken)
    except Exception as error:  # a kernel may raise anything; it has then failed this case
        return f"raised {type(error).__name__}: {error}"
    return None


def _input(trial: Trial, axis: int | None) -> np.ndarray:
    """x of a trial as rows."""
    if trial.kind == "case":
        return next(case for case in contract.KERNEL_CASES if case.name == trial.case).array(trial.dtype)
    if trial.kind == "layout":
        layout = next(layout for layout in LAYOUTS if layout.name == trial.case)
        return as_rows(layout.array(trial.dtype), layout.axis)
    return as_rows(out_input(trial.dtype), axis)


def as_rows(a: np.ndarray, axis: int | None) -> np.ndarray:
    """The same numbers in native byte order as rows (outer, n, 1) of the axis that is reduced; None: of all."""
    a = a.astype(a.dtype.newbyteorder("="), copy=False)
    if axis is None:
        return np.ascontiguousarray(a.reshape(1, -1, 1))
    return np.ascontiguousarray(np.moveaxis(a, axis, -1)).reshape(-1, a.shape[axis], 1)


def _result_rows(operation: contract.Operation, result: Any, shape: tuple[int, ...], axis: int | None) -> Any:
    """What a public function returned for an array of a shape, in the form of `as_rows`."""
    array = np.asarray(result)
    expected = shape if operation is contract.SOFTMAX else np.empty(shape).max(axis).shape
    if array.shape != expected:
        return array  # which the contract refuses
    if operation is contract.SOFTMAX:
        return as_rows(array, axis)
    return array.reshape(-1, 1)


def case_results(
    operation: contract.Operation, kernel: Any, x: np.ndarray, allocate: Allocate = _unguarded
) -> Iterator[Result]:
    """Call a kernel once."""
    out, around = allocate(operation.name, x)
    given, filled = kernel.backend.put(x), out if kernel.backend is HOST else kernel.backend.put(out)
    result = kernel.run(given, filled)
    kernel.backend.synchronize()
    problem = "" if around() else "it wrote beside out"
    yield Result(kernel.backend.get(result), x=kernel.backend.get(given), problem=problem)


def _layout(implementation: Implementation, a: np.ndarray, axis: int) -> Iterator[Result]:
    operation = contract.OPERATIONS[implementation.operation]
    before = a.tobytes()
    result = getattr(api, operation.name)(a, axis, impl=implementation.name)
    problem = "the input was overwritten" if a.tobytes() != before else ""
    yield Result(_result_rows(operation, result, a.shape, axis), problem=problem)


def out_results(
    implementation: Implementation, layout: OutLayout, x: np.ndarray, axes: Iterable[int | None] | None = None
) -> Iterator[Result]:
    """Call the public function with every out of a layout.

    Args:
        x: an array of three axes.
        axes: those to reduce in turn; None for all that the layout is for.

    Raises:
        Broken: the function did something else than to fill out, or to refuse it where it must.
    """
    operation = contract.OPERATIONS[implementation.operation]
    function = getattr(api, operation.name)
    for axis in layout.axes if axes is None else axes:
        shape, dtype = x.shape, x.dtype
        if operation is contract.ARGMAX:
            shape, dtype = np.empty(shape).max(axis).shape, np.dtype(np.int64)
        for out, given, memory, owned, where in layout.place(x, shape, dtype):
            before, place = memory.copy(), f"axis {axis}, {where}"
            filled = False
            try:
                result = function(given, axis, out=out, impl=implementation.name)
            except Exception as error:
                if layout.refused is None or not re.search(layout.refused, str(error)):
                    raise Broken(f"{place}: raised {type(error).__name__}: {error}") from None
            else:
                filled = True
                if layout.refused is not None:
                    raise Broken(f"{place}: no error, where one must state {layout.refused!r}")
                if result is not out:
                    raise Broken(f"{place}: returned another array than out")
            beside = np.flatnonzero((memory != before) & ~owned).size
            problem = f"{place}: wrote {beside} bytes beside out" if beside else ""
            if filled:
                yield Result(_result_rows(operation, out.astype(dtype), x.shape, axis), axis, problem=problem)
            elif beside:
                raise Broken(problem)


# Rows of distinct small integers: scaled by powers of two they stay exact in every float dtype.
_COLUMNS = 40
_PAIR_DTYPES = (*contract.FLOATS, *contract.OPTIONAL)


PairArrays = Mapping[tuple[str, str], np.ndarray]
"""What one implementation gave for the inputs of `pair_inputs`: (dtype, name of the input) -> result."""


def pair_results(
    implementation: Implementation, dtypes: Iterable[str] | None = None
) -> Iterator[tuple[str, str, np.ndarray]]:
    """(dtype, name, result) for every input of `pair_inputs` that an implementation takes."""
    kernel = implementation.kernel
    for dtype in [name for name in _PAIR_DTYPES if (dtypes is None or name in set(dtypes)) and name in kernel.dtypes]:
        for name, x in pair_inputs(dtype):
            if kernel.refusal(dtype, x.size) is None:
                out = contract.OPERATIONS[implementation.operation].allocate(x)
                result = kernel.run(kernel.backend.put(x), kernel.backend.put(out))
                kernel.backend.synchronize()
                yield dtype, name, kernel.backend.get(result)


def check_pairs(softmaxes: Mapping[str, PairArrays], argmaxes: Mapping[str, PairArrays]) -> Iterator[Finding]:
    """Across the two operations, for every pair of implementations, by name.

    The index argmax returns is one where softmax is largest; softmax(x / T) tends to the one-hot of
    argmax as T falls to 0.
    """
    for dtype in _PAIR_DTYPES:
        names = [name for name, _ in pair_inputs(dtype)]
        for (soft, p), (hard, index) in itertools.product(softmaxes.items(), argmaxes.items()):
            who = "pair", f"{soft} / {hard}"
            for name in [name for name in names if not name.startswith(_COLDER)]:
                if (dtype, name) in p and (dtype, name) in index:
                    wrong = _not_largest(p[dtype, name], index[dtype, name])
                    case = f"{name}: largest where argmax points"
                    yield Finding(*who, case, dtype, "wrong" if wrong else "agrees", wrong or "")
            series = {2.0**-k: p[dtype, _colder(k)] for k in range(_TEMPERATURES) if (dtype, _colder(k)) in p}
            if len(series) == _TEMPERATURES and (dtype, "distinct") in index:
                wrong = _not_tending_to_one_hot(series, index[dtype, "distinct"])
                case = "softmax(x / T) tends to the one-hot of argmax"
                yield Finding(*who, case, dtype, "wrong" if wrong else "agrees", wrong or "")


def _distinct_integers(dtype: str) -> np.ndarray:
    rng = np.random.default_rng(7)
    return np.stack([rng.permutation(_COLUMNS) for _ in range(6)]).astype(named(dtype))[:, :, None]


_TEMPERATURES, _COLDER = 7, "distinct / T"


def _colder(k: int) -> str:
    return f"{_COLDER}, T = 2^-{k}"


def pair_inputs(dtype: str) -> Iterator[tuple[str, np.ndarray]]:
    """The inputs that both operations of a pair are computed on, by name."""
    rng = np.random.default_rng(11)
    yield "distinct", _distinct_integers(dtype)
    yield "normal", rng.standard_normal((5, 333, 1)).astype(named(dtype))
    yield "ties", rng.integers(0, 3, (5, 333, 1)).astype(named(dtype))
    yield "inner axis", rng.standard_normal((3, 21, 17)).astype(named(dtype))
    x = _distinct_integers(dtype)
    for k in range(_TEMPERATURES):
        yield _colder(k), (x * 2.0**k).astype(named(dtype))


def _not_largest(probabilities: np.ndarray, index: np.ndarray) -> str | None:
    there = np.take_along_axis(probabilities, index[:, None, :], axis=1)
    top = probabilities.max(axis=1, keepdims=True)
    bad = np.argwhere(there != top)
    if not len(bad):
        return None
    at = i, _, k = tuple(map(int, bad[0]))
    return f"at {(i, k)}: softmax is {float(there[at])!r} at index {index[i, k]} but {float(top[at])!r} at most"


def _not_tending_to_one_hot(series: Mapping[float, np.ndarray], index: np.ndarray) -> str | None:
    last = np.inf
    for temperature, p in series.items():
        one_hot = np.zeros_like(p)
        np.put_along_axis(one_hot, index[:, None, :], 1, axis=1)
        distance = float(np.abs(p - one_hot).max())
        if not distance <= last:
            return f"at T = {temperature} the distance to the one-hot grew from {last} to {distance}"
        last = distance
    if last > float(finfo(p.dtype).eps):
        return f"at T = {temperature} the distance to the one-hot is still {last}"
    return None
