"""The libraries that are compared with: each by the same contract, or unavailable with a reason."""

from __future__ import annotations

import numpy as np
import pytest

import impls
from bench import grid
from impls import agreement, contract, peers

PEERS = [(operation, name) for operation in contract.OPERATIONS for name in grid.PEERS[operation]]


def load(operation: str, name: str) -> impls.Implementation:
    try:
        return impls.load(operation, name)
    except impls.Unavailable as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(("operation", "name"), PEERS)
@pytest.mark.parametrize("shape", [(5, 100, 1), (3, 7, 40), (1, 10, 1)])
def test_agrees(operation, name, shape):
    kernel = load(operation, name).kernel
    x = np.random.default_rng(2).standard_normal(shape)
    for dtype in set(kernel.dtypes) & {"float32", "float64"}:
        for _ in range(2):  # the second call meets what the first has prepared
            assert agreement.run_checked(contract.OPERATIONS[operation], kernel, x.astype(dtype)) is None


@pytest.mark.parametrize(("operation", "name"), PEERS)
def test_takes_every_dtype_that_it_declares(operation, name):
    kernel = load(operation, name).kernel
    for dtype in kernel.dtypes:
        x = np.random.default_rng(5).integers(0, 2, (3, 9, 1)).astype(dtype)
        assert agreement.run_checked(contract.OPERATIONS[operation], kernel, x) is None


def test_a_difference_in_meaning_is_named():
    """ONNX Runtime's ArgMax passes over NaN; the check says at which position."""
    kernel = load("argmax", "onnx_runtime").kernel
    x = np.array([[[1.0], [np.nan], [2.0]]], np.float32)
    assert "expected 1 (x = nan), got 2" in str(agreement.run_checked(contract.ARGMAX, kernel, x))


def test_a_library_that_is_not_installed_is_a_reason():
    with pytest.raises(ImportError, match=r"no_such_library is not installed; pip install 'maxbench\[peers\]'"):
        peers.need("no_such_library")
