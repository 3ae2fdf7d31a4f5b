"""Moving a tile of one row between memory and registers, by 16-byte vectors where the address allows.

A row is a body of whole vectors between two 16-byte boundaries, and up to ``width - 1`` elements on either side of it,
its edges. A tile is `slots` vectors of the body a thread: slot v of thread t holds vector v * threads + t of the tile.
Edges are elements of their own: of the q-th of them, head first, thread q % threads takes care. So no vector needs a
look at its single elements, and vectors are loaded without a branch.
"""

from __future__ import annotations

import functools
from typing import Any, Literal, NamedTuple

import numpy as np

from .compiling import device
from .elements import Element
from .intrinsics import access, misalignment

Alignment = Literal["aligned", "peeled", "single"]
"""How rows lie in memory.

aligned: every row of x and out starts at a 16-byte boundary and is a whole number of vectors.
peeled: x and out are misaligned by the same amount, so vectors are used but for the edges of a row.
single: they differ, so elements are moved one by one (neighbouring threads, neighbouring elements).
"""

_FAR = 1 << 30  # vectors: more than a tile has


class Tile(NamedTuple):
    """Device functions that move a tile: that of the vectors from number `first` on, of the row x[base : base + n].

    Attributes:
        width: elements of a slot: a vector, or 1.
        slots: slots of a thread.
        edges: elements beside the body that a thread may hold, in registers after those of its slots.
        load: (registers, x, base, t, n, first): what is outside the row becomes no more than any element. The tile
            with first == 0 has the edges.
        store: (out, base, t, n, first, registers).
        body: (x, base, n) -> (head, vectors): the column at which the body begins, and how many vectors it has.
        edge: (i, t, head, vectors) -> the column of a thread's i-th edge; n or more where it has none.
        load_vector: as of `Access`; of a single element where width is 1.
    """

    threads: int
    width: int
    slots: int
    edges: int
    load: Any
    store: Any
    body: Any
    edge: Any
    load_vector: Any

    @property
    def inner(self) -> int:
        """Elements of the body that one thread holds."""
        return self.slots * self.width

    @property
    def registers(self) -> int:
        """Elements that one thread holds."""
        return self.inner + self.edges

    @property
    def vectors(self) -> int:
        """Vectors that the threads hold together."""
        return self.threads * self.slots

    @property
    def size(self) -> int:
        """Elements of a body that the threads hold together."""
        return self.vectors * self.width


@functools.cache
def tile(element: Element, threads: int, vectors: int, alignment: Alignment) -> Tile:
    """The tile of `vectors` 16-byte vectors for each of `threads` threads."""
    width = 1 if alignment == "single" else element.per_vector
    slots = vectors * element.per_vector // width
    peeled = alignment == "peeled" and width > 1
    edges = -(-2 * (width - 1) // threads) if peeled else 0
    inner = slots * width
    step = threads * width
    shift = width.bit_length() - 1
    size = element.storage.itemsize
    lowest = element.lowest
    load_vector, load_vector_if, _, _, store_vector, load_one, store_one = access(element)

    @device
    def body(x, base, n):
        if not peeled:
            return np.int64(0), n >> shift
        head = min(np.int64(-(base + misalignment(x, size)) & (width - 1)), n)
        return head, (n - head) >> shift

    @device
    def left_of(vectors, first, t):
        """Vectors from the first one of thread t on, bounded to 32 bits."""
        return np.int32(min(vectors - first - t, _FAR))

    @device
    def edge(i, t, head, vectors):
        q = np.int64(i * threads + t)
        return q if q < head else q + (vectors << shift)

    @device
    def load(registers, x, base, t, n, first):
        head, vectors = body(x, base, n)
        left = left_of(vectors, first, t)
        at = base + head + (first + t) * width
        for v in range(slots):
            if width > 1:
                load_vector_if(registers, v * width, x, at + v * step, v * threads < left)
            else:
                registers[v] = load_one(x, at + v * step) if v * threads < left else lowest
        for i in range(edges):
            c = edge(i, t, head, vectors)
            registers[inner + i] = load_one(x, base + c) if first == 0 and c < n else lowest

    @device
    def store(out, base, t, n, first, registers):
        head, vectors = body(out, base, n)
        left = left_of(vectors, first, t)
        at = base + head + (first + t) * width
        for v in range(slots):
            if v * threads < left:
                if width > 1:
                    store_vector(out, at + v * step, registers, v * width)
                else:
                    store_one(out, at + v * step, registers[v])
        for i in range(edges):
            c = edge(i, t, head, vectors)
            if first == 0 and c < n:
                store_one(out, base + c, registers[inner + i])

    @device
    def load_single(registers, at, x, index):
        registers[at] = load_one(x, index)

    return Tile(threads, width, slots, edges, load, store, body, edge, load_vector if width > 1 else load_single)
