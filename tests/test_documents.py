"""The documents: what they quote, name and link to is there, and what they show runs."""

from __future__ import annotations

import csv
import doctest
import importlib.metadata
import re
import statistics
from pathlib import Path

import pytest

from maxbench import reports

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
RESULTS = ROOT / "docs" / "results"
DEVICE = ("numba_cuda", "torch_cuda", "torch_cuda_compiled", "cupy", "jax_cuda")
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", RESULTS / "README.md", *(ROOT / "docs").glob("*.md")]


def between(marker: str) -> str:
    return README.split(f"<!-- {marker} -->")[1].split(f"<!-- /{marker} -->")[0]


def code(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def help_of(*command: str, capsys: pytest.CaptureFixture[str]) -> str:
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="maxbench")
    with pytest.raises(SystemExit):
        entry.load()([*command, "--help"])
    return capsys.readouterr().out


def test_the_rows_of_results_are_those_of_a_published_report() -> None:
    reported = {line for report in RESULTS.glob("*/report.md") for line in report.read_text("utf-8").splitlines()}
    rows = [line for line in between("example").splitlines() if line.startswith("|")]
    assert len(rows) == 5  # with the heading
    assert not set(rows) - reported


def test_the_figures_of_the_results_are_those_of_the_reports() -> None:
    """The tables that say how often `numba_parallel` is faster are sums of the tables beside the records."""
    summary = r"^\| (softmax|argmax), (float\d\d), (\d)[^|]* \| (\d+) \| ([\d.]+)×? \| ([\d.]+)×? \| (\d+) \|$"
    text = (RESULTS / "README.md").read_text("utf-8")
    folders = ("side-by-side-2-core-emerald-rapids", "side-by-side-2-core-epyc")
    tables = [(RESULTS / folder / "side-by-side.md").read_text("utf-8") for folder in folders]
    quoted = re.findall(summary, text, re.MULTILINE)
    assert len(quoted) == 16
    assert quoted == [row for table in tables for row in re.findall(summary, table, re.MULTILINE)]

    rows = re.findall(r"^\| (?:softmax|argmax): .*$", text, re.MULTILINE)
    report = (RESULTS / "full-2-core-epyc-zen4" / "report.md").read_text("utf-8").splitlines()
    assert len(rows) == 16
    assert rows == [line for line in report if line.startswith(("| softmax: ", "| argmax: "))][:16]


def test_the_figures_of_the_device_are_those_of_its_report() -> None:
    text = (RESULTS / "README.md").read_text("utf-8").split("## A GPU")[1].split("\n## ")[0]
    with (RESULTS / "h200" / "results.csv").open(encoding="utf-8") as file:
        measured = [row for row in csv.DictReader(file) if row["status"] == "ok" and row["bandwidth"]]
    ceiling = {
        operation: max(
            float(row["bandwidth"]) for row in measured
            if row["benchmark"] == "Ceiling" and row["operation"] == operation
        )
        for operation in ("softmax", "argmax")
    }  # fmt: skip
    bandwidth = {
        (row["operation"], row["dtype"], f"{row['outer']} × {row['n']} × {row['inner']}", row["implementation"]): float(
            row["bandwidth"]
        )
        for row in measured if row["benchmark"] == "Sweep"
    }  # fmt: skip
    rows = re.findall(r"^\| (\w+) \| (\w+) \| ([\d× ]+) \| (.*) \|$", text, re.MULTILINE)
    assert sorted(row[:3] for row in rows) == sorted(key[:3] for key in bandwidth if key[3] == "numba_cuda")
    for operation, dtype, shape, figures in rows:
        of = [bandwidth.get((operation, dtype, shape, name)) for name in DEVICE]
        assert of[0]
        share = f"{of[0] / ceiling[operation]:.0%}"
        assert figures.split(" | ") == [f"{of[0]:,.0f}", share, *("–" if x is None else f"{x:,.0f}" for x in of[1:])]

    quoted = re.findall(r"([\d.]+)× in (\w+) \((\d+)", text)
    found = []
    for operation in ("softmax", "argmax"):
        for dtype in ("float32", "float16", "float64", "int8"):
            ratios = [
                mine / bandwidth[of, kind, shape, "torch_cuda"] for (of, kind, shape, name), mine in bandwidth.items()
                if (of, kind, name) == (operation, dtype, "numba_cuda")
            ]  # fmt: skip
            if ratios:
                found.append((f"{statistics.geometric_mean(ratios):.2f}", dtype, str(len(ratios))))
    assert quoted == found


def test_each_column_of_the_table_is_described() -> None:
    first = [line.split("|")[1] for line in README.split("| columns |")[1].split("\n\n")[0].splitlines()[2:]]
    described = [name for names in first for name in re.findall(r"`(\w+)`", names)]
    assert sorted(described) == sorted(reports.load(RESULTS / "full-2-core-epyc-zen4").columns)


def test_each_command_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"^    ([a-z-]+)", help_of(capsys=capsys), re.MULTILINE)
    assert sorted(set(re.findall(r"^\| `maxbench ([\w-]+)", README, re.MULTILINE))) == sorted(commands)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_options_that_are_shown_exist(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = document.read_text("utf-8")
    shown = re.findall(r"^(?:\.venv/bin/)?(maxbench [^#\n]*)|`(maxbench [^`]*)`", text, re.MULTILINE)
    for line in map("".join, shown):
        words = line.split()
        command = words[1:3] if words[1] == "history" and len(words) > 2 else words[1:2]
        options = re.findall(r"(?<=\s)--[\w-]+", line)
        if re.fullmatch(r"[a-z][a-z-]+", command[0]):
            printed = help_of(*command, capsys=capsys)
            assert not [option for option in options if option not in printed and option != "--help"], line


@pytest.mark.parametrize("block", [block for block in code(README, "python") if ">>>" in block])
def test_the_examples_run(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    example = doctest.DocTestParser().get_doctest(block, {}, "README.md", None, None)
    assert doctest.DocTestRunner().run(example).failed == 0


def test_the_implementation_shown_is_the_one_that_new_writes(tmp_path: Path) -> None:
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="maxbench")
    assert entry.load()(["new", "softmax", "my_kernel", "--folder", str(tmp_path)]) == 0
    assert code(between("new"), "python") == [(tmp_path / "my_kernel.py").read_text("utf-8")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_linked_and_named_exists(document: Path) -> None:
    text = document.read_text("utf-8")
    for link in re.findall(r"\]\(([^)#]*)(?:#[^)]*)?\)", text):
        assert "://" in link or (document.parent / link).exists(), link
    for path in re.findall(r"(?<![\w/.-])((?:impls|bench|reports|tests|docs)/[\w/.-]*\w)", text):
        assert (ROOT / path).exists(), path
