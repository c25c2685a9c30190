"""Sanitizing of third-party text for logs and errors.

Sanitized text is one short line without keys, tokens and signed URLs.

Providers, proxies and libraries quote the requests that they received, whole or cut, escaped or encoded. Their text may
also hold line ends, terminal escapes, or lines that look like messages of this connector. Everything that becomes part
of an error or a log line is sanitized here. Rows are not sanitized: they hold the values as sent.
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

MIN_SECRET_LENGTH = 8
"""Characters. A shorter secret occurs inside ordinary words, so masking it would garble messages."""

_MAX_FRAGMENT_LENGTH = 12
"""Characters. Fragments of a secret are masked from this length on, or from half of a shorter secret's length."""

_MASK = "****"

_MAX_WORD_LENGTH = 250  # characters

_MAX_INPUT_LENGTH = 20_000  # characters; the rest of a longer text is dropped before any pattern is applied

# Not `str.lower`: it lengthens some texts (a capital dotted I becomes two characters), and matches in the lowercase
# text are masked at the same positions of the original.
_LOWERCASE_TABLE = str.maketrans(ascii_uppercase, ascii_lowercase)

_TERMINAL_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")

_secret_hashes: defaultdict[int, set[int]] = defaultdict(set)
"""Hashes of the lowercase fragments of all secrets, by length of the fragment.

Hashes instead of fragments keep a token of 16 kB in all its encodings to 10 MB. The registry is global, as the CDK's
own is: every log line and error has to be covered, whichever module writes it.
"""

_registered_secrets: set[str] = set()
"""The secrets whose fragments are hashed already; each client registers its keys anew."""


def register_secrets(*secrets: str) -> None:
    """Mask secrets in all later messages.

    They are masked whole or half, in either case of letters, escaped or encoded.

    Secrets shorter than `MIN_SECRET_LENGTH` are ignored.
    """
    for secret in secrets:
        if len(secret) < MIN_SECRET_LENGTH or secret in _registered_secrets:
            continue
        min_fragment_length = min(_MAX_FRAGMENT_LENGTH, max(MIN_SECRET_LENGTH, len(secret) // 2))
        for variant, step in _encode_variants(secret):
            fragment_length = ceil(min_fragment_length * len(variant) / len(secret))
            lowercase = variant.translate(_LOWERCASE_TABLE)
            starts = range(0, len(lowercase) - fragment_length + 1, step)
            _secret_hashes[fragment_length].update(hash(lowercase[start : start + fragment_length]) for start in starts)
        # Last, so that another thread never skips a secret whose fragments are incomplete.
        _registered_secrets.add(secret)


def _encode_variants(secret: str) -> Iterator[tuple[str, int]]:
    """Yield the encodings in which a secret may be quoted.

    Each comes with its least number of characters per character of the secret.

    The latter is the step between the fragments that are hashed.
    """
    # Secrets are registered before the settings are validated, so that the validation's own errors are masked. At that
    # point a damaged copy may still hold a lone surrogate.
    secret_bytes = secret.encode(errors="surrogatepass")
    yield secret, 1
    yield quote(secret_bytes, safe=""), 1
    yield json.dumps(secret)[1:-1], 1
    # PHP escapes slashes in JSON, and `json.dumps` does not.
    yield secret.replace("/", "\\/"), 1
    yield html.escape(secret), 1
    yield secret_bytes.hex(), 2
    yield "".join(f"%{byte:02x}" for byte in secret_bytes), 3
    yield "".join(f"\\u{ord(letter):04x}" for letter in secret), 6
    # Base64 encodes three bytes at a time, so text in front of the secret (`user:`) shifts its encoding.
    for prefix_length in range(3):
        stable_part = slice(ceil(prefix_length * 8 / 6), (prefix_length + len(secret_bytes)) * 8 // 6)
        yield b64encode(bytes(prefix_length) + secret_bytes).decode()[stable_part], 1
        yield urlsafe_b64encode(bytes(prefix_length) + secret_bytes).decode()[stable_part], 1


def sanitize(text: str, max_length: int = 200) -> str:
    """Return third-party text as one line without secrets, cut to `max_length`.

    The time is linear in the length of the text. A provider may send any text, so no pattern here may backtrack over
    the whole of it: a cubic pattern once took minutes, and since it held the interpreter's lock, the process did
    not react to signals either.
    """
    visible_text = _TERMINAL_ESCAPE.sub("", text[:_MAX_INPUT_LENGTH])
    printable = "".join(letter if letter.isprintable() else " " for letter in visible_text)
    # Cut before the patterns run, which bounds their time, but with room for the text that they remove.
    line = _mask_secrets(" ".join(printable.split())[: 2 * max_length + 200])
    line = " ".join(_strip_query(strip_password(word)) for word in line.split(" "))
    line = _mask_named_values(_PRIVATE_KEY.sub(_MASK, line))
    line = _JSON_WEB_TOKEN.sub(_MASK, _AUTHORIZATION_VALUE.sub(rf"\1{_MASK}", line))
    return line[:max_length]


def truncate(text: str, max_length: int = 120) -> str:
    """Return the beginning of an id or name, so that a message has room for the rest."""
    return text if len(text) <= max_length else f"{text[: max_length - 1]}…"


def sanitize_message(text: str, max_length: int) -> str:
    """Return the connector's own message as one line without secrets.

    Long words are cut first. In the connector's own sentences they are quoted ids and URLs, and without the cut a long
    one would push the advice behind it out of the message.
    """
    return sanitize(" ".join(truncate(word, _MAX_WORD_LENGTH) for word in text.split(" ")), max_length)


def _mask_secrets(text: str) -> str:
    lowercase = text.translate(_LOWERCASE_TABLE)
    is_secret = bytearray(len(text))
    # A copy: the thread of requests registers a new token while this one may be writing a message.
    for length, fragments in tuple(_secret_hashes.items()):
        for start in range(len(text) - length + 1):
            if hash(lowercase[start : start + length]) in fragments:
                is_secret[start : start + length] = b"\1" * length
    if not any(is_secret):
        return text
    # The text is printable by now and holds no NUL, so NUL can stand for the hidden characters.
    letters = ("\0" if is_hidden else letter for letter, is_hidden in zip(text, is_secret, strict=True))
    return re.sub("\0+", _MASK, "".join(letters))


_ENCODED_DELIMITERS = {"%3a": ":", "%2f": "/", "%40": "@", "%3f": "?", "%23": "#", "%3d": "=", "\\/": "/"}

_ENCODED_DELIMITER = re.compile("(?i)%(?:3a|2f|40|3f|23|3d)|\\\\/")


def _decode_delimiters(word: str) -> str:
    """Return a word with encoded delimiters decoded.

    Each is repeated to its encoded length, so that all positions stay the same.
    """
    return _ENCODED_DELIMITER.sub(lambda match: _ENCODED_DELIMITERS[match[0].lower()] * len(match[0]), word)


def strip_password(word: str) -> str:
    """Return a word without the user name and password of a URL in it.

    The URL may have any scheme or none.

    A password may hold any character, `@` and `/` too. So everything in front of the last `@` is removed, unless the
    `@` is part of a path.
    """
    decoded_word = _decode_delimiters(word)
    at_index = decoded_word.rfind("@")
    if at_index < 0:
        return word
    host_start = decoded_word.find("//", 0, at_index)
    if host_start < 0:
        # `me:pass@db.example/x` is a URL without a scheme, and `help@acme.example` a mail address.
        colon_index = decoded_word.find(":", 0, at_index)
        is_mail = colon_index < 0 or decoded_word[:colon_index].lower().endswith("mailto")
        return word if is_mail else f"{word[: colon_index + 1]}{_MASK}{word[at_index:]}"
    # More than two slashes may stand here: an encoded one is decoded to as many as its code has characters.
    while decoded_word[host_start : host_start + 1] == "/":
        host_start += 1
    host, slash, _ = decoded_word[host_start:at_index].partition("/")
    # In `https://f.example/people/me@acme.example`, the `@` is part of a path, and nothing before it is a password.
    return word if slash and ":" not in host else word[:host_start] + word[at_index + 1 :]


# A decoded `%3A` is three colons long (`_decode_delimiters`), hence the repeated colon.
_URL_START = re.compile(r"(?i)https?:+//")


def _strip_query(word: str) -> str:
    """Return a word without a URL's query or fragment.

    Anything else that looks like a query is removed as well.
    """
    decoded_word = _decode_delimiters(word)
    # Providers also quote URLs without scheme and host (`GET /a.pdf?X-Amz-Signature=…`). There, only the `=`
    # distinguishes a query from the question mark of a sentence.
    query_match = re.search(r"[?#]", decoded_word)
    if query_match and "=" in decoded_word[query_match.end() :]:
        return word[: query_match.start()]
    # In a URL the whole query is removed, because a token may be all of it (`https://f.example/a?token`).
    url_match = _URL_START.search(decoded_word)
    query_match = re.compile(r"[?#]").search(decoded_word, url_match.end()) if url_match else None
    return word[: query_match.start()] if query_match else word


_NAMED_VALUE = re.compile(r"""(?i)(?<![\w.-])([\w.-]+)(=|%3d|\\?["']\s*:\s*)(\\?["'])?""")

_SECRET_NAME = re.compile(
    r"(?i)signature|credential|token|secret|passw(?:or)?d|passphrase|(?:api|access|account|private|shared)[_-]?key"
    r"|\b(?:sig|pwd|pass)\b"
)

_UNQUOTED_VALUE = re.compile(r"""[^\s"'&;,]+""")


def _mask_named_values(line: str) -> str:
    """Return a line with the values of secret-like names masked.

    Examples are `password=…` and `"client_secret": "…"`.
    """
    masked_parts, masked_up_to = [], 0
    for name_match in _NAMED_VALUE.finditer(line):
        if name_match.start() < masked_up_to or not _SECRET_NAME.search(name_match[1]):
            continue
        # A value in quotes may contain blanks, so it ends at its own quotation mark only.
        if name_match[3]:
            value_end = line.find(name_match[3], name_match.end())
            value_end = len(line) if value_end < 0 else value_end
        else:
            value_match = _UNQUOTED_VALUE.match(line, name_match.end())
            value_end = value_match.end() if value_match else name_match.end()
        if value_end > name_match.end():
            masked_parts += [line[masked_up_to : name_match.end()], _MASK]
            masked_up_to = value_end
    return "".join(masked_parts) + line[masked_up_to:]


# A quoted key may be cut off before its end. Bounded repetitions keep the time linear for hostile text.
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]{0,40}-----|$)")

# The lookahead spares ordinary words, as in "Basic authentication is required".
_AUTHORIZATION_VALUE = re.compile(r"((?i:bearer|basic) )(?=\S*(?:\d|=|[a-z][A-Z]))[\w.~+/=-]{8,}")

_JSON_WEB_TOKEN = re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*)*")
"""Like the two patterns above, it masks credentials that were never registered as secrets."""


class SanitizingFilter(logging.Filter):
    """A log filter that sanitizes each record of any library without its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Sanitize a record in place and let it pass."""
        # A traceback ends with the exception's own text, which no other step sanitizes.
        record.msg, record.args = sanitize(record.getMessage(), max_length=2000), None
        record.exc_info = record.exc_text = record.stack_info = None
        return True
