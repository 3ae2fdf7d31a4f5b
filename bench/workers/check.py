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
from ..timing.memory import guarded, intact
from ..timing.ready import described


def main(link: Link, job: dict[str, Any]) -> None:
    """Load and describe each of ``names`` of ``operation``; with ``trials`` run those of the one in ``dtypes``."""
    for name in job["names"]:
        link.say("begin", name=name)
        try:
            implementation = impls.load(job["operation"], name)
        except (impls.Unavailable, impls.UnknownImplementation) as error:
            reason = getattr(error, "reason", str(error))
            link.say("unavailable", name=name, reason=reason, broken=getattr(error, "broken", False))
            continue
        try:
            describe(link, implementation)
        except Lost:
            raise
        except BaseException as error:  # what a plug-in declares may raise anything
            refusal = registry.refusal_of(error)
            link.say("unavailable", name=name, reason=refusal.reason, broken=refusal.broken)
            continue
        if job["trials"]:
            wanted = agreement.wanted_dtypes(job["operation"], job["dtypes"])
            trials = agreement.trials(implementation, wanted, allocate)
            run_trials(link, job["operation"], implementation.kernel, trials)
            link.say("trial", case="pairs of a softmax and an argmax", dtype="")
            for dtype, what, array in agreement.pair_results(implementation, job["dtypes"]):
                link.give(what, array, dtype_of_x=dtype)


def describe(link: Link, implementation: impls.Implementation) -> None:
    """Say what an implementation declares."""
    kernel = implementation.kernel
    link.say("loaded", differs=dict(kernel.differs))
    # Of this package's host implementations only Numba's use several threads.
    ours = kernel.backend is HOST and kernel.run.__module__.startswith(f"{impls.__name__}.")
    link.say(
        "described", name=implementation.name, device=str(kernel.backend.device), backend=str(kernel.backend.name),
        threads=str(kernel.threads), dtypes=[str(name) for name in kernel.dtypes], doc=implementation.doc,
        source=implementation.source, path=None if implementation.path is None else str(implementation.path),
        largest=kernel.largest, largest_reason=str(kernel.largest_reason), differs=dict(kernel.differs),
        layer=threads.layer() if ours and kernel.threads == "many" else None,
    )  # fmt: skip


def allocate(operation: str, x: np.ndarray) -> tuple[np.ndarray, Callable[[], bool]]:
    """An out between guards; see `impls.agreement.Allocate`."""
    out, guards = guarded(operation, x)
    return out, lambda: intact(guards)


def run_trials(link: Link, operation: str, kernel: Any, trials: Iterable[agreement.Trial]) -> None:
    """Hand over the results of trials, and say which have none."""
    for trial in trials:
        names = {"case": trial.case, "dtype": trial.dtype}
        try:
            if refusal := kernel.refusal(trial.dtype, trial.size):
                link.say("refused", **names, detail=str(refusal))
                continue
            link.say("trial", **names)
            for result in trial.run():
                given = Input(trial.kind, trial.dtype, name=trial.case, axis=result.axis)
                verdict = link.check(
                    operation, given, result.array, case=trial.case, x=result.x, problem=result.problem
                )
                if verdict.status != "agrees":
                    break
            link.say("tried", **names)
        except Lost:
            raise
        except agreement.Broken as broken:
            link.say("broken", **names, detail=str(broken))
        except BaseException as error:  # a kernel may raise anything
            link.say("raised", **names, detail=f"raised {described(error)}")
