"""The report's answers, page, Markdown and terminal output, against numbers worked out here from the raw samples."""

import io
import itertools
import json
import math
import re
import statistics
from pathlib import Path
from xml.etree import ElementTree

import pytest

from maxbench import reports
from maxbench.reports.analysis import answer, content, contests
from maxbench.reports.analysis.rules import Decision
from maxbench.reports.commands import main
from maxbench.reports.show import console, report, tables, terminal
from maxbench.reports.show.markdown import grid_as_markdown
from maxbench.reports.system import text
from tests.report_data import COMMIT, FAILED, SKIPPED, Results

SAMPLES = {
    "numpy_vectorized": [[4.0e-3, 4.2e-3, 4.1e-3], [4.4e-3, 4.3e-3, 4.5e-3], [4.2e-3]],
    "fast": [[1.0e-3, 1.1e-3], [0.9e-3, 1.0e-3], [0.99e-3]],
    "close": [[1.04e-3], [1.1e-3], [1.07e-3]],
    "slow": [[8.0e-3], [8.8e-3], [8.2e-3]],
}
MEDIANS = {name: [statistics.median(p) for p in processes] for name, processes in SAMPLES.items()}


def results(names=SAMPLES):
    found = Results()
    for name, n in itertools.product(names, (2, 1024)):
        found.add("softmax.Sweep.time_call", (name, "float32", n), SAMPLES[name], dtype="float32")
    for name in names:
        found.add("softmax.Workloads.time_call", (name, "float32", "ImageNet"), SAMPLES[name])
        found.add("argmax.Workloads.time_call", (name, "int8", "ImageNet"), SAMPLES[name])
    found.add(
        "softmax.Workloads.time_call",
        ("broken", "float32", "ImageNet"),
        FAILED,
        detail="at (0,)",
        status="wrong",
    )
    found.add("softmax.Workloads.time_call", ("absent", "float32", "ImageNet"), SKIPPED, detail="no GPU here")
    return found


@pytest.fixture
def folder(tmp_path):
    return results().write(tmp_path / "run")


def contest(found, operation="softmax", benchmark="Workloads"):
    return next(c for c in found.contests if (c.operation, c.benchmark) == (operation, benchmark))


def test_the_ratio_over_the_baseline_and_its_interval(folder):
    over = contest(content.gather([folder])).over_baseline("numpy_vectorized")
    base, fast = MEDIANS["numpy_vectorized"], MEDIANS["fast"]
    assert over.value == pytest.approx(statistics.median(base) / statistics.median(fast))
    assert (over.low, over.high) == pytest.approx((min(base) / max(fast), max(base) / min(fast)))
    assert over.decided


def test_overlapping_intervals_are_a_tie_and_others_are_not(folder):
    found = contest(content.gather([folder]))
    assert [c.implementation for c in found.ranked] == ["fast", "close", "numpy_vectorized", "slow"]
    assert min(MEDIANS["close"]) <= max(MEDIANS["fast"])
    assert [c.implementation for c in found.rivals] == ["fast", "close"]
    assert found.decision == Decision("tie")
    assert not found.over_runner_up().decided


def test_a_clear_winner_is_no_tie(tmp_path):
    found = contest(content.gather([results(["numpy_vectorized", "fast", "slow"]).write(tmp_path)]))
    assert [c.implementation for c in found.rivals] == ["fast"]
    assert found.decision == Decision("faster")
    assert found.runner_up.implementation == "numpy_vectorized"


@pytest.mark.parametrize(
    ("close", "rivals", "reason"),
    [
        ([[1.04e-3], [1.3e-3], [1.2e-3]], ["fast", "close"], "interval too wide"),
        ([[1.5e-3], [1.6e-3]], ["fast"], "2 processes"),
        (332.0, ["fast"], "one sample: no interval"),
    ],
)
def test_what_cannot_be_told_is_neither_a_tie_nor_a_win(tmp_path, close, rivals, reason):
    found = results(["numpy_vectorized", "fast"])
    found.add("softmax.Workloads.time_call", ("close", "float32", "ImageNet"), close)
    gathered = content.gather([found.write(tmp_path)])
    mine = contest(gathered)
    assert mine.decision == Decision("cannot tell", reason)
    assert [c.implementation for c in mine.rivals] == rivals
    line = next(line for line in gathered.lines if (line.operation, line.dtype) == ("softmax", "float32"))
    words = f"cannot tell ({reason}): " + ("fast and close" if len(rivals) == 2 else "fast has the smallest time")
    assert (line.fastest, line.outcome) == (words, "cannot tell")
    assert any(f"softmax: {words} on ImageNet" in said for said in gathered.sentences)
    assert ("1 of 9 times cannot be compared: no interval, as of one sample." in " ".join(gathered.warnings)) == (
        close == 332.0
    )
    marks = {
        item.mark
        for grid in tables.times(gathered.contests, False)
        for row in grid.rows
        for item in row
        if row[0].words == "ImageNet"
    }
    assert "tie" not in marks


def test_a_tie_with_one_and_no_telling_of_another_is_no_tie(tmp_path):
    found = results(["numpy_vectorized", "fast", "close"])
    found.add("softmax.Workloads.time_call", ("noisy", "float32", "ImageNet"), [[0.5e-3], [1.3e-3], [9e-3]])
    mine = contest(content.gather([found.write(tmp_path)]))
    assert [c.implementation for c in mine.rivals] == ["fast", "close", "noisy"]
    assert mine.decision == Decision("cannot tell", "interval too wide")


def test_the_probability_is_the_share_of_draws_won(folder):
    found = contest(content.gather([folder]))
    wins = dict.fromkeys(SAMPLES, 0.0)
    draws = list(itertools.product(*MEDIANS.values()))
    for draw in draws:
        best = [name for name, time in zip(MEDIANS, draw, strict=True) if time == min(draw)]
        for name in best:
            wins[name] += 1 / len(best) / len(draws)
    assert {name: found.probability(name) for name in SAMPLES} == pytest.approx(wins)
    assert 0 < found.probability("close") < found.probability("fast")
    assert math.isnan(found.probability("absent"))


def test_equal_times_share_a_draw(tmp_path):
    found = Results()
    for name in ("a", "b", "c"):
        found.add("softmax.Sweep.time_call", (name, "float32", 2), [[1.0], [1.0], [1.0]])
    contest = content.gather([found.write(tmp_path)]).contests[0]
    assert [contest.probability(name) for name in "abc"] == pytest.approx([1 / 3] * 3)


def test_wrong_results_are_not_ranked_and_say_why(folder):
    found = content.gather([folder])
    assert [c.implementation for c in contest(found).missing] == ["broken", "absent"]
    assert [(a.implementation, a.status, a.reason) for a in found.absent] == [
        ("broken", "wrong", "at (0,)"),
        ("absent", "skipped", "no GPU here"),
    ]
    assert any("softmax.broken gave a wrong result" in w for w in found.warnings)


def test_the_baseline_is_numpys_else_the_slowest_and_an_unmeasured_one_is_refused(tmp_path):
    found = content.gather([results(["fast", "slow"]).write(tmp_path)])
    assert found.baseline == "slow"
    with pytest.raises(ValueError, match="baseline 'nobody' was not measured; measured were fast, slow"):
        content.gather([tmp_path], "nobody")
    assert content.gather([tmp_path], "fast").baseline == "fast"


def test_the_answer_in_sentences(folder):
    found = content.gather([folder])
    base, fast = MEDIANS["numpy_vectorized"], MEDIANS["fast"]
    ratio = text.factor(statistics.median(base) / statistics.median(fast))
    between = text.factor_range(min(base) / max(fast), max(base) / min(fast))
    assert found.sentences[0] == (
        f"softmax: tie: fast and close on ImageNet ({ratio} ({between}) as fast as numpy_vectorized)."
    )


@pytest.mark.usefixtures("undrawn")
def test_what_was_not_measured_is_said_on_top(tmp_path):
    found = results()
    for workload in ("CIFAR-10", "ImageNet"):
        found.add("argmax.Workloads.time_call", ("small", "int8", workload), SKIPPED, detail="too large")
    found.add("argmax.Workloads.time_call", ("fast", "int8", "CIFAR-10"), FAILED, detail="MemoryError")
    listed = [{"operation": "softmax", "name": "far", "status": "unavailable", "reason": "no GPU. Buy one."}]
    found.write(tmp_path, side={"implementations": listed})
    gaps = content.gather([tmp_path]).gaps
    assert gaps == (
        "Not measured: softmax.far (no GPU. Buy one.); softmax.broken (its result was wrong); "
        "softmax.absent and argmax.small (not supported); "
        "argmax.numpy_vectorized, argmax.fast, argmax.close and argmax.slow on 1 of 2 inputs (failed)."
    )
    page = report.write([tmp_path], tmp_path).read_text()
    assert gaps in page[: page.index("<h2")]
    assert gaps.replace("_", r"\_") in (tmp_path / "report.md").read_text()


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("failed", [False, True])
def test_what_cannot_run_here_is_folded_away_where_nothing_else_is_missing(tmp_path, failed):
    found = Results()
    for name in ("numpy_vectorized", "fast"):
        found.add("softmax.Workloads.time_call", (name, "float32", "CIFAR-10"), [[1.0], [1.1], [1.2]])
    if failed:
        found.add("softmax.Workloads.time_call", ("lost", "float32", "CIFAR-10"), FAILED, detail="MemoryError")
    away = [{"operation": "softmax", "name": name, "status": "unavailable", "reason": "no GPU here"} for name in "ab"]
    found.write(tmp_path, side={"implementations": away})
    page = report.write([tmp_path], tmp_path).read_text()
    top = page[: page.index("<h2")]
    assert ("<summary>Not measured: 2 implementations that cannot run here</summary>" in top) != failed
    assert "softmax.a and softmax.b (no GPU here)" in top
    assert ("softmax.lost (failed)" in top) == failed


def test_the_users_array_comes_first(tmp_path):
    found = results(["numpy_vectorized", "fast"])
    for name in ("numpy_vectorized", "fast"):
        found.add("softmax.Own.time_call", (name,), SAMPLES[name], shape=(7, 10, 1), dtype="float64")
    gathered = content.gather([found.write(tmp_path)])
    assert gathered.sentences[0].startswith("softmax on your array (7 × 10, float64): fast is fastest, 990 µs (")
    assert gathered.lines[0].input == "your array"


@pytest.mark.parametrize(("name", "impl"), [("numba_parallel", ""), ("fast", ', impl="fast"')])
def test_the_answer_on_the_users_array_ends_with_the_call_to_write(tmp_path, name, impl):
    found = results(["numpy_vectorized", "fast"])
    for one, samples in (("numpy_vectorized", "numpy_vectorized"), (name, "fast")):
        found.add("softmax.Own.time_call", (one,), SAMPLES[samples], shape=(7, 10, 1), dtype="float64")
        for statistic, seconds in (("load", 0.1), ("first_call_cold", 0.5), ("first_call_warm", 0.5)):
            start = {statistic: [seconds * s for s in (1, 0.9, 1.1)]}
            found.add(f"softmax.Start.track_{statistic}", (one, "float64"), seconds, processes=start)
    found.write(tmp_path, side={"array": {"axis": -2, "shape": [10, 7], "dtype": "float64"}})
    gathered = content.gather([tmp_path])
    first = (
        "Import and first call in a new process, on 64 × 1000 elements, take 600 ms, 600 ms with compiled code on disk "
    )
    first += "(3 processes)."
    even = f"softmax.{name} against numpy_vectorized: pays off from the first call on."
    assert gathered.sentences[-1] == f"Write maxbench.softmax(x, axis=-2{impl}). {first} {even}"
    assert gathered.answers[0].sentences[-1] == gathered.sentences[-1]


def test_warnings_name_what_makes_the_numbers_weak(tmp_path):
    side = {
        "state": "interrupted",
        "warnings": ["clock throttled"],
    }
    two = results()
    two.add("softmax.Sweep.time_call", ("fast", "float32", 2), SAMPLES["fast"][:2])
    said = "\n".join(content.gather([two.write(tmp_path, side=side)]).warnings)
    assert "clock throttled" in said
    assert "it was interrupted" in said
    # The range of k medians leaves out the true one when all k fall on one side: 2 (1/2)^k.
    assert (
        "only 2 processes: the range of 2 process medians holds the median over all processes with probability 50%"
        in said
    )
    assert "need 3 processes" in said
    assert answer.coverage(5).endswith("94%.")


def test_write_makes_every_file_and_names_none_that_is_missing(folder):
    page = report.write([folder], folder)
    assert page == folder / "index.html"
    for name in ("report.md", "results.csv"):
        assert (folder / name).stat().st_size
    linked = re.findall(r"\((figures/[^)]+)\)", (folder / "report.md").read_text())
    assert linked
    for name in linked:
        assert (folder / name).read_bytes().startswith(b"<?xml")
        assert (folder / name).with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    again = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    report.write([folder], folder)
    changed = {p.name for p, data in again.items() if p.read_bytes() != data}
    assert not changed  # the same results give the same bytes


@pytest.mark.usefixtures("undrawn")
def test_figures_of_an_earlier_report_do_not_stay(folder):
    output = folder / "report"
    report.write([folder], output)
    first = {path.name for path in (output / "figures").iterdir()}
    (output / "figures" / "mine.svg").write_text("kept")
    small = Results()
    small.add("softmax.Sweep.time_call", ("fast", "float32", 2), [[1e-3]])
    report.write([small.write(folder / "small")], output)
    left = {path.name for path in (output / "figures").iterdir()}
    assert "mine.svg" in left
    linked = re.findall(r"\(figures/([^)]+)\)", (output / "report.md").read_text())
    assert left - {"mine.svg"} == {Path(name).with_suffix(end).name for name in linked for end in (".svg", ".png")}
    assert first - left


@pytest.mark.usefixtures("undrawn")
def test_the_page_states_the_numbers(folder):
    page = report.write([folder], folder).read_text()
    base, fast = MEDIANS["numpy_vectorized"], MEDIANS["fast"]
    assert f"{text.seconds(statistics.median(fast))} ({text.seconds_range(min(fast), max(fast))})" in page
    over = text.factor(statistics.median(base) / statistics.median(fast))
    between = text.factor_range(min(base) / max(fast), max(base) / min(fast))
    assert f"{over} ({between})" in page
    top = page[: page.index("<h2")]
    assert (
        "Measured on box, A CPU; 2 threads; no GPU found; Python 3.11.2, NumPy 2.4.6, Numba 0.68.1; "
        f"2026-01-02 03:04 UTC; commit {COMMIT[:8]}, clean." in top
    )
    for fact in ("A CPU", "2 physical", "2 (omp)", "numpy 2.4.6", COMMIT, "clean", "2026-01-02 03:04 UTC"):
        assert fact in page


def test_the_page_needs_nothing_from_elsewhere(folder):
    page = report.write([folder], folder).read_text()
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)
    assert "@import" not in page
    assert not re.findall(r"url\((?!#)", page)
    identifiers = re.findall(r'\sid="([^"]*)"', page)
    assert len(identifiers) == len(set(identifiers))


HOSTILE = "<script>alert(1)</script>\"'\n|`$x_1$ {{ 7*7 }} </svg>&amp;"


def test_hostile_names_are_shown_as_they_are(tmp_path):
    found = results(["numpy_vectorized", "fast"])
    found.add("softmax.Workloads.time_call", (HOSTILE, "float32", "ImageNet"), SAMPLES["slow"])
    found.add("softmax.Sweep.time_call", (HOSTILE, "float32", 2), SAMPLES["slow"])
    found.add("softmax.Workloads.time_call", ("numpy_vectorized", "float32", HOSTILE), SAMPLES["slow"])
    found.add("argmax.Workloads.time_call", ("absent", "int8", "ImageNet"), SKIPPED, detail=HOSTILE)
    side = {
        "id": HOSTILE,
        "machine": {"name": HOSTILE, "cpu": HOSTILE, "caches": {HOSTILE: 32768}},
        "warnings": [HOSTILE],
    }
    page = report.write([found.write(tmp_path, side=side)], tmp_path, HOSTILE)
    html = page.read_text()
    assert "<script>alert" not in html
    assert html.count("<script") == 1 + html.count('<script type="application/json">')
    assert html.count("</svg>") == html.count("<svg ")
    assert "{{ 7*7 }}" in html
    markdown = (tmp_path / "report.md").read_text()
    assert "<script" not in markdown
    blocks = [[line for line in block.splitlines() if line.startswith("|")] for block in markdown.split("\n\n")]
    for table in filter(None, blocks):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table}
        assert len(columns) == 1
    for name in ("run", "implementation"):
        assert HOSTILE in set(reports.load(tmp_path)[name])


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "make", [lambda r: None, lambda r: r.add("softmax.Sweep.time_call", ("a", "float32", 2), FAILED)]
)
def test_a_report_of_nothing_says_so(tmp_path, make):
    found = Results()
    make(found)
    page = report.write([found.write(tmp_path)], tmp_path).read_text()
    assert "nothing was measured" in page.lower()
    assert not (tmp_path / "figures").exists()


@pytest.mark.usefixtures("undrawn")
def test_only_the_newest_commit_of_a_machine_is_compared(tmp_path):
    results(["fast"]).write(tmp_path, run=False)
    later = results(["slow"])
    later.write(tmp_path, commit="f" * 40, run=False)
    path = tmp_path / "box" / "ffffffff-env.json"
    data = json.loads(path.read_text())
    for row in data["results"].values():
        row[3] += 1000
    path.write_text(json.dumps(data))
    found = content.gather([tmp_path])
    assert found.names == ["box/ffffffff"]
    assert "older ones (1) are in results.csv only" in found.warnings[0]
    assert set(found.everything["run"]) == {"box/ffffffff", "box/01234567"}


@pytest.mark.usefixtures("undrawn")
def test_several_runs_stand_side_by_side(tmp_path):
    folders = [
        results().write(tmp_path / name, machine=name, side={"id": f"run of {name}"}) for name in ("left", "right")
    ]
    page = report.write(folders, tmp_path / "both").read_text()
    for name in ("left", "right"):
        assert f"<h3>run of {name}</h3>" in page


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_terminal_answer_fits_its_width(folder, width, monkeypatch):
    monkeypatch.setattr(console, "PIPE_WIDTH", width)
    out = io.StringIO()
    terminal.show(content.gather([folder]), stream=out)
    written = out.getvalue()
    assert max(map(len, written.splitlines())) <= width
    assert "\x1b" not in written
    for name in (*SAMPLES, "absent", "broken"):
        assert name in re.sub(r"\s+", " ", written)
    assert text.seconds(statistics.median(MEDIANS["slow"])) in written


def test_what_answers_lies_on_what_is_drawn(folder, monkeypatch):
    monkeypatch.setattr("maxbench.reports.system.forked.cpus", lambda: 1)
    parts = {part.id: part for part in report.sections(content.gather([folder]))}
    for section in ("overview", "time"):
        svg = ElementTree.fromstring(str(parts[section].figures[0].inline))
        every = {node.get("class", ""): [] for node in svg.iter() if re.fullmatch(r"i\d+", node.get("class", ""))}
        for node in svg.iter():
            if (tag := node.get("class", "")) in every:
                every[tag] += [(use.get("x"), use.get("y")) for use in node.iter() if use.tag.endswith("use")]
        marks = [node.attrib for node in svg.iter() if node.get("class", "").startswith("mark i")]
        assert len(marks) == len(SAMPLES) * (1 if section == "overview" else 2)
        for mark in marks:
            at = float(mark["cx"]), float(mark["cy"])
            drawn = [tuple(map(float, place)) for place in every[mark["class"].removeprefix("mark ")]]
            assert any(at == pytest.approx(place, abs=0.1) for place in drawn), (at, drawn)


@pytest.mark.usefixtures("undrawn")
def test_csv_markdown_and_json_on_standard_output_are_nothing_else(folder, capsys, tmp_path):
    def printed(kind):
        assert main.main(["report", str(folder), "--format", kind, "--output", str(tmp_path / "out")]) == 0
        return capsys.readouterr().out

    rows = printed("csv").splitlines()
    assert len(rows) == 1 + len(reports.load(folder))
    stored = json.loads(printed("json"))
    assert stored["baseline"] == "numpy_vectorized"
    assert len(stored["measurements"]) == len(rows) - 1
    value = next(m["value"] for m in stored["measurements"] if m["implementation"] == "fast")
    assert value == statistics.median(MEDIANS["fast"])
    found = content.gather([folder])
    times = tables.times(found.contests, found.several)
    answers = tables.answers(found.lines, found.baseline, found.several)
    grids = [answers, *times, tables.missing(found.absent)]
    said = [*(f"- {text.markdown(sentence)}" for sentence in found.sentences), *map(grid_as_markdown, grids)]
    assert printed("markdown") == "\n\n".join(said) + "\n"
    *lines, last = printed("table").splitlines()
    assert last == f"report: {tmp_path / 'out' / 'index.html'}"
    shown = [tables.bars(one, found.baseline) for one in found.answers]
    for grid in [*shown, *times, tables.missing(found.absent)]:  # whole lines, in which every cell stands as it is
        for row in grid.rows:
            assert any(all(item.words in line for item in row) for line in lines)


def test_the_terminal_draws_a_loss_as_plainly_as_a_win_and_says_last_where_the_page_is(tmp_path, capsys):
    found = Results()
    times = {"CIFAR-10": (1, 4), "ImageNet": (4, 1), "segmentation": (1, 4), "attention rows": (1, 1.01)}
    for workload, pair in times.items():
        for name, about in zip(("mine", "other"), pair, strict=True):
            params = (name, "float32", workload)
            found.add("softmax.Workloads.time_call", params, [[about], [1.02 * about], [1.04 * about]])
    found.write(tmp_path, side={"warnings": ["too warm"]})
    assert main.main(["report", str(tmp_path), "--baseline", "other", "--output", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("softmax: mine is fastest on CIFAR-10 and segmentation (")
    assert lines[-1] == f"report: {tmp_path / 'out' / 'index.html'}"
    assert any(line == "warning: too warm" for line in lines[-5:])
    bars = {line.split("  ")[0].strip(): re.search(r"(━*)│(━*)", line) for line in lines if "│" in line}
    assert {title: tuple(map(len, bar.groups())) for title, bar in bars.items()} == {
        "CIFAR-10": (0, tables.BAR), "ImageNet": (tables.BAR, 0), "segmentation": (0, tables.BAR),
        "attention rows": (0, 0),
    }  # fmt: skip
    marks = {line.split("  ")[0].strip(): re.search(r"m?s ([*=<])", line)[1] for line in lines if "│" in line}
    assert marks == {"CIFAR-10": "*", "ImageNet": "<", "segmentation": "*", "attention rows": "="}
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert ">0.250× LOST<" in page
    assert ">4.00× faster<" in page


def test_a_table_that_is_too_wide_is_shown_in_parts_that_name_their_rows(folder, monkeypatch):
    monkeypatch.setattr(console, "PIPE_WIDTH", 50)
    (grid, _) = tables.times(content.gather([folder]).contests, False)
    out = io.StringIO()
    console.show_grid(grid, "table", [], [], out)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 50
    heads = [line.split()[2:] for line in lines if line.strip().startswith("input")]
    assert len(heads) > 1
    assert [name for head in heads for name in head] == grid.columns[2:]
    assert sum(line.strip().startswith("ImageNet") for line in lines) == len(heads)


def test_the_command_refuses_what_it_cannot_use(folder, tmp_path, capsys):
    assert main.main(["report", str(tmp_path / "absent")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert main.main(["report", str(folder), "--baseline", "nobody"]) == 2
    assert "was not measured" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main.main(["report", str(folder), "--output", str(tmp_path / "file")]) == 2
    assert "cannot write the report" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.2345, "1.23 s"), (0.0009996, "1.00 ms"), (0.00099949, "999 µs"), (5e-9, "5.00 ns"), (1234.5, "1,230 s"),
        (2e-12, "0.00200 ns"), (float("nan"), "–"), (0.0, "0 ns"),
    ],
)  # fmt: skip
def test_times_have_three_digits_and_a_unit(value, words):
    assert text.seconds(value) == words


def test_main_contests_fall_back_to_the_sweep(tmp_path):
    found = Results().add("softmax.Sweep.time_call", ("a", "float32", 2), [[1.0], [2.0]])
    gathered = content.gather([found.write(tmp_path)])
    assert [c.title for c in contests.main_contests(gathered.contests)] == ["n = 2"]


def test_what_is_shown_of_several_runs_names_the_run(tmp_path, monkeypatch, empty_figure):
    from maxbench.reports.show.figures import canvas

    seen = []
    monkeypatch.setattr(canvas, "draw", lambda name, title, *rest, **more: seen.append(title) or empty_figure)
    monkeypatch.setattr("maxbench.reports.system.forked.cpus", lambda: 1)
    folders = []
    for run in ("left", "right"):
        found = results()
        for name in SAMPLES:
            for statistic in ("load", "first_call_cold", "first_call_warm"):
                found.add(f"softmax.Start.track_{statistic}", (name, "float32"), 0.1)
            found.add("softmax.Memory.peakmem_call", (name, "float32"), 2 << 20)
            found.add("softmax.Accuracy.track_largest_error", (name, "float32", 2), 2.0)
            found.add("softmax.Accuracy.track_typical_error", (name, "float32", 2), 1.0)
        found.add("softmax.Memory.peakmem_call", ("(arrays only)", "float32"), 1 << 20)
        folders.append(found.write(tmp_path / run, machine=run, side={"id": f"run on the {run}"}))
    parts = {part.id: part for part in report.sections(content.gather(folders))}
    assert len(seen) == len(set(seen)) > 10
    for run in ("left", "right"):
        assert sum(f"run on the {run}" in title for title in seen) == len(seen) / 2
    for id in ("ladder", "memory", "accuracy"):
        for grid in parts[id].grids:
            heads = [(row[0].words, row[1].words) for row in grid.rows]
            assert len(set(heads)) == len(heads) == 2 * len(SAMPLES), id
    assert len(set(parts["break-even"].points)) == len(parts["break-even"].points) > 0


def test_a_heat_map_of_very_many_inputs_draws_some_and_says_so(tmp_path):
    from maxbench.reports.show.figures import Styles, heat

    found = Results()
    for name, n in itertools.product(("numpy_vectorized", "fast"), range(2, 203)):
        found.add("softmax.Sweep.time_call", (name, "float32", n), SAMPLES[name])
    contests = content.gather([found.write(tmp_path)]).contests
    drawn = heat.speedup("h", contests, "numpy_vectorized", Styles(["numpy_vectorized", "fast"]))
    assert drawn.title.endswith(f"({heat.ROWS} of 201 inputs)")
    rows = re.findall(r">n = (\d+)<", drawn.svg)
    assert len(rows) == len(set(rows)) == heat.ROWS
    assert {"2", "202"} <= set(rows)
