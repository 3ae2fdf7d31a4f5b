"""What is compared: a git revision, the working tree or a published version, each built into a folder of its own.

A tree of maxbench itself is pure Python, so its files are the built package. Any other tree must be a plug-in: pip
builds it into the folder, without its dependencies, and the `impls` of the maxbench that runs is put beside it. What is
installed here already is copied, so that it needs no network.
"""

from __future__ import annotations

import compileall
import importlib.metadata
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

import bench
import impls
from impls.contract import OPERATIONS

WORKING_TREE, INSTALLED = ".", "installed"
ENTRY_POINT_GROUP = "maxbench.impls"
PACKAGE = Path(impls.__file__).resolve().parent
KERNELS = Path("impls", "kernels")
ACCEPTED = (
    f"accepted are a git revision of this repository, {WORKING_TREE!r} for the working tree, {INSTALLED!r} for what "
    "is installed here (in a plug-in's repository, that plug-in), and NAME==VERSION of a package"
)
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==\S+")


class SourceError(Exception):
    """A version that does not exist or cannot be built; the message says why."""


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
        if _installed_version(name) == version and not _editable(name):
            return _brought(role, spec, None, root, _copy_installed(name, root))
        _pip(["--no-deps", spec], root)
        return _brought(role, spec, None, root, f"pip install --no-deps {spec}")
    tree = root.with_name(f"{root.name}-tree")
    tree.mkdir(parents=True)
    commit = None if spec == WORKING_TREE else _commit(repository, spec)
    if commit is None:
        built = f"copied {_copy_working_tree(repository, tree)} files of the working tree"
    else:
        built = f"git archive {commit[:8]}"
        _extract(_git(repository, ["archive", "--format=tar", commit]), tree)
    if (tree / "impls" / "registry.py").is_file():
        tree.rename(root)
        return _finished(role, spec, commit, root, built)
    if not (tree / "pyproject.toml").is_file() and not (tree / "setup.py").is_file():
        raise SourceError(f"{spec!r} has neither impls/registry.py (maxbench) nor pyproject.toml (a plug-in package)")
    options = ["--no-deps", "--no-build-isolation"] if _can_build_here(tree) else ["--no-deps"]
    _pip([*options, str(tree)], root)
    return _brought(role, spec, commit, root, f"{built}, pip install {' '.join(options)}")


def copy(version: Version, role: str) -> Version:
    """The same version once more, in a folder beside it."""
    root = version.root.with_name(role)
    shutil.copytree(version.root, root, ignore=shutil.ignore_patterns("__pycache__"))
    return replace(version, role=role, root=root)


def _finished(
    role: str, spec: str, commit: str | None, root: Path, built: str, plugin: Sequence[tuple[str, str]] | None = None
) -> Version:
    """With the anchor kernels beside it, the control that no version can touch, and with bytecode."""
    shutil.copy(Path(bench.__file__).with_name("anchor.py"), root)
    # Otherwise the process that happens to be first would pay for it. A file that does not compile is its importer's.
    compileall.compile_dir(root / "impls", quiet=2)
    own = [(operation, path.stem) for operation in OPERATIONS for path in (root / KERNELS / operation).glob("[!_]*.py")]
    return Version(
        role, spec, commit, root, built, tuple(sorted(own if plugin is None else plugin)), plugin is not None
    )


def _brought(role: str, spec: str, commit: str | None, root: Path, built: str) -> Version:
    """A package in a folder as pip installs it: a plug-in, or a published maxbench."""
    if (root / "impls").is_dir():
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
    project = _pyproject(repository).get("project", {})
    return str(project["name"]) if "name" in project else None


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _editable(name: str) -> bool:
    """Whether an installed package is a link to its source tree, which may hold any version."""
    said = importlib.metadata.distribution(name).read_text("direct_url.json")
    return bool(json.loads(said or "{}").get("dir_info", {}).get("editable"))


def _copy_installed(name: str, root: Path) -> str:
    """Copy an installed package; what was done.

    Raises:
        SourceError: it is not installed, or only as a link to its source tree.
    """
    if (version := _installed_version(name)) is None:
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


def repository(folder: Path) -> Path:
    """The root of the git checkout around a folder.

    Raises:
        SourceError: there is none.
    """
    try:
        return Path(_git(folder, ["rev-parse", "--show-toplevel"]).decode().strip())
    except SourceError:
        raise SourceError(f"{folder} is in no git checkout, so it has no revisions and no working tree") from None


def _commit(repository: Path, spec: str) -> str:
    try:
        return (
            _git(repository, ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{spec}^{{commit}}"])
            .decode()
            .strip()
        )
    except SourceError:
        shallow = _git(repository, ["rev-parse", "--is-shallow-repository"]).strip() == b"true"
        hint = "; this clone is shallow, fetch its history first (git fetch --unshallow)" if shallow else ""
        raise SourceError(f"{spec!r} is no commit of {repository.name}{hint}; {ACCEPTED}") from None


def _copy_working_tree(repository: Path, tree: Path) -> int:
    """Copy what git tracks or would track, as it is now."""
    listed = _git(repository, ["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
    names = sorted(set(filter(None, listed.decode().split("\0"))))
    files = [name for name in names if (repository / name).is_file()]
    for name in files:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / name, tree / name)
    return len(files)


def _extract(archive: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")


def _pyproject(tree: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((tree / "pyproject.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return {}  # pip says what is wrong with it


def _can_build_here(tree: Path) -> bool:
    """Whether all that a tree's build requires is installed here, so that it builds without a network."""
    system = _pyproject(tree).get("build-system", {})
    for line in system.get("requires", ["setuptools"]):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            return False
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        version = _installed_version(requirement.name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            return False
    return True


def _git(folder: Path, words: Sequence[str]) -> bytes:
    if shutil.which("git") is None:
        raise SourceError("git is not installed")
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=False)
    if done.returncode:
        raise SourceError(f"git {words[0]}: {done.stderr.decode(errors='replace').strip() or done.returncode}")
    return done.stdout


def _pip(words: Sequence[str], root: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    # The tree is without its .git, from which these backends would take the version, which matters to nothing here.
    versions = {"SETUPTOOLS_SCM_PRETEND_VERSION": "0", "PDM_BUILD_SCM_VERSION": "0"}
    done = subprocess.run(
        [*command, "--target", str(root), *words],
        capture_output=True,
        text=True,
        check=False,
        env={**versions, **os.environ},
    )
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        # pip says much else, such as how often it tried to reach an index.
        errors = [line for line in lines if line.startswith("ERROR:")] or lines[-3:]
        raise SourceError(f"pip install {' '.join(words)} failed: {' '.join(errors) or done.returncode}")
