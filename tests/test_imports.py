"""Imports run one way: reports -> bench -> impls, and never in a circle, those within functions included."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LAYERS = ["impls", "bench", "reports"]  # each may import itself and those before it


def modules(root: Path) -> dict[str, Path]:
    """Every module of the three folders, by its name without ``maxbench``."""
    paths = [path.relative_to(root) for layer in LAYERS for path in (root / layer).rglob("*.py")]
    return {".".join(path.parent.parts if path.stem == "__init__" else path.with_suffix("").parts): path
            for path in paths}  # fmt: skip


def imported(name: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules that a module imports, by their names without ``maxbench``."""
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.removeprefix("maxbench.") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *((node.module or "").removeprefix("maxbench").strip(".").split("."))]).strip(".")
            for alias in node.names:
                full = f"{base}.{alias.name}".strip(".")
                yield full if full in known else base


def graph(root: Path) -> dict[str, set[str]]:
    known = modules(root)
    return {name: set(imported(name, root / path, known)) & known.keys() - {name} for name, path in known.items()}


def test_imports_run_one_way() -> None:
    def layer(name: str) -> int:
        return LAYERS.index(name.partition(".")[0])

    found = graph(ROOT)
    assert len(found) > 100
    assert [f"{a} imports {b}" for a, others in found.items() for b in others if layer(b) > layer(a)] == []
    assert "bench.inputs.grid" in found["bench.suite.ceiling"]
    graphlib.TopologicalSorter(found).prepare()  # CycleError names the circle


def test_a_circle_is_found(tmp_path: Path) -> None:
    for layer in LAYERS:
        (tmp_path / layer).mkdir()
    (tmp_path / "impls" / "a.py").write_text("from .b import x\n")
    (tmp_path / "impls" / "b.py").write_text("def f():\n    from . import a\n")
    (tmp_path / "bench" / "c.py").write_text("import maxbench.impls.a\nfrom maxbench.impls import b\n")
    assert graph(tmp_path) == {"impls.a": {"impls.b"}, "impls.b": {"impls.a"}, "bench.c": {"impls.a", "impls.b"}}
