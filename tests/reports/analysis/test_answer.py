"""The answer in words, sentence by sentence."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from maxbench.reports.analysis import answer
from maxbench.reports.analysis.answer import Absent
from maxbench.reports.analysis.contests import Ceiling, Contest
from maxbench.reports.analysis.derived import Derived
from maxbench.reports.records import asv_results, runs
from maxbench.reports.records.journal import SPENT
from maxbench.reports.records.run import Disturbance, Implementation, Noise, Precheck, RunRecord
from tests.reports.analysis.test_contests import EMPTY, FAR, A, B, C, cell, contest

NUMPY = replace(B, implementation="numpy")
SAME, WIDE = cell("same", 1.1, 1.1, 1.1), cell("wide", 1.0, 1.2, 9.0)


@pytest.mark.parametrize(
    ("cells", "fastest", "time", "over_baseline", "over_runner_up", "outcome"),
    [
        ((A, NUMPY), "a", "1.10 s (1.00–1.20 s)", "1.91× (1.67–2.20×)", "1.91× (1.67–2.20×) over numpy", "faster"),
        ((A, SAME, B), "tie: a and same", "1.10 s (1.00–1.20 s)", "–", "1.00× (0.917–1.10×) over same", "tie"),
        ((A, WIDE), "cannot tell (interval too wide): a and wide", "1.10 s (1.00–1.20 s)", "–",
         "1.09× (0.833–9.00×) over wide", "cannot tell"),
        ((A, FAR), "cannot tell (2 processes): a has the smallest time", "1.10 s (1.00–1.20 s)", "–",
         "3.64× (2 processes) over far", "cannot tell"),
        ((NUMPY,), "cannot tell (nothing else was measured): numpy has the smallest time", "2.10 s (2.00–2.20 s)",
         "is the baseline", "–", "cannot tell"),
        ((EMPTY,), "nothing was measured", "–", "–", "–", "cannot tell"),
    ],
)  # fmt: skip
def test_a_line_of_the_answer(
    cells: Any, fastest: str, time: str, over_baseline: str, over_runner_up: str, outcome: Any
) -> None:
    found = contest(*cells, workload="ImageNet", benchmark="Workloads")
    expected = answer.Line(
        "run", "softmax", "ImageNet", "2 × 1024", "float32", fastest, time, over_baseline, over_runner_up, outcome
    )
    assert answer.lines([found, contest(A)], "numpy") == [expected]
    if over_baseline != "–":
        (line,) = answer.lines([found], None)
        assert line == replace(expected, over_baseline="–")


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ((A, NUMPY), "a is fastest, 1.10 s (1.00–1.20 s); 1.91× (1.67–2.20×) as fast as numpy, the baseline."),
        ((A, NUMPY, replace(C, value=1.5, low=1.4, high=1.6)),
         "a is fastest, 1.10 s (1.00–1.20 s); 1.91× (1.67–2.20×) as fast as numpy, the baseline; "
         "1.36× (1.17–1.60×) as fast as c, the runner-up."),
        ((NUMPY, cell("slow", 8.0, 8.0, 8.0)),
         "numpy, the baseline, is fastest, 2.10 s (2.00–2.20 s); 3.81× (3.64–4.00×) as fast as slow, the runner-up."),
        ((A, SAME), "tie: a and same, 1.10 s (1.00–1.20 s)."),
        ((A, replace(FAR, implementation="numpy")),
         "cannot tell (2 processes): a has the smallest time, 1.10 s (1.00–1.20 s)."),
        ((EMPTY,), "nothing was measured."),
    ],
)  # fmt: skip
def test_the_sentence_of_the_user_s_array(cells: Any, said: str) -> None:
    own = contest(*cells, benchmark="Own")
    (found,) = answer.sentences([own, contest(A)], "numpy")
    assert found == f"softmax on your array (2 × 1024, float32): {said}" or said == "nothing was measured."
    assert found.startswith("softmax on your array (2 × 1024, float32): ")
    assert found.endswith(said)
    (plain,) = answer.sentences([replace(own, outer=None, dtype="")], None)
    assert plain.startswith("softmax on your array (): ")
    assert "the baseline" not in plain


def inputs(*of: tuple[Any, ...], **changes: Any) -> list[Contest]:
    return [contest(*cells, n=2**k, **changes) for k, cells in enumerate(of)]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (inputs((A, NUMPY)), "a is fastest on n = 1 (1.91× (1.67–2.20×) as fast as numpy)"),
        (inputs((A, NUMPY), (A, NUMPY)), "a is fastest on n = 1 and n = 2 (1.91× as fast as numpy)"),
        (inputs((A, NUMPY, C)),
         "cannot tell (interval too wide): a and c on n = 1 (1.91× (1.67–2.20×) as fast as numpy)"),
        (inputs((A, NUMPY), (A, cell("numpy", 4.0, 4.2, 4.4))),
         "a is fastest on n = 1 and n = 2 (1.91× to 3.82× as fast as numpy)"),
        (inputs((A, NUMPY), (A, B)), "a is fastest on n = 1 and n = 2 (1.91× (1.67–2.20×) as fast as numpy, "
         "1.91× as fast as the runner-up)"),
        (inputs((A, B, NUMPY)),
         "a is fastest on n = 1 (1.91× (1.67–2.20×) as fast as numpy, 1.91× (1.67–2.20×) as fast as the runner-up)"),
        (inputs((A, NUMPY), (A, cell("numpy", 1.3, 1.3, 1.3)), (A, SAME, cell("numpy", 1.1, 1.1, 1.1))),
         "a is fastest on n = 1 and n = 2 (1.18× to 1.91× as fast as numpy); tie: a, same and numpy on n = 4"),
        (inputs(*[(A, B)] * 4), "a is fastest on n = 1, n = 2, n = 4 and n = 8 (1.91× as fast as the runner-up)"),
        (inputs(*[(A, B)] * 5), "a is fastest on 5 of 5 inputs (1.91× as fast as the runner-up)"),
        (inputs((A, B), (EMPTY,), (EMPTY,)), "nothing was measured on 2 of 3 inputs; "
         "a is fastest on n = 1 (1.91× (1.67–2.20×) as fast as the runner-up)"),
        ([*inputs((A, B)), replace(contest(A, B), dtype="int8")],
         "a is fastest on n = 1 float32 and n = 1,024 int8 (1.91× as fast as the runner-up)"),
        (inputs((NUMPY, cell("slow", 8.0, 8.0, 8.0))),
         "numpy is fastest on n = 1 (3.81× (3.64–4.00×) as fast as the runner-up)"),
    ],
)  # fmt: skip
def test_the_sentence_of_an_operation_s_inputs(found: list[Contest], said: str) -> None:
    assert answer.sentences(found, "numpy") == [f"softmax: {said}."]


def test_sentences_are_of_each_operation_and_without_a_baseline_state_none() -> None:
    softmax, argmax = contest(A, NUMPY), replace(contest(A, NUMPY), operation="argmax")
    said = "a is fastest on n = 1,024 (1.91× (1.67–2.20×) as fast as the runner-up)."
    assert answer.sentences([softmax, argmax], None) == [f"softmax: {said}", f"argmax: {said}"]
    assert answer.sentences([], None) == []


def test_ratios_that_are_not_shown_are_counted() -> None:
    shown, other = Derived(2.0, 1.5, 3.0, 3, 1.0), Derived(4.0, 3.5, 5.0, 3, 1.0)
    few = Derived(9.0, 8.0, 10.0, 2, 1.0)
    assert answer._range([few, None], "x") == ""
    assert answer._range([shown, few, None, few], "x") == "2.00× (1.50–3.00×) as fast as x, not shown on 2 inputs"
    assert answer._range([None, other, shown], "x") == "2.00× to 4.00× as fast as x"


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    base: dict[str, Any] = {
        "operation": "softmax", "implementation": "a", "benchmark": "Sweep", "statistic": "time", "dtype": "float32",
        "workload": "", "n": 1024, "order": "", "cache": "", "value": 1.0, "low": 0.99, "high": 1.01,
        "interval": "range of process medians", "processes": 5, "status": "ok", "reason": "",
    }  # fmt: skip
    table = pd.DataFrame([base | row for row in rows], columns=list(base))
    table["n"], table["processes"] = table["n"].astype("Int64"), table["processes"].astype("Int64")
    return table


def stored(**record: Any) -> runs.Run:
    return runs.Run(Path("folder"), asv_results.Results(), RunRecord(**record) if record else None)


def test_what_was_not_measured_is_counted_by_its_reason_and_the_worst_comes_first() -> None:
    bad = {"status": "failed", "reason": "why"}
    table = frame(
        {}, {"status": "skipped", "reason": "small"}, bad, {**bad, "n": 2048}, {**bad, "n": pd.NA, "order": "random"},
        {**bad, "workload": "x", "cache": "cold"}, {**bad, "implementation": "b", "operation": "argmax"},
        {"implementation": "c", **bad}, {"implementation": "0", "status": "wrong"}, {"status": "odd"},
        {"implementation": "e", "status": "interrupted"},
    )  # fmt: skip
    listed = [
        Implementation(operation="softmax", name=name, status=status, reason="no GPU")
        for name, status in (("a", "failed"), ("gpu", "unavailable"), ("here", "available"))
    ]
    found = answer.absent(table, [stored(implementations=listed), stored(implementations=listed)])
    first = "Sweep n = 1,024 float32; Sweep n = 2,048 float32; Sweep random float32 and 1 more"
    assert found == [
        Absent("softmax", "0", "wrong", "", 1, "Sweep n = 1,024 float32"),
        Absent("softmax", "a", "odd", "", 1, "Sweep n = 1,024 float32"),
        Absent("softmax", "a", "failed", "why", 4, first),
        Absent("softmax", "c", "failed", "why", 1, "Sweep n = 1,024 float32"),
        Absent("argmax", "b", "failed", "why", 1, "Sweep n = 1,024 float32"),
        Absent("softmax", "e", "interrupted", "", 1, "Sweep n = 1,024 float32"),
        Absent("softmax", "gpu", "unavailable", "no GPU", 0, "everywhere"),
        Absent("softmax", "a", "skipped", "small", 1, "Sweep n = 1,024 float32"),
    ]
    (one,) = answer.absent(frame({**bad, "workload": "x", "cache": "cold"}), [])
    assert one.where == "Sweep x cold float32"


def test_gaps_say_where_and_why() -> None:
    def lacking(name: str, status: str) -> Any:
        return cell(name, status=status)

    both = [contest(A, lacking("b", "skipped"), lacking("c", "failed")), contest(A, lacking("b", "skipped"))]
    argmax = replace(contest(A, lacking("b", "skipped"), lacking("d", "wrong")), operation="argmax")
    listed = [
        Absent("softmax", "gpu", "unavailable", "no GPU here. Install one", 0, "everywhere"),
        Absent("argmax", "gpu", "unavailable", "no GPU here", 0, "everywhere"),
        Absent("softmax", "x", "failed", "", 1, ""),
        Absent("softmax", "y", "wrong", "", 1, ""),
    ]
    assert answer.gaps([*both, argmax], listed) == (
        "Not measured: softmax.gpu and argmax.gpu (no GPU here); softmax.b and argmax.b (not supported); "
        "softmax.c on 1 of 2 inputs (failed); argmax.d (its result was wrong)."
    )
    mixed = [contest(A, lacking("b", "skipped")), contest(A, lacking("b", "interrupted"))]
    assert answer.gaps(mixed, []) == "Not measured: softmax.b (not supported and the run was interrupted)."
    spent = replace(lacking("b", "skipped"), reason=f"the time of 66 s {SPENT}")
    assert answer.gaps([contest(A, spent)], []) == "Not measured: softmax.b (the time was spent)."
    assert answer.gaps([contest(A)], []) == ""


def test_a_careful_run_needs_no_warning() -> None:
    assert answer.warnings(frame({}), [stored(id="1")], []) == []
    assert answer.warnings(frame(), [stored(id="1")], []) == []


def test_warnings_name_the_run_where_there_are_several() -> None:
    noise = {"kernel": Noise(visible=0.01, bias=0.0, spread=0.01, processes=3)}
    checked = Precheck(seconds=1.0, threads=2, throttled=1, noise=noise)
    one = stored(id="one", precheck=checked, disturbance=[Disturbance(throttled=1)], state="running")
    one.warnings = ["noted"]
    before, during = (
        "The clock was throttled before the run, because of heat.",
        "The clock was throttled 1 time during the run, because of heat.",
    )
    assert answer.warnings(frame({}), [one], []) == ["noted", before, during, "run one is still running."]
    other = stored(state="interrupted")
    assert answer.warnings(frame({}), [one, other], []) == [
        "noted", f"run one: {before}", f"run one: {during}", "run one is still running.",
        "folder is not complete: it was interrupted.",
    ]  # fmt: skip
    absents = (("a", "wrong"), ("a", "wrong"), ("b", "failed"))
    wrong = [Absent("softmax", name, status, "", 1, "") for name, status in absents]
    assert answer.warnings(frame({}), [], wrong) == ["softmax.a gave a wrong result and is not ranked where it did."]


def test_what_differs_from_the_contract_is_said_once() -> None:
    differs, other = {"reason": "NaN is ignored"}, {"implementation": "z", "reason": "other"}
    table = frame(
        other, differs, differs, {}, {**differs, "statistic": "load"}, {**differs, "status": "failed"},
        {**differs, "status": "wrong"},
    )  # fmt: skip
    said = "is not equal to the others where its time carries a †"
    assert answer.warnings(table, [], []) == [
        f"softmax.z {said} (1 time): other.", f"softmax.a {said} (2 times): NaN is ignored.",
    ]  # fmt: skip


NEED = "What is fastest, speed-ups, shares and differences need 3 processes"
ONLY = "Some intervals come from only"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"processes": 5}, {"processes": pd.NA}], []),
        ([{"processes": 9}], []),
        ([{"processes": 5}, {"processes": 4}],
         [f"{ONLY} 4 processes: the range of 4 process medians holds the median over all processes with probability "
          "88%. '--processes 5' takes 5."]),
        ([{"processes": 3}], [f"{ONLY} 3 processes: the range of 3 process medians holds the median over all"]),
        ([{"processes": 2}], [f"{ONLY} 2 processes: the range of 2 process medians", NEED]),
        ([{"processes": 1}], [f"{ONLY} 1 process: one process says nothing about the next. '--processes 5'", NEED]),
        ([{"low": math.nan, "high": math.nan}, {}],
         ["1 of 2 times cannot be compared: no interval, as of one sample."]),
        ([{"interval": "asv 99% interval"}, {}], ["Some intervals are asv's 99% intervals over samples"]),
        # A tenth of the time is not noisy, and a fifth of the times are not many.
        ([{"low": 1.0, "high": 1.2, "value": 2.0}], []),
        ([{"low": 0.9, "high": 1.1}, *[{}] * 4], []),
        ([{"low": 0.9, "high": 1.1}, *[{}] * 3],
         ["Noisy: the interval of 1 of 4 times is wider than 10% of the time itself."]),
        ([{"low": 0.9, "high": 1.1, "statistic": "load", "processes": 1}, {"status": "failed", "processes": 1}], []),
    ],
)  # fmt: skip
def test_weak_intervals_are_said_to_be_weak(rows: list[dict[str, Any]], said: list[str]) -> None:
    found = answer.warnings(frame(*rows), [], [])
    assert [warning[: len(words)] for warning, words in zip(found, said, strict=True)] == said


def test_ceilings_that_are_exceeded_are_named_once() -> None:
    good = Ceiling(1.0, 1.0, 1.0, 1.0, 3, 4 << 20)
    bad = replace(good, doubt="withheld: so")
    found = [contest(A, ceiling=ceiling) for ceiling in (None, good, bad, bad)]
    assert answer.above_ceiling(found) == ["softmax: the share of the ceiling of 4.00 MiB is withheld: so."]
