"""Agreement of head, before anything is timed: a fast wrong result is no improvement."""

from __future__ import annotations

from collections.abc import Sequence

from ..measure import environment
from .benchmarks import Benchmark
from .processes import START_SECONDS, Workers
from .sources import Version
from .trees import SourceError
from .verdicts import Verdict


def check(workers: Workers, head: Version, benchmarks: Sequence[Benchmark]) -> tuple[Verdict, str] | None:
    """Run one implementation of head on the contract's cases, in the dtypes that are to be timed.

    Returns:
        ``wrong``, ``failed`` or ``inconclusive``, and what came of it; None where it agrees or is not available.

    Raises:
        SourceError: head cannot be imported.
    """
    first = benchmarks[0]
    job = {
        "role": "head", "side": str(head.root), "operation": first.operation, "name": first.implementation,
        "dtypes": list(dict.fromkeys(b.dtype for b in benchmarks)),
    }  # fmt: skip
    work = workers.run("cases", job, workers.environment(environment.usable_cpus()), START_SECONDS)
    if work.failure is not None and not work.those("imported"):
        raise SourceError(f"head ({head.label}) cannot be imported: {work.failure}")
    wrong = [
        (m["claim"].case, m["claim"].input.dtype, m["verdict"].detail, m["verdict"].unsized)
        for m in work.those("checked")
        if m["verdict"].status == "wrong"
    ]
    wrong += [(str(m.get("case")), str(m.get("dtype")), str(m.get("detail")), False) for m in work.those("raised")]
    if wrong:
        case, dtype, detail, _ = min(wrong, key=lambda found: not found[3])
        more = f" (and {len(wrong) - 1} more cases)" if len(wrong) > 1 else ""
        return "wrong", f"head: {case}, {dtype}: {detail}{more}"
    if work.late:
        return "inconclusive", f"head: its cases were not all checked within {START_SECONDS:.0f} s"
    if work.failure is not None:
        last = (work.those("trial") or [{}])[-1]
        return "failed", f"head: its process ended at case {last.get('case') or '(none)'}: {work.failure}"
    return None
