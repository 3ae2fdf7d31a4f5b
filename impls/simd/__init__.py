"""SIMD vectors as values in Numba functions: LLVM vectors with loads, stores, arithmetic and shuffles.

A loop over vectors does not depend on whether LLVM's loop vectoriser recognises it. Vectors may be longer than the
registers of the processor: LLVM then splits them. Tests run the code for AVX-512, AVX2 and SSE2 where the processor has
them; for NEON they look at cross-compiled machine code only.

- `types`: the vector type; `processor`: facts of the processor that is compiled for.
- `memory`: loads, stores, prefetches. `scalars`: vectors made of scalars.
- `arithmetic`: elementwise operations. `horizontal`: reductions, masks, shuffles across lanes.
- `exp` and `half`, built of these: exponentials for softmax, and conversions of float16. Kernels import them by name.
"""

from __future__ import annotations

from .arithmetic import (
    bits,
    convert,
    equal,
    fma,
    from_bits,
    fused,
    greater,
    greater_or_nan,
    maximum,
    minimum,
    nonzero,
    select,
    shift_left,
    shift_right,
    unordered,
    widened,
)
from .horizontal import (
    all_lanes,
    any_lane,
    deinterleave,
    first,
    interleave,
    join,
    lowest_bit,
    mask_bits,
    reduce_add,
    reduce_max,
    reduce_min,
    shuffle_xor,
    transpose4,
)
from .memory import address, data, get, load, load4, load_as, offset, prefetch, put, store, stream
from .processor import has_avx512, register_bytes, register_count
from .scalars import (
    broadcast,
    broadcast_first,
    broadcasts,
    half_line,
    lane_numbers,
    lanes,
    pinned_broadcasts,
    register,
    zeros_f32,
    zeros_f64,
)
from .types import VECTOR_BYTES, Vector

__all__ = [
    "VECTOR_BYTES",
    "Vector",
    "address",
    "all_lanes",
    "any_lane",
    "bits",
    "broadcast",
    "broadcast_first",
    "broadcasts",
    "convert",
    "data",
    "deinterleave",
    "equal",
    "first",
    "fma",
    "from_bits",
    "fused",
    "get",
    "greater",
    "greater_or_nan",
    "half_line",
    "has_avx512",
    "interleave",
    "join",
    "lane_numbers",
    "lanes",
    "load",
    "load4",
    "load_as",
    "lowest_bit",
    "mask_bits",
    "maximum",
    "minimum",
    "nonzero",
    "offset",
    "pinned_broadcasts",
    "prefetch",
    "put",
    "reduce_add",
    "reduce_max",
    "reduce_min",
    "register",
    "register_bytes",
    "register_count",
    "select",
    "shift_left",
    "shift_right",
    "shuffle_xor",
    "store",
    "stream",
    "transpose4",
    "unordered",
    "widened",
    "zeros_f32",
    "zeros_f64",
]  # fmt: skip
