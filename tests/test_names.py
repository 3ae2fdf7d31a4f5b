"""The import name: `maxbench` alone, in this process, in its children, and in site-packages beside other packages."""

import base64
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import numpy
import pytest

import maxbench
from maxbench.bench.processes import launch
from maxbench.bench.processes.crew import Crew
from maxbench.bench.processes.messages import FirstCallJob
from tests.needs import nightly

ROOT = Path(__file__).parent.parent
FOLDERS = ("impls", "bench", "reports")
PROGRAM = f"""
import importlib.util, json
import maxbench.impls, maxbench.bench.processes.crew, maxbench.reports.commands.main
def origin(name):
    found = importlib.util.find_spec(name)
    return None if found is None else str(found.origin or list(found.submodule_search_locations))
print(json.dumps({{name: origin(name) for name in {FOLDERS}}}))
"""


def ours(place: str | None) -> bool:
    return place is not None and (str(ROOT) in place or "maxbench" in place)


def test_the_folders_have_no_second_name_here() -> None:
    """Not in pytest's processes either, which by default would import from the root of the checkout."""
    for name in FOLDERS:
        spec = importlib.util.find_spec(name)
        assert name not in sys.modules
        assert spec is None or not ours(spec.origin), spec


def test_the_folders_have_no_second_name_in_children(tmp_path: Path) -> None:
    ending, printed = launch.run(launch.python("-c", PROGRAM), env=launch.environment(), cwd=ROOT)
    assert ending.ok, ending
    assert not any(map(ours, json.loads(printed).values()))


def test_a_worker_is_of_the_folder_it_is_run_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its `maxbench.bench` is ours where `maxbench` is another's: asv measures old commits with new benchmarks."""
    other = tmp_path / "maxbench"
    (other / "bench").mkdir(parents=True)
    (other / "bench" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    (other / "__init__.py").write_text("")
    (other / "impls").symlink_to(ROOT / "impls")
    monkeypatch.setattr(launch, "PLACE", tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with Crew() as crew:
        assert crew.run(FirstCallJob("softmax", "numpy_vectorized", "float32")).failure is None


def wheel(folder: Path, name: str, files: dict[str, str]) -> Path:
    """A wheel of another distribution."""
    info = f"{name}-1.0.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},{digest(text.encode())},{len(text)}\n" for path, text in files.items())
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(inside, text)
    return path


def digest(content: bytes) -> str:
    return f"sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b'=').decode()}"


@nightly
@pytest.mark.parametrize("ours_first", [True, False])
def test_the_wheel_stands_beside_packages_of_the_same_names(ours_first: bool, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (built,) = tmp_path.glob("maxbench-*.whl")
    foreign = wheel(
        tmp_path,
        "foreign",
        {f"{name}/{file}.py": f"NAME = {name!r}\n" for name in FOLDERS for file in ("__init__", "cli")},
    )
    venv.create(tmp_path / "venv", with_pip=False, symlinks=os.name == "posix")
    python = tmp_path / "venv" / ("bin/python" if os.name == "posix" else "Scripts/python.exe")
    for one in (built, foreign) if ours_first else (foreign, built):
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(python),
            "install",
            "-q",
            "--no-deps",
            "--no-index",
            str(one),
        ]
        subprocess.run(pip, check=True, capture_output=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(tmp_path / "venv")}))
    for distribution in importlib.metadata.distributions(path=[str(site)]):
        for file in distribution.files or ():
            if file.hash is not None:
                assert digest(Path(str(file.locate())).read_bytes()) == f"{file.hash.mode}={file.hash.value}", file
    tops = {file.parts[0] for file in importlib.metadata.Distribution.at(next(site.glob("maxbench-*"))).files or ()}
    assert {top for top in tops if not top.endswith(".dist-info") and top != ".."} == {"maxbench"}
    assert not [name for name in zipfile.ZipFile(built).namelist() if name.endswith((".svg", "journal.jsonl"))]
    # What it needs is taken from where this process has it.
    (site / "others.pth").write_text(str(Path(numpy.__file__).parent.parent))
    program = (
        "import bench, impls, reports, bench.cli, reports.cli, maxbench, maxbench.reports.commands.main\n"
        "assert (bench.NAME, impls.NAME, reports.NAME, reports.cli.NAME) == ('bench', 'impls', 'reports', 'reports')\n"
        "from maxbench import implements\n"
        "assert maxbench.argmax([1.0, 3.0, 2.0]) == 1\n"
        "print(maxbench.__file__)\n"
    )
    done = subprocess.run([str(python), "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stderr == ""
    assert Path(done.stdout.strip()).parent == site / "maxbench"
    command = [str(python), "-P", "-m", "maxbench.reports.commands.main", "check", "softmax.numpy_vectorized"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert maxbench.__version__ in built.name
