"""The outcome on standard output."""

from __future__ import annotations

import sys
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from ..show.console import console
from ..system import files, output_folder
from . import calibration, formats
from .outcome import Outcome
from .verdicts import Verdict

_WRITER, _PROOF = "gate --calibrate", "calibration.md"
_STYLES: dict[Verdict, str] = {
    "slower": "bold red", "wrong": "bold red", "failed": "bold red", "inconclusive": "yellow", "faster": "green",
    "not measured": "dim",
}  # fmt: skip


def show(outcome: Outcome, folder: Path) -> None:
    """Print every result, what it was measured with, and the answer last."""
    screen = console(sys.stdout)
    table = Table(box=box.SIMPLE, pad_edge=False)
    *measured, verdict = formats.columns(outcome.rule)
    for name in measured:
        table.add_column(name, overflow="fold", justify="left" if name == measured[0] else "right")
    table.add_column(verdict, overflow="fold", min_width=len("inconclusive"))
    absent: dict[str, list[str]] = {}
    for result in formats.ordered(outcome.results):
        if result.verdict == "not measured":
            absent.setdefault(result.reason, []).append(result.name)
            continue
        table.add_row(*map(Text, formats.row(result, outcome.rule)), style=_STYLES.get(result.verdict))
    if table.row_count:
        screen.print(table)
    for reason, names in absent.items():
        screen.print(Text(f"not measured: {', '.join(names)}: {reason}"), style="dim")
    for line in formats.context(outcome):
        screen.print(Text(line))
    parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in outcome.seconds.items())
    screen.print(Text(f"took {sum(outcome.seconds.values()):.0f} s ({parts}); files are in {folder}"))
    screen.print(Text(formats.headline(outcome)), style="bold")


def check_proof(folder: Path) -> None:
    """Make sure that `show_proof` can write its file.

    Raises:
        reports.system.output_folder.InTheWay: a file of another program has its name.
    """
    output_folder.check(folder, _WRITER, [_PROOF], _recognised)


def _recognised(name: str, content: bytes) -> bool:
    """Whether a file without a marker is of an earlier version."""
    return content.startswith(b"Checks that raise an alarm, at a threshold of ")


def show_proof(proof: calibration.Proof, folder: Path) -> int:
    """Print a calibration and write it as Markdown; the exit status of ``--calibrate``."""
    bounds = formats.percent(proof.confidence)
    lines = [
        f"| kernels | slowdown | true median | first look (5) | confirmed (7) | both | {bounds} bounds |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for p in sorted(proof.powers, key=lambda p: (p.kernels, p.slowdown)):
        if p.threshold == proof.threshold and p.first.trials:
            low, high = p.bounds
            lines.append(
                f"| {p.kernels} | {p.slowdown:g}% | {p.median:+.1%} | {p.first.hits}/{p.first.trials} "
                f"| {p.second.hits}/{p.second.trials} | {p.both:.1%} | {low:.2%} to {high:.2%} |"
            )
    advice = (
        f"recommended: --threshold {proof.recommended * 100:g}, the smallest with at most "
        f"{calibration.MOST_ALARMS:.0%} false alarms and at least {calibration.LEAST_SEEN:.0%} detection of "
        f"{calibration.TARGET:g}% by their {bounds} bounds"
        if proof.recommended is not None
        else f"no threshold is proven yet to raise at most {calibration.MOST_ALARMS:.0%} false alarms and to see "
        f"{calibration.TARGET:g}% in {calibration.LEAST_SEEN:.0%} of checks: measure longer, or on a quieter machine"
    )
    text = "\n".join([f"Checks that raise an alarm, at a threshold of {proof.threshold:.1%}:", "", *lines, ""])
    text += "\n".join(f"- {line}" for line in [*proof.notes, advice]) + "\n"
    sys.stdout.write(text)
    output_folder.fill(folder, _WRITER, {_PROOF: files.encode(text)}, _recognised)
    return 0 if proof.recommended is not None else 3
