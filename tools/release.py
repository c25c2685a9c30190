"""Releases: `python -m tools.release check`, `notes`, `home` and `changelog`.

The version stands in `source_docextract/version.py` alone; metadata.yaml and the Dockerfile have to repeat it for
Airbyte, and `version` writes it there.
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
_PLACEHOLDER = "placeholder"
_UNRELEASED = "Unreleased"
_VERSION = re.compile(r'(?m)^VERSION = "([^"]+)"$')
_REPEATED = {
    "metadata.yaml": re.compile(r"(?m)^(  dockerImageTag: )(\S+)$"),
    "Dockerfile": re.compile(r'(?m)^(      io\.airbyte\.version=")([^"]+)'),
}
"""Files that have to repeat the version, by what stands before it."""


class ReleaseError(Exception):
    """Something that keeps a release from being made, in one sentence."""


def version(root: Path = ROOT) -> str:
    """Return the version of the connector."""
    found = _VERSION.search(_text(root / "source_docextract" / "version.py"))
    if not found:
        raise ReleaseError("source_docextract/version.py has no VERSION.")
    return found[1]


def set_version(new: str, root: Path = ROOT) -> None:
    """Write a new version wherever it stands, and date the changelog's unreleased section by it."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", new):
        raise ReleaseError(f"{new!r} is no version; write three numbers such as 1.2.0.")
    package = root / "source_docextract" / "version.py"
    package.write_text(_VERSION.sub(f'VERSION = "{new}"', _text(package)), encoding="utf-8")
    for name, pattern in _REPEATED.items():
        file = root / name
        file.write_text(pattern.sub(rf"\g<1>{new}", _text(file)), encoding="utf-8")
    changelog = root / "CHANGELOG.md"
    heading = f"## {_UNRELEASED}\n\n## {new}"
    changelog.write_text(_text(changelog).replace(f"## {_UNRELEASED}", heading, 1), encoding="utf-8")


def sections(root: Path = ROOT) -> dict[str, str]:
    """Return the changelog's sections by their headings, newest first."""
    parts = re.split(r"(?m)^## (.+)$", _text(root / "CHANGELOG.md"))
    return {heading.strip(): body.strip() for heading, body in zip(parts[1::2], parts[2::2], strict=True)}


def notes(name: str, root: Path = ROOT) -> str:
    """Return what the changelog says of a version."""
    body = sections(root).get(name, "")
    if not body:
        raise ReleaseError(f"CHANGELOG.md has no entries for {name}.")
    return body


def home(root: Path = ROOT) -> dict[str, str]:
    """Return where the project lives, by the names in release.cfg."""
    parser = ConfigParser()
    parser.read_string(_text(root / "release.cfg"))
    return dict(parser["home"])


def problems(tag: str = "", root: Path = ROOT) -> Iterator[str]:
    """Yield a sentence for each thing that keeps this checkout from being released, as `tag` if one is given."""
    current = version(root)
    for name, value in home(root).items():
        if value.startswith(_PLACEHOLDER):
            yield f"release.cfg does not say what {name} is; replace the placeholder."
    for name, pattern in _REPEATED.items():
        found = pattern.search(_text(root / name))
        if not found or found[2] != current:
            yield f"{name} has another version than {current}; run `python -m tools.release version {current}`."
    if tag and tag != f"v{current}":
        yield f"The tag {tag} is not v{current}."
    if not sections(root).get(current):
        yield f"CHANGELOG.md has no entries for {current}."
    if sections(root).get(_UNRELEASED):
        yield f"CHANGELOG.md has unreleased entries; run `python -m tools.release version {current}`, or a newer one."
    owners = home(root)["owners"]
    if owners not in _text(root / ".github" / "CODEOWNERS"):
        yield "CODEOWNERS names others than release.cfg."


def lacks_entry(base: str, root: Path = ROOT) -> bool:
    """Return whether the connector was changed since a commit, and the changelog's unreleased section was not."""
    changed = _git(root, "diff", "--name-only", f"{base}...HEAD").splitlines()
    if not any(name.startswith("source_docextract/") for name in changed):
        return False
    added = _git(root, "diff", "--unified=0", f"{base}...HEAD", "--", "CHANGELOG.md").splitlines()
    return not any(re.match(r"\+- \S", line) for line in added)


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise ReleaseError(f"`git {' '.join(arguments)}` failed; is the base commit there?") from None
    return done.stdout


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; return 0, or 1 where something keeps the release from being made."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1


def _check(options: argparse.Namespace) -> int:
    found = list(problems(options.tag))
    for sentence in found:
        print(sentence, file=sys.stderr)
    return 1 if found else 0


def _notes(options: argparse.Namespace) -> int:
    print(notes(options.version or version()))
    return 0


def _home(options: argparse.Namespace) -> int:
    print(home()[options.name])
    return 0


def _set_version(options: argparse.Namespace) -> int:
    set_version(options.version)
    return 0


def _changelog(options: argparse.Namespace) -> int:
    if lacks_entry(options.base):
        raise ReleaseError("The connector was changed and CHANGELOG.md was not; add a line below Unreleased.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tools.release", description="What a release needs.")
    commands = parser.add_subparsers(required=True)
    check = commands.add_parser("check", help="say what keeps this checkout from being released")
    check.add_argument("--tag", default="", help="the tag that it would be released as")
    check.set_defaults(run=_check)
    words = commands.add_parser("notes", help="print the changelog of a version")
    words.add_argument("version", nargs="?", help="this checkout's, if left out")
    words.set_defaults(run=_notes)
    place = commands.add_parser("home", help="print one entry of release.cfg")
    place.add_argument("name")
    place.set_defaults(run=_home)
    new = commands.add_parser("version", help="write a new version wherever it stands")
    new.add_argument("version")
    new.set_defaults(run=_set_version)
    entry = commands.add_parser("changelog", help="fail where the connector was changed without an entry")
    entry.add_argument("--base", required=True, help="the commit to compare with, such as origin/main")
    entry.set_defaults(run=_changelog)
    return parser


if __name__ == "__main__":
    sys.exit(main())
