"""Driving asv: one ``asv run`` per round over the installed package, in a results folder of its own.

A round measures every cell once, each in a process forked from a server that is started anew with the round, so that
rounds differ as processes do (address layout, page placement). asv saves when it ends: rounds apart are also what
keeps the earlier ones when a later one is cut off.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench
from bench import grid

from . import files

POLL_SECONDS = 0.2


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
    """

    folder: Path
    machine: str
    commit: str
    variables: Mapping[str, str]

    @property
    def results(self) -> Path:
        """asv's results folder."""
        return self.folder / "asv" / "results"

    @property
    def log(self) -> Path:
        """All that asv printed."""
        return self.folder / "asv.log"

    @property
    def stop_file(self) -> Path:
        """Its existence tells benchmark processes to end without measuring."""
        return self.folder / "asv" / "stop"

    def prepare(self, machine: Mapping[str, Any]) -> None:
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
                self.machine: {
                    "machine": self.machine,
                    "os": str(machine["os"]),
                    "arch": str(machine["arch"]),
                    "cpu": str(machine["cpu"]),
                    "num_cpu": str(machine["cores_logical"]),
                    "ram": str(machine["memory_bytes"]),
                },
            },
        )
        self.stop_file.unlink(missing_ok=True)

    def discover(self, select: Sequence[str], tick: Callable[[], None]) -> dict[str, dict[str, Any]]:
        """The benchmarks that asv finds and whose names match one of these expressions, by name.

        What `tick`, called every POLL_SECONDS, raises ends asv.

        Raises:
            AsvFailed: asv could not import the benchmarks.
        """
        code = _wait(self._start(["run", "--bench", "just-discover", *self._where()]), tick)
        try:
            found = json.loads((self.results / "benchmarks.json").read_text("utf-8"))
        except (OSError, ValueError):
            raise AsvFailed(self._failure(code)) from None
        return {
            name: benchmark
            for name, benchmark in found.items()
            if isinstance(benchmark, dict) and any(re.search(expression, name) for expression in select)
        }

    def round(self, select: Sequence[str], tick: Callable[[], None]) -> None:
        """Measure every selected cell once more and save; `tick` is called every POLL_SECONDS.

        A KeyboardInterrupt that `tick` raises ends asv in order where nothing has been saved yet, so that this round's
        figures so far are kept, and at once where something has: then this round's are dropped.

        Raises:
            AsvFailed: nothing was saved.
        """
        before = self._saved()
        backup = {path: path.read_bytes() for path in before}
        words = [word for expression in select for word in ("--bench", expression)]
        options = ["--launch-method", "forkserver", "--attribute", "rounds=1", "--record-samples"]
        if before:
            options.append("--append-samples")
        process = self._start(["run", *words, *self._where(), *options])
        try:
            code = _wait(process, tick, kill_on_interrupt=bool(before))
        except KeyboardInterrupt:
            if before:
                for path, content in backup.items():
                    files.write_bytes(path, content)
            else:
                self.stop_file.touch()
                _wait(process, lambda: None)
            raise
        # 2: some benchmarks failed, which the results say.
        if code not in (0, 2) or not self._saved():
            raise AsvFailed(self._failure(code))

    def _saved(self) -> dict[Path, float]:
        return {
            path: path.stat().st_mtime
            for path in (self.results / self.machine).glob("*.json")
            if path.name != "machine.json"
        }

    def _where(self) -> list[str]:
        return ["-E", f"existing:{sys.executable}", "--set-commit-hash", self.commit, "--machine", self.machine]

    def _start(self, words: Sequence[str]) -> subprocess.Popen[bytes]:
        home = self.folder / "asv" / "home"
        env = {
            **os.environ,
            # Caches stay where they are when the home folder moves.
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
            "HOME": str(home),
            "USERPROFILE": str(home),
            grid.STOP: str(self.stop_file),
            **self.variables,
        }
        with open(self.log, "ab") as log:
            log.write(f"\n$ asv {' '.join(words)}\n".encode())
            log.flush()
            # A session of its own: Ctrl-C reaches asv only through us, which would otherwise lose everything.
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "asv", *words, "--config", "asv.conf.json"],
                cwd=self.folder / "asv",
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _failure(self, code: int) -> str:
        tail = self.log.read_text("utf-8", errors="replace").split("\n$ asv ")[-1].strip().splitlines()[-12:]
        return "\n".join([f"asv ended with status {code} and saved no results. It printed last:", *tail])


def _wait(process: subprocess.Popen[bytes], tick: Callable[[], None], *, kill_on_interrupt: bool = True) -> int:
    try:
        while process.poll() is None:
            tick()
            time.sleep(POLL_SECONDS)
        if process.returncode not in (0, 2):
            tick()  # Ctrl-C reaches a process that has just been forked, and is no session of its own yet, as well
    except BaseException as error:
        if kill_on_interrupt or not isinstance(error, KeyboardInterrupt):
            _kill(process)
        raise
    return process.returncode


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End asv with its fork server and whatever they run."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGTERM)
            time.sleep(0.5)
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    else:
        process.kill()
    process.wait()


def cell_expression(benchmark: str, params: Sequence[str]) -> str:
    """The expression by which ``asv run --bench`` selects one cell and nothing else."""
    cell = f"{benchmark}({', '.join(params)})"
    return f"^{re.escape(cell)}$"
