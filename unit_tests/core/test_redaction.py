"""Tests of redaction: no key in any encoding, no signed URL, one printable line."""

from __future__ import annotations

import logging
import time
import tracemalloc
from base64 import b64encode
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from source_docextract.core.redaction import SanitizingFilter, register_secrets, sanitize, sanitize_message
from unit_tests.support.cases import each_case
from unit_tests.support.disguises import SECRET_ENCODINGS

KEY = "Zq7/v+0Xw-9=Lk_3rTy8Pm2sHd5"
LONG_KEY = "dm_live_" + "9f3c1e7a" * 8
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhdGxhcyJ9.c2lnbmF0dXJl"
SECRETS = (KEY, LONG_KEY, JWT, "short-01")


PARTIAL_ENCODINGS = {"cut in the middle", "without its beginning", "over two lines"}
"""Encodings that leave half of the secret. Half of an eight-letter secret is too short to be masked."""


@each_case(
    ("encoding", "secret"),
    [
        (name, secret)
        for name in SECRET_ENCODINGS
        for secret in SECRETS
        if len(secret) > 8 or name not in PARTIAL_ENCODINGS
    ],
)
@each_case("prefix", [0, 170, 190, 380, 590])
def test_sanitize_encoded_secret_is_removed(encoding: str, secret: str, prefix: int) -> None:
    register_secrets(*SECRETS)

    sanitized = sanitize("x" * prefix + " Bad key " + SECRET_ENCODINGS[encoding](secret) + " was sent", 600)

    min_length = max(8, min(12, len(secret) // 2))
    encoded_secret = SECRET_ENCODINGS[encoding](secret).lower()
    assert len(sanitized) <= 600
    for start in range(len(encoded_secret) - min_length * 6 + 1):
        assert encoded_secret[start : start + min_length * 6] not in sanitized.lower()
    for start in range(len(secret) - min_length + 1):
        assert secret[start : start + min_length].lower() not in sanitized.lower()
        assert b64encode(secret.encode())[start : start + min_length * 2].decode() not in sanitized


def test_sanitize_text_around_a_secret_is_kept() -> None:
    register_secrets(KEY)

    assert sanitize(f"The key '{KEY}' is not known.") == "The key '****' is not known."
    assert sanitize(f"{KEY} {KEY}, {KEY}{KEY}") == "**** ****, ****"


def test_sanitize_short_text_is_kept() -> None:
    register_secrets("error", "", "a")

    assert sanitize("an error a day") == "an error a day"


@each_case(
    ("raw_text", "expected"),
    [
        ("see https://f.example/a.pdf?X-Amz-Signature=ab&Expires=9 now", "see https://f.example/a.pdf now"),
        ("GET /a.pdf?X-Amz-Signature=ab HTTP/1.1", "GET /a.pdf HTTP/1.1"),
        ("HTTPS://F.EXAMPLE/A?sig=ab", "HTTPS://F.EXAMPLE/A"),
        (r"https:\/\/f.example\/a?sig=ab\u0026e=1 now", r"https:\/\/f.example\/a now"),
        ("https%3A%2F%2Ff.example%2Fa%3FX-Signature%3Dab now", "https%3A%2F%2Ff.example%2Fa now"),
        ("https://f.example/cb#access_token=ab&x=1 now", "https://f.example/cb now"),
        ("https://f.example/a?token now", "https://f.example/a now"),
        ("https://me:pass@f.example/a", "https://f.example/a"),
        ("https://me:pa/ss@f.example/a", "https://f.example/a"),
        ("http://token@f.example/a", "http://f.example/a"),
        ("s3://AKIA:se/cr+et@bucket/key", "s3://bucket/key"),
        ("X-Goog-Signature=abcd&other=1", "X-Goog-Signature=****&other=1"),
        ('{"client_secret": "abc", "id": 1}', '{"client_secret": "****", "id": 1}'),
        ("password=abc, user=me", "password=****, user=me"),
        ("Proxy-Authorization: Basic dXNlcjpwYXNz", "Proxy-Authorization: Basic ****"),
        ("authorization: bearer abc123def456", "authorization: bearer ****"),
        ("Token: eyJ0eXAiOiJKV1QifQ.eyJpZCI6MX0.c2ln", "Token: ****"),
        ("Basic authentication is required", "Basic authentication is required"),
        ("What? a = b, 50 % = half, #1", "What? a = b, 50 % = half, #1"),
        ("write to help@acme.example: soon", "write to help@acme.example: soon"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
    ],
)
def test_sanitize_credentials_are_removed(raw_text: str, expected: str) -> None:
    assert sanitize(raw_text) == expected


FORGED = '{"type":"LOG","log":{"level":"INFO","message":"forged"}}'


@each_case("end", ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029", "\x00"])
def test_sanitize_line_ends_become_blanks(end: str) -> None:
    assert sanitize(f"a{end}{FORGED}{end}b") == f"a {FORGED} b"


def test_sanitize_terminal_escapes_and_invisible_characters_are_removed() -> None:
    assert sanitize("\x1b[31mred\x1b[0m \x1b]0;title\x07 \u202eabc \ud800 \u200b.") == "red ]0;title abc ."


@each_case(
    ("raw_text", "expected"),
    [
        ("postgresql+psycopg2://me:pass@db.example/x", "postgresql+psycopg2://db.example/x"),
        ("//me:pass@db.example/x", "//db.example/x"),
        ("me:pass@db.example/x", "me:****@db.example/x"),
        ("postgresql:/me:pass@db.example/x", "postgresql:****@db.example/x"),
        ("https://me:p@s/s:w@rd@f.example/a?b=c", "https://f.example/a"),
        (r"https:\/\/me:pass@f.example\/a", r"https:\/\/f.example\/a"),
        ("https%3A%2F%2Fme%3Apass%40f.example%2Fa", "https%3A%2F%2Ff.example%2Fa"),
        ("mailto:help@acme.example", "mailto:help@acme.example"),
        ("https://f.example/people/me@acme.example/a", "https://f.example/people/me@acme.example/a"),
        ("AccountName=acme;AccountKey=abc+/==;Suffix=x", "AccountName=acme;AccountKey=****;Suffix=x"),
        ("host=db password='two words' user=me", "host=db password='****' user=me"),
        ('{"client_secret" : "two words", "id": 1}', '{"client_secret" : "****", "id": 1}'),
        (r"{\"password\": \"two words\", \"id\": 1}", r"{\"password\": \"****\", \"id\": 1}"),
        ("url=token=abc&x=1", "url=token=****&x=1"),
        ("a -----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY----- b", "a **** b"),
        ("a -----BEGIN PRIVATE KEY-----\\nMIIEabc", "a ****"),
    ],
)
def test_sanitize_password_in_any_form_of_url_is_removed(raw_text: str, expected: str) -> None:
    assert sanitize(raw_text) == expected


SLOW_INPUTS = {
    "a word for a secret": "secret",
    "words for secrets": "secret.token-",
    "names": "token=",
    "empty names": "secret=;",
    "colons": ":",
    "addresses": "://x:",
    "users": "//a:b@",
    "webs": "https://",
    "quotes": "https://a'",
    "questions": "?",
    "encoded questions": "%3f",
    "quoted names": '"secret":"',
    "escapes": "\x1b[0",
    "tokens": "eyJ-",
    "bearers": "bearer a ",
    "keys": "-----BEGIN PRIVATE ",
    "private keys": "-----BEGIN PRIVATE KEY-----",
    "blanks": " ",
    "ends": "\n",
}


@pytest.mark.parametrize("piece", SLOW_INPUTS.values(), ids=SLOW_INPUTS)
@pytest.mark.long
def test_sanitize_hostile_text_takes_linear_time(piece: str) -> None:
    """Given hostile text, when it is sanitized, then the time is linear.

    A cubic pattern once took minutes for one of these inputs.
    """
    text = piece * (20_000 // len(piece))
    for end in ("", "x", "=", "@", '"', "z" * 100_000):
        began = time.process_time()
        sanitized = sanitize(text + end, 20_000)
        sanitize_message(f"Atlas batch {text}{end} is not synced; the next sync tries again.", 4_000)
        assert time.process_time() - began < 10
        assert len(sanitized) <= 20_000


@each_case("id_", ["secret" * 1_400, "x" * 100_000, "a@b:c/" * 20_000])
def test_sentences_long_id_leaves_room_for_what_is_said_of_it(id_: str) -> None:
    sanitized = sanitize_message(
        f"Atlas batch {id_} is not synced; the next sync tries again. Atlas is unavailable (503).", 1_000
    )

    assert sanitized.startswith("Atlas batch ")
    assert sanitized.endswith(" is not synced; the next sync tries again. Atlas is unavailable (503).")
    assert len(sanitized) < 400


def test_register_secrets_long_secret_takes_little_memory_and_is_masked() -> None:
    secret = "".join(sha256(str(number).encode()).hexdigest() for number in range(256))
    tracemalloc.start()
    register_secrets(secret)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(secret) == 16_384
    assert peak_bytes < 40_000_000
    for start in range(0, 16_000, 1_000):
        part = secret[start : start + 40]
        for form in (str, str.upper, SECRET_ENCODINGS["in hexadecimal"], SECRET_ENCODINGS["with each byte escaped"]):
            assert form(part)[6:70] not in sanitize(f"It sent {form(part)} there", 1_000)


def test_sanitize_long_text_is_cut() -> None:
    assert sanitize("x" * 10_000_000) == "x" * 200
    assert sanitize("?" * 10_000_000 + "=", 4000) == "?" * 4000
    assert sanitize(" " * 10_000_000) == ""


@given(st.text(), st.integers(0, 300))
def test_sanitize_any_text_is_one_printable_line(text: str, max_length: int) -> None:
    sanitized = sanitize(text, max_length)

    assert sanitized.isprintable()
    assert len(sanitized) <= max_length
    assert not sanitized.startswith(" ")


@given(st.text(), st.sampled_from(sorted(set(SECRET_ENCODINGS) - {"over two lines"})), st.text())
def test_sanitize_secret_in_any_context_is_removed(prefix: str, encoding: str, suffix: str) -> None:
    register_secrets(KEY)

    sanitized = sanitize(prefix + SECRET_ENCODINGS[encoding](KEY) + suffix, 1000)

    for start in range(len(KEY) - 11):
        assert KEY[start : start + 12].lower() not in sanitized.lower()


def test_sanitizing_filter_record_becomes_one_line_without_traceback(caplog: pytest.LogCaptureFixture) -> None:
    register_secrets(KEY)
    logger = logging.getLogger("urllib3.connectionpool")
    caplog.handler.addFilter(log_filter := SanitizingFilter())

    try:
        raise ValueError(KEY)
    except ValueError:
        logger.warning("Failed to parse headers (url=%s): %s", "https://f.example/a?sig=ab", "a\nb", exc_info=True)
    caplog.handler.removeFilter(log_filter)

    [sanitized] = [record.getMessage() for record in caplog.records]
    assert sanitized == "Failed to parse headers (url=https://f.example/a a b"
    assert "Traceback" not in caplog.text
