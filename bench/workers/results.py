"""Computes the results of one implementation for several inputs, and sends them: it is the parent who looks at them."""

from __future__ import annotations

from typing import Any

from maxbench import impls
from maxbench.impls import contract

from ..inputs.recipe import from_dict
from ..processes.link import Link, Lost
from ..timing.ready import described


def main(link: Link, job: dict[str, Any]) -> None:
    """Send the result of ``name`` of ``operation`` for each of ``inputs``, or say why there is none."""
    operation = contract.OPERATIONS[job["operation"]]
    try:
        kernel = impls.load(operation.name, job["name"]).kernel
    except (impls.Unavailable, impls.UnknownImplementation) as error:
        link.say("unavailable", detail=str(error))
        return
    for index, given in enumerate(map(from_dict, job["inputs"])):
        link.say("begin", index=index)
        try:
            x = given.array()
            if refusal := kernel.refusal(x.dtype.name, x.size):
                link.say("refused", index=index, detail=refusal)
                continue
            result = kernel.run(kernel.backend.put(x), kernel.backend.put(operation.allocate(x)))
            kernel.backend.synchronize()
            link.give("result", kernel.backend.get(result), index=index)
        except Lost:
            raise
        except Exception as error:  # a kernel may raise anything
            link.say("raised", index=index, detail=described(error))
