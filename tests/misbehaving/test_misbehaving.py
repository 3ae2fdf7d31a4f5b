"""Every misbehaving plug-in costs its own results, is reported with its reason, and harms no other implementation.

One ``list``, one ``check`` and one ``run`` over all of them.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.needs import ALL

from . import cheats, commands
from .install import PLUGINS, install
from .plugin import OUTPUT, TIME, Plugin

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the plug-ins use signals and forks of POSIX")

LIMITS = (OUTPUT, TIME)
# A sample of what misbehaves at import for `list`, of that and of what misbehaves in a call for `check`, and of cheats
# for `run`. With MAXBENCH_ALL_TESTS set, and by the script (`python -m tests.misbehaving`), all of them.
AT_IMPORT = [plugin for plugin in PLUGINS if plugin.when == "import"][:: 1 if ALL else 4]
CHECKED = [p for p in PLUGINS if p.when == "call"][:: 1 if ALL else 3]
CHECKED += [p for p in PLUGINS if p.when == "import" and p.reason not in LIMITS][2 :: 1 if ALL else 9]
CHEATS = [plugin for plugin in PLUGINS if plugin.when == "cheat"][:: 1 if ALL else 2]


def named(plugins: list[Plugin]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("plugin", plugins, ids=lambda plugin: plugin.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("misbehaving"))


@pytest.fixture(scope="module")
def listed(folder: Path) -> commands.Done:
    limits = {"MAXBENCH_LIMIT_SECONDS": "8", "MAXBENCH_LIMIT_BYTES": str(1 << 28)}
    names = [f"softmax.{plugin.name[:-1]}?" for plugin in AT_IMPORT]
    return commands.maxbench(folder, "list", *names, "good", "--format", "json", limits=limits, timeout=150)


@pytest.fixture(scope="module")
def checked(folder: Path) -> commands.Done:
    words = ["--dtype", "float32", "--dtype", "float16", "--format", "json", "--jobs", "4"]
    names = [f"softmax.{plugin.name[:-1]}?" for plugin in CHECKED]
    limits = {"MAXBENCH_LIMIT_SECONDS": "12"}
    return commands.maxbench(folder, "check", *names, "good", *words, limits=limits, timeout=300)


@pytest.fixture(scope="module")
def ran(folder: Path) -> commands.Done:
    np.save(folder / "x.npy", np.random.default_rng(0).standard_normal(cheats.SHAPE).astype(np.float32))
    words: list[str | Path] = ["--array", folder / "x.npy", "--output", folder / "run"]
    words += ["--operation", "softmax", "--processes", "1"]
    for name in ("good", *(plugin.name for plugin in CHEATS)):
        words += ["--only", f"softmax.{name}"]
    return commands.maxbench(folder, "run", *words, timeout=300)


def test_there_are_enough() -> None:
    assert len([p for p in PLUGINS if p.when != "cheat"]) >= 60
    assert len([p for p in PLUGINS if p.when == "cheat"]) >= 15
    assert len({plugin.name for plugin in PLUGINS}) == len(PLUGINS)


def test_list_ends_as_if_all_behaved(listed: commands.Done) -> None:
    assert listed.status == 0, listed.end
    assert not listed.left
    rows = [row for row in listed.rows() if row["implementation"] == "good"]
    assert {row["operation"]: row["status"] for row in rows} == {"softmax": "available", "argmax": "available"}


@named(AT_IMPORT)
def test_list(listed: commands.Done, plugin: Plugin) -> None:
    assert not commands.listed(plugin, listed.rows())


def test_check_ends_with_what_is_wrong_and_harms_nobody(checked: commands.Done) -> None:
    assert checked.status == 1, checked.end
    assert not checked.left
    assert not commands.harmed(checked.rows())


@named(CHECKED)
def test_check(checked: commands.Done, plugin: Plugin) -> None:
    assert not commands.checked(plugin, checked.rows())


def test_run_ends_with_what_is_wrong_and_ranks_the_honest(folder: Path, ran: commands.Done) -> None:
    assert ran.status == 1, ran.end
    assert not ran.left
    assert commands.times_of("good", commands.table(folder / "run"))


@named(CHEATS)
def test_run_ranks_no_cheat(folder: Path, ran: commands.Done, plugin: Plugin) -> None:
    assert not commands.ranked(plugin, commands.table(folder / "run"))
    if not plugin.seconds:
        assert commands.accused(folder / "run").get(plugin.name), f"no reason is given; {ran.end}"


def test_the_judge_of_these_tests_sees_what_is_amiss() -> None:
    """What the assertions above rest on, tried on made-up reports."""
    plugin = next(p for p in PLUGINS if p.name == "call_abort")
    finding = {"operation": "softmax", "implementation": plugin.name, "case": "", "dtype": "", "declared": ""}
    assert "expected failed" in commands.checked(plugin, [{**finding, "status": "agrees", "detail": ""}])
    assert "expected failed" in commands.checked(plugin, [{**finding, "status": "wrong", "detail": "SIGABRT"}])
    assert "expected 'SIGABRT'" in commands.checked(plugin, [{**finding, "status": "failed", "detail": "SIGKILL"}])
    assert not commands.checked(plugin, [{**finding, "status": "failed", "detail": "killed by SIGABRT"}])
    assert commands.checked(plugin, [{**finding, "status": "failed", "detail": "SIGABRT \x1b[0m"}])
    assert commands.checked(plugin, [{**finding, "status": "failed", "detail": "SIGABRT" + "x" * (1 << 17)}])
    assert commands.checked(plugin, []) == "no finding"
    honest = next(p for p in PLUGINS if p.name == "call_returns_view")
    agrees = [{**finding, "implementation": name, "status": "agrees", "detail": ""} for name in (honest.name, "good")]
    assert not commands.checked(honest, agrees)
    assert "expected nothing wrong" in commands.checked(honest, [*agrees, agrees[1]])  # cases are missing
