"""Every number in the tables and sentences of a report, worked out here once more from the raw samples."""

from __future__ import annotations

import itertools
import math
import re

import pytest

from .data import BASELINE, CEILING, DTYPES, ITEMSIZE, NAMES, ORDERS, SIZES, THREADS, WORKLOADS
from .expected import (
    against,
    inputs,
    ladder,
    leads,
    medians,
    middle,
    moved,
    near,
    outcome,
    ratio,
    rivals,
    time,
    times,
    winner,
)
from .page import said


def test_the_answer_table(raw, found):
    rows = found.tables.rows("answer")
    assert len(rows) == 2 * len(WORKLOADS)
    seen = set()
    for row in rows:
        operation, _, title = row["input"].words.partition(": ")
        ran = times(raw, operation, title)
        names = list(ran)
        seen.add(outcome(ran))
        assert row["fastest"].words == winner(ran)
        near(said(row["time of one call"].words), ran[names[0]])
        near(said(row[f"over {BASELINE}"].words), ratio(ran[BASELINE], ran[names[0]]))
        words = row["over the runner-up"].words
        near(said(words), ratio(ran[names[1]], ran[names[0]]))
        assert words.endswith(f"over {names[1]}")
    assert seen == {"faster", "tie", "cannot tell"}


def test_the_sentences_on_top(raw, found):
    top = found.page[: found.page.index("<h2")]
    for operation in DTYPES:
        (words,) = re.findall(rf"<p>{operation}: (.*?)</p>", top)
        groups = {}
        for title in WORKLOADS:
            ran = times(raw, operation, title)
            groups.setdefault(winner(ran), []).append(ran)
        assert len(words.split("; ")) == len(groups)
        for name, of in groups.items():
            clear = outcome(of[0]) == "faster"
            begins = f"{name} {'is fastest ' if clear else ''}on "
            (part,) = [p.removeprefix(begins) for p in words.split("; ") if p.startswith(begins)]
            overs = [ratio(ran[BASELINE], next(iter(ran.values()))) for ran in of]
            values = overs[0] if len(of) == 1 else (min(o[0] for o in overs), max(o[0] for o in overs))
            bracket = part[part.index("(") + 1 :]
            near(said(bracket.partition(" as fast as")[0]), values)
            if clear:
                second = [ratio(*list(ran.values())[1::-1]) for ran in of]
                values = second[0] if len(of) == 1 else (min(o[0] for o in second), max(o[0] for o in second))
                near(said(bracket.partition(f"{BASELINE}, ")[2].partition(" as fast as")[0]), values)


def test_the_cards_of_the_leaders(raw, found):
    for operation in DTYPES:
        card = found.page.partition(f'<article class="card" aria-label="{operation}">')[2].partition("</article>")[0]
        leader = leads(raw, operation, WORKLOADS)
        every = [times(raw, operation, title) for title in WORKLOADS]
        outcomes = [against(ran, leader)[0] for ran in every]
        (head,) = re.findall(rf"<b>{operation}: {leader}</b> (.*?)</p>", card)
        assert head.startswith(f"fastest on {outcomes.count('faster')} of {len(every)} inputs; ")
        assert f"{outcomes.count('slower')} slower" in head
        for outcome_here, word in (("tie", r"(\d+) tie"), ("cannot tell", r"(\d+) cannot tell")):
            assert sum(map(int, re.findall(word, head))) == outcomes.count(outcome_here)
        numbers = re.findall(r"<strong[^>]*>(.*?)</strong> <span>over (.*?)</span>\s*<small>(.*?)</small>", card)
        expected = {
            BASELINE: [ratio(ran[BASELINE], ran[leader]) for ran in every],
            "the best other": [against(ran, leader)[1] for ran in every],
        }
        assert [whom for _, whom, _ in numbers] == list(expected)
        for mean, whom, small in numbers:
            told = [r for r in expected[whom] if r[1] > 1 or r[2] < 1 or (r[1] >= 1 / 1.2 and r[2] <= 1.2)]
            near(said(mean), [math.prod(value for value, _, _ in told) ** (1 / len(told))])
            values = [value for value, _, _ in told]
            left = len(every) - len(told)
            assert (f"; {left} more cannot tell" in small) == bool(left)
            if len(told) > 1:
                assert small.startswith(f"geometric mean of {len(told)} inputs, ")
                near(said(small.split(", ")[1].partition(";")[0]), [min(values), max(values)])
            else:
                near(said(small.partition(" on")[0]), told[0][1:])


def test_the_rules_are_the_fewest_with_the_fewest_exceptions(raw, found):
    rows = found.tables.rows("rules")
    for operation, dtype in DTYPES.items():
        sizes = {}
        for title, (_, _, shape) in inputs(operation).items():
            sizes.setdefault(math.prod(shape), []).append((title, times(raw, operation, title)))
        order = sorted(sizes)

        def misses(name, some, sizes=sizes):
            return [
                t for size in some for t, ran in sizes[size] if name not in ran or against(ran, name)[0] == "slower"
            ]

        least = min(
            sum(
                1 + min(len(misses(name, order[a:b])) for name in NAMES)
                for a, b in itertools.pairwise((0, *cuts, None))
            )
            for count in range(len(order))
            for cuts in itertools.combinations(range(1, len(order)), count)
        )
        mine = [row for row in rows if row["for"].words == f"{operation}, {dtype}"]
        cost, had = 0, []
        for row in mine:
            bounds = [int(word.replace(",", "")) for word in re.findall(r"[\d,]*\d", row["arrays of"].words)]
            words = row["arrays of"].words
            low = bounds[0] if not words.startswith("up to") else order[0]
            high = bounds[-1] if not words.endswith(" on") else order[-1]
            here = [size for size in order if low <= size <= high]
            assert (low, high) == (here[0], here[-1])  # a range ends at measured sizes
            had += here
            lost = misses(row["use"].words, here)
            assert all(f" on {title}: " in row["lost to"].words for title in lost)
            assert (row["lost to"].words == "none") == (not lost)
            assert row["measured on"].words.startswith(f"{sum(len(sizes[size]) for size in here)} input")
            cost += 1 + len(lost)
        assert had == order  # every input is in one range
        assert cost == least


def test_what_users_call(raw, found):
    rows = found.tables.rows("calls")
    for operation, dtype in DTYPES.items():
        mine = [row for row in rows if row["input"].words == f"{operation}: 1024 × 1024"]
        ran = {name: time(raw, operation, "Api.time_call", (name, dtype, 1024)) for name in NAMES}
        ran = dict(sorted(ran.items(), key=lambda item: item[1][0]))
        assert [row["implementation"].words for row in mine] == list(ran)
        mark = {"faster": "best", "tie": "tie", "cannot tell": "missing"}[outcome(ran)]
        for row, (name, values) in zip(mine, ran.items(), strict=True):
            assert row["implementation"].mark == (mark if name in rivals(ran) else "")
            near(said(row["public function"].words), values)
            kernel = time(raw, operation, "Sweep.time_call", (name, dtype, 1024))
            near(said(row["kernel"].words), kernel)
            assert row["call over kernel"].number == pytest.approx(values[0] / kernel[0])
            if name != BASELINE:
                assert row[f"over {BASELINE}"].number == pytest.approx(ran[BASELINE][0] / values[0])


def test_the_tables_of_times_and_their_marks(raw, found):
    for operation in DTYPES:
        for row in found.tables.rows(f"times-{operation}"):
            ran = times(raw, operation, row["input"].words)
            best = rivals(ran)
            mark = {"faster": "best", "tie": "tie", "cannot tell": ""}[outcome(ran)]
            for name in NAMES:
                cell = row[name]
                if name not in ran:
                    assert cell.words == "failed"
                    continue
                assert cell.number == pytest.approx(ran[name][0])
                near(said(re.sub(r" \(.*", "", cell.words)), [ran[name][0]])
                assert cell.mark == f"number {mark if name in best else ''}".strip()


def test_the_map_of_the_fastest_and_its_probability(raw, found):
    rows = found.tables.rows("winners")
    assert len(rows) == sum(len(inputs(operation)) for operation in DTYPES)
    certain = 0
    for row in rows:
        operation, _, title = row["input"].words.partition(": ")
        benchmark, rest, (outer, n, inner) = inputs(operation)[title]
        assert (int(row["n"].number), int(row["rows"].number)) == (n, outer * inner)
        ran = times(raw, operation, title)
        draws = list(itertools.product(*(medians(raw, operation, benchmark, (name, *rest)) for name in ran)))
        wins = sum(draw[0] == min(draw) for draw in draws) / len(draws)  # the first of them has the least median
        assert row["probability of the first"].number == pytest.approx(wins)
        certain += wins == 1
        assert row["fastest"].words == " and ".join(rivals(ran))
    assert 0 < certain < len(rows)


def test_the_share_of_the_ceiling(raw, found):
    rows = found.tables.rows("shares")
    for operation, dtype in DTYPES.items():
        mine = {(row["input"].words, row["implementation"].words): row for row in rows}
        elements = 2**20 * ITEMSIZE[dtype] // ITEMSIZE[CEILING]
        top = (
            moved(operation, (1, elements, 1), 4)
            / time(raw, operation, "Ceiling.time_call", ("ceiling", CEILING, elements))[0]
        )
        for n in SIZES:
            for name, (value, _, _) in times(raw, operation, f"n = {n:,}").items():
                row = mine[f"{operation}: n = {n:,}", name]
                bandwidth = moved(operation, (2**20 // n, n, 1), ITEMSIZE[dtype]) / value
                assert row["bandwidth"].number == pytest.approx(bandwidth)
                assert row["ceiling"].number == pytest.approx(top)
                assert row["share"].number == pytest.approx(bandwidth / top)
                # Whole percents, of which 1 has the half of a percent.
                assert said(row["share"].words) == pytest.approx([bandwidth / top], abs=5e-3)


def test_every_measurement(raw, found):
    rows = found.tables.rows("measurements")
    assert len(rows) == len(raw.cells)
    index = {}
    for (operation, benchmark, params), value in raw.cells.items():
        kind, _, method = benchmark.partition(".")
        index.setdefault((operation, params[0], kind, method), []).append((params, value))
    for row in rows:
        statistic = row["statistic"].words
        what = row["workload, order or cache"].words
        method = {"time": "time_call", "peak_memory": "peakmem_call", "first_call": f"track_first_call_{what}"}.get(
            statistic, f"track_{statistic}"
        )
        candidates = index[row["operation"].words, row["implementation"].words, row["benchmark"].words, method]
        numbers = [said(row[name].words) for name in ("value", "low", "high")]
        if row["status"].words != "ok":
            assert numbers == [[], [], []]
            continue
        number = row["value"].number
        matching = [v for _, v in candidates if isinstance(v, list) and middle(map(middle, v)) == pytest.approx(number)]
        matching += [v for _, v in candidates if isinstance(v, int | float) and v == pytest.approx(number)]
        (value,) = matching
        if isinstance(value, list):
            each = [middle(process) for process in value]
            assert (row["low"].number, row["high"].number) == pytest.approx((min(each), max(each)))


def test_orders(raw, found):
    for row in found.tables.rows("orders-1"):
        for name in NAMES:
            mine, base = (
                time(raw, "argmax", "Orders.time_call", (name, "int8", o)) for o in (row["order"].words, "random")
            )
            assert row[name].number == pytest.approx(mine[0])
            slower, low, high = ratio(mine, base)
            near(said(row[name].words), [mine[0]] if low <= 1 <= high else [mine[0], slower])
    assert [row["order"].words for row in found.tables.rows("orders-1")] == list(ORDERS)


def test_the_ladder(raw, found):
    rows = found.tables.rows("ladder")
    assert len(rows) == 2 * len(NAMES)
    for row in rows:
        one = ladder(raw, *row["implementation"].words.split("."))
        expected = {
            "import": one["load"],
            "first call, compiling": one["first_call_cold"],
            "first call, from cache": one["first_call_warm"],
            "of it compiling": one["first_call_cold"] - one["first_call_warm"],
            "steady call": one["call"][0],
            "public function": one["api"],
            "of it allocating": one["api"] - one["call"][0],
        }
        for title, value in expected.items():
            assert row[title].number == pytest.approx(value), title
            near(said(row[title].words), [value])


def test_break_even(raw, found):
    for operation in DTYPES:
        base = ladder(raw, operation, BASELINE)
        for name in set(NAMES) - {BASELINE}:
            one = ladder(raw, operation, name)
            (words,) = re.findall(rf"<li>{operation}\.{name} against {BASELINE}: (.*?)</li>", found.page)
            gains = [base["call"][i] - one["call"][j] for i, j in ((0, 0), (2, 1), (1, 2))]
            if gains[0] <= 0:
                assert "never pays off" in words
                continue
            expected = []
            for first in ("first_call_cold", "first_call_warm"):
                ends = {"one": [raw.starts[operation, name, k] for k in ("load", first)]}
                ends["base"] = [raw.starts[operation, BASELINE, k] for k in ("load", first)]
                low, high = (
                    sum(map(least, ends["one"])) - sum(map(most, ends["base"]))
                    for least, most in ((min, max), (max, min))
                )
                cost = one["load"] + one[first] - base["load"] - base[first]
                pairs = zip((cost, low, high), gains, strict=True)
                expected += [max(1, math.ceil(cost / gain)) for cost, gain in pairs]
            if gains[2] <= 0:
                assert "not shown" in words
                continue
            numbers = [int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", words)]
            assert numbers == expected, words


def test_threads(raw, found):
    rows = found.tables.rows("scaling")
    assert len(rows) == 2 * 2 * len(THREADS)
    for row in rows:
        operation, name = row["implementation"].words.split(".")
        alone, value = (
            time(raw, operation, "Threads.time_call", (name, DTYPES[operation], 1024, k))[0]
            for k in (THREADS[0], int(row["threads"].number))
        )
        assert row["time of one call"].number == pytest.approx(value)
        assert row["times faster"].number == pytest.approx(alone / value)
        assert row["efficiency"].number == pytest.approx(alone / value / (row["threads"].number / THREADS[0]))


def test_accuracy_and_memory(raw, found):
    for row in found.tables.rows("accuracy"):
        for title, statistic in (("largest error (ulp)", "largest"), ("largest typical error (ulp)", "typical")):
            benchmark = f"Accuracy.track_{statistic}_error"
            worst = max(raw.cells["softmax", benchmark, (row["implementation"].words, "float32", n)] for n in SIZES)
            assert row[title].number == pytest.approx(worst)
            near(said(row[title].words), [worst])
    rows = found.tables.rows("memory")
    assert len(rows) == 2 * len(NAMES)
    for row in rows:
        operation, name = row["implementation"].words.split(".")
        peak, arrays = (
            raw.cells[operation, "Memory.peakmem_call", (k, DTYPES[operation])] for k in (name, "(arrays only)")
        )
        assert (row["peak of the process"].number, row["over the arrays alone"].number) == (peak, peak - arrays)
        near(said(row["over the arrays alone"].words.removesuffix(" (1 process)")), [peak - arrays])
