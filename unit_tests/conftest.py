"""Fixtures of the connector's tests."""

from collections.abc import Iterator

import pytest
from harness import world
from leaks import no_leaks  # noqa: F401 (a fixture of all tests)

from sandbox import Sandbox


@pytest.fixture
def served() -> Iterator[tuple[Sandbox, str]]:
    """An empty sandbox with a clock that stands still, and its address."""
    with world() as served:
        yield served
