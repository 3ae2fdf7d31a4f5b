"""Runs jobs in worker processes, and collects what they say, also of one that crashes or hangs."""

from __future__ import annotations

import math
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from . import hub, launch
from .hub import Talk
from .judge import Judge
from .link import TOKEN, bounded
from .messages import VERSION, Answer, AnyJob, Command, Done, Ended, Failed, Hello, Message, Welcome

PROGRAM = Path(__file__).with_name("program.py")
SECONDS = 240.0  # a worker may take, unless more is said; see `launch.LIMIT_SECONDS`
_PARTING_SECONDS = 2.0  # for a worker to end after it is done

Heard = Callable[[Message], Command | None]
Said = TypeVar("Said", bound=Message)


@dataclass
class Work:
    """The outcome of a job.

    Attributes:
        messages: what its worker said, in order; see `hub.Heard`.
        failure: how it ended where it was not done: it crashed, hung, or broke off; None where it was done.
        late: whether it was its time limit that ended it.
    """

    messages: list[Message] = field(default_factory=list)
    failure: str | None = None
    late: bool = False

    def those(self, kind: type[Said]) -> list[Said]:
        """The messages of one type."""
        return [message for message in self.messages if isinstance(message, kind)]


@dataclass
class _Kept:
    job: AnyJob
    heard: Heard
    work: Work = field(default_factory=Work)
    done: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


class Crew:
    """The workers of a command, and the judge of their results.

    Args:
        cells: hears the processes that asv starts.
    """

    def __init__(self, cells: hub.Heard = lambda talk, message: None, judge: Judge | None = None) -> None:
        self._cells, self._jobs = cells, dict[str, _Kept]()
        self._hub = hub.Hub(self._heard, judge)

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the conversation with all that are left."""
        self._hub.close()

    @property
    def variables(self) -> dict[str, str]:
        """The environment by which processes that asv starts find the judge."""
        return self._hub.variables

    def run(
        self, job: AnyJob, *, env: Mapping[str, str] | None = None, seconds: float = SECONDS,
        cpu: int | None = None, heard: Heard = lambda message: None, tick: Callable[[], Any] = lambda: None,
        prefix: Sequence[str] = (),
    ) -> Work:  # fmt: skip
        """Run a job to its end.

        Args:
            env: variables beside those of this process.
            seconds: its time limit; infinite where whoever listens limits each answer.
            cpu: the one CPU to run on; None for all.
            heard: called with every message, in another thread; what it returns is the answer.
            tick: called several times a second.
            prefix: the words of a program that runs the worker.

        Raises:
            launch.Stopped: the command is being stopped.
        """
        token = uuid.uuid4().hex
        kept = self._jobs[token] = _Kept(job, heard)
        try:
            child = launch.Child(
                [*prefix, *launch.python(str(PROGRAM), "worker")],
                env=launch.environment({**(env or {}), **self.variables, TOKEN: token}),
                seconds=launch.limit_seconds(seconds) if seconds < math.inf else None,
                memory=launch.limit_bytes(),
                cpu=cpu,
            )

            def look() -> None:
                tick()
                if kept.done.is_set() and not kept.ended.wait(_PARTING_SECONDS):
                    child.end("it did not end after it was done")

            ending = child.wait(look)
            # Its last messages may still be under way.
            if kept.work.messages:
                kept.ended.wait(_PARTING_SECONDS)
        finally:
            del self._jobs[token]
        if not kept.done.is_set():
            kept.work.failure, kept.work.late = self._failure(kept.work, ending), ending.late
        return kept.work

    def _failure(self, work: Work, ending: launch.Ending) -> str:
        said = next((one.failure for one in work.those(Failed)), "")
        problem = next((one.problem for one in work.those(Ended)), "")
        if not (said and ending.status == 1):
            early = " before it was done" if ending.ok else ""
            said = problem or f"its process ended{early}: {ending}"
        return str(bounded(said))

    def _heard(self, talk: Talk, message: Message) -> Answer | None:
        if not talk.token:
            return self._cells(talk, message)
        kept = self._jobs.get(talk.token)
        if kept is None:
            return None
        kept.work.messages.append(message)
        if isinstance(message, Hello):
            return Welcome(VERSION, kept.job)
        if isinstance(message, Done):
            kept.done.set()
        answer = kept.heard(message)
        if isinstance(message, Ended):
            kept.ended.set()
        return answer
