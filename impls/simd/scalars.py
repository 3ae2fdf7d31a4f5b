"""SIMD vectors made of scalars: broadcast values, zeros, lane numbers."""

# numba.core.types builds some of its names at run time.
# mypy: disable-error-code="attr-defined"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .processor import register_bytes
from .types import I32, VECTOR_BYTES, Vector, constant, lanes_of, vector_type

# By architecture, the letter that stands for a vector register in the constraints of LLVM's inline assembly.
_REGISTER_CONSTRAINTS = {"x86_64": "x"}


def broadcast_scalar(builder: Any, kind: Vector, scalar: Any) -> Any:
    """Build the vector with an LLVM scalar in every lane."""
    undefined = ir.Constant(vector_type(kind), ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, kind.lanes), [0] * kind.lanes))


@intrinsic
def broadcast(typing: Any, like: Any, value: Any) -> Any:
    """A vector of the type of `like` (a vector, or a pointer for 64 bytes) with value in every lane."""
    kind = like if isinstance(like, Vector) else Vector(like.dtype, lanes_of(like))

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return broadcast_scalar(builder, kind, context.cast(builder, args[1], value, kind.element))

    return kind(like, value), codegen


@intrinsic
def broadcast_first(typing: Any, a: Any) -> Any:
    """The first lane broadcast, for vectors whose lanes are equal: several registers become one."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return broadcast_scalar(builder, a, builder.extract_element(args[0], ir.Constant(I32, 0)))

    return a(a), codegen


def _splats(like: Any, values: Any, keep: bool) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        constraint = _REGISTER_CONSTRAINTS.get(context.codegen()._tm.triple.split("-")[0])
        vectors = []
        for i in range(values.count):
            scalar = context.cast(builder, builder.extract_value(args[1], i), values.dtype, like.element)
            vector = broadcast_scalar(builder, like, scalar)
            if keep and constraint is not None and like.lanes * like.element.bitwidth <= 8 * register_bytes():
                opaque = ir.FunctionType(vector.type, [vector.type])
                vector = builder.asm(opaque, "", f"={constraint},0", [vector], side_effect=False)
            vectors.append(vector)
        return context.make_tuple(builder, sig.return_type, vectors)

    return types.UniTuple(like, values.count)(like, values), codegen


@intrinsic
def broadcasts(typing: Any, like: Any, values: Any) -> Any:
    """The scalars of a tuple, each broadcast to a vector."""
    return _splats(like, values, keep=False)


@intrinsic
def pinned_broadcasts(typing: Any, like: Any, values: Any) -> Any:
    """As `broadcasts`, but pinned in registers: to LLVM the vectors are no constants. For vectors of one register.

    When registers run out, LLVM reloads constants in every iteration of a loop. It is faster to keep most of them and
    to spill the others, which instructions read from memory as an operand.
    """
    return _splats(like, values, keep=True)


def _zeros(kind: Vector) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return constant(kind, 0)

    return kind(), codegen


@intrinsic
def zeros_f32(typing: Any) -> Any:
    """64 bytes of float32 zeros."""
    return _zeros(Vector(types.float32, VECTOR_BYTES // 4))


@intrinsic
def zeros_f64(typing: Any) -> Any:
    """64 bytes of float64 zeros."""
    return _zeros(Vector(types.float64, VECTOR_BYTES // 8))


def _zeros_like(like: Any, size: int) -> Any:
    element = like.element if isinstance(like, Vector) else like.dtype
    kind = Vector(element, size // (element.bitwidth // 8))
    return kind(like), _zeros(kind)[1]


@intrinsic
def register(typing: Any, like: Any) -> Any:
    """Zeros of the element type of `like` (a vector or a pointer): a register of them, and at least 32 bytes."""
    return _zeros_like(like, max(VECTOR_BYTES // 2, register_bytes()))


@intrinsic
def half_line(typing: Any, like: Any) -> Any:
    """32 bytes of zeros of the element type of `like` (a vector or a pointer)."""
    return _zeros_like(like, VECTOR_BYTES // 2)


@intrinsic
def lanes(typing: Any, vector: Any) -> Any:
    """The number of lanes of a vector."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(cgutils.intp_t, vector.lanes)

    return types.intp(vector), codegen


@intrinsic
def lane_numbers(typing: Any, like: Any) -> Any:
    """Lanes 0, 1, 2, ... as many as `like` (a vector, or a pointer for 64 bytes) has.

    They are int64 for elements of 8 bytes, whose masks select them as they are, and int32 for all others.
    """
    lanes, element = (like.lanes, like.element) if isinstance(like, Vector) else (lanes_of(like), like.dtype)
    kind = Vector(types.int64 if element.bitwidth == 64 else types.int32, lanes)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(vector_type(kind), list(range(lanes)))

    return kind(like), codegen
