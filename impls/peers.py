"""The libraries that are compared with (the extra ``peers``): how they are imported, how their results differ."""

from __future__ import annotations

import importlib
from typing import Any

# What several libraries' softmax declares (see `impls.registry.Kernel`): on rows from about 50,000 columns on, and from
# 256 where exponentials round badly.
_LONG = ("50,257 columns", "1,048,576 columns", "1,048,576 nearly equal columns", "NaN in a long row")
GROWS = "the error of the sum of a row grows with n"
DRIFTS = {
    **{f"{case}/float[36]*": GROWS for case in _LONG},
    "*sums that round badly*/float*": GROWS,
}
# On a GPU many threads share a row, and of rows whose exponentials round as usual all but the longest agree.
DRIFTS_ON_CUDA = {
    "1,048,576 nearly equal columns/float[36]*": GROWS,
    "*sums that round badly*/float*": GROWS,
}


LONGEST = 1 << 24  # columns that are timed


def timed(reason: str, columns: int | None = None, **ulp: int) -> dict[str, str]:
    """Declared differences of arrays that are timed: by dtype the largest error, of the longest rows that are timed.

    Twice what was measured, since it depends on the processor and on how a sum is divided; but at most a quarter of
    the value. Results that are further off are wrong, and not timed.

    Args:
        columns: those of the rows that have this error; shorter ones may have less, in proportion. None for all.
    """
    where = "" if columns is None else f" at n = {columns:,}"
    return {f"timed/{dtype}": f"{reason}: up to {most:,} ulp{where}" for dtype, most in ulp.items()}


# PyTorch's softmax on a GPU gives each of many neighbouring columns to one thread, which adds up all of it in float32:
# of the strided inputs that are timed the error is up to 0.075 ulp for each element of a column. CuPy cuts such a
# column into parts, whose sums are short.
SERIAL_ON_CUDA = timed(f"{GROWS}; over a strided axis one thread adds up a column", 1 << 16, float32=9_600)


def need(module: str, package: str = "maxbench[peers]") -> Any:
    """Import a library that is optional here.

    Args:
        package: what brings it.

    Raises:
        ImportError: it is not installed; says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise ImportError(f"{module} is not installed; pip install '{package}' brings it") from None
