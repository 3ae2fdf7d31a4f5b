"""One misbehaving plug-in: its source, and the status and reason that maxbench must report."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

# Longer than every time limit in use, and finite: nothing is left for ever where a limit does not work.
LONG = 100
# Reasons of a time limit and of an output limit.
TIME = r"\d+(\.\d+)? s\b"
OUTPUT = rf"(?i)output|printed|{TIME}"
EXIT = r"(?i)exit"

# Every plug-in takes float32 arrays of at most this many elements, which leaves the longest cases out.
LARGEST = 20_000

_TEMPLATE = '''"""Softmax of a plug-in that misbehaves: {name}."""

import ctypes
import itertools
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
from maxbench.impls import backends, implements

LONG = {long}
LEFT = pathlib.Path(__file__).parent / "left"
calls = itertools.count(1)


def compute(x, out):
    with np.errstate(all="ignore"):
        exponentials = np.exp(np.subtract(x, x.max(axis=1, keepdims=True), dtype=np.float64))
        out[...] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return out


def left(pid):
    """Note a process that stays behind."""
    (LEFT / str(pid)).touch()


class Odd(Exception):
    def __str__(self):
        raise ValueError("no words")

    __repr__ = __str__


class Backend(backends.Backend):
    name, device = "host", "cpu"
    put, get, synchronize = backends.HOST.put, backends.HOST.get, backends.HOST.synchronize


{at_import}


@implements({declared})
def run(x, out):
{body}
'''


@dataclass(frozen=True)
class Plugin:
    """A plug-in with the softmax ``<when>_<kind>``.

    Attributes:
        when: ``import``, ``call`` or ``cheat``.
        kind: what it does.
        source: its module.
        status: what ``check`` must report. ``ok``: nothing wrong; ``wrong``, ``failed`` or ``unavailable``: that, and
            for what happens at import ``list`` must say so too; ``bad``: wrong or failed; ``any``: its own affair, as
            long as it is reported at all and no other implementation is harmed.
        reason: a regular expression for the reason.
        seconds: the least that a call takes: a shorter measured time is a forged one. 0 for a cheat that must have no
            time at all.
    """

    when: str
    kind: str
    source: str
    status: str
    reason: str = ""
    seconds: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.when}_{self.kind}"

    @property
    def to_be_refused(self) -> bool:
        """Whether no time of it may be believed, or none that is shorter than `seconds`."""
        return self.when == "cheat" or self.status not in ("ok", "any")


def make(
    when: str,
    kind: str,
    status: str,
    reason: str = "",
    *,
    at_import: str = "",
    body: str = "return compute(x, out)",
    declared: str = "",
    seconds: float = 0.0,
) -> Plugin:
    """A plug-in of statements at import, the body of ``run(x, out)`` and arguments of ``@implements``."""
    given = {"dtypes": '("float32",)', "largest": str(LARGEST)}
    words = [f"{key}={value}" for key, value in given.items() if key not in declared]
    source = _TEMPLATE.format(
        name=kind,
        long=LONG,
        at_import=textwrap.dedent(at_import).strip(),
        body=textwrap.indent(textwrap.dedent(body).strip(), "    "),
        declared=", ".join([*words, declared] if declared else words),
    )
    return Plugin(when, kind, source, status, reason, seconds)
