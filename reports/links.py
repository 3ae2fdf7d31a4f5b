"""Where the source of an implementation can be read: its file on the page of its project."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlsplit

# How hosts address a file at a commit, by a part of their name; elsewhere nobody knows.
_FILES = {
    "github": "/blob/{commit}/{file}",
    "gitlab": "/-/blob/{commit}/{file}",
    "codeberg": "/src/commit/{commit}/{file}",
    "gitea": "/src/commit/{commit}/{file}",
    "bitbucket": "/src/{commit}/{file}",
}
_SSH = re.compile(r"(?:ssh://)?(?:[^@/:]+@)(?P<host>[^:/]+)(?::\d+/|[:/])(?P<path>[^?#]+)")


def is_web(url: str) -> bool:
    """Whether a text is an address that a page may link to."""
    try:
        return urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).netloc)
    except ValueError:
        return False


def of_remote(url: str) -> str | None:
    """The page of a git remote, without the user and password that its address may hold; None where it has none."""
    url = url.strip()
    if is_web(url):
        parts = urlsplit(url)
        found = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    elif ssh := _SSH.fullmatch(url):
        found = f"https://{ssh['host']}/{ssh['path']}"
    else:
        return None
    return found.rstrip("/").removesuffix(".git")


def to_source(entry: dict[str, Any], source: dict[str, Any]) -> str | None:
    """The address of an implementation's file at the commit measured, or else of its project; None where it has none.

    Args:
        entry: an implementation as the side-car has it.
        source: what the side-car says of the run's own source, which is that of the in-tree implementations.
    """
    in_tree = str(entry.get("origin", "")).partition(" ")[0] == "maxbench"
    clone, file, commit = source.get("repository"), entry.get("file"), source.get("commit")
    if in_tree and isinstance(clone, str) and is_web(clone):
        pattern = next((p for host, p in _FILES.items() if host in urlsplit(clone).netloc), None)
        # What is not committed cannot be read there.
        if pattern and isinstance(file, str) and commit and source.get("dirty") is False:
            return clone + pattern.format(commit=commit, file=quote(file))
        return clone
    declared = entry.get("repository")
    if not isinstance(declared, str) or not is_web(declared):
        return None
    return declared.rstrip("/").removesuffix(".git")
