"""The libraries that are compared with: each by the same contract, or unavailable with a reason."""

from __future__ import annotations

import numpy as np
import pytest

import impls
from bench import base, grid
from impls import agreement, contract, peers
from tests.checked import wrong

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
            assert wrong(contract.OPERATIONS[operation], kernel, x.astype(dtype)) is None


@pytest.mark.parametrize(("operation", "name"), PEERS)
def test_takes_every_dtype_that_it_declares(operation, name):
    kernel = load(operation, name).kernel
    for dtype in kernel.dtypes:
        x = np.random.default_rng(5).integers(0, 2, (3, 9, 1)).astype(dtype)
        assert wrong(contract.OPERATIONS[operation], kernel, x) is None


DIFFERENCES = [
    ("argmax", "onnx_runtime", "NaN in the middle", "float32", "passes over"),
    ("argmax", "jax_xla", "subnormals", "float32", "subnormal numbers for zero"),
    ("softmax", "torch_cpu", "1,048,576 nearly equal columns", "float32", "grows with n"),
    ("softmax", "onnx_runtime", "1,048,576 nearly equal columns", "float64", "grows with n"),
    ("softmax", "scipy_special", "1,048,576 nearly equal columns", "float16", "float16 throughout"),
    ("softmax", "scipy_special", "inner axis: sums that round badly, 1 x 256 x 4096", "float64", "grows with n"),
    ("softmax", "torch_cpu", "inner axis: sums that round badly, 1 x 256 x 4096", "float32", "grows with n"),
    ("softmax", "jax_xla", "sums that round badly: 1 x 1048576", "float16", "smallest numbers"),
]


@pytest.mark.parametrize(("operation", "name", "case", "dtype", "reason"), DIFFERENCES)
def test_a_difference_is_declared_by_name(operation, name, case, dtype, reason):
    kernel = load(operation, name).kernel
    x = next(c for c in contract.KERNEL_CASES if c.name == case).array(dtype)
    found = agreement.outcome(contract.OPERATIONS[operation], kernel, x)
    assert isinstance(found, contract.Mismatch)
    assert reason in agreement.difference(kernel, case, dtype, found)[1]


@pytest.mark.parametrize(("operation", "name", "dtype"), [("softmax", "torch_cpu", "float32")])
def test_what_differs_as_declared_is_timed_with_a_remark(operation, name, dtype):
    mismatch = contract.Mismatch((0, 0, 0), "1.0", "0.9", "9 ulp", 1)
    kernel = load(operation, name).kernel
    assert base.declared(kernel, dtype, mismatch).startswith("differs: the error of the sum")
    assert base.declared(kernel, "float16", mismatch) == ""
    assert base.declared(impls.load(operation, "numpy_vectorized").kernel, dtype, mismatch) == ""


def test_a_library_that_is_not_installed_is_a_reason():
    with pytest.raises(ImportError, match=r"no_such_library is not installed; pip install 'maxbench\[peers\]'"):
        peers.need("no_such_library")
