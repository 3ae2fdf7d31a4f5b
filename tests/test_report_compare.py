"""Two runs side by side: ratios, verdicts and what else differs."""

import csv
import io
import json

import pytest

from reports import cli, compare, content, report
from tests.report_data import Results

FIRST = [[1.00e-3, 1.02e-3], [1.04e-3], [1.02e-3]]


def run(folder, speeds, **side):
    found = Results()
    for name, factor in speeds.items():
        samples = [[s * factor for s in process] for process in FIRST]
        found.add("softmax.Workloads.time_call", (name, "float32", "ImageNet"), samples)
    return found.write(folder, side={"id": folder.name, **side})


@pytest.fixture
def folders(tmp_path):
    return (
        run(tmp_path / "old", {"same": 1, "slower": 1, "faster": 1, "little": 1, "gone": 1}),
        run(
            tmp_path / "new",
            {"same": 1.01, "slower": 1.5, "faster": 0.5, "little": 1.08, "came": 1},
            versions={"numpy": "9"},
        ),
    )


def test_verdicts(folders):
    old, new = (content.gather([folder]) for folder in folders)
    found = {c.implementation: c for c in compare.changes(old.contests, new.contests)}
    assert {name: c.verdict for name, c in found.items()} == {
        "same": "no difference shown",
        "slower": "slower",
        "faster": "faster",
        # Its intervals are apart, but runs at different times differ by as much without any change.
        "little": "no difference shown",
        "gone": "only in the first",
        "came": "only in the second",
    }
    little = found["little"].ratio
    assert little.decided
    assert little.value == pytest.approx(1 / 1.08)
    assert (little.low, little.high) == pytest.approx((1.01 / (1.04 * 1.08), 1.04 / (1.01 * 1.08)))
    strict = compare.changes(old.contests, new.contests, least=0.05)
    assert {c.implementation for c in strict if c.verdict == "slower"} == {"slower", "little"}


def test_what_else_differs_is_said(folders):
    first, second = (content.gather([folder]).runs[0] for folder in folders)
    assert compare.differences(first, second) == [
        "python: 3.11.2 and not known",
        "numpy: 2.4.6 and 9",
        "numba: 0.68.1 and not known",
    ]


def test_the_command_in_every_format(folders, capsys):
    def printed(*words):
        assert cli.main(["compare", *map(str, folders), *words]) == 0
        return capsys.readouterr().out

    shown = printed()
    assert "1 of 4 times are faster, 1 slower, 2 show no difference" in shown
    assert "only in the second" in shown
    assert "softmax.same" not in shown
    assert "softmax.same" in printed("--all")
    assert "numpy: 2.4.6 and 9" in shown
    rows = list(csv.reader(io.StringIO(printed("--format", "csv"))))
    ratio = next(float(row[5]) for row in rows if row[0] == "softmax.slower")
    assert ratio == pytest.approx(1 / 1.5)
    assert len({len(row) for row in rows}) == 1
    found = json.loads(printed("--format", "json"))
    assert {c["implementation"]: c["verdict"] for c in found["changes"]}["faster"] == "faster"
    assert "| softmax.slower |" in printed("--format", "markdown").replace("\\", "")


def test_the_command_refuses_folders_without_one_run(folders, tmp_path, capsys):
    assert cli.main(["compare", str(folders[0]), str(tmp_path / "absent")]) == 2
    assert "no such folder" in capsys.readouterr().err
    for machine in ("a", "b"):
        Results().add("softmax.Sweep.time_call", ("x", "float32", 2), FIRST).write(tmp_path, machine=machine, run=False)
    assert cli.main(["compare", str(folders[0]), str(tmp_path)]) == 2
    assert "holds 2 runs (a/01234567, b/01234567)" in capsys.readouterr().err
    assert cli.main(["compare", *map(str, folders), "--least", "-1"]) == 2


def test_a_report_of_two_runs_has_the_comparison(folders, tmp_path):
    page = report.write(folders, tmp_path / "both").read_text()
    assert 'id="changes"' in page
    assert "geometric mean" in page
