"""Facts of the processor that is compiled for: width and number of its vector registers, fused multiply-add.

Each is read from the machine code of a few instructions, since features follow from the name of a processor as well as
from the list of its features.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from llvmlite import binding
from numba.core.registry import cpu_target

_REGISTERS = re.compile(r"\b(?:[xyz]mm|[qv])(\d+)\b")  # of x86, of ARM


def _machine() -> Any:
    """LLVM's target machine for the processor that Numba compiles for."""
    return cpu_target.target_context.codegen()._tm


def _assembly(source: str) -> str:
    """The machine code of LLVM IR."""
    text: str = _machine().emit_assembly(binding.parse_assembly(source))
    return text


@functools.cache
def register_bytes() -> int:
    """The bytes of a vector register: 64 with AVX-512, 32 with AVX and AVX2, 16 with SSE2 and NEON."""
    assembly = _assembly("""
        define <16 x float> @probe(<16 x float> %a, <16 x float> %b) {
            %r = fadd <16 x float> %a, %b
            ret <16 x float> %r
        }""")
    return 64 if "zmm" in assembly else 32 if "ymm" in assembly else 16


@functools.cache
def register_count() -> int:
    """The number of vector registers: 32 with AVX-512 and NEON, 16 with AVX2 and SSE2."""
    # 24 vectors that are live at once: volatile accesses keep their order.
    vectors = range(24)
    loads = "".join(f"%v{i} = load volatile <4 x float>, ptr %p\n" for i in vectors)
    stores = "".join(f"store volatile <4 x float> %v{i}, ptr %p\n" for i in vectors)
    numbers = map(int, _REGISTERS.findall(_assembly(f"define void @probe(ptr %p) {{\n{loads}{stores}ret void\n}}")))
    return 32 if max(numbers) >= 16 else 16


def has_avx512() -> bool:
    """Whether a vector register is as long as a cache line: AVX-512."""
    return register_bytes() == 64


@functools.cache
def has_fma() -> bool:
    """Whether a multiplication and an addition can be one instruction, which rounds once."""
    return "madd" in _assembly("""
        declare float @llvm.fmuladd.f32(float, float, float)
        define float @probe(float %a, float %b, float %c) {
            %r = call float @llvm.fmuladd.f32(float %a, float %b, float %c)
            ret float %r
        }""")
