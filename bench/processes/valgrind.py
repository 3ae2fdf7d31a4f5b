"""Valgrind's client requests from Python, without a compiler: they switch callgrind's counting on and off.

A request is a sequence of rotations that does nothing on a real processor and that valgrind recognises
(valgrind.h, ``__SPECIAL_INSTRUCTION_PREAMBLE`` for amd64). It lies as machine code in a page that ctypes calls.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import sys

# int64 request(void *arguments, int64 default): rax = arguments, rdx = default; rol rdi by 3, 13, 61, 51;
# xchg rbx, rbx; return rdx.
_CODE = bytes.fromhex("4889f8 4889f2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")
_RUNNING_ON_VALGRIND = 0x1001
_CALLGRIND = (ord("C") << 24) | (ord("T") << 16)
_ZERO, _DUMP_AT, _START, _STOP = (_CALLGRIND + index for index in (1, 3, 4, 5))


class Callgrind:
    """Counting under ``valgrind --tool=callgrind``; without valgrind all of it does nothing.

    Raises:
        OSError: not an x86-64 Linux.
    """

    def __init__(self) -> None:
        if sys.platform != "linux" or platform.machine() != "x86_64":
            raise OSError("instruction counts need Linux on x86-64")
        self._page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._page.write(_CODE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        self._function = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64)(address)
        # Built beforehand: what a window counts beyond the kernel must be little and always the same.
        self._start, self._stop = self._arguments(_START), self._arguments(_STOP)

    @staticmethod
    def _arguments(request: int, first: int = 0) -> ctypes.Array[ctypes.c_uint64]:
        return (ctypes.c_uint64 * 6)(request, first, 0, 0, 0, 0)

    def _request(self, arguments: ctypes.Array[ctypes.c_uint64]) -> int:
        return int(self._function(ctypes.addressof(arguments), 0))

    @property
    def running(self) -> bool:
        """Whether this process runs under valgrind."""
        return self._request(self._arguments(_RUNNING_ON_VALGRIND)) > 0

    def start(self) -> None:
        """Begin to count."""
        self._request(self._start)

    def stop(self) -> None:
        """Stop counting."""
        self._request(self._stop)

    def zero(self) -> None:
        """Forget what was counted."""
        self._request(self._arguments(_ZERO))

    def dump(self, label: str) -> None:
        """Write what was counted into a file that names this label, and forget it."""
        text = ctypes.create_string_buffer(label.encode())
        self._request(self._arguments(_DUMP_AT, ctypes.addressof(text)))
