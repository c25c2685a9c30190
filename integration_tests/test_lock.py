"""The lock that the image is installed from: `make lock` makes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from unit_tests.support.cases import each_case

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


def read_pins() -> Iterator[Pin]:
    for line in re.sub(r"\\\n|#.*", "", LOCK.read_text(encoding="utf-8")).splitlines():
        if line.strip():
            requirement, *options = line.split("--")
            yield Pin(Requirement(requirement), tuple(option.strip() for option in options))


def list_requirements(package: str, extras: tuple[str, ...] = ()) -> Iterator[Requirement]:
    """What a package needs, extras too, and what these extras need in turn."""
    for requirement in map(Requirement, requires(package) or ()):
        if not requirement.marker or any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement
            if requirement.extras:
                yield from list_requirements(requirement.name, tuple(requirement.extras))


def test_lock_lines_are_pinned_versions_with_hashes() -> None:
    for pin in read_pins():
        assert [specifier.operator for specifier in pin.requirement.specifier] == ["=="], pin
        assert pin.hashes, pin
        assert all(re.fullmatch(r"hash=sha256:[0-9a-f]{64}", specifier) for specifier in pin.hashes), pin


def test_lock_names_no_package_index() -> None:
    text = LOCK.read_text(encoding="utf-8")

    assert "://" not in text
    assert not re.search(r"index|find-links|trusted|file:|@", text)


@each_case(
    "platform",
    PLATFORMS,
    ids=lambda target_platform: f"{target_platform['python_version']}-{target_platform['platform_machine']}",
)
def test_lock_satisfies_every_requirement_on_each_platform(platform: dict[str, str]) -> None:
    locked = {}
    for pin in read_pins():
        if not pin.requirement.marker or pin.requirement.marker.evaluate(platform):
            name = canonicalize_name(pin.requirement.name)
            assert name not in locked, f"{name} is there twice"
            [version] = pin.requirement.specifier
            locked[name] = version.version

    wanted = list(list_requirements("source-docextract", EXTRAS))

    assert {"airbyte-cdk", "boto3", "google-cloud-storage"} <= {requirement.name for requirement in wanted}
    for requirement in wanted:
        assert canonicalize_name(requirement.name) in locked, f"{requirement} is missing: make lock"
        assert locked[canonicalize_name(requirement.name)] in requirement.specifier, (
            f"{requirement} is not met: make lock"
        )
