"""Where the source of an implementation can be read: its file on the page of its project."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit


def is_web(url: str) -> bool:
    """Whether a text is an address that a page may link to."""
    try:
        return urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).netloc)
    except ValueError:
        return False


def to_source(entry: dict[str, Any], commit: str | None) -> str | None:
    """The address of an implementation's file at a commit, or of its project where the file has none.

    Args:
        entry: an implementation as the side-car has it.
        commit: of the run's own source, which is that of the in-tree implementations.
    """
    repository, file = entry.get("repository"), entry.get("file")
    if not isinstance(repository, str) or not is_web(repository):
        return None
    repository = repository.rstrip("/").removesuffix(".git")
    host = urlsplit(repository).netloc
    in_tree = str(entry.get("origin", "")).partition(" ")[0] == "maxbench"
    if not (in_tree and commit and isinstance(file, str)) or not any(h in host for h in ("github", "gitlab")):
        return repository
    return f"{repository}/{'-/' if 'gitlab' in host else ''}blob/{commit}/{quote(file)}"
