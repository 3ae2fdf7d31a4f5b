"""Every in-tree implementation that needs no GPU on the whole contract; tests/impls/cuda has those that need one."""

from __future__ import annotations

import pytest

from maxbench import impls
from maxbench.bench.inputs import grid
from maxbench.impls import agreement, contract
from maxbench.impls.contract.layouts import LAYOUTS, OUT_LAYOUTS
from tests.needs import ALL

# Each is compiled by itself. The others are every width, signed and unsigned in turn.
NIGHTLY = () if ALL else ("int8", "uint16", "int32", "uint64")
# Of pure Python, to which all floats are one type, and all integers: slow, and compiled for none.
PYTHON = None if ALL else ("float16", "float64", "bool", "int64")


@pytest.mark.parametrize("name", [name for name in grid.IN_TREE if name != "numba_cuda"])
@pytest.mark.parametrize("operation", contract.OPERATIONS)
def test_agrees_on_every_case_dtype_and_layout(operation: str, name: str) -> None:
    implementation = impls.load(operation, name)
    taken = [dtype for dtype in implementation.kernel.dtypes if dtype not in NIGHTLY]
    assert set(contract.OPERATIONS[operation].dtypes) - {*NIGHTLY, *contract.OPTIONAL} <= set(taken)
    if name == "naive" and PYTHON:
        taken = [dtype for dtype in taken if dtype in PYTHON]
    findings = list(agreement.check(implementation, taken))
    assert [finding for finding in findings if finding.status != "agrees"] == []
    cases = {(case.name, dtype) for case in (*contract.KERNEL_CASES, *LAYOUTS) for dtype in {*taken} & {*case.dtypes}}
    cases |= {(layout.name, dtype) for layout in OUT_LAYOUTS for dtype in taken}
    assert {(finding.case, finding.dtype) for finding in findings} == cases
