"""Several copies of one package in one process: each `Side` is a tree's own `impls`, with the plug-ins beside it.

A copy is imported under a name of its own, which works because imports inside `impls` are relative. A plug-in
imports `maxbench`, so while a side is entered, `maxbench.impls`, and what `maxbench` has from it, are that side's copy;
afterwards they are what they were, and whatever was loaded from the side's folder leaves `sys.modules`. All that is to
be measured must therefore be loaded, and called once, inside ``with side.entered()``.

Of a copy this uses only what `bench` says it uses, because the copy may be an old commit.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import maxbench
import maxbench.impls

FOLDER, PACKAGE = "impls", "maxbench.impls"


class Side:
    """The copy of `impls` in a folder.

    Args:
        name: an identifier that no other side of this process has.
        root: the folder that holds ``impls/`` and, where a plug-in is measured, the plug-in as pip installs it.

    Raises:
        ImportError: there is no `impls` in the folder.
        Exception: whatever importing it raises.
    """

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.root, self.alias = name, root.resolve(), f"maxbench_{name}"
        source = self.root / FOLDER / "__init__.py"
        spec = importlib.util.spec_from_file_location(
            self.alias, source, submodule_search_locations=[str(source.parent)]
        )
        if spec is None or spec.loader is None or not source.is_file():
            raise ImportError(f"{name} has no package {FOLDER!r}")
        self.package = importlib.util.module_from_spec(spec)
        sys.modules[self.alias] = self.package
        spec.loader.exec_module(self.package)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """While it lasts, ``import maxbench`` and imports of the plug-ins in this folder find this side's copies."""
        before = sys.path[:]
        sys.path.insert(0, str(self.root))
        importlib.invalidate_caches()
        own = {name: sys.modules.pop(name) for name in list(sys.modules) if _below(PACKAGE, name)}
        for name, module in list(sys.modules.items()):
            if _below(self.alias, name):
                sys.modules[PACKAGE + name[len(self.alias) :]] = module
        usual, maxbench.impls = maxbench.impls, self.package
        _forget()
        try:
            yield
        finally:
            sys.path[:] = before
            maxbench.impls = usual
            _forget()
            for name, module in list(sys.modules.items()):
                side = _below(self.alias, name) or name.startswith(f"{self.alias}_")
                if _below(PACKAGE, name) or (not side and self._holds(module)):
                    del sys.modules[name]
            sys.modules.update(own)

    def load(self, operation: str, name: str) -> Any:
        """The kernel of an implementation; to be called while entered.

        Raises:
            LookupError: this side does not know it.
            RuntimeError: it is known but unavailable; the message says why.
        """
        return self.package.load(operation, name).kernel

    def module(self, name: str) -> ModuleType:
        """A submodule of this side's package, by its relative name such as ``.agreement``."""
        return importlib.import_module(name, self.alias)

    def file(self, name: str) -> ModuleType:
        """A single-file module in this side's folder, imported as this side's own."""
        alias = f"{self.alias}_{name}"
        if alias not in sys.modules:
            spec = importlib.util.spec_from_file_location(alias, self.root / f"{name}.py")
            if spec is None or spec.loader is None:
                raise ImportError(f"{self.name} has no file {name}.py")
            sys.modules[alias] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[alias])
        return sys.modules[alias]

    def _holds(self, module: ModuleType | None) -> bool:
        file = getattr(module, "__file__", None)
        # A namespace package has no file, only the folders it was found in.
        places = [file] if file else list(getattr(module, "__path__", []))
        return any(Path(place).is_relative_to(self.root) for place in places)


def _forget() -> None:
    """Let `maxbench` find what is public anew: `maxbench.impls` is another copy now."""
    for name in maxbench.__all__:
        vars(maxbench).pop(name, None)


def _below(package: str, name: str) -> bool:
    return name == package or name.startswith(f"{package}.")
