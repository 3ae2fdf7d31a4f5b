"""An asv plug-in for ``maxbench publish``: the commits of stored results as a repository, without one.

The configuration's ``repo`` is a JSON list of the commits in the order in which they were measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from asv.repo import NoRepository

NAME = "stored"


class Stored(NoRepository):  # type: ignore[misc]
    """Commits in the order of a file; every one of them is on the only branch."""

    dvcs = NAME

    def __init__(self, url: str, path: str | None = None) -> None:
        super().__init__(url, path)
        self._commits: list[str] = json.loads(Path(url).read_text("utf-8"))

    def get_revisions(self, commits: Iterable[str]) -> dict[str, int]:
        """Commits by their place in the order."""
        return {commit: self._commits.index(commit) for commit in commits}

    def get_branch_commits(self, branch: str | None) -> list[str]:
        return list(reversed(self._commits))

    def get_branch_name(self, branch: str | None = None) -> str:
        return branch or "measured"

    def get_range_spec(self, commit_a: str, commit_b: str) -> str:
        return f"{commit_a}..{commit_b}"
