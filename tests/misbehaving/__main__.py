"""Which command of maxbench survives which plug-in: prints a table in Markdown.

``python -m tests.misbehaving`` installs all of them at once beside an honest one. ``--each`` runs ``list`` and
``check`` once a plug-in instead, for a version that one of them takes down.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from tests.reports.gate.conftest import Repository

from . import cheats, commands
from .commands import Done
from .install import PLUGINS, install
from .plugin import LARGEST, Plugin

COMMANDS = ("list", "check", "run", "side-by-side", "gate", "report")
Cells = dict[str, str]  # by plug-in; nothing where all is as it must be

_PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "misbehaving"
version = "1.0"

[tool.hatch.build.targets.wheel]
include = ["*.py"]

[project.entry-points."maxbench.impls"]
"""


class Table:
    """Runs the commands on the chosen plug-ins, in a folder of its own."""

    def __init__(self, chosen: Sequence[Plugin], work: Path, timeout: float) -> None:
        self.chosen, self.work, self.timeout = chosen, work, timeout
        self.folder = install(work / "installed", chosen)
        np.save(work / "x.npy", np.random.default_rng(0).standard_normal(cheats.SHAPE).astype(np.float32))

    def cells(self, command: str, chosen: Sequence[Plugin]) -> Cells:
        """The judgement on every plug-in after one call of a command."""
        judge: Callable[[Sequence[Plugin]], Cells] = getattr(self, f"_{command.replace('-', '_')}")
        try:
            cells = judge(chosen)
        except AssertionError as error:
            cells = dict.fromkeys((plugin.name for plugin in chosen), " ".join(str(error).split()))
        return cells

    def _maxbench(self, *words: str | Path) -> Done:
        done = commands.maxbench(self.folder, *words, timeout=self.timeout, cwd=self.work)
        left = f"; still running: {', '.join(done.left)}" if done.left else ""
        print(f"{words[0]}: {done.end} after {done.seconds:.1f} s{left}", file=sys.stderr)
        return done

    def _list(self, chosen: Sequence[Plugin]) -> Cells:
        rows = self._maxbench("list", *_names(chosen), "good", "--format", "json").rows()
        lost = [r["reason"] for r in rows if r["implementation"] == "good" and r["status"] != "available"]
        assert not lost, f"good harmed: {lost}"
        return {plugin.name: commands.listed(plugin, rows) for plugin in chosen}

    def _check(self, chosen: Sequence[Plugin]) -> Cells:
        words = ["--dtype", "float32", "--dtype", "float16", "--format", "json"]
        findings = self._maxbench("check", *_names(chosen), "good", *words).rows()
        assert not commands.harmed(findings), commands.harmed(findings)
        return {plugin.name: commands.checked(plugin, findings) for plugin in chosen}

    def _run(self, chosen: Sequence[Plugin]) -> Cells:
        only = [word for name in (*_names(chosen), "good", "numpy_vectorized") for word in ("--only", name)]
        words: list[str | Path] = ["--array", self.work / "x.npy", "--output", self.work / "run"]
        done = self._maxbench("run", *words, "--processes", "1", "--operation", "softmax", *only)
        rows = commands.table(self.work / "run")
        for name in ("good", "numpy_vectorized"):
            assert commands.times_of(name, rows), f"{name} not ranked: {done.end}"
        return {plugin.name: commands.ranked(plugin, rows) if plugin.to_be_refused else "" for plugin in chosen}

    def _report(self, chosen: Sequence[Plugin]) -> Cells:
        """Of the run before."""
        done = self._maxbench("report", self.work / "run", "--output", self.work / "report")
        assert done.status == 0, f"command lost: {done.end}"
        page = (self.work / "report" / "index.html").read_text("utf-8")
        return {plugin.name: "" if plugin.name in page else "not in the report" for plugin in chosen}

    def _side_by_side(self, chosen: Sequence[Plugin]) -> Cells:
        """It measures none of them: they must change nothing."""
        words = ["--operation", "softmax", "--dtype", "float32", "--input", "ImageNet", "--threads", "1"]
        words += ["--processes", "1", "--samples", "1"]
        done = self._maxbench("side-by-side", *words, "--output", self.work / "side-by-side")
        assert done.status == 0, f"command lost: {done.end}"
        return dict.fromkeys((plugin.name for plugin in chosen), "")

    def _gate(self, chosen: Sequence[Plugin]) -> Cells:
        """In a repository whose head turns every honest plug-in into the one that misbehaves."""
        folder = self.work / "repository"
        folder.mkdir()
        repository = Repository(folder)
        points = [f'"softmax.{plugin.name}" = "misbehaving_{plugin.name}"' for plugin in chosen]
        (folder / "pyproject.toml").write_text(
            "\n".join([_PYPROJECT.strip(), *points, '"softmax.good" = "honest"', ""])
        )
        names = [plugin.name for plugin in chosen]
        good = (self.folder / "misbehaving_softmax.py").read_text("utf-8").replace("largest=100_000", "largest=None")
        for plugin in chosen:
            (folder / f"misbehaving_{plugin.name}.py").write_text(good)
        (folder / "honest.py").write_text(good)
        repository.commit("base")
        for plugin in chosen:
            (folder / f"misbehaving_{plugin.name}.py").write_text(_of_gate(plugin))
        repository.commit("head")
        output = self.work / "gate"
        budget = str(60 + 8 * len(chosen))
        words: list[str | Path] = ["--repository", folder, "--output", output, "--no-starts", "--budget", budget]
        only = [word for plugin in (*names, "good") for word in ("--only", f"softmax.{plugin}[float32,256x1000]")]
        done = self._maxbench("gate", "base", "head", *words, *only)
        path = output / "gate.json"
        results = json.loads(path.read_text("utf-8")).get("results") if path.exists() else None
        assert results, f"command lost: {done.end}"
        verdicts = {r["name"].partition("[")[0].removeprefix("softmax."): r["verdict"] for r in results}
        print(f"gate: {verdicts}", file=sys.stderr)
        measured = ("unchanged", "faster", "slower", "inconclusive")
        assert verdicts.get("good") in measured, f"good is {verdicts.get('good')}"
        cells = {}
        for plugin in chosen:
            verdict = verdicts.get(plugin.name, "not named")
            timed = plugin.to_be_refused and verdict in measured
            cells[plugin.name] = verdict if timed or verdict == "not named" else ""
        return cells


def main() -> int:
    """0: every plug-in is reported as it must be by every command; 1: one is not."""
    parser = argparse.ArgumentParser(prog="python -m tests.misbehaving", description=__doc__)
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=COMMANDS)
    parser.add_argument("--kinds", nargs="+", default=["*"], metavar="PATTERN", help="e.g. 'import_*'")
    parser.add_argument("--without", nargs="+", default=[], metavar="PATTERN", help="of these none")
    parser.add_argument("--each", action="store_true", help="list and check: one call a plug-in")
    parser.add_argument("--timeout", type=float, default=600, metavar="SECONDS", help="of one call of a command")
    args = parser.parse_args()
    chosen = [p for p in PLUGINS if _matches(p, args.kinds) and not _matches(p, args.without)]
    if not chosen:
        parser.error(f"no plug-in matches {args.kinds}: there are {', '.join(plugin.name for plugin in PLUGINS)}")
    with tempfile.TemporaryDirectory(prefix="misbehaving-", ignore_cleanup_errors=True) as work:
        table = Table(chosen, Path(work), args.timeout)
        columns: dict[str, Cells] = {}
        for command in args.commands:
            columns[command] = {}
            for group in [[plugin] for plugin in chosen] if args.each and command in ("list", "check") else [chosen]:
                columns[command].update(table.cells(command, group))
    for line in _markdown(chosen, columns):
        print(line)
    return int(any(cell for cells in columns.values() for cell in cells.values()))


def _markdown(chosen: Sequence[Plugin], columns: dict[str, Cells]) -> Iterator[str]:
    yield " | ".join(["| plug-in | expected", *columns]) + " |"
    yield "|---|---" + "|---" * len(columns) + "|"
    for plugin in chosen:
        cells = [cells[plugin.name].replace("|", "\\|") or "✓" for cells in columns.values()]
        yield " | ".join([f"| {plugin.name} | {plugin.status}", *cells]) + " |"
    counts = [f"{sum(not cell for cell in cells.values())} of {len(cells)}" for cells in columns.values()]
    yield " | ".join(["| as expected | ", *counts]) + " |"


def _matches(plugin: Plugin, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(plugin.name, pattern) for pattern in patterns)


def _of_gate(plugin: Plugin) -> str:
    """Its source for the arrays of the gate, which are larger."""
    return plugin.source.replace(f"largest={LARGEST}", "largest=None").replace(str(cheats.SHAPE), "(256, 1000)")


def _names(chosen: Sequence[Plugin]) -> list[str]:
    """Patterns that match these alone: a bare word would match wherever it occurs."""
    return [f"softmax.{plugin.name[:-1]}?" for plugin in chosen]


if __name__ == "__main__":
    sys.exit(main())
