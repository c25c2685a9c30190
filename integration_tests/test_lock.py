"""The lock that the image is installed from: `make lock` makes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = Path(__file__).parent.parent / "requirements.lock"
EXTRAS = ("s3", "gs")
"""What users of an image cannot install any more."""

PLATFORMS = [
    {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": machine,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "os_name": "posix",
    }
    for python in ("3.10", "3.11", "3.12", "3.13")
    for machine in ("x86_64", "aarch64")
]


@dataclass(frozen=True)
class Pin:
    requirement: Requirement
    hashes: tuple[str, ...]


def pins() -> Iterator[Pin]:
    for line in re.sub(r"\\\n|#.*", "", LOCK.read_text(encoding="utf-8")).splitlines():
        if line.strip():
            requirement, *options = line.split("--")
            yield Pin(Requirement(requirement), tuple(option.strip() for option in options))


def needed(package: str, extras: tuple[str, ...] = ()) -> Iterator[Requirement]:
    """What a package needs, extras too, and what these extras need in turn."""
    for one in map(Requirement, requires(package) or ()):
        if not one.marker or any(one.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield one
            if one.extras:
                yield from needed(one.name, tuple(one.extras))


def test_each_line_is_a_version_with_hashes_and_nothing_else() -> None:
    for pin in pins():
        assert [one.operator for one in pin.requirement.specifier] == ["=="], pin
        assert pin.hashes, pin
        assert all(re.fullmatch(r"hash=sha256:[0-9a-f]{64}", one) for one in pin.hashes), pin


def test_it_does_not_tell_where_packages_come_from() -> None:
    text = LOCK.read_text(encoding="utf-8")

    assert "://" not in text
    assert not re.search(r"index|find-links|trusted|file:|@", text)


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda one: f"{one['python_version']}-{one['platform_machine']}")
def test_it_has_all_that_is_needed_in_a_version_that_is_good(platform: dict[str, str]) -> None:
    locked = {}
    for pin in pins():
        if not pin.requirement.marker or pin.requirement.marker.evaluate(platform):
            name = canonicalize_name(pin.requirement.name)
            assert name not in locked, f"{name} is there twice"
            [version] = pin.requirement.specifier
            locked[name] = version.version

    wanted = list(needed("source-docextract", EXTRAS))

    assert {"airbyte-cdk", "boto3", "google-cloud-storage"} <= {one.name for one in wanted}
    for one in wanted:
        assert canonicalize_name(one.name) in locked, f"{one} is missing: make lock"
        assert locked[canonicalize_name(one.name)] in one.specifier, f"{one} is not met: make lock"
