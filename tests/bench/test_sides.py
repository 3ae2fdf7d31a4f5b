"""Copies of `impls` in one process: what `maxbench` has while one is entered is that copy's, and only then."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import maxbench
from maxbench import impls
from maxbench.bench.processes.sides import Side


def test_what_is_public_is_the_copys_while_it_is_entered(tmp_path: Path) -> None:
    # Apart from what is installed: all that was loaded from the side's folder leaves the process.
    shutil.copytree(Path(impls.__file__).resolve().parent, tmp_path / "impls", ignore=shutil.ignore_patterns("*.pyc"))
    mine = maxbench.softmax
    assert mine is impls.softmax
    side = Side("copy", tmp_path)
    theirs = side.package.softmax
    assert theirs is not mine
    with side.entered():
        assert maxbench.softmax is theirs
        assert maxbench.impls is importlib.import_module("maxbench.impls") is side.package
    assert maxbench.softmax is mine
    assert maxbench.impls is importlib.import_module("maxbench.impls") is impls
