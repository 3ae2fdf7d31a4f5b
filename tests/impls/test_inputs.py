"""What may be passed besides NumPy arrays: as numpy.argmax takes it, or an error that lists what is accepted."""

from __future__ import annotations

import array
import collections
import mmap
from typing import Any

import numpy as np
import pytest

from maxbench import impls
from maxbench.impls import contract, devices
from maxbench.impls.contract.dtypes import named
from tests import needs

VALUES = [1.0, 5.0, 3.0]
BOTH = pytest.mark.parametrize("function", [impls.softmax, impls.argmax])
ACCEPTED = r"accepted are float16, float32, float64, bool, .*as an array, a nested list, or an object with __array__"


class Arrays:
    """Has __array__ alone."""

    def __init__(self, a: Any) -> None:
        self.a = a

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if isinstance(self.a, Exception):
            raise self.a
        return self.a


class DLPack:
    """Hands out its memory by DLPack alone."""

    def __init__(self, a: np.ndarray) -> None:
        self.a = a

    def __dlpack__(self, **options: Any) -> Any:
        return self.a.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.a.__dlpack_device__()


class OnlyOnTheHost(Arrays):
    """Like a library whose class has the CUDA array interface and whose arrays in main memory have not."""

    @property
    def __cuda_array_interface__(self) -> Any:
        raise AttributeError("not on a device")


def agree(x: Any, a: np.ndarray) -> None:
    """x gives what the array gives."""
    assert impls.argmax(x) == np.argmax(a)
    np.testing.assert_array_equal(impls.softmax(x, -1), impls.softmax(a, -1))


@pytest.mark.parametrize(
    "x",
    [
        VALUES,
        tuple(VALUES),
        collections.UserList(VALUES),
        np.float64(3),
        array.array("d", VALUES),
        memoryview(np.array(VALUES)),
        bytearray(b"abd"),
        range(4),
        Arrays(np.array(VALUES)),
        DLPack(np.array(VALUES)),
        OnlyOnTheHost(np.array(VALUES)),
        [np.array(VALUES), np.array(VALUES)],
        [DLPack(np.array(VALUES)).a, VALUES],
        np.array(VALUES).view(np.recarray),
    ],
    ids=lambda x: type(x).__name__,
)
def test_taken(x: Any) -> None:
    agree(x, np.from_dlpack(x) if isinstance(x, DLPack) else np.asarray(x))


def test_a_mapped_file_is_a_buffer() -> None:
    with mmap.mmap(-1, 16) as memory:
        memory[3] = 7
        x = memoryview(memory)
        assert impls.argmax(x) == 3
        x.release()


@BOTH
@pytest.mark.parametrize(
    ("x", "what"),
    [
        (None, "does not take NoneType, of which NumPy makes objects"),
        ({"a": 1}, "does not take dict, of which NumPy makes objects"),
        ({1, 2}, "does not take set, of which NumPy makes objects"),
        ((i for i in range(3)), "does not take generator, of which NumPy makes objects"),
        ([1, None], "does not take list, of which NumPy makes objects"),
        ("abc", "does not take <U3"),
        (b"abc", r"does not take \|S3"),
        (["a"], "does not take <U1"),
        (np.array([1j]), "does not take complex128"),
        (np.array([object()]), "does not take object"),
        (np.array([object()]).view(np.recarray), "does not take object"),
        (np.array(["2020"], "M8[D]"), r"does not take datetime64\[D\]"),
        ([np.datetime64("2020")], r"does not take datetime64\[Y\]"),
        (np.array([1], np.longdouble), "does not take"),
        (np.zeros(2, [("a", "f4")]), "does not take"),
        (Arrays(RuntimeError("broken")), "cannot make an array of this Arrays: broken"),
        (Arrays(AttributeError("broken")), "cannot make an array of this Arrays: broken"),
        (OnlyOnTheHost(TypeError("broken")), "cannot make an array of this OnlyOnTheHost: broken"),
        (DLPack(np.array([1j]).view(np.recarray)), "does not take complex128"),
        ([np.array([1.0, 2.0]), 3j], "cannot make an array"),
    ],
    ids=lambda x: type(x).__name__,
)
def test_refused(function: Any, x: Any, what: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"{function.__name__} {what}.*{ACCEPTED}"):
        function(x)


@BOTH
def test_softmax_alone_states_what_it_computes_integers_in(function: Any) -> None:
    with pytest.raises(TypeError) as refused:
        function(None)
    assert ("(integers and bool are computed as float64)" in str(refused.value)) == (function is impls.softmax)


@BOTH
def test_ragged_lists_are_value_errors_as_numpys(function: Any) -> None:
    message = f"{function.__name__} cannot make an array of this list: .*inhomogeneous.*{ACCEPTED}"
    with pytest.raises(ValueError, match=message):
        function([[1, 2], [3]])


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="this NumPy has no StringDType")
@BOTH
def test_strings_of_any_length_are_refused(function: Any) -> None:
    with pytest.raises(TypeError, match=f"{function.__name__} does not take StringDType.*{ACCEPTED}"):
        function(np.array(["a"], np.dtypes.StringDType()))


@BOTH
@pytest.mark.parametrize("mask", [[0, 1, 0], [0, 0, 0], np.ma.nomask])
def test_masked_arrays_are_refused(function: Any, mask: Any) -> None:
    masked = np.ma.array(VALUES, mask=mask)
    hidden = [[masked], (masked, masked), [[1.0, 2.0, 3.0], masked], [[masked], [masked]], Arrays(masked)]
    for x in (
        masked,
        masked.reshape(1, 3),
        *hidden,
        [1.0, np.ma.masked],
        [1, 2.0, True, np.ma.masked],
        [[np.ma.masked], [1.0]],
        np.ma.masked,
    ):
        with pytest.raises(
            TypeError, match=rf"{function.__name__} does not take masked arrays: pass x\.filled\(\.\.\.\)"
        ):
            function(x)
    assert impls.argmax(masked.filled(-np.inf)) == (1 if mask is np.ma.nomask or not any(mask) else 2)


@BOTH
def test_sparse_arrays_are_refused(function: Any) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    for x in (sparse.csr_array(np.eye(2)), sparse.coo_matrix(np.eye(2))):
        kind = type(x).__name__
        with pytest.raises(TypeError, match=rf"does not take {kind}.*{ACCEPTED}.*; pass the toarray\(\) of a sparse"):
            function(x)


def test_pandas() -> None:
    pd = pytest.importorskip("pandas")
    for x in (
        pd.Series(VALUES),
        pd.Index([1, 5, 3]),
        pd.array([1, 5, 3], dtype="Int64"),
        pd.Series(VALUES, dtype="Float64"),
        pd.DataFrame({"a": [1, 7], "b": [2.5, 3.5]}),
        pd.DataFrame({"a": pd.array([1, 7], dtype="Int64")}),
    ):
        agree(x, np.asarray(x))
    assert impls.argmax(pd.Series([1, None, 3], dtype="Int64")) == 1  # pandas makes it NaN


@BOTH
def test_tables_name_their_columns(function: Any) -> None:
    pd = pytest.importorskip("pandas")
    match = f"{function.__name__} does not take DataFrame with the columns "
    table = pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": pd.to_datetime(["2020", "2021"])})
    with pytest.raises(TypeError, match=rf"{match}'b' \(.*\), 'c' \(datetime64.*\): {ACCEPTED}.*convert"):
        function(table)
    with pytest.raises(TypeError, match=rf"{match}'c' \(datetime64"):
        function(table[["c"]])
    with pytest.raises(TypeError, match=r"the columns 'a' \(int64\), 'd' \(bool\), which have no common dtype"):
        function(table[["a"]].assign(d=[True, False]))
    with pytest.raises(TypeError, match=f"does not take Series, of which NumPy makes objects: {ACCEPTED}"):
        function(table["b"].astype(object))


@BOTH
def test_pyarrow(function: Any) -> None:
    pa = pytest.importorskip("pyarrow")
    for x in (pa.array(VALUES), pa.chunked_array([VALUES[:1], VALUES[1:]])):
        np.testing.assert_array_equal(function(x), function(np.array(VALUES)))
    np.testing.assert_array_equal(function(pa.table({"a": VALUES})), function(np.array(VALUES)[:, None]))
    with pytest.raises(TypeError, match=r"does not take Table with the columns 'b' \(string\)"):
        function(pa.table({"a": VALUES, "b": ["x", "y", "z"]}))


@BOTH
def test_torch(function: Any) -> None:
    torch = pytest.importorskip("torch")
    x = torch.tensor([VALUES, [2.0, 0.0, 7.0]])
    np.testing.assert_array_equal(function(x.T, 0), function(x.numpy().T, 0))
    message = f"{function.__name__} cannot make an array of this Tensor: .*"
    with pytest.raises(TypeError, match=rf"{message}requires grad\. Use tensor\.detach\(\).*{ACCEPTED}"):
        function(x.requires_grad_())
    for refused in (
        x.detach().to_sparse(),
        torch.empty(3, device="meta"),
        (x.detach() * 1j).conj(),
        (x * 1j).conj().imag,
    ):
        with pytest.raises(TypeError, match=f"{message}{ACCEPTED}"):
            function(refused)


@needs.bfloat16
@BOTH
def test_torch_in_bfloat16(function: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    x = torch.tensor([[1.5, 5, float("nan")], [2, 0, -float("inf")]]).to(torch.bfloat16)
    expected = function(x.float().numpy().astype(named("bfloat16")), 1)
    for given in (x, x.T.contiguous().T):
        result = function(given, 1)
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result.astype(float), expected.astype(float))
    with pytest.raises(TypeError, match=rf"cannot make an array of this Tensor: .*detach\(\).*{ACCEPTED}"):
        function(x.requires_grad_())
    monkeypatch.setattr(contract, "OPTIONAL", ())
    with pytest.raises(TypeError, match=r"bfloat16 needs the package ml_dtypes; or pass x\.float\(\)"):
        function(x.detach())


@pytest.mark.parametrize("error", [AttributeError, KeyError, RuntimeError, TypeError])
@pytest.mark.parametrize("name", ["__cuda_array_interface__", "__dlpack_device__"])
def test_what_does_not_state_a_device_is_not_on_one(name: str, error: type[Exception]) -> None:
    def refuse(self: Any) -> Any:
        raise error("no")

    kind = type("Foreign", (), {name: property(refuse) if name == "__cuda_array_interface__" else refuse})
    assert not devices.on_device(kind())
    stated = type("Foreign", (), {"__cuda_array_interface__": {"version": 3}})
    assert devices.on_device(stated())
    assert devices.on_device(type("Foreign", (), {"__dlpack_device__": lambda self: (2, 0)})())
    assert not devices.on_device(type("Foreign", (), {"__dlpack_device__": lambda self: (1, 0)})())
    for there in (True, False):  # of PyTorch, which says so itself, and takes longer to say it by DLPack
        tensor = type("Tensor", (), {"__module__": "torch", "is_cuda": there, "__dlpack_device__": None})()
        assert devices.on_device(tensor) is there
