"""The history: steps are found where they are, odd files are named and lose nothing, commits are measured once."""

from __future__ import annotations

import json
import math
import random
import re
import sys
from pathlib import Path
from typing import Any

import json5
import pytest

from maxbench.impls import threads
from maxbench.reports.commands import main
from maxbench.reports.history import run, series, steps
from maxbench.reports.history.series import ANCHOR, Point
from maxbench.reports.measure import environment, precheck
from maxbench.reports.records import asv_results
from tests.reports.history.conftest import BENCHMARK, NAMES, SIZE, SIZES, STEP, Folder, anchor, result_file, row


def _steps(values: list[float]) -> list[steps.Step]:
    return steps.steps([Point(f"c{i}", i, 1.0, 1.0) for i in range(len(values))], values)


def _series(seed: int, size: float = 0.0, at: int = 20, noise: float = 0.01, count: int = 40) -> list[float]:
    generator = random.Random(seed)
    # Heavy tails: every tenth point is four times as noisy.
    return [
        generator.gauss(0, noise) * (4 if generator.random() < 0.1 else 1) + (math.log1p(size) if i >= at else 0)
        for i in range(count)
    ]


def test_a_step_of_few_points_is_a_possible_one() -> None:
    (step,) = _steps([0.0] * 3 + [math.log1p(0.5)] * 3)
    # Pettitt's K is 9 of 6 points.
    assert (step.size, step.confidence) == pytest.approx((0.5, 1 - 2 * math.exp(-6 * 81 / (216 + 36))))
    assert not step.sure
    assert not _steps([0.0] * 3 + [math.log1p(0.0199)] * 3)
    assert _steps([0.0] * 3 + [math.log1p(0.0201)] * 3)


def test_a_step_is_found_at_its_commit_with_its_size() -> None:
    (step,) = _steps(_series(1, size=0.08))
    assert (step.before, step.after) == ("c19", "c20")
    assert step.size == pytest.approx(0.08, abs=0.02)
    assert step.sure


def test_noise_has_no_sure_steps_and_steps_of_five_percent_are_seen() -> None:
    assert sum(any(s.sure for s in _steps(_series(seed))) for seed in range(60)) == 0
    assert sum(any(s.sure for s in _steps(_series(seed, size=0.05))) for seed in range(30)) >= 28


def test_two_steps_and_a_short_series() -> None:
    values = [v + (math.log1p(0.1) if i >= 14 else 0) for i, v in enumerate(_series(2, size=-0.1, at=28))]
    assert [s.size > 0 for s in _steps(values)] == [True, False]
    assert _steps(values[:5]) == []
    # Three points after a step of 10% are no proof yet.
    assert not any(s.sure for s in _steps(_series(4, size=0.1, at=37)))


def test_pettitt_statistic_by_definition() -> None:
    values = [3.0, 1.0, 2.0, 5.0, 4.0, 6.0]
    n = len(values)
    u = [
        sum((values[i] > values[j]) - (values[i] < values[j]) for i in range(t + 1) for j in range(t + 1, n))
        for t in range(n - 1)
    ]
    k = max(map(abs, u))
    assert steps.pettitt(values) == pytest.approx(min(1.0, 2 * math.exp(-6 * k * k / (n**3 + n**2))))


def test_publish_names_the_commit_of_the_step_on_both_machines(
    folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.fill()
    before = folder.content()
    output = tmp_path / "pages"
    common = ["--repository", str(folder.repository), "--results", str(folder.results), "--output", str(output)]
    assert main.main(["history", "publish", *common]) == 0
    assert folder.content() == before
    found = json.loads((output / "steps.json").read_text())
    assert found["oddities"] == []
    sure = [s for s in found["steps"] if s["sure"]]
    # A drift of the machine by a factor of two is none of them.
    assert {(s["machine"], s["benchmark"]) for s in sure} == {
        (machine, f"{BENCHMARK}('numpy_vectorized', {size})") for machine in ("one", "two") for size in SIZES
    }
    for step in sure:
        assert step["suspects"] == f"{folder.commits[STEP - 1]}..{folder.commits[STEP]}"
        assert step["size"] == pytest.approx(SIZE, abs=0.02)
    page = (output / "index.html").read_text()
    assert f"{folder.commits[STEP - 1][:8]}..{folder.commits[STEP][:8]}" in page
    assert f"asv/index.html#{BENCHMARK}?x-axis=n" in page
    assert (output / "asv" / "index.html").is_file()
    assert page.count("<svg") == 4
    assert "10^" not in page  # ticks are plain numbers: names that hold a $ are not read as formulas
    assert len(re.findall(r">\+[78]\.\d%</text>", page)) == 4  # each step at its line
    for machine in ("one", "two"):
        assert f">{BENCHMARK}, 1024 on {machine}</text>" in page
    assert "4 steps" in capsys.readouterr().out
    # Published again, with a file of the user's beside asv's pages, and then with one in the way.
    (output / "asv" / "mine.txt").write_text("mine")
    assert main.main(["history", "publish", *common]) == 0
    assert (output / "asv" / "mine.txt").read_text() == "mine"
    (output / "steps.json").write_text("mine")
    assert main.main(["history", "publish", *common]) == 2
    assert "steps.json was changed since maxbench wrote it" in capsys.readouterr().err
    assert (output / "steps.json").read_text() == "mine"


def test_odd_files_are_named_and_lose_nothing(folder: Folder) -> None:
    folder.fill()
    truncated = folder.results / "one" / "truncated.json"
    truncated.write_text('{"version": 2, "commit_ha')
    (folder.results / "one" / "foreign.json").write_text('{"a": 1}')
    (folder.results / "two" / "notes.json").write_bytes(b"\xff\xfe\x00")
    # Another parameter list, another version of the benchmark, no anchor, a commit of another repository.
    odd = folder.write("two", "f" * 40, {BENCHMARK: row([1.0, None, math.nan], [["'naive'"], [*SIZES, "7"]], "2")})
    history = series.read(folder.results, folder.commits)
    said = "\n".join(history.oddities)
    for name in ("truncated.json", "foreign.json", "notes.json", f"{odd}: has no anchor", "ffffffff"):
        assert name in said
    assert "different benchmark versions" in said
    assert "parameter lists differ" in said
    by_key = {(s.machine, s.params): s for s in history.series}
    assert len(by_key[("one", (NAMES[0], SIZES[0]))].points) == len(folder.commits)
    kept = {s.version: s.points for s in history.series if (s.machine, s.params) == ("two", (NAMES[0], SIZES[0]))}
    assert {version: len(points) for version, points in kept.items()} == {"version 1": 24, "version 2": 1}
    assert [(p.seconds, p.ratio, p.placed) for p in kept["version 2"]] == [(1.0, None, False)]
    # Failed and skipped are no points.
    assert ("two", ("'naive'", "7")) not in by_key


def test_another_version_of_a_benchmark_or_of_the_anchor_is_no_step(folder: Folder) -> None:
    for index, commit in enumerate(folder.commits):
        late, later = index >= 8, index >= 16
        timed = row([2.0 if late else 1.0], [["'naive'"], ["32"]], "2" if late else "1")
        folder.write("one", commit, {BENCHMARK: timed, ANCHOR: row([1.0 if later else 0.1], [["'x'"]], str(later))})
    history = series.read(folder.results, folder.commits)
    assert sorted(len(s.points) for s in history.series) == [8, 8, 8]
    assert {s.name.partition("), ")[2] for s in history.series} == {
        "version 1, anchor version False", "version 2, anchor version False", "version 2, anchor version True",
    }  # fmt: skip
    assert [steps.find(s) for s in history.series] == [[], [], []]


def test_a_commit_measured_in_two_files_keeps_both_and_uses_the_newer(folder: Folder) -> None:
    commit = folder.commits[0]
    first = folder.write("one", commit, {BENCHMARK: row([1.0, 2.0], [["'naive'"], SIZES], "1"), ANCHOR: anchor(1.0)})
    second = {BENCHMARK: row([3.0], [["'naive'"], SIZES[:1]], "1"), ANCHOR: anchor(1.0)}
    second[BENCHMARK][3] += 1
    (first.parent / f"{first.stem}-2.json").write_text(json.dumps(result_file("one", commit, second)))
    history = series.read(folder.results, folder.commits)
    assert {s.params[1]: [p.seconds for p in s.points] for s in history.series} == {SIZES[0]: [3.0], SIZES[1]: [2.0]}
    assert "measures again 1 cells" in "".join(history.oddities)


def test_publish_refuses_a_folder_without_results(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["history", "publish", "--repository", str(folder.repository), "--results", str(folder.results)]
    assert main.main(words) == 2
    assert "holds no results" in capsys.readouterr().err


@pytest.fixture
def asv(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """asv's process replaced by one that leaves what asv leaves; the commits it was asked for. One does not build."""
    asked: list[str] = []

    def instead(self: run.Runner, command: list[str], where: Path, said: Any) -> tuple[int, str]:
        commit = command[-1].removesuffix("^!")
        asked.append(commit)
        assert json.loads((where / "asv.conf.json").read_text())["repo"] == str(folder.repository)
        if commit == folder.commits[21]:
            return 1, "Failed to build the project"
        target = where / "results" / "box"
        target.mkdir(parents=True)
        (target / "machine.json").write_text('{"machine": "box", "version": 1}')
        (where / "results" / "benchmarks.json").write_text(json.dumps({BENCHMARK: {"version": "1"}, "version": 2}))
        found = {BENCHMARK: row([1.0], [["'naive'"]], "1"), series.ANCHOR: anchor(1e-4)}
        (target / f"{commit[:8]}-v.json").write_text(json.dumps(result_file("box", commit, found)))
        return 0, ""

    monkeypatch.setenv("MAXBENCH_GRID", "quick")  # `--full` sets it for what the command starts
    monkeypatch.setattr(run.Runner, "_asv", instead)
    monkeypatch.setattr(precheck, "take", lambda threads: precheck.Precheck(3.0, threads, problem="a test"))
    return asked


def test_a_run_goes_on_where_it_stopped_and_shares_its_folder(
    folder: Folder, asv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder.fill()
    others = folder.content()
    words = ["--repository", str(folder.repository), "--results", str(folder.results), "--machine", "box"]
    chosen = f"{folder.commits[18]}..main"
    assert main.main(["history", "run", chosen, *words]) == 1
    assert "what this machine can see today is not known: a test" in capsys.readouterr().err
    assert asv == folder.commits[19:]
    now = folder.content()
    assert {name: now[name] for name in others} == others
    assert {name.partition("/")[0] for name in now.keys() - others.keys()} == {"box"}
    asv.clear()
    # Only the commit that failed is tried again; a damaged file does not count as measured.
    (folder.results / "box" / f"{folder.commits[20][:8]}-v.json").write_text("{")
    assert main.main(["history", "run", chosen, *words]) == 1
    assert asv == folder.commits[20:22]
    asv.clear()
    assert main.main(["history", "run", "main", *words]) == 0
    assert asv == []
    assert main.main(["history", "run", chosen, *words, "--again", "--every", "2"]) == 1
    assert asv == [folder.commits[i] for i in (19, 21, 23)]
    asv.clear()
    # What was measured in other benchmarks, or in the small grid, is not all that is asked for.
    for more in (["--bench", "Other", "--bench", "Sweep"], ["--full"]):
        assert main.main(["history", "run", "main", *words, *more]) == 0
    assert asv == folder.commits[23:] * 2


def test_other_benchmarks_of_a_commit_are_kept_beside_the_first(folder: Folder, tmp_path: Path) -> None:
    target = folder.results / "one"
    commit = folder.commits[0]
    written = folder.write("one", commit, {BENCHMARK: row([1.0], [["'naive'"]], "1")})
    note(written, run.conditions())
    name = f"{commit[:8]}-v.json"
    new = tmp_path / "new" / "one"
    new.mkdir(parents=True)
    for benchmark, place in (("other", f"{commit[:8]}-v-2.json"), (BENCHMARK, name)):
        content = result_file("one", commit, {benchmark: row([1.0], [["'naive'"]], "1")})
        (new / name).write_text(json.dumps(content))
        assert run._place(target, asv_results.read_file(new / name)) == target / place
    # Nor is what was measured under other conditions written over.
    note(written, run.conditions() | {"waiting": "OMP_WAIT_POLICY=passive"})
    assert run._place(target, asv_results.read_file(new / name)) == target / f"{commit[:8]}-v-2.json"


def test_a_narrowed_run_again_loses_no_cell_and_one_sample_is_not_measured(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asv stores the cells that were not chosen as skipped, and has every benchmark in its benchmarks.json."""
    commit, (small, large) = folder.commits[-1], SIZES
    runner = run.Runner(folder.repository, folder.results, "box", [r"time_call"])
    stored: dict[str, Any] = {}

    def instead(self: run.Runner, command: list[str], where: Path, said: Any) -> tuple[int, str]:
        target = where / "results" / "box"
        target.mkdir(parents=True)
        (target / "machine.json").write_text('{"machine": "box", "version": 1}')
        (where / "results" / "benchmarks.json").write_text(json.dumps({BENCHMARK: {"version": "1"}, "version": 2}))
        (target / f"{commit[:8]}-v.json").write_text(json.dumps(result_file("box", commit, stored)))
        return 0, ""

    def now(select: str) -> bool:
        return run.measured(folder.results, "box", run.expressions([select]), "quick") == {commit}

    monkeypatch.setenv("MAXBENCH_GRID", "quick")
    monkeypatch.setattr(run.Runner, "_asv", instead)
    stored = {BENCHMARK: row([1.0, 2.0, math.nan, None], [NAMES, SIZES], "1"), ANCHOR: anchor(1e-4)}
    runner.run(commit)
    (first,) = (folder.results / "box").glob("*-v.json")
    before = first.read_bytes()
    assert now("time_call")
    assert not now("Other")
    stored = {BENCHMARK: row([math.nan, 3.0, math.nan, math.nan], [NAMES, SIZES], "1"), ANCHOR: anchor(2e-4)}
    stored[BENCHMARK][3] += 1  # when asv began to measure it
    again = run.Runner(folder.repository, folder.results, "box", [rf"\({NAMES[0]}, {large}\)"])
    for _ in range(2):
        again.run(commit)
        assert first.read_bytes() == before
        assert len(list((folder.results / "box").glob("*-v*.json"))) == 2
    points = {s.params: s.points[-1] for s in series.read(folder.results, folder.commits).series}
    assert {params: (p.seconds, p.ratio) for params, p in points.items()} == {
        (NAMES[0], small): (1.0, pytest.approx(1e4)), (NAMES[0], large): (3.0, pytest.approx(1.5e4)),
    }  # fmt: skip
    first.unlink()  # of the narrowed run alone, the others are not measured
    assert now(rf"\({NAMES[0]}, {large}\)")
    assert not now("time_call")
    # What cannot be read is not replaced.
    first.write_text("{")
    stored = {BENCHMARK: row([1.0] * 4, [NAMES, SIZES], "1"), ANCHOR: anchor(2e-4)}
    runner.run(commit)
    assert first.read_text() == "{"
    assert now("time_call")
    for path in (folder.results / "box").glob("*-v*.json"):
        path.unlink()
    stored[BENCHMARK][-1][0] = [1.0]
    runner.run(commit)
    assert not now("time_call")
    assert now(NAMES[1])


@pytest.mark.parametrize(
    ("old", "new", "over"),
    [
        ([1.0, 2.0], [3.0, 4.0], True),
        ([1.0, math.nan], [3.0, 4.0], True),
        ([1.0, 2.0], [3.0, math.nan], False),
        ([1.0, 2.0], [3.0, None], False),  # a failure replaces no time
        ([1.0, None], [3.0, 4.0], True),
        ([1.0, None], [3.0, None], True),
        ([1.0, None], [3.0, math.nan], False),
    ],
)
def test_what_was_measured_before_is_replaced_only_by_what_was_measured_again(
    old: list[Any], new: list[Any], over: bool, folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAXBENCH_GRID", "quick")
    written = folder.write("one", folder.commits[0], {BENCHMARK: row(old, [NAMES[:1], SIZES], "1")})
    note(written, run.conditions())
    (tmp_path / written.name).write_text(
        json.dumps(result_file("one", folder.commits[0], {BENCHMARK: row(new, [NAMES[:1], SIZES], "1")}))
    )
    placed = run._place(written.parent, asv_results.read_file(tmp_path / written.name))
    assert (placed == written) is over
    assert placed == written or not placed.exists()


def note(path: Path, conditions: dict[str, str]) -> None:
    content = json.loads(path.read_text()) | {asv_results.NOTES: {"grid": "quick", "conditions": conditions}}
    path.write_text(json.dumps(content))


def test_other_conditions_are_series_of_their_own(folder: Folder) -> None:
    now = {"waiting": "short", "samples": "2 processes of 0.15 s"}
    for index, commit in enumerate(folder.commits):
        timed = row([1.0 if index < 12 else 2.0], [["'naive'"], ["32"]], "1")
        written = folder.write("one", commit, {BENCHMARK: timed, ANCHOR: anchor(1.0)})
        if index >= 12:
            note(written, now if index < 18 else now | {"samples": "5 processes of 0.5 s"})
    history = series.read(folder.results, folder.commits)
    assert {s.version: len(s.points) for s in history.series} == {
        "waiting unknown, samples unknown": 12,
        "waiting short, samples 2 processes of 0.15 s": 6,
        "waiting short, samples 5 processes of 0.5 s": 6,
    }
    assert [steps.find(s) for s in history.series] == [[], [], []]
    assert "different waiting are series of their own (short: 12 files, unknown: 12 files)" in history.oddities
    found = run.measured(folder.results, "one", run.expressions([BENCHMARK]), "quick")
    assert found == set()
    note(written, run.conditions())
    assert run.measured(folder.results, "one", run.expressions([BENCHMARK]), "quick") == {folder.commits[-1]}


def test_history_measures_in_the_environment_of_every_command(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("GOMP_SPINCOUNT", "infinite")
    said: list[str] = []
    runner = run.Runner(folder.repository, folder.results, "one")
    code, _ = runner._asv([sys.executable, "-c", PRINT], folder.results, said.append)
    assert code == 0
    passed = json.loads(said[-1])
    expected = environment.measuring(environment.usable_cpus())
    assert {name: passed[name] for name in expected} == expected


PRINT = "import json, os; print(json.dumps(dict(os.environ)))"


def test_plain_asv_has_the_same_waiting_policy() -> None:
    matrix = json5.loads((Path(__file__).parents[3] / run.CONFIGURATION).read_text())["matrix"]
    assert matrix["env_nobuild"] == {name: [value] for name, value in environment.WAITING.items()}
    assert threads._SPINS.items() <= environment.WAITING.items()  # as users have it without other settings


def test_unusable_ranges_and_repositories_are_named(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--repository", str(folder.repository), "--results", str(folder.results)]
    assert main.main(["history", "run", "nonsense", *words]) == 2
    assert "nonsense" in capsys.readouterr().err
    assert main.main(["history", "run", "main", "--bench", "(", *words]) == 2
    assert "'(' is no regular expression" in capsys.readouterr().err
    assert main.main(["history", "run", "main..main", *words]) == 2
    assert "has no commits" in capsys.readouterr().err
    (folder.repository / "asv.conf.json").unlink()
    assert main.main(["history", "run", "main", *words]) == 2
    assert "asv.conf.json" in capsys.readouterr().err
