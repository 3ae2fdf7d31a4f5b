"""Signals that end a command, at points of our own choosing: what was measured before one is counted once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from maxbench.bench.processes import launch


class Interrupts:
    """A context in which a signal is remembered until `point` is called.

    Python raises an exception of a signal between any two of its instructions: one that comes after a measurement and
    before it was counted makes it count twice.

    Only signals that would end the command are held back. Once one has been raised the handlers are as before, so a
    second one acts at once. Where signals do not arrive (threads other than the main one) this does nothing.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._pending: int | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in launch.SIGNALS:
                handler = signal.getsignal(number)
                if handler in (launch.handle, signal.default_int_handler):
                    self._before[number] = handler
                    signal.signal(number, self._remember)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.point()
        self._restore()

    def point(self) -> None:
        """Raise the pending signal, if any.

        Raises:
            launch.Stopped: the command is to end.
        """
        if self._pending is not None:
            number, self._pending = self._pending, None
            self._restore()
            raise launch.Stopped(number)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._pending = number

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
