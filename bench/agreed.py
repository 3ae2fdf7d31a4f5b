"""The gate's check of head: its kernels against the contract of the maxbench that runs, not their own.

``python -m bench.agreed JOB`` reads a JSON file with ``side`` and ``judge`` (folders), ``operation``,
``implementation`` and ``dtypes``, and appends one line of JSON to its ``out`` for every case.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from . import sides


def main(path: str) -> None:
    """Do the job in a file."""
    job = json.loads(Path(path).read_text("utf-8"))
    judge = sides.Side("judge", Path(job["judge"]))
    contract, run_checked = judge.module(".contract"), judge.module(".agreement").run_checked
    operation = contract.OPERATIONS[job["operation"]]
    with open(job["out"], "a", encoding="utf-8", buffering=1) as lines:

        def note(case: str, dtype: str, status: str, detail: str) -> None:
            lines.write(json.dumps({"case": case, "dtype": dtype, "status": status, "detail": detail}) + "\n")

        side = sides.Side("head", Path(job["side"]))
        note("", "", "imported", "")
        with side.entered():
            try:
                kernel = side.load(job["operation"], job["implementation"])
            except (LookupError, side.package.Unavailable) as error:
                note("", "", "unavailable", str(error))
                return
            for case in contract.KERNEL_CASES:
                for dtype in job["dtypes"]:
                    if dtype in case.dtypes and dtype in operation.dtypes:
                        x = case.array(dtype)
                        if kernel.refusal(dtype, x.size) is None:
                            wrong = run_checked(operation, kernel, x)
                            note(case.name, dtype, "wrong" if wrong else "agrees", wrong or "")


if __name__ == "__main__":
    main(sys.argv[1])
