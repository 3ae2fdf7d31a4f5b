"""The JSON Schema of a run folder's records, printed for docs/records.schema.json by running this module."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from maxbench.impls.agreement import Finding

from .journal import Line
from .run import SCHEMA, RunRecord

FILES = {"run.json": RunRecord, "line of journal.jsonl": Line, "item of agreement.json": Finding}


def build() -> dict[str, Any]:
    """The schema: a definition for each record, and which file it describes."""
    _, definitions = msgspec.json.schema_components(FILES.values(), ref_template="#/$defs/{name}")
    for definition in definitions.values():
        definition.get("properties", {}).pop("unknown", None)  # what other versions add stands beside the known fields
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"maxbench records, version {SCHEMA}",
        "description": "; ".join(f"{file}: #/$defs/{kind.__name__}" for file, kind in FILES.items()),
        "$defs": dict(sorted(definitions.items())),
    }


if __name__ == "__main__":
    print(json.dumps(build(), indent=1))
