"""The registry: what is found, what is loaded, and what a broken plug-in does (nothing, to the others)."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest

from maxbench import impls
from maxbench.impls import contract, host_arrays, registry
from tests.plugins import Install

IN_TREE = ("naive", "numba_cuda", "numba_parallel", "numba_simple", "numpy_vectorized")

GOOD = """
    '''A plug-in.'''
    import numpy as np
    from maxbench import implements

    @implements(dtypes=("float32",))
    def run(x, out):
        np.argmax(x, axis=1, out=out)
        return out
"""


@pytest.mark.parametrize("operation", contract.OPERATIONS)
def test_every_operation_has_every_implementation(operation: str) -> None:
    found = {e.name for e in impls.catalogue() if e.operation == operation}
    assert found >= set(IN_TREE)
    assert not found & {"__init__", "__pycache__"}


def test_importing_impls_imports_nothing_heavy() -> None:
    program = "import sys; from maxbench import impls; print(*{m.partition('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"numba", "pandas", "matplotlib", "torch", "jax", "scipy", "onnxruntime", "asv", "rich", "ml_dtypes"}
    assert "maxbench" in done.stdout
    assert not heavy & set(done.stdout.split())


def test_the_catalogue_loads_nothing() -> None:
    program = "import sys; from maxbench import impls; impls.catalogue(); print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_loaded_implementations_know_where_they_are_from() -> None:
    loaded = impls.load("softmax", "naive")
    assert (loaded.operation, loaded.name) == ("softmax", "naive")
    assert loaded.origin == f"maxbench {impls.__version__}"
    assert loaded.doc.startswith("Softmax in pure Python")
    assert loaded.source is not None
    assert "def softmax" in loaded.source
    assert loaded is impls.load("softmax", "naive")


def test_unknown_names_are_told_what_is_known_and_near() -> None:
    with pytest.raises(impls.UnknownImplementation, match=r"did you mean 'numba_simple'.*known: .*naive"):
        impls.load("argmax", "numba_simpel")
    with pytest.raises(ValueError, match="unknown operation 'softmin': known are softmax, argmax"):
        impls.load("softmin", "naive")


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"dtypes": ()}, "accepted are float16"),
        ({"dtypes": ("float32", "complex64")}, "complex64.*accepted are float16"),
        ({"dtypes": ("float32",), "threads": "some"}, "accepted are 'one' and 'many'"),
        ({"dtypes": ("float32",), "backend": "moon"}, "backend 'moon': accepted are host"),
    ],
)
def test_wrong_declarations_are_refused(declared: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        impls.implements(**declared)


def test_refusals_say_why() -> None:
    kernel = impls.implements(dtypes=("float32",), largest=10, largest_reason="it is slow")(lambda x, out: out)
    assert kernel.refusal("float32", 10) is None
    assert kernel.refusal("float64", 1) == "float64 is not among its dtypes (float32)"
    assert kernel.refusal("float32", 11) == "11 elements are more than its limit of 10 (it is slow)"


def test_a_plugin_is_found_and_loaded(install: Install) -> None:
    install({"good": GOOD}, {"argmax.good": "good", "argmax.direct": "good:run"})
    loaded = impls.load("argmax", "good")
    assert loaded.origin == "some-plugin 1.0"
    assert loaded.doc == "A plug-in."
    assert impls.load("argmax", "direct").kernel is loaded.kernel
    assert int(impls.argmax([[1.0, 3.0]], axis=1, impl="naive")[0]) == 1


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError"),
        ("raise Exception", "Exception$"),
        ("x = 1", "defines 0 kernels with @implements, expected exactly 1"),
        (GOOD + "\n    again = implements(dtypes=('float64',))(lambda x, out: out)", "defines 2 kernels"),
    ],
)
def test_a_broken_plugin_has_its_reason_and_breaks_nothing(install: Install, source: str, reason: str) -> None:
    install({"bad": source}, {"softmax.bad": "bad"})
    with pytest.raises(impls.Unavailable, match=reason):
        impls.load("softmax", "bad")
    assert impls.load("softmax", "naive")
    with pytest.raises(impls.Unavailable, match=r"softmax\.bad is not available"):
        impls.softmax([1.0, 2.0], impl="bad")


def test_interrupting_a_load_is_not_a_reason(install: Install) -> None:
    install({"stop": "raise KeyboardInterrupt"}, {"softmax.stop": "stop"})
    with pytest.raises(KeyboardInterrupt):
        impls.load("softmax", "stop")


def test_name_clashes_and_wrong_names_are_shown(install: Install) -> None:
    install({"good": GOOD}, {"argmax.naive": "good", "softmin.x": "good", "argmax": "good", "argmax.a-b": "good"})
    problems = {(e.operation, e.name): e.problem for e in impls.catalogue() if e.problem}
    assert "name clash: argmax.naive of maxbench" in str(problems["argmax", "naive"])
    assert "'softmin.x' is not <operation>.<name>" in str(problems["softmin", "x"])
    assert len(problems) == 4
    assert impls.load("argmax", "naive").origin.startswith("maxbench")
    clash = next(e for e in impls.catalogue() if e.problem and e.name == "naive")
    with pytest.raises(impls.Unavailable, match="name clash"):
        clash.load()


def test_what_is_taken_instead_of_the_fastest_is_said_once(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    points = {f"{operation}.{name}": name for operation in contract.OPERATIONS for name in ("bad", "good")}
    good = GOOD.replace("np.argmax(x, axis=1, out=out)", "out[...] = 1")
    install({"bad": "raise Exception('no luck')", "good": good}, points)
    monkeypatch.setattr(registry, "DEFAULTS", ("bad", "good"))
    monkeypatch.setattr(host_arrays, "NUMPY_ELEMENTS", 0)
    registry._warn.cache_clear()
    expected = "^bad, the default implementation, is not available: Exception: no luck; good is used instead$"
    with pytest.warns(RuntimeWarning, match=expected) as said:
        assert int(impls.argmax(np.array([[1, 3]], "f4"), axis=1)[0]) == 1
    assert [warning.filename for warning in said] == [__file__]
    with warnings.catch_warnings(action="error"):
        assert int(impls.argmax(np.array([[1, 3]], "f4"), axis=1)[0]) == 1
        impls.softmax(np.array([[1, 3]], "f4"), axis=1)
    with pytest.raises(impls.Unavailable, match=r"argmax\.bad is not available: .*luck; argmax\.good: float64 is not"):
        impls.argmax([1.0, 3.0])
    monkeypatch.setattr(registry, "DEFAULTS", ("good", "numpy_vectorized"))
    assert int(impls.argmax([1.0, 3.0, 2.0])) == 1


@pytest.mark.parametrize("operation", contract.OPERATIONS)
def test_without_a_name_the_best_available_one_is_taken(
    operation: str, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    for best in ("numba_parallel", "numpy_vectorized"):
        for size in (10, 10**7):
            with warnings.catch_warnings(action="ignore"):  # of what is taken instead
                assert registry.default(operation, "float32", size).name == best
        install({}, {})  # a registry that has loaded nothing
        monkeypatch.setitem(sys.modules, f"maxbench.impls.kernels.{operation}.{best}", None)  # importing it fails
    with pytest.raises(impls.Unavailable, match=r"numba_parallel is not available.*numpy_vectorized is not available"):
        registry.default(operation, "float32", 10)


CHOSEN = """
    from maxbench import implements

    @implements(dtypes={dtypes}, largest={largest}, largest_reason="it is slow")
    def run(x, out):
        out[...] = {index}
        return out
"""


def test_the_default_is_the_first_that_takes_the_dtype_and_size(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = {
        "fast": CHOSEN.format(dtypes=("float32",), largest=3, index=0),
        "slow": CHOSEN.format(dtypes=("float32", "float64"), largest=5, index=1),
        "unlimited": CHOSEN.format(dtypes=("float32",), largest=None, index=2),
    }
    install(modules, {f"argmax.{name}": name for name in modules})
    monkeypatch.setattr(registry, "DEFAULTS", ("fast", "slow"))
    monkeypatch.setattr(host_arrays, "NUMPY_ELEMENTS", 0)
    with warnings.catch_warnings(action="error"):
        for dtype, size, name in [("float32", 3, "fast"), ("float32", 4, "slow"), ("float64", 1, "slow")]:
            assert registry.default("argmax", dtype, size).name == name
            assert int(impls.argmax(np.zeros(size, dtype))) == list(modules).index(name)
    with pytest.raises(impls.Unavailable) as refused:
        registry.default("argmax", "float64", 6)
    assert str(refused.value) == (
        "argmax.fast: float64 is not among its dtypes (float32); "
        "argmax.slow: 6 elements are more than its limit of 5 (it is slow)"
    )
    registry.of_any_size.cache_clear()
    monkeypatch.setattr(registry, "DEFAULTS", ("unlimited", "slow"))
    for dtype, size, name in [("float32", 1 << 60, "unlimited"), ("float64", 5, "slow")]:
        assert registry.default("argmax", dtype, size).name == name


def test_what_the_default_is_taken_once_for_all_sizes(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it takes any size it is not looked for again, which costs more than a small call."""
    install({"any_size": CHOSEN.format(dtypes=("float32",), largest=None, index=0)}, {"argmax.any_size": "any_size"})
    monkeypatch.setattr(registry, "DEFAULTS", ("any_size", "naive"))
    first = registry.default("argmax", "float32", 1)
    monkeypatch.setattr(registry, "candidates", None)
    assert registry.default("argmax", "float32", 1 << 40) is first
    with pytest.raises(TypeError):
        registry.default("argmax", "float64", 1)


def test_candidates_come_with_the_reasons_of_the_others(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = {"good": GOOD, "bad": "raise Exception('no luck')", "also": GOOD}
    install(modules, {f"argmax.{name}": name for name in modules})
    monkeypatch.setattr(registry, "DEFAULTS", ("good", "bad", "also"))
    available, reasons = registry.candidates("argmax")
    assert [implementation.name for implementation in available] == ["good", "also"]
    assert reasons == {"bad": "Exception: no luck"}


@pytest.mark.parametrize(
    ("module", "count", "reason"),
    [
        ("numba.core", ValueError("NUMBA_NUM_THREADS='x': accepted is a number"), "ValueError: NUMBA_NUM_THREADS='x'"),
        ("numba.core", 2, "RuntimeError: from numba.core"),
        ("numbat", ValueError("not looked at"), "RuntimeError: from numbat"),
        ("jax", ValueError("not looked at"), "RuntimeError: from jax"),
    ],
)
def test_an_error_of_numba_names_the_setting(
    module: str, count: int | Exception, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted() -> int:
        if isinstance(count, Exception):
            raise count
        return count

    monkeypatch.setattr(registry.threads, "count", counted)
    namespace = {"__name__": module, "call": lambda: 1 / 0}
    exec("def fail(): raise RuntimeError('from ' + __name__)\ndef deeper(): call()", namespace)
    with pytest.raises(RuntimeError) as raised:
        namespace["fail"]()  # type: ignore[operator]
    assert registry.refusal_of(raised.value).reason.startswith(reason)
    with pytest.raises(ZeroDivisionError) as inside:
        namespace["deeper"]()  # type: ignore[operator]
    assert registry.refusal_of(inside.value).reason == "ZeroDivisionError: division by zero"
    assert registry.refusal_of(RuntimeError("never raised")).reason == "RuntimeError: never raised"


def test_the_compiled_code_of_plugins_alone_is_adopted(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    compilation = pytest.importorskip("maxbench.impls.compilation")
    adopted: list[tuple[str, list]] = []
    monkeypatch.setattr(compilation, "adopt", lambda package, functions: adopted.append((package, functions)))
    install({"good": GOOD}, {"argmax.good": "good:run"})
    registry.load("argmax", "naive")
    assert adopted == []
    kernel = registry.load("argmax", "good").kernel
    assert adopted == [("good", [kernel.run])]
