"""The type of SIMD vectors in Numba functions, and the LLVM types of its values."""

# numba.core.types builds some of its names at run time.
# mypy: disable-error-code="attr-defined"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models
from numba.extending import register_model

VECTOR_BYTES = 64  # a cache line, one AVX-512 register, two of AVX2, four of SSE2 and NEON

I32 = ir.IntType(32)


class Vector(types.Type):
    """`lanes` elements of one Numba scalar type; of `types.boolean` it is a mask."""

    def __init__(self, element: Any, lanes: int) -> None:
        self.element: Any = element  # a Numba scalar type
        self.lanes = lanes
        super().__init__(name=f"Vector({element}, {lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, ir.VectorType(llvm_type(kind.element), kind.lanes))


def llvm_type(element: Any) -> ir.Type:
    """The LLVM type of a Numba scalar type; a bit for boolean."""
    if element is types.boolean:
        return ir.IntType(1)
    if isinstance(element, types.Float):
        return {32: ir.FloatType(), 64: ir.DoubleType()}[element.bitwidth]
    return ir.IntType(element.bitwidth)


def vector_type(kind: Vector) -> ir.VectorType:
    """The LLVM type of a vector."""
    return ir.VectorType(llvm_type(kind.element), kind.lanes)


def lanes_of(array: Any) -> int:
    """The elements of an array or a pointer that fill `VECTOR_BYTES`."""
    return (
        int(VECTOR_BYTES * 8 // llvm_type(array.dtype).width)
        if isinstance(array.dtype, types.Integer)
        else int(VECTOR_BYTES * 8 // array.dtype.bitwidth)
    )


def is_float(kind: Vector) -> bool:
    """Whether the lanes are floating-point numbers."""
    return isinstance(kind.element, types.Float)


def constant(kind: Vector, value: float) -> ir.Constant:
    """A vector with a value in every lane, known at compile time."""
    return ir.Constant(vector_type(kind), [value] * kind.lanes)


def mask_of(kind: Vector) -> Vector:
    """The type of masks for a type of vectors."""
    return Vector(types.boolean, kind.lanes)
