"""Driving asv: one ``asv run`` per round over the installed package, in a results folder of its own.

A round measures every cell once, each in a process forked from a server that is started anew with the round, so that
rounds differ as processes do (address layout, page placement). What is kept is what the cells report as they are
measured: asv saves as it ends, in place, and is not asked to.
"""

from __future__ import annotations

import json
import os
import re
import site
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maxbench import bench
from maxbench.bench.processes import launch

from ..records import asv_writing, journal_rows
from ..records.asv_results import BENCHMARKS
from ..records.journal import Journal
from ..records.run import Machine
from ..system import files

CONFIGURATION = "asv.conf.json"


class AsvFailed(RuntimeError):
    """asv could not do its work; the message has the end of what it printed."""


@dataclass
class Driver:
    """asv in one run folder.

    Attributes:
        folder: holds asv's results and log, and the journal.
        machine: the machine's name, which asv keeps results under.
        commit: 40 hexadecimal digits that asv keeps results under.
        variables: the environment of every benchmark process.
        child: asv, while it runs.
    """

    folder: Path
    machine: str
    commit: str
    variables: Mapping[str, str]
    child: launch.Child | None = None
    _scratch: tempfile.TemporaryDirectory[str] | None = None

    @property
    def results(self) -> Path:
        """asv's results folder."""
        return self.folder / "asv" / "results"

    @property
    def log(self) -> Path:
        """All that asv printed."""
        return self.folder / "asv.log"

    def prepare(self, machine: Machine) -> None:
        """Write asv's configuration, and the machine's file among the results.

        asv writes in place, and looks for machines in the home folder whatever its configuration says: it gets a folder
        of its own for both, which is removed, so that the run's and the user's are left alone.
        """
        # Its end may find a process that is being ended still writing into it.
        self._scratch = tempfile.TemporaryDirectory(prefix="asv-", ignore_cleanup_errors=True)
        scratch = Path(self._scratch.name)
        files.write_json(scratch / CONFIGURATION, {
            "version": 1, "project": "maxbench", "repo": ".", "dvcs": "installed",
            "plugins": [".maxbench.bench.asv_plugin"], "environment_type": "existing",
            "benchmark_dir": str(Path(bench.__file__).resolve().parent),
            "results_dir": "results", "html_dir": "html", "env_dir": "env",
        })  # fmt: skip
        about = asv_writing.asv_machine(self.machine, machine)
        files.write_json(scratch / ".asv-machine.json", {"version": 1, self.machine: about})
        (self.results / self.machine).mkdir(parents=True, exist_ok=True)
        files.write_json(self.results / self.machine / "machine.json", {**about, "version": 1})

    def discover(self, select: Sequence[str], tick: Callable[[], None]) -> dict[str, dict[str, Any]]:
        """The benchmarks that asv finds and whose names match one of these expressions, by name.

        What `tick`, called several times a second, raises ends asv.

        Raises:
            AsvFailed: asv could not import the benchmarks.
        """
        ending = self._asv(["run", "--bench", "just-discover", *self._where()], tick)
        try:
            everything = json.loads((self._home / "results" / BENCHMARKS).read_text("utf-8"))
        except (OSError, ValueError):
            tick()  # it may have ended by the signal that ends this command as well
            raise AsvFailed(self._failure(ending)) from None
        found = {
            name: benchmark
            for name, benchmark in everything.items()
            if isinstance(benchmark, dict) and any(re.search(expression, name) for expression in select)
        }
        files.write_json(self.results / BENCHMARKS, {**found, "version": everything.get("version")})
        return found

    def round(self, select: Sequence[str], tick: Callable[[], None]) -> None:
        """Measure every selected cell once more; `tick` is called several times a second.

        What is measured is in what the cells report. What `tick` raises ends asv.

        Raises:
            AsvFailed: asv could not do its work.
        """
        words = [word for expression in select for word in ("--bench", expression)]
        options = ["--launch-method", "forkserver", "--attribute", "rounds=1", "--dry-run"]
        ending = self._asv(["run", *words, *self._where(), *options], tick)
        # 2: some benchmarks failed, which the cells say.
        if ending.status not in (0, 2) or ending.why:
            tick()
            raise AsvFailed(self._failure(ending))

    def save(self, benchmarks: Mapping[str, Mapping[str, Any]], journal: Journal) -> None:
        """Write the result file of what was measured.

        Args:
            benchmarks: as `discover` found them.
        """
        where = self.results / self.machine
        where.mkdir(parents=True, exist_ok=True)
        content = journal_rows.content(benchmarks, journal, self.machine, self.commit)
        files.write_json(asv_writing.path(where, journal_rows.ENVIRONMENT, self.commit), content)

    def _where(self) -> list[str]:
        return ["-E", f"existing:{sys.executable}", "--set-commit-hash", self.commit, "--machine", self.machine]

    @property
    def _home(self) -> Path:
        if self._scratch is None:
            raise RuntimeError("the driver is not prepared")
        return Path(self._scratch.name)

    def _asv(self, words: Sequence[str], tick: Callable[[], None]) -> launch.Ending:
        """Run asv to its end."""
        home = self._home
        env = launch.environment({
            # What is in the home folder is found when it moves.
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
            "PYTHONUSERBASE": os.environ.get("PYTHONUSERBASE", site.getuserbase()),
            "HOME": str(home),
            "USERPROFILE": str(home),
            **self.variables,
        })  # fmt: skip
        env["ASV_PYTHONPATH"] = env["PYTHONPATH"]  # asv drops the other
        with open(self.log, "ab") as log:
            log.write(f"\n$ asv {' '.join(words)}\n".encode())
        self.child = launch.Child(
            launch.python("-m", "asv", *words, "--config", CONFIGURATION), cwd=home, env=env, log=self.log
        )
        try:
            return self.child.wait(tick)
        finally:
            self.child = None

    def _failure(self, ending: launch.Ending) -> str:
        tail = self.log.read_text("utf-8", errors="replace").split("\n$ asv ")[-1].strip().splitlines()[-12:]
        return "\n".join([f"asv ended with {ending.cause} without measuring all. It printed last:", *tail])


def cell_expression(benchmark: str, params: Sequence[str]) -> str:
    """The expression by which ``asv run --bench`` selects one cell and nothing else."""
    cell = f"{benchmark}({', '.join(params)})"
    return f"^{re.escape(cell)}$"
