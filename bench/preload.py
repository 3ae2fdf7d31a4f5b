"""Imports for asv's fork server, named by MAXBENCH_PRELOAD: every process it forks starts with them done.

Importing Numba takes about a second, several times as long as measuring one cell. Nothing is imported where the
variable is not set, and importing starts no threads that a fork would lose.
"""

from __future__ import annotations

import importlib
import os

from . import grid

for _name in os.environ.get(grid.PRELOAD, "").split(","):
    if _name:
        importlib.import_module(_name)
