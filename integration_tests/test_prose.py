"""The words of the project: none of those that glossary and house rules replace, in code, docs, report and recipes."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from integration_tests.pages import ROOT
from unit_tests.support.cases import each_case

BANNED = re.compile(
    r"\b(?:told|tells?|telling|whoever|homeless|errands?|nobody's|somebody|DESIGN\.md)\b",
    re.IGNORECASE,
)
"""Words that had many meanings here, or that readers of technical English stumble over. Write the thing's own name."""

_OLD_STATE_KEYS = {"told"}
"""Keys of the state JSON of version 2, which the migration reads."""

CODE_FOLDERS = (
    "source_docextract",
    "docextract_sandbox",
    "demo",
    "report",
    "benchmarks",
    "examples",
    "tools",
    "unit_tests",
    "integration_tests",
)
TEXTS = sorted(
    path
    for pattern in (
        "*.md",
        "docs/*.md",
        "recipes/*",
        "report/*.html",
        "report/*.js",
        "benchmarks/*.md",
        ".github/**/*.md",
    )
    for path in ROOT.glob(pattern)
    if path.suffix in {".md", ".sql", ".html", ".js"}
)
SOURCES = sorted(
    path
    for folder in CODE_FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if ".venv" not in str(path) and path != Path(__file__)
)


def list_words(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line number and the text of each comment, string and bound name of a module, docstrings included."""
    source = path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in _OLD_STATE_KEYS:
            yield node.lineno, node.value
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id.replace("_", " ")
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.lineno, node.name.replace("_", " ")
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg.replace("_", " ")


@each_case("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_uses_no_banned_word(path: Path) -> None:
    assert [(line, BANNED.findall(text)) for line, text in list_words(path) if BANNED.search(text)] == []


@each_case("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_page_uses_no_banned_word(path: Path) -> None:
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)

    assert [(line, BANNED.findall(text)) for line, text in lines if BANNED.search(text)] == []
