"""What numba-cuda needs of the packages around it."""

from __future__ import annotations

import numpy as np
import pytest

from maxbench.impls.cuda import platform

pytest.importorskip("numba_cuda")


def test_numba_cuda_finds_what_newer_versions_of_numpy_have_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """numba-cuda asks for np.row_stack as it compiles its first kernel; NumPy 2.5 has none."""
    monkeypatch.delattr(np, "row_stack", raising=False)
    platform.require()
    assert vars(np)["row_stack"] is np.vstack
