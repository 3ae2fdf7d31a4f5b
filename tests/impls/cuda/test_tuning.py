"""The tuner's decisions, from pretended timings; and which table file is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numba_cuda", reason="not installed: numba-cuda; pip install 'maxbench[test]'")

from maxbench.impls.cuda import plans, regimes, tuning
from maxbench.impls.cuda.regimes import Regime
from maxbench.reports.measure.device import tuning as device_tuning
from tests.impls.cuda.fakes import Clock

H200 = plans.Device(132, regimes.DEVICE, 232448)


@pytest.mark.parametrize("name", regimes.KINDS)
def test_candidates_hold_the_row_and_begin_with_the_present_choice(name: str) -> None:
    for n in tuning.lengths(name):
        first, *others = tuning.candidates(name, n, H200)
        assert first.kernel == plans.choose(name, plans.ELEMENTS["float32"], n, H200).kernel
        assert len({first, *others}) == 1 + len(others)
        for regime in (first, *others):
            regimes.checked(name, regime)
            assert (
                plans.choose(name, plans.ELEMENTS["float32"], n, plans.Device(132, {name: (regime,)}, H200.shared))
                is regime
            )
    assert len(tuning.candidates(name, 64, H200)) > 5


@pytest.mark.parametrize(
    ("rows", "n", "shares"),
    [(67, 16384, None), (67, 16388, (1, 4097)), (67, 57600, (1, 14400)), (67, 57604, (4, 3616)), (66, 32768, (4, 2048)),
     (32, 128256, (8, 4032)), (9, 1 << 20, (64, 4096)), (1, 20000, (2, 2528)), (1, 64 * 57600, (64, 14400)),
     (1, 64 * 57600 + 4, None)],
)  # fmt: skip
def test_a_row_has_a_block_or_as_many_as_fill_the_device(rows: int, n: int, shares: tuple[int, int] | None) -> None:
    """Rows by one block in 225 KiB of its shared memory; 64 KiB to each of several, less where rows are few."""
    element = plans.ELEMENTS["float32"]
    regime = next(
        r for r in H200.table["softmax rows"] if plans._holds_row(r, element, n, "aligned", H200, rows)
    )  # fmt: skip
    assert (plans._shares(regime, element, n, rows, H200) if regime.kernel == "shared" else None) == shares


@pytest.mark.parametrize(("n", "rows"), [(8, 4), (21, 11), (24, 12), (33, 3), (64, 4), (65, 5), (1000, 16)])
def test_threads_hold_no_more_rows_of_a_column_than_it_takes(n: int, rows: int) -> None:
    element = plans.ELEMENTS["float32"]
    regime = plans.choose("softmax columns", element, n, H200)
    assert plans._even_rows(regime, element, n, vectors=True) == rows


def tuned(seconds_of: Any, budget: float = 1e6, each: float = 1.0) -> device_tuning.Tuned:
    clock = Clock()

    def measure(name: str, n: int, tried: Any) -> device_tuning.Timings:
        clock.now += each
        return {regime: seconds_of(name, n, regime) for regime in tried}

    return device_tuning.tune(H200, measure, budget, clock=clock)


def test_the_fastest_of_each_length_becomes_its_regime() -> None:
    def seconds(name: str, n: int, regime: Regime) -> float:
        """Warps are fastest up to 512 columns, blocks of 64 threads beyond."""
        best = regime.sharing == 32 if n <= 512 else regime.threads == 64
        return 1.0 if best and regime.kernel == "rows" and regime.registers == 32 else 2.0

    found = tuned(seconds)
    first, *_ = found.table["softmax rows"]
    # Below 32 columns such warps are too roomy to be tried, and all others are as fast as the present choice.
    assert found.table["softmax rows"][0].kernel == "short"
    chosen = {n: plans.choose("softmax rows", plans.ELEMENTS["float32"], n, plans.Device(132, found.table, H200.shared))
              for n in (128, 300, 512, 1024, 2048)}  # fmt: skip
    assert [(chosen[n].threads, chosen[n].sharing) for n in (128, 300, 512)] == [(128, 32)] * 3
    assert [chosen[n].threads for n in (1024, 2048)] == [64, 64]
    assert first.longest is not None
    assert found.table["softmax rows"][-1].longest is None


def test_the_present_choice_stays_unless_another_is_clearly_faster() -> None:
    now, other = Regime("rows", 128, 8, 8), Regime("rows", 128, 16, 8)
    assert tuning.winner({now: 1.02, other: 1.0}, now) == now
    assert tuning.winner({now: 1.04, other: 1.0}, now) == other
    assert tuning.winner({other: 1.0}, now) == other  # the present choice could not be timed


def test_every_row_of_every_dtype_and_alignment_has_a_regime_in_a_tuned_table() -> None:
    found = tuned(lambda name, n, regime: 1.0 + hash((regime.threads, regime.sharing, regime.registers, n)) % 97)
    device = plans.Device(132, found.table, H200.shared)
    for name in regimes.KINDS:
        for dtype in ("float16", "float32", "float64", "int8"):
            for n in (1, 3, 33, 1000, 8193, 1 << 20, 5_000_001):
                plans.choose(name, plans.ELEMENTS[dtype], n, device)


def test_candidates_that_fail_do_not_count() -> None:
    found = tuned(lambda name, n, regime: 1.0 if regime.kernel in ("split", "parts") else "CudaAPIError: no resources")
    assert {regime.kernel for regime in found.table["softmax rows"]} == {"split"}


def test_what_the_time_does_not_suffice_for_keeps_its_regime() -> None:
    found = tuned(lambda name, n, regime: 1.0, budget=20, each=1.0)
    assert sum(map(len, found.left.values())) == sum(len(tuning.lengths(name)) for name in regimes.KINDS) - 20
    assert 1 << 22 in found.left["softmax rows"]
    assert 2 not in found.left["softmax rows"]
    device = plans.Device(132, found.table, H200.shared)
    for n in tuning.lengths("softmax rows"):
        element = plans.ELEMENTS["float32"]
        was, now = (plans.choose("softmax rows", element, n, d) for d in (H200, device))
        assert (was.kernel, was.threads, was.registers) == (now.kernel, now.threads, now.registers), n


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(regimes.TABLE_FILE, raising=False)
    (tmp_path / "maxbench").mkdir()
    return tmp_path


TABLE = {**regimes.DEVICE, "argmax columns": (Regime("parts", 128, 2, 8),)}


def test_a_machines_table_is_found_by_the_device(home: Path) -> None:
    path = regimes.machine_file("NVIDIA H200 (MIG 1g)")
    assert path == home / "maxbench" / "cuda-NVIDIA-H200-MIG-1g.json"
    assert regimes.load("NVIDIA H200 (MIG 1g)") == (regimes.DEVICE, "built in")
    path.write_text(regimes.as_json(TABLE, "NVIDIA H200 (MIG 1g)"))
    assert regimes.load("NVIDIA H200 (MIG 1g)") == (TABLE, str(path))
    assert regimes.load("NVIDIA H100")[1] == "built in"


def broken(**change: Any) -> str:
    data = json.loads(regimes.as_json(TABLE, "gpu"))
    entry = data["tables"]["argmax columns"][0]
    entry.update(change)
    return json.dumps(data)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not a table of CUDA regimes"),
        ("[]", "expected an object with `device` and `tables`"),
        ('{"device": "gpu", "tables": {"mean rows": []}}', "'mean rows': accepted are softmax rows"),
        ('{"device": "gpu", "tables": {"argmax rows": 5}}', "not a list of regimes"),
        ('{"device": "gpu", "tables": {"argmax rows": []}}', "the last regime must be 'parts'"),
        (regimes.as_json(TABLE, "another"), "it was measured on 'another', and this device is 'gpu'"),
        (broken(threads=100), "threads 100 is not a power of two"),
        (broken(registers=0), "registers 0 is not a positive integer"),
        (broken(longest="many"), "longest 'many' is neither"),
        (broken(speed=3), r"\['speed'\] in a regime"),
    ],
)
def test_a_table_that_cannot_be_used_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    path = regimes.machine_file("gpu")
    path.write_text(text)
    with pytest.warns(RuntimeWarning, match=reason):
        assert regimes.load("gpu") == (regimes.DEVICE, "built in")
    monkeypatch.setenv(regimes.TABLE_FILE, str(path))  # what is asked for by name is an error
    with pytest.raises(ValueError, match=reason):
        regimes.load("gpu")
    monkeypatch.setenv(regimes.TABLE_FILE, str(home / "none.json"))
    with pytest.raises(FileNotFoundError):
        regimes.load("gpu")
