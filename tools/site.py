"""MkDocs hooks of the site: pages from outside docs/, and hyperlinks.

The pages in docs/ link to files of the repository. On the site the README, the recipes and some other files are pages,
and files of code are named without a hyperlink, since only release.cfg holds the repository's address.
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
"""Names of pages from outside docs/, by their paths in the repository."""

_LINK_PATTERN = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_EXTERNAL_PREFIXES = ("http://", "https://", "mailto:", "#")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from outside docs/."""
    for source, name in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=fit_links(text, posixpath.dirname(source))))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return a page of docs/ with the hyperlinks of the site.

    Other pages have them already.
    """
    return markdown if page.file.src_uri in PAGES.values() else fit_links(markdown, "docs")


def fit_links(markdown: str, folder: str) -> str:
    """Return a page with the hyperlinks of the site; code blocks stay as they are.

    Args:
        markdown: The page as it is in the repository.
        folder: Folder of the page in the repository.
    """
    fitted_parts: list[str] = []
    for part in re.split(r"(?ms)(^```.*?^```$)", markdown):
        is_code = part.startswith("```")
        fitted_parts.append(part if is_code else _LINK_PATTERN.sub(lambda link: _fit_link(link, folder), part))
    return "".join(fitted_parts)


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
