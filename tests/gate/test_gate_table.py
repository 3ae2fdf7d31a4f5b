"""The gate's table in a terminal: what was not measured is said once for each reason."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from reports.gate import formats, table
from reports.gate.run import Outcome
from reports.gate.sources import Version
from reports.gate.statistics import Change
from reports.gate.verdicts import Evidence, Result, Rule


def _outcome(results: list[Result]) -> Outcome:
    base, head = (Version(role, role, None, Path(role), "copied", ()) for role in ("base", "head"))
    return Outcome(base, head, Rule(), results, machine={"cpu": "a CPU"}, seconds={"timing": 1.0})


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
