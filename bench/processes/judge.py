"""The judge: what correct means for everything that is timed or checked, decided from the bytes of a result.

It runs in a process that imports no foreign code. Results come block by block from the process that computed them; the
judge has x from its description and says which parts it wants only after they were computed.
"""

from __future__ import annotations

import functools
import math
import random
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from maxbench.impls import contract
from maxbench.impls.contract import Mismatch

from ..inputs.recipe import Input
from .verdict import TIMED, Claim, Verdict, checksum

WHOLE = 1 << 22  # elements up to which all of a result is looked at
PARTS = 3  # of a larger one: rows at its ends, and rows between them that are drawn anew each time
KEPT_BYTES = 1 << 29  # of bounds
RECENT_BYTES = 1 << 27  # of inputs: one is judged several times in a row, and again with the next implementation


Part = tuple[int, int, int, int]
"""First and last row, and first and last of the neighbouring columns (outer and inner), of a part of an array."""
Fetch = Callable[[list[Part]], list[np.ndarray]]
"""Asks for parts of a result."""


class Judge:
    """Judges results; keeps what is right for an input, so that a second result costs little."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._kept: OrderedDict[Any, tuple[np.ndarray, ...]] = OrderedDict()
        self._recent: OrderedDict[Input, np.ndarray] = OrderedDict()
        self._seen: dict[Input, tuple[np.ndarray, int]] = {}
        self._lock = threading.Lock()

    def judge(self, claim: Claim, fetch: Fetch, differs: Mapping[str, str]) -> Verdict:
        """The verdict on a result.

        Args:
            fetch: gives the parts that are asked for.
            differs: the differences that the implementation's author has declared.
        """
        operation = contract.OPERATIONS[claim.operation]
        # An input that repeats a few values is made row by row, unless its checksum is compared.
        whole = claim.checksum is not None or claim.input.repeated() is None
        like, expected = self._about(claim.input) if whole else (claim.input.like(), None)
        if form := operation.form(like, claim.shape, _dtype(claim.dtype)):
            return Verdict("wrong", str(form))
        if claim.problem:
            return Verdict("wrong", claim.problem)
        if claim.checksum is not None and claim.checksum != expected:
            return Verdict("wrong", "the input was overwritten")
        rows = (lambda first, last: self._x(claim.input)[first:last]) if whole else claim.input.rows
        found = self._compare(operation, claim.input, like.shape, rows, fetch)
        if found is None:
            return Verdict("agrees")
        pattern = declared(differs, claim.case, claim.input.dtype)
        if pattern is None or (claim.case == TIMED and not _allowed(differs[pattern], found, like.shape[1])):
            return Verdict("wrong", str(found), unsized=math.isinf(found.size))
        return Verdict("differs", str(found), differs[pattern], pattern)

    def _compare(
        self, operation: contract.Operation, given: Input, shape: tuple[int, ...],
        rows: Callable[[int, int], np.ndarray], fetch: Fetch,
    ) -> Mismatch | None:  # fmt: skip
        # All but the row of one changed element was looked at before it was changed.
        row = given.row
        parts = self._parts(shape) if row is None else [(row[0], row[0] + 1, row[1], row[1] + 1)]
        for where, got in zip(parts, fetch(parts), strict=True):
            part = functools.partial(_part, rows, where)
            if (where[1] - where[0]) * shape[1] * (where[3] - where[2]) > 4 * WHOLE:
                # Its bounds would take twice as much memory as it does.
                found = operation.compare(part(), got)
            else:
                if row is not None:  # no other input has this element changed
                    low, high = operation.bounds(part())
                else:
                    low, high = self._keep((operation.name, given, where), lambda part=part: operation.bounds(part()))  # type: ignore[misc]
                right = contract.operation.within(low, high, got.astype(low.dtype, copy=False))
                found = None if right else operation.compare(part(), got)
            if found is not None:
                return _moved(found, where)
        return None

    def _parts(self, shape: tuple[int, ...]) -> list[Part]:
        """All of a small array; of a larger one whole rows at both ends and at a random place between them."""
        outer, n, inner = shape
        if outer * n * inner <= WHOLE:
            return [(0, outer, 0, inner)]
        lines = max(1, WHOLE // PARTS // max(1, n))  # that a part may have
        if outer > PARTS:
            columns = min(inner, lines)
            left = self._random.randrange(inner - columns + 1)
            return [(*rows, left, left + columns) for rows in self._ranges(outer, max(1, lines // columns))]
        return [(0, outer, *columns) for columns in self._ranges(inner, max(1, lines // outer))]

    def _ranges(self, total: int, some: int) -> list[tuple[int, int]]:
        if PARTS * some >= total:
            return [(0, total)]
        between = self._random.randrange(some, total - 2 * some + 1)
        return [(0, some), (between, between + some), (total - some, total)]

    def _x(self, given: Input) -> np.ndarray:
        with self._lock:
            x = self._recent.pop(given, None)
        if x is None:
            x = given.array()
        with self._lock:
            self._recent[given] = x
            while len(self._recent) > 1 and sum(one.nbytes for one in self._recent.values()) > RECENT_BYTES:
                self._recent.popitem(last=False)
        return x

    def _about(self, given: Input) -> tuple[np.ndarray, int]:
        """An array like x that takes no memory, and the checksum of x."""
        if given not in self._seen:
            x = self._x(given)
            self._seen[given] = np.broadcast_to(np.zeros((), x.dtype), x.shape), checksum(x)
        return self._seen[given]

    def _keep(self, key: Any, make: Callable[[], tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > 1 and sum(a.nbytes for some in self._kept.values() for a in some) > KEPT_BYTES:
                self._kept.popitem(last=False)
        return made


def _part(rows: Callable[[int, int], np.ndarray], where: Part) -> np.ndarray:
    """A part of an input whose rows a function gives."""
    return np.ascontiguousarray(rows(where[0], where[1])[:, :, where[2] : where[3]])


def declared(differs: Mapping[str, str], case: str, dtype: str) -> str | None:
    """The pattern of the declared difference that covers a case, or None.

    One that covers arrays which are timed names them.
    """
    for pattern in differs:
        if fnmatchcase(f"{case}/{dtype}", pattern) and (case != TIMED or pattern.startswith(TIMED)):
            return pattern
    return None


def _allowed(reason: str, found: Mismatch, n: int) -> bool:
    """Whether a mismatch in rows of n columns is no larger than the reason says."""
    largest = contract.size_declared(reason, n)
    return largest is not None and found.size <= largest


def _dtype(name: str) -> np.dtype | None:
    try:
        return contract.dtypes.named(name)
    except TypeError:
        return None


def _moved(found: Mismatch, where: Part) -> Mismatch:
    """A mismatch of a part of a result, at its position in the whole."""
    if not found.position:
        return found
    row, *rest, column = found.position
    return replace(found, position=(row + where[0], *rest, column + where[2]))
