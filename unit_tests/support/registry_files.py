"""Batch registries in their file formats."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docextract_sandbox import Sandbox
from source_docextract.core.provider import Registry
from source_docextract.registry.addresses import Resolve
from source_docextract.registry.credentials import RegistrySettings
from source_docextract.registry.opening import read_registry
from source_docextract.settings import Settings

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


DOCMAP = {"docmap": {"api_key": "dm_live_0123456789"}}
"""Settings of a provider, since a source needs at least one."""


def parse_registry_settings(url: str, credentials: Mapping[str, Any] | None = None) -> RegistrySettings:
    """Return the settings of a registry, validated as a whole configuration is."""
    section = {"url": url} if credentials is None else {"url": url, "credentials": credentials}
    parsed = Settings.parse({**DOCMAP, "batch_registry": section}).batch_registry
    assert parsed is not None
    return parsed


def read_rows(url: str, credentials: Mapping[str, Any] | None = None, resolve: Resolve | None = None) -> Registry:
    """Read a registry with credentials of the settings."""
    settings = parse_registry_settings(url, credentials)
    return read_registry(settings.url, PRODUCTS, settings.credentials, resolve)
