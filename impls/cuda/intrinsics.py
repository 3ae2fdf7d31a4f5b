"""Every device intrinsic of the kernels: what it means, in what units, and the instruction it must become.

The table is `INSTRUCTIONS`; tests compile the kernels and look for them. Under Numba's simulator the same
names come from `impls.cuda.simulated`, written in Python. Addresses are counts of elements from the start
of a C-contiguous array; "vector" means 16 bytes at a 16-byte boundary.
"""

from __future__ import annotations

import functools
from typing import Any

from .elements import VECTOR_BYTES, Access, Element
from .platform import SIMULATED

# name -> (PTX instruction, machine instruction on sm_80 and sm_90).
INSTRUCTIONS = {
    "load_vector": ("ld.global.nc.L1::no_allocate.v4.b32", "LDG.E.128"),
    "copy_async": ("cp.async.cg.shared.global", "LDGSTS.E.BYPASS.128"),
    "load_shared": ("ld.shared.v4.b32", "LDS.128"),
    "store_vector": ("st.global.cs.v4.b32", "STG.E.EF.128"),
    "exp2": ("ex2.approx.ftz.f32", "MUFU.EX2"),
    "reciprocal": ("rcp.approx.ftz.f32", "MUFU.RCP"),
    "maximum of float32": ("max.NaN.f32", "FMNMX.NAN"),
    "warp_max": ("redux.sync.max.u32", "REDUX.MAX"),
    "warp_min": ("redux.sync.min.u32", "REDUX.MIN"),
    "shuffle_xor": ("shfl.sync.bfly.b32", "SHFL.BFLY"),
    "load_relaxed": ("ld.relaxed.gpu.global", "LDG.E.STRONG.GPU"),
    "store_relaxed": ("st.relaxed.gpu.global", "STG.E.STRONG.GPU"),
}


if SIMULATED:
    from .simulated import (
        access,
        bits_float,
        copy_async,
        exp2,
        float_bits,
        load_relaxed,
        maximum,
        misalignment,
        pause,
        reciprocal,
        shuffle_xor,
        store_relaxed,
        wait_for_copies,
        warp_max,
        warp_min,
    )
else:
    from llvmlite import ir
    from numba.cuda import types
    from numba.cuda.extending import intrinsic
    from numba.cuda.np import numpy_support

    _I32, _I64, _F32, _F64 = ir.IntType(32), ir.IntType(64), ir.FloatType(), ir.DoubleType()
    _FOUR = ir.VectorType(_I32, 4)

    def _address(context, builder, array_type, array, index):
        """A pointer to array[index], counted over the flat array."""
        data = context.make_array(array_type)(context, builder, value=array).data
        return builder.gep(data, [index])

    def _shared_address(context, builder, array_type, buffer, slot):
        """The generic address of vector `slot` of an array of 32-bit words in shared memory."""
        word = builder.mul(slot, ir.Constant(slot.type, VECTOR_BYTES // 4))
        return builder.ptrtoint(_address(context, builder, array_type, buffer, word), _I64)

    def _assembly(builder, result, text, constraints, arguments, effect=False):
        kind = ir.FunctionType(result, [a.type for a in arguments])
        return builder.call(ir.InlineAsm(kind, text, constraints, side_effect=effect), arguments)

    def _widen(builder, bits, element):
        """An element's bits (an LLVM integer) as its register value."""
        if element.name == "float16":
            return builder.fpext(builder.bitcast(bits, ir.HalfType()), _F32)
        if element.name == "bfloat16":  # the upper half of a float32
            return builder.bitcast(builder.shl(builder.zext(bits, _I32), ir.Constant(_I32, 16)), _F32)
        if element.floating:
            return builder.bitcast(bits, _F64 if element.wide else _F32)
        if bits.type.width >= 32:
            return bits
        return (builder.sext if element.storage.kind == "i" else builder.zext)(bits, _I32)

    def _narrow(builder, value, element):
        """A register value as the bits to store."""
        bits = ir.IntType(8 * element.storage.itemsize)
        if element.name == "float16":
            return builder.bitcast(builder.fptrunc(value, ir.HalfType()), bits)
        if element.name == "bfloat16":
            return _assembly(builder, bits, "cvt.rn.bf16.f32 $0, $1;", "=h,f", [value])
        if element.floating:
            return builder.bitcast(value, bits)
        return value if bits.width >= 32 else builder.trunc(value, bits)

    @functools.cache
    def access(element: Element) -> Access:
        """The loads and stores of an element type."""
        bits = ir.IntType(8 * element.storage.itemsize)
        vector = ir.VectorType(bits, element.per_vector)
        register = numpy_support.from_dtype(element.register)

        def register_address(context, builder, kind, registers, at, j):
            return _address(context, builder, kind, registers, builder.add(at, ir.Constant(at.type, j)))

        def spread(context, builder, signature, registers, at, four):
            """Put the elements of a vector, given as four words, into registers."""
            words = ir.Constant(_FOUR, ir.Undefined)
            for j in range(4):
                words = builder.insert_element(words, builder.extract_value(four, j), ir.Constant(_I32, j))
            values = builder.bitcast(words, vector)
            for j in range(element.per_vector):
                value = _widen(builder, builder.extract_element(values, ir.Constant(_I32, j)), element)
                builder.store(value, register_address(context, builder, signature.args[0], registers, at, j))
            return context.get_dummy_value()

        @intrinsic
        def load_vector(typing, registers, at, array, index):
            def generate(context, builder, signature, arguments):
                address = _address(context, builder, signature.args[2], arguments[2], arguments[3])
                four = _assembly(
                    builder,
                    ir.LiteralStructType([_I32] * 4),
                    "ld.global.nc.L1::no_allocate.v4.b32 {$0, $1, $2, $3}, [$4];",
                    "=r,=r,=r,=r,l",
                    [builder.ptrtoint(address, _I64)],
                )
                return spread(context, builder, signature, *arguments[:2], four)

            return types.void(registers, types.int64, array, types.int64), generate

        def load_if(builder, load, address, inside, effect):
            """Four words by a load of the address $4, or the least value of storage.

            The predicate is inside the assembly: a branch around a load would be waited for before the next.
            """
            return _assembly(
                builder,
                ir.LiteralStructType([_I32] * 4),
                "{ .reg .pred inside; setp.ne.u32 inside, $5, 0; "
                f"mov.b32 $0, $6; mov.b32 $1, $7; mov.b32 $2, $8; mov.b32 $3, $9; {load} }}",
                "=&r,=&r,=&r,=&r,l,r,r,r,r,r",
                [address, builder.zext(inside, _I32)] + [ir.Constant(_I32, int(word)) for word in element.fill],
                effect,
            )

        @intrinsic
        def load_vector_if(typing, registers, at, array, index, inside):
            def generate(context, builder, signature, arguments):
                address = _address(context, builder, signature.args[2], arguments[2], arguments[3])
                load = "@inside ld.global.nc.L1::no_allocate.v4.b32 {$0, $1, $2, $3}, [$4];"
                four = load_if(builder, load, builder.ptrtoint(address, _I64), arguments[4], False)
                return spread(context, builder, signature, *arguments[:2], four)

            return types.void(registers, types.int64, array, types.int64, types.boolean), generate

        @intrinsic
        def load_shared(typing, registers, at, buffer, slot, inside):
            def generate(context, builder, signature, arguments):
                address = _shared_address(context, builder, signature.args[2], arguments[2], arguments[3])
                load = (
                    "{ .reg .u64 place; cvta.to.shared.u64 place, $4; "
                    "@inside ld.shared.v4.b32 {$0, $1, $2, $3}, [place]; }"
                )
                four = load_if(builder, load, address, arguments[4], True)  # after the wait for copies
                return spread(context, builder, signature, *arguments[:2], four)

            return types.void(registers, types.int64, buffer, types.int64, types.boolean), generate

        def gather(context, builder, signature, registers, at):
            """Four words of the elements in registers."""
            values = ir.Constant(vector, ir.Undefined)
            for j in range(element.per_vector):
                source = register_address(context, builder, signature.args[2], registers, at, j)
                value = _narrow(builder, builder.load(source), element)
                values = builder.insert_element(values, value, ir.Constant(_I32, j))
            return builder.bitcast(values, _FOUR)

        @intrinsic
        def store_shared(typing, buffer, slot, registers, at):
            def generate(context, builder, signature, arguments):
                words = gather(context, builder, signature, *arguments[2:])
                address = _shared_address(context, builder, signature.args[0], *arguments[:2])
                _assembly(
                    builder,
                    ir.VoidType(),
                    "{ .reg .u64 place; cvta.to.shared.u64 place, $0; st.shared.v4.b32 [place], {$1, $2, $3, $4}; }",
                    "l,r,r,r,r,~{memory}",
                    [address, *(builder.extract_element(words, ir.Constant(_I32, j)) for j in range(4))],
                    effect=True,
                )
                return context.get_dummy_value()

            return types.void(buffer, types.int64, registers, types.int64), generate

        @intrinsic
        def store_vector(typing, array, index, registers, at):
            def generate(context, builder, signature, arguments):
                words = gather(context, builder, signature, *arguments[2:])
                address = _address(context, builder, signature.args[0], arguments[0], arguments[1])
                _assembly(
                    builder,
                    ir.VoidType(),
                    "st.global.cs.v4.b32 [$0], {$1, $2, $3, $4};",
                    "l,r,r,r,r,~{memory}",
                    [builder.ptrtoint(address, _I64)]
                    + [builder.extract_element(words, ir.Constant(_I32, j)) for j in range(4)],
                    effect=True,
                )
                return context.get_dummy_value()

            return types.void(array, types.int64, registers, types.int64), generate

        @intrinsic
        def load(typing, array, index):
            def generate(context, builder, signature, arguments):
                address = _address(context, builder, signature.args[0], *arguments)
                return _widen(builder, builder.load(builder.bitcast(address, bits.as_pointer())), element)

            return register(array, types.int64), generate

        @intrinsic
        def store(typing, array, index, value):
            def generate(context, builder, signature, arguments):
                address = _address(context, builder, signature.args[0], *arguments[:2])
                value = _narrow(builder, arguments[2], element)
                builder.store(value, builder.bitcast(address, bits.as_pointer()))
                return context.get_dummy_value()

            return types.void(array, types.int64, register), generate

        return Access(load_vector, load_vector_if, load_shared, store_shared, store_vector, load, store)

    @intrinsic
    def exp2(typing, x):
        """2 to the power x, float32: relative error below 2^-22; exact at 0; subnormal results are 0."""

        def generate(context, builder, signature, arguments):
            return _assembly(builder, _F32, "ex2.approx.ftz.f32 $0, $1;", "=f,f", arguments)

        return types.float32(types.float32), generate

    @intrinsic
    def reciprocal(typing, x):
        """1 / x, float32, for x from 1 to 2^126: one unit in the last place off at most; NaN stays."""

        def generate(context, builder, signature, arguments):
            return _assembly(builder, _F32, "rcp.approx.ftz.f32 $0, $1;", "=f,f", arguments)

        return types.float32(types.float32), generate

    @intrinsic
    def maximum(typing, a, b):
        """The larger of two register values of one type; NaN if either is one."""

        def generate(context, builder, signature, arguments):
            a, b = arguments
            kind = signature.return_type
            if kind == types.float32:
                return _assembly(builder, _F32, "max.NaN.f32 $0, $1, $2;", "=f,f,f", arguments)
            if kind == types.float64:  # no instruction keeps NaN: two comparisons
                larger = builder.select(builder.fcmp_ordered(">", a, b), a, b)  # b where either is NaN
                return builder.select(builder.fcmp_unordered("uno", a, a), a, larger)
            compare = builder.icmp_signed if kind.signed else builder.icmp_unsigned
            return builder.select(compare(">", a, b), a, b)

        return a(a, a), generate

    @intrinsic
    def float_bits(typing, x):
        """The bits of a float32 or float64 as an unsigned integer of the same size."""

        def generate(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], _I64 if signature.args[0] == types.float64 else _I32)

        return (types.uint64 if x == types.float64 else types.uint32)(x), generate

    @intrinsic
    def bits_float(typing, x):
        """The float32 or float64 with the bits of an unsigned integer of the same size."""

        def generate(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], _F64 if signature.return_type == types.float64 else _F32)

        return (types.float64 if x == types.uint64 else types.float32)(x), generate

    @intrinsic
    def misalignment(typing, array, size):
        """Elements of `size` bytes (a power of two) by which an array starts after a 16-byte boundary."""

        def generate(context, builder, signature, arguments):
            data = context.make_array(signature.args[0])(context, builder, value=arguments[0]).data
            past = builder.and_(builder.ptrtoint(data, _I64), ir.Constant(_I64, 15))
            return builder.udiv(past, arguments[1])

        return types.int64(array, types.int64), generate

    def _redux(operation: str, doc: str) -> Any:
        @intrinsic
        def reduce(typing, x):
            def generate(context, builder, signature, arguments):
                text = f"redux.sync.{operation}.u32 $0, $1, 0xffffffff;"
                return _assembly(builder, _I32, text, "=r,r", arguments, effect=True)

            return types.uint32(types.uint32), generate

        reduce.__doc__ = doc
        return reduce

    warp_max = _redux("max", "The largest uint32 of the 32 lanes of a warp, in every lane; all must take part.")
    warp_min = _redux("min", "The smallest uint32 of the 32 lanes of a warp, in every lane; all must take part.")

    @intrinsic
    def shuffle_xor(typing, x, mask):
        """The x of the lane whose number differs by XOR with a constant mask < 32; all lanes must take part."""
        width = 64 if x in (types.float64, types.int64, types.uint64) else 32

        def generate(context, builder, signature, arguments):
            value, mask = arguments
            whole = builder.bitcast(value, ir.IntType(width))
            mask = builder.trunc(mask, _I32)
            halves = [builder.trunc(whole, _I32)] if width == 64 else [whole]
            if width == 64:
                halves.append(builder.trunc(builder.lshr(whole, ir.Constant(_I64, 32)), _I32))
            text = "shfl.sync.bfly.b32 $0, $1, $2, 0x1f, 0xffffffff;"
            moved = [_assembly(builder, _I32, text, "=r,r,r", [half, mask], effect=True) for half in halves]
            if width == 32:
                return builder.bitcast(moved[0], value.type)
            low, high = (builder.zext(half, _I64) for half in moved)
            return builder.bitcast(builder.or_(low, builder.shl(high, ir.Constant(_I64, 32))), value.type)

        return x(x, types.int64), generate

    @intrinsic
    def load_relaxed(typing, array, index):
        """A word (uint32 or uint64) that another block may be writing: whole, from the L2 cache, never a stale copy."""
        width = array.dtype.bitwidth

        def generate(context, builder, signature, arguments):
            address = builder.ptrtoint(_address(context, builder, signature.args[0], *arguments), _I64)
            text = f"ld.relaxed.gpu.global.b{width} $0, [$1];"
            constraints = f"={'l' if width == 64 else 'r'},l,~{{memory}}"
            return _assembly(builder, ir.IntType(width), text, constraints, [address], effect=True)

        return array.dtype(array, types.int64), generate

    @intrinsic
    def store_relaxed(typing, array, index, value):
        """Write a word (uint32 or uint64) that other blocks wait for."""
        width = array.dtype.bitwidth

        def generate(context, builder, signature, arguments):
            address = builder.ptrtoint(_address(context, builder, signature.args[0], *arguments[:2]), _I64)
            text = f"st.relaxed.gpu.global.b{width} [$0], $1;"
            constraints = f"l,{'l' if width == 64 else 'r'},~{{memory}}"
            _assembly(builder, ir.VoidType(), text, constraints, [address, arguments[2]], effect=True)
            return context.get_dummy_value()

        return types.void(array, types.int64, array.dtype), generate

    @intrinsic
    def copy_async(typing, buffer, slot, array, index):
        """Begin to copy the vector at array[index] to vector `slot` of `buffer`, words of shared memory.

        Only the thread that copies may read it, and after `wait_for_copies`.
        """

        def generate(context, builder, signature, arguments):
            place = _shared_address(context, builder, signature.args[0], *arguments[:2])
            address = builder.ptrtoint(_address(context, builder, signature.args[2], *arguments[2:]), _I64)
            text = "{ .reg .u64 place; cvta.to.shared.u64 place, $0; cp.async.cg.shared.global [place], [$1], 16; }"
            _assembly(builder, ir.VoidType(), text, "l,l,~{memory}", [place, address], effect=True)
            return context.get_dummy_value()

        return types.void(buffer, types.int64, array, types.int64), generate

    @intrinsic
    def wait_for_copies(typing):
        """Wait for all that this thread has begun to copy."""

        def generate(context, builder, signature, arguments):
            _assembly(builder, ir.VoidType(), "cp.async.wait_all;", "~{memory}", [], effect=True)
            return context.get_dummy_value()

        return types.void(), generate

    @intrinsic
    def pause(typing, nanoseconds):
        """Let a waiting warp sleep for about this long (nanosleep.u32)."""

        def generate(context, builder, signature, arguments):
            nap = builder.trunc(arguments[0], _I32)
            _assembly(builder, ir.VoidType(), "nanosleep.u32 $0;", "r", [nap], effect=True)
            return context.get_dummy_value()

        return types.void(types.int64), generate


__all__ = [
    "INSTRUCTIONS",
    "access",
    "bits_float",
    "copy_async",
    "exp2",
    "float_bits",
    "load_relaxed",
    "maximum",
    "misalignment",
    "pause",
    "reciprocal",
    "shuffle_xor",
    "store_relaxed",
    "wait_for_copies",
    "warp_max",
    "warp_min",
]
