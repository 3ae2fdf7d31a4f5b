"""Generated functions choose their body by the types of arguments, and exist in compiled code only."""

from __future__ import annotations

import numba
import pytest
from numba import types

from maxbench.impls.internal import generated


@generated
def name_of(x):
    """What x is."""
    name = "integer" if isinstance(x, types.Integer) else "other"
    return lambda x: name


@generated(inline="always")
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
