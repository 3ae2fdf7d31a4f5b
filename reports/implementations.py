"""What a run writes down about the implementations that it measures."""

from __future__ import annotations

import ast
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import impls
from impls import kernels, registry
from impls.agreement import Finding

from .links import is_web

# Labels of a project's links, the best first, as `_plain` writes them: packages capitalise them as they like.
_LABELS = ("source", "sourcecode", "repository", "code", "github", "gitlab", "homepage", "home")


def outline(entry: registry.Entry) -> dict[str, Any]:
    """An implementation for the side-car before it is loaded: who brings it and, of an in-tree one, its file."""
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
        "repository": _declared(entry.origin.rpartition(" ")[0]),
    }
    below = entry.target.partition(f"{kernels.__name__}.")[2].replace(".", "/")
    if below and (path := Path(kernels.__path__[0]) / f"{below}.py").is_file():
        text = path.read_text(encoding="utf-8")
        # The same as of a loaded one, also where its library or device is missing.
        found.update(source=text, file=_below_package(path, entry.target), doc=_docstring(text))
    return found


def describe(entry: registry.Entry, findings: Sequence[Finding]) -> dict[str, Any]:
    """An implementation for the side-car: what it declares, whether it runs here and if not, why."""
    own = [f for f in findings if (f.operation, f.implementation) == (entry.operation, entry.name)]
    found = outline(entry)
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
            file=_below_package(implementation.path, entry.target) if implementation.path else None,
        )
    return found


def _below_package(path: Path, target: str) -> str:
    """The path of its file below the folder that holds its top-level package."""
    depth = len(target.partition(":")[0].split(".")) + (path.name == "__init__.py")
    return "/".join(path.parts[-depth:])


def _docstring(source: str) -> str:
    try:
        return ast.get_docstring(ast.parse(source)) or ""
    except (SyntaxError, ValueError):
        return ""


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
