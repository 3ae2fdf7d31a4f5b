"""The files of a git checkout: of its working tree, or of a commit, with those of its submodules."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

from ..system import git

WORKING_TREE, INSTALLED = ".", "installed"
ACCEPTED = (
    f"accepted are a git revision of this repository, {WORKING_TREE!r} for the working tree, {INSTALLED!r} for what "
    "is installed here (in a plug-in's repository, that plug-in), and NAME==VERSION of a package"
)


class SourceError(Exception):
    """A version that does not exist or cannot be built; the message says why."""


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


def commit_of(repository: Path, spec: str) -> str:
    """The full hash of the commit that a revision names.

    Raises:
        SourceError: it is none, or git refuses the repository.
    """
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


def copy_working_tree(repository: Path, tree: Path, missing: list[str], inside: str = "") -> int:
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
                count += copy_working_tree(repository / name, tree / name, missing, f"{inside}{name}/")
            else:
                missing.append(inside + name)
    return count


def extract_commit(repository: Path, commit: str, tree: Path, missing: list[str], inside: str = "") -> None:
    """Extract a commit's files, and those of its submodules, which `git archive` leaves out.

    The arguments are those of `copy_working_tree`.
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
            extract_commit(module, pinned, tree / path, missing, f"{inside}{path}/")
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
