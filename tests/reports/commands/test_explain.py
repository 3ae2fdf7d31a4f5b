"""``maxbench explain``: the plan, the bound, and the machine code."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import pytest

from maxbench.bench.workers.explain import hottest
from maxbench.impls.cpu.machine import this_machine
from maxbench.impls.cpu.plan import Problem, plan
from maxbench.impls.cpu.tuned import TABLE_FILE, table_of
from maxbench.reports.commands.main import main


@pytest.fixture(autouse=True)
def no_table_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TABLE_FILE, "")


def explained(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["explain", *words, "--format", "json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["softmax", "64x1000", "--threads", "1"], Problem("softmax", "float32", (64, 1000, 1), 1)),
        (["softmax", "3X20x300", "--axis", "1", "--dtype", "float16"], Problem("softmax", "float16", (3, 20, 300), 1)),
        (["argmax", "5000"], Problem("argmax", "float32", (1, 5000, 1), 1)),
        (["softmax", "64x10", "--dtype", "bfloat16"], Problem("softmax", "float32", (64, 10, 1), 1)),
    ],
)
def test_it_names_the_regime_that_a_call_takes(
    words: list[str], problem: Problem, capsys: pytest.CaptureFixture[str]
) -> None:
    found, chosen = explained(capsys, *words), plan(this_machine(), problem)
    assert tuple(found["shape"]) == problem.shape
    assert (found["bytes"], found["threads"]) == (problem.bytes, 1)
    assert found["machine"] == {**vars(this_machine())}
    *rejected, last = found["considered"]
    assert len(rejected) == table_of(this_machine(), problem).index(chosen.regime)
    assert last["regime"].startswith(chosen.regime.kernel.replace("_", " "))
    assert (last["reason"], last["against"]) == (chosen.regime.reason, [])
    assert all(one["against"] for one in rejected)
    assert found["ceiling"] > 0


def test_it_says_what_speaks_against_a_regime_and_what_bounds_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "argmax", "100x1000", "--threads", "1"]) == 0
    table = capsys.readouterr().out
    assert "columns: 1,000, takes 4" in table
    assert "columns: 1,000, takes up to 64" in table
    assert "argmax of 100 rows of 1,000 in float32: rows" in table
    assert "x is read once: 391 KiB" in table
    assert "at that rate the call takes" in table
    assert "GB/s" in table
    assert main(["explain", "argmax", "100x1", "--threads", "1"]) == 0
    table = capsys.readouterr().out
    assert "x is not read" in table
    assert "at that rate" not in table


def test_a_table_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "table.json").write_text("[]")
    monkeypatch.setenv(TABLE_FILE, str(tmp_path / "table.json"))
    assert main(["explain", "argmax", "1x5000"]) == 0
    said = capsys.readouterr()
    assert "argmax of 1 row of 5,000 in float32: rows" in said.out
    assert f"{tmp_path / 'table.json'}: no table of CPU regimes" in said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["softmax", "64xK"], "argument SHAPE: '64xK': accepted are lengths from 1 on, joined by x, as 64x1000"),
        (["softmax", "0x5"], "accepted are lengths from 1 on"),
        (["softmax", "64x10", "--axis", "2"], "--axis 2: axis 2 is out of bounds for array of dimension 2"),
        (["softmax", "64x10", "--dtype", "int8"], "--dtype 'int8': softmax takes float16, float32, float64"),
        (["sum", "64x10"], "invalid choice: 'sum'"),
    ],
)
def test_what_cannot_be_explained(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status: object = main(["explain", *words])
    except SystemExit as end:
        status = end.code
    assert status == 2
    assert said in capsys.readouterr().err


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the text of x86 machine code is read")
def test_the_machine_code_is_that_of_the_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    (loop,) = explained(capsys, "softmax", "40x20", "--dtype", "float32", "--threads", "1", "--asm")["loops"]
    chosen = plan(this_machine(), Problem("softmax", "float32", (40, 20, 1)))
    assert loop["kernel"].startswith(f"softmax_{chosen.regime.kernel}.")
    assert 0 < loop["exponentials"] < loop["vectors"] < loop["instructions"]
    assert "mm" in loop["code"]


ASSEMBLY = """
one:
\t.cfi_startproc
\tvaddps\t%zmm1, %zmm2, %zmm3
.LBB0_1:
\tvpslld\t$23, %zmm1, %zmm1
.LBB0_2:
\tvaddps\t%zmm1, %zmm2, %zmm3
\tvmulps\t%zmm1, %zmm2, %zmm3
\tincq\t%rax
\tjne\t.LBB0_2
\tincq\t%rbx
\tjle\t.LBB0_1
\tjmp\t.LBB0_9
.LBB0_9:
\tretq
.Lfunc_end0:
two:
\tvpsllq\t$52, %ymm1, %ymm1
\tvpslld\t$23, %ymm1, %ymm1
\tvpslld\t$16, %ymm1, %ymm1
.Lfunc_end1:
"""


def test_the_hottest_loop() -> None:
    lines, *counts = hottest(ASSEMBLY) or ()
    assert lines[0] == " vpsllq $52, %ymm1, %ymm1"  # a function that a loop elsewhere calls
    assert counts == [3, 3, 2]
    lines, *counts = hottest(ASSEMBLY[: ASSEMBLY.index("two:")]) or ()
    assert (lines[0], lines[-1]) == (" vpslld $23, %zmm1, %zmm1", " jle .LBB0_1")
    assert counts == [3, 1, 1]  # without the loop within
    lines, *counts = hottest(ASSEMBLY[: ASSEMBLY.index("two:")].replace("$23", "$9")) or ()
    assert lines[-1] == " jne .LBB0_2"
    assert counts == [4, 2, 0]
    assert hottest("one:\n\tincq\t%rax\n.Lfunc_end0:\n") is None
