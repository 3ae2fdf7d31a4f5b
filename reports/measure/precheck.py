"""The precheck of every command that measures: what this machine can see today, and what disturbs it."""

from __future__ import annotations

import math
import statistics
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from maxbench.bench.processes.crew import Crew, Work
from maxbench.bench.processes.messages import Ended, Message, NoiseJob, Ready
from maxbench.bench.processes.messages import Noise as Measured
from maxbench.impls.threads import quota

from ..analysis import doubts
from ..analysis.changes import log_ratio
from ..analysis.doubts import BUDGET_SECONDS
from ..analysis.rules import median_interval
from ..records.run import Noise, Precheck
from . import environment
from .disturbance import Watch

PROCESSES = 3  # fresh ones: two arms of one process share its memory layout, and three tell layouts apart
LIMIT_SECONDS = 5.0
QUADS = 8  # of one process of it, as in the gate
POWER = 0.8  # how often it shows an effect of the size stated
MOST_PROCESSES = 50


def announce(threads: int) -> Precheck:
    """Take it, and say what was found in one line on standard error, as every command that measures begins."""
    found = take(threads)
    print(doubts.line(found), file=sys.stderr, flush=True)
    return found


def take(threads: int, processes: int = PROCESSES, limit: float = LIMIT_SECONDS) -> Precheck:
    """Measure for about three seconds, `limit` at most.

    Processes start together, since importing is most of it, and measure one after the other.
    """
    watch, began = Watch(), time.monotonic()
    found, problem = _ask_all(environment.measuring(threads), processes, limit)
    noise = {}
    if not problem:
        # A process of a comparison imports as these do, and takes as long per quad.
        seconds = statistics.median(one.start + one.quad_seconds * QUADS for one in found)
        most = max(PROCESSES, min(MOST_PROCESSES, int(BUDGET_SECONDS / seconds)))
        for kernel in found[0].quads:
            noise[kernel] = noise_of([one.quads[kernel] for one in found], most)
    seen = watch.found()
    return Precheck(
        seconds=round(time.monotonic() - began, 1), threads=threads,
        layer=next((one.layer for one in found), None), quota=quota(), others=seen.others,
        throttled=seen.throttled, slower=seen.slower, noise=noise, problem=problem,
    )  # fmt: skip


def noise_of(quads: Sequence[Sequence[Sequence[float]]], processes: int) -> Noise:
    """The noise from the quads of several processes, and what so many processes of `QUADS` quads can see.

    The spread is the larger of two: what that of quads within a process leaves in a median of `QUADS`, and the standard
    deviation of the processes' medians. A bias that identical arms have is no effect either.
    """
    medians = [log_ratio(one) for one in quads]
    residuals = [abs(log_ratio([quad]) - median) for one, median in zip(quads, medians, strict=True) for quad in one]
    # 1.4826 medians of absolute deviations are a standard deviation; that of a median of n is sqrt(pi / 2 n) of it.
    within = 1.4826 * statistics.median(residuals) * math.sqrt(math.pi / (2 * QUADS))
    spread = max(within, statistics.stdev(medians))
    bias = statistics.median(medians)
    effect = max(spread * effect_in_spreads(processes), abs(bias))
    return Noise(visible=math.expm1(effect), bias=math.expm1(bias), spread=spread, processes=len(quads))


def effect_in_spreads(processes: int, power: float = POWER) -> float:
    """The effect, in spreads of one process, that the median's interval over processes leaves no effect out of.

    The interval drops `drop` processes at each end, so it is above 0 where all others are. Each is with the probability
    that a normal variable exceeds minus the effect, and so many of them with a binomial one, which is to be `power`.
    """
    drop, _ = median_interval(processes)
    low, high = 0.5, 1.0
    for _ in range(50):
        p = (low + high) / 2
        enough = sum(
            math.comb(processes, k) * p**k * (1 - p) ** (processes - k) for k in range(processes - drop, processes + 1)
        )
        low, high = (p, high) if enough < power else (low, p)
    return statistics.NormalDist().inv_cdf(high)


def _ask_all(variables: Mapping[str, str], count: int, limit: float) -> tuple[list[Measured], str]:
    """What `bench.workers.noise` measured in each process, and why it is not from all of them, if it is not."""
    turn = threading.Semaphore()

    def one(crew: Crew) -> Work:
        mine = False

        def heard(message: Message) -> None:
            nonlocal mine
            if isinstance(message, Ready):
                mine = turn.acquire(timeout=limit)
            elif isinstance(message, Measured | Ended) and mine:
                mine = False
                turn.release()

        return crew.run(NoiseJob(), env=variables, seconds=limit, heard=heard)

    with Crew() as crew, ThreadPoolExecutor(count) as pool:
        done = [future.result() for future in [pool.submit(one, crew) for _ in range(count)]]
    found = [message for work in done for message in work.those(Measured)]
    failures = [work.failure for work in done if work.failure is not None]
    if failures:
        late = any("not finished after" in failure for failure in failures)
        return found, (
            f"{count} processes did not measure the noise within {limit:g} s"
            if late
            else f"measuring the noise failed: {failures[0]}"
        )
    return found, ""
