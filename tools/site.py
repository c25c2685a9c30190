"""The hooks of the documentation's site: pages from outside of docs/, and links that fit a site.

The pages in docs/ are written for a repository, where they link to files beside them. On the site the README, the
recipes and the like are pages of their own, and what is code is named without a link: where the repository lives is
said in release.cfg alone.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
PAGES = {
    "README.md": "overview.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "recipes/README.md": "recipes.md",
}
"""Pages from outside of docs/, by their place in the repository."""

_LINK_PATTERN = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_EXTERNAL_PREFIXES = ("http://", "https://", "mailto:", "#")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from outside of docs/."""
    for source, name in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=fit_links(text, posixpath.dirname(source))))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fit the links of a page that lies in docs/."""
    return markdown if page.file.src_uri in PAGES.values() else fit_links(markdown, "docs")


def fit_links(markdown: str, folder: str) -> str:
    """Return a page with its links as the site needs them. Code blocks stay as they are.

    Args:
        folder: where the page lies in the repository.
    """
    parts = re.split(r"(?ms)(^```.*?^```$)", markdown)
    return "".join(
        part if part.startswith("```") else _LINK_PATTERN.sub(lambda link: _fit_link(link, folder), part)
        for part in parts
    )


def _fit_link(link: re.Match[str], folder: str) -> str:
    image_mark, text, target = link.groups()
    if target.startswith(_EXTERNAL_PREFIXES):
        return link[0]
    path, hash_sign, anchor = target.partition("#")
    target_path = posixpath.normpath(posixpath.join(folder, path))
    if target_path in PAGES:
        return f"{image_mark}[{text}]({PAGES[target_path]}{hash_sign}{anchor})"
    if target_path.startswith("docs/") and target_path != "docs/":
        return f"{image_mark}[{text}]({target_path.removeprefix('docs/')}{hash_sign}{anchor})"
    return text if text.startswith("`") else f"{text} (`{target_path}`)"
