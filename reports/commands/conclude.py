"""The end of a command that measures: its report, its answer, and its exit status.

It imports pandas and Matplotlib, which the commands do without until then.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..analysis.content import Content, gather
from ..records.run import Implementation
from ..show import report, terminal
from ..show.report import PAGE
from ..system.usage import ERROR


def write_report(folders: Sequence[Path], folder: Path, baseline: str | None = None) -> tuple[Content, str]:
    """Write the report of runs into a folder; what it says, and why it could not be written, or nothing.

    The answer is shown anyhow: what was measured is there, and a report can be made of it elsewhere.
    """
    content = gather(folders, baseline)
    try:
        report.write_content(content, folder)
    except OSError as error:
        again = f"maxbench report {shlex.quote(str(folder))} --output DIR"
        return content, (
            f"the report could not be written: {error}\nWhat was measured is kept; write it elsewhere by: {again}"
        )
    return content, ""


def so_far(folder: Path, baseline: str | None) -> None:
    """Write the report of a run that was interrupted, and say where it is."""
    _, unwritten = write_report([folder], folder, baseline)
    print(unwritten or f"Report so far: {folder / PAGE}", file=sys.stderr)


def conclude(
    content: Content, folder: Path, implementations: Iterable[Implementation], format: str,
    failures: Mapping[tuple[str, tuple[str, ...]], str] | None = None, *, not_measured: bool = False,
    unwritten: str = "",
) -> int:  # fmt: skip
    """Print the answer, where the report is, and last which implementations are wrong or failed.

    Args:
        failures: the cells that failed while they were measured, (benchmark, parameters), and why.
        not_measured: whether those that are wrong were left out.
        unwritten: what `write_report` returned.

    Returns:
        The exit status: 1 if any is wrong or failed, 2 if there is no report.
    """
    terminal.show(content, format)
    print(unwritten or f"\nReport: {folder / PAGE}", file=sys.stderr)
    bad = [one for one in implementations if one.status in ("wrong", "failed")]
    for one in bad:
        but = ", so not measured" if not_measured else ""
        print(f"{one.status}{but}: {one.operation}.{one.name}: {one.reason}", file=sys.stderr)
    by_reason: dict[tuple[str, str], list[str]] = {}
    for (benchmark, params), reason in (failures or {}).items():
        operation, _, kind = benchmark.partition(".")
        name = params[0].strip("'\"") if params else ""
        by_reason.setdefault((f"{operation}.{name}", reason), []).append(f"{kind}({', '.join(params[1:])})")
    for (who, reason), cells in by_reason.items():
        more = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
        print(f"failed while it was measured: {who} {cells[0]}{more}: {reason}", file=sys.stderr)
    return ERROR if unwritten else 1 if bad or by_reason else 0
