"""Checking in processes apart: a kernel that crashes, hangs or prints is a finding about it and nothing more."""

from __future__ import annotations

import subprocess
import sys

import pytest

from maxbench.impls import registry
from maxbench.impls.agreement import Finding
from maxbench.reports.measure import checks
from tests.plugins import Install

HEAD = """
    import numpy as np
    from maxbench import implements

    @implements(dtypes=("float32",))
    def run(x, out):
        np.argmax(x, axis=1, out=out)
"""


def check(install: Install, body: str, timeout: float = 60.0) -> checks.Checked:
    install({"planted": HEAD + body}, {"argmax.planted": "planted"})
    entries = [e for e in registry.catalogue() if e.operation == "argmax" and e.name in ("planted", "numpy_vectorized")]
    found, _ = checks.check_all(entries, ["float32"], timeout=timeout)
    by_name = {checked.entry.name: checked for checked in found}
    sound = by_name["numpy_vectorized"]
    assert sound.status == "available"
    assert len(sound.findings) > 50
    assert {f.status for f in sound.findings} == {"agrees"}
    return by_name["planted"]


def test_a_kernel_that_prints_agrees(install: Install) -> None:
    found = check(install, "        print('hello', flush=True)\n        return out")
    assert {f.status for f in found.findings} == {"agrees"}


BESIDE = """
    import ctypes
    import numpy as np
    from maxbench import implements

    def writes(where):
        def run(x, out):
            np.argmax(x, axis=1, out=out)
            if x.shape == (3, 65, 1):
                ctypes.c_uint8.from_address(out.ctypes.data + (out.nbytes if where == "after" else -1)).value = 0
            return out
        return implements(dtypes=("float32",))(run)

    after, before = writes("after"), writes("before")

    @implements(dtypes=("float32",))
    def unwritten(x, out):
        rows = ~np.isnan(x).any(axis=1)[:, 0] if x.shape[2] == 1 else slice(None)
        with np.errstate(all="ignore"):
            e = np.exp(x[rows] - x[rows].max(axis=1, keepdims=True).astype(np.float64))
            out[rows] = e / np.ascontiguousarray(e.swapaxes(1, 2)).sum(axis=2)[:, None]
        return out
"""


def test_what_is_written_beside_out_and_what_is_not_written_is_wrong(install: Install) -> None:
    """One byte of the one; where a NaN is right, also the other."""
    points = {
        "argmax.after": "planted:after",
        "argmax.before": "planted:before",
        "softmax.unwritten": "planted:unwritten",
    }
    install({"planted": BESIDE}, points)
    entries = [entry for entry in registry.catalogue() if entry.target.startswith("planted:")]
    found, _ = checks.check_all(entries, ["float32"])
    by_name = {checked.entry.name: checked for checked in found}
    for name in ("after", "before"):
        bad = {f.case: (f.status, f.detail) for f in by_name[name].findings if f.status != "agrees"}
        assert bad == {"n = 65": ("wrong", "it wrote beside out")}
    unwritten = [f for f in by_name["unwritten"].findings if f.status != "agrees" and not f.case.startswith("out: ")]
    assert {f.status for f in unwritten} == {"wrong"}
    assert "NaN in the middle" in {f.case for f in unwritten}
    assert all("NaN" in f.case and "expected nan, got nothing written" in f.detail for f in unwritten)


def test_a_kernel_that_ends_the_process_has_failed_where_it_did(install: Install) -> None:
    body = "        import os\n        if x.shape[1] == 65: os.kill(os.getpid(), 11)\n        return out"
    found = check(install, body)
    assert {f.status for f in found.findings[:-1]} == {"agrees"}
    last = found.findings[-1]
    assert (last.status, last.case, last.dtype) == ("failed", "n = 65", "float32")
    assert "its process ended: killed by SIGSEGV" in last.detail
    assert found.status == "failed"


def test_a_kernel_that_ends_with_status_0_has_failed(install: Install) -> None:
    found = check(install, "        import os\n        if x.shape[1] == 65: os._exit(0)\n        return out")
    assert "its process ended before it was done: exit status 0" in found.reason


def test_a_kernel_that_never_returns_is_ended(install: Install) -> None:
    body = "        import time\n        if x.shape[1] == 2: time.sleep(600)\n        return out"
    found = check(install, body, timeout=5)
    assert found.findings[-1].status == "failed"
    assert found.findings[-1].detail.endswith("not finished after 5 s")


def test_a_kernel_that_raises_has_failed_every_case_and_is_heard_out(install: Install) -> None:
    found = check(install, "        raise SystemExit(7)")
    kernel_cases = [f for f in found.findings if not f.case.startswith("out: ")]
    assert {f.status for f in kernel_cases} == {"failed"}
    assert {f.detail for f in kernel_cases} >= {"raised SystemExit: 7"}
    assert len(found.findings) > 50


def test_the_worst_is_quoted_and_not_the_first() -> None:
    def finding(status: str, detail: str, unsized: bool = False) -> Finding:
        return Finding("softmax", "a", "n = 1", "float32", status, detail, unsized=unsized)  # type: ignore[arg-type]

    ulp, nan = finding("wrong", "got nan, they say (10.8 ulp)"), finding("wrong", "a NaN", unsized=True)
    unwritten, crash = finding("wrong", "nothing written", unsized=True), finding("failed", "killed by SIGSEGV")
    assert checks.worst_of([finding("agrees", ""), ulp, nan]) is nan
    assert checks.worst_of([ulp, unwritten]) is unwritten
    assert checks.worst_of([ulp, nan, crash]) is crash
    assert checks.worst_of([finding("agrees", "")]) is None


def test_what_does_not_load_has_its_reason_and_whose_fault_it_is(install: Install) -> None:
    install(
        {"absent": "import nothing_like_it", "broken": "def run(:"},
        {"argmax.absent": "absent", "argmax.broken": "broken", "argmax.naive": "absent"},
    )
    entries = [e for e in registry.catalogue() if e.target in ("absent", "broken")]
    found, _ = checks.check_all(entries)
    by_name = {c.entry.name: c for c in found}
    assert {name: c.status for name, c in by_name.items()} == {
        "absent": "unavailable", "naive": "unavailable", "broken": "failed",
    }  # fmt: skip
    assert "name clash" in by_name["naive"].reason
    assert "No module named 'nothing_like_it'" in by_name["absent"].reason
    assert "SyntaxError" in by_name["broken"].reason
    described = checks.describe_all(entries)
    assert {c.entry.name: c.status for c in described} == {name: c.status for name, c in by_name.items()}


@pytest.mark.parametrize("jobs", [1, 2])
def test_pairs_are_checked_among_the_sound(jobs: int) -> None:
    entries = [e for e in registry.catalogue() if e.name == "numpy_vectorized"]
    seen = []
    _, pairs = checks.check_all(entries, ["float64"], jobs=jobs, done=lambda checked: seen.append(checked.entry))
    assert set(seen) == set(entries)
    assert len(pairs) == 5
    assert {f.status for f in pairs} == {"agrees"}


def test_the_process_that_decides_imports_no_library() -> None:
    code = """
import contextlib, io, sys
from maxbench.reports import gate
from maxbench.reports.commands import main
from maxbench.reports.measure import run
from maxbench.reports.measure.side_by_side import session
from maxbench.reports.analysis import content
from maxbench.reports.gate import run
with contextlib.redirect_stdout(io.StringIO()):
    assert main.main(["check", "numba_simple", "--operation", "argmax", "--dtype", "int8"]) == 0
print([name for name in ("numba", "llvmlite", "torch", "jax", "onnxruntime", "scipy", "cupy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
