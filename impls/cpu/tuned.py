"""Regimes that ``maxbench tune`` has measured on this machine, which come before those of the built-in tables.

They are read from the file that MAXBENCH_CPU_TABLE names (empty: from none), or from one in the user's cache folder
that is named after the registers and caches. They are of rows alone, and within what kernels can do at all.
"""

from __future__ import annotations

import functools
import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from ..version import __version__
from . import regimes
from .machine import Machine
from .plan import Problem
from .regimes import LIMITS, Operation, Range, Regime

TABLE_FILE = "MAXBENCH_CPU_TABLE"
_VARIANT = ("kernel", "streaming", "interleave", "prefetch")


class Found(NamedTuple):
    """A kernel that was faster than the built-in choice, and where.

    Attributes:
        variant: of `LIMITS`.
        columns: of rows, from the fewest to the most.
        beyond: whether x and the result exceed the last-level cache.
        whole: whether rows are whole vectors.
        gain: how many times as fast it was at least.
    """

    operation: Operation
    dtype: str
    variant: Regime
    columns: tuple[int, int]
    beyond: bool
    whole: bool
    gain: float


def machine_file(machine: Machine) -> Path:
    """Where the file of a machine is kept. A path that begins with ``~`` where the user has no home folder."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")  # noqa: PTH111
    facts = "-".join(str(value) for value in asdict(machine).values())
    return Path(base) / "maxbench" / f"cpu-{facts}.json"


def table_of(machine: Machine, problem: Problem) -> Sequence[Regime]:
    """The table that a call is looked up in: the machine's own regimes, then the built-in ones."""
    built_in = regimes.TABLES[problem.operation, problem.shape[2] > 1]
    return built_in if problem.shape[2] > 1 else (*load(machine)[problem.operation], *built_in)


@functools.cache
def load(machine: Machine) -> dict[Operation, tuple[Regime, ...]]:
    """The machine's own regimes of rows; none, with a warning, where a file cannot be used."""
    nothing: dict[Operation, tuple[Regime, ...]] = {"softmax": (), "argmax": ()}
    named = os.environ.get(TABLE_FILE)
    path = Path(named) if named else machine_file(machine)
    if named == "" or (named is None and not path.is_file()):
        return nothing
    try:
        return {**nothing, **read(path, machine)}
    except (ValueError, OSError) as error:
        warnings.warn(f"the built-in CPU regimes alone are used: {error}", RuntimeWarning, stacklevel=2)
        return nothing


def read(path: Path, machine: Machine) -> dict[Operation, tuple[Regime, ...]]:
    """The regimes of a file.

    Raises:
        ValueError: it holds something else than regimes, or those of another machine or version; says what.
        OSError: it cannot be read.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or not isinstance(data.get("regimes"), list):
            raise ValueError("expected an object with `machine`, `maxbench` and `regimes`")
        if data.get("machine") == asdict(machine) and data.get("maxbench") == __version__:
            found = [_regime(entry) for entry in data["regimes"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path}: no table of CPU regimes: {error}") from None
    if data.get("maxbench") != __version__:
        raise ValueError(f"{path}: it is of maxbench {data.get('maxbench')!r}, and this is {__version__}")
    if data.get("machine") != asdict(machine):
        raise ValueError(f"{path}: it was measured on {data.get('machine')}, and this machine is {asdict(machine)}")
    return {name: tuple(regime for of, regime in found if of == name) for name in LIMITS}


def as_json(found: Sequence[Found], machine: Machine) -> str:
    """The text of a file."""
    entries = [
        {
            "operation": one.operation,
            "dtype": one.dtype,
            **{name: getattr(one.variant, name) for name in _VARIANT},
            "columns": list(one.columns),
            "beyond": one.beyond,
            "whole": one.whole,
            "gain": round(one.gain, 3),
        }
        for one in found
    ]
    content = {"machine": asdict(machine), "maxbench": __version__, "regimes": entries}
    return json.dumps(content, indent=1) + "\n"


def _regime(entry: Any) -> tuple[Operation, Regime]:
    operation, dtype = entry["operation"], entry["dtype"]
    if operation not in LIMITS:
        raise ValueError(f"operation {operation!r}: accepted are {', '.join(LIMITS)}")
    wanted = {name: entry[name] for name in _VARIANT}
    variant = next((v for v in LIMITS[operation] if {name: getattr(v, name) for name in _VARIANT} == wanted), None)
    if variant is None:
        raise ValueError(f"{wanted} is no kernel of {operation}")
    if variant.dtypes and dtype not in variant.dtypes:
        raise ValueError(f"{variant.kernel} of {dtype!r}: accepted are {', '.join(variant.dtypes)}")
    least, most = entry["columns"]
    if not all(type(n) is int for n in (least, most)) or not 1 <= least <= most:
        raise ValueError(f"columns {entry['columns']}: accepted are two whole numbers, in order")
    if type(entry["beyond"]) is not bool or type(entry["whole"]) is not bool:
        raise ValueError("beyond and whole: accepted are true and false")
    columns = Range(max(least, variant.columns.least), min(most, variant.columns.most))
    reason = f"measured here by maxbench tune: {float(entry['gain']):.2f} times as fast as the built-in choice, or more"
    return operation, replace(
        variant, dtypes=(dtype,), columns=columns, beyond=entry["beyond"], whole=entry["whole"], reason=reason
    )
