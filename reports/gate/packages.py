"""Packages as pip builds and installs them into a folder, with a network and without."""

from __future__ import annotations

import importlib.metadata
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version as Release

from maxbench.bench.processes import launch

from ..system import git
from .trees import SourceError

BUILD_SECONDS = 600.0  # pip may take this long before it is taken to hang
_LAST_LINES = 12  # of what a failed build printed


def installed_version(name: str) -> str | None:
    """The version of an installed package; None where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def pyproject(tree: Path) -> dict[str, Any]:
    """What a tree's pyproject.toml says; nothing where it cannot be read."""
    try:
        return tomllib.loads((tree / "pyproject.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return {}  # pip says what is wrong with it


def can_build_here(tree: Path) -> bool:
    """Whether all that a tree's build requires is installed here, so that it builds without a network."""
    system = pyproject(tree).get("build-system", {})
    for line in system.get("requires", ["setuptools"]):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            return False
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        version = installed_version(requirement.name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            return False
        # Up to 70.0 setuptools makes a wheel by the package of that name, which it requires of pip and of nobody else.
        old = canonicalize_name(requirement.name) == "setuptools" and Release(version) < Release("70.1")
        if old and installed_version("wheel") is None:
            return False
    return True


def install_tree(tree: Path, root: Path) -> str:
    """Build a tree as `pip install` does, or where its build requirements cannot be fetched with those here.

    Returns:
        What was done.

    Raises:
        SourceError: it builds in neither way.
    """
    here = can_build_here(tree)
    # Without a network pip retries for a minute, which only a build that has no other way is worth.
    patience = ["--retries", "1", "--timeout", "5"] if here else []
    try:
        install(["--no-deps", *patience, str(tree)], root)
        return "pip install --no-deps"
    except SourceError:
        if not here:
            raise
        install(["--no-deps", "--no-build-isolation", str(tree)], root)
        return "pip install --no-deps --no-build-isolation"


def install(words: Sequence[str], root: Path) -> None:
    """Run `pip install` with these words into a folder.

    Raises:
        SourceError: it failed, with the last lines that it printed, or did not end.
    """
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
