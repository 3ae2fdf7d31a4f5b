"""Agreement of head, before anything is timed: a fast wrong result is no improvement."""

from __future__ import annotations

from collections.abc import Sequence

from maxbench.bench.processes.messages import CasesJob, Checked, Imported, Trial, Tried

from ..measure import environment
from .benchmarks import Benchmark
from .processes import START_SECONDS, Workers
from .sources import Version
from .trees import SourceError
from .verdicts import Verdict


def check(workers: Workers, head: Version, benchmarks: Sequence[Benchmark]) -> tuple[Verdict, str] | None:
    """Run one implementation of head on the contract's cases, in the dtypes that are to be timed.

    Returns:
        ``wrong``, ``failed`` or ``inconclusive``, and the reason; None where it agrees or is not available.

    Raises:
        SourceError: head cannot be imported.
    """
    first = benchmarks[0]
    dtypes = list(dict.fromkeys(b.dtype for b in benchmarks))
    job = CasesJob(first.operation, first.implementation, dtypes, role="head", root=str(head.root))
    work = workers.run(job, workers.environment(environment.usable_cpus()), START_SECONDS)
    if work.failure is not None and not work.those(Imported):
        raise SourceError(f"head ({head.label}) cannot be imported: {work.failure}")
    wrong = [
        (one.claim.case, one.claim.input.dtype, one.verdict.detail, one.verdict.unsized)
        for one in work.those(Checked)
        if one.verdict.status == "wrong"
    ]
    wrong += [
        (one.case, one.dtype, one.detail, False) for one in work.those(Tried) if one.status in ("failed", "wrong")
    ]
    if wrong:
        case, dtype, detail, _ = min(wrong, key=lambda found: not found[3])
        more = f" (and {len(wrong) - 1} more cases)" if len(wrong) > 1 else ""
        return "wrong", f"head: {case}, {dtype}: {detail}{more}"
    if work.late:
        return "inconclusive", f"head: its cases were not all checked within {START_SECONDS:.0f} s"
    if work.failure is not None:
        case = next((one.case for one in reversed(work.those(Trial))), "(none)")
        return "failed", f"head: its process ended at case {case}: {work.failure}"
    return None
