"""Starts and break-even, threads, memory, accuracy and the ceiling, against numbers worked out from raw samples."""

import math
import re
import statistics

import numpy as np
import pytest

from maxbench.bench.inputs import device_cells
from maxbench.reports.analysis import content, contests, scaling, startup, table
from maxbench.reports.analysis.derived import Measured
from maxbench.reports.records import runs
from maxbench.reports.show import agreement, report, tables
from maxbench.reports.system import text
from tests.report_data import COMMIT, FAILED, IMPLEMENTATIONS, Results, everything, findings

BASE = [[4.0e-3, 4.2e-3], [4.4e-3], [4.3e-3]]
FAST = [[1.0e-3], [1.1e-3], [1.04e-3]]
SLOW = [[9.0e-3], [9.0e-3], [9.0e-3]]
SPREAD = (1.0, 0.9, 1.1)


def start(found, name, statistic, value):
    """A start of three processes, of which asv has the median."""
    each = None if value is FAILED else {statistic: [value * s for s in SPREAD]}
    found.add(f"softmax.Start.track_{statistic}", (name, "float32"), value, processes=each)


def ladders(folder):
    found = Results()
    # (load, cold, warm) in seconds and the samples of a steady call
    for name, (load, cold, warm), samples in (
        ("numpy_vectorized", (0.10, 0.010, 0.010), BASE),
        ("fast", (0.90, 2.0, 0.30), FAST),
        ("slow", (0.05, 0.001, 0.001), SLOW),
        ("broken", (0.5, FAILED, FAILED), FAST),
    ):
        for statistic, value in (("load", load), ("first_call_cold", cold), ("first_call_warm", warm)):
            start(found, name, statistic, value)
        found.add("softmax.Sweep.time_call", (name, "float32", 1024), samples)
        found.add("softmax.Sweep.time_call", (name, "float32", 2), [[9.0], [9.0]])
        found.add("softmax.Api.time_call", (name, "float32", 1024), [[2 * s for s in p] for p in samples])
    return found.write(folder)


def test_the_ladder_has_each_rung_from_its_own_benchmark(tmp_path):
    found = {one.implementation: one for one in startup.ladders(content.gather([ladders(tmp_path)]).table)}
    rungs = {"load": 0.9, "cold": 2.0, "warm": 0.3, "call": 1.04e-3, "api": 2.08e-3}
    assert {key: one.value for key, one in found["fast"].rungs.items()} == pytest.approx(rungs)
    assert (found["fast"].rungs["cold"].low, found["fast"].rungs["cold"].high) == pytest.approx((1.8, 2.2))
    assert "cold" not in found["broken"].rungs


NO_DEVICE = "not measured: no device"


@pytest.mark.usefixtures("undrawn")
def test_the_ladder_says_that_there_is_no_device(tmp_path):
    page = report.write([ladders(tmp_path)], tmp_path).read_text()
    assert f"device kernel and end to end: {NO_DEVICE}" in page
    assert NO_DEVICE in (tmp_path / "report.md").read_text()


@pytest.mark.usefixtures("undrawn")
def test_the_ladder_of_a_device_has_its_steps_also_where_no_start_was_measured(tmp_path):
    found = Results()
    for benchmark, name, more, seconds in (
        ("Launch", "numba_cuda", (), 5e-6),
        ("Transfer", "host to device, pinned", (), 2e-3),
        ("Transfer", "device to host, pinned", (), 3e-3),
        ("Transfer", "host to device", (), 9e-3),
        ("Sweep", "numba_cuda", (1024,), 1e-4),
        ("Api", "numba_cuda", (1024,), 6e-3),
    ):
        rows = {"Sweep": 131072, "Api": 65536}.get(benchmark)
        shape = {"shape": (rows, 1024, 1)} if rows else {}
        found.add(f"softmax.{benchmark}.time_call", (name, "float32", *more), [[seconds]], **shape)
    # 1024 columns of another number of rows are no step of the ladder.
    found.add("softmax.Sweep.time_call", ("other", "float32", 1024), FAST, shape=(4096, 1024, 1))
    found.write(tmp_path)
    (ladder,) = startup.ladders(content.gather([tmp_path]).table)
    steps = {"launch": 5e-6, "transfer_in": 2e-3, "transfer_out": 3e-3, "device": 1e-4, "end_to_end": 6e-3}
    assert ladder.implementation == "numba_cuda"
    assert {key: one.value for key, one in ladder.rungs.items()} == pytest.approx(steps)
    page = report.write([tmp_path], tmp_path).read_text()
    assert NO_DEVICE not in page
    for _, title, meaning in startup.RUNGS:
        assert (title in page and meaning in page) == any(t == title and k in steps for k, t, _ in startup.RUNGS)


def test_the_sizes_that_the_ladder_names_are_those_measured_on_a_device():
    words = {key: meaning for key, _, meaning in startup.RUNGS}
    rows, n, _ = device_cells.API_SHAPE
    assert f"{rows:,} × {n} elements" in words["end_to_end"]
    assert words["transfer_in"].startswith(f"{rows * n * 4 >> 20} MiB")
    assert f"{device_cells.SWEEP_BYTES // 4 // 1024:,} × 1024 elements" in words["device"]
    assert f"{math.prod(device_cells.LAUNCH_SHAPE)} elements" in words["launch"]


def test_break_even_is_the_difference_of_starts_over_the_difference_of_calls(tmp_path):
    found = {one.implementation: one for one in startup.ladders(content.gather([ladders(tmp_path)]).table)}
    base, fast = found["numpy_vectorized"], found["fast"]
    medians = {"base": [statistics.median(p) for p in BASE], "fast": [statistics.median(p) for p in FAST]}
    gain = statistics.median(medians["base"]) - statistics.median(medians["fast"])
    least = min(medians["base"]) - max(medians["fast"])
    most = max(medians["base"]) - min(medians["fast"])
    cost = (0.9 + 2.0) - (0.1 + 0.01)
    cheapest, dearest = 0.9 * (0.9 + 2.0) - 1.1 * (0.1 + 0.01), 1.1 * (0.9 + 2.0) - 0.9 * (0.1 + 0.01)
    even = startup.break_even(fast, base, compiling=True)
    assert (even.calls, even.low, even.high) == pytest.approx((cost / gain, cheapest / most, dearest / least))
    assert even.shown
    warm = (0.9 + 0.3) - (0.1 + 0.01)
    assert startup.break_even(fast, base, compiling=False).calls == pytest.approx(warm / gain)
    # At that many calls the two have taken as long.
    assert fast.after(even.calls, compiling=True) == pytest.approx(base.after(even.calls, compiling=True))
    words = startup.sentence(fast, base)
    assert f"pays off after {math.ceil(cost / gain):,} calls" in words
    assert f"after {math.ceil(warm / gain):,} calls" in words
    assert startup.break_even(found["slow"], base, compiling=True).calls == math.inf
    assert "never pays off" in startup.sentence(found["slow"], base)
    assert startup.break_even(found["broken"], base, compiling=True) is None


def test_on_the_user_s_array_it_pays_off_after_its_own_number_of_calls(tmp_path):
    found = Results()
    for name, load, samples in (("numpy_vectorized", 0.1, BASE), ("fast", 1.1, FAST)):
        for statistic, value in (("load", load), ("first_call_cold", 0.5), ("first_call_warm", 0.5)):
            start(found, name, statistic, value)
        found.add("softmax.Own.time_call", (name,), samples, shape=(300, 700, 1), dtype="float32")
    page = report.write([found.write(tmp_path)], tmp_path).read_text()
    base, fast = (statistics.median(statistics.median(p) for p in samples) for samples in (BASE, FAST))
    assert f"softmax.fast against numpy_vectorized: pays off after {math.ceil(1.0 / (base - fast)):,} calls" in page
    assert "k further calls on your array: where" in page
    assert "k calls on your array" in page


def test_a_cheaper_and_faster_one_pays_off_at_once(tmp_path):
    found = {one.implementation: one for one in startup.ladders(content.gather([ladders(tmp_path)]).table)}
    assert startup.break_even(found["numpy_vectorized"], found["fast"], compiling=True).calls == math.inf
    even = startup.break_even(found["numpy_vectorized"], found["slow"], compiling=True)
    assert even.calls == pytest.approx(((0.10 + 0.010) - 0.051) / (9.0e-3 - 4.3e-3))
    same = startup.break_even(found["slow"], found["slow"], compiling=True)
    assert same.calls == math.inf  # it gains nothing
    rungs = {"load": 0.0, "cold": 0.0, "call": 1e-3}
    rungs = {key: Measured(value, value, value, 3) for key, value in rungs.items()}
    cheap = startup.Ladder("", "softmax", "x", "float32", rungs)
    slow = {key: Measured(value, value, value, 3) for key, value in {"load": 0.1, "cold": 0.0, "call": 9e-3}.items()}
    slow = startup.Ladder("", "softmax", "slow", "float32", slow)
    assert str(startup.break_even(cheap, slow, compiling=True)) == "at once"


@pytest.mark.usefixtures("undrawn")
def test_threads_speed_up_and_efficiency(tmp_path):
    folders = []
    for threads, factor in ((1, 1.0), (2, 0.55), (4, 0.4)):
        found = Results()
        found.add("softmax.Workloads.time_call", ("a", "float32", "ImageNet"), [[s * factor for s in p] for p in BASE])
        side = {"id": f"{threads} threads", "threads": {"numba": threads, "layer": "omp"}}
        folders.append(found.write(tmp_path / str(threads), side=side))
    (one,) = scaling.scalings(table.frame([runs.read(folder) for folder in folders]))
    assert [step.threads for step in one.steps] == [1, 2, 4]
    assert one.steps[0].speedup is None
    assert [step.speedup.value for step in one.steps[1:]] == pytest.approx([1 / 0.55, 1 / 0.4])
    assert [step.efficiency.value for step in one.steps] == pytest.approx([1, 1 / 0.55 / 2, 1 / 0.4 / 4])
    low, high = min(map(statistics.median, BASE)), max(map(statistics.median, BASE))
    assert (one.steps[1].speedup.low, one.steps[2].efficiency.high) == pytest.approx(
        (low / (0.55 * high), high / (0.4 * low) / 4)
    )
    page = report.write(folders, tmp_path / "out").read_text()
    assert 'id="scaling"' in page
    assert "62%" in page  # 1 / 0.4 / 4 = 0.625, to the nearest even digit


@pytest.mark.usefixtures("undrawn")
def test_memory_is_over_the_arrays_alone(tmp_path):
    found = Results()
    for name, value in (("(arrays only)", 100 << 20), ("a", 164 << 20)):
        found.add("softmax.Memory.peakmem_call", (name, "float32"), value)
    rows = tables.memory(content.gather([found.write(tmp_path)]).table)
    assert list(rows["implementation"]) == ["a"]
    assert list(rows["over"]) == [64 << 20]
    assert "64.0 MiB (1 process)" in report.write([tmp_path], tmp_path).read_text()


@pytest.mark.usefixtures("undrawn")
def test_the_share_of_the_ceiling_and_its_alarm(tmp_path):
    found = Results()
    moved = 2 * 4 * 2**20
    top = [[0.9e-3], [1.1e-3], [1.0e-3]]
    found.add("softmax.Ceiling.time_call", ("ceiling", "float32", 1 << 20), top, shape=(1, 1 << 20, 1))
    found.add("argmax.Ceiling.time_call", ("ceiling", "float32", 1 << 20), top, shape=(1, 1 << 20, 1))
    for n in (2, 1024):
        found.add("softmax.Sweep.time_call", ("half", "float32", n), [[1.9e-3], [2.1e-3], [2.0e-3]])
        found.add("softmax.Sweep.time_call", ("half", "float64", n), [[4.0e-3]] * 3)
        found.add("argmax.Sweep.time_call", ("half", "float32", n), [[2.0e-3]] * 3)
    found.add("argmax.Sweep.time_call", ("impossible", "float32", 1024), [[0.5e-3]] * 3)
    found.add("softmax.Workloads.time_call", ("half", "float32", "one long vector"), [[1.0]] * 3)
    gathered = content.gather([found.write(tmp_path)])
    by = {(c.operation, c.dtype, c.n): c for c in gathered.contests}
    contest = by["softmax", "float32", 1024]
    share = contest.share(contest.of("half"))
    assert contest.ceiling.bandwidth == pytest.approx(moved / 1.0e-3 / 1e9)
    assert share.value == pytest.approx(1.0e-3 / 2.0e-3)
    assert (share.low, share.high) == pytest.approx((0.9e-3 / 2.1e-3, 1.1e-3 / 1.9e-3))
    assert share.shown
    # Twice the bytes is still near; sixteen times is not.
    assert by["softmax", "float64", 2].ceiling.value == pytest.approx(2.0e-3)
    assert next(c for c in gathered.contests if c.benchmark == "Workloads").ceiling is None
    # Of a ceiling that any implementation exceeds no share is stated, on no input.
    for n in (2, 1024):
        doubted = by["argmax", "float32", n]
        assert not doubted.share(doubted.of("half")).shown
    said = "withheld: impossible on n = 1,024 (float32) reaches 200% of the ceiling"
    (alarm,) = [w for w in gathered.warnings if "ceiling" in w]
    assert alarm.startswith(f"argmax: the share of the ceiling of 4.00 MiB is {said}")
    page = report.write([tmp_path], tmp_path).read_text()
    shares = re.search(r'id="g-shares".*?<tbody>(.*?)</tbody>', page, re.DOTALL)[1]
    assert shares.count(">withheld<") == 3
    assert shares.count("%</td>") == 4


def test_agreement_counts_and_reasons(tmp_path):
    run = runs.read(everything().write(tmp_path, findings=findings()))
    summary, *matrices, reasons = agreement.matrices([run])
    counts = {row[0].words: [item.words for item in row[1:]] for row in summary.rows}
    assert counts["softmax.naive"] == ["60", "60", "0", "0", "0", "0", ""]
    assert counts["softmax.plugin"] == ["60", "59", "0", "1", "0", "0", ""]
    assert counts["argmax.absent"] == ["1", "0", "0", "0", "0", "0", "yes"]
    matrix = {row[0].words: [item.words for item in row[1:]] for row in matrices[0].rows}
    assert matrix["case 0"] == ["agrees (2)", "agrees (2)"]
    assert matrix["case 29"] == ["agrees (2)", "wrong: float64"]
    assert [item.words for item in reasons.rows[0]] == [
        "softmax.plugin", "wrong", "at (0, 1, 0): expected 1.0, got 0.5", "case 29 float64",
    ]  # fmt: skip


def test_a_dtype_that_is_not_supported_says_nothing_of_cases(tmp_path):
    one = {"operation": "softmax", "dtype": "bfloat16", "detail": "", "declared": ""}
    agrees = {**one, "implementation": "takes", "case": "NaN last", "status": "agrees"}
    refused = {**one, "implementation": "not", "case": "", "status": "not supported", "detail": "not among its dtypes"}
    run = runs.read(everything().write(tmp_path, findings=[agrees, refused]))
    _, matrix, reasons = agreement.matrices([run])
    assert [[item.words for item in row] for row in matrix.rows] == [["NaN last", "agrees (1)", text.NOTHING]]
    assert [item.words for item in reasons.rows[0]] == [
        "softmax.not",
        "not supported",
        "not among its dtypes",
        "bfloat16",
    ]


@pytest.mark.usefixtures("undrawn")
def test_markdown_says_what_the_page_says(tmp_path):
    everything().write(tmp_path, side={"implementations": IMPLEMENTATIONS}, findings=findings())
    page = report.write([tmp_path], tmp_path).read_text()
    markdown = (tmp_path / "report.md").read_text()
    titles = re.findall(r'<h2 id="h-[^"]+">([^<]+)</h2>', page)
    assert len(titles) > 12
    for title in titles:
        assert re.sub(r"_", r"\\_", title) in markdown
    assert COMMIT in markdown
    assert markdown.count("![") == page.count("<figure ")


@pytest.mark.usefixtures("undrawn")
def test_accuracy_is_the_worst_over_all_n(tmp_path):
    found = Results()
    for n, largest, typical in ((2, 3.0, 0.25), (1024, 17.5, 0.5), (4096, 9.0, 2.5)):
        found.add("softmax.Accuracy.track_largest_error", ("a", "float32", n), largest)
        found.add("softmax.Accuracy.track_typical_error", ("a", "float32", n), typical)
    page = report.write([found.write(tmp_path)], tmp_path).read_text()
    row = re.search(r'id="g-accuracy".*?<tbody>(.*?)</tbody>', page, re.DOTALL)[1]
    assert re.findall(r">([\d.]+)</td>", row) == ["17.5", "2.50"]


def test_the_performance_profile_counts_inputs_within_a_factor(tmp_path):
    found = Results()
    times = {"a": (1.0, 2.0, 4.0, 1.0), "b": (2.0, 1.0, 1.0, None)}
    for name, values in times.items():
        for n, value in zip((2, 4, 8, 16), values, strict=True):
            samples = FAILED if value is None else [[value], [value]]
            found.add("softmax.Sweep.time_call", (name, "float32", n), samples)
    gathered = content.gather([found.write(tmp_path)])
    assert {c.n: c.fastest.implementation for c in gathered.contests} == {2: "a", 4: "b", 8: "b", 16: "a"}
    from maxbench.reports.show.figures import Styles, curves

    drawn = curves.profile("p", gathered.contests, Styles(["a", "b"]))
    assert "a on 2, b on 2 of 4" in drawn.alt


def test_errors_in_ulp_against_a_longer_float():
    from maxbench.bench.suite import accuracy

    x = np.array([[0.0, 1.0, 2.0]], np.float32)[:, :, None]
    exact = np.exp(x.astype(np.longdouble)) / np.exp(x.astype(np.longdouble)).sum()
    nearest = exact.astype(np.float32)
    assert accuracy.errors(x, nearest).max() <= 0.5
    assert accuracy.errors(x, np.nextafter(nearest, np.float32(1))).max() == pytest.approx(1, abs=0.5)
    assert accuracy.errors(x, np.zeros_like(nearest)).min() > 1e6


def test_contests_without_times_have_no_winner():
    empty = contests.Contest("r", "softmax", "float32", "Sweep", "", 2, None, None, ())
    assert empty.fastest is None
    assert math.isnan(empty.probability("x"))
    assert empty.over_baseline("x") is None
    assert empty.shape == ""
