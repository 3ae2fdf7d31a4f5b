"""What is particular to `numba_parallel`: threads, the cache on disk, other processors, the memory it touches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from maxbench import impls
from maxbench.impls import contract, threads
from tests.checked import wrong
from tests.needs import ALL

CHECK = """
import json, sys
import numpy as np
from maxbench.impls import contract, registry
from numba.core import event
from tests import checked
rows = [(3, 1, 1), (70, 2, 1), (40, 10, 1), (5, 33, 1), (3, 4097, 1), (1, 70001, 1)]
shapes = [*rows, (2, 21, 70), (2, 5, 3), (1, 700, 3), (1, 701, 4)]
wrong = []
with event.install_recorder("numba:compile") as recorder:
    for operation in map(contract.OPERATIONS.get, sys.argv[2:]):
        kernel = registry.load(operation.name, "numba_parallel").kernel
        for dtype in sys.argv[1].split(","):
            for shape in shapes:
                x = (np.random.default_rng(1).standard_normal(shape) * 3).astype(dtype)
                for value in (None, np.nan, -np.inf):
                    if value is not None:
                        x[0, -1] = value
                    if found := checked.wrong(operation, kernel, x):
                        wrong.append(f"{operation.name} {dtype} {shape} {value}: {found}")
print(json.dumps({"wrong": wrong, "compiled": len(recorder.buffer)}))
"""


def check(dtypes: str, *operations: str, **environment: str) -> dict:
    result = subprocess.run(
        [sys.executable, "-c", CHECK, dtypes, *operations],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


PROCESSORS = ("haswell", "generic") if ALL else ("haswell",)


@pytest.fixture(scope="module")
def for_other_processors(tmp_path_factory):
    """What is found with the code for each of them, compiled at the same time."""

    # Not in the threads: the first call makes the folder above.
    folders = {processor: str(tmp_path_factory.mktemp(processor)) for processor in PROCESSORS}

    def run(processor):
        environment = {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": folders[processor]}
        return check("float32", *contract.OPERATIONS, **environment)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(PROCESSORS, pool.map(run, PROCESSORS), strict=True))


@pytest.mark.parametrize("processor", PROCESSORS)
def test_agrees_in_code_for_other_processors(processor, for_other_processors):
    """haswell has FMA and AVX2 but no AVX-512; generic has neither FMA nor AVX."""
    assert for_other_processors[processor]["wrong"] == []


def test_a_second_process_compiles_nothing(tmp_path):
    first = check("float64", "argmax", NUMBA_CACHE_DIR=str(tmp_path))
    second = check("float64", "argmax", NUMBA_CACHE_DIR=str(tmp_path))
    assert first["wrong"] == second["wrong"] == []
    assert first["compiled"] > 0
    assert second["compiled"] == 0


@pytest.mark.parametrize("operation", list(contract.OPERATIONS))
def test_several_python_threads_at_once(operation):
    kernel = impls.load(operation, "numba_parallel").kernel
    rule = contract.OPERATIONS[operation]
    inputs = [np.random.default_rng(seed).standard_normal((64, 1000, 1)).astype("float32") for seed in range(8)]

    def one(x: np.ndarray) -> list[str]:
        return [str(m) for _ in range(20) if (m := rule.verify(x, kernel.run(x, rule.allocate(x))))]

    with ThreadPoolExecutor(8) as pool:
        assert [m for found in pool.map(one, inputs) for m in found] == []


@pytest.mark.parametrize("operation", list(contract.OPERATIONS))
def test_read_only_input_is_neither_copied_nor_compiled_for(operation):
    implementation = impls.load(operation, "numba_parallel")
    module = sys.modules[implementation.kernel.run.__module__]
    rule = contract.OPERATIONS[operation]
    x = np.random.default_rng(0).standard_normal((4, 100, 1)).astype("float32")
    implementation.kernel.run(x, rule.allocate(x))

    def signatures() -> int:
        return sum(len(f.signatures) for f in vars(module).values() if hasattr(f, "signatures"))

    compiled = signatures()
    assert compiled > 0
    x.flags.writeable = False
    assert rule.verify(x, implementation.kernel.run(x, rule.allocate(x))) is None
    assert signatures() == compiled


@pytest.mark.parametrize("shape", [(40, 7, 1), (9, 50, 1), (3, 5, 37), (3, 600, 3), (3, 601, 4), (1, 70003, 1)])
@pytest.mark.parametrize("operation", list(contract.OPERATIONS))
def test_nothing_beside_the_output_is_written(operation, shape):
    rule = contract.OPERATIONS[operation]
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    like = rule.allocate(x)
    frame = np.full(like.size + 128, 77, like.dtype)
    out = frame[64:-64].reshape(like.shape)
    impls.load(operation, "numba_parallel").kernel.run(x, out)
    assert (frame[:64] == 77).all()
    assert (frame[-64:] == 77).all()


@pytest.mark.skipif(threads.count() < 2, reason="one thread has nothing to race with")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_columns_beyond_whole_vectors_are_computed_by_one_thread(dtype):
    """Long columns keep their weights in the result; the last vector shares columns with the one before it."""
    kernel = impls.load("softmax", "numba_parallel").kernel
    x = np.random.default_rng(0).standard_normal((1, 40000, 33)).astype(dtype)
    for _ in range(5):
        assert contract.SOFTMAX.verify(x, kernel.run(x, contract.SOFTMAX.allocate(x))) is None


@pytest.mark.parametrize("shape", [(3, 40, 1), (3, 1000, 1), (1, 1 << 17, 1), (2, 21, 70), (1, 600, 64), (1, 601, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_nan_of_any_payload_makes_its_row_nan(dtype, shape):
    x = np.zeros(shape, dtype)
    x[0, 7, 0] = np.nan
    x.view(f"i{x.itemsize}")[0, 7, 0] |= 5
    out = contract.SOFTMAX.allocate(x)
    impls.load("softmax", "numba_parallel").kernel.run(x, out)
    assert np.isnan(out[0, :, 0]).all()
    assert np.isnan(out).sum() == shape[1]


@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 40, 1), (3, 1000, 1), (1, 9, 33), (1, 601, 4)])
def test_a_sole_finite_score_has_probability_one(shape):
    x = np.full(shape, -np.inf, "float32")
    x[:, 0] = np.random.default_rng(0).standard_normal((shape[0], shape[2])) * 30
    out = contract.SOFTMAX.allocate(x)
    impls.load("softmax", "numba_parallel").kernel.run(x, out)
    assert (out[:, 0] == 1).all()


# Fewer vectors than a piece has and more, one and several of outer, whole vectors and an odd rest.
NARROW = [(2, 1003, 2), (1, 30001, 2), (3, 513, 4), (1, 20000, 8), (2, 4099, 8), (1, 600, 3)]


@pytest.mark.parametrize("shape", NARROW)
@pytest.mark.parametrize("dtype", contract.FLOATS)
def test_softmax_over_few_long_columns(dtype, shape):
    rng = np.random.default_rng(4)
    kernel = impls.load("softmax", "numba_parallel").kernel
    for plant in (0, -np.inf, np.nan, np.inf):
        x = (rng.standard_normal(shape) * 5).astype(dtype)
        x[0, -1, 0] = x[-1, 5, 1] = plant
        x[-1, :, -1] = plant if np.isneginf(plant) else x[-1, :, -1]
        assert wrong(contract.SOFTMAX, kernel, x) is None


# Rows in whole tiles and beyond, few and many rows, parts of the rows of one array, columns fewer than lanes.
STRIDED = [(2, 5, 70), (2, 16, 4099), (2, 40, 4099), (1, 9000, 64), (3, 33, 16), (1, 40001, 3), (2, 19, 5), (1, 1, 20)]


@pytest.mark.parametrize("shape", STRIDED)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8"])
def test_argmax_over_a_strided_axis(dtype, shape):
    rng = np.random.default_rng(4)
    kernel = impls.load("argmax", "numba_parallel").kernel
    x = rng.integers(-2, 3, shape).astype(dtype)
    assert wrong(contract.ARGMAX, kernel, x) is None
    if x.dtype.kind == "f":
        x[rng.random(shape) < 0.02] = np.nan
        x[rng.random(shape) < 0.2] *= -1
        assert wrong(contract.ARGMAX, kernel, x) is None


@pytest.mark.parametrize("n", [2, 3, 10, 47, 63, 64])
def test_argmax_of_short_rows_of_bytes(n):
    x = np.random.default_rng(6).integers(-2, 3, (200, n, 1)).astype(np.int8)
    kernel = impls.load("argmax", "numba_parallel").kernel
    assert wrong(contract.ARGMAX, kernel, x) is None
