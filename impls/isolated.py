"""Agreement of many implementations at once, each in a process of its own.

A kernel that writes out of bounds or never returns is then a finding about that kernel and not the
end of the check, and several are compiled at the same time.

As a module, ``python -m impls.isolated OPERATION NAME FILE DTYPES`` is that process: it writes its
findings as JSON lines to FILE, because a kernel may print.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import agreement, registry
from .agreement import Finding

TIMEOUT = 900.0  # seconds for all cases of one implementation; the slowest is a simulated GPU


def check_all(
    entries: Sequence[registry.Entry],
    dtypes: Iterable[str] | None = None,
    *,
    jobs: int | None = None,
    done: Callable[[registry.Entry, list[Finding]], None] = lambda entry, findings: None,
    timeout: float = TIMEOUT,
) -> list[Finding]:
    """Check every entry, `jobs` at a time (None: one a core), and all pairs of those that agree.

    Args:
        entries: what to check; one that is unavailable gives one finding that says why.
        dtypes: narrows the cases; None means all.
        done: called, from another thread, as each entry is finished.
        timeout: seconds after which an implementation's process is ended.
    """
    wanted = None if dtypes is None else tuple(dtypes)

    def one(entry: registry.Entry) -> list[Finding]:
        findings = _run(entry, wanted, timeout)
        done(entry, findings)
        return findings

    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        findings = [finding for some in pool.map(one, entries) for finding in some]
    bad = {(f.operation, f.implementation) for f in findings if f.status in ("wrong", "unavailable")}
    sound: dict[str, dict[str, registry.Implementation]] = {"softmax": {}, "argmax": {}}
    for entry in entries:
        if (entry.operation, entry.name) not in bad:
            sound[entry.operation][entry.name] = entry.load()
    return findings + list(agreement.check_pairs(sound["softmax"], sound["argmax"], wanted))


def _run(entry: registry.Entry, dtypes: tuple[str, ...] | None, timeout: float) -> list[Finding]:
    def single(status: agreement.Status, detail: str) -> Finding:
        return Finding(entry.operation, entry.name, "", "", status, detail)

    if entry.problem:
        return [single("unavailable", entry.problem)]
    with tempfile.TemporaryDirectory(prefix="maxbench-") as folder:
        lines = Path(folder) / "findings.jsonl"
        lines.touch()
        command = [sys.executable, "-m", __name__, entry.operation, entry.name, str(lines), ",".join(dtypes or ())]
        try:
            process = subprocess.run(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=timeout, check=False
            )
            end = None if process.returncode == 0 else _ending(process)
        except subprocess.TimeoutExpired:
            end = f"not finished after {timeout:.0f} s"
        findings = [Finding(**json.loads(line)) for line in lines.read_text("utf-8").splitlines()]
    if end is not None:
        after = f" after case {findings[-1].case} {findings[-1].dtype}" if findings else ""
        findings.append(single("wrong", f"its process ended{after}: {end}"))
    return findings


def _ending(process: subprocess.CompletedProcess[str]) -> str:
    code = process.returncode
    reason = (process.stderr.strip().splitlines() or [""])[-1]
    return f"{f'exit status {code}' if code > 0 else f'killed by {signal.Signals(-code).name}'} {reason}".strip()


def _main(operation: str, name: str, path: str, dtypes: str) -> None:
    with open(path, "w", encoding="utf-8", buffering=1) as lines:
        try:
            implementation = registry.load(operation, name)
        except registry.Unavailable as error:
            found: Iterable[Finding] = [Finding(operation, name, "", "", "unavailable", error.reason)]
        else:
            found = agreement.check(implementation, dtypes.split(",") if dtypes else None)
        for finding in found:
            lines.write(json.dumps(finding.as_dict()) + "\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
