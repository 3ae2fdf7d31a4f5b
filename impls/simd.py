"""SIMD vectors as values in Numba functions: LLVM vectors with loads, stores, arithmetic and shuffles.

A loop that is written over vectors does not depend on whether LLVM's loop vectoriser recognises it, and
keeps IEEE semantics: nothing here carries a fast-math flag. Vectors may be longer than those of the
processor; LLVM then splits them, so the same code serves SSE2, AVX2, AVX-512 and NEON.

Memory is read and written through pointers: passing an array to another compiled function counts its
references, atomically, which costs more than a short row does. An index counts elements, without wraparound
or bounds check.
"""

# numba.core.types builds some of its names at run time.
# mypy: disable-error-code="attr-defined"

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, errors, types
from numba.core.datamodel import models
from numba.core.imputils import lower_builtin
from numba.core.registry import cpu_target
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, register_model

VECTOR_BYTES = 64  # a cache line, an AVX-512 register, two of AVX2

_I32 = ir.IntType(32)
# By architecture, the letter that asks for a vector register in LLVM's inline assembly.
_REGISTER_CONSTRAINTS = {"x86_64": "x"}


class Vector(types.Type):
    """`lanes` elements of one Numba scalar type; of `types.boolean` it is a mask."""

    def __init__(self, element: Any, lanes: int) -> None:
        self.element: Any = element  # a Numba scalar type
        self.lanes = lanes
        super().__init__(name=f"Vector({element}, {lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, ir.VectorType(_llvm(kind.element), kind.lanes))


def _llvm(element: Any) -> ir.Type:
    if element is types.boolean:
        return ir.IntType(1)
    if isinstance(element, types.Float):
        return {32: ir.FloatType(), 64: ir.DoubleType()}[element.bitwidth]
    return ir.IntType(element.bitwidth)


def _vector_type(kind: Vector) -> ir.VectorType:
    return ir.VectorType(_llvm(kind.element), kind.lanes)


def _lanes(array: Any) -> int:
    return (
        int(VECTOR_BYTES * 8 // _llvm(array.dtype).width)
        if isinstance(array.dtype, types.Integer)
        else int(VECTOR_BYTES * 8 // array.dtype.bitwidth)
    )


def _is_float(kind: Vector) -> bool:
    return isinstance(kind.element, types.Float)


def _constant(kind: Vector, value: float) -> ir.Constant:
    return ir.Constant(_vector_type(kind), [value] * kind.lanes)


def _mask(kind: Vector) -> Vector:
    return Vector(types.boolean, kind.lanes)


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
        return getattr(builder, str(names[0 if _is_float(sig.return_type) else 1]))(*args)


for _function, _names in _ARITHMETIC.items():
    _define_arithmetic(_function, _names)


# Memory.


@intrinsic
def data(typing: Any, array: Any) -> Any:
    """The pointer to a C-contiguous array's first element. The array must outlive it."""
    if not (isinstance(array, types.Array) and array.layout == "C"):
        raise TypeError(f"data takes C-contiguous arrays, got {array}")

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.make_array(array)(context, builder, value=args[0]).data

    return types.CPointer(array.dtype)(array), codegen


@intrinsic
def offset(typing: Any, pointer: Any, index: Any) -> Any:
    """The pointer to element `index`."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, types.intp), codegen


@intrinsic
def get(typing: Any, pointer: Any, index: Any) -> Any:
    """Element `index`."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(builder.gep(args[0], [args[1]]))

    return pointer.dtype(pointer, types.intp), codegen


@intrinsic
def put(typing: Any, pointer: Any, index: Any, value: Any) -> Any:
    """Set element `index`."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(context.cast(builder, args[2], value, pointer.dtype), builder.gep(args[0], [args[1]]))
        return context.get_dummy_value()

    return types.void(pointer, types.intp, value), codegen


def _size(pointer: Any) -> int:
    return int(pointer.dtype.bitwidth // 8)


def _load(pointer: Any, lanes: int) -> Any:
    kind = Vector(pointer.dtype, lanes)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = _vector_type(kind)
        there = builder.bitcast(builder.gep(args[0], [args[1]]), vector.as_pointer())
        return builder.load(there, align=_size(pointer), typ=vector)

    return kind, codegen


@intrinsic
def load(typing: Any, pointer: Any, index: Any) -> Any:
    """64 bytes of elements from `index` on."""
    kind, codegen = _load(pointer, _lanes(pointer))
    return kind(pointer, types.intp), codegen


@intrinsic
def load_as(typing: Any, pointer: Any, index: Any, like: Any) -> Any:
    """As many elements from `index` on as the vector `like` has lanes."""
    kind, codegen = _load(pointer, like.lanes)
    return kind(pointer, types.intp, like), codegen


@intrinsic
def load4(typing: Any, pointer: Any, index: Any) -> Any:
    """4 elements from `index` on."""
    kind, codegen = _load(pointer, 4)
    return kind(pointer, types.intp), codegen


def _store(kind: Vector, pointer: Any, streaming: bool) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        there = builder.bitcast(builder.gep(args[0], [args[1]]), _vector_type(kind).as_pointer())
        size = kind.lanes * kind.element.bitwidth // 8
        instruction = builder.store(args[2], there, align=size if streaming else _size(pointer))
        if streaming:
            instruction.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(_I32, 1)]))
        return context.get_dummy_value()

    return types.void(pointer, types.intp, kind), codegen


@intrinsic
def store(typing: Any, pointer: Any, index: Any, vector: Any) -> Any:
    """Store a vector from element `index` on."""
    return _store(vector, pointer, streaming=False)


@intrinsic
def stream(typing: Any, pointer: Any, index: Any, vector: Any) -> Any:
    """Store past the caches, without reading the line first; the address must be aligned to the vector's size."""
    return _store(vector, pointer, streaming=True)


@intrinsic
def prefetch(typing: Any, pointer: Any, index: Any) -> Any:
    """Ask for the line of element `index`, which need not exist, to be brought into the caches."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        there = builder.bitcast(builder.gep(args[0], [args[1]]), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [there.type, _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [there, *(ir.Constant(_I32, value) for value in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(pointer, types.intp), codegen


@intrinsic
def address(typing: Any, pointer: Any) -> Any:
    """The pointer as a number."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.ptrtoint(args[0], cgutils.intp_t)

    return types.intp(pointer), codegen


# Making vectors.


def _splat(builder: Any, kind: Vector, scalar: Any) -> Any:
    undefined = ir.Constant(_vector_type(kind), ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, kind.lanes), [0] * kind.lanes))


@intrinsic
def splat(typing: Any, like: Any, value: Any) -> Any:
    """A vector of the type of `like` (a vector, or a pointer and then 64 bytes) with value in every lane."""
    kind = like if isinstance(like, Vector) else Vector(like.dtype, _lanes(like))

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _splat(builder, kind, context.cast(builder, args[1], value, kind.element))

    return kind(like, value), codegen


@intrinsic
def spread(typing: Any, a: Any) -> Any:
    """The first lane in every lane, for vectors whose lanes are equal: registers that hold a part each become one."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _splat(builder, a, builder.extract_element(args[0], ir.Constant(_I32, 0)))

    return a(a), codegen


@intrinsic
def first(typing: Any, a: Any) -> Any:
    """The first lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.extract_element(args[0], ir.Constant(_I32, 0))

    return a.element(a), codegen


def _splats(like: Any, values: Any, keep: bool) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        constraint = _REGISTER_CONSTRAINTS.get(context.codegen()._tm.triple.split("-")[0])
        vectors = []
        for i in range(values.count):
            scalar = context.cast(builder, builder.extract_value(args[1], i), values.dtype, like.element)
            vector = _splat(builder, like, scalar)
            if keep and constraint is not None and like.lanes * like.element.bitwidth <= 8 * register_bytes():
                opaque = ir.FunctionType(vector.type, [vector.type])
                vector = builder.asm(opaque, "", f"={constraint},0", [vector], side_effect=False)
            vectors.append(vector)
        return context.make_tuple(builder, sig.return_type, vectors)

    return types.UniTuple(like, values.count)(like, values), codegen


@intrinsic
def splats(typing: Any, like: Any, values: Any) -> Any:
    """Of each value of a tuple of scalars a vector with it in every lane."""
    return _splats(like, values, keep=False)


@intrinsic
def kept_splats(typing: Any, like: Any, values: Any) -> Any:
    """As `splats`, of a register's width, as if the values were no constants.

    LLVM loads constants in every turn of a loop when it runs out of registers, which takes longer than to keep most of
    them and to read the others where they are used.
    """
    return _splats(like, values, keep=True)


def _zeros(kind: Vector) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _constant(kind, 0)

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
    """Zeros of the type of the elements of `like` (a vector or a pointer), a register full of them or 32 bytes."""
    return _zeros_like(like, max(VECTOR_BYTES // 2, register_bytes()))


@intrinsic
def half_line(typing: Any, like: Any) -> Any:
    """32 bytes of zeros of the type of the elements of `like` (a vector or a pointer)."""
    return _zeros_like(like, VECTOR_BYTES // 2)


@functools.cache
def register_bytes() -> int:
    """The bytes of a register of the processor that is compiled for; tried out, as in `_fuses`."""
    source = """
        define <16 x float> @probe(<16 x float> %a, <16 x float> %b) {
            %r = fadd <16 x float> %a, %b
            ret <16 x float> %r
        }"""
    assembly: str = cpu_target.target_context.codegen()._tm.emit_assembly(binding.parse_assembly(source))
    return 64 if "zmm" in assembly else 32 if "ymm" in assembly else 16


def has_long_registers() -> bool:
    """Whether a register is as long as a line of a cache; there are 32 of them then."""
    return register_bytes() == VECTOR_BYTES


@intrinsic
def lanes(typing: Any, vector: Any) -> Any:
    """The number of lanes of a vector."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(cgutils.intp_t, vector.lanes)

    return types.intp(vector), codegen


@intrinsic
def lane_numbers(typing: Any, like: Any) -> Any:
    """Lanes 0, 1, 2, ... as many as `like` (a vector, or a pointer and then 64 bytes) has.

    They are int64 for elements of 8 bytes, whose masks select them as they are, and int32 for all others.
    """
    lanes, element = (like.lanes, like.element) if isinstance(like, Vector) else (_lanes(like), like.dtype)
    kind = Vector(types.int64 if element.bitwidth == 64 else types.int32, lanes)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(_vector_type(kind), list(range(lanes)))

    return kind(like), codegen


# Elementwise.


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once where the processor has the instruction, else twice."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = _vector_type(a)
        name = f"llvm.fmuladd.v{a.lanes}f{a.element.bitwidth}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 3), name)
        return builder.call(function, args)

    return a(a, a, a), codegen


@intrinsic
def fused(typing: Any, like: Any) -> Any:
    """Whether `fma` rounds once on the processor that is compiled for: a constant."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(1), int(_fuses(context.codegen())))

    return types.boolean(like), codegen


def _fuses(library_factory: Any) -> bool:
    """Tried out: features follow from the name of a processor as well as from the list of its features."""
    source = """
        declare float @llvm.fmuladd.f32(float, float, float)
        define float @probe(float %a, float %b, float %c) {
            %r = call float @llvm.fmuladd.f32(float %a, float %b, float %c)
            ret float %r
        }"""
    assembly: str = library_factory._tm.emit_assembly(binding.parse_assembly(source))
    return "madd" in assembly


def _compare(builder: Any, kind: Vector, symbol: str, a: Any, b: Any) -> Any:
    if _is_float(kind):
        return builder.fcmp_ordered(symbol, a, b)
    return (builder.icmp_signed if getattr(kind.element, "signed", False) else builder.icmp_unsigned)(symbol, a, b)


@intrinsic
def greater(typing: Any, a: Any, b: Any) -> Any:
    """The mask of lanes where a > b; false where either is NaN."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _compare(builder, a, ">", *args)

    return _mask(a)(a, a), codegen


@intrinsic
def equal(typing: Any, a: Any, b: Any) -> Any:
    """The mask of lanes where a == b; false where either is NaN."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _compare(builder, a, "==", *args)

    return _mask(a)(a, a), codegen


@intrinsic
def nonzero(typing: Any, a: Any) -> Any:
    """The mask of integer lanes that are not 0."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.icmp_unsigned("!=", args[0], _constant(a, 0))

    return _mask(a)(a), codegen


@intrinsic
def unordered(typing: Any, a: Any, b: Any) -> Any:
    """The mask of lanes where a or b is NaN; all false for integers."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if _is_float(a):
            return builder.fcmp_unordered("uno", *args)
        return _constant(_mask(a), 0)

    return _mask(a)(a, a), codegen


@intrinsic
def widened(typing: Any, mask: Any, like: Any) -> Any:
    """A mask as integer lanes of the width of those of the vector `like`: all their bits or none.

    What a loop carries on from turn to turn is kept so; a mask would be packed and unpacked in every turn.
    """
    kind = Vector(types.Integer.from_bitwidth(like.element.bitwidth), like.lanes)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.sext(args[0], _vector_type(kind))

    return kind(mask, like), codegen


@intrinsic
def beats(typing: Any, a: Any, b: Any) -> Any:
    """The mask of lanes where a > b, or a is NaN and b is not: argmax's order."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if not _is_float(a):
            return _compare(builder, a, ">", *args)
        return builder.and_(builder.fcmp_unordered(">", *args), builder.fcmp_ordered("ord", args[1], args[1]))

    return _mask(a)(a, a), codegen


@intrinsic
def select(typing: Any, mask: Any, a: Any, b: Any) -> Any:
    """a in the lanes of the mask, b in the others."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(*args)

    return a(mask, a, a), codegen


@intrinsic
def maximum(typing: Any, a: Any, b: Any) -> Any:
    """a where a > b, else b: one instruction. Of a NaN and a number the result is b, whichever that is."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(_compare(builder, a, ">", *args), *args)

    return a(a, a), codegen


@intrinsic
def minimum(typing: Any, a: Any, b: Any) -> Any:
    """a where a < b, else b: one instruction. Of a NaN and a number the result is b, whichever that is."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(_compare(builder, a, "<", *args), *args)

    return a(a, a), codegen


@intrinsic
def bits(typing: Any, a: Any) -> Any:
    """The lanes of a float vector as integers of the same width, bit for bit."""
    kind = Vector(types.Integer.from_bitwidth(a.element.bitwidth), a.lanes)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], _vector_type(kind))

    return kind(a), codegen


@intrinsic
def from_bits(typing: Any, a: Any) -> Any:
    """The lanes of an int32 or int64 vector as floats of the same width, bit for bit."""
    kind = Vector({32: types.float32, 64: types.float64}[a.element.bitwidth], a.lanes)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], _vector_type(kind))

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
        return getattr(builder, instruction)(args[0], _splat(builder, a, scalar))

    return a(a, count), codegen


@intrinsic
def convert(typing: Any, a: Any, like: Any) -> Any:
    """The lanes of a with their values in the element type of the vector or pointer `like`, as C casts do."""
    kind = Vector(like.element if isinstance(like, Vector) else like.dtype, a.lanes)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _cast(builder, args[0], a, kind)

    return kind(a, like), codegen


def _cast(builder: Any, value: Any, old: Vector, new: Vector) -> Any:
    vector = _vector_type(new)
    narrower = new.element.bitwidth < old.element.bitwidth
    if _is_float(old) and _is_float(new):
        if new.element == old.element:
            return value
        return (builder.fptrunc if narrower else builder.fpext)(value, vector)
    if _is_float(old) or _is_float(new):
        raise TypeError(f"convert does not take {old} to {new}")
    if new.element.bitwidth == old.element.bitwidth:
        return value
    if narrower:
        return builder.trunc(value, vector)
    return (builder.sext if old.element.signed else builder.zext)(value, vector)


# Across lanes.


def _tree(builder: Any, value: Any, lanes: int, combine: Callable[[Any, Any], Any]) -> Any:
    """Combine the upper half of the lanes with the lower until one is left."""
    while lanes > 1:
        half = lanes // 2
        kind = ir.Constant(value.type, ir.Undefined)
        low = builder.shuffle_vector(value, kind, ir.Constant(ir.VectorType(_I32, half), list(range(half))))
        high = builder.shuffle_vector(value, kind, ir.Constant(ir.VectorType(_I32, half), list(range(half, lanes))))
        value, lanes = combine(low, high), half
    return builder.extract_element(value, ir.Constant(_I32, 0))


@intrinsic
def reduce_add(typing: Any, a: Any) -> Any:
    """The sum of the lanes, added in pairs."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _tree(builder, args[0], a.lanes, builder.fadd if _is_float(a) else builder.add)

    return a.element(a), codegen


@intrinsic
def reduce_max(typing: Any, a: Any) -> Any:
    """The largest lane; unspecified when one is NaN."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def combine(x: Any, y: Any) -> Any:
            return builder.select(_compare(builder, a, ">", x, y), x, y)

        return _tree(builder, args[0], a.lanes, combine)

    return a.element(a), codegen


@intrinsic
def reduce_min(typing: Any, a: Any) -> Any:
    """The smallest lane; unspecified when one is NaN."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def combine(x: Any, y: Any) -> Any:
            return builder.select(_compare(builder, a, "<", x, y), x, y)

        return _tree(builder, args[0], a.lanes, combine)

    return a.element(a), codegen


@intrinsic
def some(typing: Any, mask: Any) -> Any:
    """Whether any lane of a mask is set."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        word = ir.IntType(mask.lanes)
        return builder.icmp_unsigned("!=", builder.bitcast(args[0], word), ir.Constant(word, 0))

    return types.boolean(mask), codegen


@intrinsic
def every(typing: Any, mask: Any) -> Any:
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
        lanes = ir.VectorType(_I32, a.lanes)
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
def swap(typing: Any, a: Any, distance: Any) -> Any:
    """The lanes of a, of which each has changed places with that at its number xor `distance`, a constant."""
    count = distance.literal_value if isinstance(distance, types.IntegerLiteral) else None
    if count is None:
        raise errors.RequireLiteralValue("swap takes a constant distance")

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes = ir.Constant(ir.VectorType(_I32, a.lanes), [lane ^ count for lane in range(a.lanes)])
        return builder.shuffle_vector(args[0], args[0], lanes)

    return a(a, distance), codegen


@intrinsic
def join(typing: Any, a: Any, b: Any) -> Any:
    """The lanes of a and then those of b, as one vector."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes = ir.Constant(ir.VectorType(_I32, 2 * a.lanes), list(range(2 * a.lanes)))
        return builder.shuffle_vector(args[0], args[1], lanes)

    return Vector(a.element, 2 * a.lanes)(a, a), codegen


@intrinsic
def transpose4(typing: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Four vectors of 4 lanes as the rows of a matrix: its columns, as a tuple of four."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def mix(x: Any, y: Any, lanes: list[int]) -> Any:
            return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(_I32, 4), lanes))

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
