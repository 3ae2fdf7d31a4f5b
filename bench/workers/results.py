"""Computes the results of one implementation for several inputs, and sends them: it is the parent who looks at them."""

from __future__ import annotations

from maxbench import impls
from maxbench.impls import contract

from ..processes.link import Link, Lost
from ..processes.messages import NoResult, ResultsJob, Unavailable
from ..timing.ready import described


def main(link: Link, job: ResultsJob) -> None:
    """Send the result for each input, or say why there is none."""
    operation = contract.OPERATIONS[job.operation]
    try:
        kernel = impls.load(operation.name, job.name).kernel
    except (impls.Unavailable, impls.UnknownImplementation) as error:
        link.say(Unavailable(job.name, str(error)))
        return
    for index, given in enumerate(job.inputs):
        try:
            x = given.array()
            if refusal := kernel.refusal(x.dtype.name, x.size):
                link.say(NoResult("skipped", str(refusal), index))
                continue
            result = kernel.run(kernel.backend.put(x), kernel.backend.put(operation.allocate(x)))
            kernel.backend.synchronize()
            link.give("result", kernel.backend.get(result), index=index)
        except Lost:
            raise
        except Exception as error:  # a kernel may raise anything
            link.say(NoResult("failed", described(error), index))
