"""The workflow files and the action: schemas, linters, pins and permissions, and what their scripts do."""

from __future__ import annotations

import argparse
import json
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

from maxbench.reports.commands import check, gate, history, main
from maxbench.reports.gate import formats

ROOT = Path(__file__).parents[3]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTION = ROOT / "action.yml"
DOCUMENT = ROOT / "docs" / "gate.md"
COMMANDS = {"gate": gate, "history": history, "check": check}
# What may write, and what its steps may be: none that runs a package.
WRITERS = {
    ("gate-comment", "comment"): {"actions": "read", "pull-requests": "write"},
    ("history", "keep"): {"contents": "write"},
    ("history", "publish"): {"pages": "write", "id-token": "write"},
}

bash = pytest.mark.skipif(sys.platform == "win32", reason="the workflows' shell is bash")


def _blocks() -> list[str]:
    """The YAML of the document."""
    return re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)


def _texts() -> list[str]:
    """Every workflow, the action and the document's examples."""
    return [*(path.read_text("utf-8") for path in (*WORKFLOWS, ACTION)), *_blocks()]


def _jobs() -> list[tuple[str, str, dict[str, Any]]]:
    """Workflow, name and content of every job, that of the document's example as well."""
    texts = [*((path.stem, path.read_text("utf-8")) for path in WORKFLOWS), ("document", _blocks()[0])]
    return [(stem, name, job) for stem, text in texts for name, job in yaml.safe_load(text)["jobs"].items()]


def _check(schema: str, *paths: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflows_and_the_action_fit_their_schemas(tmp_path: Path) -> None:
    assert {path.stem for path in WORKFLOWS} >= {"tests", "gate", "gate-comment", "history"}
    _check("vendor.github-workflows", *WORKFLOWS)
    _check("vendor.github-actions", ACTION)
    _check("vendor.dependabot", GITHUB / "dependabot.yml")
    github, gitlab = tmp_path / "github.yml", tmp_path / "gitlab.yml"
    for path, block in zip((github, gitlab), _blocks(), strict=True):
        path.write_text(block)
    _check("vendor.github-workflows", github)
    _check("vendor.gitlab-ci", gitlab)


def _lint(name: str, *words: str) -> None:
    """Run a linter that is installed beside Python or on the path; .ci/run installs those that it can."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = shutil.which(name, path=path)
    if command is None:
        pytest.skip(f"{name} is not installed")
    env = {**os.environ, "PATH": path}  # actionlint looks for shellcheck
    done = subprocess.run([command, *words], capture_output=True, text=True, check=False, cwd=ROOT, env=env)
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflows_pass_actionlint(tmp_path: Path) -> None:
    example = tmp_path / "example.yml"
    example.write_text(_blocks()[0])
    _lint("actionlint", *map(str, WORKFLOWS), str(example))


def test_workflows_and_the_action_pass_zizmor() -> None:
    _lint("zizmor", "--offline", "--quiet", str(GITHUB), str(ACTION))


def test_the_actions_scripts_pass_shellcheck(tmp_path: Path) -> None:
    scripts = list(_scripts(yaml.safe_load(ACTION.read_text("utf-8"))))
    paths = [tmp_path / f"{number}.sh" for number, _ in enumerate(scripts)]
    for path, script in zip(paths, scripts, strict=True):
        path.write_text(script)
    _lint("shellcheck", "--shell=bash", *map(str, paths))


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
    lines = [
        line.strip() for text in _texts() for script in _scripts(yaml.safe_load(text)) for line in script.splitlines()
    ]
    return [line.partition(" || ")[0] for line in lines if line.startswith("maxbench ")]


@pytest.mark.parametrize("command", _commands())
def test_every_command_is_one_that_exists(command: str) -> None:
    name, *words = shlex.split(command)[1:]
    assert name in main.COMMANDS
    parser = argparse.ArgumentParser(exit_on_error=False)
    COMMANDS[name].add_arguments(parser)
    parser.parse_args([word.replace("$MACHINE", "box") for word in words if word != "${options[@]}"])


def test_actions_are_pinned_by_the_hash_of_a_commit() -> None:
    versions: dict[str, set[str]] = {}
    for line in (line for text in _texts() for line in text.splitlines() if re.search(r"\buses:", line)):
        used = line.split("uses:")[1].strip()
        if used.startswith(("./ ", "OWNER/maxbench@COMMIT ")):
            continue
        pinned = re.fullmatch(r"(actions/[a-z-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)", used)
        assert pinned, line
        versions.setdefault(pinned[1], set()).add(pinned[2])
    assert len(versions) == 6
    assert all(len(found) == 1 for found in versions.values()), versions


def test_permissions_are_least_and_those_of_one_job() -> None:
    for text in [path.read_text("utf-8") for path in WORKFLOWS] + [_blocks()[0]]:
        assert yaml.safe_load(text)["permissions"] == {}
    for stem, name, job in _jobs():
        assert job["permissions"] == WRITERS.get((stem, name), {"contents": "read"}), (stem, name)
    assert {(stem, name) for stem, name, _ in _jobs()} >= WRITERS.keys()


def test_what_may_write_runs_no_package_and_nothing_of_a_pull_request() -> None:
    for stem, name, job in _jobs():
        if (stem, name) in WRITERS:
            scripts = "\n".join(_scripts(job["steps"]))
            assert not re.search(r"\b(pip|python\S*|pytest|maxbench (gate|history|check)|bash|sh|source)\s", scripts), (
                name
            )
            assert not any(step.get("uses", "").startswith("./") for step in job["steps"])
            assert "setup-python" not in str(job["steps"])
    for path in WORKFLOWS:
        events = yaml.safe_load(path.read_text("utf-8"))[True]  # YAML reads the key `on` as true
        assert "pull_request_target" not in events, path.name
        if "workflow_run" in events:
            assert "actions/checkout" not in path.read_text("utf-8"), path.name


def test_no_token_is_kept_where_packages_run() -> None:
    for stem, name, job in _jobs():
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False, (stem, name)
        if (stem, name) not in WRITERS:
            assert not re.search(r"github\.token|secrets\.", json.dumps(job)), (stem, name)
    # Not of a whole job or workflow either.
    assert not any("token" in json.dumps(job.get("env", {})).lower() for _, _, job in _jobs())


def test_no_input_and_nothing_of_a_pull_request_is_pasted_into_a_script() -> None:
    assert not [script for text in _texts() for script in _scripts(yaml.safe_load(text)) if "${{" in script]


def test_the_gate_can_be_copied_into_another_repository_as_it_is() -> None:
    texts = {stem: (GITHUB / "workflows" / f"{stem}.yml").read_text("utf-8") for stem in ("gate", "gate-comment")}
    jobs = yaml.safe_load(texts["gate"])["jobs"]
    uploaded = {
        step["with"]["name"] for job in jobs.values() for step in job["steps"] if "upload" in str(step.get("uses"))
    }
    for job in jobs.values():
        assert "python -m pip install ." in _scripts(job)  # what the repository holds, with all that it depends on
        assert "--allow-inconclusive" in "".join(_scripts(job))
    assert f"for name in {' '.join(sorted(uploaded))};" in texts["gate-comment"]
    assert yaml.safe_load(texts["gate-comment"])[True]["workflow_run"]["workflows"] == [
        yaml.safe_load(texts["gate"])["name"]
    ]
    assert not re.search(r"OWNER|impls|uses: \./", "".join(texts.values()))
    assert all(f".github/workflows/{stem}.yml" in DOCUMENT.read_text("utf-8") for stem in texts)


def _script(path: Path, holding: str) -> str:
    (found,) = [script for script in _scripts(yaml.safe_load(path.read_text("utf-8"))) if holding in script]
    return str(found)


def _bash(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    # As GitHub runs it.
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    env = {**os.environ, **variables}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


# Says how it was called, one word a line, and leaves what a gate of that status does. Its own options come by a file.
MAXBENCH = """#!/bin/sh
printf '%s\\n' "$@" > "$TOLD/words"
[ -n "$WRITES" ] || exit "$STATUS_OF_GATE"
for word in "$@"; do case "$word" in --output=*) folder=${word#--output=} ;; esac; done
mkdir -p -- "$folder"
printf '{"status": %s}' "$WRITES" > "$folder/gate.json"
echo "## the report" > "$folder/gate.md"
exit "$STATUS_OF_GATE"
"""


class Action:
    """The action's steps, run by bash among stand-ins for maxbench, Python's pip, sudo and apt-get."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        self.told = folder / "told"
        self._bin = folder / "bin"
        for made in (self.folder, self.told, self._bin):
            made.mkdir()
        self._command("maxbench", MAXBENCH)
        # pip is told what to install; everything else is Python itself.
        self._command(
            "python", f'#!/bin/sh\n[ "$2" = pip ] || exec {sys.executable} "$@"\nprintf "%s|" "$@" >> "$TOLD/pip"\n'
        )
        self._command("sudo", '#!/bin/sh\nexec "$@"\n')
        self._command("apt-get", '#!/bin/sh\necho "$@" >> "$TOLD/apt-get"\n')
        for name in ("bash", "sh", "cat", "mkdir"):
            (self._bin / name).symlink_to(str(shutil.which(name)))
        self._action = yaml.safe_load(ACTION.read_text("utf-8"))

    def _command(self, name: str, text: str) -> None:
        (self._bin / name).write_text(text)
        (self._bin / name).chmod(0o755)

    def run(
        self, step: int, *, status: int = 0, writes: int | None = None, system: str = "Linux", **inputs: str
    ) -> int:
        """Run a step with these inputs, and the defaults of all others; the exit status."""
        values = {name: str(about.get("default", "")) for name, about in self._action["inputs"].items()}
        values |= {name.replace("_", "-"): value for name, value in inputs.items()}
        values["action_path"] = "/the action"
        content = self._action["runs"]["steps"][step]
        env = {
            name: re.sub(r"\$\{\{ (?:inputs|github)\.([a-z_-]+) \}\}", lambda found: values[found[1]], text)
            for name, text in content["env"].items()
        }
        done = _bash(
            content["run"], self.folder, **env, PATH=str(self._bin), TOLD=str(self.told), RUNNER_OS=system,
            RUNNER_TEMP=str(self.told), STATUS_OF_GATE=str(status), WRITES="" if writes is None else str(writes),
            GITHUB_OUTPUT=str(self.told / "output"), GITHUB_STEP_SUMMARY=str(self.told / "summary"),
        )  # fmt: skip
        self.errors = done.stderr
        return done.returncode

    @property
    def words(self) -> list[str]:
        return (self.told / "words").read_text("utf-8").splitlines()

    @property
    def outputs(self) -> tuple[str, list[str]]:
        """Verdict and files, read as GitHub reads them."""
        first, opening, *files, closing = (self.told / "output").read_text("utf-8").splitlines()
        assert opening == f"files<<{closing}"
        return first.removeprefix("verdict="), files


INSTALL, GATE = 1, 2


@pytest.fixture
def action(tmp_path: Path) -> Action:
    return Action(tmp_path)


@bash
def test_options_add_to_the_defaults(action: Action) -> None:
    assert action.run(GATE, writes=0) == 0
    assert action.words == ["gate", "--allow-inconclusive", "--output=gate", "--", "HEAD^1", "HEAD"]
    shutil.rmtree(action.folder / "gate")
    assert action.run(GATE, writes=0, options="--threshold 5") == 0
    assert action.words == ["gate", "--allow-inconclusive", "--threshold", "5", "--output=gate", "--", "HEAD^1", "HEAD"]
    shutil.rmtree(action.folder / "gate")
    assert action.run(GATE, status=3, writes=3, allow_inconclusive="false") == 3
    assert action.words == ["gate", "--output=gate", "--", "HEAD^1", "HEAD"]
    shutil.rmtree(action.folder / "gate")
    assert action.run(GATE, allow_inconclusive="no $(touch x)") == 2
    assert "accepted are true and false" in action.errors
    assert not (action.folder / "x").exists()


@bash
def test_inputs_are_words_and_never_evaluated(action: Action) -> None:
    (action.folder / "file").touch()
    odd = "$(touch x) `touch x` ;touch x; * \\ é"
    options = f"--only '{odd}' --only \"two words\"\n--only $HOME --only *"
    assert action.run(GATE, writes=0, options=options, base=f"--base {odd}", head="-h", output=f"-o {odd}") == 0, (
        action.errors
    )
    expected = ["--only", odd, "--only", "two words", "--only", "$HOME", "--only", "*", f"--output=-o {odd}"]
    assert action.words == ["gate", "--allow-inconclusive", *expected, "--", f"--base {odd}", "-h"]
    assert action.outputs == ("no regression", [f"-o {odd}/gate.json", f"-o {odd}/gate.md"])
    assert (action.told / "summary").read_text() == "## the report\n"
    assert sorted(path.name for path in action.folder.iterdir()) == [f"-o {odd}", "file"]
    assert action.run(GATE, options="--only 'open") == 1
    assert "options: No closing quotation" in action.errors


@bash
@pytest.mark.parametrize(
    ("status", "writes", "verdict"),
    [
        (0, 0, "no regression"), (0, 3, "inconclusive"), (1, 1, "regression"), (2, 2, "error"), (3, 3, "inconclusive"),
        (2, None, "error"), (137, None, "error"),
    ],
)  # fmt: skip
def test_verdict_and_files_are_outputs_also_of_a_gate_that_failed(
    action: Action, status: int, writes: int | None, verdict: str
) -> None:
    assert action.run(GATE, status=status, writes=writes, output="a folder") == status
    assert action.outputs == (verdict, [] if writes is None else ["a folder/gate.json", "a folder/gate.md"])
    summary = f"## maxbench gate: {verdict}\n" if writes is None else "## the report\n"
    assert (action.told / "summary").read_text("utf-8") == summary


def test_outputs_name_every_file_and_verdict_of_the_gate() -> None:
    content = yaml.safe_load(ACTION.read_text("utf-8"))
    script = content["runs"]["steps"][GATE]["run"]
    assert f"for name in {formats.JSON} {formats.MARKDOWN} {formats.ACTION} {formats.BENCHER};" in script
    assert all(f"`{verdict}`" in content["outputs"]["verdict"]["description"] for verdict in formats._STATUS.values())
    assert all(re.search(rf'verdict="?{verdict}"?[; ]', script) for verdict in formats._STATUS.values())
    # Where the gate was never reached.
    assert content["outputs"]["verdict"]["value"] == "${{ steps.gate.outputs.verdict || 'error' }}"
    assert content["runs"]["steps"][GATE]["id"] == "gate"


@bash
def test_files_of_an_earlier_gate_are_not_taken_for_this_ones(action: Action) -> None:
    assert action.run(GATE, status=1, writes=1) == 1
    (action.told / "output").unlink()
    assert action.run(GATE, writes=0) == 2
    assert "holds the files of a gate already" in action.errors
    assert json.loads((action.folder / "gate" / "gate.json").read_text()) == {"status": 1}
    assert not (action.told / "output").exists()  # and so the verdict is an error


@bash
def test_valgrind_is_installed_where_instructions_are_counted(action: Action) -> None:
    assert action.run(INSTALL) == 0
    assert (action.told / "pip").read_text() == "-m|pip|install|/the action|.|"
    assert action.run(INSTALL, options="--instructions", system="macOS") == 0
    assert not (action.told / "apt-get").exists()
    assert action.run(INSTALL, options="--threshold 5 --instructions --no-timing") == 0, action.errors
    assert (action.told / "apt-get").read_text() == "update\ninstall --yes valgrind\n"
    (action.folder.parent / "bin" / "sudo").unlink()  # as root in a container
    assert action.run(INSTALL, options="--instructions") == 0, action.errors
    assert (action.told / "apt-get").read_text().count("valgrind") == 2
    action._command("valgrind", "#!/bin/sh\n")
    assert action.run(INSTALL, options="--instructions $(touch x)") == 0
    assert (action.told / "apt-get").read_text().count("valgrind") == 2
    assert not (action.folder / "x").exists()


def test_the_python_is_an_input() -> None:
    content = yaml.safe_load(ACTION.read_text("utf-8"))
    step = content["runs"]["steps"][0]
    assert step["with"] == {"python-version": "${{ inputs.python-version }}"}
    assert step["if"] == "${{ inputs.python-version != '' }}"
    assert content["inputs"]["python-version"]["default"] == "3.13"


GH = """#!/bin/sh
IFS='|'
echo "$*" >> calls
case "$*" in
  *"/pulls|"*) echo "$NUMBER" ;;
  *"issues/7/comments|--jq"*) [ "$MARK" != "<!-- maxbench gate -->" ] || echo 41 ;;
  *body=@comment.md*) cat comment.md >> sent ;;
esac
"""


@bash
def test_the_comment_is_written_once_for_each_job_and_follows_no_link(tmp_path: Path) -> None:
    script = _script(GITHUB / "workflows" / "gate-comment.yml", "gh api")
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "gate.md").write_text("token")
    for name in ("gate", "gate-time", "other"):
        (tmp_path / "reports" / name).mkdir(parents=True)
        (tmp_path / "reports" / name / "gate.md").write_text(f"## {name}\n")
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GH_REPO": "us/ours", "COMMIT": "c0", "NUMBER": "7"}
    done = _bash(script, tmp_path, SOURCE="them:b; exit 3", **variables)
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0].startswith(
        "api|--method|GET|repos/us/ours/pulls|--raw-field|head=them:b; exit 3|--raw-field|state=open|"
    )
    assert [c for c in calls if "body=" in c] == [
        "api|--method|PATCH|repos/us/ours/issues/comments/41|--field|body=@comment.md",
        "api|--method|POST|repos/us/ours/issues/7/comments|--field|body=@comment.md",
    ]
    expected = "<!-- maxbench gate -->\n## gate\n<!-- maxbench gate-time -->\n## gate-time\n"
    assert (tmp_path / "sent").read_text() == expected
    (tmp_path / "sent").unlink()
    (tmp_path / "reports" / "gate" / "gate.md").unlink()
    (tmp_path / "reports" / "gate" / "gate.md").symlink_to(tmp_path / "secret" / "gate.md")
    shutil.rmtree(tmp_path / "reports" / "gate-time")
    (tmp_path / "reports" / "gate-time").symlink_to(tmp_path / "secret")
    assert _bash(script, tmp_path, SOURCE="us:b", **variables).returncode == 0
    assert not (tmp_path / "sent").exists()


@bash
def test_no_comment_is_written_where_the_branch_has_moved_on(tmp_path: Path) -> None:
    script = _script(GITHUB / "workflows" / "gate-comment.yml", "gh api")
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "reports" / "gate").mkdir(parents=True)
    (tmp_path / "reports" / "gate" / "gate.md").write_text("## gate\n")
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GH_REPO": "us/ours", "COMMIT": "c0", "NUMBER": ""}
    done = _bash(script, tmp_path, SOURCE="them:b", **variables)
    assert (done.returncode, done.stdout) == (0, "no open pull request is at this commit\n")
    assert "select(.head.sha == env.COMMIT)" in (tmp_path / "calls").read_text()
    assert not (tmp_path / "sent").exists()


@bash
def test_machines_push_their_results_of_the_same_night_to_one_branch(tmp_path: Path) -> None:
    script = _script(GITHUB / "workflows" / "history.yml", "git push")
    (tmp_path / "gh").write_text('#!/bin/sh\necho "$@" >> "$TOLD"\n')
    (tmp_path / "gh").chmod(0o755)
    clean = {
        "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GITHUB_SHA": "0" * 40,
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "TOLD": str(tmp_path / "told"),
    }  # fmt: skip
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
    again = _bash(script, machines[0], **clean)
    assert (again.returncode, again.stdout) == (0, "nothing new was measured\n")
    # The token is read from the step's own variables, and is written nowhere.
    assert set((tmp_path / "told").read_text().splitlines()) == {"auth setup-git"}


def test_the_branch_receives_what_this_machine_measured_and_nothing_older_of_others() -> None:
    jobs = yaml.safe_load((GITHUB / "workflows" / "history.yml").read_text("utf-8"))["jobs"]
    steps = [
        step for name in ("measure", "keep") for step in jobs[name]["steps"] if "-artifact@" in str(step.get("uses"))
    ]
    sent, _, received = (step["with"] for step in steps)
    assert sent["name"] == received["name"]
    assert sent["path"] == received["path"] == "history/results/${{ env.MACHINE }}"
