"""When which implementation is sampled: alone, several in turn, or two versions in quads."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .ready import Failed, Ready, Refused, Wrong
from .sampling import Sampler, _wall, collector_held

MOST_SAMPLES = 20
SPOT_CHECKED = 8  # one sample in so many


class Unsound(RuntimeError):
    """What was timed turned out not to do what it must.

    Attributes:
        outcome: `Wrong` or `Failed`.
    """

    def __init__(self, outcome: Refused | Wrong | Failed) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


def alone(ready: Ready, budget: float, *, randomness: random.Random | None = None) -> list[float]:
    """Seconds a call, sample by sample, for about so many seconds.

    A slow call gets few samples, because processes and not samples are what an interval is made of: where it is long,
    those that calibrated the sampler may do. Samples at random places are checked with the result they leave, and at
    the end all is checked again.

    Raises:
        Unsound: a check failed.
    """
    sampler = ready.sampler
    with collector_held():
        repeat = _repeat(sampler, budget)
        samples = list(sampler.long)
        turns = range(repeat - len(samples))
        # Drawn anew in every process, so that nothing can be made ready for it.
        some = min(len(turns), max(1, len(turns) // SPOT_CHECKED))
        checked = (randomness or random.SystemRandom()).sample(turns, some)
        for turn in turns:
            if turn in checked:
                taken, wrong = ready.spot_check()
                if wrong is not None:
                    raise Unsound(wrong)
                samples.append(taken)
            else:
                samples.append(sampler.sample())
    if (wrong := ready.finish(again=len(turns) - 1 not in checked)) is not None:
        raise Unsound(wrong)
    return samples


def unchecked(sampler: Sampler, budget: float) -> list[float]:
    """The same of what has no result: a copy, or a read."""
    with collector_held():
        return [sampler.sample() for _ in range(_repeat(sampler, budget))]


def _repeat(sampler: Sampler, budget: float) -> int:
    one = sampler.calibrate(budget / 4)
    return max(1, min(MOST_SAMPLES, round(budget / (sampler.number * one))))


@dataclass
class Contestant:
    """One of several that are sampled in turn."""

    name: str
    sampler: Sampler
    samples: list[float] = field(default_factory=list)


def in_turn(
    contestants: Sequence[Contestant], seconds: float, *, least: int = 5, most: int = 40,
    before: Callable[[str], Any] = lambda name: None, clock: Callable[[], float] = _wall,
) -> None:  # fmt: skip
    """Samples of all, one of each after the other, for about so long: a disturbance meets all of them.

    Args:
        least, most: rounds.
        before: told whose sample comes next.
    """
    end = clock() + seconds
    with collector_held():
        for turn in range(most):
            if turn >= least and clock() >= end:
                break
            for contestant in ordered(contestants, turn):
                before(contestant.name)
                contestant.samples.append(contestant.sampler.sample())


def ordered(items: Sequence[Any], turn: int) -> Iterable[Any]:
    """In the other direction every second time, so that none always follows the same one."""
    return items if turn % 2 == 0 else reversed(items)


def quads(first: Sampler, second: Sampler, count: int) -> list[list[float]]:
    """Samples [A, A, B, B] in the orders ABBA and BAAB, which cancels a drift that is linear over a quad.

    Both must have been calibrated. Each makes as many calls in a sample as take it the sample's time: one that is a
    hundred times faster makes no sample of the other longer.

    Returns:
        Seconds a call, count times four.
    """
    times = []
    for index in range(count):
        outer, inner = (first, second) if index % 2 == 0 else (second, first)
        begin = outer.sample()
        middle = [inner.sample(), inner.sample()]
        ends = [begin, outer.sample()]
        times.append([*ends, *middle] if index % 2 == 0 else [*middle, *ends])
    return times
