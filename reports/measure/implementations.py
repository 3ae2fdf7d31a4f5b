"""What a run writes down about the implementations that it measures."""

from __future__ import annotations

import ast
import importlib.metadata
from pathlib import Path
from typing import cast

from maxbench.impls import kernels, registry

from ..records.run import Implementation, Operation
from ..show.links import is_web
from .checks import Checked

# Labels of a project's links, the best first, as `_plain` writes them: packages capitalise them as they like.
_LABELS = ("source", "sourcecode", "repository", "code", "github", "gitlab", "homepage", "home")


def outline(entry: registry.Entry) -> Implementation:
    """An implementation before it is loaded: who brings it and, of an in-tree one, its file."""
    found = Implementation(
        operation=cast(Operation, entry.operation), name=entry.name, origin=entry.origin,
        repository=_declared(entry.origin.rpartition(" ")[0]),
    )  # fmt: skip
    below = entry.target.partition(f"{kernels.__name__}.")[2].replace(".", "/")
    if below and (path := Path(kernels.__path__[0]) / f"{below}.py").is_file():
        # The same as of a loaded one, also where its library or device is missing.
        found.source = path.read_text(encoding="utf-8")
        found.file, found.doc = _below_package(path, entry.target), _docstring(found.source)
    return found


def describe(checked: Checked) -> Implementation:
    """An implementation: what it declares, whether it runs here and if not, why."""
    entry, about = checked.entry, checked.about
    found = outline(entry)
    found.status, found.reason = checked.status, checked.reason
    if about is not None:
        found.device, found.threads, found.dtypes, found.differs = (
            about.device, about.threads, about.dtypes, about.differs,
        )  # fmt: skip
        found.doc, found.source = about.doc, about.source
        found.file = _below_package(Path(about.path), entry.target) if about.path else None
    return found


def _below_package(path: Path, target: str) -> str:
    """The path of its file below the folder that holds its top-level package."""
    depth = len(target.partition(":")[0].removeprefix("maxbench.").split(".")) + (path.name == "__init__.py")
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
