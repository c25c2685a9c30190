"""Registries in all the forms that are read, in files and on a web server."""

from __future__ import annotations

import json
from pathlib import Path

from docextract_sandbox import Sandbox

ServedSandbox = tuple[Sandbox, str]


PRODUCTS = ("extracta", "extracta_classification", "atlas")


ROWS = [
    {"provider": "extracta", "template_id": "t1", "batch_id": "b1", "created_at": "2026-11-01T10:00:00Z"},
    {"provider": "atlas", "template_id": "", "batch_id": "BATCH-1", "expected_files": "3"},
    {"provider": "docmap", "template_id": "48291", "batch_id": "run-1"},
]


def to_csv(rows: list[dict[str, str]]) -> str:
    names = ["provider", "template_id", "batch_id", "created_at", "expected_files", "remark"]
    return "\n".join([",".join(names), *(",".join(row.get(name, "") for name in names) for row in rows)]) + "\n"


def to_json_lines(rows: list[dict[str, str]]) -> str:
    return "\n".join(map(json.dumps, rows)) + "\n"


def written(folder: Path, text: str, name: str = "registry.csv") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)
