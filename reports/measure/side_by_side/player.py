"""The process of one implementation, which waits for its turn."""

from __future__ import annotations

import math
import queue
import threading
from dataclasses import dataclass

import numpy as np

from maxbench.bench.processes import launch
from maxbench.bench.processes.crew import Crew
from maxbench.bench.processes.messages import Command, Given, Message, Quit, Turn, TurnsJob

from .. import environment

ANSWER_SECONDS = 240.0  # until a process that was told to do something is taken to hang; it may compile
MOST_ENDS = 2  # processes that an implementation may bring down before its other cells are left out


@dataclass
class Answer:
    """The outcome of a command.

    Attributes:
        turn: what the process said, or what is to be said of one that ended over it.
        shown: the first rows of a result, where they were asked for.
        ended: the process ended over it.
    """

    turn: Turn
    shown: np.ndarray | None = None
    ended: bool = False


class Player:
    """A worker process (`bench.workers.turns`) that waits for its turn; started anew where it ends."""

    def __init__(self, crew: Crew, operation: str, name: str, threads: int) -> None:
        self.name = name
        self._crew, self._job = crew, TurnsJob(operation, name, one_thread=threads == 1)
        self._env = environment.measuring(threads)
        self._ends = 0
        self._thread: threading.Thread | None = None

    def ask(self, command: Command) -> Answer:
        """Have something done."""
        if self._thread is None:
            if self._ends >= MOST_ENDS:
                return Answer(Turn("failed", f"left out after it brought down {MOST_ENDS} processes"))
            self._start()
            if (first := self._answer()).turn.status != "ok":
                return self._gone(first)
        self._commands.put(command)
        answer = self._answer()
        return self._gone(answer) if answer.ended else answer

    def _answer(self) -> Answer:
        """What the process says next, or that it took too long."""
        limit = launch.limit_seconds(ANSWER_SECONDS)
        try:
            return self._answers.get(timeout=limit)
        except queue.Empty:
            self._late.set()
            self._answers.get()  # how it ended
            return Answer(Turn("failed", f"not finished after {limit:g} s"), ended=True)

    def end(self) -> None:
        """Let the process end."""
        if self._thread is not None:
            self._commands.put(Quit())
            self._thread.join()
            self._thread = None

    def _gone(self, answer: Answer) -> Answer:
        self._ends += 1
        self.end()
        return answer

    def _start(self) -> None:
        self._commands: queue.Queue[Command] = queue.Queue()
        self._answers: queue.Queue[Answer] = queue.Queue()
        self._late = threading.Event()
        commands, answers, late, shown = self._commands, self._answers, self._late, list[np.ndarray]()

        def tick() -> None:
            if late.is_set():
                raise TimeoutError

        def heard(message: Message) -> Command | None:
            match message:
                case Given():
                    shown.append(message.values)
                case Turn():
                    answers.put(Answer(message, shown.pop() if shown else None))
                    return commands.get()
            return None

        def work() -> None:
            try:
                failure = self._crew.run(self._job, env=self._env, seconds=math.inf, heard=heard, tick=tick).failure
            except BaseException as error:
                failure = str(error) or type(error).__name__
            commands.put(Quit())  # for a conversation that outlives its process
            answers.put(Answer(Turn("failed", failure or "its process ended"), ended=True))

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()
