"""What is said of a result before it is handed over, and by the judge after: the words of both ends."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..inputs.recipe import Input

Status = Literal["agrees", "differs", "wrong"]
TIMED = "timed"  # in place of a case's name, for arrays that are timed


@dataclass(frozen=True)
class Verdict:
    """What the judge says of a result.

    Attributes:
        status: agrees; differs, as its author has declared; or wrong.
        detail: the mismatch, or what else is wrong; empty where it agrees.
        declared: where it differs, what its author has declared.
        pattern: and the pattern of that declaration.
        unsized: whether the error has no size, as of a NaN or of an element that was not written.
    """

    status: Status
    detail: str = ""
    declared: str = ""
    pattern: str = ""
    unsized: bool = False


@dataclass(frozen=True)
class Claim:
    """What a process says of a result that it has, before it hands it over.

    Attributes:
        operation: softmax or argmax.
        input: what it is the result for.
        case: the name that declared differences go by: of a case of the contract, or TIMED.
        shape, dtype: of the result.
        checksum: `checksum` of x after the call; None where the input cannot be had back.
        problem: what else the process saw, in words: memory written beside out, for example.
    """

    operation: str
    input: Input
    case: str
    shape: tuple[int, ...]
    dtype: str
    checksum: int | None = None
    problem: str = ""


def checksum(a: np.ndarray, crc: Callable[[Any], int] = zlib.crc32) -> int:
    """CRC-32 of the bytes of a C-contiguous array."""
    return crc(a.reshape(-1).view(np.uint8).data)
