"""Runs a command of maxbench with the plug-ins installed, and judges what it reports of each of them."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from maxbench.impls import contract

from .plugin import Plugin

ROOT = Path(__file__).parents[2]
LIMITS = {"MAXBENCH_LIMIT_SECONDS": "20", "MAXBENCH_LIMIT_BYTES": str(3 << 28), "MAXBENCH_SECONDS": "0.05"}
LONGEST = 64 * 1024 + 100  # characters of one field, which states that it was cut

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Done:
    """A command that has ended: exit status (None: it did not end in time), what it printed, seconds, and which
    processes of plug-ins it left running.
    """

    status: int | None
    out: str
    err: str
    seconds: float
    left: Sequence[str] = ()

    @property
    def end(self) -> str:
        """The end in words, with the last line that says more than that maxbench ended."""
        if self.status is None:
            return f"hung for {self.seconds:.0f} s"
        lines = [line for line in self.err.splitlines() if line.strip() and not line.startswith("maxbench: ended")]
        last = f", {lines[-1].strip()[:120]!r}" if lines else ""
        if self.status >= 0:
            return f"exit status {self.status}{last}"
        return f"killed by {signal.Signals(-self.status).name}{last}"

    def rows(self) -> Rows:
        """The JSON that it printed.

        Raises:
            AssertionError: it printed none; says how the command ended.
        """
        try:
            rows: Rows = json.loads(self.out)
        except ValueError:
            raise AssertionError(f"command lost: {self.end}") from None
        return rows


def maxbench(
    folder: Path, *words: str | Path, limits: Mapping[str, str] = LIMITS, timeout: float = 600, cwd: Path | None = None
) -> Done:
    """Run ``maxbench WORDS`` with the plug-ins of a folder, in a session of its own."""
    start = time.monotonic()
    variables = {**os.environ, **LIMITS, **limits, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "maxbench.reports.commands.main", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=variables,
        cwd=cwd or folder,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=timeout)
            status: int | None = process.returncode
        except subprocess.TimeoutExpired:
            status, out, err = None, "", ""
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                out, err = process.communicate(timeout=5)  # what left the session may hold the pipes
    seconds = time.monotonic() - start
    return Done(status, out, err, seconds, list(_alive(folder)))


def listed(plugin: Plugin, rows: Rows) -> str:
    """What is wrong with a plug-in's row of ``list``, or nothing."""
    own = of(plugin.name, rows)
    if len(own) != 1:
        return f"{len(own)} rows"
    status, reason = own[0]["status"], own[0]["reason"]
    expected = {"ok": "available", "any": status}.get(plugin.status, plugin.status)
    if plugin.when != "import":
        expected = status
    if status != expected:
        return f"{status} ({reason[:80]!r}), expected {expected}"
    if status in ("failed", "unavailable") and not re.search(plugin.reason, reason):
        return f"reason {reason[:80]!r}, expected {plugin.reason!r}"
    return unbounded(own)


def checked(plugin: Plugin, findings: Rows) -> str:
    """What is wrong with a plug-in's findings of ``check``, or nothing."""
    own = of(plugin.name, findings)
    if not own:
        return "no finding"
    by_status: dict[str, list[str]] = {}
    for finding in own:
        by_status.setdefault(finding["status"], []).append(finding["detail"])
    found = {status: details for status, details in by_status.items() if status not in ("agrees", "not supported")}
    accepted = {"bad": ("wrong", "failed"), "ok": (), "any": tuple(found)}.get(plugin.status, (plugin.status,))
    reasons = [detail for status in accepted for detail in found.get(status, [])]
    unexpected = {status: details[0][:80] for status, details in found.items() if status not in accepted}
    if plugin.status == "ok" and (unexpected or len(own) != len(of("good", findings))):
        return f"{unexpected or f'{len(own)} findings'}, expected nothing wrong in {len(of('good', findings))}"
    if accepted and plugin.status != "any" and not reasons:
        return f"{unexpected or 'nothing wrong'}, expected {plugin.status}"
    if reasons and not any(re.search(plugin.reason, reason) for reason in reasons):
        return f"reason {reasons[0][:80]!r}, expected {plugin.reason!r}"
    return unbounded(own)


def ranked(plugin: Plugin, rows: Rows) -> str:
    """Which forged time of a cheat is in the table of a run, or nothing."""
    times = [float(row["value"]) for row in times_of(plugin.name, rows)]
    forged = [seconds for seconds in times if not plugin.seconds or seconds < plugin.seconds]
    return f"ranked with {min(forged) * 1e6:.3g} µs" if forged else ""


def accused(folder: Path) -> Mapping[str, str]:
    """The reasons of what a run did not measure, by implementation: found by its check or while it was timed."""
    path = folder / "run.json"
    checked = json.loads(path.read_text("utf-8"))["implementations"] if path.exists() else []
    reasons = {one["name"]: one["reason"] for one in checked if one["status"] != "available"}
    return {row["implementation"]: row["reason"] for row in table(folder) if row["benchmark"] == "Own"} | reasons


def times_of(name: str, rows: Rows) -> Rows:
    """The rows of a run's table that are times of steady calls of an implementation."""
    timed = ("Own", "Sweep", "Workloads", "Api")
    return [r for r in rows if r["implementation"] == name and r["status"] == "ok" and r["benchmark"] in timed]


def harmed(findings: Rows) -> str:
    """What ``check`` reports of the honest ones beside the plug-ins that it should not, or nothing."""
    for operation in ("softmax", "argmax"):
        own = [f for f in findings if (f["operation"], f["implementation"]) == (operation, "good")]
        if bad := [f for f in own if f["status"] not in ("agrees", "not supported")]:
            return f"good harmed: {bad[0]['status']} {bad[0]['detail'][:80]!r}"
        if len(own) < len(contract.KERNEL_CASES):
            return f"{len(own)} findings of {operation}.good"
    pairs = [f for f in findings if f["operation"] == "pair" and f["implementation"] == "good / good"]
    if not pairs or any(f["status"] != "agrees" for f in pairs):
        return "the pair good / good does not agree"
    return ""


def unbounded(rows: Rows) -> str:
    """Which field is too long or holds control characters, or nothing."""
    for row in rows:
        for key, value in row.items():
            text = value if isinstance(value, str) else json.dumps(value)
            if len(text) > LONGEST:
                return f"{key} has {len(text)} characters"
            if re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text):
                return f"{key} has control characters"
    return ""


def table(folder: Path) -> Rows:
    """The rows of a run's table; none where it has none."""
    path = folder / "results.csv"
    if not path.exists():
        return []
    csv.field_size_limit(1 << 30)
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _alive(folder: Path) -> Iterable[str]:
    for path in sorted((folder / "left").iterdir()):
        with contextlib.suppress(psutil.NoSuchProcess):
            if (process := psutil.Process(int(path.name))).status() != psutil.STATUS_ZOMBIE:
                yield f"{process.pid} {' '.join(process.cmdline())[:80]}"


def of(name: str, rows: Rows) -> Rows:
    """The rows or findings of a softmax."""
    return [row for row in rows if row["operation"] == "softmax" and row["implementation"] == name]
