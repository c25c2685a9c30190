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
_LONGEST_WORD = 250  # characters
_READ = 20_000  # characters of a text that are looked at
_SMALL = str.maketrans(ascii_uppercase, ascii_lowercase)
_TERMINAL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")

_hidden: defaultdict[int, set[int]] = defaultdict(set)
"""Hashes of fragments of secrets in small letters, by their length: a token of 16 kB in all its forms takes 10 MB so.
Kept here for all, as the CDK keeps its own list: it matters little who says something, and much that nobody says it."""


def hide(*secrets: str) -> None:
    """From now on no message shows these, nor half of one, in small or capital letters, escaped or encoded."""
    for secret in secrets:
        if len(secret) < SHORTEST_SECRET:
            continue
        enough = min(_LONGEST_FRAGMENT, max(SHORTEST_SECRET, len(secret) // 2))
        for form, step in _forms(secret):
            length = ceil(enough * len(form) / len(secret))
            small = form.translate(_SMALL)
            starts = range(0, len(small) - length + 1, step)
            _hidden[length].update(hash(small[start : start + length]) for start in starts)


def _forms(secret: str) -> Iterator[tuple[str, int]]:
    """A secret as it may be quoted, and how many characters stand for one of its own at least."""
    sent = secret.encode(errors="surrogatepass")
    yield secret, 1
    yield quote(sent, safe=""), 1
    yield json.dumps(secret)[1:-1], 1
    yield secret.replace("/", "\\/"), 1
    yield html.escape(secret), 1
    yield sent.hex(), 2
    yield "".join(f"%{byte:02x}" for byte in sent), 3
    yield "".join(f"\\u{ord(letter):04x}" for letter in secret), 6
    for before in range(3):  # bytes of something else that it was encoded together with
        kept = slice(ceil(before * 8 / 6), (before + len(sent)) * 8 // 6)
        yield b64encode(bytes(before) + sent).decode()[kept], 1
        yield urlsafe_b64encode(bytes(before) + sent).decode()[kept], 1


def plain(text: str, longest: int = 200) -> str:
    """Return one line of at most so many characters, in time that grows with its length and no faster.

    A provider may send whatever it likes, so no pattern here may look at one place twice for each other place: where
    such a thing once took minutes, not even a signal was heard, for the interpreter's lock was held all the while.
    """
    shown = _TERMINAL.sub("", text[:_READ])
    printable = "".join(letter if letter.isprintable() else " " for letter in shown)
    line = _masked(" ".join(printable.split())[: 2 * longest + 200])
    line = " ".join(_without_query(without_password(word)) for word in line.split(" "))
    line = _without_values(_PRIVATE_KEY.sub(_MASK, line))
    line = _TOKEN.sub(_MASK, _CREDENTIALS.sub(rf"\1{_MASK}", line))
    return line[:longest]


def cut(text: str, longest: int = 120) -> str:
    """Return the beginning of an id or a name, so that a message has room for what it says of it."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def sentences(text: str, longest: int) -> str:
    """Return sentences of this connector as one plain line, with long words cut.

    A word of theirs that is long is an id or an address of somebody's; what they say of it stands behind it.
    """
    return plain(" ".join(cut(word, _LONGEST_WORD) for word in text.split(" ")), longest)


def _masked(text: str) -> str:
    small = text.translate(_SMALL)
    is_secret = bytearray(len(text))
    for length, fragments in tuple(_hidden.items()):
        for start in range(len(text) - length + 1):
            if hash(small[start : start + length]) in fragments:
                is_secret[start : start + length] = b"\1" * length
    if not any(is_secret):
        return text
    shown = ("\0" if hidden else letter for letter, hidden in zip(text, is_secret, strict=True))
    return re.sub("\0+", _MASK, "".join(shown))


_ENCODED = {"%3a": ":", "%2f": "/", "%40": "@", "%3f": "?", "%23": "#", "%3d": "=", "\\/": "/"}
_ENCODED_SIGN = re.compile("(?i)%(?:3a|2f|40|3f|23|3d)|\\\\/")


def _signs(word: str) -> str:
    """A word in which encoded signs are plain ones, each repeated so that all places stay the same."""
    return _ENCODED_SIGN.sub(lambda match: _ENCODED[match[0].lower()] * len(match[0]), word)


def without_password(word: str) -> str:
    """A word without the user and the password of an address in it, whatever scheme it has, or none.

    A password may hold any sign, `@` and `/` too. So all is cut out before the last `@`, unless that stands in a path.
    """
    signs = _signs(word)
    at = signs.rfind("@")
    if at < 0:
        return word
    start = signs.find("//", 0, at)
    if start < 0:
        colon = signs.find(":", 0, at)
        is_mail = colon < 0 or signs[:colon].lower().endswith("mailto")
        return word if is_mail else f"{word[: colon + 1]}{_MASK}{word[at:]}"
    while signs[start : start + 1] == "/":
        start += 1
    host, slash, _ = signs[start:at].partition("/")
    return word if slash and ":" not in host else word[:start] + word[at + 1 :]


_WEB = re.compile(r"(?i)https?:+//")


def _without_query(word: str) -> str:
    """A word without the query of an address in it, nor what else looks like one."""
    signs = _signs(word)
    query = re.search(r"[?#]", signs)
    if query and "=" in signs[query.end() :]:
        return word[: query.start()]
    address = _WEB.search(signs)
    query = re.compile(r"[?#]").search(signs, address.end()) if address else None
    return word[: query.start()] if query else word


_NAME = re.compile(r"""(?i)(?<![\w.-])([\w.-]+)(=|%3d|\\?["']\s*:\s*)(\\?["'])?""")
_SECRET_NAME = re.compile(
    r"(?i)signature|credential|token|secret|passw(?:or)?d|passphrase|(?:api|access|account|private|shared)[_-]?key"
    r"|\b(?:sig|pwd|pass)\b"
)
_VALUE = re.compile(r"""[^\s"'&;,]+""")


def _without_values(line: str) -> str:
    """A line without the values of what is called like a secret: `password=…`, `"client_secret": "…"`."""
    shown, place = [], 0
    for name in _NAME.finditer(line):
        if name.start() < place or not _SECRET_NAME.search(name[1]):
            continue
        if name[3]:
            end = line.find(name[3], name.end())
            end = len(line) if end < 0 else end
        else:
            value = _VALUE.match(line, name.end())
            end = value.end() if value else name.end()
        if end > name.end():
            shown += [line[place : name.end()], _MASK]
            place = end
    return "".join(shown) + line[place:]


_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]{0,40}-----|$)")
_CREDENTIALS = re.compile(r"((?i:bearer|basic) )(?=\S*(?:\d|=|[a-z][A-Z]))[\w.~+/=-]{8,}")
_TOKEN = re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*)*")
"""What looks like a credential of somebody else's."""


class PlainLog(logging.Filter):
    """Makes each record one plain line, whoever wrote it. What is told of an exception besides is left out."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = plain(record.getMessage(), longest=2000), None
        record.exc_info = record.exc_text = record.stack_info = None
        return True
