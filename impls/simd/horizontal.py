"""Operations across the lanes of SIMD vectors: reductions, masks as bits, shuffles."""

# numba.core.types builds some of its names at run time.
# mypy: disable-error-code="attr-defined"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import errors, types
from numba.extending import intrinsic

from .arithmetic import compare
from .types import I32, Vector, is_float


@intrinsic
def first(typing: Any, a: Any) -> Any:
    """The first lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.extract_element(args[0], ir.Constant(I32, 0))

    return a.element(a), codegen


def _tree(builder: Any, value: Any, lanes: int, combine: Callable[[Any, Any], Any]) -> Any:
    """Combine the upper half of the lanes with the lower half until one lane is left."""
    while lanes > 1:
        half = lanes // 2
        kind = ir.Constant(value.type, ir.Undefined)
        low = builder.shuffle_vector(value, kind, ir.Constant(ir.VectorType(I32, half), list(range(half))))
        high = builder.shuffle_vector(value, kind, ir.Constant(ir.VectorType(I32, half), list(range(half, lanes))))
        value, lanes = combine(low, high), half
    return builder.extract_element(value, ir.Constant(I32, 0))


@intrinsic
def reduce_add(typing: Any, a: Any) -> Any:
    """The sum of the lanes, added in pairs."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _tree(builder, args[0], a.lanes, builder.fadd if is_float(a) else builder.add)

    return a.element(a), codegen


def _extreme(a: Any, symbol: str) -> Any:
    """Signature and code of the reduction that keeps of two lanes the first where `symbol` holds, else the second."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def combine(x: Any, y: Any) -> Any:
            return builder.select(compare(builder, a, symbol, x, y), x, y)

        return _tree(builder, args[0], a.lanes, combine)

    return a.element(a), codegen


@intrinsic
def reduce_max(typing: Any, a: Any) -> Any:
    """The largest lane; unspecified when one is NaN."""

    return _extreme(a, ">")


@intrinsic
def reduce_min(typing: Any, a: Any) -> Any:
    """The smallest lane; unspecified when one is NaN."""

    return _extreme(a, "<")


@intrinsic
def any_lane(typing: Any, mask: Any) -> Any:
    """Whether any lane of a mask is set."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        word = ir.IntType(mask.lanes)
        return builder.icmp_unsigned("!=", builder.bitcast(args[0], word), ir.Constant(word, 0))

    return types.boolean(mask), codegen


@intrinsic
def all_lanes(typing: Any, mask: Any) -> Any:
    """Whether all lanes of a mask are set."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        word = ir.IntType(mask.lanes)
        return builder.icmp_unsigned("==", builder.bitcast(args[0], word), ir.Constant(word, -1))

    return types.boolean(mask), codegen


@intrinsic
def mask_bits(typing: Any, mask: Any) -> Any:
    """A mask as an unsigned 64-bit integer: bit i is lane i."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        word = builder.bitcast(args[0], ir.IntType(mask.lanes))
        wide = ir.IntType(64)
        return word if mask.lanes == 64 else builder.zext(word, wide)

    return types.uint64(mask), codegen


@intrinsic
def lowest_bit(typing: Any, word: Any) -> Any:
    """The position of the lowest bit that is set; 64 when none is."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.intp(types.uint64), codegen


def _shuffled(a: Vector, first: list[int], second: list[int]) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes = ir.VectorType(I32, a.lanes)
        mixed = [builder.shuffle_vector(*args, ir.Constant(lanes, picks)) for picks in (first, second)]
        return context.make_tuple(builder, sig.return_type, mixed)

    return types.UniTuple(a, 2)(a, a), codegen


@intrinsic
def deinterleave(typing: Any, a: Any, b: Any) -> Any:
    """The even lanes of a and then b, and the odd ones."""
    return _shuffled(a, list(range(0, 2 * a.lanes, 2)), list(range(1, 2 * a.lanes, 2)))


@intrinsic
def interleave(typing: Any, a: Any, b: Any) -> Any:
    """Lanes of a and b in turn, as two vectors: what `deinterleave` undoes."""
    mixed = [lane + source * a.lanes for lane in range(a.lanes) for source in (0, 1)]
    return _shuffled(a, mixed[: a.lanes], mixed[a.lanes :])


@intrinsic(prefer_literal=True)
def shuffle_xor(typing: Any, a: Any, distance: Any) -> Any:
    """Shuffle (xor): lane i of the result is lane i ^ `distance` of a; the distance is a constant."""
    count = distance.literal_value if isinstance(distance, types.IntegerLiteral) else None
    if count is None:
        raise errors.RequireLiteralValue("swap takes a constant distance")

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes = ir.Constant(ir.VectorType(I32, a.lanes), [lane ^ count for lane in range(a.lanes)])
        return builder.shuffle_vector(args[0], args[0], lanes)

    return a(a, distance), codegen


@intrinsic
def join(typing: Any, a: Any, b: Any) -> Any:
    """The lanes of a and then those of b, as one vector."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes = ir.Constant(ir.VectorType(I32, 2 * a.lanes), list(range(2 * a.lanes)))
        return builder.shuffle_vector(args[0], args[1], lanes)

    return Vector(a.element, 2 * a.lanes)(a, a), codegen


@intrinsic
def transpose4(typing: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Four vectors of 4 lanes as the rows of a matrix: its columns, as a tuple of four."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def mix(x: Any, y: Any, lanes: list[int]) -> Any:
            return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, 4), lanes))

        low, high = [0, 4, 1, 5], [2, 6, 3, 7]
        p, q, r, s = args
        pq, rs, pq2, rs2 = mix(p, q, low), mix(r, s, low), mix(p, q, high), mix(r, s, high)
        columns = [
            mix(pq, rs, [0, 1, 4, 5]),
            mix(pq, rs, [2, 3, 6, 7]),
            mix(pq2, rs2, [0, 1, 4, 5]),
            mix(pq2, rs2, [2, 3, 6, 7]),
        ]
        return context.make_tuple(builder, sig.return_type, columns)

    return types.UniTuple(a, 4)(a, a, a, a), codegen
