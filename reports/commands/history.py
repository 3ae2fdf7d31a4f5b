"""``maxbench history``: measure commits with asv, and show where a series changes."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path

from maxbench.bench.inputs import grid

from ..gate import trees
from ..history import run, steps
from ..measure import environment, precheck
from ..system import files
from ..system.progress import Bar
from ..system.usage import UsageError
from . import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``maxbench history``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    common = argparse.ArgumentParser(add_help=False)
    options.add(common, "--repository")
    common.add_argument(
        "--results", type=Path, metavar="DIR", help=f"shared by machines (default: {run.RESULTS} of the checkout)"
    )
    measuring = actions.add_parser("run", parents=[common], help="measure commits; those that are there are skipped")
    measuring.add_argument("range", metavar="RANGE", help="a range such as v1.0..main, or one revision for it alone")
    options.add(measuring, "--machine")
    measuring.add_argument(
        "--every", type=options.count, default=1, metavar="N", help="only every Nth commit, and the last"
    )
    measuring.add_argument(
        "--bench", action="append", metavar="REGEX",
        help=f"asv's own option: benchmarks by a regular expression (default: {' '.join(run.DEFAULT)}); repeatable",
    )  # fmt: skip
    measuring.add_argument("--full", action="store_true", help="the whole grid")
    measuring.add_argument("--again", action="store_true", help="also commits that are there")
    showing = actions.add_parser("publish", parents=[common], help="write asv's pages and the page with the steps")
    options.add(showing, "--output", default=Path("maxbench-results/history"), help="for the pages")


def main(args: argparse.Namespace) -> int:
    """0: done; 1: some commits could not be measured."""
    try:
        repository = trees.repository(args.repository)
        results = args.results or repository / run.RESULTS
        return _run(args, repository, results) if args.action == "run" else _publish(args, repository, results)
    except (trees.SourceError, run.HistoryError, steps.NoRuptures) as error:
        raise UsageError(str(error)) from None


def _run(args: argparse.Namespace, repository: Path, results: Path) -> int:
    if bad := [word for word in args.bench or () if word.startswith("-")]:
        raise UsageError(f"--bench {bad[0]!r} would be an option to asv: accepted are expressions that begin otherwise")
    machine = args.machine or files.safe_name(platform.node() or "unknown")
    if args.full:
        os.environ[grid.GRID] = "full"
    found = run.commits(repository, args.range)
    # Counted from the newest, which is always among them.
    chosen = found[::-1][:: args.every][::-1]
    select = args.bench or run.DEFAULT
    there = set() if args.again else run.measured(results, machine, run.expressions(select), grid.name())
    todo = [commit for commit in chosen if commit not in there]
    print(f"{len(chosen)} commits, {len(chosen) - len(todo)} of them measured before on {machine}", flush=True)
    runner = run.Runner(repository, results, machine, select)
    if todo:
        precheck.announce(environment.usable_cpus())
    failed = 0
    with Bar() as bar:
        for index, commit in enumerate(todo):
            bar.show(f"measuring {commit[:8]}", index, len(todo), None)
            try:
                runner.run(commit, lambda line, i=index: bar.show(line.strip()[:60], i, len(todo), None))  # type: ignore[misc]
            except run.HistoryError as error:
                # A commit that cannot be built is common in a history; the others are wanted all the same.
                failed += 1
                print(f"{commit[:8]} was not measured: {error}", file=sys.stderr)
    print(f"{len(todo) - failed} commits were measured into {results}, {failed} failed")
    return 1 if failed else 0


def _publish(args: argparse.Namespace, repository: Path, results: Path) -> int:
    from ..history import publish  # pandas and Matplotlib

    published = publish.publish(repository, results, args.output)
    for oddity in published.history.oddities:
        print(f"note: {oddity}")
    for f in published.found:
        word = "step" if f.step.sure else "possible step"
        print(
            f"{word} of {f.step.size:+.1%} in {f.step.before[:8]}..{f.step.after[:8]} "
            f"(confidence {f.step.confidence:.1%}): {f.series.name} on {f.series.machine}"
        )
    sure = sum(f.step.sure for f in published.found)
    print(f"{len(published.history.series)} series, {sure} steps: {published.page}")
    return 0
