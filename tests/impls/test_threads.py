"""Threads: their number, the layers that Numba runs them on, the same bits from any thread and forked child."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from maxbench import impls
from maxbench.impls import contract, threads
from maxbench.impls.contract.dtypes import named
from tests import forks
from tests.needs import ALL

LAYERS = ("tbb", "omp", "workqueue")
HAS_TBB = any(point.metadata["Name"] == "tbb" for point in importlib.metadata.distributions())

# Inputs that several threads compute, one and more for every regime: (shape, dtypes).
FLOATS = ("float16", "float32", "float64")
SOFTMAX = [
    ((1 << 17, 2, 1), FLOATS),
    ((1 << 15, 4, 1), FLOATS),  # rows of four
    ((20000, 10, 1), FLOATS),  # transposed rows
    ((3000, 60, 1), FLOATS),  # register-resident rows
    ((300, 1000, 1), FLOATS),  # pipelined rows
    ((301, 1003, 1), FLOATS),
    ((5, 40000, 1), FLOATS),
    ((1, 1 << 18, 1), FLOATS),  # split rows
    ((3, 70001, 1), FLOATS),
    ((8, 21, 1030), FLOATS),  # column tiles
    ((3, 600, 128), FLOATS),
    ((1, 40000, 17), FLOATS),  # split columns
    ((3, 30001, 3), FLOATS),
    ((8192, 512, 1), ("float32",)),  # streaming stores, two rows interleaved
    ((2, 21, 1 << 17), ("float32",)),  # pipelined column tiles
]
# Of the dtypes one a width, and all of them in one regime: what differs between them is the same in every regime.
WIDTHS = ("float16", "float32", "float64", "int8", "int64")
ARGMAX = [
    ((1 << 19, 2, 1), WIDTHS),
    ((1 << 18, 4, 1), ("float32", "int32", "int64")),
    ((1 << 16, 10, 1), WIDTHS),
    ((1 << 14, 60, 1), ("float32", "float64", "int32", "uint64")),
    ((1000, 1003, 1), contract.DTYPES),
    ((2, 1 << 20, 1), WIDTHS),  # split rows
    ((8, 21, 4099), WIDTHS),
    ((1, 9000, 128), WIDTHS),  # split columns
]
CASES = [
    (operation, shape, dtype)
    for operation, inputs in (("softmax", SOFTMAX), ("argmax", ARGMAX))
    for shape, dtypes in inputs
    for dtype in dtypes
]


def scores(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return (np.random.default_rng(0).standard_normal(shape) * 3).astype(named(dtype))


@pytest.mark.parametrize(("operation", "shape", "dtype"), CASES)
def test_same_bits_whoever_else_runs(
    operation: str, shape: tuple[int, ...], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone, in eight threads at once, and as a forked child computes it that cannot use Numba's threads."""
    kernel, rule = impls.load(operation, "numba_parallel").kernel, contract.OPERATIONS[operation]
    x = scores(shape, dtype)

    def result(_: object = None) -> bytes:
        return kernel.run(x, rule.allocate(x)).tobytes()

    calls: list[Any] = []
    monkeypatch.setattr(threads, "_users", type("Counted", (set,), {"add": lambda self, user: calls.append(user)})())
    alone = result()
    assert threads.numbas() == 1 or calls, "no parallel call was made"
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(result, range(16))) == {alone}
    monkeypatch.setattr(threads, "_serial", True)
    assert result() == alone


def run(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python program in a process of its own, that must end well."""
    done = subprocess.run(
        [sys.executable, *(["-m", program] if "\n" not in program else ["-c", textwrap.dedent(program)]), *arguments],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize(
    ("layer", "first"),
    [
        *[("tbb", "child"), ("workqueue", "main")],
        *([("tbb", "main"), ("tbb", "thread"), ("omp", "main"), ("workqueue", "child")] if ALL else ()),
    ],
)
def test_forks(layer: str, first: str) -> None:
    if layer == "tbb" and not HAS_TBB:
        pytest.skip("not installed: tbb")
    # Those of loky start a new interpreter, whatever the parent did.
    names = [name for name in forks.SCENARIOS if name != "joblib loky" or (layer, first) == ("tbb", "child")]
    lines = run("tests.forks", first, *names, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2").stdout.splitlines()
    lines = [line for line in lines if ": " in line]
    assert f"layer: {layer}" in lines
    assert len(lines) >= 10
    assert [line for line in lines if not line.endswith((": right", layer))] == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_forked_while_another_thread_compiles_does_not_hang(tmp_path: Path) -> None:
    program = """
        import numba
        from numba.core.compiler_lock import global_compiler_lock
        import threading, time
        from tests.forks import child
        from maxbench import impls

        held = threading.Event()
        def compile():
            with global_compiler_lock:
                held.set()
                time.sleep(1)
        thread = threading.Thread(target=compile)
        thread.start()
        held.wait()
        print(child(lambda: numba.njit(lambda: 7)()))
        thread.join()
    """
    assert run(program).stdout.strip() == "7"


def test_tbb_is_the_default_where_it_is_installed() -> None:
    program = "from maxbench.impls import threads; print(threads.layer())\n"
    environment = {"NUMBA_THREADING_LAYER": "default"}
    assert run(program, **environment).stdout.split()[-1] == ("tbb" if HAS_TBB else "omp")
    assert run(program, NUMBA_THREADING_LAYER="workqueue").stdout.split()[-1] == "workqueue"


def test_a_layer_that_cannot_be_had_is_named_once() -> None:
    program = """
        import sys
        sys.modules["numba.np.ufunc.tbbpool"] = None  # as if it could not be loaded
        import warnings
        from maxbench.impls import threads
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            print(threads.layer(), threads.layer(), len(seen), seen[0].message)
    """
    first, second, number, *message = run(program, NUMBA_THREADING_LAYER="tbb").stdout.split()
    assert first == second != "tbb"
    assert number == "1"
    assert message[0] == "NUMBA_THREADING_LAYER='tbb':"
    assert "pip install tbb" in " ".join(message)


def test_a_layer_that_runs_already_stays() -> None:
    program = """
        import numba
        numba.config.THREADING_LAYER = "workqueue"
        numba.get_num_threads()
        numba.config.THREADING_LAYER = "default"
        from maxbench.impls import threads
        print(threads.layer(), threads.numbas() == numba.get_num_threads())
    """
    assert run(program).stdout.split() == ["workqueue", "True"]


def test_openmp_spins_for_a_short_time_unless_the_user_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    with threads._short_spins():
        assert os.environ["GOMP_SPINCOUNT"] == "10000"
    assert "GOMP_SPINCOUNT" not in os.environ
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    with threads._short_spins():
        assert "GOMP_SPINCOUNT" not in os.environ


def test_threads_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    assert threads.count() == 3
    for wrong in ("none", "0", "-1", "2.0", ""):
        monkeypatch.setenv("NUMBA_NUM_THREADS", wrong)
        with pytest.raises(ValueError, match="positive integer"):
            threads.count()
    monkeypatch.delenv("NUMBA_NUM_THREADS")
    assert threads.count() == threads.cpus() >= 1


def test_the_number_of_threads_is_numbas() -> None:
    assert threads.numbas() == min(numba.get_num_threads(), threads.count())
    numba.set_num_threads(1)
    try:
        assert threads.numbas() == 1
    finally:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)


def test_no_more_threads_than_the_quota_allows() -> None:
    program = """
        from pathlib import Path
        from maxbench.impls import threads
        threads.quota = lambda: 1.0
        import numba
        print(threads.numbas(), numba.get_num_threads())
    """
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[0] == "1"


V2, V1 = "cgroup2 cgroup2 rw", "cgroup cgroup rw,cpu,cpuacct"


def cgroups(folder: Path, mounts: list[str], groups: list[str], files: dict[str, str]) -> Path:
    """A process's view of its cgroups: mounts as (root, point, kind) lines, and files below them."""
    process = folder / "proc"
    process.mkdir()
    lines = []
    for number, mount in enumerate(mounts):
        root, point, kind = mount.split(" ", 2)
        lines.append(f"{number} 1 0:{number} {root} {folder}{point} rw,nosuid shared:9 - {kind}")
    (process / "mountinfo").write_text("\n".join(["22 1 254:0 / / rw - ext4 /dev/vda rw", *lines, ""]))
    (process / "cgroup").write_text("\n".join([*groups, ""]))
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return process


@pytest.mark.parametrize(
    ("mounts", "groups", "files", "expected"),
    [
        pytest.param([f"/ /cg {V2}"], ["0::/"], {"cg/cpu.max": "max 100000"}, None, id="v2 without"),
        pytest.param([f"/ /cg {V2}"], ["0::/"], {"cg/cpu.max": "150000 100000"}, 1.5, id="v2"),
        pytest.param([f"/ /cg {V2}"], ["0::/a/b"], {"cg/a/cpu.max": "50000 100000", "cg/a/b/cpu.max": "max 100000"},
                     0.5, id="v2 nested, the outer one"),
        pytest.param([f"/ /cg {V2}"], ["0::/a/b"], {"cg/a/cpu.max": "300000 100000", "cg/a/b/cpu.max": "20000 10000"},
                     2.0, id="v2 nested, the inner one"),
        pytest.param([f"/ /cg {V2}"], ["0::/b"], {"cg/a/cpu.max": "50000 100000"}, None, id="another group's"),
        pytest.param([f"/../.. /cg {V2}"], ["0::/x"], {"cg/cpu.max": "100000 100000"}, 1.0, id="v2 namespace"),
        pytest.param([f"/ /cpu {V1}"], ["4:cpu,cpuacct:/a", "0::/"],
                     {"cpu/a/cpu.cfs_quota_us": "250000", "cpu/a/cpu.cfs_period_us": "100000"}, 2.5, id="v1"),
        pytest.param([f"/docker/1 /cpu {V1}"], ["4:cpu,cpuacct:/docker/1"],
                     {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1.0, id="v1 container"),
        pytest.param([f"/ /cpu {V1}"], ["4:cpu,cpuacct:/a"],
                     {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, None, id="v1 without"),
        pytest.param([f"/ /cg {V2}"], ["0::/"], {"cg/cpu.max": "what"}, None, id="damaged"),
        pytest.param(["/ /mem cgroup cgroup rw,memory"], ["4:memory:/"], {}, None, id="no cpu controller"),
    ],
)  # fmt: skip
def test_quotas(tmp_path: Path, mounts: list[str], groups: list[str], files: dict[str, str], expected: Any) -> None:
    assert threads.quota(cgroups(tmp_path, mounts, groups, files)) == expected


def test_without_cgroups_there_is_no_quota(tmp_path: Path) -> None:
    assert threads.quota(tmp_path) is None


@pytest.mark.parametrize(("allowed", "expected"), [(None, 4), (0.5, 1), (1.0, 1), (1.2, 2), (64.0, 4)])
def test_cpus_are_those_of_the_affinity_or_the_quota(
    allowed: float | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "quota", lambda: allowed)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(4)), raising=False)
    assert threads.cpus() == expected


def test_calls_on_a_layer_that_takes_one_at_a_time_wait_for_each_other() -> None:
    program = """
        import threading, time
        from maxbench.impls import threads
        threads.layer()
        spans = []
        def call():
            begin = time.perf_counter()
            time.sleep(0.05)
            spans.append((begin, time.perf_counter()))
        others = [threading.Thread(target=threads.in_parallel, args=(call,)) for _ in range(4)]
        for other in others:
            other.start()
        for other in others:
            other.join()
        spans.sort()
        print(all(a[1] <= b[0] for a, b in zip(spans, spans[1:])))
    """
    for layer in LAYERS if HAS_TBB else LAYERS[1:]:
        assert run(program, NUMBA_THREADING_LAYER=layer).stdout.split() == [str(layer != "tbb")]
