"""Agreement of head, before anything is timed: a fast wrong result is no improvement."""

from __future__ import annotations

from collections.abc import Sequence

from .. import environment
from .benchmarks import Benchmark
from .processes import START_SECONDS, Workers
from .sources import PACKAGE, SourceError, Version
from .verdicts import Verdict


def check(workers: Workers, head: Version, benchmarks: Sequence[Benchmark]) -> tuple[Verdict, str] | None:
    """Run one implementation of head on the contract's cases, in the dtypes that are to be timed.

    Returns:
        ``wrong`` or ``failed`` and what came of it; None where it agrees, or is not there or not available.

    Raises:
        SourceError: head cannot be imported.
    """
    first = benchmarks[0]
    job = {
        "side": str(head.root), "judge": str(PACKAGE.parent), "operation": first.operation,
        "implementation": first.implementation, "dtypes": list(dict.fromkeys(b.dtype for b in benchmarks)),
    }  # fmt: skip
    events, ending = workers.run("bench.agreed", job, workers.environment(environment.usable_cpus()), START_SECONDS)
    if ending is not None and not events:
        raise SourceError(f"head ({head.label}) cannot be imported: {ending}")
    wrong = [event for event in events if event["status"] == "wrong"]
    if wrong:
        one, rest = wrong[0], len(wrong) - 1
        more = f" (and {rest} more cases)" if rest else ""
        return "wrong", f"head: {one['case']}, {one['dtype']}: {one['detail']}{more}"
    if ending is not None:
        return "failed", f"head: its process ended after case {events[-1]['case'] or '(none)'}: {ending}"
    return None
