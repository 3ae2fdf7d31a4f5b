"""What the gate builds without a network: installed packages, and plug-ins whose build requirements are installed."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from maxbench import impls
from maxbench.reports.gate import packages, run, sources, trees
from tests.reports.gate.conftest import Repository

NAME = "some-kernels"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages with one plug-in in it."""
    folder = tmp_path / "site"
    info = folder / "some_kernels-1.5.dist-info"
    files = {
        "some_kernels/__init__.py": "",
        "some_kernels/mine.py": "",
        f"{info.name}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.5\n",
        f"{info.name}/entry_points.txt": "[maxbench.impls]\nsoftmax.mine = some_kernels.mine\n",
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in (*files, "../../bin/some-script")))
    monkeypatch.syspath_prepend(str(folder))
    return info


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """The repository of that plug-in."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(f'[project]\nname = "{NAME}"\n')
    return folder


@pytest.mark.parametrize("spec", ["installed", f"{NAME}==1.5"])
def test_an_installed_plugin_is_copied(site: Path, theirs: Path, tmp_path: Path, spec: str) -> None:
    version = sources.build("base", spec, theirs, tmp_path / "base")
    assert version.built == "copied some-kernels 1.5 as it is installed"
    assert version.implementations == (("softmax", "mine"),)
    assert version.is_plugin
    assert (version.root / "some_kernels" / "mine.py").is_file()
    assert (version.root / "impls" / "registry.py").is_file()
    assert not (tmp_path / "bin").exists()


def test_a_plugin_that_is_a_link_to_its_tree_or_not_there_is_named(site: Path, theirs: Path, tmp_path: Path) -> None:
    (site / "direct_url.json").write_text(json.dumps({"url": "file:///x", "dir_info": {"editable": True}}))
    with pytest.raises(trees.SourceError, match="editable"):
        sources.build("base", "installed", theirs, tmp_path / "base")
    (theirs / "pyproject.toml").write_text('[project]\nname = "not-there"\n')
    with pytest.raises(trees.SourceError, match="not-there is not installed here"):
        sources.build("base", "installed", theirs, tmp_path / "other")


@pytest.mark.parametrize(
    ("requires", "here"),
    [
        ('["hatchling"]', True),
        ('["hatchling>=1", "nothing-of-that-name; sys_platform == \'none\'"]', True),
        ('["hatchling", "nothing-of-that-name"]', False),
        ('["hatchling>=999"]', False),
        ('["???"]', False),
    ],
)
def test_a_build_is_offline_where_all_that_it_requires_is_installed(tmp_path: Path, requires: str, here: bool) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[build-system]\nrequires = {requires}\n")
    assert packages.can_build_here(tmp_path) is here


def test_a_file_that_only_head_has_is_measured(repository: Repository, tmp_path: Path) -> None:
    fresh = repository.folder / "impls" / "kernels" / "softmax" / "fresh.py"
    fresh.write_text("")
    try:
        base = sources.build("base", "base", repository.folder, tmp_path / "base")
        head = sources.build("head", ".", repository.folder, tmp_path / "head")
    finally:
        fresh.unlink()
    assert set(head.implementations) - set(base.implementations) == {("softmax", "fresh")}
    assert "softmax.fresh[float32,256x1000]" in {b.name for b in run._benchmarks(base, head)}


def _tree(folder: Path, **files: str) -> Repository:
    folder.mkdir()
    found = Repository(folder)
    for name, content in {"impls/registry.py": "", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return found


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Tag `one`: a submodule `part` named other than its path, which has a submodule `inner` itself."""
    folder = tmp_path_factory.mktemp("nested")
    inner, part, whole = (_tree(folder / name) for name in ("inner", "part", "whole"))
    allow = ("-c", "protocol.file.allow=always")
    for repository, name, path in ((inner, "", ""), (part, "inner", "inner"), (whole, "part", "lib/part")):
        (repository.folder / "content.txt").write_text("first")
        if name:
            repository.git(*allow, "submodule", "--quiet", "add", "--name", name, str(folder / name), path)
        repository.commit("one")
    whole.git(*allow, "submodule", "--quiet", "update", "--init", "--recursive")
    return whole


def test_submodules_are_part_of_a_version(nested: Repository, tmp_path: Path) -> None:
    (nested.folder / "lib/part/content.txt").write_text("second")
    commit = sources.build("base", "one", nested.folder, tmp_path / "base")
    tree = sources.build("head", ".", nested.folder, tmp_path / "head")
    for version, content in ((commit, "first"), (tree, "second")):
        assert (version.root / "lib/part/content.txt").read_text() == content
        assert (version.root / "lib/part/inner/content.txt").read_text() == "first"
        assert "submodule" not in version.built
    assert tree.built == "copied 8 files of the working tree"
    # A checkout of a commit without the submodule leaves its clone in .git/modules.
    shutil.rmtree(nested.folder / "lib")
    version = sources.build("base", "one", nested.folder, tmp_path / "again")
    assert (version.root / "lib/part/content.txt").read_text() == "first"


def test_a_submodule_that_is_not_there_is_named(
    nested: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clone").mkdir()
    clone = Repository(tmp_path / "clone")
    clone.git("pull", "--quiet", str(nested.folder), "one")
    for spec in ("HEAD", "."):
        version = sources.build("base", spec, clone.folder, tmp_path / f"build{spec}")
        assert "without its submodules lib/part, which this clone lacks" in version.built
    allow = ("-c", "protocol.file.allow=always")
    clone.git(*allow, "submodule", "--quiet", "update", "--init")
    for spec in ("HEAD", "."):
        version = sources.build("base", spec, clone.folder, tmp_path / f"again{spec}")
        assert "without its submodules lib/part/inner," in version.built
    (clone.folder / "impls/registry.py").unlink()
    (clone.folder / "pyproject.toml").write_text("[project]\n")
    monkeypatch.setattr(packages, "_run", lambda *_: (1, "no such file"))
    with pytest.raises(trees.SourceError, match=r"no such file \(copied 6 files .* without its submodules"):
        sources.build("base", ".", clone.folder, tmp_path / "broken")


def test_a_repository_within_is_a_submodule_once_it_is_committed(tmp_path: Path) -> None:
    whole = _tree(tmp_path / "whole")
    mine = _tree(whole.folder / "mine")
    assert sources.build("base", ".", whole.folder, tmp_path / "base").built == "copied 1 files of the working tree"
    mine.commit("one")
    whole.commit("one")  # without a .gitmodules
    version = sources.build("base", "one", whole.folder, tmp_path / "with")
    assert (version.root / "mine/impls/registry.py").is_file()
    shutil.rmtree(mine.folder)
    version = sources.build("base", "one", whole.folder, tmp_path / "without")
    assert "without its submodules mine, which this clone lacks" in version.built


def test_the_digest_is_that_of_what_is_measured(nested: Repository, tmp_path: Path) -> None:
    base = sources.build("base", "one", nested.folder, tmp_path / "base")
    other = sources.copy(base, "other")
    assert other.root == tmp_path / "other"
    assert base.digest() == other.digest()
    (other.root / "impls/__pycache__").mkdir(exist_ok=True)
    (other.root / "impls/__pycache__/registry.pyc").write_text("x")
    (other.root / "README").write_text("x")
    assert base.digest() == other.digest()
    (other.root / "impls/registry.py").rename(other.root / "impls/registry2.py")
    assert base.digest() != other.digest()
    plugins = [replace(version, is_plugin=True) for version in (base, sources.copy(base, "third"))]
    (plugins[1].root / "RECORD").write_text("x")
    assert plugins[0].digest() == plugins[1].digest()
    (plugins[1].root / "mine.py").write_text("x")
    assert plugins[0].digest() != plugins[1].digest()


def test_a_checkout_that_git_refuses_is_named_as_git_names_it(
    nested: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert trees.repository(nested.folder / "impls") == nested.folder
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    with pytest.raises(trees.SourceError, match=r"(?s)dubious ownership.*git config --global --add safe.directory"):
        trees.repository(nested.folder)
    with pytest.raises(trees.SourceError, match="dubious ownership"):
        trees.commit_of(nested.folder, "one")
    monkeypatch.delenv("GIT_TEST_ASSUME_DIFFERENT_OWNER")
    with pytest.raises(trees.SourceError, match="is in no git checkout, so it has no revisions"):
        trees.repository(tmp_path)
    with pytest.raises(trees.SourceError, match="git ls-files: fatal: not a git repository"):
        trees._git(tmp_path, "ls-files")
    with pytest.raises(trees.SourceError, match=r"'nonsense' is no commit of whole; accepted are"):
        trees.commit_of(nested.folder, "nonsense")
    shallow = tmp_path / "shallow"
    nested.git("clone", "--quiet", "--depth", "1", nested.folder.as_uri(), str(shallow))
    with pytest.raises(trees.SourceError, match="this clone is shallow, fetch its history first"):
        trees.commit_of(shallow, "HEAD~1")


class Pip:
    """Stands for `packages._run`: the exit status and the text of each call, and the commands."""

    def __init__(self, *said: tuple[int | None, str]) -> None:
        self.said, self.commands = list(said), []  # type: tuple[list[tuple[int | None, str]], list[list[str]]]

    def __call__(self, command: list[str], env: dict[str, str], limit: float) -> tuple[int | None, str]:
        assert env["SETUPTOOLS_SCM_PRETEND_VERSION"] == "0"
        assert "GIT_DIR" not in env
        assert command[command.index("--target") + 1] == "root"
        self.commands.append(command[command.index("root") + 1 :])
        return self.said.pop(0)


def _built(
    monkeypatch: pytest.MonkeyPatch, tree: Path, requires: str, *said: tuple[int | None, str]
) -> list[list[str]]:
    (tree / "pyproject.toml").write_text(f'[build-system]\nrequires = ["{requires}"]\n')
    pip = Pip(*said)
    monkeypatch.setattr(packages, "_run", pip)
    monkeypatch.setenv("GIT_DIR", "nowhere")
    assert packages.install_tree(tree, Path("root")) == f"pip install {' '.join(pip.commands[-1][:-1])}".replace(
        " --retries 1 --timeout 5", ""
    )
    return pip.commands


def test_a_plugin_is_built_as_pip_builds_it_and_here_only_where_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = str(tmp_path)
    patient, hasty = ["--no-deps", tree], ["--no-deps", "--retries", "1", "--timeout", "5", tree]
    here = ["--no-deps", "--no-build-isolation", tree]
    assert _built(monkeypatch, tmp_path, "nothing-of-that-name", (0, "")) == [patient]
    assert _built(monkeypatch, tmp_path, "hatchling", (0, "")) == [hasty]
    assert _built(monkeypatch, tmp_path, "hatchling", (1, "no network"), (0, "")) == [hasty, here]
    with pytest.raises(trees.SourceError, match=r"--no-build-isolation .* failed:\nas well"):
        _built(monkeypatch, tmp_path, "hatchling", (1, "no network"), (2, "as well"))
    with pytest.raises(trees.SourceError, match=r"pip install --no-deps \S+ failed:\n1"):
        _built(monkeypatch, tmp_path, "nothing-of-that-name", (1, ""))
    with pytest.raises(trees.SourceError, match="did not end within 600 s"):
        _built(monkeypatch, tmp_path, "nothing-of-that-name", (None, ""))


PIP = """\
Processing ./pkg
  error: subprocess-exited-with-error
  ╰─> [12 lines of output]
{lines}
      error: invalid command 'bdist_wheel'
      [end of output]

  note: This error originates from a subprocess, and is likely not a problem with pip.
╰─> See above for output.
"""


def test_the_error_of_a_build_is_its_own_and_not_where_pip_points() -> None:
    said = packages._last_words(PIP.format(lines="\n".join(f"      line {i}" for i in range(30)))).splitlines()
    assert said == [*(f"line {i}" for i in range(19, 30)), "error: invalid command 'bdist_wheel'"]
    assert packages._last_words(PIP.format(lines="first") + PIP.format(lines="last")).splitlines()[-2] == "last"
    assert packages._last_words("one\n\nERROR: no such package\n") == "one\nERROR: no such package"
    assert packages._last_words("") == ""


@pytest.mark.parametrize(
    ("setuptools", "wheel", "here"),
    [("65.5.0", None, False), ("65.5.0", "0.45", True), ("70.1", None, True), ("70.0", None, False)],
)
def test_setuptools_builds_here_where_it_can_make_a_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setuptools: str, wheel: str | None, here: bool
) -> None:
    monkeypatch.setattr(packages, "installed_version", {"setuptools": setuptools, "wheel": wheel}.get)
    assert packages.can_build_here(tmp_path) is here
    (tmp_path / "pyproject.toml").write_text('[build-system]\nrequires = ["setuptools>=40"]\n')
    assert packages.can_build_here(tmp_path) is here


def test_both_streams_of_a_command_are_kept_and_one_that_hangs_is_ended() -> None:
    program = "import os, sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(int(os.environ['E']))"
    assert packages._run([sys.executable, "-S", "-c", program], {"E": "3"}, 60) == (3, "out\nerr")
    assert packages._run([sys.executable, "-S", "-c", "import time; time.sleep(60)"], {}, 0.1) == (None, "")


def test_the_installed_maxbench_is_copied(tmp_path: Path) -> None:
    own = sources.PACKAGE.parent
    assert sources._plugin(own) is None
    version = sources.build("base", "installed", own, tmp_path / "base")
    assert version.built == f"copied impls {impls.__version__}"
    assert ("softmax", "naive") in version.implementations
    assert not version.is_plugin
    assert (version.root / "impls" / "__init__.py").is_file()
    assert (version.root / "anchor.py").is_file()


def test_what_is_neither_maxbench_nor_a_plugin_is_named(tmp_path: Path, theirs: Path) -> None:
    Repository(theirs)
    (theirs / "pyproject.toml").unlink()
    with pytest.raises(trees.SourceError, match=r"'.' has neither impls/registry.py"):
        sources.build("base", ".", theirs, tmp_path / "base")
    empty = tmp_path / "package"
    empty.mkdir()
    with pytest.raises(trees.SourceError, match="brings no implementation"):
        sources._brought("base", "x==1", None, empty, "")


@pytest.mark.parametrize(
    ("spec", "commit", "label"),
    [(".", None, "working tree"), ("installed", None, "installed"), ("v1", "a" * 40, "v1 (aaaaaaaa)"),
     ("aaa", "a" * 40, "aaaaaaaa")],
)  # fmt: skip
def test_a_version_is_called_as_it_was_named(spec: str, commit: str | None, label: str) -> None:
    version = sources.Version("base", spec, commit, Path(), "copied", ())
    assert version.as_dict() == {"spec": spec, "commit": commit, "label": label, "built": "copied"}
