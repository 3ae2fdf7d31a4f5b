"""``maxbench tune --device cuda``: time the candidates of the CUDA table on this GPU, and write the machine's table."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import sys
from pathlib import Path
from typing import Any

from rich.table import Table as RichTable

from maxbench.bench.processes.crew import Crew

from ..measure import environment
from ..measure.device.compilers import Compilers
from ..show.console import console
from ..system import files, text
from ..system.progress import Bar
from ..system.usage import NO_HOME, UsageError

_LARGEST_TABLE = 1 << 20  # bytes


def main(args: argparse.Namespace) -> int:
    """0: the table is written; 2: no GPU, or bad options."""
    if args.simulate:
        os.environ["NUMBA_ENABLE_CUDASIM"] = "1"
        if args.output is None:
            raise UsageError("--simulate needs --output: a simulator's table is of no use to a device")
    # numba-cuda decides whether it simulates when it is imported.
    from maxbench.impls.cuda import platform

    if reason := platform.unavailable():
        raise UsageError(f"{reason}; --simulate rehearses the command without a GPU")
    from maxbench.bench.workers import probe
    from maxbench.impls.cuda import plans, regimes

    from ..measure.device import tuning

    if args.output is None and NO_HOME in os.environ and not os.environ.get("XDG_CACHE_HOME"):
        raise UsageError("this user has no home folder to keep the table in: name a file by --output")
    name = platform.device_name()
    path = regimes.machine_file(name) if args.output is None else checked(args.output)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    device = dataclasses.replace(plans.current_device(), table=regimes.built_in())
    gpu = probe.gpu()
    measure = tuning.OnDevice(device, args.sample_seconds, gpu.cache_bytes)
    with Bar() as bar, Crew() as crew, contextlib.ExitStack() as stack:
        ahead = Compilers(crew, None, gpu, {}, environment.usable_cpus(), args.budget)
        stack.callback(ahead.stop)

        def seen(table: str, n: int, done: int, total: int) -> None:
            bar.show(f"{table} of {n:,}", done, total, None)

        tuned = tuning.tune(device, measure, args.budget, simulated=args.simulate, seen=seen)
    try:
        files.write_text(path, regimes.as_json(tuned.table, name))
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    _print(tuned)
    print(f"table of {name}: {path.resolve()}")
    return 0


def checked(path: Path, of: str = "device", holds: str = "tables", device: str = "CUDA") -> Path:
    """The file that the user names, which is replaced only if it is a table.

    Args:
        of: the first key of a table: what it was measured on.
        holds: a key of its regimes.
        device: whose regimes these are, in words.

    Raises:
        UsageError: something else is there.
    """
    if os.path.lexists(path):
        regular = path.is_file() and not path.is_symlink()
        content = path.read_bytes() if regular and path.stat().st_size < _LARGEST_TABLE else b""
        if not (content.startswith(f'{{\n "{of}": '.encode()) and f'"{holds}"'.encode() in content):
            raise UsageError(f"--output {path} exists and is no table of {device} regimes: name another file")
    return path


def _print(tuned: Any) -> None:
    """What was fastest at each length, and what was left out."""
    table = RichTable("rows", "n", "fastest", "time", "over the built-in choice")
    for (name, n), timings in tuned.timings.items():
        timed = {regime: value for regime, value in timings.items() if not isinstance(value, str)}
        if not timed:
            table.add_row(name, f"{n:,}", text.NOTHING, text.NOTHING, text.NOTHING)
            continue
        best = min(timed, key=lambda regime: timed[regime])
        now = timed.get(tuned.now[name, n])
        words = f"{best.kernel} {best.threads}/{best.sharing}/{best.registers}"
        over = text.factor(now / timed[best]) if now else text.NOTHING
        table.add_row(name, f"{n:,}", words, text.seconds(timed[best]), over)
    console(sys.stdout).print(table)
    failed: dict[str, int] = {}
    for timings in tuned.timings.values():
        for value in timings.values():
            if isinstance(value, str):
                failed[value] = failed.get(value, 0) + 1
    for reason, count in failed.items():
        print(f"{text.plural(count, 'candidate')} left out: {reason}")
    for name, lengths in tuned.left.items():
        print(f"no time was left for {name} of {', '.join(f'{n:,}' for n in lengths)}: the built-in choice stays")
