"""What `impls.simd` becomes on processors that the tests do not run on: their machine code, cross-compiled by LLVM."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
from llvmlite import binding
from numba import types

from maxbench.impls import simd
from maxbench.impls.simd import exp, half, processor

# By instruction set: triple, processor; bytes and number of registers, fused multiply-add.
PROCESSORS = {
    "SSE2": (("x86_64-unknown-linux-gnu", "x86-64"), (16, 16, False)),
    "AVX": (("x86_64-unknown-linux-gnu", "sandybridge"), (32, 16, False)),
    "AVX2": (("x86_64-unknown-linux-gnu", "znver3"), (32, 16, True)),
    "AVX-512": (("x86_64-unknown-linux-gnu", "znver4"), (64, 32, True)),
    "NEON": (("aarch64-unknown-linux-gnu", "generic"), (16, 32, True)),
}


def machine(name: str) -> Any:
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    triple, cpu = PROCESSORS[name][0]
    try:
        target = binding.Target.from_triple(triple)
    except RuntimeError as error:
        pytest.skip(f"this build of LLVM does not compile for {triple}: {error}")
    return target.create_target_machine(cpu=cpu, opt=3)


@pytest.mark.parametrize("name", PROCESSORS)
def test_facts_of_a_processor(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = machine(name)
    monkeypatch.setattr(processor, "_machine", lambda: target)
    facts = (processor.register_bytes, processor.register_count, processor.has_fma)
    assert tuple(fact.__wrapped__() for fact in facts) == PROCESSORS[name][1]


def exponentials(x, out):
    like = simd.zeros_f32()
    start = exp.estimated_shift(np.float32(0), like)
    for i in range(0, 1 << 20, 16):
        simd.store(out, i, exp.exponentials(simd.load(x, i), start))


def maxima(x, out):
    high = simd.load(x, 0)
    for i in range(16, 1 << 20, 16):
        high = simd.maximum(simd.load(x, i), high)
    simd.store(out, 0, high)


def streamed(x, out):
    for i in range(0, 1 << 20, 16):
        simd.stream(out, i, simd.load(x, i))


def halves(x, out):
    like = simd.zeros_f32()
    for i in range(0, 1 << 20, 16):
        simd.store(out, i, half.to_half(half.from_half(simd.load_as(x, i, like)), out))


def crowded(x, out):
    """More vectors at a time than there are registers: none is done with before the maximum of all is known."""
    for i in range(0, 1 << 20, 16):
        a, b, c = squares(x, i), squares(x, i + 256), squares(x, i + 512)
        d, e, f = squares(x, i + 768), squares(x, i + 1024), squares(x, i + 1280)
        top = simd.maximum(simd.maximum(largest(a), largest(b)), largest(c))
        top = simd.maximum(simd.maximum(largest(d), largest(e)), simd.maximum(largest(f), top))
        for j in range(8):
            simd.store(out, i + 16 * j, (a[j] - top) * (b[j] - top) + (c[j] - top) * (d[j] - top) + e[j] * f[j])


@numba.extending.register_jitable
def squares(x, i):
    """Of eight vectors: what is computed is not loaded again."""
    a, b, c, d = simd.load(x, i), simd.load(x, i + 16), simd.load(x, i + 32), simd.load(x, i + 48)
    e, f, g, h = simd.load(x, i + 64), simd.load(x, i + 80), simd.load(x, i + 96), simd.load(x, i + 112)
    return a * a, b * b, c * c, d * d, e * e, f * f, g * g, h * h


@numba.extending.register_jitable
def largest(v):
    return simd.maximum(
        simd.maximum(simd.maximum(v[0], v[1]), simd.maximum(v[2], v[3])),
        simd.maximum(simd.maximum(v[4], v[5]), simd.maximum(v[6], v[7])),
    )


FLOAT, HALF = types.CPointer(types.float32), types.CPointer(types.int16)


def instructions(function: Callable[..., None], pointer: Any, name: str) -> Counter[str]:
    """How often each instruction stands in the code of a function (x, out) for a processor."""
    return Counter(re.findall(r"^\s+([a-z][\w.]*)", assembly(function, pointer, name), re.M))


def assembly(function: Callable[..., None], pointer: Any, name: str) -> str:
    """The code of a function (x, out) for a processor.

    Nothing here depends on the processor that Numba compiles for: neither pinned constants nor `simd.fused`.
    """
    target = machine(name)
    compiled = numba.njit(types.void(pointer, pointer), no_cpython_wrapper=True)(function)
    (ir,) = compiled.inspect_llvm().values()
    ir = re.sub(r"^target (triple|datalayout) = .*$", "", ir, flags=re.M)
    module = binding.parse_assembly(re.sub(r'"target-(cpu|features)"="[^"]*"', "", ir))
    module.triple, module.data_layout = target.triple, str(target.target_data)
    return target.emit_assembly(module).partition("\ncfunc.")[0]  # without the wrapper for C


def bytes_of(name: str) -> int:
    return PROCESSORS[name][1][0]


CALLS = {"call", "callq", "bl", "blr"}


def registers_of(name: str) -> int:
    """Registers that a vector takes."""
    return simd.VECTOR_BYTES // PROCESSORS[name][1][0]


@pytest.mark.parametrize("name", PROCESSORS)
def test_exponentials_are_vector_instructions(name: str) -> None:
    found = instructions(exponentials, FLOAT, name)
    assert not CALLS & found.keys()
    fused = sum(count for op, count in found.items() if re.match(r"vfn?m(add|sub)\d+ps|fml[as]$", op))
    apart = sum(count for op, count in found.items() if re.match(r"v?mulps|fmul$", op))
    assert (fused > 0, apart > 0) == (PROCESSORS[name][1][2], not PROCESSORS[name][1][2])
    assert (fused or apart) % (7 * registers_of(name)) == 0  # seven a register


@pytest.mark.parametrize("name", PROCESSORS)
def test_a_maximum_is_one_instruction_on_x86_and_two_on_arm(name: str) -> None:
    found = instructions(maxima, FLOAT, name)
    assert not CALLS & found.keys()
    used = {op for op in found if re.match(r"v?(max|min|cmp\w*|blend\w*|andn?|or)ps$|fcm|b(it|if|sl)$|f(max|min)", op)}
    assert used == {"SSE2": {"maxps"}, "NEON": {"fcmgt", "bit"}}.get(name, {"vmaxps"})
    assert all(found[op] % registers_of(name) == 0 for op in used)


@pytest.mark.parametrize("name", PROCESSORS)
def test_streaming_stores_are_non_temporal(name: str) -> None:
    found = instructions(streamed, FLOAT, name)
    assert {"SSE2": "movntps", "NEON": "stnp"}.get(name, "vmovntps") in found


@pytest.mark.parametrize("name", PROCESSORS)
def test_float16_is_converted_without_a_library(name: str) -> None:
    found = instructions(halves, HALF, name)
    assert not CALLS & found.keys()
    assert {"SSE2": "punpcklwd", "NEON": "sshll"}.get(name, "vpmovsxwd") in found


@pytest.mark.parametrize("name", [name for name in PROCESSORS if name != "NEON"])
def test_vectors_on_the_stack_begin_a_cache_line(name: str) -> None:
    """Otherwise some lie across two, by where the caller's stack ends: kernels took 1.5 times as long."""
    code = assembly(crowded, FLOAT, name)
    spilled = re.findall(r"(\d+)?\(%r[sb]p\), %[xyz]mm|%[xyz]mm\d+, (\d+)?\(%r[sb]p\)", code)
    assert spilled
    assert re.search(r"andq\s+\$-64, %rsp", code)
    assert all(int(a or b or 0) % bytes_of(name) == 0 for a, b in spilled)
