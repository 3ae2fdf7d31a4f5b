"""The CUDA kernels, in Numba, and what they need: intrinsics, launch plans, arrays on the device.

Nothing outside `impls.backends.numba_cuda` and the ``numba_cuda`` implementations imports this package, so
numba-cuda stays an optional extra.
"""
