"""What people read: results become one tidy table, figures, a page; and the `maxbench` command."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

__all__ = ["load"]


def load(*folders: str | Path) -> pd.DataFrame:
    """The measurements of one or more results folders, one per row.

    Each folder is one that ``maxbench run`` wrote, or asv's own results folder. `COLUMNS` of
    `reports.analysis.table` describes the columns; times are in seconds, memory in bytes, sizes in elements, bandwidth
    in GB/s (10^9 bytes).

    Raises:
        reports.records.runs.NoResults: a folder is missing or holds no results.
    """
    from .analysis import table  # pandas takes long to import, and `maxbench list` does without it

    return table.load(*folders)
