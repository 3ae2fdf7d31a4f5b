"""What a run writes down about the implementations that it measures."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from typing import Any

import impls
from impls import registry
from impls.agreement import Finding

from .links import is_web

# Labels of a project's links, the best first, as `_plain` writes them: packages capitalise them as they like.
_LABELS = ("source", "sourcecode", "repository", "code", "github", "gitlab", "homepage", "home")


def describe(entry: registry.Entry, findings: Sequence[Finding]) -> dict[str, Any]:
    """An implementation for the side-car: what it declares, whether it runs here and if not, why."""
    own = [f for f in findings if (f.operation, f.implementation) == (entry.operation, entry.name)]
    found: dict[str, Any] = {
        "operation": entry.operation,
        "name": entry.name,
        "origin": entry.origin,
        "status": "available",
        "reason": "",
        "device": None,
        "threads": None,
        "dtypes": [],
        "doc": "",
        "source": None,
        "file": None,
        "repository": None,
    }
    for finding in own:
        if finding.status in ("unavailable", "wrong"):
            where = f"{finding.case} {finding.dtype}: ".lstrip() if finding.case else ""
            found.update(status=finding.status, reason=f"{where}{finding.detail}")
            break
    try:
        implementation = entry.load() if found["status"] != "unavailable" else None
    except impls.Unavailable as error:
        found.update(status="unavailable", reason=str(error))
        return found
    if implementation is not None:
        kernel = implementation.kernel
        found.update(
            device=kernel.backend.device,
            threads=kernel.threads,
            dtypes=list(kernel.dtypes),
            doc=implementation.doc,
            source=implementation.source,
            file=_file(implementation, entry.target),
            repository=_declared(entry.origin.rpartition(" ")[0]),
        )
    return found


def _file(implementation: registry.Implementation, target: str) -> str | None:
    """The path of its file below the folder that holds its top-level package."""
    if implementation.path is None:
        return None
    depth = len(target.partition(":")[0].split(".")) + (implementation.path.name == "__init__.py")
    return "/".join(implementation.path.parts[-depth:])


def _declared(distribution: str) -> str | None:
    """The address of a package's source, else of its home page, as its metadata has it; only http and https."""
    try:
        found = importlib.metadata.metadata(distribution)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None
    lines = [f"Homepage, {url}" for url in found.get_all("Home-page") or ()]  # what older packages have
    lines += found.get_all("Project-URL") or ()
    by_label = {_plain(label): url.strip() for label, _, url in (line.partition(",") for line in lines)}
    return next((by_label[label] for label in _LABELS if is_web(by_label.get(label, ""))), None)


def _plain(label: str) -> str:
    return "".join(filter(str.isalnum, label)).lower()
