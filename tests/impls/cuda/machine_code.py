"""The machine code that the JIT would run, made with no GPU: compile, disassemble, count instructions.

A kernel takes the way of a first launch - NVVM, LTO, nvJitLink - but for two questions to a device: its compute
capability, answered here, and the launch. Needs the extra ``cuda-offline``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import shutil
import subprocess
import sysconfig
import tempfile
import types
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

CAPABILITIES = {"sm_80": (8, 0, ""), "sm_90": (9, 0, "a")}  # as numba-cuda asks for on such a device


@dataclass(frozen=True)
class Code:
    """What the disassembler and the resource report say of one kernel.

    Attributes:
        registers: of 32 bits, of a thread.
        stack, local: bytes of a thread.
        shared: bytes of a block.
        instructions: how often each occurs, by its full name.
        together: loads of 128 bits that follow each other without a branch between, where they are most: those are
            under way at the same time.
    """

    registers: int
    stack: int
    local: int
    shared: int
    instructions: Counter[str]
    together: int

    def count(self, pattern: str) -> int:
        """Instructions whose whole name matches."""
        return sum(number for name, number in self.instructions.items() if re.fullmatch(pattern, name))


@cache
def missing() -> tuple[str, ...]:
    """What cannot be found of what compiling needs."""
    found = {
        "numba-cuda": _importable("numba_cuda"),
        "nvidia-nvvm": bool(_files("nvvm", "libnvvm*")),
        "nvidia-nvjitlink": bool(_files("", "libnvJitLink*")),
        "nvidia-cuda-nvdisasm": tool("nvdisasm") is not None,
        "nvidia-cuda-cuobjdump": tool("cuobjdump") is not None,
    }
    return tuple(name for name, there in found.items() if not there)


def _importable(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _files(folder: str, pattern: str) -> list[Path]:
    root = Path(sysconfig.get_path("purelib")) / "nvidia"
    return [path for path in root.rglob(pattern) if folder in str(path)] if root.is_dir() else []


@cache
def tool(name: str) -> str | None:
    """The path of one of NVIDIA's tools: from its package, or installed."""
    packaged = [str(path) for path in _files("bin", name) if path.is_file()]
    return packaged[0] if packaged else shutil.which(name)


@contextlib.contextmanager
def capability(number: tuple[int, int, str]) -> Iterator[None]:
    """Let numba-cuda believe in a device of this compute capability."""
    from numba.cuda import codegen, dispatcher

    device = types.SimpleNamespace(compute_capability=number[:2])
    before = dispatcher.get_current_device, codegen.CUDACodeLibrary._ensure_cc
    dispatcher.get_current_device = lambda: device
    codegen.CUDACodeLibrary._ensure_cc = lambda self, cc=None: cc or number
    try:
        yield
    finally:
        dispatcher.get_current_device, codegen.CUDACodeLibrary._ensure_cc = before


def compile_kernel(kernel: Any, signature: tuple[Any, ...], architecture: str) -> Code:
    """The machine code of a `numba.cuda.jit` kernel for arguments of these Numba types."""
    from numba.cuda.dispatcher import _Kernel

    number = CAPABILITIES[architecture]
    options = {name: value for name, value in kernel.targetoptions.items() if name != "extensions"}
    with capability(number):
        compiled = _Kernel(kernel.py_func, signature, **options)
        cubin = compiled._codelibrary.get_cubin(cc=number)
    return disassemble(getattr(cubin, "code", cubin))


def disassemble(cubin: bytes) -> Code:
    """What a cubin with one kernel holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        usage = _run(tool("cuobjdump"), "-res-usage", path)
        listing = _run(tool("nvdisasm"), "-c", path)
    used = {name: int(value) for name, value in re.findall(r"\b(REG|STACK|SHARED|LOCAL):(\d+)", usage)}
    names = re.findall(r"^\s+/\*[0-9a-f]+\*/\s+(?:@!?\w+\s+)?([A-Z][A-Z0-9_.]*)", listing, re.MULTILINE)
    assert names, "nvdisasm listed no instructions"
    most = max(sum(bool(re.match(r"LDG\..*128", name)) for name in block) for block in _straight(names))
    return Code(used["REG"], used["STACK"], used["LOCAL"], used["SHARED"], Counter(names), most)


def _straight(names: list[str]) -> Iterator[list[str]]:
    """The instructions between one branch or barrier and the next."""
    block: list[str] = []
    for name in names:
        block.append(name)
        if re.match(r"(BRA|CALL|RET|EXIT|BAR|BRX|WARPSYNC)\b", name):
            yield block
            block = []
    yield block


def _run(*words: Any) -> str:
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True).stdout
