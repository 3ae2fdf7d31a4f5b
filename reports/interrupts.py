"""Ctrl-C at points of our own choosing: between two of them nothing that was started or measured can be lost."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """A context in which an interruption is remembered until `point` is called.

    Python raises KeyboardInterrupt between any two of its instructions: one that comes after a process was started and
    before its object was kept leaves that process running, and one that comes after a measurement and before it was
    counted makes it count twice.

    Only signals that would raise KeyboardInterrupt are held back, not those that are ignored or handled otherwise. Once
    one has been raised the handlers are as before, so a second Ctrl-C acts at once. Where signals do not arrive
    (threads other than the main one) this does nothing.
    """

    def __init__(self) -> None:
        self._held: list[signal.Signals] = []
        self._came = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) is signal.default_int_handler:
                    self._held.append(number)
                    signal.signal(number, self._remember)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.point()
        self._restore()

    def point(self) -> None:
        """Raise what has come.

        Raises:
            KeyboardInterrupt: the run is to be stopped.
        """
        if self._came:
            self._restore()
            self._came = False
            raise KeyboardInterrupt

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._came = True

    def _restore(self) -> None:
        while self._held:
            signal.signal(self._held.pop(), signal.default_int_handler)
