"""Plug-in packages for the tests: a folder on the path with entry points, as an installed package has them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path


def write(folder: Path, modules: Mapping[str, str], points: Mapping[str, str], name: str = "some-plugin") -> Path:
    """Modules by name and entry points (``softmax.name`` -> ``module``) of a distribution in a folder."""
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(textwrap.dedent(source))
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"{key} = {target}" for key, target in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[maxbench.impls]", *lines, ""]))
    return folder
