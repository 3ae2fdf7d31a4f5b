"""Marks of tests that need more than every installation has; each skips with its reason."""

from __future__ import annotations

import pytest

from impls import contract

bfloat16 = pytest.mark.skipif(not contract.OPTIONAL, reason="not installed: ml_dtypes; pip install 'maxbench[test]'")
