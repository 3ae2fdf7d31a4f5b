"""Where and how a run was measured: as a list for the end of a report, and as the sentence for its top."""

from __future__ import annotations

from typing import Any

import pandas as pd

from . import precheck, text
from .runs import Run

# Whose versions the sentence names: the list has all.
_NAMED = {"python": "Python", "numpy": "NumPy", "numba": "Numba", "numba-cuda": "numba-cuda"}


def sentence(run: Run, rows: pd.DataFrame) -> str:
    """Machine, threads, versions, date, commit, and whether the source was as committed; unknown parts are left out."""
    known = dict(of(run, rows))
    versions = run.get("versions")
    names = versions if isinstance(versions, dict) else {}
    machine = ", ".join(known[key] for key in ("machine", "CPU") if key in known)
    threads = run.get("threads", "numba")
    parts = [
        machine,
        f"{threads} {'thread' if threads == 1 else 'threads'}" if threads else "",
        {"none found": "no GPU found"}.get(known.get("GPU", ""), known.get("GPU", "")),
        ", ".join(f"{shown} {names[name]}" for name, shown in _NAMED.items() if name in names),
        known.get("measured", ""),
        _source(run, str(rows["commit"].iloc[0])),
        known.get("precheck", ""),
    ]
    return f"Measured on {'; '.join(filter(None, parts))}."


def _source(run: Run, commit: str) -> str:
    """The commit in short; results of asv alone say no more of it."""
    source = run.get("source")
    if not isinstance(source, dict):
        return f"commit {commit[:8]}"
    if not source.get("commit"):
        return f"maxbench {source.get('version')}, in no git checkout"
    state = {"True": "dirty (changes not committed)", "False": "clean"}.get(str(source.get("dirty")), "")
    return ", ".join(filter(None, (f"commit {commit[:8]}", state)))


def of(run: Run, rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Machine, threads, versions, date, commit; what is not known is left out."""
    plain = run.results.machines.get(str(rows["machine"].iloc[0]), {})
    memory = run.get("machine", "memory_bytes")
    cores = [
        f"{run.get('machine', key)} {kind}"
        for key, kind in (("cores_physical", "physical"), ("cores_logical", "logical"))
        if run.get("machine", key)
    ]
    gpus = run.get("machine", "gpu")
    layer = run.get("threads", "layer")
    threads = run.get("threads", "numba")
    quota = run.get("threads", "quota")
    versions = run.get("versions")
    load = run.get("load_average", "start")
    checked = precheck.from_dict(run.get("precheck"))
    dirty = {True: "dirty (changes not committed)", False: "clean"}.get(run.get("source", "dirty"), "")
    dates = rows["date"].dropna()
    facts = [
        ("machine", str(rows["machine"].iloc[0])),
        ("CPU", run.get("machine", "cpu") or plain.get("cpu")),
        ("cores", ", ".join(cores) or plain.get("num_cpu")),
        ("memory", text.size(memory) if isinstance(memory, int | float) else plain.get("ram")),
        ("caches", _pairs(run.get("machine", "caches"), lambda value: text.size(float(value)))),
        (
            "GPU",
            ", ".join(_gpu(gpu) for gpu in gpus)
            if isinstance(gpus, list) and gpus
            else "none found"
            if run.side
            else "",
        ),
        ("system", run.get("machine", "os") or plain.get("os")),
        ("threads", f"{threads}{f' ({layer})' if layer else ''}" if threads else ""),
        ("waiting threads", run.get("threads", "waiting")),
        ("CPU quota", f"{quota:g} CPUs" if isinstance(quota, int | float) else ""),
        ("precheck", checked.sentence.removesuffix(" today") if checked else ""),
        ("load average at the start", ", ".join(f"{x:.2f}" for x in load) if isinstance(load, list) else ""),
        ("versions", _pairs(versions, str)),
        ("measured", f"{dates.min():%Y-%m-%d %H:%M} UTC" if len(dates) else ""),
        ("grid", run.side.get("grid")),
        ("commit", " ".join(filter(None, (str(rows["commit"].iloc[0]), run.get("source", "branch"), dirty)))),
        ("array", _pairs(run.side.get("array"), str)),
        ("command", " ".join(map(str, run.side["command"])) if isinstance(run.side.get("command"), list) else ""),
    ]
    return [(name, str(value)) for name, value in facts if value]


def _gpu(gpu: Any) -> str:
    if not isinstance(gpu, dict):
        return str(gpu)
    driver = gpu.get("driver")
    return f"{gpu.get('name')}{f' (driver {driver})' if driver else ''}"


def _pairs(value: Any, show: Any) -> str:
    if not isinstance(value, dict):
        return ""
    found = []
    for key, part in value.items():
        if part is None:
            continue
        try:
            found.append(f"{key} {show(part)}")
        except (TypeError, ValueError):
            found.append(f"{key} {part}")
    return ", ".join(found)
