"""Calls of git in a named folder, whatever repository the environment points to."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from maxbench.bench.processes import launch

SECONDS = 120.0
# Settings and no place: CI names the folders that git may trust (safe.directory) in them.
_SETTINGS = {"GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"}


class GitError(Exception):
    """A git command that failed; the message is what git printed.

    Attributes:
        printed: what git printed on standard error, and nothing else.
    """

    def __init__(self, message: str, printed: str = "") -> None:
        super().__init__(message)
        self.printed = printed


def revision(word: str) -> str:
    """A word that a user gives for a revision or a range, which git must not take for an option.

    Raises:
        GitError: git would.
    """
    if word.startswith("-") or not word.isprintable() or not word.strip():
        raise GitError(f"{word!r} is no revision: accepted are printable characters, the first of them no dash")
    return word


def environment() -> dict[str, str]:
    """The environment without the variables that relocate a repository.

    A hook runs with GIT_DIR and GIT_INDEX_FILE set, with which git ignores the folder that it is given.
    """
    return {name: value for name, value in os.environ.items() if name not in _relocating()}


@functools.cache
def _relocating() -> frozenset[str]:
    return frozenset(_run([], ["rev-parse", "--local-env-vars"], dict(os.environ)).decode().split()) - _SETTINGS


def run(folder: Path, *words: str) -> bytes:
    """What a git command prints in a folder: of a working tree, or git's own, whose working tree need not exist.

    Raises:
        GitError: git is not installed, fails, or does not end.
    """
    is_gits = (folder / "HEAD").is_file() and (folder / "objects").is_dir()
    place = ["--git-dir=.", "--work-tree=."] if is_gits else []
    # The messages are compared with English text.
    return _run(["-C", str(folder), *place], words, {**environment(), "LC_ALL": "C"})


def _run(place: Sequence[str], words: Sequence[str], env: dict[str, str]) -> bytes:
    if shutil.which("git") is None:
        raise GitError("git is not installed")
    ending, output = launch.run(["git", *place, *words], env=env, seconds=SECONDS)
    if not ending.ok:
        printed = "\n".join(ending.printed)
        raise GitError(f"git {words[0]}: {ending.why or printed or ending.cause}", printed)
    return output
