"""Timing: `ready` makes an implementation ready on a checked input, `sampling` times it, `schedules` say when.

Whatever starts a measurement (asv, the side-by-side table, the gate, the device report), what correct means, what a
sample is and when results are checked again is decided here, once.
"""

from __future__ import annotations

from .ready import Differs, Failed, Ready, Refused, Wrong, prepare
from .sampling import Sampler
from .schedules import Unsound, alone, in_turn, quads, unchecked

__all__ = [
    "Differs",
    "Failed",
    "Ready",
    "Refused",
    "Sampler",
    "Unsound",
    "Wrong",
    "alone",
    "in_turn",
    "prepare",
    "quads",
    "unchecked",
]
