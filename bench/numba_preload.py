"""Numba for asv's fork server, where MAXBENCH_PRELOAD asks for it: every process it forks starts with it loaded.

Importing Numba, and the rest of itself that it imports at the first compilation, takes several times as long as
measuring one cell. Neither starts threads, which a fork would lose.
"""

from __future__ import annotations

import os

from .inputs import grid

if os.environ.get(grid.PRELOAD):
    import numba

    numba.njit(lambda: None)()
