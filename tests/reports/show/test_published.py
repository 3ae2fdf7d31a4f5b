"""The published reports are made by one command from the records beside them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG

from maxbench.reports.analysis.content import gather
from maxbench.reports.show import report
from tests.needs import ALL

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="1pt" height="1pt" viewBox="0 0 1 1"></svg>'
PUBLISHED = Path(__file__).parents[3] / "docs" / "results"
FOLDERS = sorted(path.parent for path in PUBLISHED.glob("*/report.md"))
LONG = "side-by-side-"  # begins the names of runs of many inputs, whose reports take half a minute


def _runs(folder: Path) -> list[Path]:
    """The runs that a published report is made of: its own folder, or those in it."""
    return [folder] if (folder / "run.json").exists() else sorted(path.parent for path in folder.glob("*/run.json"))


@pytest.mark.parametrize(
    "folder", [f for f in FOLDERS if ALL or not f.name.startswith(LONG)], ids=lambda folder: folder.name
)
def test_the_records_give_the_published_answer(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What they show is not compared, and drawing them takes most of the time.
    monkeypatch.setattr(FigureCanvasAgg, "print_png", lambda canvas, file, **how: file.write(b"\x89PNG"))
    if not ALL:
        monkeypatch.setattr(FigureCanvasSVG, "print_svg", lambda canvas, file, **how: file.write(SVG))
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    assert report.write(_runs(copy), copy).is_file()
    old, new = ((where / "report.md").read_text("utf-8") for where in (folder, copy))
    assert _times(old) == _times(new)
    assert len(_times(old)) > 10
    assert {path.name for path in (folder / "figures").glob("*.svg")} == {
        path.name for path in (copy / "figures").glob("*.svg")
    }


@pytest.mark.parametrize(("folder", "marked"), [("h200", False), ("full-2-core-epyc-zen4", True)])
def test_the_caches_of_the_processor_are_not_those_of_a_device(folder: str, marked: bool) -> None:
    content = gather([PUBLISHED / folder], None)
    assert bool(content.caches(content.names[0])) == marked


def test_the_published_files_are_small_and_name_no_folder_of_a_machine() -> None:
    assert FOLDERS
    files = [path for path in PUBLISHED.rglob("*") if path.is_file() and path.suffix not in (".png", ".parquet")]
    files = [path for path in files if path.name != "index.html"]  # made again by those who want it
    for folder in FOLDERS:
        measured = sum(len((run / "journal.jsonl").read_text("utf-8").splitlines()) for run in _runs(folder))
        assert sum(path.stat().st_size for path in files if folder in path.parents) < 6e5 + 2500 * measured
    for path in files:
        content = path.read_text("utf-8")
        found = re.search(r"/(home|root|tmp|Users)/\S*", content)
        assert found is None, f"{path.name}: {found.group() if found else ''}"
        assert str(PUBLISHED.parent.parent) not in content, path.name


def _times(markdown: str) -> list[str]:
    """The rows of the tables of times and answers."""
    return [line for line in markdown.splitlines() if line.startswith("|") and re.search(r"\d [mµn]?s\b", line)]
