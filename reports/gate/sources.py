"""What is compared: a git revision, the working tree or a published version, each built into a folder of its own.

A tree of maxbench itself is pure Python, so its files are the built package. Any other tree must be a plug-in: pip
builds it into the folder, without its dependencies, and the `impls` of the maxbench that runs is put beside it.
"""

from __future__ import annotations

import compileall
import importlib.metadata
import importlib.util
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bench
import impls

WORKING_TREE, INSTALLED = ".", "installed"
ENTRY_POINT_GROUP = "maxbench.impls"
PACKAGE = Path(impls.__file__).resolve().parent
ACCEPTED = (
    f"accepted are a git revision of this repository, {WORKING_TREE!r} for the working tree, {INSTALLED!r} for the "
    "maxbench that is running, and NAME==VERSION of a published package"
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
        plugins: (operation, name) of the implementations that a plug-in brings; None for maxbench itself.
    """

    role: str
    spec: str
    commit: str | None
    root: Path
    built: str
    plugins: tuple[tuple[str, str], ...] | None

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
        shutil.copytree(PACKAGE, root / "impls", ignore=shutil.ignore_patterns("__pycache__"))
        return _finished(Version(role, spec, None, root, f"copied impls {impls.__version__}", None))
    if _REQUIREMENT.fullmatch(spec):
        _pip(["--no-deps", spec], root)
        return _with_plugins(role, spec, None, root, f"pip install --no-deps {spec}")
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
        return _finished(Version(role, spec, commit, root, built, None))
    if not (tree / "pyproject.toml").is_file() and not (tree / "setup.py").is_file():
        raise SourceError(f"{spec!r} has neither impls/registry.py (maxbench) nor pyproject.toml (a plug-in package)")
    options = ["--no-deps", "--no-build-isolation"] if _backend_installed(tree) else ["--no-deps"]
    _pip([*options, str(tree)], root)
    return _with_plugins(role, spec, commit, root, f"{built}, pip install {' '.join(options)}")


def copy(version: Version, role: str) -> Version:
    """The same version once more, in a folder beside it."""
    root = version.root.with_name(role)
    shutil.copytree(version.root, root, ignore=shutil.ignore_patterns("__pycache__"))
    return Version(role, version.spec, version.commit, root, version.built, version.plugins)


def _finished(version: Version) -> Version:
    """With the anchor kernels beside it, the control that no version can touch, and with bytecode."""
    shutil.copy(Path(bench.__file__).with_name("anchor.py"), version.root)
    # Otherwise the process that happens to be first would pay for it. A file that does not compile is its importer's.
    compileall.compile_dir(version.root / "impls", quiet=2)
    return version


def _with_plugins(role: str, spec: str, commit: str | None, root: Path, built: str) -> Version:
    if (root / "impls").is_dir():  # a published maxbench
        return _finished(Version(role, spec, commit, root, built, None))
    points = [
        point.name.partition(".")
        for distribution in importlib.metadata.distributions(path=[str(root)])
        for point in distribution.entry_points
        if point.group == ENTRY_POINT_GROUP
    ]
    if not points:
        raise SourceError(f"{spec!r} brings no implementation: it has no entry point of the group {ENTRY_POINT_GROUP}")
    shutil.copytree(PACKAGE, root / "impls", ignore=shutil.ignore_patterns("__pycache__"))
    plugins = tuple(sorted((operation, name) for operation, _, name in points))
    return _finished(Version(role, spec, commit, root, built, plugins))


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


def _backend_installed(tree: Path) -> bool:
    """Whether the build backend that a tree names can be imported here, so that it builds offline."""
    try:
        project = tomllib.loads((tree / "pyproject.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    backend = project.get("build-system", {}).get("build-backend", "setuptools.build_meta")
    try:
        return importlib.util.find_spec(str(backend).partition(":")[0]) is not None
    except ImportError:
        return False


def _git(folder: Path, words: Sequence[str]) -> bytes:
    if shutil.which("git") is None:
        raise SourceError("git is not installed")
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=False)
    if done.returncode:
        raise SourceError(f"git {words[0]}: {done.stderr.decode(errors='replace').strip() or done.returncode}")
    return done.stdout


def _pip(words: Sequence[str], root: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    done = subprocess.run([*command, "--target", str(root), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise SourceError(f"pip install {' '.join(words)} failed: {' '.join(lines[-3:]) or done.returncode}")
