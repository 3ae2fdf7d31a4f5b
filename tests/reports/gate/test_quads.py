"""The gate's worker: two copies of a package side by side, what is said of each, the clock of a comparison."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from maxbench.bench.processes.hub import Here
from maxbench.bench.processes.messages import Begins, Command, Event, Go, Measured, Pair, Prepared, QuadsJob
from maxbench.bench.processes.sides import Side
from maxbench.bench.timing.sampling import Sampler
from maxbench.bench.workers import quads
from maxbench.bench.workers.quads import Arm, Shared
from maxbench.impls import Unavailable, backends, implements


def _tree(root: Path, value: int) -> Path:
    (root / "impls").mkdir(parents=True)
    (root / "impls" / "__init__.py").write_text(
        f"from .inner import VALUE\n\ndef late():\n    from .lazy import VALUE\n    return VALUE\n\nHERE = {value}\n"
    )
    for name in ("inner", "lazy"):
        (root / "impls" / f"{name}.py").write_text(f"VALUE = {value}\n")
    (root / "plugin_under_test.py").write_text(
        "from maxbench import impls\nfrom maxbench.impls.inner import VALUE\nHERE = impls.HERE\n"
    )
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


BENCHMARK = Pair("b", "softmax", "x", "float32", (100, 4, 1), ("base", "head"))


class Link(Here):
    """Judges here, and notes what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[Event] = []

    def say(self, event: Event) -> Command:
        self.said.append(event)
        return Go()


def _arm(device: str, threads: str, log: list[int], shared: Shared, seconds: float = 0.001) -> Arm:
    """An arm whose calls leave the number of their rows in a log, on a device whose calls take so long."""

    def timer(call: Any) -> float:
        before = len(log)
        call()
        return seconds * (len(log) - before)

    backend = SimpleNamespace(name="numpy", device=device, synchronize=lambda: None, timer=timer, put=backends.HOST.put)
    kernel = SimpleNamespace(run=lambda x, out: log.append(len(x)), backend=backend, threads=threads)
    x, out = shared.arrays(backends.HOST)[0]
    clock = quads.clock_of(kernel)
    sampler = Sampler(lambda: kernel.run(x, out), lambda: None, clock, timer=timer if clock == "device" else None)
    return Arm("", sampler, None, kernel, shared)


def test_a_device_is_timed_by_its_own_events() -> None:
    shared = Shared(BENCHMARK)
    base, head = _arm("cuda", "one", [], shared, 0.001), _arm("cuda", "one", [], shared, 0.002)
    times, clock = quads.measure(base, head, 3, shared)
    assert clock == "device"
    assert (base.sampler.number, head.sampler.number) == (5, 2)  # calls in a sample of five milliseconds
    assert np.allclose(times, [[1e6, 1e6, 2e6, 2e6]] * 3)


@pytest.mark.parametrize(
    ("threads", "clock"),
    [(("one", "one"), "cpu"), (("many", "many"), "wall"), (("one", "many"), "wall"), (("many", "one"), "wall")],
)
def test_threads_decide_the_clock_of_both(threads: tuple[str, str], clock: str) -> None:
    shared = Shared(BENCHMARK)
    base, head = (_arm("cpu", each, [], shared) for each in threads)
    assert quads.measure(base, head, 1, shared)[1] == clock
    assert base.sampler.clock == head.sampler.clock == clock


def test_an_injected_slowdown_gives_the_first_side_fewer_rows() -> None:
    first: list[int] = []
    second: list[int] = []
    shared = Shared(structs.replace(BENCHMARK, extra=10))
    quads.measure(_arm("cpu", "one", first, shared), _arm("cpu", "one", second, shared), 1, shared)
    assert set(first) == {100}
    assert set(second) == {110}


def _side(found: Any) -> SimpleNamespace:
    """A version whose kernel is this, or that raises this where it is loaded."""

    def load(operation: str, name: str) -> Any:
        if isinstance(found, BaseException):
            raise found
        return found

    return SimpleNamespace(name="head", load=load, package=SimpleNamespace(Unavailable=Unavailable))


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (Unavailable("no GPU"), "unavailable", "no GPU"),
        (ValueError("odd"), "failed", "ValueError: odd"),
        (SystemExit(0), "failed", "SystemExit: 0"),
        (KeyError("x"), "unknown", "'x'"),
    ],
)
def test_what_is_unavailable_says_why_and_what_is_broken_says_how(
    error: BaseException, status: str, detail: str
) -> None:
    assert quads.prepare(Link(), _side(error), BENCHMARK, Shared(BENCHMARK)) == (status, detail, None)


class Kernels:
    """Versions of softmax with one fault each."""

    @staticmethod
    def good(x: Any, out: Any) -> Any:
        np.exp(x - x.max(axis=1, keepdims=True), out=out)
        out /= out.sum(axis=1, keepdims=True)
        return out

    @staticmethod
    def half(x: Any, out: Any) -> Any:
        """Leaves half of its output as it was, which for another version on the same memory holds what is right."""
        half = len(x) // 2
        Kernels.good(x[:half], out[:half])
        return out

    @staticmethod
    def raises(x: Any, out: Any) -> Any:
        raise ZeroDivisionError


def prepared(run: Any, shared: Shared, link: Any = None) -> tuple[str, str, Arm | None]:
    kernel = implements(dtypes=("float32",))(run)
    return quads.prepare(link or Link(), _side(kernel), BENCHMARK, shared)


def test_each_version_begins_with_a_poisoned_output() -> None:
    shared = Shared(BENCHMARK)
    status, _, good = prepared(Kernels.good, shared)
    assert status == "ok"
    assert good is not None
    assert good.sampler.clock == "cpu"
    status, detail, arm = prepared(Kernels.half, shared)
    assert (status, arm) == ("wrong", None)
    assert detail.startswith("at (50, 0, 0): expected ")
    assert "got nothing written" in detail
    assert prepared(Kernels.raises, shared)[:2] == ("failed", "ZeroDivisionError")
    kernel = implements(dtypes=("float64",))(Kernels.good)
    status, detail, _ = quads.prepare(Link(), _side(kernel), BENCHMARK, shared)
    assert (status, "float32 is not among its dtypes" in detail) == ("not supported", True)


def test_a_version_that_is_wrong_after_it_was_timed_is_found_whatever_the_other_left() -> None:
    calls = 0

    def later(x: Any, out: Any) -> Any:
        nonlocal calls
        calls += 1
        return Kernels.good(x, out) if calls < 3 else out

    shared, link = Shared(BENCHMARK), Link()
    good, bad = prepared(Kernels.good, shared)[2], prepared(later, shared)[2]
    assert good is not None
    assert bad is not None
    quads.measure(good, bad, 1, shared)
    assert good.finish(link) is None
    assert "at (" in str(bad.finish(link))
    assert good.finish(link) is None  # the other's refill of x is not its fault


def test_a_round_reads_the_last_word_of_each_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole job: prepared, measured, and what turned out to be wrong meanwhile said again."""
    calls = {"head": 0}

    def later(x: Any, out: Any) -> Any:
        calls["head"] += 1
        return Kernels.good(x, out) if calls["head"] < 3 else out

    kernels = {"base": implements(dtypes=("float32",))(Kernels.good), "head": implements(dtypes=("float32",))(later)}

    class Sided(SimpleNamespace):
        def __init__(self, name: str, root: Path) -> None:
            super().__init__(**{**vars(_side(kernels[name])), "name": name, "entered": lambda: Entered()})

    class Entered:
        def __enter__(self) -> None: ...

        def __exit__(self, *error: object) -> None: ...

    monkeypatch.setattr(quads.sides, "Side", Sided)
    link = Link()
    job = QuadsJob({"base": ".", "head": "."}, [BENCHMARK], quads=2, seed=1)
    quads.main(link, job)  # type: ignore[arg-type]
    assert link.said[-3] == Begins("b")
    versions = [one.role for one in link.said if isinstance(one, Begins) and one.id is None]
    assert versions in (["base", "head"], ["head", "base"])
    states = [(one.role, one.status) for one in link.said if isinstance(one, Prepared)]
    assert sorted(states[:2]) == [("base", "ok"), ("head", "ok")]
    assert states[2:] == [("head", "wrong")]
    last = link.said[-1]
    assert isinstance(last, Measured)
    assert np.shape(last.quads) == (2, 4)
    orders = set()
    for seed in range(8):
        calls["head"], link = 0, Link()
        quads.main(link, structs.replace(job, seed=seed, quads=0))  # type: ignore[arg-type]
        begun = [one for one in link.said if isinstance(one, Begins)]
        orders.add(tuple(one.role for one in begun if one.id is None))
        assert all(one.role for one in begun)  # none is measured
    assert len(orders) == 2  # neither version always comes first in memory
