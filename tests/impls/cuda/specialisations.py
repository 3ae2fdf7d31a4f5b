"""Every specialisation of the kernels that the built-in table can ask for, with what its machine code must hold."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba.cuda import types
from numba.cuda.np import numpy_support

from maxbench.impls.cuda import (
    argmax_columns,
    argmax_rows,
    plans,
    regimes,
    short_columns,
    short_rows,
    softmax_columns,
    softmax_rows,
    softmax_shared,
)
from maxbench.impls.cuda import softmax_split as split_rows
from maxbench.impls.cuda.compiling import RESIDENT_THREADS
from maxbench.impls.cuda.elements import ELEMENTS, Element
from maxbench.impls.cuda.regimes import Regime
from tests.impls.cuda import machine_code

SOFTMAX = ("float16", "bfloat16", "float32", "float64")


@dataclass(frozen=True)
class Specialisation:
    """One kernel to compile.

    Attributes:
        name: for the test report.
        element: of x.
        build: returns the kernel.
        signature: Numba types of its arguments.
        loads, stores: 128-bit accesses that the code must hold at least.
        exponentials, maxima: whether it must hold them.
        warp: whether whole warps meet, by redux for argmax.
        registers: of a thread, at most: a multiprocessor has 65,536.
        together: 128-bit loads that must follow each other without a branch.
        copies, held: 128-bit copies to shared memory, and loads from there, that the code must hold at least.
    """

    name: str
    element: Element
    build: Callable[[], Any]
    signature: tuple[Any, ...]
    loads: int
    stores: int
    exponentials: bool
    maxima: bool
    warp: bool
    registers: int = 65536 // RESIDENT_THREADS
    together: int = 0
    copies: int = 0
    held: int = 0


def _array(dtype: Any, dimensions: int) -> Any:
    return types.Array(numpy_support.from_dtype(np.dtype(dtype)), dimensions, "C")


def everything() -> Iterator[Specialisation]:
    """All of them: regimes x dtypes x alignments."""
    for name, table in regimes.DEVICE.items():
        operation, layout = name.split()
        for regime in table:
            for dtype in SOFTMAX if operation == "softmax" else ELEMENTS:
                for kind in ("aligned", "peeled", "single") if layout == "rows" else ("vectors", "single"):
                    yield from _of(operation, layout, regime, ELEMENTS[dtype], kind)


def compile_one(architecture: str, name: str) -> machine_code.Code:
    """The machine code of the specialisation that goes by a name; callable from another process."""
    wanted = _by_name()[name]
    return machine_code.compile_kernel(wanted.build(), wanted.signature, architecture)


@functools.cache
def _by_name() -> dict[str, Specialisation]:
    return {wanted.name: wanted for wanted in everything()}


def _of(operation: str, layout: str, regime: Regime, element: Element, kind: str) -> Iterator[Specialisation]:
    builders = {
        ("softmax", "rows"): _softmax_rows,
        ("softmax", "columns"): _softmax_columns,
        ("argmax", "rows"): _argmax_rows,
        ("argmax", "columns"): _argmax_columns,
    }
    label = f"{operation} {layout} {regime.kernel} {regime.threads}/{regime.sharing}/{regime.registers}"
    yield from builders[operation, layout](f"{label} {element.name} {kind}", regime, element, kind)


def _short_lengths(element: Element) -> list[int]:
    longest = short_rows.longest(element)
    return sorted({n for n in (2, 7, 10, longest) if n <= longest})


def _softmax_rows(name: str, regime: Regime, element: Element, kind: Any) -> Iterator[Specialisation]:
    x, work = _array(element.storage, 3), _array(element.register, 2)
    vectors = regime.vectors(element)
    wide = kind != "single"
    warp = regime.sharing >= 32
    if regime.kernel == "short":
        if kind == "peeled":  # there is no such variant: batches of short rows are aligned or not
            return
        for n in _short_lengths(element):
            each = max(1, regime.elements(element) // n)
            slots = each * n // element.per_vector if wide else 0
            yield Specialisation(
                f"{name} n={n}", element,
                lambda n=n, each=each: short_rows.softmax(element, regime.threads, n, each, wide),  # type: ignore[misc]
                (x, x), slots, slots, True, True, False,
            )  # fmt: skip
        return
    moved = vectors if wide else 0
    if regime.kernel == "rows":
        yield Specialisation(
            name, element, lambda: softmax_rows.rows(element, regime.threads, regime.sharing, vectors, kind),
            (x, x), moved, moved, True, True, warp,
        )  # fmt: skip
    elif regime.kernel == "shared":
        if kind == "single":  # there is no such variant: they are split
            return
        words = _array(np.uint64 if element.wide else np.uint32, 1)
        registers = 65536 // ((1 if element.wide else 3) * RESIDENT_THREADS)
        for alone, more in ((True, ()), (False, (words, words, _array(np.uint64, 1), types.int64, types.int64))):
            yield Specialisation(
                f"{name} {'whole' if alone else 'coupled'}", element,
                lambda alone=alone: softmax_shared.shared(
                    element, plans._threads(regime, element), vectors, kind, alone  # type: ignore[arg-type]
                ),  # type: ignore[misc]
                (x, x, *more), 0, moved, True, True, warp, registers, copies=1, held=2 * moved,
            )  # fmt: skip
    else:
        yield Specialisation(
            f"{name} partial", element, lambda: split_rows.split(element, regime.threads, vectors, kind).partial,
            (x, work, work, types.int64), moved, 0, True, True, warp,
        )  # fmt: skip
        yield Specialisation(
            f"{name} finish", element, lambda: split_rows.split(element, regime.threads, vectors, kind).finish,
            (x, x, work, work, types.int64), moved, moved, True, True, warp,
        )  # fmt: skip


def _softmax_columns(name: str, regime: Regime, element: Element, kind: str) -> Iterator[Specialisation]:
    x, work = _array(element.storage, 3), _array(element.register, 2)
    wide = kind == "vectors"
    if regime.kernel == "short":
        yield from _short_columns(name, regime, element, kind, short_columns.softmax, (x, x), True)
        return
    rows = plans._column_rows(regime, element, wide)
    moved = rows if wide else 0
    layout = (element, regime.threads, plans._across(regime), regime.sharing, rows, wide)

    registers = 65536 // softmax_columns.resident(element, rows * (element.per_vector if wide else 1))
    if regime.kernel == "tile":
        yield Specialisation(
            name, element, lambda: softmax_columns.tile(*layout), (x, x), moved, moved, True, True, False,
            registers, moved,
        )  # fmt: skip
        return
    kernels = lambda: softmax_columns.split(element, regime.threads, regime.sharing, rows, wide)  # noqa: E731
    yield Specialisation(
        f"{name} partial", element, lambda: kernels().partial,
        (x, work, work, types.int64), moved, 0, True, True, False, together=moved,
    )  # fmt: skip
    yield Specialisation(
        f"{name} finish", element, lambda: kernels().finish,
        (x, x, work, work, types.int64), moved, moved, True, False, False, together=moved,
    )  # fmt: skip


def _short_columns(
    name: str,
    regime: Regime,
    element: Element,
    kind: str,
    module_kernel: Any,
    signature: tuple[Any, ...],
    softmax: bool,
) -> Iterator[Specialisation]:
    if kind == "vectors":  # there is no such variant: elements are moved one by one
        return
    for n in _short_lengths(element):
        yield Specialisation(
            f"{name} n={n}", element, lambda n=n: module_kernel(element, regime.threads, n, 7),  # type: ignore[misc]
            signature, 0, 0, softmax, softmax, False,
        )  # fmt: skip


def _argmax_rows(name: str, regime: Regime, element: Element, kind: Any) -> Iterator[Specialisation]:
    x, out = _array(element.storage, 3), _array(np.int64, 2)
    vectors = regime.vectors(element)
    wide = kind != "single"
    if regime.kernel == "short":
        if kind == "peeled":
            return
        for n in _short_lengths(element):
            each = max(1, regime.elements(element) // n)
            slots = each * n // element.per_vector if wide else 0
            yield Specialisation(
                f"{name} n={n}", element,
                lambda n=n, each=each: short_rows.argmax(element, regime.threads, n, each, wide),  # type: ignore[misc]
                (x, out), slots, 0, False, False, False,
            )  # fmt: skip
        return
    if kind == "single":  # argmax writes no vectors, so the offsets of x and out cannot differ
        return
    warp = regime.sharing >= 32
    if regime.kernel == "rows":
        yield Specialisation(
            name, element, lambda: argmax_rows.rows(element, regime.threads, regime.sharing, vectors, kind),
            (x, out), vectors, 0, False, True, warp,
        )  # fmt: skip
        return
    yield Specialisation(
        f"{name} whole", element, lambda: argmax_rows.parts(element, regime.threads, vectors, kind, True),
        (x, out, types.int64), vectors, 0, False, True, warp,
    )  # fmt: skip
    yield Specialisation(
        f"{name} parts", element, lambda: argmax_rows.parts(element, regime.threads, vectors, kind, False),
        (x, *_parts(element), types.int64), vectors, 0, False, True, warp,
    )  # fmt: skip


def _parts(element: Element) -> tuple[Any, ...]:
    """out, keys, indices and counters of argmax by parts."""
    keys = _array(np.uint64 if element.wide else np.uint32, 2)
    return _array(np.int64, 2), keys, _array(np.int64, 2), _array(np.uint32, 1)


def _argmax_columns(name: str, regime: Regime, element: Element, kind: str) -> Iterator[Specialisation]:
    wide = kind == "vectors"
    if regime.kernel == "short":
        x, out = _array(element.storage, 3), _array(np.int64, 2)
        yield from _short_columns(name, regime, element, kind, short_columns.argmax, (x, out), False)
        return
    rows = plans._column_rows(regime, element, wide)
    x = _array(element.storage, 3)
    for alone in (True, False):
        signature = (x, *((_array(np.int64, 2),) if alone else _parts(element)), types.int64)
        yield Specialisation(
            f"{name} {'whole' if alone else 'parts'}", element,
            lambda alone=alone: argmax_columns.parts(element, regime.threads, regime.sharing, rows, wide, alone),  # type: ignore[misc]
            signature, rows if wide else 0, 0, False, False, False,
            80 if wide and element.per_vector > 8 else 64, rows if wide else 0,  # for 3 and 4 blocks a multiprocessor
        )  # fmt: skip
