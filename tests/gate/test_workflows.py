"""The workflow files: valid by schema and linter, and every maxbench command in them is one that exists."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reports import cli
from reports.commands import check, gate, history

ROOT = Path(__file__).parent.parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DOCUMENT = ROOT / "docs" / "gate.md"
COMMANDS = {"gate": gate, "history": history, "check": check}


def _blocks() -> list[str]:
    """The YAML of the document."""
    return re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)


def _check(schema: str, *paths: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflows_and_the_action_fit_their_schemas(tmp_path: Path) -> None:
    assert {path.stem for path in WORKFLOWS} >= {"tests", "gate", "gate-comment", "history"}
    _check("vendor.github-workflows", *WORKFLOWS)
    _check("vendor.github-actions", ROOT / "action.yml")
    github, gitlab = tmp_path / "github.yml", tmp_path / "gitlab.yml"
    for path, block in zip((github, gitlab), _blocks(), strict=True):
        path.write_text(block)
    _check("vendor.github-workflows", github)
    _check("vendor.gitlab-ci", gitlab)


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not installed")
def test_workflows_pass_actionlint() -> None:
    done = subprocess.run(["actionlint", *map(str, WORKFLOWS)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def _scripts(node: Any) -> Iterator[str]:
    """Every shell script of a workflow, an action or a GitLab file."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("run", "script"):
                yield from [value] if isinstance(value, str) else value
            else:
                yield from _scripts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _scripts(value)


def _commands() -> list[str]:
    texts = [*(path.read_text("utf-8") for path in (*WORKFLOWS, ROOT / "action.yml")), *_blocks()]
    lines = [
        line.strip() for text in texts for script in _scripts(yaml.safe_load(text)) for line in script.splitlines()
    ]
    return [line for line in lines if line.startswith("maxbench ")]


@pytest.mark.parametrize("command", _commands())
def test_every_command_is_one_that_exists(command: str) -> None:
    name, *words = shlex.split(command)[1:]
    assert name in cli.COMMANDS
    parser = argparse.ArgumentParser(exit_on_error=False)
    COMMANDS[name].add_arguments(parser)
    parser.parse_args([word for word in words if word != "$OPTIONS"])


def test_what_runs_a_pull_requests_code_may_not_write() -> None:
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text("utf-8"))
        events = workflow[True]  # YAML reads the key `on` as true
        allowed = {**workflow["permissions"]}
        for job in workflow["jobs"].values():
            if "pull_request" in events:
                assert {**allowed, **job.get("permissions", {})} == {"contents": "read"}, path.name
            if "workflow_run" in events:
                assert not any("checkout" in step.get("uses", "") for step in job["steps"]), path.name
        assert "pull_request_target" not in events, path.name


def test_nothing_of_a_pull_request_is_pasted_into_a_script() -> None:
    texts = [path.read_text("utf-8") for path in (*WORKFLOWS, ROOT / "action.yml")]
    assert not [script for text in texts for script in _scripts(yaml.safe_load(text)) if "${{" in script]


def _script(workflow: str, holding: str) -> str:
    path = ROOT / ".github" / "workflows" / f"{workflow}.yml"
    (found,) = [script for script in _scripts(yaml.safe_load(path.read_text("utf-8"))) if holding in script]
    return str(found)


def _bash(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    # As GitHub runs it.
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    env = {**os.environ, **variables}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


GH = """#!/bin/sh
echo "$@" >> calls
case "$*" in
  *"pr view"*) echo 7 ;;
  *"issues/7/comments --jq"*) [ "$MARK" != "<!-- maxbench gate -->" ] || echo 41 ;;
  *body=@comment.md*) cat comment.md >> sent ;;
esac
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the workflow's shell is bash")
def test_the_comment_is_written_once_for_each_job_and_follows_no_link(tmp_path: Path) -> None:
    script = _script("gate-comment", "gh api")
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "secret").write_text("token")
    for name in ("gate", "gate-time", "other"):
        (tmp_path / "reports" / name).mkdir(parents=True)
        (tmp_path / "reports" / name / "gate.md").write_text(f"## {name}\n")
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GH_REPO": "us/ours", "HERE": "us", "BRANCH": "b; exit 3"}
    done = _bash(script, tmp_path, OWNER="them", **variables)
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0] == "pr view them:b; exit 3 --json number --jq .number"
    assert [c for c in calls if "body=" in c] == [
        "api --method PATCH repos/us/ours/issues/comments/41 --field body=@comment.md",
        "api --method POST repos/us/ours/issues/7/comments --field body=@comment.md",
    ]
    expected = "<!-- maxbench gate -->\n## gate\n<!-- maxbench gate-time -->\n## gate-time\n"
    assert (tmp_path / "sent").read_text() == expected
    (tmp_path / "sent").unlink()
    (tmp_path / "reports" / "gate" / "gate.md").unlink()
    (tmp_path / "reports" / "gate" / "gate.md").symlink_to(tmp_path / "secret")
    assert _bash(script, tmp_path, OWNER="us", **variables).returncode == 0
    assert "token" not in (tmp_path / "sent").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="the workflow's shell is bash")
def test_machines_push_their_results_of_the_same_night_to_one_branch(tmp_path: Path) -> None:
    script = _script("history", "git push")
    clean = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GITHUB_SHA": "0" * 40}
    origin = tmp_path / "origin"
    setup = f"git init --quiet --bare --initial-branch main {origin}"
    assert _bash(setup, tmp_path, **clean).returncode == 0
    machines = [tmp_path / name for name in ("one", "two")]
    for folder in machines:  # both begin before either has pushed
        made = _bash(f"git clone --quiet {origin} {folder}; cd {folder}; git switch --orphan here", tmp_path, **clean)
        assert made.returncode == 0, made.stderr
        (folder / "results" / folder.name).mkdir(parents=True)
        (folder / "results" / folder.name / "benchmarks.json").write_text(f'"{folder.name}"')
    for folder in machines:
        done = _bash(script, folder, **clean)
        assert done.returncode == 0, done.stderr
    listed = _bash(f"git -C {origin} ls-tree -r --name-only benchmark-results", tmp_path, **clean).stdout.split()
    assert listed == ["results/one/benchmarks.json", "results/two/benchmarks.json"]
    assert _bash(script, machines[0], **clean).returncode == 0  # nothing new
