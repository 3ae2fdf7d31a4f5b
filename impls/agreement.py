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
from .contract.dtypes import finfo, named
from .contract.layouts import LAYOUTS, OUT_LAYOUTS, OutLayout
from .registry import Implementation, Kernel

Status = Literal["agrees", "differs", "wrong", "stale", "not supported", "unavailable"]
TIMED = "timed"  # in place of a case's name, for arrays that are timed


@dataclass(frozen=True)
class Finding:
    """What came of one case with one implementation.

    Attributes:
        operation, implementation: whose result it was; the implementation of a finding about a
            pair is ``softmax name / argmax name`` and its operation ``pair``.
        case, dtype: on what input.
        status: agrees; differs, as its author has declared; wrong; not supported; unavailable; or stale, of a
            declared difference that did not occur.
        detail: the mismatch or the reason; empty where it agrees.
        declared: where it differs, the library's behaviour that the author has declared.
    """

    operation: str
    implementation: str
    case: str
    dtype: str
    status: Status
    detail: str = ""
    declared: str = ""

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)


def check(implementation: Implementation, dtypes: Iterable[str] | None = None) -> Iterator[Finding]:
    """Run every kernel case and every layout of x and of out; dtypes narrows them, None means all.

    At the end come the declared differences that did not occur, when nothing was left out: a narrower check cannot
    tell. A dtype of `contract.OPTIONAL` that is not taken makes one finding where it was asked for, else none.
    """
    operation = contract.OPERATIONS[implementation.operation]
    kernel = implementation.kernel
    asked = operation.dtypes if dtypes is None else set(dtypes)
    wanted = [name for name in operation.dtypes if name in asked]
    for name in [name for name in wanted if name in contract.OPTIONAL and name not in kernel.dtypes]:
        wanted.remove(name)
        if dtypes is not None:
            reason = str(kernel.refusal(name, 0))
            yield Finding(implementation.operation, implementation.name, "", name, "not supported", reason)
    occurred: set[str] = set()

    def judged(case: str, dtype: str, size: int, run: Callable[[], contract.Mismatch | str | None]) -> Finding:
        names = implementation.operation, implementation.name, case, dtype
        if refusal := kernel.refusal(dtype, size):
            return Finding(*names, "not supported", refusal)
        found = run()
        if found is None:
            return Finding(*names, "agrees")
        declared = difference(kernel, case, dtype, found)
        if declared is None:
            return Finding(*names, "wrong", str(found))
        occurred.add(declared[0])
        return Finding(*names, "differs", str(found), declared[1])

    for case, dtype in itertools.product(contract.KERNEL_CASES, wanted):
        if dtype in case.dtypes:
            x = case.array(dtype)
            yield judged(case.name, dtype, x.size, functools.partial(outcome, operation, kernel, x))
    for layout, dtype in itertools.product(LAYOUTS, wanted):
        x = layout.array(dtype)
        yield judged(layout.name, dtype, x.size, functools.partial(_layout, implementation, x, layout.axis))
    x = np.random.default_rng(0).standard_normal((4, 33, 5))
    for out_layout, dtype in itertools.product(OUT_LAYOUTS, wanted):
        run = functools.partial(out_outcome, implementation, out_layout, x.astype(named(dtype)))
        yield judged(out_layout.name, dtype, x.size, run)
    if dtypes is None:
        for pattern, reason in kernel.differs.items():
            if pattern not in occurred and not pattern.startswith(TIMED):
                detail = f"the declared difference {pattern!r} did not occur here: {reason}"
                yield Finding(implementation.operation, implementation.name, "", "", "stale", detail)


def difference(kernel: Kernel, case: str, dtype: str, found: contract.Mismatch | str) -> tuple[str, str] | None:
    """The declared difference (pattern, reason) that excuses what was found, or None.

    Only values are excused: no error, overwritten input, or result of another shape or dtype.
    """
    if isinstance(found, str) or not found.position:
        return None
    return kernel.difference(case, dtype)


def run_checked(operation: contract.Operation, kernel: Kernel, x: np.ndarray) -> str | None:
    """What is wrong with what a kernel does to x, in words, or None; see `outcome`."""
    found = outcome(operation, kernel, x)
    return None if found is None else str(found)


def outcome(operation: contract.Operation, kernel: Kernel, x: np.ndarray) -> contract.Mismatch | str | None:
    """Run a kernel once on a copy of x; the mismatch, or what else is wrong with what it did, or None.

    The output starts filled with values that no correct result holds, and the input must come back
    bit for bit.
    """
    given, out = kernel.backend.put(x), kernel.backend.put(operation.allocate(x))
    try:
        result = kernel.run(given, out)
        kernel.backend.synchronize()
        host = kernel.backend.get(result)
    except Exception as error:  # a kernel may raise anything; it is then wrong on this case
        return f"raised {type(error).__name__}: {error}"
    if mismatch := operation.verify(x, host):
        return mismatch
    if kernel.backend.get(given).tobytes() != x.tobytes():
        return "the input was overwritten"
    return None


def _layout(implementation: Implementation, a: np.ndarray, axis: int) -> contract.Mismatch | str | None:
    operation = contract.OPERATIONS[implementation.operation]
    before = a.tobytes()
    function = getattr(api, operation.name)
    try:
        result = function(a, axis, impl=implementation.name)
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"
    if a.tobytes() != before:
        return "the input was overwritten"
    return _verify(operation, a.astype(a.dtype.newbyteorder("=")), axis, result)


def out_outcome(
    implementation: Implementation, layout: OutLayout, x: np.ndarray, axes: Iterable[int | None] | None = None
) -> contract.Mismatch | str | None:
    """Call the public function with every out of a layout; the first mismatch or failure, or None.

    Args:
        x: an array of three axes.
        axes: those to reduce in turn; None for all that the layout is for.
    """
    operation = contract.OPERATIONS[implementation.operation]
    function = getattr(api, operation.name)
    for axis in layout.axes if axes is None else axes:
        shape, dtype = x.shape, x.dtype
        if operation is contract.ARGMAX:
            shape, dtype = np.empty(shape).max(axis).shape, np.dtype(np.int64)
        for out, given, memory, owned, where in layout.place(x, shape, dtype):
            before, place = memory.copy(), f"axis {axis}, {where}"
            try:
                result = function(given, axis, out=out, impl=implementation.name)
            except Exception as error:
                if layout.refused is None or not re.search(layout.refused, str(error)):
                    return f"{place}: raised {type(error).__name__}: {error}"
            else:
                if layout.refused is not None:
                    return f"{place}: no error, where one must state {layout.refused!r}"
                if result is not out:
                    return f"{place}: returned another array than out"
                if mismatch := _verify(operation, x, axis, out.astype(dtype)):
                    return mismatch
            if (beside := np.flatnonzero((memory != before) & ~owned)).size:
                return f"{place}: wrote {beside.size} bytes beside out"
    return None


def _verify(operation: contract.Operation, x: np.ndarray, axis: int | None, result: Any) -> contract.Mismatch | None:
    """The first `Mismatch` of what a public function returned for x, of native byte order."""
    if axis is None:
        x, axis, result = x.reshape(-1), -1, np.reshape(result, -1 if operation is contract.SOFTMAX else ())
    # The same numbers as rows of the last axis, which is what the oracle reads.
    rows = np.ascontiguousarray(np.moveaxis(x, axis, -1)).reshape(-1, x.shape[axis], 1)
    if operation is contract.SOFTMAX:
        result = np.moveaxis(result, axis, -1).reshape(rows.shape)
    else:
        result = np.asarray(result).reshape(-1, 1)
    return operation.verify(rows, result)


# Rows of distinct small integers: scaled by powers of two they stay exact in every float dtype.
_COLUMNS = 40
_PAIR_DTYPES = (*contract.FLOATS, *contract.OPTIONAL)


def check_pairs(
    softmaxes: Mapping[str, Implementation],
    argmaxes: Mapping[str, Implementation],
    dtypes: Iterable[str] | None = None,
) -> Iterator[Finding]:
    """Across the two operations, for every pair of implementations.

    The index argmax returns is one where softmax is largest; softmax(x / T) tends to the one-hot of
    argmax as T falls to 0.
    """
    asked = _PAIR_DTYPES if dtypes is None else set(dtypes)
    for dtype in [name for name in _PAIR_DTYPES if name in asked]:
        for name, x in _pair_inputs(dtype):
            probabilities = {key: _result(imp, x) for key, imp in softmaxes.items() if dtype in imp.kernel.dtypes}
            indices = {key: _result(imp, x) for key, imp in argmaxes.items() if dtype in imp.kernel.dtypes}
            for (soft, p), (hard, index) in itertools.product(probabilities.items(), indices.items()):
                wrong = _not_largest(p, index)
                yield Finding(
                    "pair", f"{soft} / {hard}", f"{name}: largest where argmax points", dtype,
                    "wrong" if wrong else "agrees", wrong or "",
                )  # fmt: skip
        x = _distinct_integers(dtype)
        for soft, imp in softmaxes.items():
            if dtype not in imp.kernel.dtypes:
                continue
            series = {2.0**-k: _result(imp, (x * 2.0**k).astype(named(dtype))) for k in range(7)}
            for hard, other in argmaxes.items():
                if dtype not in other.kernel.dtypes:
                    continue
                wrong = _not_tending_to_one_hot(series, _result(other, x))
                yield Finding(
                    "pair", f"{soft} / {hard}", "softmax(x / T) tends to the one-hot of argmax", dtype,
                    "wrong" if wrong else "agrees", wrong or "",
                )  # fmt: skip


def _result(implementation: Implementation, x: np.ndarray) -> np.ndarray:
    kernel = implementation.kernel
    out = contract.OPERATIONS[implementation.operation].allocate(x)
    return kernel.backend.get(kernel.run(kernel.backend.put(x), kernel.backend.put(out)))


def _distinct_integers(dtype: str) -> np.ndarray:
    rng = np.random.default_rng(7)
    return np.stack([rng.permutation(_COLUMNS) for _ in range(6)]).astype(named(dtype))[:, :, None]


def _pair_inputs(dtype: str) -> Iterator[tuple[str, np.ndarray]]:
    rng = np.random.default_rng(11)
    yield "distinct", _distinct_integers(dtype)
    yield "normal", rng.standard_normal((5, 333, 1)).astype(named(dtype))
    yield "ties", rng.integers(0, 3, (5, 333, 1)).astype(named(dtype))
    yield "inner axis", rng.standard_normal((3, 21, 17)).astype(named(dtype))


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
