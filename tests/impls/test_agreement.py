"""The checker itself: planted wrong kernels must be rejected, each by the cases that are there for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from maxbench import impls
from maxbench.bench.inputs import grid
from maxbench.impls import agreement, contract, registry
from maxbench.impls.registry import Implementation, Kernel
from tests import needs
from tests.checked import check_pairs, wrong

Run = Callable[[np.ndarray, np.ndarray], np.ndarray]


def softmax(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """A right softmax, for the wrong ones to spoil."""
    with np.errstate(all="ignore"):
        e = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True).astype(np.float64))
        # NumPy adds in pairs over a last axis only.
        out[...] = e / np.ascontiguousarray(e.swapaxes(1, 2)).sum(axis=2)[:, None]
    return out


def argmax(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """A right argmax, for the wrong ones to spoil."""
    np.argmax(x, axis=1, out=out)
    return out


def zeros(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    out[...] = 0
    return out


def uniform(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    out[...] = 1 / x.shape[1]
    return out


def maximum_of_the_whole_array(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        e = np.exp(x - x.max())
        out[...] = e / e.sum(axis=1, keepdims=True)
    return out


def no_maximum(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        e = np.exp(x)
        out[...] = e / e.sum(axis=1, keepdims=True)
    return out


def nan_dropped(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        top = np.fmax.reduce(x, axis=1, keepdims=True)
        e = np.exp(x.astype(np.float64) - top)
        out[...] = np.nan_to_num(e) / np.nansum(e, axis=1, keepdims=True)
    return out


def input_overwritten(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    softmax(x, out)
    x[-1, -1, -1] = 0
    return out


def one_element_unwritten(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    last = out[-1, -1, -1]
    softmax(x, out)
    if x.size >= 1 << 20:
        out[-1, -1, -1] = last
    return out


def scalar_sum_that_drifts(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        e = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True).astype(np.float64)).astype(x.dtype)
        # A running sum in the dtype itself, one element after the other.
        total = np.add.accumulate(e, axis=1, dtype=x.dtype)[:, -1:]
        out[...] = e / total
    return out


def off_by_thirty_ulp(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    softmax(x, out)
    out *= 1 - 30 * np.finfo(out.dtype).eps
    return out


def in_its_own_dtype(x: np.ndarray, out: np.ndarray, axis: int = 1) -> np.ndarray:
    with np.errstate(all="ignore"):
        e = np.exp(x - x.max(axis=axis, keepdims=True))
        out[...] = e / e.sum(axis=axis, keepdims=True)
    return out


def wrong_axis(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    return in_its_own_dtype(x, out, axis=2)


def other_dtype(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    return softmax(x, np.empty(x.shape, np.float64))


def raises(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    raise RuntimeError("no such luck")


def last_tie(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    out[...] = x.shape[1] - 1 - np.argmax(x[:, ::-1], axis=1)
    return out


def nan_ignored(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    out[...] = np.argmax(np.where(x != x, -np.inf, x), axis=1)
    return out


def negative_zero_below_zero(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    bits = x.view(np.int32)
    out[...] = np.argmax(bits ^ ((bits >> 31) & 0x7FFFFFFF), axis=1)
    return out


def last_row_forgotten(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    out[:-1] = np.argmax(x[:-1], axis=1)
    return out


def index_in_the_whole_array(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    argmax(x, out)
    out += np.arange(x.shape[0])[:, None] * x.shape[1]
    return out


def cut_instead_of_rounded(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    wide = softmax(x, np.empty(x.shape, np.float32))
    out.view(np.uint16)[...] = wide.view(np.uint32) >> 16
    return out


def negative_zero_below_zero_in_16_bits(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    bits = x.view(np.int16)
    out[...] = np.argmax(np.where(np.isnan(x), np.int16(0x7FFF), bits ^ ((bits >> 15) & np.int16(0x7FFF))), axis=1)
    return out


def planted(operation: str, run: Run, dtype: str = "float32") -> Implementation:
    kernel: Kernel = impls.implements(dtypes=(dtype,))(run)
    return Implementation(operation, run.__name__, "the tests", kernel, None, "")


def wrong_cases(implementation: Implementation) -> dict[str, str]:
    dtypes = implementation.kernel.dtypes
    kernel_cases = {case.name for case in contract.KERNEL_CASES}
    return {
        f.case: f.detail
        for f in agreement.check(implementation, dtypes)
        if f.status == "wrong" and f.case in kernel_cases  # layouts go through the registry by name
    }


WRONG: list[tuple[str, Run, str, str]] = [
    ("softmax", zeros, "50,257 columns", "expected"),
    ("softmax", uniform, "50,257 columns", "ulp"),
    ("softmax", maximum_of_the_whole_array, "rows offset by +-1e3", "got nan"),
    ("softmax", maximum_of_the_whole_array, "alternate rows +200", "expected"),
    ("softmax", no_maximum, "rows offset by +-1e3", "nan"),
    ("softmax", nan_dropped, "NaN in the middle", "expected nan"),
    ("softmax", nan_dropped, "NaN in a long row", "expected nan"),
    ("softmax", input_overwritten, "n = 64", "the input was overwritten"),
    (
        "softmax",
        one_element_unwritten,
        "1,048,576 columns",
        r"^at \(0, 1048575, 0\): .* nothing written \(nan ulp\)$",
    ),
    ("softmax", scalar_sum_that_drifts, "1,048,576 nearly equal columns", "ulp"),
    ("softmax", off_by_thirty_ulp, "all equal", "59 ulp, 390 wrong in all"),
    ("softmax", wrong_axis, "inner axis: 8 x 21 x 4096", "ulp"),
    ("softmax", other_dtype, "n = 64", "dtype float64"),
    ("softmax", raises, "n = 64", "raised RuntimeError: no such luck"),
    ("argmax", zeros, "50,257 columns", "positions"),
    ("argmax", last_tie, "ties at both ends", "expected 0 .*, got 999"),
    ("argmax", last_tie, "all equal", "expected 0 .*, got 129"),
    ("argmax", nan_ignored, "NaN in the middle", r"expected 130 \(x = nan\)"),
    ("argmax", nan_ignored, "NaN in short rows", "nan"),
    ("argmax", negative_zero_below_zero, "signed zeros", r"expected 0 \(x = -0.0\), got 3 \(x = 0.0\)"),
    ("argmax", last_row_forgotten, "n = 64", r"got -1 \(outside the row\)"),
    ("argmax", index_in_the_whole_array, "n = 64", "outside the row"),
]


WRONG_IN_BFLOAT16: list[tuple[str, Run, str, str]] = [
    ("softmax", in_its_own_dtype, "n = 64", "ulp"),
    ("softmax", cut_instead_of_rounded, "n = 64", "ulp"),
    ("softmax", maximum_of_the_whole_array, "rows offset by +-1e3", "got nan"),
    ("softmax", nan_dropped, "NaN in the middle", "expected nan"),
    ("argmax", last_tie, "ties at both ends", "expected 0 .*, got 999"),
    ("argmax", nan_ignored, "NaN in the middle", r"expected 130 \(x = nan\)"),
    ("argmax", negative_zero_below_zero_in_16_bits, "signed zeros", r"expected 0 \(x = -0(\.0)?\), got 3 \(x = 0"),
]

CASES = {case.name: case for case in contract.KERNEL_CASES}
BADLY = [name for name in CASES if "sums that round badly" in name]


def found_in(implementation: Implementation, case: str) -> str:
    """What is wrong on one case in the only dtype that a planted kernel takes; empty if nothing is."""
    x = CASES[case].array(implementation.kernel.dtypes[0])
    return str(wrong(contract.OPERATIONS[implementation.operation], implementation.kernel, x) or "")


@pytest.mark.parametrize(
    ("operation", "run", "case", "detail"), WRONG, ids=lambda value: getattr(value, "__name__", None)
)
def test_planted_wrong_kernels_are_rejected(operation: str, run: Run, case: str, detail: str) -> None:
    assert re.search(detail, found_in(planted(operation, run), case))


@needs.bfloat16
@pytest.mark.parametrize(
    ("operation", "run", "case", "detail"), WRONG_IN_BFLOAT16, ids=lambda value: getattr(value, "__name__", None)
)
def test_planted_wrong_kernels_are_rejected_in_bfloat16(operation: str, run: Run, case: str, detail: str) -> None:
    assert re.search(detail, found_in(planted(operation, run, "bfloat16"), case))


@pytest.mark.parametrize("dtype", contract.SOFTMAX.dtypes)
@pytest.mark.parametrize("case", BADLY)
def test_a_sum_one_by_one_is_rejected_in_every_layout(case: str, dtype: str) -> None:
    assert "ulp" in found_in(planted("softmax", scalar_sum_that_drifts, dtype), case)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", *contract.OPTIONAL])
@pytest.mark.parametrize(("operation", "run"), [("softmax", softmax), ("argmax", argmax)])
def test_right_kernels_are_not(operation: str, run: Run, dtype: str) -> None:
    assert wrong_cases(planted(operation, run, dtype)) == {}


def test_what_is_not_supported_is_said() -> None:
    findings = list(agreement.check(planted("softmax", softmax, "float32"), ["float32", "float64"]))
    refused = {f.detail for f in findings if f.status == "not supported"}
    assert refused == {"float64 is not among its dtypes (float32)"}


@needs.bfloat16
def test_a_dtype_that_need_not_be_taken_is_asked_for_or_not_mentioned() -> None:
    implementation = planted("softmax", softmax, "float32")
    assert {f.dtype for f in agreement.check(implementation)} == set(contract.FLOATS)
    (finding,) = agreement.check(implementation, ["bfloat16"])
    assert (finding.status, finding.case, finding.dtype) == ("not supported", "", "bfloat16")
    assert finding.detail == "bfloat16 is not among its dtypes (float32)"


@needs.bfloat16
def test_pairs_are_checked_in_bfloat16_where_both_take_it() -> None:
    softmaxes = {"right": planted("softmax", softmax, "bfloat16"), "other": planted("softmax", softmax)}
    argmaxes = {"right": planted("argmax", argmax, "bfloat16"), "zeros": planted("argmax", zeros, "bfloat16")}
    status: dict[str, set[str]] = {}
    for finding in check_pairs(softmaxes, argmaxes):
        status.setdefault(f"{finding.implementation} {finding.dtype}", set()).add(finding.status)
    assert status == {"right / right bfloat16": {"agrees"}, "right / zeros bfloat16": {"wrong"}}


def test_pairs_that_contradict_each_other_are_found() -> None:
    softmaxes = {"right": planted("softmax", softmax), "uniform": planted("softmax", uniform)}
    argmaxes = {"right": planted("argmax", argmax), "zeros": planted("argmax", zeros)}
    findings = list(check_pairs(softmaxes, argmaxes, ["float32"]))
    status: dict[str, set[str]] = {}
    for finding in findings:
        status.setdefault(finding.implementation, set()).add(finding.status)
    assert status["right / right"] == {"agrees"}
    assert "wrong" in status["right / zeros"]
    assert "wrong" in status["uniform / right"]
    assert any("tends to the one-hot" in f.case and f.status == "wrong" for f in findings)
    assert any("softmax is" in f.detail for f in findings)


DIGEST = """
import hashlib
from maxbench.impls import contract
from maxbench.impls.contract.layouts import LAYOUTS
digest = hashlib.sha256()
for case in (*contract.KERNEL_CASES, *LAYOUTS):
    for dtype in case.dtypes:
        digest.update(case.array(dtype).tobytes())
print(digest.hexdigest())
"""


def test_every_case_is_the_same_in_every_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_every_case_is_laid_out_as_kernels_take_it() -> None:
    for case in contract.KERNEL_CASES:
        x = case.array(case.dtypes[0])
        assert x.flags.c_contiguous
        assert x.ndim == 3


def test_case_names_are_unique() -> None:
    names = [case.name for case in contract.KERNEL_CASES]
    assert len(names) == len(set(names))


def declaring(operation: str, run: Run, differs: dict[str, str]) -> Implementation:
    kernel = impls.implements(dtypes=("float32",), differs=differs)(run)
    return Implementation(operation, run.__name__, "the tests", kernel, None, "")


def statuses(implementation: Implementation, dtypes: list[str] | None = None) -> dict[str, agreement.Finding]:
    """The findings that are not agreement, of the kernel's cases; layouts go through the registry by name."""
    kernel_cases = {case.name for case in contract.KERNEL_CASES} | {""}
    found = agreement.check(implementation, dtypes)
    return {f.case: f for f in found if f.case in kernel_cases and f.status not in ("agrees", "not supported")}


def test_a_declared_difference_is_named_and_an_undeclared_one_is_wrong() -> None:
    found = statuses(declaring("argmax", nan_ignored, {"NaN in the*/float32": "passes over NaN"}))
    assert (found["NaN in the middle"].status, found["NaN in the middle"].declared) == ("differs", "passes over NaN")
    assert "expected 130 (x = nan)" in found["NaN in the middle"].detail
    assert found["NaN in short rows"].status == "wrong"
    assert {f.status for f in found.values()} == {"differs", "wrong"}


def test_a_declared_difference_that_does_not_occur_is_stale_unless_the_check_is_narrower() -> None:
    differs = {"NaN last/*": "passes over NaN", "timed/*": "drifts by up to 9 ulp"}
    implementation = declaring("argmax", argmax, differs)
    [stale] = statuses(implementation).values()
    assert stale.status == "stale"
    assert "'NaN last/*' did not occur here: passes over NaN" in stale.detail
    assert statuses(implementation, ["float32"]) == {}


@pytest.mark.parametrize(
    ("run", "status"), [(zeros, "differs"), (raises, "failed"), (input_overwritten, "wrong"), (other_dtype, "wrong")]
)
def test_a_declaration_excuses_values_and_no_failure(run: Run, status: str) -> None:
    found = statuses(declaring("softmax", run, {"n = 64/*": "anything"}), ["float32"])
    assert found["n = 64"].status == status


@pytest.mark.parametrize("name", grid.IN_TREE)
@pytest.mark.parametrize("operation", contract.OPERATIONS)
def test_nothing_of_our_own_differs(operation: str, name: str) -> None:
    try:
        kernel = registry.load(operation, name).kernel
    except impls.Unavailable as error:
        pytest.skip(str(error))
    assert kernel.differs == {}
