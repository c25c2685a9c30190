"""What others wrote, fit for a message: one short line of plain words, without keys, tokens and signed links.

Providers, proxies and libraries quote what they were sent, whole or cut, escaped or encoded, and what they send may
hold line ends, commands for terminals, or what looks like a message of this connector. Whatever becomes part of an
error or of a log line goes through here; rows do not, they hold what was sent.
"""

from __future__ import annotations

import html
import json
import logging
import re
from base64 import b64encode, urlsafe_b64encode
from collections import defaultdict
from collections.abc import Iterator
from math import ceil
from string import ascii_lowercase, ascii_uppercase
from urllib.parse import quote

SHORTEST_SECRET = 8
"""Characters. Shorter ones cannot be kept out of a message without spoiling it."""

_LONGEST_FRAGMENT = 12
_MASK = "****"
_READ = 20_000  # characters of a text that are looked at
_SMALL = str.maketrans(ascii_uppercase, ascii_lowercase)
_TERMINAL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")

_hidden: defaultdict[int, set[str]] = defaultdict(set)
"""Fragments of secrets in small letters, by their length. Kept here for all, as the CDK keeps its own list: it matters
little who says something, and much that nobody says it."""


def hide(*secrets: str) -> None:
    """From now on no message shows these, nor half of one, in small or capital letters, escaped or encoded."""
    for secret in secrets:
        if len(secret) < SHORTEST_SECRET:
            continue
        enough = min(_LONGEST_FRAGMENT, max(SHORTEST_SECRET, len(secret) // 2))
        for form in _forms(secret):
            length = ceil(enough * len(form) / len(secret))
            small = form.translate(_SMALL)
            _hidden[length].update(small[start : start + length] for start in range(len(small) - length + 1))


def _forms(secret: str) -> Iterator[str]:
    sent = secret.encode()
    yield secret
    yield quote(secret, safe="")
    yield json.dumps(secret)[1:-1]
    yield secret.replace("/", "\\/")
    yield html.escape(secret)
    yield sent.hex()
    yield "".join(f"%{byte:02x}" for byte in sent)
    yield "".join(f"\\u{ord(letter):04x}" for letter in secret)
    for before in range(3):  # bytes of something else that it was encoded together with
        kept = slice(ceil(before * 8 / 6), (before + len(sent)) * 8 // 6)
        yield b64encode(bytes(before) + sent).decode()[kept]
        yield urlsafe_b64encode(bytes(before) + sent).decode()[kept]


_NAMES = r"[\w.-]*(?:signature|credential|token|secret|passw(?:or)?d|api[_-]?key|\bsig\b)[\w.-]*"
_CUT: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"://[^\s@/]*:[^\s@]*@|://[^\s@/]*@"), "://"),
    (re.compile(r"(?i)(https?:(?:\\?/){2}[^\s?#\"']*)[?#]\S*"), r"\1"),
    (re.compile(r"(?i)(?:[?#]|%3f)\S{0,200}?(?:=|%3d)\S*"), ""),
    (re.compile(rf"(?i)({_NAMES}(?:=|%3d|[\"']\s*:\s*[\"']?))[^\s\"'&;,]+"), rf"\1{_MASK}"),
    (re.compile(r"((?i:bearer|basic) )(?=\S*(?:\d|=|[a-z][A-Z]))[\w.~+/=-]{8,}"), rf"\1{_MASK}"),
    (re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*)*"), _MASK),
)
"""Users and passwords in addresses, query strings, and what looks like a credential of somebody else's."""


def plain(text: str, longest: int = 200) -> str:
    """One line of at most so many characters."""
    shown = _TERMINAL.sub("", text[:_READ])
    printable = "".join(letter if letter.isprintable() else " " for letter in shown)
    words = _masked(" ".join(printable.split())[: 2 * longest + 200])
    for pattern, instead in _CUT:
        words = pattern.sub(instead, words)
    return words[:longest]


def _masked(text: str) -> str:
    small = text.translate(_SMALL)
    is_secret = bytearray(len(text))
    for length, fragments in tuple(_hidden.items()):
        for start in range(len(text) - length + 1):
            if small[start : start + length] in fragments:
                is_secret[start : start + length] = b"\1" * length
    if not any(is_secret):
        return text
    shown = ("\0" if hidden else letter for letter, hidden in zip(text, is_secret, strict=True))
    return re.sub("\0+", _MASK, "".join(shown))


class PlainLog(logging.Filter):
    """Makes each record one plain line, whoever wrote it. What is told of an exception besides is left out."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = plain(record.getMessage(), longest=2000), None
        record.exc_info = record.exc_text = record.stack_info = None
        return True
