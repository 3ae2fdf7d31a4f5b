"""Two runs side by side: ratios, verdicts and what else differs."""

import csv
import io
import json

import pytest

from maxbench.reports.analysis import content
from maxbench.reports.commands import main
from maxbench.reports.show import compare, report
from maxbench.reports.system import text
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
        "same": "tie",
        "slower": "slower",
        "faster": "faster",
        # Its intervals are apart, but runs at different times differ by as much without any change.
        "little": "tie",
        "gone": "only in the first",
        "came": "only in the second",
    }
    little = found["little"].ratio
    assert little.decided
    assert little.value == pytest.approx(1 / 1.08)
    assert (little.low, little.high) == pytest.approx((1.01 / (1.04 * 1.08), 1.04 / (1.01 * 1.08)))
    strict = compare.changes(old.contests, new.contests, least=0.05)
    assert {c.implementation for c in strict if c.verdict == "slower"} == {"slower", "little"}


def test_what_cannot_be_told_is_no_tie_and_not_in_the_mean(tmp_path):
    """The medians of the second run are factors of 1.02 ms, the median of the first."""
    old = run(tmp_path / "old", {"half": 1, "eighth": 1, "noisy": 1, "few": 1, "alone": 1})
    found = Results()
    for name, samples in {
        "half": [[s * 0.5 for s in process] for process in FIRST],
        "eighth": [[s / 8 for s in process] for process in FIRST],
        "noisy": [[0.04e-3], [0.0133e-3], [1.2e-3]],
        "few": [[0.5e-3], [0.5e-3]],
        "alone": 332.0,
    }.items():
        found.add("softmax.Workloads.time_call", (name, "float32", "ImageNet"), samples)
    before, after = (
        content.gather([folder]) for folder in (old, found.write(tmp_path / "new", side={"id": "new"}))
    )  # fmt: skip
    changes = compare.changes(before.contests, after.contests)
    assert {c.implementation: (c.verdict, c.reason) for c in changes} == {
        "half": ("faster", ""),
        "eighth": ("faster", ""),
        "noisy": ("cannot tell", "interval too wide"),
        "few": ("cannot tell", "2 processes"),
        "alone": ("cannot tell", "one sample: no interval"),
    }
    noisy = next(c.ratio for c in changes if c.implementation == "noisy")
    assert str(noisy) == "25.5× (0.842–78.2×)"
    said = compare.summary(changes, ("old", "new"))
    # The square root of 2 * 8 is 4; the intervals of all are 1.01 to 1.04 ms.
    low, high = 4 * 1.01 / 1.04, 4 * 1.04 / 1.01
    assert said == (
        "new against old: 2 of 5 times are faster, 0 slower, 0 ties, 3 cannot be told; "
        f"geometric mean 4.00× ({text.factor_range(low, high)}) as fast, 3 left out of it that cannot be told."
    )
    words = [row[-1].words for row in compare.grid(changes, ("old", "new")).rows]
    assert words == ["faster", "faster", *(f"cannot tell: {c.reason}" for c in changes[2:])]


def test_the_mean_has_what_the_threshold_makes_a_tie(tmp_path):
    old = run(tmp_path / "old", {"half": 1, "noisy": 1})
    found = Results()
    for name, samples in (("half", [[s * 0.5 for s in p] for p in FIRST]), ("noisy", [[0.7e-3], [1.02e-3], [1.3e-3]])):
        found.add("softmax.Workloads.time_call", (name, "float32", "ImageNet"), samples)
    before, after = (content.gather([folder]).contests for folder in (old, found.write(tmp_path / "new")))
    # 1.00 (0.777 to 1.49): within 100%, which is twice a threshold of 50%, and not within 20%.
    for least, counts, mean in ((0.5, "1 tie, 0 cannot be told", 2**0.5), (0.1, "0 ties, 1 cannot be told", 2.0)):
        said = compare.summary(compare.changes(before, after, least), ("old", "new"))
        assert f"{counts}; geometric mean {text.factor(mean)} (" in said
        assert ("1 left out of it that cannot be told" in said) == (least == 0.1)


def test_what_else_differs_is_said(folders):
    first, second = (content.gather([folder]).runs[0] for folder in folders)
    assert compare.differences(first, second) == [
        "python: 3.11.2 and not known",
        "numpy: 2.4.6 and 9",
        "numba: 0.68.1 and not known",
    ]


def test_the_command_in_every_format(folders, capsys):
    def printed(*words):
        assert main.main(["compare", *map(str, folders), *words]) == 0
        return capsys.readouterr().out

    shown = printed()
    # Times 1 / 1.01, 1 / 1.5, 1 / 0.5 and 1 / 1.08: the fourth root of their product is 1.052.
    assert "1 of 4 times are faster, 1 slower, 2 ties, 0 cannot be told; geometric mean 1.05× (1.02–1.08×)" in shown
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
    assert main.main(["compare", str(folders[0]), str(tmp_path / "absent")]) == 2
    assert "no such folder" in capsys.readouterr().err
    for machine in ("a", "b"):
        Results().add("softmax.Sweep.time_call", ("x", "float32", 2), FIRST).write(tmp_path, machine=machine, run=False)
    assert main.main(["compare", str(folders[0]), str(tmp_path)]) == 2
    assert "holds 2 runs (a/01234567, b/01234567)" in capsys.readouterr().err


def test_a_report_of_two_runs_has_the_comparison(folders, tmp_path):
    page = report.write(folders, tmp_path / "both").read_text()
    assert 'id="changes"' in page
    assert "geometric mean" in page
