"""The gate's table in a terminal: what was not measured is said once for each reason."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from maxbench.reports.analysis.changes import Change
from maxbench.reports.gate import formats, table
from maxbench.reports.gate.outcome import Outcome
from maxbench.reports.gate.sources import Version
from maxbench.reports.gate.verdicts import Evidence, Result, Rule
from maxbench.reports.records.run import Machine
from maxbench.reports.system import output_folder


def _outcome(results: list[Result]) -> Outcome:
    base, head = (Version(role, role, None, Path(role), "copied", ()) for role in ("base", "head"))
    return Outcome(base, head, Rule(), results, machine=Machine(cpu="a CPU"), seconds={"timing": 1.0})


def _absent(name: str, reason: str) -> Result:
    return Result(name, "not measured", reason)


def test_one_reason_is_one_line_for_all_that_share_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = [
        Result("softmax.a[x]", "unchanged", change=Change(0.01, 0.0, 0.02, 5, 0.94), base=1e-3, head=1.01e-3),
        _absent("softmax.b[x]", "no GPU"),
        _absent("softmax.c[x]", "no package"),
        _absent("argmax.b[x]", "no GPU"),
    ]
    table.show(_outcome(results), tmp_path)
    said = " ".join(capsys.readouterr().out.split())
    assert "not measured: softmax.b[x], argmax.b[x]: no GPU" in said
    assert "not measured: softmax.c[x]: no package" in said
    assert said.count("no GPU") == 1
    assert "softmax.a[x] 1.00 ms 1.01 ms +1.0%" in said


def test_a_run_that_measured_nothing_has_no_empty_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table.show(_outcome([_absent("softmax.b[x]", "no GPU")]), tmp_path)
    said = capsys.readouterr().out
    assert "95% interval" not in said
    assert "not measured: softmax.b[x]: no GPU" in said
    assert "error: nothing could be compared (1 not measured)" in said


# https://bencher.dev/bmf.json
BENCHER = {
    "type": "object",
    "patternProperties": {
        ".+": {
            "type": "object",
            "patternProperties": {
                ".+": {
                    "type": "object",
                    "properties": {key: {"type": "number"} for key in ("value", "lower_value", "upper_value")},
                    "required": ["value"],
                }
            },
        }
    },
}
# What its README says of customSmallerIsBetter.
ACTION = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            **{key: {"type": "string"} for key in ("name", "unit", "range", "extra")},
            "value": {"type": "number"},
        },
        "required": ["name", "unit", "value"],
        "additionalProperties": False,
    },
}


def test_what_benchmark_trackers_read_fits_their_formats() -> None:
    evidence = Evidence(head=[2.0e-3, 1.0e-3, 1.5e-3])
    results = [
        Result("softmax.a[x]", "slower", base=1e-3, head=1.5e-3, evidence=evidence),
        Result("softmax.a[float32] compile", "unchanged", base=0.2, head=0.3, evidence=Evidence(head=[0.3])),
        _absent("softmax.b[x]", "no GPU"),
    ]
    action, bencher = formats.as_action(_outcome(results)), formats.as_bencher(_outcome(results))
    jsonschema.validate(action, ACTION)
    jsonschema.validate(bencher, BENCHER)
    names = ["softmax.a[x]", "softmax.a[float32] compile"]
    assert [entry["name"] for entry in action] == list(bencher) == names
    assert (action[0]["unit"], action[0]["value"], action[0]["range"]) == ("ms", pytest.approx(1.5), "1 to 2")
    # Bencher's latency is in nanoseconds.
    assert bencher[names[0]]["latency"] == pytest.approx({"value": 1.5e6, "lower_value": 1e6, "upper_value": 2e6})


def test_files_of_an_earlier_gate_are_replaced_and_others_are_not(tmp_path: Path) -> None:
    formats.write_error("no such revision", "base", "head", tmp_path)
    for _ in range(2):
        formats.write(_outcome([Result("softmax.a[x]", "faster", base=2.0, head=1.0)]), tmp_path)
        (tmp_path / ".maxbench.json").unlink()  # as an earlier version left them
    formats.check(tmp_path)
    for name in ("gate.json", "gate.md", "github-action-benchmark.json", "bencher.json"):
        content = (tmp_path / name).read_text("utf-8")
        (tmp_path / name).write_text("mine")
        with pytest.raises(output_folder.InTheWay, match=f"{name} was not written by"):
            formats.check(tmp_path)
        (tmp_path / name).write_text(content, "utf-8")


def test_files_are_strict_json_and_name_what_they_could_not_hold(tmp_path: Path) -> None:
    results = [
        Result("softmax.a[x]", "faster", change=Change(-0.5, -math.inf, 0.0, 0.9, 5), base=math.nan, head=1.0),
        Result("softmax.b[x]", "failed", head=math.inf),
    ]
    formats.write(_outcome(results), tmp_path)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    found = {path.name: json.loads(path.read_text(), parse_constant=refuse) for path in tmp_path.glob("*.json")}
    gate = found["gate.json"]
    assert gate["not_finite"] == [
        "results.0.change.low: -inf", "results.0.base_seconds: nan", "results.1.head_seconds: inf"
    ]  # fmt: skip
    assert gate["results"][0]["change"]["low"] is None
    assert gate["results"][0]["change"]["value"] == -0.5
    assert [entry["name"] for entry in found["github-action-benchmark.json"]] == ["softmax.a[x]"]
    assert list(found["bencher.json"]) == ["softmax.a[x]"]
    assert "not_finite" not in formats.as_json(_outcome([]))


def test_identical_versions_are_a_control_wherever_the_answer_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = _outcome([Result("softmax.a[x]", "slower", change=Change(0.05, 0.04, 0.06, 0.98, 7))])
    for identical in (True, False):
        outcome.identical = identical
        table.show(outcome, tmp_path)
        for said in (" ".join(capsys.readouterr().out.split()), formats.as_markdown(outcome)):
            assert ("control, base and head are identical: regression (1 slower)" in said) is identical
            assert ("any change that it reads is noise" in said) is identical
        assert formats.as_json(outcome)["control"] is identical


def test_the_confidence_names_the_interval() -> None:
    rule = replace(Rule(), confidence=0.999)
    assert "99.9% interval" in formats.columns(rule)
    result = Result("softmax.a[x]", "slower", change=Change(0.05, 0.04, 0.06, 0.984, 7))
    assert formats.row(result, Rule())[4] == "+4.0% to +6.0%"
    assert formats.row(result, rule)[4] == "+4.0% to +6.0% (98%)"
