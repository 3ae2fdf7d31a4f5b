"""The cases of the contract on the kernel of one version: the gate's check of head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from maxbench.impls import agreement, contract

from ..processes import sides
from ..processes.link import Link
from .check import allocate, run_trials


def main(link: Link, job: dict[str, Any]) -> None:
    """Hand over the results of ``name`` of ``operation`` in ``dtypes``, of the version in the folder ``side``."""
    link.say("side", side=job["role"])
    side = sides.Side(job["role"], Path(job["side"]))
    operation = contract.OPERATIONS[job["operation"]]
    link.say("imported")
    with side.entered():
        try:
            kernel = side.load(operation.name, job["name"])
        except (LookupError, side.package.Unavailable) as error:
            link.say("unavailable", detail=str(error))
            return
        link.say("loaded", differs=dict(getattr(kernel, "differs", {})))
        dtypes = [name for name in job["dtypes"] if name in operation.dtypes]
        run_trials(link, operation.name, kernel, agreement.case_trials(operation, kernel, dtypes, allocate))
