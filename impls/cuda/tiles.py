"""Moving a tile of one row between memory and registers, by 16-byte vectors where the address allows.

A tile is `vectors` vectors a thread of a group of threads that share a row; slot v of thread t holds
columns c = (v * threads + t) * width - head onwards. `head` is the number of elements by which the row
starts after a 16-byte boundary: the first slot is then begun that much earlier, so that all vectors are
aligned, and what lies outside the row is neither read nor written.
"""

from __future__ import annotations

import functools
from typing import Any, Literal, NamedTuple

from .compiling import device
from .elements import Element
from .intrinsics import access, misalignment

Alignment = Literal["aligned", "peeled", "single"]
"""How rows lie in memory.

aligned: every row of x and out starts at a 16-byte boundary and is a whole number of vectors.
peeled: x and out are misaligned by the same amount, so vectors are used but for the ends of a row.
single: they differ, so elements are moved one by one (neighbouring threads, neighbouring elements).
"""


class Tile(NamedTuple):
    """Device functions that move a tile.

    Attributes:
        width: elements of a slot: a vector, or 1.
        slots: slots of a thread.
        head: (x, base) -> the head of the row at x[base].
        load: (registers, x, base, t, head, n): columns from base on; what is outside [0, n) becomes `lowest`.
        load_slot: (registers, at, x, base, c, n): the slot of columns c onwards alone, into registers[at] onwards.
        store: (out, base, t, head, n, registers).
    """

    threads: int
    width: int
    slots: int
    head: Any
    load: Any
    load_slot: Any
    store: Any

    @property
    def registers(self) -> int:
        """Elements that one thread holds."""
        return self.slots * self.width

    @property
    def size(self) -> int:
        """Elements that the threads hold together, the head included."""
        return self.threads * self.registers


@functools.cache
def tile(element: Element, threads: int, vectors: int, alignment: Alignment) -> Tile:
    """The tile of `vectors` 16-byte vectors for each of `threads` threads."""
    width = 1 if alignment == "single" else element.per_vector
    slots = vectors * element.per_vector // width
    peeled = alignment == "peeled"
    guarded = alignment != "aligned"
    size = element.storage.itemsize
    lowest = element.lowest
    load_vector, _, store_vector, load_one, store_one = access(element)

    @device
    def head(x, base):
        return (base + misalignment(x, size)) & (width - 1) if peeled else 0

    @device
    def load_slot(registers, at, x, base, c, n):
        if width > 1 and c >= 0 and c + width <= n:
            load_vector(registers, at, x, base + c)
        else:
            for j in range(width):
                if guarded and 0 <= c + j < n:
                    registers[at + j] = load_one(x, base + c + j)
                else:
                    registers[at + j] = lowest

    @device
    def load(registers, x, base, t, head, n):
        for v in range(slots):
            load_slot(registers, v * width, x, base, (v * threads + t) * width - head, n)

    @device
    def store(out, base, t, head, n, registers):
        for v in range(slots):
            c = (v * threads + t) * width - head
            if width > 1 and c >= 0 and c + width <= n:
                store_vector(out, base + c, registers, v * width)
            elif guarded:
                for j in range(width):
                    if 0 <= c + j < n:
                        store_one(out, base + c + j, registers[v * width + j])

    return Tile(threads, width, slots, head, load, load_slot, store)
