"""Where and how a run was measured, fact by fact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from msgspec.structs import replace

from maxbench.reports.analysis import facts
from maxbench.reports.records import asv_results, runs
from maxbench.reports.records.run import (
    Array,
    Disturbance,
    Gpu,
    LoadAverage,
    Machine,
    Noise,
    Precheck,
    RunRecord,
    Source,
    Threads,
)

COMMIT = "0123456789abcdef"
NOISE = Noise(visible=0.025, bias=0.0, spread=0.01, processes=3)
WHOLE = RunRecord(
    machine=Machine(
        cpu="A CPU", cores_physical=2, cores_logical=4, memory_bytes=8 << 30, os="Linux",
        caches={"L1d": 32768, "L2": 1 << 20}, gpu=[Gpu(name="G"), Gpu(name="H", driver="5")],
    ),
    threads=Threads(numba=2, layer="omp", waiting="spins", quota=1.5), grid="quick", command=["maxbench", "run"],
    precheck=Precheck(seconds=1.0, threads=2, noise={"k": NOISE}), load_average=LoadAverage(start=[0.5, 1.0, 2.0]),
    versions={"python": "3.11", "numba": "0.6", "other": "1"}, source=Source(branch="main", dirty=True, commit=COMMIT),
    array=Array(path="x.npz", key="a", axis=0, shape=[2, 3], dtype="int8"),
)  # fmt: skip


def run_of(record: RunRecord | None, **plain: str) -> runs.Run:
    return runs.Run(Path("r"), asv_results.Results(machines={"box": plain} if plain else {}), record)


def rows(*dates: str) -> pd.DataFrame:
    return pd.DataFrame(
        {"machine": "box", "commit": COMMIT, "date": pd.to_datetime([*dates] or [None], utc=True, format="ISO8601")}
    )


def test_all_that_a_run_notes_is_listed() -> None:
    found = facts.of(run_of(WHOLE, cpu="other"), rows("2026-01-03", "2026-01-02T03:04:05Z"))
    assert found == [
        ("machine", "box"), ("CPU", "A CPU"), ("cores", "2 physical, 4 logical"), ("memory", "8.00 GiB"),
        ("caches", "L1d 32.0 KiB, L2 1.00 MiB"), ("GPU", "G, H (driver 5)"), ("system", "Linux"),
        ("threads", "2 (omp)"), ("waiting threads", "spins"), ("CPU quota", "1.5 CPUs"),
        ("precheck", "this machine can see 2.5% in 60 s"), ("load average at the start", "0.50, 1.00, 2.00"),
        ("versions", "python 3.11, numba 0.6, other 1"), ("measured", "2026-01-02 03:04 UTC"), ("grid", "quick"),
        ("commit", f"{COMMIT} main dirty (changes not committed)"),
        ("array", "path x.npz, key a, axis 0, shape [2, 3], dtype int8"), ("command", "maxbench run"),
    ]  # fmt: skip


def test_of_results_of_asv_alone_the_machine_is_known() -> None:
    plain = {"cpu": "B CPU", "num_cpu": "8", "ram": "4 GB", "os": "BSD"}
    known = [("machine", "box"), ("CPU", "B CPU"), ("cores", "8"), ("memory", "4 GB"), ("system", "BSD")]
    assert facts.of(run_of(None, **plain), rows()) == [*known, ("commit", COMMIT)]
    assert facts.of(run_of(None), rows()) == [("machine", "box"), ("commit", COMMIT)]
    bare = facts.of(run_of(RunRecord(threads=Threads(numba=1), array=Array(path="y"))), rows())
    assert bare == [
        ("machine", "box"), ("CPU", "unknown"), ("GPU", "none found"), ("threads", "1"), ("commit", COMMIT),
        ("array", "path y, shape [], dtype "),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (WHOLE, "box, A CPU; 2 threads; G, H (driver 5); Python 3.11, Numba 0.6; 2026-01-02 00:00 UTC; "
         "commit 01234567, dirty (changes not committed); this machine can see 2.5% in 60 s"),
        (RunRecord(source=Source(dirty=False, commit="x")), "box, unknown; no GPU found; 2026-01-02 00:00 UTC; "
         "commit 01234567, clean"),
        (RunRecord(source=Source(version="0.1")), "box, unknown; no GPU found; 2026-01-02 00:00 UTC; "
         "maxbench 0.1, in no git checkout"),
        (RunRecord(source=Source(version="0.1", commit="x")), "box, unknown; no GPU found; 2026-01-02 00:00 UTC; "
         "commit 01234567"),
        (None, "box; 2026-01-02 00:00 UTC; commit 01234567"),
    ],
)  # fmt: skip
def test_the_sentence_leaves_out_what_is_not_known(record: Any, said: str) -> None:
    assert facts.sentence(run_of(record), rows("2026-01-02")) == f"Measured on {said}."


def test_by_what_figures_can_be_trusted_in_one_line() -> None:
    disturbed = [Disturbance(others=0.02, throttled=1), Disturbance(others=0.3, throttled=2)]
    machine = Machine(cpu="Intel(R) Xeon(R) CPU @ 2.50GHz", cores_logical=4)
    load = LoadAverage(start=[0.5, 1.0, 2.0], end=[3.0, 1.0, 1.0])
    record = replace(WHOLE, machine=machine, disturbance=disturbed, load_average=load)
    table = rows("2026-01-02", "2026-01-02", "2026-01-02").assign(
        status=["ok", "ok", "failed"], statistic="time", processes=pd.array([3, 5, 1], "Int64")
    )
    assert facts.trust(run_of(record), table) == [
        ("machine", "Intel Xeon @ 2.50GHz"), ("A/A noise", "2.5%"), ("other programs", "30%"), ("throttled", "3 times"),
        ("load", "0.50 → 3.00 on 4 CPUs"), ("threads", "2 (omp)"), ("processes", "3 to 5"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("record", "noise", "throttled"),
    [
        (RunRecord(precheck=Precheck(seconds=1.0, threads=2, problem="late")), "not known", None),
        (RunRecord(disturbance=[Disturbance()]), "not measured", "not counted"),
        (RunRecord(disturbance=[Disturbance(throttled=0)]), "not measured", "0 times"),
        (None, None, None),
    ],
)
def test_what_is_not_known_of_the_machine_is_said_so(record: Any, noise: str | None, throttled: str | None) -> None:
    table = rows("2026-01-02").assign(status="ok", statistic="time", processes=pd.array([3], "Int64"))
    found = dict(facts.trust(run_of(record, cpu="other"), table))
    assert (found.get("A/A noise"), found.get("throttled")) == (noise, throttled)
    assert found["processes"] == "3"
    assert found["machine"] == ("unknown" if record else "other")
