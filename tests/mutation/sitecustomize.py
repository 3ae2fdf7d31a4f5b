"""Imported by every Python process that has this folder on its path: runs a mutant in place of its module.

The file in the tree stays as it is, so that mutants are tested side by side and caches of compiled code stay valid.
"""

from __future__ import annotations

import os
from importlib.machinery import SourceFileLoader
from pathlib import Path

VARIABLE = "MAXBENCH_MUTANT"


def substitute(module: str, mutant: str) -> None:
    """Compile the module of this path from the text of another file."""
    get_code = SourceFileLoader.get_code

    def get(self: SourceFileLoader, name: str) -> object:
        # In a checkout modules are imported by way of the links in src.
        if os.path.realpath(self.path) != os.path.realpath(module):
            return get_code(self, name)
        return compile(Path(mutant).read_text(), self.path, "exec")

    SourceFileLoader.get_code = get  # type: ignore[method-assign, assignment]


if VARIABLE in os.environ:
    substitute(*os.environ[VARIABLE].split(os.pathsep))
