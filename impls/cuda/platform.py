"""Whether CUDA kernels can run here, and on what: a device, Numba's simulator, or a reason why not."""

from __future__ import annotations

import functools
import os

import numpy as np

# max.NaN.f32 and redux.sync are instructions of compute capability 8.0 and newer.
OLDEST = (8, 0)

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")
"""NUMBA_ENABLE_CUDASIM: kernels run thread by thread in Python, on the host. Read once by numba-cuda."""

SIMULATOR_NAME = "Numba's CUDA simulator (Python on the host, no GPU)"


def require() -> None:
    """Return if kernels can be compiled or simulated here.

    Raises:
        ImportError: numba-cuda or what it needs is missing.
    """
    if not hasattr(np, "row_stack"):
        # Removed in NumPy 2.5. numba-cuda up to 0.30.4 overloads it when it compiles its first kernel, which fails
        # with an AttributeError; numba itself asks first (numba/np/arrayobj.py).
        setattr(np, "row_stack", np.vstack)  # noqa: B010 - not an attribute that NumPy's types have
    try:
        from numba import cuda
    except ImportError as error:
        raise ImportError(f"numba-cuda cannot be imported ({error}); pip install 'maxbench[cuda]'") from None
    except Exception as error:  # of the package that loads CUDA's libraries
        raise ImportError(_not_loaded("a library of CUDA", error)) from None
    if getattr(cuda, "implementation", None) != "NVIDIA":
        raise ImportError(
            "numba-cuda is not installed, and the CUDA support inside numba is no longer maintained; "
            "pip install 'maxbench[cuda]'"
        )


@functools.cache
def unavailable() -> str | None:
    """Why kernels cannot run here, or None if they can."""
    try:
        require()
    except ImportError as error:
        return str(error)
    if SIMULATED:
        return None
    from numba import cuda

    if problem := _driver_problem():
        return f"no CUDA GPU: {problem}"
    capability = tuple(cuda.get_current_device().compute_capability)
    if capability < OLDEST:
        return (
            f"the GPU has compute capability {'.'.join(map(str, capability))}; the kernels need "
            f"{'.'.join(map(str, OLDEST))} or newer"
        )
    return None


@functools.cache
def compiler_problem() -> str | None:
    """Why kernels cannot be compiled although there is a device, or None if they can."""
    if SIMULATED:
        return None
    from numba.cuda.cudadrv.nvvm import NVVM

    try:
        NVVM()
    except Exception as error:  # of numba-cuda, or of the package that loads CUDA's libraries
        return _not_loaded("NVVM, which compiles CUDA kernels,", error)
    return None


def _not_loaded(what: str, error: Exception) -> str:
    said = str(error).strip().partition("\n")[0].rstrip(" .:") or type(error).__name__
    return f"{what} cannot be loaded ({said}); pip install 'maxbench[cuda]' brings it"


def device_name() -> str:
    """What kernels run on here: the GPU's name, or the simulator's.

    Raises:
        ImportError: nothing; the message says why.
    """
    if reason := unavailable():
        raise ImportError(reason)
    if SIMULATED:
        return SIMULATOR_NAME
    from numba import cuda

    name = cuda.get_current_device().name
    return name.decode() if isinstance(name, bytes) else str(name)


def _driver_problem() -> str | None:
    """Why the driver gives no device, or None. `cuda.is_available` asks for NVVM as well, and raises without it."""
    from numba.cuda.cudadrv.driver import driver

    try:
        count = driver.get_device_count()
    except Exception as error:  # the driver's own words, on one line
        return " ".join(str(error).replace("Error at driver init:", "").split()).rstrip(" :") or type(error).__name__
    return None if count else "the driver finds 0 devices"
