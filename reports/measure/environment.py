"""What asv does not record: the machine, threads, versions and source that results were measured with."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path

import psutil

from maxbench import bench, impls
from maxbench.bench.processes import launch
from maxbench.impls.threads import cpus, quota

from ..records.run import Gpu, Machine, Source, Threads
from ..show import links
from ..system import git

# Every way that a library here takes its number of CPU threads.
THREAD_VARIABLES = (
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
# Turns or milliseconds that a waiting thread of GNU's or LLVM's OpenMP spins before it sleeps. Without a limit it keeps
# a core from whatever else runs, for milliseconds a call; asleep at once it makes short calls several times as long as
# users have them. docs/measuring.md has the figures.
WAITING = {"GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"}

CPU_TABLE = "MAXBENCH_CPU_TABLE"  # see `impls.cpu.tuned`, which needs Numba

_PACKAGES = (
    "numpy", "numba", "llvmlite", "numba-cuda", "scipy", "torch", "jax", "jaxlib", "onnxruntime", "bottleneck",
    "cupy-cuda12x", "cupy-cuda13x", "asv", "asv_runner",
)  # fmt: skip


def machine(name: str | None = None) -> Machine:
    """The machine that this process runs on."""
    return Machine(
        name=name or platform.node() or "unknown",
        cpu=_processor(Path("/proc/cpuinfo")),
        arch=platform.machine(),
        cores_physical=psutil.cpu_count(logical=False),
        cores_logical=psutil.cpu_count(),
        memory_bytes=psutil.virtual_memory().total,
        os=platform.platform(),
        caches=caches(),
        gpu=gpus(),
    )


def _processor(file: Path) -> str:
    """The processor's name: of Linux's own file where that has it, since py-cpuinfo takes a second."""
    with contextlib.suppress(OSError):
        for line in file.read_text(errors="replace").splitlines():
            term, _, value = line.partition(":")
            if term.strip() == "model name" and value.strip():
                return value.strip()
    import cpuinfo

    return cpuinfo.get_cpu_info().get("brand_raw") or platform.processor() or "unknown"


def caches(root: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> dict[str, int]:
    """Bytes of the first core's data caches, by level: {"L1d": ..., "L2": ..., "L3": ...}; empty where unknown."""
    found = {}
    for index in sorted(root.glob("index*")):
        try:
            level, kind, size = ((index / part).read_text().strip() for part in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction" and size.endswith("K"):
            found[f"L{level}{'d' if kind == 'Data' else ''}"] = int(size[:-1]) * 1024
    return found


def gpus() -> list[Gpu]:
    """Name and driver of every NVIDIA GPU that the driver's own tool lists."""
    lines = _output(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"])
    return [
        Gpu(name=name.strip(), driver=driver.strip())
        for name, _, driver in (line.partition(",") for line in (lines or "").splitlines())
        if driver
    ]


def threads(count: int, layer: str | None = None) -> Threads:
    """So many threads for every library.

    Args:
        layer: Numba's threading layer; None asks a process for it.
    """
    if layer is None:
        program = "from maxbench.impls import threads; print(threads.layer())"
        layer = _output([sys.executable, "-c", program], env={**os.environ, **measuring(count)})
    return Threads(
        numba=count,
        waiting=waiting(),
        layer=layer.split()[-1] if layer else None,
        quota=quota(),
        affinity=sorted(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else None,
        variables=measuring(count),
    )


def measuring(threads: int) -> dict[str, str]:
    """The environment of every process that measures: so many threads for every library, and how they wait.

    It overrides what the user has set, so that all commands measure the same. No process is pinned by it. Regimes that
    ``maxbench tune`` has written count where the user names their file, which is recorded so.
    """
    return {**thread_variables(threads), **WAITING, CPU_TABLE: os.environ.get(CPU_TABLE, "")}


def waiting() -> str:
    """The waiting policy, for records."""
    return " ".join(f"{name}={value}" for name, value in WAITING.items())


def thread_variables(count: int) -> dict[str, str]:
    """The environment that gives every library this many threads."""
    return dict.fromkeys(THREAD_VARIABLES, str(count))


def usable_cpus() -> int:
    """CPUs that this process may run on."""
    return cpus()


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that are measured or measure."""
    found = {"python": platform.python_version(), "maxbench": impls.__version__}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def source() -> Source:
    """Where the measured `impls` comes from.

    The repository is a remote that has the commit: of one that has not, a link would lead nowhere.
    """
    folder = Path(impls.__file__).resolve().parent
    digest = hashlib.sha1(usedforsecurity=False)
    for package in (folder, Path(bench.__file__).resolve().parent):
        for path in sorted(package.rglob("*.py")):
            digest.update(path.relative_to(package.parent).as_posix().encode() + b"\0" + path.read_bytes())
    found = Source(version=impls.__version__, content=digest.hexdigest())
    # An installed copy in an ignored folder of some checkout is not that checkout's.
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return found
    commit = _git(folder, "rev-parse", "HEAD")
    if commit:
        found.commit = commit.strip()
        found.branch = (_git(folder, "branch", "--show-current") or "").strip() or None
        found.dirty = bool(_git(folder, "status", "--porcelain", "--", ":/impls", ":/bench"))
        found.repository = _repository(folder)
    return found


def _repository(folder: Path) -> str | None:
    """The web address of the first remote with a branch that holds HEAD, origin before others; as last fetched."""
    branches = _git(folder, "branch", "--remotes", "--contains", "HEAD", "--format", "%(refname:lstrip=2)") or ""
    holders = {branch.partition("/")[0] for branch in branches.split()}
    for remote in sorted(holders, key=lambda name: (name != "origin", name)):
        if address := links.of_remote(_git(folder, "remote", "get-url", remote) or ""):
            return address
    return None


def _git(folder: Path, *words: str) -> str | None:
    """What git prints, or None where it is missing or fails."""
    try:
        return git.run(folder, *words).decode(errors="replace")
    except git.GitError:
        return None


def load_average() -> list[float] | None:
    """Runnable processes over the last 1, 5 and 15 minutes; None where the system does not say."""
    return [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None


def warnings(count: int) -> list[str]:
    """What of a run with so many threads makes its figures doubtful; load, clock and dirt are in its record."""
    cpus = usable_cpus()
    return [f"{count} threads on {cpus} CPUs: threads wait for each other"] if count > cpus else []


def _output(command: list[str], env: dict[str, str] | None = None) -> str | None:
    """What a command prints, or None where it is missing or fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        ending, output = launch.run(command, env=env, seconds=60.0)
    except OSError:
        return None
    return output.decode(errors="replace") if ending.ok else None
