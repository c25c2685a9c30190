"""Batch registries in their file formats."""

from __future__ import annotations

import json
from pathlib import Path

from docextract_sandbox import Sandbox

ServedSandbox = tuple[Sandbox, str]

PRODUCTS = ("extracta", "extracta_classification", "atlas")
"""The products that the settings of these tests set up."""

ROWS = [
    {"provider": "extracta", "template_id": "t1", "batch_id": "b1", "created_at": "2026-11-01T10:00:00Z"},
    {"provider": "atlas", "template_id": "", "batch_id": "BATCH-1", "expected_files": "3"},
    {"provider": "docmap", "template_id": "48291", "batch_id": "run-1"},
]


def to_csv(rows: list[dict[str, str]]) -> str:
    """Return rows as CSV, with a column that the connector does not know."""
    names = ["provider", "template_id", "batch_id", "created_at", "expected_files", "remark"]
    return "\n".join([",".join(names), *(",".join(row.get(name, "") for name in names) for row in rows)]) + "\n"


def to_json_lines(rows: list[dict[str, str]]) -> str:
    """Return rows as JSON Lines."""
    return "\n".join(map(json.dumps, rows)) + "\n"


def written(folder: Path, text: str, name: str = "registry.csv") -> str:
    """Write a registry to a file, and return its path."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)
