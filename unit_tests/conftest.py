"""The fixtures of the unit tests."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

from docextract_sandbox import Sandbox
from unit_tests.support.harness import frozen_sandbox
from unit_tests.support.secret_scanner import leak_scanner  # noqa: F401 (an autouse fixture)

# No test has a time limit: a machine a tenth as fast gives the same result.
# A mutation run calls a test from one process several times, each time with a new instance of its class.
settings.register_profile("no deadline", deadline=None, suppress_health_check=[HealthCheck.differing_executors])
# There a failure need not be made small, which takes minutes: it only counts.
settings.register_profile("mutation", settings.get_profile("no deadline"), phases=[Phase.explicit, Phase.generate])
settings.load_profile("no deadline")


@pytest.fixture
def served_sandbox() -> Iterator[tuple[Sandbox, str]]:
    """Serve an empty sandbox whose clock stands still; yield it and its URL."""
    with frozen_sandbox() as pair:
        yield pair
