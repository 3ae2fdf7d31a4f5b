"""What each option of the commands means: defined here once, and the same in every command that has it.

A command takes its options by name with `add`, and may state defaults, choices and what else is its own; it changes
no name and no type. An option whose name has changed is refused with its new name.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from maxbench.impls import contract

_MACHINE = re.compile(r"[^\W_][\w.+@-]*( [\w.+@-]+)*")
_LONGEST_MACHINE = 60
FORMATS = ("table", "markdown", "csv", "json")


def count(given: str) -> int:
    """A whole number from 1 on."""
    try:
        value = int(given)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{given!r}: accepted are whole numbers, 1 and more")
    return value


def shape(given: str) -> tuple[int, ...]:
    """A shape, as 64x1000."""
    words = given.lower().replace("×", "x").split("x")
    if not all(word.isdecimal() and 0 < int(word) < 2**40 for word in words):
        raise argparse.ArgumentTypeError(f"{given!r}: accepted are lengths from 1 on, joined by x, as 64x1000")
    return tuple(map(int, words))


def threads(given: str) -> int:
    """A number of threads, no more than there are CPUs: more would wait for each other."""
    from ..measure import environment  # for this option alone: it imports more than help needs

    value, cpus = count(given), environment.usable_cpus()
    if value > cpus:
        raise argparse.ArgumentTypeError(f"{given!r}: accepted are 1 to {cpus}, the CPUs that may be used here")
    return value


def machine(given: str) -> str:
    """The argument of ``--machine``, which names folders and is a word of asv's command line.

    Raises:
        argparse.ArgumentTypeError: it cannot.
    """
    if not _MACHINE.fullmatch(given) or given.endswith(".") or len(given) > _LONGEST_MACHINE:
        raise argparse.ArgumentTypeError(
            f"{given!r}: accepted are 1 to {_LONGEST_MACHINE} letters, digits and . _ - + @, the first a letter "
            "or digit, the last no dot, with single spaces between"
        )
    return given


def number(accepted: str, good: Callable[[float], bool]) -> Callable[[str], float]:
    """The numbers that `good` holds of, which it does not of NaN; `accepted` says which these are."""

    def parsed(given: str) -> float:
        try:
            value = float(given)
        except ValueError:
            value = math.nan
        if not good(value):
            raise argparse.ArgumentTypeError(f"{given!r}: accepted are {accepted}")
        return value

    return parsed


positive = number("finite numbers above 0", lambda value: 0 < value < math.inf)

PATTERNS = "a word that occurs in it, or its whole with * and ?"  # see `reports.measure.selection.matches`

NAMES = f"the whole of it, {PATTERNS}"  # see `reports.measure.selection.select`

# Option -> how argparse takes it. A command's help goes on after this one.
OPTIONS: dict[str, dict[str, Any]] = {
    # How long, and how often.
    "--processes": {
        "type": count, "metavar": "N",
        "help": "fresh processes that measure each input, which intervals are taken over; 3 are the fewest that decide",
    },
    "--samples": {"type": count, "metavar": "N", "help": "samples that a process takes of each input"},
    "--sample-seconds": {
        "type": positive, "metavar": "SECONDS", "help": "of sampling one implementation on one input in one process",
    },
    "--budget": {
        "type": positive, "metavar": "SECONDS", "help": "of the whole command; what it is not enough for is named",
    },
    "--threads": {"type": threads, "metavar": "N", "help": "CPU threads for every library"},
    "--jobs": {"type": count, "metavar": "N", "help": "implementations at a time"},
    # What counts.
    "--threshold": {"metavar": "PERCENT", "help": "the smallest difference in time that counts"},
    # What is measured.
    "PATTERN": {"nargs": "*", "metavar": "PATTERN", "help": f"implementations by name: {NAMES}"},
    "--only": {"action": "append", "metavar": "PATTERN", "help": f"these alone, by name: {NAMES}; repeatable"},
    "--input": {"action": "append", "metavar": "PATTERN", "help": f"inputs, by name: {PATTERNS}; repeatable"},
    "--operation": {"choices": sorted(contract.OPERATIONS), "help": "one operation instead of both"},
    "--dtype": {"action": "append", "help": "only this dtype"},
    "--axis": {"type": int, "metavar": "K", "help": "the axis that is reduced (default: the last)"},
    "--simulate": {"action": "store_true", "help": "run CUDA implementations in Numba's simulator, without a GPU"},
    # Where results are from, and where they go.
    "--repository": {"type": Path, "default": Path(), "metavar": "DIR", "help": "the checkout (default: here)"},
    "--machine": {"type": machine, "metavar": "NAME", "help": "the machine's name in results (default: its host name)"},
    "--output": {"type": Path, "metavar": "DIR"},
    "--baseline": {"metavar": "NAME", "help": "the implementation that speed-ups are over"},
    "--format": {"choices": FORMATS, "default": "table", "help": "of what is printed on standard output"},
}  # fmt: skip


def add(parser: argparse._ActionsContainer, option: str, more: str = "", **own: Any) -> None:
    """Give a command an option.

    Args:
        option: its name in `OPTIONS`.
        more: what the command's help says after the option's own.
        own: what is the command's own: default, choices, dest, nargs, aliases of the same meaning (``also``), and the
            bounds of a number (``type``) or the help where `OPTIONS` leaves them open.
    """
    settings = {**OPTIONS[option], **own}
    also = settings.pop("also", ())
    space = "" if more.startswith((";", ",", ":")) else " "
    settings["help"] = f"{settings['help']}{space}{more}".strip()
    name = option if option.startswith("-") else option.lower()
    parser.add_argument(name, *also, **settings)


def renamed(parser: argparse._ActionsContainer, old: str, new: str) -> None:
    """Refuse an option of an earlier version, whose name or meaning was another, with what to say instead."""

    class Refuse(argparse.Action):
        def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
            parser.error(f"{old} has another name now: say {new}")

    parser.add_argument(old, action=Refuse, nargs="?", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
