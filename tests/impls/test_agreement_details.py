"""What a check says of each way to be wrong: exact positions, sizes and words, and what it leaves out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from maxbench import impls
from maxbench.impls import agreement, api, backends, contract
from maxbench.impls.agreement import Finding
from maxbench.impls.contract.layouts import LAYOUTS, OUT_LAYOUTS, OutLayout
from maxbench.impls.registry import Implementation
from tests.checked import check_pairs, wrong, wrong_out
from tests.plugins import Install


def argmax(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    return np.argmax(x, axis=1, out=out)


def softmax(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        e = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True).astype(np.float64))
        out[...] = e / e.sum(axis=1, keepdims=True)
    return out


def implementation(operation: str, run: Callable, *dtypes: str, **declared: Any) -> Implementation:
    kernel = impls.implements(dtypes=dtypes or ("float32",), **declared)(run)
    return Implementation(operation, run.__name__, "the tests", kernel, None, "")


def test_findings_as_json() -> None:
    finding = Finding("argmax", "some", "n = 1", "int8", "wrong", "at", "declared")
    assert finding.as_dict() == {
        "operation": "argmax",
        "implementation": "some",
        "case": "n = 1",
        "dtype": "int8",
        "status": "wrong",
        "detail": "at",
        "declared": "declared",
        "unsized": False,
    }


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([[1, 0], [0, 1]], None),
        ([[1, 0], [1, 1]], None),  # a tie: either is largest
        ([[1, 0], [0, 0]], "at (1, 1): softmax is 0.125 at index 0 but 0.875 at most"),
        ([[0, 0], [0, 0]], "at (0, 0): softmax is 0.25 at index 0 but 0.75 at most"),
    ],
)
def test_where_argmax_points_softmax_is_largest(index: list, message: str | None) -> None:
    probabilities = np.array([[[0.25, 1], [0.75, 0]], [[0.5, 0.125], [0.5, 0.875]]])
    assert agreement._not_largest(probabilities, np.array(index)) == message
    probabilities[0] = np.nan
    assert agreement._not_largest(probabilities, np.array(index)) == "at (0, 0): " + (
        f"softmax is nan at index {index[0][0]} but nan at most"
    )


EPS = float(np.finfo(np.float32).eps)


@pytest.mark.parametrize(
    ("distances", "message"),
    [
        ([0.5, 0.25, 0], None),
        ([0.5, 0.5, EPS], None),
        ([0.25, 0.5, 0], "at T = 0.5 the distance to the one-hot grew from 0.25 to 0.5"),
        ([np.nan, 0, 0], "at T = 1.0 the distance to the one-hot grew from inf to nan"),
        ([0.5, 0.25, 2 * EPS], f"at T = 0.25 the distance to the one-hot is still {2 * EPS}"),
    ],
)
@pytest.mark.parametrize("row", [0, 1])
def test_softmax_tends_to_the_one_hot(distances: list[float], message: str | None, row: int) -> None:
    def one(distance: float) -> np.ndarray:
        p = np.array([[[0], [1], [0]], [[0], [0], [1]]], np.float32)
        p[row, 0, 0] = distance
        return p

    series = {2.0**-k: one(distance) for k, distance in enumerate(distances)}
    assert agreement._not_tending_to_one_hot(series, np.array([[1], [2]])) == message


def test_every_pair_is_checked_in_the_dtypes_that_both_take() -> None:
    softmaxes = {
        "half": implementation("softmax", softmax, "float16"),
        "both": implementation("softmax", softmax, "float32", "float64"),
        "one": implementation("softmax", softmax),
    }
    argmaxes = {
        "int": implementation("argmax", argmax, "int8"),
        "all": implementation("argmax", argmax, "float64", "float32"),
    }
    cases = [
        *(f"{name}: largest where argmax points" for name in ("distinct", "normal", "ties", "inner axis")),
        "softmax(x / T) tends to the one-hot of argmax",
    ]
    expected = {
        ("pair", f"{soft} / all", case, dtype, "agrees", "", "")
        for case in cases
        for soft, dtype in (("both", "float32"), ("one", "float32"), ("both", "float64"))
    }
    findings = [dataclasses.astuple(finding)[:7] for finding in check_pairs(softmaxes, argmaxes)]
    assert len(findings) == len(expected)
    assert set(findings) == expected
    narrow = list(check_pairs(softmaxes, argmaxes, iter(["int8", "float64"])))
    assert [(f.implementation, f.case, f.dtype) for f in narrow] == [("both / all", case, "float64") for case in cases]


def test_the_inputs_of_pairs() -> None:
    seen: list[np.ndarray] = []

    def records(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        seen.append(x.copy())
        return softmax(x, out)

    argmaxes = {"a": implementation("argmax", argmax)}
    list(check_pairs({"s": implementation("softmax", records)}, argmaxes, ["float32"]))
    distinct, normal, ties, inner, *series = seen
    assert all(sorted(row) == list(range(distinct.shape[1])) for row in distinct[:, :, 0].tolist())
    assert len({tuple(row) for row in distinct[:, :, 0].tolist()}) == len(distinct) > 1
    assert (normal < 0).any()
    assert {np.unique(row).size for row in ties[:, :, 0]} == {3}
    assert inner.shape[2] > 1
    # T = 1, 1/2, 1/4 ...: at the last, exp(-1 / T) is below the eps of every dtype.
    for k, x in enumerate(series):
        np.testing.assert_array_equal(x, distinct * 2**k)
    eps = np.finfo(np.float64).eps
    assert np.exp(-(2.0 ** (len(series) - 1))) < eps < np.exp(-(2.0 ** (len(series) - 2)))


def test_pairs_that_differ_are_wrong_with_their_reason() -> None:
    def first(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        out[...] = 0
        return out

    softmaxes, argmaxes = {"s": implementation("softmax", softmax)}, {"a": implementation("argmax", first)}
    findings = {f.case: f for f in check_pairs(softmaxes, argmaxes, ["float32"])}
    assert {f.status for f in findings.values()} == {"wrong"}
    assert "at index 0 but" in findings["normal: largest where argmax points"].detail
    detail = findings["softmax(x / T) tends to the one-hot of argmax"].detail
    assert float(detail.split()[3]) in {2.0**-k for k in range(1, 7)}  # at T = ...


@dataclasses.dataclass
class Recorded:
    """The host's backend, which notes what is called."""

    calls: list[str]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.calls.append(name)
        return getattr(backends.HOST, name)


def test_a_result_is_read_after_the_device_has_finished() -> None:
    calls: list[str] = []

    def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        calls.append("run")
        return argmax(x, out)

    kernel = impls.implements(dtypes=("float32",), backend=Recorded(calls))(run)
    calls.clear()
    x = np.zeros((2, 3, 1), np.float32)
    assert wrong(contract.ARGMAX, kernel, x) is None
    assert calls == ["put", "put", "run", "synchronize", "get", "get"]


@pytest.mark.parametrize("value", [0, 2])
def test_an_input_that_is_overwritten_is_noticed(value: int) -> None:
    def run(x: np.ndarray, out: np.ndarray) -> np.ndarray:
        argmax(x, out)
        x[-1, -1, -1] = value
        return out

    x = np.ones((2, 3, 1), np.int8)
    found = wrong(contract.ARGMAX, impls.implements(dtypes=("int8",))(run), x)
    assert found == "the input was overwritten"


def test_a_narrower_check_leaves_out_the_rest() -> None:
    some = implementation("argmax", argmax, "float32", "int8", largest=100, largest_reason="slow")
    findings = list(agreement.check(some, iter(["int8", "float64"])))
    assert {f.dtype for f in findings} == {"int8", "float64"}
    by_case = {(f.case, f.dtype): f for f in findings}
    assert by_case["n = 33", "int8"].status == "agrees"
    assert by_case["n = 63", "int8"].detail == "189 elements are more than its limit of 100 (slow)"
    assert by_case["broadcast", "int8"].detail == "210 elements are more than its limit of 100 (slow)"
    assert by_case["out: unaligned", "int8"].detail == "660 elements are more than its limit of 100 (slow)"
    assert by_case["n = 33", "float64"].status == "not supported"
    assert set(ARRAYS) <= {case for case, _ in by_case}
    assert len(by_case) == len(findings)


SOURCE = """
    import numpy as np
    from maxbench import implements

    def right(x, out):
        if out.dtype == np.int64:
            return np.argmax(x, axis=1, out=out)
        with np.errstate(all="ignore"):
            e = np.exp(x - x.max(axis=1, keepdims=True))
        out[...] = e / e.sum(axis=1, keepdims=True)
        return out

    def spoils(x, out):
        right(x, out)
        x.flat[-1] += 1 if x.flat[-1] < 0 else -1
        return out

    def wrong(x, out):
        right(x, out)
        out.flat[0] = 1 - out.flat[0]
        return out

    def raises(x, out):
        raise RuntimeError("no such luck")

    right, spoils, wrong, raises = (implements(dtypes=("float64",))(run) for run in (right, spoils, wrong, raises))
"""
# In C or Fortran order, aligned, the kernel is given the array itself.
ARRAYS = {layout.name: layout.array("float64") for layout in LAYOUTS}
VIEWS = {name for name, a in ARRAYS.items() if a.flags.forc and a.flags.behaved and a.dtype.isnative}


@pytest.mark.parametrize("operation", contract.OPERATIONS)
@pytest.mark.parametrize(
    ("run", "details"),
    [
        ("right", {"": set(ARRAYS)}),
        ("raises", {"raised RuntimeError: no such luck": set(ARRAYS)}),
        ("wrong", {"at (0": set(ARRAYS)}),
        ("spoils", {"the input was overwritten": VIEWS, "raised ValueError": {"read-only"}}),
    ],
)
def test_layouts(operation: str, run: str, details: Mapping[str, set[str]], install: Install) -> None:
    install({"planted": SOURCE}, {f"{operation}.planted": f"planted:{run}"})
    loaded = impls.load(operation, "planted")
    found = {f.case: f for f in agreement.check(loaded, ["float64"]) if f.case in ARRAYS}
    assert len(found) == len(LAYOUTS)
    for detail, names in details.items():
        assert {
            name for name, f in found.items() if f.detail.startswith(detail) and bool(f.detail) == bool(detail)
        } == names
        status = "failed" if detail.startswith("raised ") else "wrong" if detail else "agrees"
        assert {found[name].status for name in names} == {status}


X = np.random.default_rng(5).standard_normal((4, 33, 5))
OUTS = {layout.name: layout for layout in OUT_LAYOUTS}
FILLS = """
    import numpy as np
    from maxbench import implements

    @implements(dtypes=("float32", "float64"))
    def run(x, out):
        with np.errstate(all="ignore"):
            e = np.exp(x - x.max(axis=1, keepdims=True))
            {body}
        return out
"""
WHOLE = "out[...] = e / e.sum(axis=1, keepdims=True)"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (WHOLE, None),
        ("out[1:] = (e / e.sum(axis=1, keepdims=True))[1:]", "expected"),
        (f"{WHOLE}; np.lib.stride_tricks.as_strided(out, (out.size + 1,), (8,))[-1] = 0", "wrote 8 bytes beside out"),
    ],
)
def test_planted_faults_are_found(install: Any, body: str, expected: str | None) -> None:
    install({"planted": FILLS.format(body=body)}, {"softmax.planted": "planted"})
    implementation = impls.load("softmax", "planted")
    found = wrong_out(implementation, OUTS["out: every place in a cache line"], X)
    assert (found is None) == (expected is None)
    assert (expected or "") in str(found)
    findings = [f for f in agreement.check(implementation, ["float64"]) if f.case.startswith("out: ")]
    assert [f.case for f in findings] == list(OUTS)
    assert ({f.status for f in findings} == {"agrees"}) == (expected is None)


@pytest.mark.parametrize("layout", [layout for layout in OUT_LAYOUTS if layout.refused], ids=lambda layout: layout.name)
def test_an_out_that_must_be_refused_is_missed_where_it_is_not(
    layout: OutLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def softmax(x: Any, axis: Any, *, out: Any, impl: Any) -> Any:
        return out

    monkeypatch.setattr(api, "softmax", softmax)
    found = wrong_out(impls.load("softmax", "naive"), layout, X)
    assert "no error, where one must state" in str(found)
    monkeypatch.setattr(api, "softmax", lambda *args, **options: 1 / 0)
    assert "raised ZeroDivisionError" in str(wrong_out(impls.load("softmax", "naive"), layout, X))


def test_another_array_than_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "softmax", lambda x, axis, *, out, impl: out.copy())
    layout = OUTS["out: every place in a cache line"]
    assert "returned another array" in str(wrong_out(impls.load("softmax", "naive"), layout, X))
