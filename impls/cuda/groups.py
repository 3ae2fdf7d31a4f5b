"""Reductions over the threads that share a row, and the arithmetic of softmax and argmax that they use."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numba import cuda

from .compiling import device
from .elements import Element
from .intrinsics import exp2, float_bits, maximum, shuffle_xor, warp_max, warp_min
from .platform import SIMULATED

LANES = 32  # threads of a warp
ADDENDS = 8  # exponentials added one by one before their sum is added with compensation

_LOG2_E = np.float32(math.log2(math.e))
_NO_INDEX = np.uint32(0xFFFFFFFF)


@device
def add(a, b):
    """a + b."""
    return a + b


@device
def _larger(a, b):
    return maximum(a, b)


# A device function, which is what can be handed to another; simulated, one call less for every element.
larger = maximum if SIMULATED else _larger
"""`maximum`, to be handed to `row_reduction`."""


@device
def accumulate(total, lost, term):
    """Kahan's step: (total + term, what was lost), so that the error of a long sum does not grow with its length."""
    term = term - lost
    grown = total + term
    return grown, (grown - total) - term


@functools.cache
def exponential(register: Any) -> Any:
    """The device function (x, top) -> exp(x - top), for x <= top."""

    @device
    def single(x, top):
        return exp2((x - top) * _LOG2_E)

    @device
    def double(x, top):
        return math.exp(x - top)

    return double if register is np.float64 else single


@functools.cache
def exponentials(register: Any, width: int, rows: int) -> Any:
    """The device function (values, w, top) -> the sum of exp(values - top), which replace the values.

    The values are those at w, w + width, ...: `rows` of them, each group of `ADDENDS` added with compensation.
    """
    exp = exponential(register)
    whole = rows // ADDENDS

    @device
    def sum_of(values, w, top):
        total, lost = register(0), register(0)
        for group in range(whole):
            some = register(0)
            for i in range(group * ADDENDS, (group + 1) * ADDENDS):
                values[i * width + w] = exp(values[i * width + w], top)
                some += values[i * width + w]
            total, lost = accumulate(total, lost, some)
        some = register(0)
        for i in range(whole * ADDENDS, rows):
            values[i * width + w] = exp(values[i * width + w], top)
            some += values[i * width + w]
        return total + (some - lost)

    return sum_of


@functools.cache
def row_reduction(combine: Any, register: Any, threads: int) -> Any:
    """The device function (value, t) -> the combination over the `threads` threads of a row, in each of them.

    Up to a warp, rows may share a warp and each combines its own neighbours. More threads are whole warps and the
    whole block, and meet at one barrier; then the function may be used once a kernel.
    """
    steps = min(threads, LANES).bit_length() - 1
    warps = threads // LANES

    @device
    def within_warp(value, t):
        for i in range(steps):
            value = combine(value, shuffle_xor(value, 1 << i))
        return value

    @device
    def within_block(value, t):
        parts = cuda.shared.array(warps, register)
        value = within_warp(value, t)
        if t % LANES == 0:
            parts[t // LANES] = value
        cuda.syncthreads()
        value = parts[0]
        for i in range(1, warps):
            value = combine(value, parts[i])
        return value

    return within_block if warps > 1 else within_warp


@functools.cache
def rescaled(register: Any) -> Any:
    """The device function (total, top, new_top) -> a sum of exp(x - top) as one of exp(x - new_top).

    Equal tops leave the sum as it is, which covers -inf - -inf and inf - inf.
    """
    exp = exponential(register)

    @device
    def rescale(total, top, new_top):
        return total if top == new_top else total * exp(top, new_top)

    return rescale


@functools.cache
def key(element: Element) -> Any:
    """The device function (register value) -> an unsigned key in the order of argmax: NaN above all, -0.0 as 0.0."""
    word = np.uint64 if element.wide else np.uint32
    top_bit = word(1 << (63 if element.wide else 31))
    every_bit = word(2 * int(top_bit) - 1)
    zero = element.register(0)

    @device
    def floating(value):
        if value != value:
            return every_bit
        bits = float_bits(value + zero)  # -0.0 + 0.0 is 0.0
        return bits ^ every_bit if bits & top_bit else bits ^ top_bit

    @device
    def signed(value):
        return word(value) ^ top_bit

    @device
    def unsigned(value):
        return word(value)

    if element.floating:
        return floating
    return signed if np.dtype(element.register).kind == "i" else unsigned


@functools.cache
def better(element: Element) -> Any:
    """The device function (value, best): whether a later value replaces the best so far; the first NaN stays."""

    @device
    def floating(value, best):
        return not value <= best and best == best

    @device
    def integer(value, best):
        return value > best

    return floating if element.floating else integer


@functools.cache
def row_argmax(element: Element, threads: int) -> Any:
    """The device function (key, index, t) -> the smallest index among the largest keys of a row's threads.

    index is uint32 and all ones where a thread has none; the key of such a thread does not count. The result
    is right in every thread of a row up to a warp, else in the first warp of the block.
    """
    warps = threads // LANES
    word = np.uint64 if element.wide else np.uint32
    wide = element.wide
    steps = min(threads, LANES).bit_length() - 1
    whole_warp = threads >= LANES

    @device
    def within_warp(key, index):
        if whole_warp:
            if wide:
                high = np.uint32(key >> np.uint64(32))
                top = warp_max(high)
                low = np.uint32(key & np.uint64(0xFFFFFFFF)) if high == top else np.uint32(0)
                key_top = (np.uint64(top) << np.uint64(32)) | np.uint64(warp_max(low))
            else:
                key_top = warp_max(key)
            index = warp_min(index if key == key_top else _NO_INDEX)
            return key_top, index
        for i in range(steps):
            other_key = shuffle_xor(key, 1 << i)
            other = shuffle_xor(index, 1 << i)
            if other_key > key or (other_key == key and other < index):
                key = other_key
                index = other
        return key, index

    @device
    def within_block(key, index, t):
        key, index = within_warp(key, index)
        if warps > 1:
            keys = cuda.shared.array(warps, word)
            indices = cuda.shared.array(warps, np.uint32)
            if t % LANES == 0:
                keys[t // LANES] = key
                indices[t // LANES] = index
            cuda.syncthreads()
            if t < LANES:
                here = t < warps
                key = keys[t] if here else word(0)
                index = indices[t] if here else _NO_INDEX
                key, index = within_warp(key, index)
        return key, index

    return within_block
