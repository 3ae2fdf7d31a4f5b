"""The history as pages: asv's own graphs, and one page with the anchored series and their steps."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from maxbench.bench.processes import launch

from ..records import asv_results
from ..show.asv_pages import Preset, PublishFailed, local_data, pages, presets
from ..system import files, output_folder
from ..system import git as calls
from . import page, steps
from .run import CONFIGURATION, HistoryError, configuration, git
from .series import History, read
from .steps import Found

GRAPHS = "asv"  # the folder of asv's pages, beside ours
PAGE, STEPS = "index.html", "steps.json"
WRITER = "history publish"


@dataclass(frozen=True)
class Published:
    """What was read and written."""

    history: History
    found: list[Found]
    page: Path


def publish(repository: Path, results: Path, output: Path) -> Published:
    """Write the pages.

    Raises:
        HistoryError: the folder holds no result.
        NoRuptures: ruptures is not installed.
        InTheWay: the folder holds what is not ours in place of a page; nothing was written.
    """
    order = git(repository, "rev-list", "--reverse", "--topo-order", "--all").split()
    history = read(results, order)
    if not history.series:
        odd = f": {'; '.join(history.oddities)}" if history.oddities else ""
        raise HistoryError(f"{results} holds no results{odd}")
    found = [Found(series, step) for series in history.series for step in steps.find(series)]
    # The surest first, then the largest.
    found.sort(key=lambda f: (-f.step.sure, -abs(f.step.size)))
    output_folder.check(output, WRITER, [PAGE, STEPS])
    with tempfile.TemporaryDirectory(prefix="maxbench-publish-") as scratch:
        html, links = _graphs(repository, results, Path(scratch), history, set(order))
        output_folder.fill(output, WRITER, {
            **(pages(html, f"{GRAPHS}/") if html is not None else {}),
            STEPS: files.encode(json.dumps(as_json(history, found), indent=1, ensure_ascii=False) + "\n"),
            PAGE: files.encode(page.render(history, found, order, links)),
        })  # fmt: skip
    return Published(history, found, output / PAGE)


def as_json(history: History, found: Sequence[Found]) -> dict[str, Any]:
    """The steps and the oddities."""
    return {
        "schema": 1,
        "series": len(history.series),
        "oddities": history.oddities,
        "steps": [
            {
                "machine": f.series.machine, "benchmark": f.series.name, "environment": f.series.environment,
                "suspects": f"{f.step.before}..{f.step.after}", "first_after": f.step.after, "size": f.step.size,
                "confidence": f.step.confidence, "sure": f.step.sure,
            }
            for f in found
        ],
    }  # fmt: skip


def _graphs(
    repository: Path, results: Path, folder: Path, history: History, known: Set[str]
) -> tuple[Path | None, list[Preset]]:
    """``asv publish`` on a copy that holds only files asv can read, so that a damaged one costs no graph.

    Args:
        folder: an empty one, for the copy and the pages.
        known: commits of the repository. Files of others are left out: asv passes what they call a commit to git.

    Returns:
        The folder of the pages, and links into it from the folder above its place; nothing where asv failed, which the
        history's oddities then say.
    """
    stored = asv_results.read(results)
    copied = [file.path for file in stored.files if file.commit in known]
    for path in [*copied, *sorted(results.glob("*/machine.json"))]:
        copy = folder / "results" / path.relative_to(results)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    (folder / "results").mkdir(exist_ok=True)
    files.write_json(folder / "results" / asv_results.BENCHMARKS, {**stored.benchmarks, "version": 2})
    settings = {
        **configuration(repository), "repo": str(repository), "results_dir": str(folder / "results"),
        "html_dir": str(folder / "html"), "env_dir": str(folder / "env"),
    }  # fmt: skip
    files.write_json(folder / CONFIGURATION, settings)
    command = launch.python("-m", "asv", "publish", "--no-pull", "--config", str(folder / CONFIGURATION))
    ending = launch.Child(command, cwd=folder, env=calls.environment()).wait()
    if not ending.ok:
        history.oddities.append(f"asv publish failed, so its graphs are missing: {ending}")
        return None, []
    index = folder / "html" / "index.html"
    try:
        files.write_text(index, local_data(index.read_text("utf-8"), folder / "html"))
    except PublishFailed as error:
        history.oddities.append(f"asv's graphs can be read over HTTP only: {error}")
    benchmarks = json.loads((folder / "html" / "index.json").read_text("utf-8"))["benchmarks"]
    links = [replace(preset, address=f"{GRAPHS}/{preset.address}") for preset in presets(benchmarks)]
    return folder / "html", links
