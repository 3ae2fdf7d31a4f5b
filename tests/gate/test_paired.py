"""The measuring worker's parts: two copies of a package side by side, and the clock of a comparison."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench import paired
from bench.sides import Side


def _tree(root: Path, value: int) -> Path:
    (root / "impls").mkdir(parents=True)
    (root / "impls" / "__init__.py").write_text(
        f"from .inner import VALUE\n\ndef late():\n    from .lazy import VALUE\n    return VALUE\n\nHERE = {value}\n"
    )
    for name in ("inner", "lazy"):
        (root / "impls" / f"{name}.py").write_text(f"VALUE = {value}\n")
    (root / "plugin_under_test.py").write_text("import impls\nfrom impls.inner import VALUE\nHERE = impls.HERE\n")
    return root


def test_two_copies_live_side_by_side_with_their_plugins(tmp_path: Path) -> None:
    path = sys.path[:]
    sides = {value: Side(f"copy{value}", _tree(tmp_path / str(value), value)) for value in (1, 2)}
    plugins = {}
    own = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "impls"}
    for name in own:
        del sys.modules[name]  # as in the worker, which has not imported impls
    try:
        for value, side in sides.items():
            with side.entered():
                plugins[value] = importlib.import_module("plugin_under_test")
            assert "plugin_under_test" not in sys.modules
            assert "impls" not in sys.modules
    finally:
        sys.modules.update(own)
    for value, side in sides.items():
        assert side.package.VALUE == plugins[value].VALUE == plugins[value].HERE == value
        # Imported only now, long after both were loaded.
        assert side.package.late() == value
    assert sys.path == path


def test_a_folder_without_the_package_is_an_import_error(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match="base has no package 'impls'"):
        Side("base", tmp_path)


def _arm(device: str, threads: str, log: list[int], seconds: float = 0.001) -> paired.Arm:
    def timer(call: Any) -> float:
        before = len(log)
        call()
        return seconds * (len(log) - before)

    backend = SimpleNamespace(device=device, synchronize=lambda: None, timer=timer)
    kernel = SimpleNamespace(run=lambda x, out: log.append(len(x)), backend=backend, threads=threads)
    return paired.Arm(kernel, np.zeros((110, 2, 1)), np.zeros((110, 2, 1)))


def test_a_device_is_timed_by_its_own_events() -> None:
    base, head = _arm("cuda", "one", [], 0.001), _arm("cuda", "one", [], 0.002)
    number, quads, clock = paired.measure(base, head, quads=3, rows=110)
    assert clock == "device"
    assert number == 5  # calls of a millisecond in a sample of five
    assert np.allclose(quads, [[1e6, 1e6, 2e6, 2e6]] * 3)


@pytest.mark.parametrize(
    ("threads", "clock"), [(("one", "one"), "cpu"), (("many", "many"), "wall"), (("one", "many"), "wall")]
)
def test_threads_decide_the_clock(threads: tuple[str, str], clock: str) -> None:
    base, head = (_arm("cpu", each, []) for each in threads)
    assert paired.measure(base, head, quads=1, rows=110)[2] == clock


def test_an_injected_slowdown_gives_the_first_side_fewer_rows() -> None:
    first: list[int] = []
    second: list[int] = []
    paired.measure(_arm("cpu", "one", first), _arm("cpu", "one", second), quads=1, rows=100)
    assert set(first) == {100}
    assert set(second) == {110}


def test_what_is_unavailable_says_why_and_what_is_broken_says_how() -> None:
    class Unavailable(RuntimeError):
        pass

    def side(error: Exception) -> SimpleNamespace:
        def load(operation: str, name: str) -> None:
            raise error

        return SimpleNamespace(load=load, package=SimpleNamespace(Unavailable=Unavailable))

    benchmark = {"operation": "softmax", "implementation": "x", "dtype": "float32", "shape": [2, 3, 1]}
    given: Any = None  # not looked at before the kernel is there
    assert paired.prepare(side(Unavailable("no GPU")), benchmark, given) == ("unavailable", "no GPU", None)
    assert paired.prepare(side(ValueError("odd")), benchmark, given) == ("failed", "ValueError: odd", None)
    assert paired.prepare(side(KeyError("x")), benchmark, given)[0] == "unknown"
