"""Internal functions are called by compiled functions, and have no machine code of their own."""

from __future__ import annotations

import numba
import pytest
from numba import types
from numba.core.codegen import JITCodeLibrary

from maxbench.impls.internal import generated, internal


@generated
def name_of(x):
    """What x is."""
    name = "integer" if isinstance(x, types.Integer) else "other"
    return lambda x: name


@generated
def twice(x):
    return lambda x: x + x


def test_the_types_choose_the_body() -> None:
    compiled = numba.njit(lambda x: (name_of(x), twice(x)))
    assert compiled(3) == ("integer", 6)
    assert compiled(3.5) == ("other", 7.0)
    assert name_of.__doc__ == "What x is."


def test_there_is_none_in_python() -> None:
    with pytest.raises(NotImplementedError, match="name_of works in compiled functions only"):
        name_of(3)


@internal
def half(x):
    """Half of x."""
    if x < 0:
        raise ValueError("negative")
    return x // 2


def test_an_internal_function_is_part_of_its_callers_code(monkeypatch: pytest.MonkeyPatch) -> None:
    generate, names = JITCodeLibrary._finalize_specific, []
    monkeypatch.setattr(JITCodeLibrary, "_finalize_specific", lambda self: (names.append(self.name), generate(self)))
    compiled = numba.njit(lambda x: half(x) + half(x + 2))
    assert compiled(4) == 5
    with pytest.raises(ValueError, match="negative"):
        compiled(-9)
    (found,) = half.overloads.values()
    assert "half" not in " ".join(names)
    assert "<lambda>" in " ".join(names)
    for wrapper in (found.fndesc.llvm_cpython_wrapper_name, found.fndesc.llvm_cfunc_wrapper_name):
        assert wrapper not in found.library.get_llvm_str()


def test_in_python_an_internal_function_runs_as_it_is_written() -> None:
    assert half(7.0) == 3.0
    assert half.__doc__ == "Half of x."
    assert half.__name__ == "half"
