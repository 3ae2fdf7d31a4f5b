"""The cases of the contract on the kernel of one version: the gate's check of head."""

from __future__ import annotations

from pathlib import Path

from maxbench.impls import agreement, contract

from ..processes import sides
from ..processes.link import Link
from ..processes.messages import CasesJob, Imported, Loaded, Unavailable
from .check import allocate, run_trials


def main(link: Link, job: CasesJob) -> None:
    """Hand over the results."""
    side = sides.Side(job.role, Path(job.root))
    operation = contract.OPERATIONS[job.operation]
    link.say(Imported())
    with side.entered():
        try:
            kernel = side.load(operation.name, job.name)
        except (LookupError, side.package.Unavailable) as error:
            link.say(Unavailable(job.name, str(error)))
            return
        link.say(Loaded(dict(getattr(kernel, "differs", {}))))
        dtypes = [name for name in job.dtypes if name in operation.dtypes]
        run_trials(link, operation.name, kernel, agreement.case_trials(operation, kernel, dtypes, allocate))
