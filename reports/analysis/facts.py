"""Where and how a run was measured: as a list for the end of a report, and as the sentence for its top."""

from __future__ import annotations

import re

import pandas as pd

from ..records.run import Array, Gpu
from ..records.runs import Run
from ..system import text
from . import doubts

# Whose versions the sentence names: the list has all.
_NAMED = {"python": "Python", "numpy": "NumPy", "numba": "Numba", "numba-cuda": "numba-cuda"}

_DIRTY = {True: "dirty (changes not committed)", False: "clean", None: ""}


def sentence(run: Run, rows: pd.DataFrame) -> str:
    """Machine, threads, versions, date, commit, and whether the source was as committed; unknown parts are left out."""
    known = dict(of(run, rows))
    names, threads = run.about.versions, run.about.threads.numba
    parts = [
        ", ".join(known[key] for key in ("machine", "CPU") if key in known),
        text.plural(threads, "thread") if threads else "",
        {"none found": "no GPU found"}.get(known.get("GPU", ""), known.get("GPU", "")),
        ", ".join(f"{shown} {names[name]}" for name, shown in _NAMED.items() if name in names),
        known.get("measured", ""),
        _source(run, str(rows["commit"].iloc[0])),
        known.get("precheck", ""),
    ]
    return f"Measured on {'; '.join(filter(None, parts))}."


def trust(run: Run, rows: pd.DataFrame) -> list[tuple[str, str]]:
    """By what a run's figures can be trusted: noise, what else the machine did, threads, processes."""
    about = run.about
    checked, parts = about.precheck, about.disturbance or []
    load, cpus = about.load_average, about.machine.cores_logical
    loads = [f"{ends[0]:.2f}" for ends in (load.start, load.end) if ends]
    others = [part.others for part in parts if part.others is not None]
    throttled = [part.throttled for part in parts if part.throttled is not None]
    timed = rows[(rows["status"] == "ok") & (rows["statistic"] == "time")]["processes"].dropna()
    least, most = (int(end) if len(timed) else 0 for end in (timed.min(), timed.max()))
    known = run.record is not None
    plain = run.results.machines.get(str(rows["machine"].iloc[0]), {})
    pairs = [
        ("machine", re.sub(r"\((R|TM)\)| CPU| Processor", "", about.machine.cpu if known else plain.get("cpu") or "")),
        ("A/A noise", doubts.floor(checked) if checked else "not measured" if known else ""),
        ("other programs", text.percent(max(others)) if others else ""),
        ("throttled", text.plural(sum(throttled), "time") if throttled else "not counted" if parts else ""),
        ("load", " → ".join(loads) + (f" on {text.plural(cpus, 'CPU')}" if cpus else "") if loads else ""),
        ("threads", _threads(run)),
        ("processes", str(least) if least == most else f"{least} to {most}"),
    ]
    return [(name, value) for name, value in pairs if value]


def _threads(run: Run) -> str:
    threads = run.about.threads
    return f"{threads.numba}{f' ({threads.layer})' if threads.layer else ''}" if threads.numba else ""


def _source(run: Run, commit: str) -> str:
    """The commit in short; results of asv alone say no more of it."""
    source = run.about.source
    if source.commit is None and source.version is not None:
        return f"maxbench {source.version}, in no git checkout"
    return ", ".join(filter(None, (f"commit {commit[:8]}", _DIRTY[source.dirty])))


def of(run: Run, rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Machine, threads, versions, date, commit; what is not known is left out."""
    about = run.about
    machine, threads, load = about.machine, about.threads, about.load_average.start
    plain = run.results.machines.get(str(rows["machine"].iloc[0]), {})
    known = run.record is not None
    cores = ((machine.cores_physical, "physical"), (machine.cores_logical, "logical"))
    dates = rows["date"].dropna()
    facts = [
        ("machine", str(rows["machine"].iloc[0])),
        ("CPU", machine.cpu if known else plain.get("cpu")),
        ("cores", ", ".join(f"{count} {kind}" for count, kind in cores if count) or plain.get("num_cpu")),
        ("memory", text.size(machine.memory_bytes) if machine.memory_bytes else plain.get("ram")),
        ("caches", ", ".join(f"{level} {text.size(size)}" for level, size in machine.caches.items())),
        ("GPU", ", ".join(map(_gpu, machine.gpu)) or ("none found" if known else "")),
        ("system", machine.os or plain.get("os")),
        ("threads", _threads(run)),
        ("waiting threads", threads.waiting),
        ("CPU quota", f"{threads.quota:g} CPUs" if threads.quota is not None else ""),
        ("precheck", doubts.sentence(about.precheck).removesuffix(" today") if about.precheck else ""),
        ("load average at the start", ", ".join(f"{x:.2f}" for x in load or ())),
        ("versions", ", ".join(f"{name} {version}" for name, version in about.versions.items())),
        ("measured", f"{dates.min():%Y-%m-%d %H:%M} UTC" if len(dates) else ""),
        ("grid", about.grid),
        (
            "commit",
            " ".join(filter(None, (str(rows["commit"].iloc[0]), about.source.branch, _DIRTY[about.source.dirty]))),
        ),
        ("array", _array(about.array) if about.array else ""),
        ("command", " ".join(about.command)),
    ]
    return [(name, str(value)) for name, value in facts if value]


def _gpu(gpu: Gpu) -> str:
    return f"{gpu.name}{f' (driver {gpu.driver})' if gpu.driver else ''}"


def _array(array: Array) -> str:
    shape = ", ".join(map(str, array.shape))
    facts = (
        ("path", array.path),
        ("key", array.key),
        ("axis", array.axis),
        ("shape", f"[{shape}]"),
        ("dtype", array.dtype),
    )
    return ", ".join(f"{name} {value}" for name, value in facts if value is not None)
