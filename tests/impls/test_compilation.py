"""Compiled code on disk: what it is keyed by, damage, places that cannot be written, and settings that break it."""

from __future__ import annotations

import ast
import errno
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core import config
from numba.core.bytecode import FunctionIdentity
from numba.core.registry import cpu_target

import maxbench
from maxbench.impls import compilation
from maxbench.impls.compilation import cached_njit
from maxbench.impls.cpu import argmax_registers, softmax_registers
from tests import forks, plugins

SCALE = 3


def scaled(x):
    return x * SCALE


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, in a process that has not warned yet."""
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(compilation, "_warned", False)
    return tmp_path / "cache"


def compiles(function: Callable[[Any], Any] = scaled, expected: Any = None, **options: Any) -> bool:
    """Whether a process that defines the function, and calls it with 2, finds no code for it on disk."""
    dispatcher = cached_njit(function, **options)
    assert dispatcher(2) == (2 * SCALE if expected is None else expected)
    return bool(dispatcher.stats.cache_misses)


def files(place: Path) -> list[Path]:
    return sorted(path for path in place.rglob("*") if path.is_file())


def test_it_is_found_again(place: Path) -> None:
    assert [compiles(), compiles()] == [True, False]
    assert cached_njit(scaled)(0.5) == 1.5
    assert len(files(place)) == 2
    assert {path.parent.parent for path in files(place)} == {place}


def test_a_setting_that_changes_code_is_part_of_the_key(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiles()
    with monkeypatch.context() as changed:
        changed.setattr(config, "NUMBA_NUM_THREADS", config.NUMBA_NUM_THREADS + 1)
        changed.setattr(config, "THREADING_LAYER", "workqueue")
        assert not compiles()
    for name, value in (("LOOP_VECTORIZE", 0), ("ENABLE_AVX", 0), ("BOUNDSCHECK", 1)):
        with monkeypatch.context() as changed:
            changed.setattr(config, name, value)
            assert compiles(), name
    assert not compiles()
    assert compiles(error_model="numpy")


@pytest.mark.parametrize("part", ["triple", "CPU name", "features"])
def test_the_processor_is_part_of_the_key(part: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiles()
    codegen = cpu_target.target_context.codegen()
    found = list(codegen.magic_tuple())
    found[["triple", "CPU name", "features"].index(part)] = "other"
    monkeypatch.setattr(type(codegen), "magic_tuple", lambda self: tuple(found))
    assert compiles()
    assert not compiles()


def closing_over(scale: object) -> Callable[[Any], Any]:
    return lambda x: x * scale


def calling(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: function(x)


def of_a_module(x):
    return x + plugins.SIZE


def test_values_that_are_no_source_text_are_part_of_the_key(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiles()
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 5)
    assert compiles()
    assert compiles(closing_over(7), 14)
    assert compiles(closing_over(8), 16)
    assert not compiles(closing_over(7), 14)
    assert compiles(calling(cached_njit(closing_over(9))), 18)
    assert compiles(calling(cached_njit(closing_over(10))), 20)
    assert not compiles(calling(cached_njit(closing_over(9))), 18)
    monkeypatch.setattr(plugins, "SIZE", 1, raising=False)
    assert compiles(of_a_module, 3)
    monkeypatch.setattr(plugins, "SIZE", 2)
    assert compiles(of_a_module, 4)


def test_in_tree_code_depends_on_nothing_but_sources_and_the_processor() -> None:
    """What `compilation._description` relies on."""
    choosing = ("machine", "plan", "regimes", "tuned")  # what runs before a kernel does
    paths = [path for folder in ("cpu", "simd") for path in (compilation.TREE / folder).glob("*.py")]
    paths = [path for path in paths if path.stem not in choosing]
    assert len(paths) > 20
    for path in paths:
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        names = {alias.name for n in nodes if isinstance(n, ast.Import | ast.ImportFrom) for alias in n.names}
        names |= {str(node.module).partition(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
        assert not names & {"os", "sys", "platform", "pathlib", "psutil", "subprocess", "threads", *choosing}, path


@pytest.mark.parametrize("factory", [softmax_registers.registers, argmax_registers.registers])
def test_functions_that_one_factory_makes_are_told_apart(factory: Any) -> None:
    """By what those that they call close over: their code is the same."""
    kernels = [factory(vectors).py_func for vectors in (2, 3, 4)]
    found = [compilation._description(kernel, set()) for kernel in kernels]
    assert len(set(found)) == len(found)
    assert not [text for text in found if " at 0x" in text]


def test_what_several_processes_compiled_is_told_apart(tmp_path: Path) -> None:
    """Kernels of one factory: each compiled first in a process of its own, then loaded together."""
    program = """
import sys
import numpy as np
from maxbench import impls
for n in map(int, sys.argv[1:]):
    x = np.random.default_rng(n).standard_normal((100, n), np.float32)
    assert (impls.argmax(x, 1) == x.argmax(1)).all(), n
"""
    for columns in (["20"], ["50"], ["20", "50"]):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", program, *columns], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_numbers_functions_anew() -> None:
    def number() -> int:
        return int(next(FunctionIdentity._unique_ids))

    assert len({number() >> 20, int(forks.child(number)) >> 20, int(forks.child(number)) >> 20}) == 3


def test_numbas_own_cache_is_not_used_in_the_tree() -> None:
    for path in compilation.TREE.rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text("utf-8")))
        assert not [node for node in nodes if isinstance(node, ast.keyword) and node.arg == "cache"], path


def test_arrays_are_described_by_their_values() -> None:
    values = [np.array(v) for v in ([1, 2], [2, 1], [1.0, 2.0], [[1, 2]])]
    values += [(np.float32(1),), (1.0,), (1,), (True,), np.float32, np.float64, np.exp, np.exp2, {"a"}]  # type: ignore[list-item]
    found = [compilation._description(value, set()) for value in values]
    assert len(set(found)) == len(found)
    sets = [frozenset(order) for order in itertools.permutations(("a", "b", "c"))]
    assert len({compilation._description(one, set()) for one in sets}) == 1


def test_what_is_particular_to_a_process_is_not_kept(place: Path) -> None:
    for _ in range(2):
        assert compiles(inline=lambda expression, caller, callee: False)
    assert files(place) == []


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "half": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "random": lambda _: os.urandom(999),
    "other text": lambda data: data.replace(b"int64", b"int46"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_replaced(damage: Callable[[bytes], bytes], place: Path) -> None:
    compiles()
    (path,) = files(place)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert path.read_bytes() != whole
    assert compiles()
    assert len(path.read_bytes()) > len(whole) // 2
    assert not compiles()


def test_two_writers_of_one_file(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def interrupted(self: Path, data: bytes) -> int:
        written = write(self, data)
        if data == b"first":
            assert compilation._write("key", "name.nbc", b"second") is None
        return written

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    assert compilation._write("key", "name.nbc", b"first") is None
    assert [path.read_bytes() for path in files(place)] == [b"first"]


def test_code_of_an_edited_tree_is_not_kept(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be that of the import before, in the folder of what the files hold now or the other way round."""
    dispatcher = cached_njit(scaled)
    monkeypatch.setattr(compilation, "_digest", lambda sources: "after the edit")
    assert dispatcher(2) == 6
    assert files(place) == []


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
def test_what_others_can_write_is_neither_loaded_nor_written(place: Path) -> None:
    compiles()
    (path,) = files(place)
    for changed in (path, path.parent):
        mode = changed.stat().st_mode
        changed.chmod(mode | 0o020)
        if changed is path:
            assert compiles()
            assert path.stat().st_mode & 0o022 == 0
        else:
            with pytest.warns(RuntimeWarning, match="other users can write to it"):
                assert compiles()
        changed.chmod(mode)
    assert not compiles()


def test_a_place_that_cannot_be_written_is_named_once(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write_text("a file")  # a folder without the permission would stop anyone but root
    with pytest.warns(RuntimeWarning, match=f"{place}.*set NUMBA_CACHE_DIR to a folder that only you can write"):
        assert compiles()
    with warnings.catch_warnings(action="error"):
        assert compiles()
    monkeypatch.setattr(compilation, "_places", lambda: [place, tmp_path / "second"])
    with warnings.catch_warnings(action="error"):
        assert [compiles(), compiles()] == [True, False]
    assert files(tmp_path / "second")


def test_without_source_files_nothing_is_kept(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "TREE", tmp_path / "archive.zip")
    with pytest.warns(RuntimeWarning, match=r"every process compiles it anew: no source files in .*archive\.zip"):
        assert compiles()
    assert files(place) == []


def test_a_full_disk_leaves_nothing_behind(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> None:
        self.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(RuntimeWarning, match=os.strerror(errno.ENOSPC)):
        assert compiles()
    assert files(place) == []


def test_old_keys_are_pruned(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "KEPT", 3)
    now = time.time()

    def key(number: int, unused: float, name: str = "maxbench-numba-") -> Path:
        folder = place / f"{name}{number:032x}"
        folder.mkdir(parents=True)
        (folder / "x.nbc").write_bytes(b"")
        os.utime(folder, (now - unused, now - unused))
        return folder

    recent = [key(n, 60.0 * n) for n in range(5)]
    kept, least, old = key(5, 7200), key(6, 7300), key(7, 40 * 86400)
    foreign = key(8, 40 * 86400, "maxbench-results-")
    compiles()
    own = next(path.parent for path in files(place) if path.name != "x.nbc")
    assert set(place.iterdir()) == {*recent, foreign, own}
    assert not any(folder.exists() for folder in (kept, least, old))


def test_one_of_few_keys_is_kept_for_a_month(place: Path) -> None:
    folders = [place / f"maxbench-numba-{n:032x}" for n in range(2)]
    for folder, days in zip(folders, (29, 31), strict=True):
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - 86400 * days,) * 2)
    compiles()
    assert [folder.exists() for folder in folders] == [True, False]


def test_use_is_noted(place: Path) -> None:
    compiles()
    folder = files(place)[0].parent
    os.utime(folder, (0, 0))
    compiles()
    assert folder.stat().st_mtime > 0


# What follows takes processes of their own.

RUN = """
import json, sys
import numpy as np
from numba.core import event
from maxbench.impls import agreement, contract, registry
operation, name, *dtypes = sys.argv[1:]
kernel = registry.load(operation, name).kernel
wrong = []
with event.install_recorder("numba:compile") as recorder:
    for dtype in dtypes:
        x = np.random.default_rng(1).standard_normal((20, 8, 1)).astype(dtype)
        before, what = x.copy(), contract.OPERATIONS[operation]
        if found := agreement.outcome(what, agreement.case_results(what, kernel, x), lambda axis: before):
            wrong.append(str(found))
print(json.dumps({"wrong": wrong, "compiled": len(recorder.buffer)}))
"""


def start(tree: Path, cache: Path, *words: str) -> subprocess.Popen[str]:
    # Python's own files of bytecode are compared by time and size alone.
    environment = {**os.environ, "PYTHONPATH": str(tree), "NUMBA_CACHE_DIR": str(cache), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *words], env=environment, stdout=subprocess.PIPE, text=True, cwd=tree
    )


def end(process: subprocess.Popen[str]) -> dict[str, Any]:
    written, _ = process.communicate()
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(written.splitlines()[-1])
    return found


def edit(path: Path, old: str, new: str) -> None:
    """Replace what stands there once, of the same length, with neither size nor time of the file changed."""
    status, text = path.stat(), path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), "utf-8")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)


def test_an_edited_helper_is_compiled_anew(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(compilation.TREE, tree / "maxbench" / "impls", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(maxbench.__file__, tree / "maxbench")
    case = (tree, tmp_path / "cache", "softmax", "numba_parallel", "float32")
    first = end(start(*case))
    assert not first["wrong"]
    assert first["compiled"] > 0
    helper = tree / "maxbench" / "impls" / "simd" / "exp.py"
    edit(helper, "0.4999888907", "0.4888888907")
    assert end(start(*case))["wrong"]
    edit(helper, "0.4888888907", "0.4999888907")
    assert end(start(*case)) == {"wrong": [], "compiled": 0}


def test_two_processes_at_once(tmp_path: Path) -> None:
    case = (compilation.TREE.parent.parent, tmp_path, "argmax", "numba_simple")
    both = [start(*case, "float32", "float64"), start(*case, "float64", "float32")]
    assert [end(process)["wrong"] for process in both] == [[], []]
    assert end(start(*case, "float32", "float64")) == {"wrong": [], "compiled": 0}
    assert {path.suffix for path in files(tmp_path)} == {".nbc"}


PLUGIN = {
    "keyed/__init__": "",
    "keyed/helper": """
        from numba.extending import overload

        def added(x):
            pass

        @overload(added)
        def _added(x):
            return lambda x: x + 0
    """,
    "keyed/argmax": """
        import numba
        from maxbench import implements
        from .helper import added

        @numba.njit(cache=True)
        def search(x, out):
            for i in range(len(x)):
                for k in range(x.shape[2]):
                    best = 0
                    for j in range(1, x.shape[1]):
                        if x[i, j, k] > x[i, best, k]:
                            best = j
                    out[i, k] = added(best)

        @implements(dtypes=("float32",))
        def run(x, out):
            search(x, out)
            return out
    """,
}


def test_a_plugin_is_keyed_by_its_whole_package(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "maxbench").mkdir(parents=True)
    shutil.copy(maxbench.__file__, tree / "maxbench")
    plugins.write(tree, PLUGIN, {"argmax.keyed": "keyed.argmax"})
    (tree / "maxbench" / "impls").symlink_to(compilation.TREE)
    case = (tree, tmp_path / "cache", "argmax", "keyed", "float32")
    first = end(start(*case))
    assert not first["wrong"]
    assert first["compiled"] > 0
    edit(tree / "keyed" / "helper.py", "x + 0", "x + 1")
    assert end(start(*case))["wrong"]
    edit(tree / "keyed" / "helper.py", "x + 1", "x + 0")
    assert end(start(*case)) == {"wrong": [], "compiled": 0}


CALLS = """
import numpy as np
from maxbench import impls
x = np.ones((40, 8), "f4")
for _ in range(2):
    assert (impls.softmax(x, 1) == 0.125).all() and (impls.argmax(x, 1) == 0).all()
available = [e.name for e in impls.catalogue() if e.operation == "argmax" and e.name != "numba_cuda"]
for name in ("naive", "numpy_vectorized", "numba_simple", "numba_parallel"):
    try:
        assert (impls.argmax(x, 1, impl=name) == 0).all()
        print(name)
    except impls.Unavailable as error:
        print(name, error)
"""
NUMPY = ["naive", "numpy_vectorized"]


def call(**environment: str) -> tuple[list[str], list[str]]:
    """What works, and the lines of warnings."""
    done = subprocess.run(
        [sys.executable, "-W", "always::RuntimeWarning", "-c", CALLS],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), [line for line in done.stderr.splitlines() if "Warning: " in line]


def test_without_a_cache_everything_is_compiled_and_the_default_stays() -> None:
    works, said = call(NUMBA_CACHE_DIR=os.path.join(os.devnull, "cache"))
    assert works == [*NUMPY, "numba_simple", "numba_parallel"]
    assert len(said) == 1
    assert "set NUMBA_CACHE_DIR to a folder" in said[0]


@pytest.mark.parametrize(
    ("setting", "message", "simple"),
    [
        ({"NUMBA_NUM_THREADS": "0"}, "NUMBA_NUM_THREADS='0': accepted is a positive integer", False),
        ({"NUMBA_DISABLE_JIT": "1"}, "NUMBA_DISABLE_JIT=1: accepted is 0", False),
        ({"NUMBA_THREADING_LAYER": "opm"}, "NUMBA_THREADING_LAYER='opm': accepted are default, safe, ", True),
    ],
)
def test_a_broken_setting_is_named_once(setting: dict[str, str], message: str, simple: bool) -> None:
    works, said = call(**setting)
    assert works[:2] == NUMPY
    assert works[2] == "numba_simple" if simple else message in works[2]
    assert message in works[3]
    (line,) = said
    assert re.sub(r":\d+:", ":", line, count=1).startswith(
        "<string>: RuntimeWarning: numba_parallel, the default implementation, is not available: "
    )
    assert message in line
    assert line.endswith("; numpy_vectorized is used instead")


def test_a_broken_setting_is_no_wrong_result() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "maxbench.reports.commands.main", "check", "argmax.numba_*"],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr  # none was named
    for name in ("numba_parallel", "numba_simple"):
        assert f"unavailable: argmax.{name}: ValueError: NUMBA_DISABLE_JIT=1: accepted is 0" in done.stdout
