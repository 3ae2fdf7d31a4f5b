"""Compile one kernel as a launch would, with the cache on disk: prints hits and misses.

``python -m tests.impls.cuda.cached [SOURCES]``; SOURCES stands for a digest of other sources than those there are.
"""

from __future__ import annotations

import sys
from typing import Any

from numba.cuda import codegen, dispatcher

from maxbench.impls.cuda import compile_cache
from tests.impls.cuda import machine_code, specialisations

CAPABILITY = machine_code.CAPABILITIES["sm_90"]


def main(sources: str) -> None:
    """Compile, and print."""
    if sources:
        compile_cache.sources = lambda: sources  # type: ignore[assignment]
    wanted = next(s for s in specialisations.everything() if s.name == "softmax rows rows 128/32/8 float32 aligned")
    kernel: Any = wanted.build()
    # Two more questions to a device, beside those that `capability` answers.
    codegen.JITCUDACodegen.magic_tuple = lambda self: ((13, 0), CAPABILITY)
    dispatcher._Kernel.bind = lambda self: self._codelibrary.get_cubin(cc=CAPABILITY)
    with machine_code.capability(CAPABILITY):
        kernel.compile(wanted.signature)
    print(sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values()))


if __name__ == "__main__":
    main("".join(sys.argv[1:]))
