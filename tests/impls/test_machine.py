"""The sizes of caches that regimes are chosen by."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from maxbench.impls.cpu.machine import this_machine


def system(root: Path, **entries: str) -> Path:
    """What Linux reports of caches: by name of an entry its level, type and size."""
    for name, text in entries.items():
        (root / name).mkdir()
        for file, content in zip(("level", "type", "size"), text.split(), strict=False):
            (root / name / file).write_text(f"{content}\n")
    return root


@pytest.fixture
def two_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)


@pytest.mark.usefixtures("two_cpus")
def test_a_small_last_cache_counts_in_whole(tmp_path: Path) -> None:
    entries = "1 Data 48K", "1 Instruction 64K", "2 Unified 512K", "3 Unified 32768K"
    found = this_machine(system(tmp_path, **{f"index{i}": entry for i, entry in enumerate(entries)}))
    assert (found.l1, found.l2, found.llc) == (48 << 10, 512 << 10, 32 << 20)


@pytest.mark.usefixtures("two_cpus")
def test_of_a_large_one_a_share_for_each_cpu(tmp_path: Path) -> None:
    assert this_machine(system(tmp_path, index2="2 Unified 2048K", index3="3 Unified 266240K")).llc == 64 << 20


@pytest.mark.usefixtures("two_cpus")
def test_without_a_third_level_the_second_is_the_last(tmp_path: Path) -> None:
    found = this_machine(system(tmp_path, index0="1 Data 64K", index2="2 Unified 1024K"))
    assert (found.l1, found.l2, found.llc) == (64 << 10, 1 << 20, 1 << 20)


def test_what_the_system_does_not_report(tmp_path: Path) -> None:
    found = this_machine(system(tmp_path, index0="1", index1="two Data 32K", index2="3 Unified lots"))
    assert (found.l1, found.l2, found.llc) == (32 << 10, 512 << 10, 32 << 20)
