"""The sizes of caches that decide how results are stored."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from maxbench.impls import caches


def system(root: Path, **entries: str) -> Path:
    """What Linux tells of caches: by name of an entry its level and size."""
    for name, text in entries.items():
        (root / name).mkdir()
        for file, content in zip(("level", "size"), text.split(), strict=False):
            (root / name / file).write_text(f"{content}\n")
    return root


@pytest.fixture
def two_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)


@pytest.mark.usefixtures("two_cpus")
def test_a_small_last_cache_counts_in_whole(tmp_path: Path) -> None:
    root = system(tmp_path, index0="1 48K", index1="1 32K", index2="2 512K", index3="3 32768K")
    assert caches.last_level(root) == 32 << 20
    assert caches.second_level(root) == 512 << 10


@pytest.mark.usefixtures("two_cpus")
def test_of_a_large_one_a_share_for_each_cpu(tmp_path: Path) -> None:
    assert caches.last_level(system(tmp_path, index2="2 2048K", index3="3 266240K")) == 64 << 20


@pytest.mark.usefixtures("two_cpus")
def test_without_a_third_level_the_second_is_the_last(tmp_path: Path) -> None:
    root = system(tmp_path, index0="1 64K", index2="2 1024K")
    assert caches.last_level(root) == caches.second_level(root) == 1 << 20


def test_what_the_system_does_not_say(tmp_path: Path) -> None:
    root = system(tmp_path, index0="1", index1="two 32K", index2="3 lots")
    assert caches.last_level(root) == 32 << 20
    assert caches.second_level(root) == 512 << 10
