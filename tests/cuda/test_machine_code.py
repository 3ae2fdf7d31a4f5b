"""The machine code of the kernels holds what makes them fast, and nothing that would make them slow.

By default a cross-section of the specialisations is compiled; MAXBENCH_CUDA_CODE=all takes every one (about half an
hour). Without the compiler's packages the tests are skipped, unless MAXBENCH_CUDA_CODE is set: then they fail.
"""

from __future__ import annotations

import os

import pytest

from tests.cuda import machine_code

CHOICE = os.environ.get("MAXBENCH_CUDA_CODE", "")
REGISTERS = 128  # of a thread: 65,536 for at least 512 threads a multiprocessor

if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0"):
    pytest.skip("the simulator compiles nothing", allow_module_level=True)
if machine_code.missing():
    REASON = f"not installed: {', '.join(machine_code.missing())}; pip install 'maxbench[cuda-offline]'"
    if CHOICE:
        pytest.fail(REASON, pytrace=False)
    pytest.skip(REASON, allow_module_level=True)

from numba import cuda  # noqa: E402
from numba.cuda import types  # noqa: E402

from impls.cuda import regimes  # noqa: E402
from tests.cuda import specialisations  # noqa: E402
from tests.cuda.specialisations import Specialisation  # noqa: E402

EVERYTHING = {s.name: s for s in specialisations.everything()}


def _cross_section() -> list[tuple[str, str]]:
    """(architecture, name): each kernel at its most registers; the dtypes and alignments in turn."""
    if CHOICE == "all":
        return [(architecture, name) for architecture in machine_code.CAPABILITIES for name in EVERYTHING]
    chosen = []
    for table, entries in regimes.DEVICE.items():
        last = {regime.kernel: regime for regime in entries}  # the largest of each kernel
        for regime in last.values():
            prefix = f"{table} {regime.kernel} {regime.threads}/{regime.sharing}/{regime.registers} "
            pairs = [("float32", ("aligned", "vectors")), ("float16", ("peeled", "vectors"))]
            pairs.append(("int8", ("aligned",)) if table.startswith("argmax") else ("float64", ("aligned", "single")))
            for dtype, kinds in pairs:
                for kind in kinds:
                    names = [name for name in EVERYTHING if name.startswith(f"{prefix}{dtype} {kind}")]
                    chosen += [("sm_90", name) for name in names if "n=" not in name or name.endswith("n=10")]
    # Every sixth of them once more on the older architecture.
    return chosen + [("sm_80", name) for _, name in chosen[::6]]


def problems(code: machine_code.Code, wanted: Specialisation) -> list[str]:
    """What the machine code has and must not, or must have and has not."""
    element = wanted.element
    checks = {
        f"a stack of {code.stack} bytes": code.stack == 0,
        f"{code.local} bytes of local memory": code.local == 0,
        "loads or stores of local memory": code.count(r"(LDL|STL)(\..*)?") == 0,
        f"{code.registers} registers": code.registers <= REGISTERS,
        f"fewer than {wanted.loads} loads of 128 bits": code.count(r"LDG\..*128.*") >= wanted.loads,
        f"fewer than {wanted.stores} stores of 128 bits": code.count(r"STG\..*128.*") >= wanted.stores,
    }
    if not (element.floating and element.wide):
        checks["float64 arithmetic"] = code.count(r"(DADD|DMUL|DFMA|DSETP|DMNMX|F2F.*F64.*|I2F.*F64.*)(\..*)?") == 0
        if wanted.exponentials:
            checks["no exp2 in hardware"] = code.count(r"MUFU\.EX2") > 0
    if wanted.maxima and element.floating:
        keeping = r"DSETP\.NAN.*" if element.wide else r"FMNMX\.NAN(\..*)?"
        checks["no maximum that keeps NaN"] = code.count(keeping) > 0
    if wanted.warp and not wanted.exponentials:
        checks["no redux"] = code.count(r"C?REDUX\.MAX(\..*)?") > 0 and code.count(r"C?REDUX\.MIN(\..*)?") > 0
    if wanted.warp and wanted.exponentials:
        checks["no shuffle"] = code.count(r"SHFL\.BFLY(\..*)?") > 0
    return [text for text, fine in checks.items() if not fine]


@pytest.mark.parametrize(("architecture", "name"), _cross_section())
def test_machine_code(architecture: str, name: str) -> None:
    wanted = EVERYTHING[name]
    code = machine_code.compile_kernel(wanted.build(), wanted.signature, architecture)
    assert not problems(code, wanted), (code, problems(code, wanted))


def test_the_checks_see_what_is_wrong() -> None:
    """A kernel with scalar loads, a maximum that drops NaN, float64 and a register array with a variable index."""

    @cuda.jit
    def slow(x, out, at):  # type: ignore[no-untyped-def]
        values = cuda.local.array(64, types.float32)
        top = x[0, 0, 0]
        for j in range(64):
            values[(j * at) & 63] = x[0, j, 0]
            top = max(top, x[0, j, 0])
        out[0, 0, 0] = values[at] * 1.5 + top

    wanted = next(s for s in EVERYTHING.values() if s.name.startswith("softmax rows rows") and "float32 al" in s.name)
    code = machine_code.compile_kernel(slow, (*wanted.signature, types.int64), "sm_90")
    found = " ".join(problems(code, wanted))
    for text in ("local memory", "loads of 128 bits", "stores of 128 bits", "float64", "exp2", "keeps NaN"):
        assert text in found
