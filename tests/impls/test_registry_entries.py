"""What the catalogue says of each entry point, what a module must hold, and what a declaration keeps."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from maxbench import impls
from maxbench.impls import backends, contract, registry
from tests import plugins
from tests.plugins import Install

KERNEL = "from maxbench import implements\nrun = implements(dtypes=('float32',))(lambda x, out: out)"


class Mine(backends.Backend):
    name = "mine"

    def __init__(self, device: str) -> None:
        self.device = device

    put, get, synchronize = backends.HOST.put, backends.HOST.get, backends.HOST.synchronize


def test_a_subclass_has_the_members_that_are_optional_and_must_have_the_others() -> None:
    kernel = impls.implements(dtypes=("float32",), backend=Mine("cuda"))(max)
    assert (kernel.backend.simulated, kernel.backend.fill, kernel.backend.timer) == (False, None, None)
    assert kernel.backend.run_host is None
    with pytest.raises(TypeError, match="abstract method"):
        type("Half", (backends.Backend,), {"get": backends.HOST.get})()


def test_a_declaration_keeps_what_it_was_given() -> None:
    plain = impls.implements(dtypes=["float32"])(lambda x, out: (x, out))
    assert plain(1, 2) == (1, 2)
    assert (plain.dtypes, plain.backend, plain.threads) == (("float32",), backends.HOST, "one")
    assert (plain.largest, plain.differs) == (None, {})
    assert plain.refusal("float32", 1 << 60) is None
    own = backends.get("host")
    differs = {"NaN*": "passes over NaN", "NaN last/float32": "never reached", "+inf/*": "saturates"}
    kernel = impls.implements(dtypes=("float32", "bool"), backend=own, threads="many", largest=3, differs=differs)(
        lambda x, out: out
    )
    assert (kernel.dtypes, kernel.backend, kernel.threads) == (("float32", "bool"), own, "many")
    assert kernel.refusal("bool", 4) == "4 elements are more than its limit of 3 (declared by its author)"
    assert kernel.refusal("int8", 1) == "int8 is not among its dtypes (float32, bool)"
    assert kernel.difference("NaN last", "float32") == ("NaN*", "passes over NaN")
    assert kernel.difference("+inf", "bool") == ("+inf/*", "saturates")
    assert kernel.difference("all -inf", "float32") is None


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"dtypes": ()}, "dtypes (): accepted are float16, float32, float64, bool, int8"),
        ({"dtypes": ("i8", "float32", "O")}, "dtypes ['O', 'i8']: accepted are float16"),
        ({"dtypes": ("float32",), "threads": 2}, "threads 2: accepted are 'one' and 'many'"),
        ({"differs": {"a": "why", "b": " "}}, "differs ['b']: each needs"),
        ({"differs": {"n = 2/*": 3}}, "differs 'n = 2/*': 3: accepted are texts"),
        ({"differs": {3: "why"}}, "differs 3: 'why': accepted are texts"),
        ({"differs": {"*": "why"}}, "differs '*': it covers most cases; accepted are those that name what differs"),
        ({"differs": {"a": "why", "*/float32": "why"}}, "differs '*/float32': it covers most cases"),
        ({"differs": {"[!t]*/*": "why"}}, "differs '[!t]*/*': it covers most cases"),
        ({"differs": {"timed/float32": "it drifts"}}, "differs 'timed/float32': 'it drifts' does not say by how much"),
        ({"differs": {"timed*": "by up to some ulp"}}, "differs 'timed*': 'by up to some ulp' does not say by how"),
        (
            {"backend": types.SimpleNamespace(name="mine", device="cpu", put=None, get=None, simulated=False)},
            "a backend of type SimpleNamespace lacks fill, timer, run_host, clone, synchronize: accepted are",
        ),
        ({"backend": Mine("tpu")}, "backend 'mine': device 'tpu': accepted are"),
    ],
)
def test_a_refused_declaration_names_what_was_wrong(declared: dict, message: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (compared below, without a pattern)
        impls.implements(**{"dtypes": ("float32",), **declared})(lambda x, out: out)
    assert str(refused.value).startswith(message)


def test_a_difference_may_cover_half_of_the_cases_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [types.SimpleNamespace(name=name) for name in ("n = 1", "n = 2", "ties", "NaN")]
    monkeypatch.setattr(contract, "KERNEL_CASES", cases)
    plain = impls.implements(dtypes=("float32",), differs={"n = ?/*": "why", "timed/*": "why: up to 3 ulp"})(max)
    assert plain.difference("n = 2", "float32") == ("n = ?/*", "why")
    dataclasses.replace(plain, differs={"*n*/float32": "why"})
    for pattern in ("[!t]*", "[!t]*/float32", "*[sN=]*/*"):
        with pytest.raises(ValueError, match="covers most cases"):
            dataclasses.replace(plain, differs={pattern: "why"})  # by whatever means a kernel is made


def test_the_sources_of_implementations(install: Install) -> None:
    install({"bare": KERNEL}, {"softmax.bare": "bare"})
    loaded = impls.load("softmax", "bare")
    assert loaded.doc == ""
    assert loaded.source == KERNEL
    assert loaded.path is not None
    loaded.path.unlink()
    assert loaded.source is None


def test_a_module_that_is_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")  # whose cache of such a module is not replaced
    module = types.ModuleType("without_a_file", " Made in memory. ")
    module.run = impls.implements(dtypes=("float32",))(lambda x, out: out)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "without_a_file", module)
    loaded = registry.Entry("softmax", "memory", "the tests", "without_a_file").load()
    assert (loaded.path, loaded.source, loaded.doc) == (None, None, "Made in memory.")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("holder:Holder.run", None),
        ("holder:Holder", None),
        ("holder:no_dict", "holder:no_dict defines 0 kernels with @implements, expected exactly 1"),
        ("holder:Holder.gone", "AttributeError: type object 'Holder' has no attribute 'gone'"),
    ],
)
def test_targets_inside_a_module(install: Install, target: str, reason: str | None) -> None:
    source = """
        from maxbench import implements

        class Holder:
            run = implements(dtypes=("float32",))(lambda x, out: out)

        no_dict = (Holder.run,)
    """
    install({"holder": source}, {"softmax.held": target})
    if reason is None:
        assert impls.load("softmax", "held").kernel.dtypes == ("float32",)
    else:
        with pytest.raises(impls.Unavailable) as refused:
            impls.load("softmax", "held")
        assert str(refused.value) == f"softmax.held is not available: {reason}"


def test_of_two_packages_with_one_name_the_first_by_name_is_taken(tmp_path: Path, install: Install) -> None:
    folder = install({"first": KERNEL}, {"softmax.same": "first"})
    plugins.write(folder, {"later": KERNEL, "earlier": KERNEL}, {"softmax.same": "later"}, "some-z-plugin")
    plugins.write(folder, {}, {"softmax.same": "earlier"}, "another-plugin")
    registry._catalogue.cache_clear()
    same = [entry for entry in impls.catalogue() if entry.name == "same"]
    clash = "name clash: softmax.same of another-plugin 1.0 came first"
    assert [(entry.origin, entry.target, entry.problem) for entry in same] == [
        ("another-plugin 1.0", "earlier", None),
        ("some-plugin 1.0", "first", clash),
        ("some-z-plugin 1.0", "later", clash),
    ]
    assert impls.load("softmax", "same").origin == "another-plugin 1.0"


def test_entry_points_without_a_package_and_under_wrong_names(
    monkeypatch: pytest.MonkeyPatch, install: Install
) -> None:
    install({}, {})
    group = registry.ENTRY_POINT_GROUP
    names = ("softmax.b", "softmax.a", "softmax.a-b", "softmax.", "softmin.x")
    points = importlib.metadata.EntryPoints(importlib.metadata.EntryPoint(name, "module", group) for name in names)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: points.select(group=group))
    found = [entry for entry in impls.catalogue() if entry.target == "module"]
    assert {entry.origin for entry in found} == {"unknown package"}
    wrong = "entry point {!r} is not <operation>.<name> with an operation of softmax, argmax"
    assert [(entry.operation, entry.name, entry.problem) for entry in found] == [
        ("softmax", "", wrong.format("softmax.")),
        ("softmax", "a", None),
        ("softmax", "a-b", wrong.format("softmax.a-b")),
        ("softmax", "b", None),
        ("softmin", "x", wrong.format("softmin.x")),
    ]


def test_a_name_that_resembles_none_is_answered_with_those_known() -> None:
    with pytest.raises(impls.UnknownImplementation) as unknown:
        impls.load("argmax", "zzz")
    assert str(unknown.value).startswith("unknown argmax implementation 'zzz' (known: ")
    known = [entry.name for entry in impls.catalogue() if entry.operation == "argmax" and entry.problem is None]
    assert str(unknown.value).endswith(f"(known: {', '.join(known)})")
    assert {entry.operation for entry in impls.catalogue()} == set(contract.OPERATIONS)
    x = np.zeros((1, 2, 1), np.float32)
    assert impls.load("argmax", "naive").kernel(x, np.empty((1, 1), np.int64)).item() == 0
