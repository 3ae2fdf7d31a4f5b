"""Reports on damaged folders: ``python -m tests.reports.records [COUNT] [SEED]``.

Each report is written whole. Says of which folders a report ended in a traceback, has a number that was not measured,
took long, holds what a terminal would obey, or took more memory than it may.
"""

from __future__ import annotations

import contextlib
import io
import re
import resource
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from maxbench.reports.analysis import table
from maxbench.reports.commands import main as command
from maxbench.reports.records import runs
from tests.reports.records.damage import SECONDS, folders

SECONDS_EACH, MEBIBYTES = 20.0, 300
# Escape sequences, controls other than line ends and tabs, and what turns the direction of text.
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def wrong_numbers(frame: pd.DataFrame) -> list[str]:
    """The times that are not those that were measured."""
    times = frame[(frame["status"] == "ok") & (frame["statistic"] == "time")]
    found = []
    for row in times.to_dict("records"):
        key = row["operation"], row["implementation"], row["n"]
        expected = SECONDS.get(key)  # type: ignore[call-overload]
        if not row["value"] > 0 or (expected and row["dtype"] == "float32" and abs(row["value"] / expected - 1) > 0.02):
            found.append(f"{key}: {row['value']}")
        if pd.notna(row["low"]) and not 0 <= row["low"] <= row["value"] <= row["high"]:
            found.append(f"{key}: {row['value']} is outside {row['low']} to {row['high']}")
    return found


def faults(folder: Path, output: Path, whole: bool = True) -> list[str]:
    """What is wrong with the report of a folder: nothing, if it is as it must be.

    Args:
        whole: write the report; else read and print only.
    """
    printed = io.StringIO()
    began = time.monotonic()
    found: list[str] = []
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            for format in ("table", "csv", "json", "markdown") if whole else ("table", "csv"):
                status = command.main(["report", str(folder), "--output", str(output), "--format", format])
                if not whole or status:
                    break
        if status == 0:
            found += wrong_numbers(table.frame([runs.read(folder)]))
    except BaseException as error:
        found.append(f"raised {type(error).__name__}: {error}")
    if time.monotonic() - began > SECONDS_EACH:
        found.append(f"took {time.monotonic() - began:.0f} s")
    texts = {"the terminal": printed.getvalue()}
    for name in ("index.html", "report.md", "results.csv"):
        if (output / name).exists():
            texts[name] = (output / name).read_text("utf-8")
    for name, words in texts.items():
        if obeyed := OBEYED.search(words):
            found.append(f"{name} holds {obeyed.group()!a}")
        if "<script>alert(1)" in words and name != "the terminal":
            found.append(f"{name} holds a script")
    return found


def main() -> int:
    """0: each is as it must be."""
    count, seed = (int(word) for word in (*sys.argv[1:], *("400", "19")[len(sys.argv) - 1 :]))
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        where = Path(name)
        for number, (done, folder) in enumerate(folders(where, count, seed)):
            if number == 1:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            found = faults(folder, where / "report")
            if number and (rise := (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10) > MEBIBYTES:
                found.append(f"took {rise} MiB more")
                before += rise << 10
            bad += bool(found)
            for fault in found:
                print(f"{done}\n    {fault}")
    print(f"{count} folders, seed {seed}: {count - bad} as they must be; {rise} MiB more than the first took")
    return int(bad > 0)


if __name__ == "__main__":
    raise SystemExit(main())
