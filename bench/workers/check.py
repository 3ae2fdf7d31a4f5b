"""Describes implementations, and runs the trials of the contract, whose results the parent judges."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from maxbench import impls
from maxbench.impls import agreement, registry, threads
from maxbench.impls.backends import HOST

from ..inputs.recipe import Input
from ..processes.link import Link, Lost
from ..processes.messages import About, CheckJob, Described, Loaded, Trial, Tried, Unavailable
from ..timing.memory import guarded, intact
from ..timing.ready import described


def main(link: Link, job: CheckJob) -> None:
    """Describe the implementations, and run their trials."""
    for name in job.names:
        try:
            implementation = impls.load(job.operation, name)
        except (impls.Unavailable, impls.UnknownImplementation) as error:
            reason = getattr(error, "reason", str(error))
            link.say(Unavailable(name, str(reason), getattr(error, "broken", False) is True))
            continue
        try:
            link.say(Loaded(dict(implementation.kernel.differs)))
            link.say(Described(name, about(implementation)))
        except Lost:
            raise
        except BaseException as error:  # what a plug-in declares may raise anything
            refusal = registry.refusal_of(error)
            link.say(Unavailable(name, refusal.reason, refusal.broken))
            continue
        if job.trials:
            wanted = agreement.wanted_dtypes(job.operation, job.dtypes)
            trials = agreement.trials(implementation, wanted, allocate)
            run_trials(link, job.operation, implementation.kernel, trials)
            link.say(Trial("pairs of a softmax and an argmax", ""))
            for dtype, what, array in agreement.pair_results(implementation, job.dtypes):
                link.give(what, array, dtype_of_x=dtype)


def about(implementation: impls.Implementation) -> About:
    """What an implementation declares; a plug-in's declarations may be of any type."""
    kernel = implementation.kernel
    # Of this package's host implementations only Numba's use several threads.
    ours = kernel.backend is HOST and kernel.run.__module__.startswith(f"{impls.__name__}.")
    return About(
        device=str(kernel.backend.device), threads=str(kernel.threads), dtypes=[str(name) for name in kernel.dtypes],
        differs=dict(kernel.differs), backend=str(kernel.backend.name), doc=str(implementation.doc),
        source=implementation.source, path=None if implementation.path is None else str(implementation.path),
        layer=threads.layer() if ours and kernel.threads == "many" else None,
    )  # fmt: skip


def allocate(operation: str, x: np.ndarray) -> tuple[np.ndarray, Callable[[], bool]]:
    """An out between guards; see `impls.agreement.Allocate`."""
    out, guards = guarded(operation, x)
    return out, lambda: intact(guards)


def run_trials(link: Link, operation: str, kernel: Any, trials: Iterable[agreement.Trial]) -> None:
    """Hand over the results of trials, and say which have none."""
    for trial in trials:
        names = trial.case, trial.dtype
        try:
            if refusal := kernel.refusal(trial.dtype, trial.size):
                link.say(Tried(*names, "not supported", str(refusal)))
                continue
            link.say(Trial(*names))
            for result in trial.run():
                given = Input(trial.kind, trial.dtype, name=trial.case, axis=result.axis)
                verdict = link.check(
                    operation, given, result.array, case=trial.case, x=result.x, problem=result.problem
                )
                if verdict.status != "agrees":
                    break
            link.say(Tried(*names))
        except Lost:
            raise
        except agreement.Broken as broken:
            link.say(Tried(*names, "wrong", str(broken)))
        except BaseException as error:  # a kernel may raise anything
            link.say(Tried(*names, "failed", f"raised {described(error)}"))
