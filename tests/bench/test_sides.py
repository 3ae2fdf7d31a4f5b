"""Copies of `impls` in one process: what `maxbench` has while one is entered is that copy's, and only then."""

from __future__ import annotations

import importlib
from pathlib import Path

import maxbench
from maxbench import impls
from maxbench.bench.processes.sides import Side


def test_what_is_public_is_the_copys_while_it_is_entered() -> None:
    mine = maxbench.softmax
    assert mine is impls.softmax
    side = Side("copy", Path(__file__).parents[2])
    theirs = side.package.softmax
    assert theirs is not mine
    with side.entered():
        assert maxbench.softmax is theirs
        assert maxbench.impls is importlib.import_module("maxbench.impls") is side.package
    assert maxbench.softmax is mine
    assert maxbench.impls is importlib.import_module("maxbench.impls") is impls
