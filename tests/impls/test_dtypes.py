"""The names of dtypes: every one that the contract knows, and no other."""

from __future__ import annotations

import numpy as np
import pytest

from maxbench.impls import contract
from maxbench.impls.contract.dtypes import finfo, is_float, name_of, named


@pytest.mark.parametrize("name", [*contract.DTYPES, *contract.OPTIONAL])
def test_names_lead_to_their_dtypes_and_back(name: str) -> None:
    dtype = named(name)
    assert isinstance(dtype, np.dtype)
    assert dtype.name == name
    assert name_of(dtype) == name
    assert is_float(dtype) == (name in (*contract.FLOATS, *contract.OPTIONAL))
    if dtype.itemsize > 1:
        assert name_of(dtype.newbyteorder()) is None


@pytest.mark.parametrize("other", ["complex64", "longdouble", "U3", "S3", "M8[s]", "m8[s]", "O", "V4"])
def test_others_have_no_name_and_are_no_floats(other: str) -> None:
    assert name_of(np.dtype(other)) is None
    assert is_float(np.dtype(other)) == (other == "longdouble")


@pytest.mark.parametrize(
    ("name", "eps"), [("float16", 2**-10), ("float32", 2**-23), ("float64", 2**-52), ("bfloat16", 2**-7)]
)
def test_limits(name: str, eps: float) -> None:
    if name in (*contract.FLOATS, *contract.OPTIONAL):
        assert float(finfo(named(name)).eps) == eps
