"""``maxbench check``: every implementation on every case of the contract, and across the two operations."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence

from rich.table import Table

from maxbench.impls import contract
from maxbench.impls.agreement import Finding, Status

from ..measure import checks
from ..measure.selection import named, select
from ..show.console import console
from ..system.progress import Bar
from ..system.text import plural
from . import options

_COUNTED: tuple[Status, ...] = ("agrees", "differs", "wrong", "failed", "not supported")
_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``maxbench check``."""
    options.add(parser, "PATTERN")
    options.add(parser, "--operation")
    options.add(parser, "--dtype", "; repeatable", choices=contract.ARGMAX.dtypes)
    options.add(parser, "--jobs", "(default: one a core)")
    options.add(parser, "--simulate", also=("--simulate-cuda",), dest="simulate_cuda")
    options.add(parser, "--format", "; json has every single finding", choices=("table", "json"))


def main(args: argparse.Namespace) -> int:
    """0: nothing is wrong; 1: something is, crashes, or does not load although nothing that it needs is missing.

    One that was named must load. A difference that its author has declared is no fault, and neither is one that did not
    occur: that may be due to the library's version or to the processor.
    """
    if args.simulate_cuda:
        os.environ["NUMBA_ENABLE_CUDASIM"] = "1"
    entries = select(args.pattern, args.operation)
    done = 0
    with Bar() as bar:

        def tick(checked: checks.Checked) -> None:
            nonlocal done
            done += 1
            bar.show("checking agreement", done, len(entries), None)

        bar.show("checking agreement", 0, len(entries), None)
        found, pairs = checks.check_all(entries, args.dtype, jobs=args.jobs, done=tick)
    findings = [*(finding for checked in found for finding in checked.findings), *pairs]
    if args.format == "json":
        json.dump([finding.as_dict() for finding in findings], sys.stdout, indent=1)
        print()
    else:
        _print(findings)
    absent = [c.entry for c in found if c.status == "unavailable" and named(c.entry, args.pattern)]
    for entry in absent:
        print(f"{entry.operation}.{entry.name} was named and is unavailable", file=sys.stderr)
    return int(bool(absent) or any(finding.status in ("wrong", "failed") for finding in findings))


def _print(findings: Sequence[Finding]) -> None:
    out = console(sys.stdout)
    rows: dict[tuple[str, str], list[Finding]] = {}
    unequal = {f.implementation for f in findings if f.operation == "pair" and f.status == "wrong"}
    pairs = {f.implementation for f in findings if f.operation == "pair"}
    for finding in findings:
        name = finding.implementation
        if finding.operation == "pair" and name not in unequal:
            name = f"{len(pairs - unequal)} pairs of a softmax and an argmax"
        rows.setdefault((finding.operation, name), []).append(finding)
    table = Table("operation", "implementation")
    for status in _COUNTED:
        table.add_column(status, justify="right")
    for (operation, name), own in rows.items():
        counts = Counter(finding.status for finding in own)
        table.add_row(
            *("both" if operation == "pair" else operation, name),
            *("-" if counts["unavailable"] else str(counts[status]) for status in _COUNTED),
        )
    out.print(table)
    order = ("failed", "wrong", "stale", "unavailable", "not supported")  # what a reader must act on comes first
    bad = sorted((f for f in findings if f.status in order), key=lambda f: order.index(f.status))
    lines = list(dict.fromkeys(map(_line, bad)))
    lines += _differences(findings)
    for line in lines[:_SHOWN]:
        print(line)
    if len(lines) > _SHOWN:
        print(f"... and {len(lines) - _SHOWN} more; --format json has all")


def _differences(findings: Sequence[Finding]) -> list[str]:
    """Declared differences, one line for an implementation and a reason, with the first case as an example."""
    grouped: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        if finding.status == "differs":
            grouped.setdefault((f"{finding.operation}.{finding.implementation}", finding.declared), []).append(finding)
    return [
        f"differs: {who} in {plural(len(own), 'case')}: {reason}; for one {own[0].case} {own[0].dtype}: {own[0].detail}"
        for (who, reason), own in grouped.items()
    ]


def _line(finding: Finding) -> str:
    """A finding in one line; reasons that hold for every case are worded without one, to be said once."""
    where = f" {finding.case} {finding.dtype}" if finding.status in ("wrong", "failed") and finding.case else ""
    return f"{finding.status}: {finding.operation}.{finding.implementation}{where}: {finding.detail}"
