"""Calls of git: in the folder that is named, whatever repository a hook's environment points to."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from maxbench.reports.gate import trees
from maxbench.reports.history.run import HistoryError
from maxbench.reports.history.run import git as history
from maxbench.reports.measure import environment
from maxbench.reports.system import git
from tests.reports.gate.conftest import Repository


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository, and an environment that points to another one, as in one of its hooks."""
    for name in ("named", "other"):
        (tmp_path / name).mkdir()
        repository = Repository(tmp_path / name)
        (tmp_path / name / "__init__.py").write_text(name)
        (tmp_path / name / f"{name}.txt").write_text(name)
        repository.commit(name)
    other = tmp_path / "other"
    for variable, value in {"DIR": other / ".git", "WORK_TREE": other, "INDEX_FILE": other / ".git" / "index"}.items():
        monkeypatch.setenv(f"GIT_{variable}", str(value))
    named = object.__new__(Repository)
    named.folder = tmp_path / "named"
    return named


def test_a_hooks_environment_names_no_repository(hook: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    assert git.run(hook.folder, "ls-files") == b"__init__.py\nnamed.txt\n"
    assert history(hook.folder, "ls-files") == "__init__.py\nnamed.txt\n"
    assert trees.repository(hook.folder) == hook.folder
    # Settings are none: CI trusts folders by them.
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    assert set(os.environ) - set(git.environment()) == {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}


def test_the_source_of_a_run_is_its_own_folders(hook: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    head = git.run(hook.folder, "rev-parse", "HEAD").decode().strip()
    monkeypatch.setattr(environment.impls, "__file__", str(hook.folder / "__init__.py"))
    assert environment.source().commit == head


def test_errors_are_gits_own_and_in_english(hook: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    slow.mkdir()
    (slow / "git").write_text("#!/bin/sh\nsleep 60\n")
    (slow / "git").chmod(0o755)
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    with pytest.raises(git.GitError, match="git rev-parse: fatal: not a git repository") as failed:
        git.run(tmp_path, "rev-parse", "HEAD")
    assert failed.value.printed.startswith("fatal: ")
    with pytest.raises(git.GitError, match=r"^git rev-parse: exit status 1$"):
        git.run(hook.folder, "rev-parse", "--verify", "--quiet", "nothing")
    with pytest.raises(HistoryError, match="git log: fatal"):
        history(hook.folder, "log", "nothing")
    with monkeypatch.context() as patch:
        patch.setattr(git, "SECONDS", 0.0)
        patch.setenv("PATH", str(slow), prepend=os.pathsep)
        with pytest.raises(git.GitError, match="git ls-files: not finished after 0 s"):
            git.run(hook.folder, "ls-files", "--cached")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(git.GitError, match="git is not installed"):
        git.run(hook.folder, "status")
    assert environment._git(hook.folder, "status") is None
