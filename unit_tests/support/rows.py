"""Rows as a ledger knows them."""

from __future__ import annotations

from typing import NamedTuple


class FakeRow(NamedTuple):
    """A row without content."""

    id: str
    row_hash: str
