"""Agreement of head, before anything is timed: a fast wrong result is no improvement."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from .benchmarks import Benchmark
from .processes import START_SECONDS, Workers
from .sources import PACKAGE, SourceError, Version

Implementation = tuple[str, str]


def check(workers: Workers, head: Version, benchmarks: Iterable[Benchmark]) -> dict[Implementation, tuple[str, str]]:
    """Run head's implementations on the contract's cases, in the dtypes that are to be timed.

    Returns:
        (operation, implementation) -> (``wrong`` or ``failed``, what came of it), for those that do not agree.

    Raises:
        SourceError: head cannot be imported.
    """
    dtypes: dict[Implementation, list[str]] = {}
    for b in benchmarks:
        listed = dtypes.setdefault((b.operation, b.implementation), [])
        if b.dtype not in listed:
            listed.append(b.dtype)

    def one(implementation: Implementation) -> tuple[str, str] | None:
        operation, name = implementation
        job = {
            "side": str(head.root), "judge": str(PACKAGE.parent), "operation": operation, "implementation": name,
            "dtypes": dtypes[implementation],
        }  # fmt: skip
        events, ending = workers.run("bench.agreed", job, workers.environment(threads=2), START_SECONDS)
        if ending is not None and not events:
            raise SourceError(f"head ({head.label}) cannot be imported: {ending}")
        wrong = [event for event in events if event["status"] == "wrong"]
        if wrong:
            first, rest = wrong[0], len(wrong) - 1
            more = f" (and {rest} more cases)" if rest else ""
            return "wrong", f"{first['case']}, {first['dtype']}: {first['detail']}{more}"
        if ending is not None:
            return "failed", f"its process ended after case {events[-1]['case'] or '(none)'}: {ending}"
        return None

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = dict(zip(dtypes, pool.map(one, dtypes), strict=True))
    return {implementation: outcome for implementation, outcome in found.items() if outcome is not None}
