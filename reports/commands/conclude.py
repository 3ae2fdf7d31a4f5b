"""The end of a command that measures: its report, its answer, and its exit status."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..analysis.content import Content
from ..records.run import Implementation
from ..show import report, terminal
from ..system.usage import ERROR


def write_report(content: Content, folder: Path) -> str:
    """Write the report into the run's folder; why it could not be written, or nothing: the answer is shown anyhow.

    What was measured is there, and a report can be made of it elsewhere.
    """
    try:
        report.write_content(content, folder)
    except OSError as error:
        again = f"maxbench report {shlex.quote(str(folder))} --output DIR"
        return f"the report could not be written: {error}\nWhat was measured is kept; write it elsewhere by: {again}"
    return ""


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
    print(unwritten or f"\nReport: {folder / report.PAGE}", file=sys.stderr)
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
