"""What the gate builds without a network: installed packages, and plug-ins whose build requirements are installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reports.gate import run, sources
from tests.gate.conftest import Repository

NAME = "some-kernels"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages with one plug-in in it."""
    folder = tmp_path / "site"
    info = folder / "some_kernels-1.5.dist-info"
    files = {
        "some_kernels/__init__.py": "",
        "some_kernels/mine.py": "",
        f"{info.name}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.5\n",
        f"{info.name}/entry_points.txt": "[maxbench.impls]\nsoftmax.mine = some_kernels.mine\n",
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in (*files, "../../bin/some-script")))
    monkeypatch.syspath_prepend(str(folder))
    return info


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """The repository of that plug-in."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(f'[project]\nname = "{NAME}"\n')
    return folder


@pytest.mark.parametrize("spec", ["installed", f"{NAME}==1.5"])
def test_an_installed_plugin_is_copied(site: Path, theirs: Path, tmp_path: Path, spec: str) -> None:
    version = sources.build("base", spec, theirs, tmp_path / "base")
    assert version.built == "copied some-kernels 1.5 as it is installed"
    assert version.implementations == (("softmax", "mine"),)
    assert version.is_plugin
    assert (version.root / "some_kernels" / "mine.py").is_file()
    assert (version.root / "impls" / "registry.py").is_file()
    assert not (tmp_path / "bin").exists()


def test_a_plugin_that_is_a_link_to_its_tree_or_not_there_is_named(site: Path, theirs: Path, tmp_path: Path) -> None:
    (site / "direct_url.json").write_text(json.dumps({"url": "file:///x", "dir_info": {"editable": True}}))
    with pytest.raises(sources.SourceError, match="editable"):
        sources.build("base", "installed", theirs, tmp_path / "base")
    (theirs / "pyproject.toml").write_text('[project]\nname = "not-there"\n')
    with pytest.raises(sources.SourceError, match="not-there is not installed here"):
        sources.build("base", "installed", theirs, tmp_path / "other")


@pytest.mark.parametrize(
    ("requires", "here"),
    [
        ('["hatchling"]', True),
        ('["hatchling>=1", "nothing-of-that-name; sys_platform == \'none\'"]', True),
        ('["hatchling", "nothing-of-that-name"]', False),
        ('["hatchling>=999"]', False),
        ('["???"]', False),
    ],
)
def test_a_build_is_offline_where_all_that_it_requires_is_installed(tmp_path: Path, requires: str, here: bool) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[build-system]\nrequires = {requires}\n")
    assert sources._can_build_here(tmp_path) is here


def test_a_file_that_only_head_has_is_measured(repository: Repository, tmp_path: Path) -> None:
    fresh = repository.folder / "impls" / "kernels" / "softmax" / "fresh.py"
    fresh.write_text("")
    try:
        base = sources.build("base", "base", repository.folder, tmp_path / "base")
        head = sources.build("head", ".", repository.folder, tmp_path / "head")
    finally:
        fresh.unlink()
    assert set(head.implementations) - set(base.implementations) == {("softmax", "fresh")}
    assert "softmax.fresh[float32,256x1000]" in {b.name for b in run._benchmarks(base, head)}
