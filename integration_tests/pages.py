"""The pages of the documentation, taken apart."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Block:
    """A fenced block. `line` is where it begins."""

    language: str
    content: str
    line: int

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block, each in one line and without comments."""
        joined = self.content.replace("\\\n", " ")
        return [line for line in (re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines()) if line]


@dataclass(frozen=True)
class Page:
    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def _tokens(self) -> list[Token]:
        return MarkdownIt("commonmark").enable("table").parse(self.text)

    @property
    def blocks(self) -> list[Block]:
        return [
            Block(token.info, token.content, (token.map or [0])[0] + 1)
            for token in self._tokens
            if token.type in {"fence", "code_block"}
        ]

    def blocks_of(self, language: str) -> list[Block]:
        return [block for block in self.blocks if block.language == language]

    def table_below(self, block: Block) -> list[list[str]]:
        """The next table after a block, its titles first."""
        lines = self.text.splitlines()[block.line + block.content.count("\n") :]
        start = next(number for number, line in enumerate(lines) if line.startswith("|"))
        table = itertools.takewhile(lambda line: line.startswith("|"), lines[start:])
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
        return [rows[0], *rows[2:]]

    @property
    def headings(self) -> list[str]:
        pairs = zip(self._tokens, self._tokens[1:], strict=False)
        return [inline.content for token, inline in pairs if token.type == "heading_open"]

    @property
    def anchors(self) -> set[str]:
        """As GitHub makes them."""
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in self.headings}

    @property
    def urls(self) -> list[str]:
        return [str(token.attrs["href"]) for token in self._inline() if token.type == "link_open"]

    @property
    def code(self) -> list[str]:
        """All that stands in code font inside of text."""
        return [token.content for token in self._inline() if token.type == "code_inline"]

    @property
    def quotes(self) -> list[str]:
        """What of that is more than one word: sentences that are quoted."""
        return [code for code in self.code if " " in code]

    def _inline(self) -> Iterator[Token]:
        return (child for token in self._tokens for child in token.children or ())


DOCS = [Page(path) for path in sorted((ROOT / "docs").glob("*.md"))]
PAGES = [Page(ROOT / "README.md"), *DOCS]


def get_page(name: str) -> Page:
    return next(candidate for candidate in PAGES if str(candidate) == name)
