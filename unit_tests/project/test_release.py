"""What keeps a checkout from being released, and a change from being merged without a word."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import source_docextract
from tools import release
from tools.release import ROOT

FILES = (
    "release.cfg",
    "metadata.yaml",
    "Dockerfile",
    "CHANGELOG.md",
    ".github/CODEOWNERS",
    "source_docextract/version.py",
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what a release reads, with a home and a finished changelog."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    replace_text(tmp_path / "release.cfg", "= placeholder", "= somewhere")
    replace_text(tmp_path / ".github/CODEOWNERS", "* placeholder", "* somewhere")
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(f"# Changelog\n\n## Unreleased\n\n## {release.read_version(tmp_path)}\n\n- All of it.\n")
    return tmp_path


def replace_text(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_release_check_finished_checkout_finds_no_problem(checkout: Path) -> None:
    tag = f"v{release.read_version(checkout)}"

    assert list(release.find_problems(tag, checkout)) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("release.cfg", "image = somewhere", "image = placeholder", "does not say what image is"),
        ("metadata.yaml", "dockerImageTag: 0", "dockerImageTag: 9", "metadata.yaml has another version"),
        ("Dockerfile", 'io.airbyte.version="0', 'io.airbyte.version="9', "Dockerfile has another version"),
        ("CHANGELOG.md", "- All of it.\n", "", "has no entries"),
        ("CHANGELOG.md", "## Unreleased\n", "## Unreleased\n\n- More.\n", "has unreleased entries"),
        (".github/CODEOWNERS", "* somewhere", "* elsewhere", "CODEOWNERS names others"),
    ],
)
def test_release_check_unfinished_checkout_names_the_missing_part(
    file: str, old: str, new: str, expected: str, checkout: Path
) -> None:
    replace_text(checkout / file, old, new)

    assert [sentence for sentence in release.find_problems(root=checkout) if expected in sentence]


def test_release_check_tag_of_another_version_is_refused(checkout: Path) -> None:
    assert any("v9.9.9 is not" in sentence for sentence in release.find_problems("v9.9.9", checkout))


def test_release_check_placeholders_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["check"]) == 1
    assert "replace the placeholder" in capsys.readouterr().err


def test_write_version_updates_every_file_that_contains_the_version(checkout: Path) -> None:
    release.write_version("3.2.1", checkout)

    assert release.read_version(checkout) == "3.2.1"
    replace_text(checkout / "CHANGELOG.md", "## 3.2.1\n", "## 3.2.1\n\n- New.\n")
    assert list(release.find_problems("v3.2.1", checkout)) == []
    assert release.read_notes("3.2.1", checkout) == "- New."


def test_package_version_equals_the_installed_version() -> None:
    assert source_docextract.__version__ == release.read_version()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    git("config", "user.email", "someone@example.com")
    git("config", "user.name", "Someone")
    (tmp_path / "source_docextract").mkdir()
    (tmp_path / "source_docextract" / "rows.py").write_text("rows = 1\n")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n- One.\n")
    git("add", ".")
    git("commit", "-qm", "Begin")
    git("checkout", "-qb", "change")
    return tmp_path


def make_commit(repository: Path) -> None:
    subprocess.run(["git", "commit", "-qam", "Change"], cwd=repository, check=True)


def test_changelog_change_without_entry_is_refused(repository: Path) -> None:
    (repository / "source_docextract" / "rows.py").write_text("rows = 2\n")
    make_commit(repository)

    assert release.is_entry_missing("main", repository)


def test_changelog_change_with_entry_is_accepted(repository: Path) -> None:
    (repository / "source_docextract" / "rows.py").write_text("rows = 2\n")
    (repository / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n- One.\n- Two.\n")
    make_commit(repository)

    assert not release.is_entry_missing("main", repository)


def test_changelog_change_outside_the_package_needs_no_entry(repository: Path) -> None:
    (repository / "README.md").write_text("Read me.\n")
    subprocess.run(["git", "add", "."], cwd=repository, check=True)
    make_commit(repository)

    assert not release.is_entry_missing("main", repository)


def test_changelog_missing_base_commit_is_an_error(repository: Path) -> None:
    with pytest.raises(release.ReleaseError, match="is the base commit there"):
        release.is_entry_missing("nothing-of-the-kind", repository)
