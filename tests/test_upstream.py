"""NumPy's own tests of argmax and SciPy's own tests of softmax, run on the functions of this package."""

from __future__ import annotations

import importlib
import inspect
import itertools
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from maxbench import impls


def argmax(*args: Any, **options: Any) -> Any:
    """Ours, looked up at every call."""
    return impls.argmax(*args, **options)


def softmax(*args: Any, **options: Any) -> Any:
    """Ours, looked up at every call."""
    return impls.softmax(*args, **options)


class OurArray(np.ndarray):
    """Its method is the function of this package."""

    def argmax(self, *args: Any, **options: Any) -> Any:
        return argmax(np.asarray(self), *args, **options)


class OurNumPy:
    """NumPy with the function of this package, and arrays that have its method."""

    argmax = staticmethod(argmax)

    def __init__(self, module: Any = np) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        if name == "random":
            return OurNumPy(value)
        if name not in ("arange", "array", "empty", "eye", "normal", "ones", "zeros"):
            return value

        def made(*args: Any, **options: Any) -> Any:
            a = value(*args, **options)
            return a.view(OurArray) if isinstance(a, np.ndarray) else a

        return made


class AnyMark:
    """pytest's marks, and a mark of no effect for those that only NumPy's and SciPy's own configuration knows."""

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(MARK, name)
        except pytest.fail.Exception:
            return MARK.usefixtures


MARK = pytest.mark


class Upstream(NamedTuple):
    """One test of NumPy's or SciPy's: what runs it, and why our function refuses what it gives, or None."""

    run: Callable[[], Any]
    refuses: str | None = None


# What is not of ours: refused by name where NumPy computes something.
NOT_OURS = {
    "test_unicode": "does not take <U9",
    "test_object_with_NULLs": "does not take object",
    "test_object_argmax": "does not take object",
    "test_argmax_with_out": "out has dtype int16: the result has int64",
}
KINDS_NOT_OURS = {"c": "does not take complex128", "M": r"does not take datetime64", "m": "does not take timedelta64"}
KINDS_NOT_OURS["O"] = "does not take list, of which NumPy makes objects"
NUMPYS = ("numpy._core.tests.test_multiarray", "numpy._core.tests.test_regression")
SCIPYS = ("scipy.special.tests.test_logsumexp",)


def upstream(modules: tuple[str, ...], word: str, names: dict[str, Any]) -> Iterator[Any]:
    """Every test with a word in its name or its class's, once for each of its parameters, as pytest's parameters."""
    for module_name in modules:
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(pytest, "mark", AnyMark())
                module = importlib.import_module(module_name)
        except ImportError as error:  # some distributions leave the tests out
            reason = f"{module_name} is not installed: {error}"
            yield pytest.param(Upstream(lambda: None), id=module_name, marks=pytest.mark.skip(reason=reason))
            continue
        for holder in [module, *(value for name, value in vars(module).items() if name.startswith("Test"))]:
            for name, function in vars(holder).items():
                where = f"{holder.__name__} {name}".lower().replace("_", "")
                if name.startswith("test") and word in where and f"log{word}" not in where:
                    yield from cases(name, holder, function, names)


def cases(name: str, holder: Any, function: Any, names: dict[str, Any]) -> Iterator[Any]:
    """One test for each of its parameters."""
    code = types.FunctionType(function.__code__, {**function.__globals__, **names}, name, function.__defaults__)
    marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
    for chosen in itertools.product(*(mark.args[1] for mark in marks)):
        given: dict[str, Any] = {"self": holder(), "xp": np} if inspect.isclass(holder) else {"xp": np}
        given = {key: value for key, value in given.items() if key in inspect.signature(function).parameters}
        for mark, values in zip(marks, chosen, strict=True):
            keys = [key.strip() for key in mark.args[0].split(",")]
            given.update(zip(keys, values if len(keys) > 1 else [values], strict=True))
        if any(value is np.argmin or (isinstance(value, str) and value.endswith("min")) for value in given.values()):
            continue  # of argmin
        for key, value in given.items():
            if inspect.isroutine(value):  # a function of NumPy's, bound where the test was written
                given[key] = getattr(names["np"], value.__name__)
        refuses = NOT_OURS.get(name)
        if "data" in given:
            refuses = KINDS_NOT_OURS.get(np.array(given["data"][0]).dtype.kind)
        yield pytest.param(Upstream(lambda given=given: code(**given), refuses), id=name)


ARGMAX = list(upstream(NUMPYS, "argmax", {"np": OurNumPy()}))
SOFTMAX = list(upstream(SCIPYS, "softmax", {"softmax": softmax}))


@pytest.mark.parametrize("test", ARGMAX)
def test_numpys_argmax(test: Upstream) -> None:
    if test.refuses is None:
        test.run()
    else:
        with pytest.raises(TypeError, match=test.refuses):
            test.run()


@pytest.mark.parametrize("test", SOFTMAX)
def test_scipys_softmax(test: Upstream) -> None:
    test.run()


@pytest.mark.parametrize(
    ("cases", "least", "modules"), [(ARGMAX, 150, NUMPYS), (SOFTMAX, 5, SCIPYS)], ids=["numpy", "scipy"]
)
def test_they_are_found_where_they_are_installed(cases: list[Any], least: int, modules: tuple[str, ...]) -> None:
    run = [case for case in cases if not case.marks]
    missing = [case for case in cases if case.marks]
    assert len(run) >= least or len(missing) == len(modules)
    if run and cases is ARGMAX:
        assert {case.id for case in run} >= {*NOT_OURS, "test_combinations", "test_np_argmin_argmax_keepdims"}
        assert len([case for case in run if case.values[0].refuses is None]) > len(run) // 2


def test_each_calls_our_function(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(impls, "argmax", fail)
    monkeypatch.setattr(impls, "softmax", fail)
    for case in (*ARGMAX, *SOFTMAX):
        if not case.marks:
            with pytest.raises(ZeroDivisionError):
                case.values[0].run()
