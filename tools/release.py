"""Release tool: `python -m tools.release --help`.

The version is defined in `source_docextract/version.py`. Airbyte requires it in metadata.yaml and the Dockerfile too,
and `version` writes it there.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parent.parent
_PLACEHOLDER_PREFIX = "placeholder"
_UNRELEASED_HEADING = "Unreleased"
_VERSION_PATTERN = re.compile(r'(?m)^VERSION = "([^"]+)"$')
_REPEATED_VERSION_PATTERNS = {
    "metadata.yaml": re.compile(r"(?m)^(  dockerImageTag: )(\S+)$"),
    "Dockerfile": re.compile(r'(?m)^(      io\.airbyte\.version=")([^"]+)'),
}
"""Files that repeat the version, with patterns of the text before it and of the version."""


class ReleaseError(Exception):
    """A reason not to release; the message is one sentence."""


def read_version(root: Path = ROOT) -> str:
    """Return the version of the connector.

    Raises:
        ReleaseError: source_docextract/version.py has none.
    """
    match = _VERSION_PATTERN.search(_read_text(root / "source_docextract" / "version.py"))
    if not match:
        raise ReleaseError("source_docextract/version.py has no VERSION.")
    return match[1]


def write_version(new_version: str, root: Path = ROOT) -> None:
    """Write a new version to every file that holds it, and to the changelog.

    Raises:
        ReleaseError: The version does not consist of three numbers.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", new_version):
        raise ReleaseError(f"{new_version!r} is no version; write three numbers such as 1.2.0.")
    version_file = root / "source_docextract" / "version.py"
    version_file.write_text(
        _VERSION_PATTERN.sub(f'VERSION = "{new_version}"', _read_text(version_file)), encoding="utf-8"
    )
    for name, pattern in _REPEATED_VERSION_PATTERNS.items():
        file = root / name
        file.write_text(pattern.sub(rf"\g<1>{new_version}", _read_text(file)), encoding="utf-8")
    changelog = root / "CHANGELOG.md"
    heading = f"## {_UNRELEASED_HEADING}\n\n## {new_version}"
    changelog.write_text(_read_text(changelog).replace(f"## {_UNRELEASED_HEADING}", heading, 1), encoding="utf-8")


def read_sections(root: Path = ROOT) -> dict[str, str]:
    """Return the changelog's sections by their headings, newest first."""
    parts = re.split(r"(?m)^## (.+)$", _read_text(root / "CHANGELOG.md"))
    return {heading.strip(): body.strip() for heading, body in zip(parts[1::2], parts[2::2], strict=True)}


def read_notes(heading: str, root: Path = ROOT) -> str:
    """Return the changelog's section of a version.

    Raises:
        ReleaseError: There is no such section, or it is empty.
    """
    body = read_sections(root).get(heading, "")
    if not body:
        raise ReleaseError(f"CHANGELOG.md has no entries for {heading}.")
    return body


def read_home(root: Path = ROOT) -> dict[str, str]:
    """Return the project's addresses by their names in release.cfg."""
    parser = ConfigParser()
    parser.read_string(_read_text(root / "release.cfg"))
    return dict(parser["home"])


def find_problems(tag: str = "", root: Path = ROOT) -> Iterator[str]:
    """Yield a sentence for each reason not to release this checkout, or not as `tag`."""
    current = read_version(root)
    for name, value in read_home(root).items():
        if value.startswith(_PLACEHOLDER_PREFIX):
            yield f"release.cfg does not say what {name} is; replace the placeholder."
    for name, pattern in _REPEATED_VERSION_PATTERNS.items():
        match = pattern.search(_read_text(root / name))
        if not match or match[2] != current:
            yield f"{name} has another version than {current}; run `python -m tools.release version {current}`."
    if tag and tag != f"v{current}":
        yield f"The tag {tag} is not v{current}."
    if not read_sections(root).get(current):
        yield f"CHANGELOG.md has no entries for {current}."
    if read_sections(root).get(_UNRELEASED_HEADING):
        yield f"CHANGELOG.md has unreleased entries; run `python -m tools.release version {current}`, or a newer one."
    owners = read_home(root)["owners"]
    if owners not in _read_text(root / ".github" / "CODEOWNERS"):
        yield "CODEOWNERS names others than release.cfg."


def is_entry_missing(base: str, root: Path = ROOT) -> bool:
    """Return whether the connector has changed without a line in the changelog."""
    changed_files = _run_git(root, "diff", "--name-only", f"{base}...HEAD").splitlines()
    if not any(name.startswith("source_docextract/") for name in changed_files):
        return False
    diff_lines = _run_git(root, "diff", "--unified=0", f"{base}...HEAD", "--", "CHANGELOG.md").splitlines()
    return not any(re.match(r"\+- \S", line) for line in diff_lines)


def _run_git(root: Path, *arguments: str) -> str:
    try:
        process = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise ReleaseError(f"`git {' '.join(arguments)}` failed; is the base commit there?") from None
    return process.stdout


def _read_text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; return 0, or 1 if it found a reason not to release."""
    options = _build_parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1


def _run_check(options: argparse.Namespace) -> int:
    sentences = list(find_problems(options.tag))
    for sentence in sentences:
        print(sentence, file=sys.stderr)
    return 1 if sentences else 0


def _print_notes(options: argparse.Namespace) -> int:
    print(read_notes(options.version or read_version()))
    return 0


def _print_home(options: argparse.Namespace) -> int:
    print(read_home()[options.name])
    return 0


def _run_set_version(options: argparse.Namespace) -> int:
    write_version(options.version)
    return 0


def _check_changelog(options: argparse.Namespace) -> int:
    if is_entry_missing(options.base):
        raise ReleaseError("The connector was changed and CHANGELOG.md was not; add a line below Unreleased.")
    return 0


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tools.release", description="What a release needs.")
    commands = parser.add_subparsers(required=True)
    check_parser = commands.add_parser("check", help="say what keeps this checkout from being released")
    check_parser.add_argument("--tag", default="", help="the tag that it would be released as")
    check_parser.set_defaults(run=_run_check)
    notes_parser = commands.add_parser("notes", help="print the changelog of a version")
    notes_parser.add_argument("version", nargs="?", help="this checkout's, if left out")
    notes_parser.set_defaults(run=_print_notes)
    home_parser = commands.add_parser("home", help="print one entry of release.cfg")
    home_parser.add_argument("name")
    home_parser.set_defaults(run=_print_home)
    version_parser = commands.add_parser("version", help="write a new version wherever it stands")
    version_parser.add_argument("version")
    version_parser.set_defaults(run=_run_set_version)
    changelog_parser = commands.add_parser("changelog", help="fail where the connector was changed without an entry")
    changelog_parser.add_argument("--base", required=True, help="the commit to compare with, such as origin/main")
    changelog_parser.set_defaults(run=_check_changelog)
    return parser


if __name__ == "__main__":
    sys.exit(main())
