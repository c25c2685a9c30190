"""Fixtures of the tests of processes."""

from leaks import no_leaks  # noqa: F401 (a fixture of all tests)
