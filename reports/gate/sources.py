"""What is compared: a git revision, the working tree or a published version, each built into a folder of its own.

A tree of maxbench itself is pure Python, so its files are the built package. Any other tree must be a plug-in: pip
builds it into the folder, without its dependencies, and the `impls` of the maxbench that runs is put beside it. What is
installed here already is copied, so that it needs no network. Submodules are taken from their clones in the checkout.
"""

from __future__ import annotations

import compileall
import hashlib
import importlib.metadata
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maxbench import bench, impls
from maxbench.impls.contract import OPERATIONS

from . import packages, trees
from .trees import ACCEPTED, INSTALLED, WORKING_TREE, SourceError

ENTRY_POINT_GROUP = "maxbench.impls"
PACKAGE = Path(impls.__file__).resolve().parent
KERNELS = Path("impls", "kernels")
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==\S+")
# Differ between two builds of the same files: they hold the folder that was built from.
_BUILD_RECORDS = {"RECORD", "direct_url.json"}


@dataclass(frozen=True)
class Version:
    """One side of the comparison, built.

    Attributes:
        role: base, head or again (base once more, for the A/A control).
        spec: how the user named it.
        commit: the full hash, or None where it is no commit.
        root: the folder that holds ``impls/`` and the plug-in, if any.
        built: what was done to build it.
        implementations: (operation, name) of those that it brings.
        is_plugin: whether it is a plug-in, and not maxbench itself.
    """

    role: str
    spec: str
    commit: str | None
    root: Path
    built: str
    implementations: tuple[tuple[str, str], ...]
    is_plugin: bool = False

    @property
    def label(self) -> str:
        """How tables call it: ``v1.2 (0a1b2c3d)``."""
        if self.commit is None:
            return {WORKING_TREE: "working tree"}.get(self.spec, self.spec)
        return self.commit[:8] if self.commit.startswith(self.spec) else f"{self.spec} ({self.commit[:8]})"

    def as_dict(self) -> dict[str, str | None]:
        """For JSON."""
        return {"spec": self.spec, "commit": self.commit, "label": self.label, "built": self.built}

    def digest(self) -> str:
        """A hash of the files that are measured: those of a plug-in, or of `impls`."""
        found = hashlib.sha256()
        for path in sorted((self.root if self.is_plugin else self.root / "impls").rglob("*")):
            parts = path.relative_to(self.root).parts
            if path.is_file() and "__pycache__" not in parts and path.name not in _BUILD_RECORDS:
                content = path.read_bytes()
                found.update(json.dumps([parts, len(content)]).encode() + content)
        return found.hexdigest()


def build(role: str, spec: str, repository: Path, root: Path) -> Version:
    """Build a version into the empty folder root, from its own files alone.

    Raises:
        SourceError: there is no such version, or it does not build.
    """
    if spec == INSTALLED:
        if name := _plugin(repository):
            return _brought(role, spec, None, root, _copy_installed(name, root))
        shutil.copytree(PACKAGE, root / "impls", ignore=shutil.ignore_patterns("__pycache__"))
        return _finished(role, spec, None, root, f"copied impls {impls.__version__}")
    if _REQUIREMENT.fullmatch(spec):
        name, _, version = spec.partition("==")
        if packages.installed_version(name) == version and not _editable(name):
            return _brought(role, spec, None, root, _copy_installed(name, root))
        packages.install(["--no-deps", spec], root)
        return _brought(role, spec, None, root, f"pip install --no-deps {spec}")
    tree = root.with_name(f"{root.name}-tree")
    tree.mkdir(parents=True)
    commit = None if spec == WORKING_TREE else trees.commit_of(repository, spec)
    missing: list[str] = []
    if commit is None:
        built = f"copied {trees.copy_working_tree(repository, tree, missing)} files of the working tree"
    else:
        built = f"git archive {commit[:8]}"
        trees.extract_commit(repository, commit, tree, missing)
    if missing:
        built += f" without its submodules {', '.join(missing)}, which this clone lacks (git submodule update)"
    if (tree / "impls" / "registry.py").is_file():
        tree.rename(root)
        return _finished(role, spec, commit, root, built)
    if not (tree / "pyproject.toml").is_file() and not (tree / "setup.py").is_file():
        raise SourceError(f"{spec!r} has neither impls/registry.py (maxbench) nor pyproject.toml (a plug-in package)")
    try:
        return _brought(role, spec, commit, root, f"{built}, {packages.install_tree(tree, root)}")
    except SourceError as error:
        raise SourceError(f"{error} ({built})" if missing else str(error)) from None


def copy(version: Version, role: str) -> Version:
    """The same version once more, in a folder beside it."""
    root = version.root.with_name(role)
    shutil.copytree(version.root, root, ignore=shutil.ignore_patterns("__pycache__"))
    return replace(version, role=role, root=root)


def _finished(
    role: str, spec: str, commit: str | None, root: Path, built: str, plugin: Sequence[tuple[str, str]] | None = None
) -> Version:
    """With the anchor kernels beside it, the control that no version can touch, and with bytecode."""
    shutil.copy(Path(bench.__file__).parent / "suite" / "anchor.py", root)
    # Otherwise the process that happens to be first would pay for it. A file that does not compile is its importer's.
    compileall.compile_dir(root / "impls", quiet=2)
    own = [(operation, path.stem) for operation in OPERATIONS for path in (root / KERNELS / operation).glob("[!_]*.py")]
    return Version(
        role, spec, commit, root, built, tuple(sorted(own if plugin is None else plugin)), plugin is not None
    )


def _brought(role: str, spec: str, commit: str | None, root: Path, built: str) -> Version:
    """A package in a folder as pip installs it: a plug-in, or a published maxbench."""
    if (root / "maxbench" / "impls").is_dir():
        (root / "maxbench" / "impls").rename(root / "impls")
        shutil.rmtree(root / "maxbench")
    if (root / "impls").is_dir():  # so in wheels from before the name `maxbench`
        return _finished(role, spec, commit, root, built)
    points = [
        point.name.partition(".")
        for distribution in importlib.metadata.distributions(path=[str(root)])
        for point in distribution.entry_points
        if point.group == ENTRY_POINT_GROUP
    ]
    if not points:
        raise SourceError(f"{spec!r} brings no implementation: it has no entry point of the group {ENTRY_POINT_GROUP}")
    shutil.copytree(PACKAGE, root / "impls", ignore=shutil.ignore_patterns("__pycache__"))
    return _finished(role, spec, commit, root, built, [(operation, name) for operation, _, name in points])


def _plugin(repository: Path) -> str | None:
    """The name of the package whose repository this is; None where it is maxbench, or no package."""
    if (repository / "impls" / "registry.py").is_file():
        return None
    project = packages.pyproject(repository).get("project", {})
    return str(project["name"]) if "name" in project else None


def _editable(name: str) -> bool:
    """Whether an installed package is a link to its source tree, which may hold any version."""
    said = importlib.metadata.distribution(name).read_text("direct_url.json")
    return bool(json.loads(said or "{}").get("dir_info", {}).get("editable"))


def _copy_installed(name: str, root: Path) -> str:
    """Copy an installed package; what was done.

    Raises:
        SourceError: it is not installed, or only as a link to its source tree.
    """
    if (version := packages.installed_version(name)) is None:
        raise SourceError(f"{name} is not installed here; {ACCEPTED}")
    if _editable(name):
        raise SourceError(
            f"{name} is installed in editable mode, so its files are those of its working tree; name a revision, or "
            f"{WORKING_TREE!r}"
        )
    for file in importlib.metadata.files(name) or ():
        # Scripts lie outside of the package folder.
        if ".." not in file.parts and file.suffix != ".pyc":
            target = root / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.locate(), target)
    return f"copied {name} {version} as it is installed"
