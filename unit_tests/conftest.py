"""Fixtures of the connector's tests."""

from collections.abc import Iterator

import pytest
from harness import world

from sandbox import Sandbox


@pytest.fixture
def served() -> Iterator[tuple[Sandbox, str]]:
    """An empty sandbox with a clock that stands still, and its address."""
    with world() as served:
        yield served
