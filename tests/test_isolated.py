"""Checking in processes apart: a kernel that crashes, hangs or prints is a finding and nothing more."""

from __future__ import annotations

import pytest

from impls import agreement, isolated, registry
from tests.plugins import Install

HEAD = """
    import numpy as np
    from impls import implements

    @implements(dtypes=("float32",))
    def run(x, out):
        np.argmax(x, axis=1, out=out)
"""


def check(install: Install, body: str, **options: float) -> list[agreement.Finding]:
    install({"planted": HEAD + body}, {"argmax.planted": "planted"})
    entries = [e for e in registry.catalogue() if e.operation == "argmax" and e.name in ("planted", "numpy_vectorized")]
    findings = isolated.check_all(entries, ["float32"], **options)
    sound = [f for f in findings if f.implementation == "numpy_vectorized"]
    assert len(sound) > 50
    assert {f.status for f in sound} == {"agrees"}
    return [f for f in findings if f.implementation == "planted"]


def test_a_kernel_that_prints_is_heard_out(install: Install) -> None:
    found = check(install, "        print('hello', flush=True)\n        return out")
    assert {f.status for f in found} == {"agrees"}


def test_a_kernel_that_ends_the_process_is_wrong_where_it_did(install: Install) -> None:
    body = "        import os\n        if x.shape[1] == 65: os.kill(os.getpid(), 11)\n        return out"
    found = check(install, body)
    assert {f.status for f in found[:-1]} == {"agrees"}
    assert found[-1].status == "wrong"
    assert "its process ended after case n = 64 float32: killed by SIGSEGV" in found[-1].detail


def test_a_kernel_that_never_returns_is_ended(install: Install) -> None:
    body = "        import time\n        if x.shape[1] == 2: time.sleep(600)\n        return out"
    found = check(install, body, timeout=8)
    assert found[-1].status == "wrong"
    assert found[-1].detail.endswith("not finished after 8 s")


def test_a_kernel_that_raises_or_exits(install: Install) -> None:
    found = check(install, "        raise SystemExit(7)")
    assert found[-1].status == "wrong"
    assert "exit status 7" in found[-1].detail


def test_an_unavailable_one_has_its_reason(install: Install) -> None:
    install({"planted": "import nothing_like_it"}, {"argmax.planted": "planted", "argmax.naive": "planted"})
    entries = [e for e in registry.catalogue() if e.target == "planted"]
    findings = isolated.check_all(entries)
    assert [f.status for f in findings] == ["unavailable", "unavailable"]
    assert "name clash" in findings[0].detail
    assert "No module named 'nothing_like_it'" in findings[1].detail


@pytest.mark.parametrize("jobs", [1, 2])
def test_pairs_are_checked_among_the_sound(install: Install, jobs: int) -> None:
    entries = [e for e in registry.catalogue() if e.name == "numpy_vectorized"]
    seen = []
    findings = isolated.check_all(entries, ["float64"], jobs=jobs, done=lambda entry, found: seen.append(entry))
    assert set(seen) == set(entries)
    pairs = [f for f in findings if f.operation == "pair"]
    assert pairs
    assert {f.status for f in pairs} == {"agrees"}
