"""Every in-tree implementation that needs no GPU on the whole contract; tests/impls/cuda has those that need one."""

from __future__ import annotations

import pytest

from maxbench import impls
from maxbench.bench.inputs import grid
from maxbench.impls import agreement, contract
from maxbench.impls.contract.layouts import LAYOUTS, OUT_LAYOUTS


@pytest.mark.parametrize("name", [name for name in grid.IN_TREE if name != "numba_cuda"])
@pytest.mark.parametrize("operation", contract.OPERATIONS)
def test_agrees_on_every_case_dtype_and_layout(operation: str, name: str) -> None:
    findings = list(agreement.check(impls.load(operation, name)))
    assert [finding for finding in findings if finding.status != "agrees"] == []
    dtypes = set(contract.OPERATIONS[operation].dtypes) - set(contract.OPTIONAL)
    cases = {(case.name, dtype) for case in (*contract.KERNEL_CASES, *LAYOUTS) for dtype in dtypes & set(case.dtypes)}
    cases |= {(layout.name, dtype) for layout in OUT_LAYOUTS for dtype in dtypes}
    assert {(finding.case, finding.dtype) for finding in findings} == cases
