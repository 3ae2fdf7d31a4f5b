"""These files need the simulator switched on before numba-cuda is imported; the usual test process leaves them out."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1" else ["test_*.py"]
