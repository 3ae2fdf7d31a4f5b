"""The libraries that are compared with: each by the same contract, or unavailable with a reason."""

from __future__ import annotations

import numpy as np
import pytest

from maxbench import impls
from maxbench.bench.inputs import grid, recipe
from maxbench.bench.processes.hub import Here
from maxbench.bench.processes.judge import declared
from maxbench.impls import agreement, contract, peers, registry
from maxbench.impls.contract.dtypes import named
from tests.checked import wrong

PEERS = [
    (operation, name)
    for operation in contract.OPERATIONS
    for name in (*grid.PEERS[operation], *grid.CHUNKED[operation])
]


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
        x = np.random.default_rng(5).integers(0, 2, (3, 9, 1)).astype(named(dtype))
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
    ("softmax", "dask_scipy", "1,048,576 nearly equal columns", "float16", "float16 throughout"),
    ("softmax", "dask_formula", "inner axis: sums that round badly, 1 x 256 x 4096", "float32", "grows with n"),
]


@pytest.mark.parametrize(("operation", "name", "case", "dtype", "reason"), DIFFERENCES)
def test_a_difference_is_declared_by_name(operation, name, case, dtype, reason):
    kernel = load(operation, name).kernel
    x = next(c for c in contract.KERNEL_CASES if c.name == case).array(dtype)
    found = wrong(contract.OPERATIONS[operation], kernel, x)
    assert isinstance(found, contract.Mismatch)
    assert reason in agreement.difference(kernel, case, dtype, found)[1]


SOFTMAXES = grid.PEERS["softmax"]
LONG = [
    recipe.Input("tiled", "float32", (1, 1 << 20, 1)),
    recipe.Input("tiled", "float32", (1, 1 << 19, 2)),
    recipe.Input("tiled", "float64", (1, 1 << 20, 1)),
    recipe.Input("tiled", "float64", (1, 1 << 17, 2)),
    recipe.Input("tiled", "float16", (4, 1 << 12, 1)),
    recipe.Input("tiled", "float16", (4, 1 << 12, 2)),
]
# Of those, whose results differ everywhere; JAX's do so on rows that would take too long here.
DIFFER = {
    "torch_cpu": {"float32 1", "float32 2", "float64 1", "float64 2"},
    "onnx_runtime": {"float32 1", "float32 2", "float64 1", "float64 2"},
    "scipy_special": {"float32 2", "float64 2", "float16 2"},
    "jax_xla": set(),
}


@pytest.mark.parametrize("name", SOFTMAXES)
def test_what_is_timed_differs_by_no_more_than_is_declared(name):
    kernel = load("softmax", name).kernel
    differ = set()
    for given in LONG:
        (result,) = agreement.case_results(contract.SOFTMAX, kernel, given.array())
        verdict = Here(kernel.differs).check("softmax", given, result.array, case=registry.TIMED, x=result.x)
        assert verdict.status != "wrong", verdict.detail
        if verdict.status == "differs":
            differ.add(f"{given.dtype} {given.shape[2]}")
    assert differ >= DIFFER[name]


@pytest.mark.parametrize(("operation", "name"), PEERS)
def test_the_largest_error_that_is_declared_is_a_number_for_each_dtype(operation, name):
    """And at most a quarter of a probability, which is 1 / eps of its last places."""
    for pattern, reason in load(operation, name).kernel.differs.items():
        if pattern.startswith(registry.TIMED):
            dtype = np.dtype(pattern.partition("/")[2])
            assert 2 <= contract.size_declared(reason) <= 1 / np.finfo(dtype).eps / 4, pattern


def test_a_library_that_is_not_installed_is_a_reason():
    with pytest.raises(ImportError, match=r"no_such_library is not installed; pip install 'maxbench\[peers\]'"):
        peers.need("no_such_library")


def test_what_is_declared_of_libraries_on_a_gpu_covers_the_cases_of_long_sums_alone():
    """Their modules do not load without a GPU: here the patterns that they share."""
    for dtype in contract.FLOATS:
        named = {case.name for case in contract.KERNEL_CASES if declared(peers.DRIFTS_ON_CUDA, case.name, dtype)}
        badly = {case.name for case in contract.KERNEL_CASES if "sums that round badly" in case.name}
        assert named == badly | ({"1,048,576 nearly equal columns"} if dtype != "float16" else set())


def serially(x: np.ndarray) -> np.ndarray:
    """Softmax over axis 1 as PyTorch computes it on a GPU over a strided axis: one thread a column, in float32."""
    exponentials = np.exp(x - x.max(axis=1, keepdims=True))
    total = np.zeros((x.shape[0], 1, x.shape[2]), x.dtype)
    for k in range(x.shape[1]):
        total += exponentials[:, k : k + 1]
    return exponentials / total


@pytest.mark.parametrize(("n", "inner"), [(1024, 1024), (16384, 64)])
def test_serial_sums_over_a_strided_axis_are_declared_and_no_more_is(n, inner):
    given = recipe.Input("tiled", "float32", (1, n, inner))
    judge, result = Here(peers.SERIAL_ON_CUDA), serially(given.array())
    of_rows = peers.timed(peers.GROWS, peers.LONGEST, float32=850_000)  # which many threads add up
    if n == 1024:
        assert Here(of_rows).check("softmax", given, result, case=registry.TIMED).status == "wrong"
    assert judge.check("softmax", given, result, case=registry.TIMED).status == "differs"
    result[:, :, 3] *= np.float32(1 + 4e-8 * n)  # 0.34 to 0.67 ulp for each element
    assert judge.check("softmax", given, result, case=registry.TIMED).status == "wrong"
