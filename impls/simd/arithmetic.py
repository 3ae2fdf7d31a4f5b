"""Elementwise operations on SIMD vectors: arithmetic, comparisons, selection, bits and conversions.

All keep IEEE semantics: no operation carries a fast-math flag.
"""

# numba.core.types builds some of its names at run time.
# mypy: disable-error-code="attr-defined"

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic

from .processor import has_fma
from .scalars import broadcast_scalar
from .types import Vector, constant, is_float, mask_of, vector_type

# Arithmetic between vectors of one type.
_ARITHMETIC = {
    operator.add: ("fadd", "add"),
    operator.sub: ("fsub", "sub"),
    operator.mul: ("fmul", "mul"),
    operator.truediv: ("fdiv", None),
    operator.and_: (None, "and_"),
    operator.or_: (None, "or_"),
    operator.xor: (None, "xor"),
}


def _define_arithmetic(function: Callable[..., Any], names: tuple[str | None, str | None]) -> None:
    @infer_global(function)
    class _Typing(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and isinstance(args[0], Vector) and args[0] == args[1]:
                return signature(args[0], *args)
            return None

    @lower_builtin(function, Vector, Vector)
    def _lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, str(names[0 if is_float(sig.return_type) else 1]))(*args)


for _function, _names in _ARITHMETIC.items():
    _define_arithmetic(_function, _names)


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once where the processor has the instruction, else twice."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = vector_type(a)
        name = f"llvm.fmuladd.v{a.lanes}f{a.element.bitwidth}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 3), name)
        return builder.call(function, args)

    return a(a, a, a), codegen


@intrinsic
def fused(typing: Any, like: Any) -> Any:
    """Whether `fma` rounds once on the processor that is compiled for: a constant."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(1), int(has_fma()))

    return types.boolean(like), codegen


def compare(builder: Any, kind: Vector, symbol: str, a: Any, b: Any) -> Any:
    """Build the comparison of two LLVM vectors of a type; false where either is NaN."""
    if is_float(kind):
        return builder.fcmp_ordered(symbol, a, b)
    return (builder.icmp_signed if getattr(kind.element, "signed", False) else builder.icmp_unsigned)(symbol, a, b)


@intrinsic
def greater(typing: Any, a: Any, b: Any) -> Any:
    """The mask of lanes where a > b; false where either is NaN."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return compare(builder, a, ">", *args)

    return mask_of(a)(a, a), codegen


@intrinsic
def equal(typing: Any, a: Any, b: Any) -> Any:
    """The mask of lanes where a == b; false where either is NaN."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return compare(builder, a, "==", *args)

    return mask_of(a)(a, a), codegen


@intrinsic
def nonzero(typing: Any, a: Any) -> Any:
    """The mask of integer lanes that are not 0."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.icmp_unsigned("!=", args[0], constant(a, 0))

    return mask_of(a)(a), codegen


@intrinsic
def unordered(typing: Any, a: Any, b: Any) -> Any:
    """The mask of lanes where a or b is NaN; all false for integers."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if is_float(a):
            return builder.fcmp_unordered("uno", *args)
        return constant(mask_of(a), 0)

    return mask_of(a)(a, a), codegen


@intrinsic
def widened(typing: Any, mask: Any, like: Any) -> Any:
    """A mask as integer lanes of the width of those of the vector `like`: all their bits or none.

    For masks that a loop carries: LLVM would pack and unpack a mask of bits in every iteration.
    """
    kind = Vector(types.Integer.from_bitwidth(like.element.bitwidth), like.lanes)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.sext(args[0], vector_type(kind))

    return kind(mask, like), codegen


@intrinsic
def greater_or_nan(typing: Any, a: Any, b: Any) -> Any:
    """The mask of lanes where a > b, or a is NaN and b is not: argmax's order."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if not is_float(a):
            return compare(builder, a, ">", *args)
        return builder.and_(builder.fcmp_unordered(">", *args), builder.fcmp_ordered("ord", args[1], args[1]))

    return mask_of(a)(a, a), codegen


@intrinsic
def select(typing: Any, mask: Any, a: Any, b: Any) -> Any:
    """a in the lanes of the mask, b in the others."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(*args)

    return a(mask, a, a), codegen


@intrinsic
def maximum(typing: Any, a: Any, b: Any) -> Any:
    """a where a > b, else b; b if either is NaN. One instruction on x86, two on ARM."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(compare(builder, a, ">", *args), *args)

    return a(a, a), codegen


@intrinsic
def minimum(typing: Any, a: Any, b: Any) -> Any:
    """a where a < b, else b; b if either is NaN. One instruction on x86, two on ARM."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(compare(builder, a, "<", *args), *args)

    return a(a, a), codegen


@intrinsic
def bits(typing: Any, a: Any) -> Any:
    """The lanes of a float vector as integers of the same width, bit for bit."""
    kind = Vector(types.Integer.from_bitwidth(a.element.bitwidth), a.lanes)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], vector_type(kind))

    return kind(a), codegen


@intrinsic
def from_bits(typing: Any, a: Any) -> Any:
    """The lanes of an int32 or int64 vector as floats of the same width, bit for bit."""
    kind = Vector({32: types.float32, 64: types.float64}[a.element.bitwidth], a.lanes)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], vector_type(kind))

    return kind(a), codegen


@intrinsic
def shift_left(typing: Any, a: Any, count: Any) -> Any:
    """Integer lanes shifted left by count."""
    return _shift(a, count, "shl")


@intrinsic
def shift_right(typing: Any, a: Any, count: Any) -> Any:
    """Integer lanes shifted right by count; the sign is kept where the type has one."""
    return _shift(a, count, "ashr" if a.element.signed else "lshr")


def _shift(a: Vector, count: types.Type, instruction: str) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        scalar = context.cast(builder, args[1], count, a.element)
        return getattr(builder, instruction)(args[0], broadcast_scalar(builder, a, scalar))

    return a(a, count), codegen


@intrinsic
def convert(typing: Any, a: Any, like: Any) -> Any:
    """The lanes of a with their values in the element type of the vector or pointer `like`, as C casts do."""
    kind = Vector(like.element if isinstance(like, Vector) else like.dtype, a.lanes)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _cast(builder, args[0], a, kind)

    return kind(a, like), codegen


def _cast(builder: Any, value: Any, old: Vector, new: Vector) -> Any:
    vector = vector_type(new)
    narrower = new.element.bitwidth < old.element.bitwidth
    if is_float(old) and is_float(new):
        if new.element == old.element:
            return value
        return (builder.fptrunc if narrower else builder.fpext)(value, vector)
    if is_float(old) or is_float(new):
        raise TypeError(f"convert does not take {old} to {new}")
    if new.element.bitwidth == old.element.bitwidth:
        return value
    if narrower:
        return builder.trunc(value, vector)
    return (builder.sext if old.element.signed else builder.zext)(value, vector)
