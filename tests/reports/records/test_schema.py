"""The published schema is that of the code, and the published records are what it says."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import jsonschema
import pytest

ROOT = Path(__file__).parents[3]
PUBLISHED = sorted(path.parent for path in (ROOT / "docs" / "results").rglob("run.json"))


def validator(kind: str) -> Any:
    whole = json.loads((ROOT / "docs" / "records.schema.json").read_text("utf-8"))
    return jsonschema.Draft202012Validator({**whole, "$ref": f"#/$defs/{kind}"})


def test_the_published_schema_is_what_the_module_prints(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_module("maxbench.reports.records.schema", run_name="__main__")
    assert (ROOT / "docs" / "records.schema.json").read_text("utf-8") == capsys.readouterr().out


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: "/".join(folder.parts[-2:]))
def test_the_published_records_are_valid(folder: Path) -> None:
    validator("RunRecord").validate(json.loads((folder / "run.json").read_text("utf-8")))
    line = validator("Line")
    for text in (folder / "journal.jsonl").read_text("utf-8").splitlines()[::20]:
        line.validate(json.loads(text))
    if (folder / "agreement.json").exists():
        for finding in json.loads((folder / "agreement.json").read_text("utf-8"))[::20]:
            validator("Finding").validate(finding)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("RunRecord", {"threads": {"numba": 0}}), ("RunRecord", {"state": "over"}), ("RunRecord", {"rounds": -1}),
        ("Line", {"benchmark": "a", "params": [], "status": "fine"}), ("Line", {"benchmark": "a", "params": []}),
        ("Finding", {"operation": "softmax"}),
    ],
)  # fmt: skip
def test_what_is_no_record_is_not_valid(kind: str, value: Any) -> None:
    assert not validator(kind).is_valid(value)
