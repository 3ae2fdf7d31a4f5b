"""Where the source of an implementation can be read: its file on the page of its project."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from ..records.run import Implementation, Source

# How hosts address a file at a commit, by a part of their name; elsewhere nobody knows.
_FILES = {
    "github": "/blob/{commit}/{file}",
    "gitlab": "/-/blob/{commit}/{file}",
    "codeberg": "/src/commit/{commit}/{file}",
    "gitea": "/src/commit/{commit}/{file}",
    "bitbucket": "/src/{commit}/{file}",
}
_WEB = re.compile(r"https?://[^\s<>\"'`\\^{}|]+")
_SSH = re.compile(r"(?:ssh://)?(?:[^@/:]+@)(?P<host>[^:/]+)(?::\d+/|[:/])(?P<path>[^?#]+)")


def is_web(url: str) -> bool:
    """Whether a text is an address that a page may link to: nothing in it ends a link in HTML or Markdown."""
    try:
        return _WEB.fullmatch(url) is not None and bool(urlsplit(url).netloc)
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


def to_source(entry: Implementation, source: Source) -> str | None:
    """The address of an implementation's file at the commit measured, or else of its project; None where it has none.

    Args:
        source: the run's own source, which is that of the in-tree implementations.
    """
    clone = source.repository
    if entry.origin.partition(" ")[0] == "maxbench" and clone is not None and is_web(clone):
        pattern = next((p for host, p in _FILES.items() if host in urlsplit(clone).netloc), None)
        # What is not committed cannot be read there.
        if pattern and entry.file and source.commit and source.dirty is False:
            return clone + pattern.format(commit=quote(source.commit), file=quote(entry.file))
        return clone
    if entry.repository is None or not is_web(entry.repository):
        return None
    return entry.repository.rstrip("/").removesuffix(".git")
