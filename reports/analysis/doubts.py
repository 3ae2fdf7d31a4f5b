"""What makes figures doubtful: what a precheck saw, and what else the machine did during a run."""

from __future__ import annotations

import math

from ..records.run import Precheck
from ..records.runs import Run
from ..system import text

# Below these shares nothing is said: medians over processes shrug off what is rare, and clocks are never quite steady.
OTHERS, SLOWER = 0.10, 0.10
LOADED = 0.5  # load average over CPUs, of runs that did not note more
BUDGET_SECONDS = 60.0  # of the comparison that a precheck speaks of


def visible(found: Precheck) -> float:
    """The smallest effect that is shown whatever the kernel, as a fraction; NaN where it is not known."""
    return max((noise.visible for noise in found.noise.values()), default=math.nan)


def floor(found: Precheck) -> str:
    """The noise floor: the smallest effect that two copies of one kernel, timed in turn, leave visible."""
    return text.percent(visible(found)) if found.noise else "not known"


def sentence(found: Precheck) -> str:
    """What the machine can see."""
    if not found.noise:
        return f"what this machine can see today is not known: {found.problem}"
    return f"this machine can see {text.percent(visible(found))} in {BUDGET_SECONDS:.0f} s today"


def line(found: Precheck) -> str:
    """The sentence with what disturbs the machine, for the start of a command."""
    facts = [
        f"{text.plural(found.threads, 'thread')}{f' ({found.layer})' if found.layer else ''}",
        f"quota {found.quota:g} CPUs" if found.quota is not None else "",
        f"other programs take {text.percent(found.others)} of the CPUs" if found.others is not None else "",
        f"throttled {text.plural(found.throttled, 'time')}" if found.throttled else "",
    ]
    return f"{sentence(found)}; {', '.join(filter(None, facts))}"


def before(found: Precheck) -> list[str]:
    """What of it makes the figures that follow doubtful, as sentences."""
    unknown = sentence(found)
    said = [] if found.noise else [f"{unknown[:1].upper()}{unknown[1:]}."]
    if found.others is not None and found.others > OTHERS:
        said.append(f"Before the run other programs took {text.percent(found.others)} of the CPU time.")
    if found.throttled:
        said.append("The clock was throttled before the run, because of heat.")
    if found.slower is not None and found.slower > 1 + SLOWER:
        said.append(
            f"Within {found.seconds:.0f} s before the run a fixed loop became {text.factor(found.slower)} as slow."
        )
    if found.quota is not None and found.quota < found.threads:
        said.append(f"{text.plural(found.threads, 'thread')} have a quota of {found.quota:g} CPUs: they are paused.")
    return said


def during(run: Run) -> list[str]:
    """What of it makes a run's figures doubtful, as sentences."""
    parts = run.about.disturbance
    if parts is None:
        return _by_load(run)
    worst = [max([0, *(getattr(part, name) or 0 for part in parts)]) for name in ("others", "slower", "throttled")]
    others, slower, throttled = worst
    said = []
    if others > OTHERS:
        said.append(f"Other programs took {text.percent(others)} of the CPU time during the run.")
    if throttled > 0:
        said.append(f"The clock was throttled {text.plural(throttled, 'time')} during the run, because of heat.")
    if slower > 1 + SLOWER:
        said.append(
            f"At the end of the run a fixed loop took {text.factor(slower)} as long as at its start: "
            "the clock fell, or the CPU was shared."
        )
    return said


def _by_load(run: Run) -> list[str]:
    load, cpus = run.about.load_average.start, run.about.machine.cores_logical
    if not load or cpus is None or load[0] <= LOADED * cpus:
        return []
    return [f"The load average was {load[0]:.2f} on {text.plural(cpus, 'CPU')} when the run began: others used them."]
