"""Marks of tests that need more than every installation has, each skips with its reason; and whether to run all."""

from __future__ import annotations

import os

import pytest

from maxbench.impls import contract

bfloat16 = pytest.mark.skipif(not contract.OPTIONAL, reason="not installed: ml_dtypes; pip install 'maxbench[test]'")

# Set in the nightly job. Without it the slowest tests take a sample, or the processors that most users have.
ALL = bool(os.environ.get("MAXBENCH_ALL_TESTS"))

nightly = pytest.mark.skipif(not ALL, reason="takes 20 s and more for what shorter tests see in part: nightly")
