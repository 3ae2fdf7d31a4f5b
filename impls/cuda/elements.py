"""How each dtype is stored in device memory, loaded and held in registers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

VECTOR_BYTES = 16  # the widest load or store of one thread


@dataclass(frozen=True)
class Element:
    """One dtype, as kernels see it.

    Attributes:
        name: the dtype's name.
        storage: the NumPy dtype of the arrays that kernels are given. bfloat16 is passed as the
            uint16 of its bits and bool as uint8, which Numba has arrays of.
        register: the NumPy scalar type that a value has in a register: every value of `storage` is
            one of its values, and softmax computes in it.
        lowest: a register value that no element is below: what stands in for missing elements.
    """

    name: str
    storage: np.dtype
    register: Any
    lowest: Any

    @property
    def per_vector(self) -> int:
        """Elements in a 16-byte vector."""
        return VECTOR_BYTES // self.storage.itemsize

    @property
    def wide(self) -> bool:
        """Whether its order-preserving key has 64 bits; others have 32."""
        return self.storage.itemsize == 8

    @property
    def fill(self) -> np.ndarray:
        """A vector of the least value of `storage`, as four 32-bit words."""
        least = 0xFF80 if self.name == "bfloat16" else -np.inf if self.floating else np.iinfo(self.storage).min
        return np.full(self.per_vector, least, self.storage).view(np.uint32)

    @property
    def floating(self) -> bool:
        """Whether it has NaNs."""
        return bool(np.dtype(self.register).kind == "f")


class Access(NamedTuple):
    """Loads and stores of one element type; registers have `Element.register` as dtype.

    Attributes:
        load_vector: (registers, at, array, index): one 16-byte load of the elements from array[index] on into
            registers[at], registers[at + 1], ...; read-only data, not kept in L1.
        load_vector_if: (registers, at, array, index, inside): as load_vector where inside, else the least value of
            storage; without a branch, so that many loads are in flight.
        load_shared: (registers, at, buffer, slot, inside): as load_vector_if, of vector `slot` of shared memory.
        store_shared: (buffer, slot, registers, at): the reverse, where the element's storage is that of its registers.
        store_vector: (array, index, registers, at): the reverse of load_vector, one 16-byte store, first out of the
            cache.
        load: (array, index) -> the element as a register value.
        store: (array, index, value): rounds to nearest even where storage is narrower.
    """

    load_vector: Any
    load_vector_if: Any
    load_shared: Any
    store_shared: Any
    store_vector: Any
    load: Any
    store: Any


def _element(name: str, storage: str, register: Any) -> Element:
    dtype = np.dtype(register)
    lowest = register(-np.inf) if dtype.kind == "f" else register(np.iinfo(dtype).min)
    return Element(name, np.dtype(storage), register, lowest)


ELEMENTS = {
    element.name: element
    for element in (
        _element("float16", "float16", np.float32),
        _element("bfloat16", "uint16", np.float32),
        _element("float32", "float32", np.float32),
        _element("float64", "float64", np.float64),
        _element("bool", "uint8", np.int32),
        _element("int8", "int8", np.int32),
        _element("uint8", "uint8", np.int32),
        _element("int16", "int16", np.int32),
        _element("uint16", "uint16", np.int32),
        _element("int32", "int32", np.int32),
        _element("uint32", "uint32", np.uint32),
        _element("int64", "int64", np.int64),
        _element("uint64", "uint64", np.uint64),
    )
}


def storage(dtype: np.dtype) -> np.dtype:
    """What arrays of a dtype are to kernels and copies; the dtype itself where it is none of `ELEMENTS`."""
    element = ELEMENTS.get(dtype.name)
    return dtype if element is None else element.storage
