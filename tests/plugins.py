"""Plug-in packages for the tests: a folder on the path with entry points, as an installed package has them."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from maxbench.impls import host_arrays, registry


def write(folder: Path, modules: Mapping[str, str], points: Mapping[str, str], name: str = "some-plugin") -> Path:
    """Modules by name and entry points (``softmax.name`` -> ``module``) of a distribution in a folder."""
    for module, source in modules.items():
        path = folder / f"{module}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(source))
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"{key} = {target}" for key, target in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[maxbench.impls]", *lines, ""]))
    return folder


Install = Callable[[Mapping[str, str], Mapping[str, str]], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Make a plug-in package importable, here and in child processes, with a registry that has not seen it yet."""
    installed: set[str] = set()

    def forget() -> None:
        for module in installed:
            sys.modules.pop(module, None)
        for cached in (registry._catalogue, registry._load, registry._attempt, registry.of_any_size, host_arrays.known):
            cached.cache_clear()

    def add(modules: Mapping[str, str], points: Mapping[str, str]) -> Path:
        folder = tmp_path / "plugin"
        folder.mkdir(exist_ok=True)
        installed.update(modules)
        write(folder, modules, points)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setenv("PYTHONPATH", str(folder))
        forget()
        return folder

    yield add
    monkeypatch.undo()
    forget()
