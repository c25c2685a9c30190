"""Fixtures of the connector's tests."""

from collections.abc import Iterator

import pytest

from docextract_sandbox import Sandbox
from unit_tests.support.harness import frozen_sandbox
from unit_tests.support.secret_scanner import leak_scanner  # noqa: F401 (a fixture of all tests)


@pytest.fixture
def served_sandbox() -> Iterator[tuple[Sandbox, str]]:
    """An empty sandbox with a clock that stands still, and its address."""
    with frozen_sandbox() as pair:
        yield pair
