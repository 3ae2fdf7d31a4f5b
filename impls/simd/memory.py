"""Loads, stores and prefetches of SIMD vectors and their elements, through pointers.

Passing an array to another compiled function counts its references, atomically, which takes longer than a short row
does; a pointer has none. An index counts elements, without wraparound or bounds check.
"""

# numba.core.types builds some of its names at run time.
# mypy: disable-error-code="attr-defined"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .types import I32, VECTOR_BYTES, Vector, lanes_of, vector_type


def _align_stack(builder: Any) -> None:
    """Let the function align its stack to whole lines, for vectors that there is no register for.

    LLVM cannot decide so any more when it finds that registers do not suffice: without this most such vectors would lie
    across two cache lines, depending on where the caller's stack ends.
    """
    attributes = builder.function.attributes
    attributes.alignstack = VECTOR_BYTES
    attributes.add("nounwind")  # llvmlite writes the alignment of functions with other attributes only


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
        _align_stack(builder)
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
        _align_stack(builder)
        vector = vector_type(kind)
        there = builder.bitcast(builder.gep(args[0], [args[1]]), vector.as_pointer())
        return builder.load(there, align=_size(pointer), typ=vector)

    return kind, codegen


@intrinsic
def load(typing: Any, pointer: Any, index: Any) -> Any:
    """The vector of 64 bytes from element `index` on."""
    kind, codegen = _load(pointer, lanes_of(pointer))
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
        _align_stack(builder)
        there = builder.bitcast(builder.gep(args[0], [args[1]]), vector_type(kind).as_pointer())
        size = kind.lanes * kind.element.bitwidth // 8
        instruction = builder.store(args[2], there, align=size if streaming else _size(pointer))
        if streaming:
            instruction.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(I32, 1)]))
        return context.get_dummy_value()

    return types.void(pointer, types.intp, kind), codegen


@intrinsic
def store(typing: Any, pointer: Any, index: Any, vector: Any) -> Any:
    """Store a vector from element `index` on."""
    return _store(vector, pointer, streaming=False)


@intrinsic
def stream(typing: Any, pointer: Any, index: Any, vector: Any) -> Any:
    """Non-temporal store, which does not read the cache line first; needs an address aligned to the vector's size."""
    return _store(vector, pointer, streaming=True)


@intrinsic
def prefetch(typing: Any, pointer: Any, index: Any) -> Any:
    """Prefetch the cache line of element `index`, which need not exist."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        there = builder.bitcast(builder.gep(args[0], [args[1]]), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [there.type, I32, I32, I32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [there, *(ir.Constant(I32, value) for value in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(pointer, types.intp), codegen


@intrinsic
def address(typing: Any, pointer: Any) -> Any:
    """The pointer as a number."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.ptrtoint(args[0], cgutils.intp_t)

    return types.intp(pointer), codegen
