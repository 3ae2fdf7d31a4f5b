"""Says what the GPU is, or why it cannot be used."""

from __future__ import annotations

from maxbench.impls.cuda import platform

from ..processes.link import Link
from ..processes.messages import Gpu, ProbeJob, Unavailable


def main(link: Link, job: ProbeJob) -> None:
    """Say what it is."""
    if reason := platform.unavailable():
        link.say(Unavailable("", reason))
        return
    link.say(gpu())


def gpu() -> Gpu:
    """What the current device is."""
    if platform.SIMULATED:
        return Gpu(platform.device_name(), simulated=True, cache_bytes=1024)
    from numba import cuda
    from numba.cuda.cudadrv.driver import driver

    device = cuda.get_current_device()
    return Gpu(
        platform.device_name(), simulated=False, cache_bytes=int(device.L2_CACHE_SIZE),
        compute_capability=".".join(map(str, device.compute_capability)),
        multiprocessors=int(device.MULTIPROCESSOR_COUNT),
        shared_bytes=int(device.MAX_SHARED_MEMORY_PER_BLOCK_OPTIN),
        memory_bytes=int(cuda.current_context().get_memory_info().total), cuda=".".join(map(str, driver.get_version())),
    )  # fmt: skip
