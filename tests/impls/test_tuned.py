"""A machine's own regimes: read, refused with a reason, and tried before the built-in ones."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maxbench import impls
from maxbench.impls import contract
from maxbench.impls.cpu import tuned
from maxbench.impls.cpu.machine import Machine, this_machine
from maxbench.impls.cpu.plan import Problem, plan
from maxbench.impls.cpu.regimes import LIMITS, TABLES, Operation, Regime
from maxbench.impls.kernels.argmax import numba_parallel
from maxbench.impls.version import __version__
from tests.checked import wrong

MACHINE = Machine(64, 32, l1=48 << 10, l2=2 << 20, llc=64 << 20)


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    tuned.load.cache_clear()
    yield
    tuned.load.cache_clear()


def variant(operation: Operation, kernel: str, **flags: Any) -> Regime:
    wanted = {"streaming": False, "interleave": 1, "prefetch": 0, **flags}
    return next(
        one for one in LIMITS[operation]
        if one.kernel == kernel and all(getattr(one, name) == value for name, value in wanted.items())
    )  # fmt: skip


FOUND = [
    tuned.Found("softmax", "float32", variant("softmax", "registers"), (97, 200), True, False, 1.25),
    tuned.Found("argmax", "int8", variant("argmax", "rows", prefetch=32), (64, 512), False, True, 1.05),
]


def chosen(n: int, rows: int, dtype: str = "float32", operation: Operation = "softmax") -> Regime:
    problem = Problem(operation, dtype, (rows, n, 1), 2)
    return plan(MACHINE, problem, tuned.table_of(MACHINE, problem)).regime


def test_they_come_first_where_they_were_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.json"
    path.write_text(tuned.as_json(FOUND, MACHINE))
    monkeypatch.setenv(tuned.TABLE_FILE, str(path))
    large, small = 1 << 20, 1 << 8
    mine = chosen(100, large)
    assert (mine.kernel, mine.dtypes) == ("registers", ("float32",))
    assert mine.reason == "measured here by maxbench tune: 1.25 times as fast as the built-in choice, or more"
    assert len(mine.reason) <= 90
    built_in = TABLES["softmax", False]
    assert chosen(100, small) in built_in  # within the last-level cache
    assert chosen(100, large, "float64") in built_in
    assert chosen(112, large) in built_in  # whole vectors
    assert chosen(96, large) in built_in
    # Up to 200 in the file, but the kernel has 8 vectors.
    assert chosen(127, large) is mine
    assert chosen(129, large) in built_in
    assert chosen(128, small, "int8", "argmax").prefetch == 32
    assert chosen(128, small, "uint8", "argmax") in TABLES["argmax", False]
    columns = Problem("softmax", "float32", (large, 100, 8), 2)
    assert tuned.table_of(MACHINE, columns) is TABLES["softmax", True]


def test_the_file_of_a_machine_is_found_by_its_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(tuned.TABLE_FILE, raising=False)
    assert chosen(100, 1 << 20) in TABLES["softmax", False]
    tuned.load.cache_clear()
    path = tuned.machine_file(MACHINE)
    assert path == tmp_path / "maxbench" / "cpu-64-32-49152-2097152-67108864.json"
    path.parent.mkdir()
    path.write_text(tuned.as_json(FOUND, MACHINE))
    assert chosen(100, 1 << 20).kernel == "registers"
    tuned.load.cache_clear()
    monkeypatch.setenv(tuned.TABLE_FILE, "")  # none
    assert chosen(100, 1 << 20) in TABLES["softmax", False]


def entry(**changes: Any) -> dict[str, Any]:
    first: dict[str, Any] = json.loads(tuned.as_json(FOUND, MACHINE))["regimes"][0]
    return {**first, **changes}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no table of CPU regimes: Expecting value"),
        ("[1]", "no table of CPU regimes: expected an object"),
        ("[" * 100_000, "no table of CPU regimes: maximum recursion"),
        ({"machine": {"llc": 1}}, "it was measured on {'llc': 1}, and this machine is {'vector_bytes': 64"),
        ({"maxbench": "0.0.9"}, f"it is of maxbench '0.0.9', and this is {__version__}"),
        (
            {"regimes": [entry(kernel="warp")]},
            "{'kernel': 'warp', 'streaming': False, 'interleave': 1, 'prefetch': 0}",
        ),
        ({"regimes": [entry(operation="sum")]}, "operation 'sum': accepted are softmax, argmax"),
        ({"regimes": [entry(dtype="float16")]}, "registers of 'float16': accepted are float32, float64"),
        ({"regimes": [entry(columns=[0, 5])]}, "columns [0, 5]: accepted are two whole numbers, in order"),
        ({"regimes": [entry(columns=[5, 4])]}, "columns [5, 4]: accepted"),
        ({"regimes": [entry(columns=[True, 4])]}, "columns [True, 4]: accepted"),
        ({"regimes": [entry(columns=4)]}, "no table of CPU regimes"),
        ({"regimes": [entry(beyond=1)]}, "beyond and whole: accepted are true and false"),
        ({"regimes": [{}]}, "no table of CPU regimes: 'operation'"),
        ({"regimes": [7]}, "no table of CPU regimes"),
    ],
)
def test_what_is_no_table_of_this_machine_is_named_and_ignored(
    content: Any, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.json"
    if isinstance(content, dict):
        content = json.dumps({**json.loads(tuned.as_json(FOUND, MACHINE)), **content})
    path.write_text(content)
    monkeypatch.setenv(tuned.TABLE_FILE, str(path))
    with pytest.warns(RuntimeWarning, match="the built-in CPU regimes alone are used") as caught:
        assert chosen(100, 1 << 20) in TABLES["softmax", False]
    assert said in str(caught[0].message)
    assert str(path) in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chosen(101, 1 << 20)  # said once


def test_a_file_that_is_named_and_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tuned.TABLE_FILE, str(tmp_path / "none"))
    with pytest.warns(RuntimeWarning, match=r"none"):
        assert chosen(100, 1 << 20) in TABLES["softmax", False]


def test_calls_take_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = this_machine()
    monkeypatch.setenv(tuned.TABLE_FILE, str(tmp_path / "table.json"))
    mine = FOUND[1]._replace(dtype="float32", variant=variant("argmax", "transposed"), columns=(70, 70), whole=False)
    (tmp_path / "table.json").write_text(tuned.as_json([mine], here))
    numba_parallel._call.cache_clear()
    seen: list[int] = []
    monkeypatch.setattr(numba_parallel, "transposed", _Noted(numba_parallel.transposed, seen))
    x = np.random.default_rng(0).standard_normal((20, 70, 1)).astype("float32")
    assert wrong(contract.ARGMAX, impls.load("argmax", "numba_parallel").kernel, x) is None
    assert seen
    numba_parallel._call.cache_clear()


class _Noted:
    """A kernel that notes its calls."""

    def __init__(self, kernel: Any, seen: list[int]) -> None:
        self._kernel, self._seen = kernel, seen

    def __call__(self, *arguments: Any) -> Any:
        self._seen.append(1)
        return self._kernel(*arguments)
