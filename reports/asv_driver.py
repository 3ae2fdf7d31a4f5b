"""Driving asv: one ``asv run`` per round over the installed package, in a results folder of its own.

A round measures every cell once, each in a process forked from a server that is started anew with the round, so that
rounds differ as processes do (address layout, page placement). asv saves when it ends: rounds apart are also what
keeps the earlier ones when a later one is cut off.
"""

from __future__ import annotations

import json
import os
import re
import site
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asv.environment import get_env_name

import bench
from bench import launch

from . import asv_writing, files
from .records.run import Machine


class AsvFailed(RuntimeError):
    """asv ended without saving results; the message has the end of what it printed."""


@dataclass
class Driver:
    """asv in one run folder.

    Attributes:
        folder: holds asv's configuration, results and log, and the journal.
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

    @property
    def results(self) -> Path:
        """asv's results folder."""
        return self.folder / "asv" / "results"

    @property
    def log(self) -> Path:
        """All that asv printed."""
        return self.folder / "asv.log"

    def prepare(self, machine: Machine) -> None:
        """Write asv's configuration and machine file.

        asv looks for machines in the home folder, whatever its configuration says: it gets one of its own, so that a
        run leaves the user's alone.
        """
        (self.folder / "asv" / "home").mkdir(parents=True, exist_ok=True)
        files.write_json(
            self.folder / "asv" / "asv.conf.json",
            {
                "version": 1,
                "project": "maxbench",
                "repo": ".",
                "dvcs": "installed",
                "plugins": [".bench.installed"],
                "environment_type": "existing",
                "benchmark_dir": str(Path(bench.__file__).resolve().parent),
                "results_dir": "results",
                "html_dir": "html",
                "env_dir": "env",
            },
        )
        files.write_json(
            self.folder / "asv" / "home" / ".asv-machine.json",
            {
                "version": 1,
                self.machine: asv_writing.asv_machine(self.machine, machine),
            },
        )

    def discover(self, select: Sequence[str], tick: Callable[[], None]) -> dict[str, dict[str, Any]]:
        """The benchmarks that asv finds and whose names match one of these expressions, by name.

        What `tick`, called several times a second, raises ends asv.

        Raises:
            AsvFailed: asv could not import the benchmarks.
        """
        ending = self._asv(["run", "--bench", "just-discover", *self._where()], tick)
        try:
            found = json.loads((self.results / "benchmarks.json").read_text("utf-8"))
        except (OSError, ValueError):
            tick()  # it may have ended by the signal that ends this command as well
            raise AsvFailed(self._failure(ending)) from None
        return {
            name: benchmark
            for name, benchmark in found.items()
            if isinstance(benchmark, dict) and any(re.search(expression, name) for expression in select)
        }

    def round(self, select: Sequence[str], tick: Callable[[], None]) -> None:
        """Measure every selected cell once more and save; `tick` is called several times a second.

        What `tick` raises ends asv, and what it had saved before stays as it was.

        Raises:
            AsvFailed: nothing was saved.
        """
        before = self._saved()
        words = [word for expression in select for word in ("--bench", expression)]
        options = ["--launch-method", "forkserver", "--attribute", "rounds=1", "--record-samples"]
        if before:
            options.append("--append-samples")
        try:
            ending = self._asv(["run", *words, *self._where(), *options], tick)
        except BaseException:
            for path, content in before.items():
                files.write_bytes(path, content)
            raise
        # 2: some benchmarks failed, which the results say.
        if ending.status not in (0, 2) or ending.why or not self._saved():
            tick()
            raise AsvFailed(self._failure(ending))

    def keep(
        self, benchmarks: Mapping[str, Mapping[str, Any]], rows: Mapping[str, Mapping[tuple[str, ...], Any]]
    ) -> None:
        """Save what a first round had measured when it was interrupted, where asv would have, so that it adds to it.

        Args:
            benchmarks: as `discover` found them.
            rows: benchmark -> parameters -> row, as `asv_writing` makes them; a cell without one, now or from an
                earlier interruption, has failed.
        """
        where = self.results / self.machine
        if not rows:
            return
        where.mkdir(parents=True, exist_ok=True)
        environment = get_env_name("existing", sys.executable.replace(os.path.sep, "_"), {}, {})
        earlier = asv_writing.rows(where, environment, self.commit)
        full = {
            name: (list(map(list, benchmarks[name]["params"])), {**earlier.get(name, {}), **rows.get(name, {})})
            for name in dict.fromkeys([*earlier, *rows])
        }
        version = next((str(benchmarks[name]["version"]) for name in full), "")
        asv_writing.write(where, environment, self.commit, version, full, missing=None)

    def _saved(self) -> dict[Path, bytes]:
        return {
            path: path.read_bytes()
            for path in (self.results / self.machine).glob("*.json")
            if path.name != "machine.json"
        }

    def _where(self) -> list[str]:
        return ["-E", f"existing:{sys.executable}", "--set-commit-hash", self.commit, "--machine", self.machine]

    def _asv(self, words: Sequence[str], tick: Callable[[], None]) -> launch.Ending:
        """Run asv to its end."""
        home = self.folder / "asv" / "home"
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
            launch.python("-m", "asv", *words, "--config", "asv.conf.json"),
            cwd=self.folder / "asv",
            env=env,
            log=self.log,
        )
        try:
            return self.child.wait(tick)
        finally:
            self.child = None

    def _failure(self, ending: launch.Ending) -> str:
        tail = self.log.read_text("utf-8", errors="replace").split("\n$ asv ")[-1].strip().splitlines()[-12:]
        return "\n".join([f"asv ended with {ending.cause} and saved no results. It printed last:", *tail])


def cell_expression(benchmark: str, params: Sequence[str]) -> str:
    """The expression by which ``asv run --bench`` selects one cell and nothing else."""
    cell = f"{benchmark}({', '.join(params)})"
    return f"^{re.escape(cell)}$"
