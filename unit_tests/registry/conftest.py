"""Fixtures of the registry's tests."""

from unit_tests.support.registry_storage import isolated_machine, s3, s3_address  # noqa: F401 (fixtures of these tests)
