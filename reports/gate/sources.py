"""What is compared: a git revision, the working tree or a published version, each built into a folder of its own.

A tree of maxbench itself is pure Python, so its files are the built package. Any other tree must be a plug-in: pip
builds it into the folder, without its dependencies, and the `impls` of the maxbench that runs is put beside it. What is
installed here already is copied, so that it needs no network. Submodules are taken from their clones in the checkout.
"""

from __future__ import annotations

import compileall
import hashlib
import importlib.metadata
import io
import json
import os
import re
import shutil
import sys
import tarfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version as Release

from maxbench import bench, impls
from maxbench.bench.processes import launch
from maxbench.impls.contract import OPERATIONS

from ..system import git

WORKING_TREE, INSTALLED = ".", "installed"
ENTRY_POINT_GROUP = "maxbench.impls"
PACKAGE = Path(impls.__file__).resolve().parent
KERNELS = Path("impls", "kernels")
ACCEPTED = (
    f"accepted are a git revision of this repository, {WORKING_TREE!r} for the working tree, {INSTALLED!r} for what "
    "is installed here (in a plug-in's repository, that plug-in), and NAME==VERSION of a package"
)
BUILD_SECONDS = 600.0  # pip may take this long before it is taken to hang
_LAST_LINES = 12  # of what a failed build printed
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==\S+")
# Differ between two builds of the same files: they hold the folder that was built from.
_BUILD_RECORDS = {"RECORD", "direct_url.json"}


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
        if _installed_version(name) == version and not _editable(name):
            return _brought(role, spec, None, root, _copy_installed(name, root))
        _pip(["--no-deps", spec], root)
        return _brought(role, spec, None, root, f"pip install --no-deps {spec}")
    tree = root.with_name(f"{root.name}-tree")
    tree.mkdir(parents=True)
    commit = None if spec == WORKING_TREE else _commit(repository, spec)
    missing: list[str] = []
    if commit is None:
        built = f"copied {_copy_working_tree(repository, tree, missing)} files of the working tree"
    else:
        built = f"git archive {commit[:8]}"
        _extract_commit(repository, commit, tree, missing)
    if missing:
        built += f" without its submodules {', '.join(missing)}, which this clone lacks (git submodule update)"
    if (tree / "impls" / "registry.py").is_file():
        tree.rename(root)
        return _finished(role, spec, commit, root, built)
    if not (tree / "pyproject.toml").is_file() and not (tree / "setup.py").is_file():
        raise SourceError(f"{spec!r} has neither impls/registry.py (maxbench) nor pyproject.toml (a plug-in package)")
    try:
        return _brought(role, spec, commit, root, f"{built}, {_pip_tree(tree, root)}")
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
        SourceError: there is none, or git refuses it.
    """
    try:
        return Path(git.run(folder, "rev-parse", "--show-toplevel").decode().strip())
    except git.GitError as error:
        if "not a git repository" not in error.printed:
            raise SourceError(str(error)) from None
        raise SourceError(f"{folder} is in no git checkout, so it has no revisions and no working tree") from None


def _git(folder: Path, *words: str) -> bytes:
    try:
        return git.run(folder, *words)
    except git.GitError as error:
        raise SourceError(str(error)) from None


def _commit(repository: Path, spec: str) -> str:
    try:
        git.revision(spec)
    except git.GitError as error:
        raise SourceError(f"{error}; {ACCEPTED}") from None
    try:
        found = git.run(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{spec}^{{commit}}")
    except git.GitError as error:
        if error.printed:  # of what is merely not there, git prints nothing
            raise SourceError(str(error)) from None
        shallow = _git(repository, "rev-parse", "--is-shallow-repository").strip() == b"true"
        hint = "; this clone is shallow, fetch its history first (git fetch --unshallow)" if shallow else ""
        raise SourceError(f"{spec!r} is no commit of {repository.name}{hint}; {ACCEPTED}") from None
    return found.decode().strip()


def _copy_working_tree(repository: Path, tree: Path, missing: list[str], inside: str = "") -> int:
    """Copy what git tracks or would track, as it is now, with its submodules.

    Args:
        missing: receives the paths of submodules without files.
        inside: the path of a submodule that is copied, with a slash at its end.

    Returns:
        How many files were copied.
    """
    listed = _git(repository, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = sorted(set(filter(None, os.fsdecode(listed).split("\0"))))
    files = [name for name in names if (repository / name).is_file()]
    for name in files:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / name, tree / name)
    count = len(files)
    # The index holds a submodule as a folder; a repository that is merely untracked ends with a slash.
    for name in names:
        if (repository / name).is_symlink():  # to a folder
            if (repository / name).is_dir():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                (tree / name).symlink_to((repository / name).readlink())
                count += 1
        elif (repository / name).is_dir() and not name.endswith("/"):
            if (repository / name / ".git").exists():
                count += _copy_working_tree(repository / name, tree / name, missing, f"{inside}{name}/")
            else:
                missing.append(inside + name)
    return count


def _extract_commit(repository: Path, commit: str, tree: Path, missing: list[str], inside: str = "") -> None:
    """Extract a commit's files, and those of its submodules, which `git archive` leaves out.

    The arguments are those of `_copy_working_tree`.
    """
    with tarfile.open(fileobj=io.BytesIO(_git(repository, "archive", "--format=tar", commit))) as tar:
        tar.extractall(tree, filter="data")
    for entry in os.fsdecode(_git(repository, "ls-tree", "-r", "-z", "--full-tree", commit)).split("\0"):
        facts, _, path = entry.partition("\t")
        if not facts.startswith("160000 "):
            continue
        pinned = facts.split()[2]
        for module in _clones(repository, commit, path):
            try:
                git.run(module, "cat-file", "-e", f"{pinned}^{{commit}}")
            except git.GitError:
                continue
            _extract_commit(module, pinned, tree / path, missing, f"{inside}{path}/")
            break
        else:
            missing.append(inside + path)


def _clones(repository: Path, commit: str, path: str) -> Iterator[Path]:
    """Where a submodule's own repository may be: in the checkout, or among git's files by its name or path."""
    if (repository / path / ".git").exists():
        yield repository / path
    modules = Path(_git(repository, "rev-parse", "--git-path", "modules").decode().strip())
    names = [path]
    try:
        pattern = r"^submodule\..*\.path$"
        listed = git.run(repository, "config", "-z", "--blob", f"{commit}:.gitmodules", "--get-regexp", pattern)
    except git.GitError:
        listed = b""  # there is no .gitmodules
    for entry in os.fsdecode(listed).split("\0"):
        key, _, value = entry.partition("\n")
        if value == path:
            names.append(key.removeprefix("submodule.").removesuffix(".path"))
    for name in dict.fromkeys(names):
        if ".." not in Path(name).parts and (folder := repository / modules / name).is_dir():
            yield folder


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
        # Up to 70.0 setuptools makes a wheel by the package of that name, which it requires of pip and of nobody else.
        old = canonicalize_name(requirement.name) == "setuptools" and Release(version) < Release("70.1")
        if old and _installed_version("wheel") is None:
            return False
    return True


def _pip_tree(tree: Path, root: Path) -> str:
    """Build a tree as `pip install` does, or where its build requirements cannot be fetched with those here.

    Returns:
        What was done.

    Raises:
        SourceError: it builds in neither way.
    """
    here = _can_build_here(tree)
    # Without a network pip retries for a minute, which only a build that has no other way is worth.
    patience = ["--retries", "1", "--timeout", "5"] if here else []
    try:
        _pip(["--no-deps", *patience, str(tree)], root)
        return "pip install --no-deps"
    except SourceError:
        if not here:
            raise
        _pip(["--no-deps", "--no-build-isolation", str(tree)], root)
        return "pip install --no-deps --no-build-isolation"


def _pip(words: Sequence[str], root: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-compile"]
    # The tree is without its .git, from which these backends would take the version, which matters to nothing here.
    versions = {"SETUPTOOLS_SCM_PRETEND_VERSION": "0", "PDM_BUILD_SCM_VERSION": "0"}
    status, printed = _run([*command, "--target", str(root), *words], {**versions, **git.environment()}, BUILD_SECONDS)
    if status is None:
        raise SourceError(f"pip install {' '.join(words)} did not end within {BUILD_SECONDS:.0f} s")
    if status:
        raise SourceError(f"pip install {' '.join(words)} failed:\n{_last_words(printed) or status}")


def _last_words(printed: str) -> str:
    """The last lines of a failed build's own output, where pip quotes it, else of pip's."""
    lines = [line.strip(" │╰─>×") for line in printed.splitlines()]
    ends = [index for index, line in enumerate(lines) if line == "[end of output]"]
    # What pip adds after the quotation only points back at it.
    quoted = lines[: ends[-1]] if ends else lines
    return "\n".join([line for line in quoted if line][-_LAST_LINES:])


def _run(command: Sequence[str], env: Mapping[str, str], limit: float) -> tuple[int | None, str]:
    """Run a command for at most `limit` seconds: (its exit status, None where it was ended; its last lines)."""
    ending = launch.Child(command, env=env, seconds=limit).wait()
    return None if ending.why else ending.status, "\n".join(ending.printed)
