"""What others wrote, made fit for a message: no key in any disguise, no signed link, one line."""

from __future__ import annotations

import html
import json
import logging
import time
import tracemalloc
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from source_docextract.plain import PlainLog, hide, plain, sentences

KEY = "Zq7/v+0Xw-9=Lk_3rTy8Pm2sHd5"
LONG = "dm_live_" + "9f3c1e7a" * 8
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhdGxhcyJ9.c2lnbmF0dXJl"
SECRETS = (KEY, LONG, JWT, "short-01")

DISGUISES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in capitals": str.upper,
    "in small letters": str.lower,
    "in an address": lambda key: quote(key, safe=""),
    "in a form": quote_plus,
    "in JSON": json.dumps,
    "in JSON in JSON": lambda key: json.dumps(json.dumps({"k": key})),
    "in JSON as PHP writes it": lambda key: json.dumps(key).replace("/", r"\/"),
    "in JSON with nothing but escapes": lambda key: "".join(f"\\u{ord(letter):04X}" for letter in key),
    "in a page": html.escape,
    "as bytes": lambda key: repr(key.encode()),
    "in hexadecimal": lambda key: key.encode().hex(),
    "with each byte escaped": lambda key: "".join(f"%{byte:02X}" for byte in key.encode()),
    "in base64": lambda key: b64encode(key.encode()).decode(),
    "in base64 of a header": lambda key: b64encode(f"Authorization: Bearer {key}\r\n".encode()).decode(),
    "in base64 of a user and a password": lambda key: b64encode(f"a:{key}".encode()).decode(),
    "in base64 for addresses": lambda key: urlsafe_b64encode(f"ab:{key}".encode()).decode(),
    "cut in the middle": lambda key: key[: -(-len(key) // 2)],
    "without its beginning": lambda key: key[len(key) // 2 :],
    "over two lines": lambda key: f"{key[: len(key) // 2]}\n  {key[len(key) // 2 :]}",
}


HALVES = {"cut in the middle", "without its beginning", "over two lines"}
"""Of a secret of eight letters, half could not be told from other words."""


@pytest.mark.parametrize(
    ("disguise", "secret"),
    [(name, secret) for name in DISGUISES for secret in SECRETS if len(secret) > 8 or name not in HALVES],
)
@pytest.mark.parametrize("before", [0, 170, 190, 380, 590])
def test_a_secret_is_told_in_no_disguise(disguise: str, secret: str, before: int) -> None:
    hide(*SECRETS)

    told = plain("x" * before + " Bad key " + DISGUISES[disguise](secret) + " was sent", 600)

    enough = max(8, min(12, len(secret) // 2))
    disguised = DISGUISES[disguise](secret).lower()
    assert len(told) <= 600
    for start in range(len(disguised) - enough * 6 + 1):
        assert disguised[start : start + enough * 6] not in told.lower()
    for start in range(len(secret) - enough + 1):
        assert secret[start : start + enough].lower() not in told.lower()
        assert b64encode(secret.encode())[start : start + enough * 2].decode() not in told


def test_what_stands_around_a_secret_is_told() -> None:
    hide(KEY)

    assert plain(f"The key '{KEY}' is not known.") == "The key '****' is not known."
    assert plain(f"{KEY} {KEY}, {KEY}{KEY}") == "**** ****, ****"


def test_what_is_too_short_to_be_a_secret_stays() -> None:
    hide("error", "", "a")

    assert plain("an error a day") == "an error a day"


@pytest.mark.parametrize(
    ("sent", "told"),
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
def test_what_opens_something_is_cut_out_of_what_is_said(sent: str, told: str) -> None:
    assert plain(sent) == told


FORGED = '{"type":"LOG","log":{"level":"INFO","message":"forged"}}'


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029", "\x00"])
def test_nothing_ends_a_line_or_begins_one(end: str) -> None:
    assert plain(f"a{end}{FORGED}{end}b") == f"a {FORGED} b"


def test_terminals_and_eyes_are_given_no_commands() -> None:
    assert plain("\x1b[31mred\x1b[0m \x1b]0;title\x07 \u202eabc \ud800 \u200b.") == "red ]0;title abc ."


@pytest.mark.parametrize(
    ("sent", "told"),
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
def test_plain_password_in_any_form_of_address_is_cut_out(sent: str, told: str) -> None:
    assert plain(sent) == told


HOSTILE = {
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


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE)
def test_plain_hostile_text_costs_time_in_proportion_to_its_length(piece: str) -> None:
    """A cubic pattern took minutes for one of these; in proportion, all of them take some milliseconds."""
    text = piece * (20_000 // len(piece))
    for end in ("", "x", "=", "@", '"', "z" * 100_000):
        began = time.process_time()
        told = plain(text + end, 20_000)
        sentences(f"Atlas's batch {text}{end} is left for the next sync.", 4_000)
        assert time.process_time() - began < 10
        assert len(told) <= 20_000


@pytest.mark.parametrize("id_", ["secret" * 1_400, "x" * 100_000, "a@b:c/" * 20_000])
def test_sentences_long_id_leaves_room_for_what_is_said_of_it(id_: str) -> None:
    told = sentences(f"Atlas's batch {id_} is left for the next sync. Atlas is down (503).", 1_000)

    assert told.startswith("Atlas's batch ")
    assert told.endswith(" is left for the next sync. Atlas is down (503).")
    assert len(told) < 400


def test_hide_long_secret_takes_little_memory_and_is_masked_in_every_form() -> None:
    secret = "".join(sha256(str(number).encode()).hexdigest() for number in range(256))
    tracemalloc.start()
    hide(secret)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(secret) == 16_384
    assert most < 40_000_000
    for start in range(0, 16_000, 1_000):
        part = secret[start : start + 40]
        for form in (str, str.upper, DISGUISES["in hexadecimal"], DISGUISES["with each byte escaped"]):
            assert form(part)[6:70] not in plain(f"It sent {form(part)} there", 1_000)


def test_a_long_text_is_cut_and_costs_little() -> None:
    assert plain("x" * 10_000_000) == "x" * 200
    assert plain("?" * 10_000_000 + "=", 4000) == "?" * 4000
    assert plain(" " * 10_000_000) == ""


@given(st.text(), st.integers(0, 300))
def test_whatever_is_sent_is_one_line_that_can_be_seen(text: str, longest: int) -> None:
    told = plain(text, longest)

    assert told.isprintable()
    assert len(told) <= longest
    assert not told.startswith(" ")


@given(st.text(), st.sampled_from(sorted(set(DISGUISES) - {"over two lines"})), st.text())
def test_no_secret_is_told_whatever_stands_around_it(before: str, disguise: str, after: str) -> None:
    hide(KEY)

    told = plain(before + DISGUISES[disguise](KEY) + after, 1000)

    for start in range(len(KEY) - 11):
        assert KEY[start : start + 12].lower() not in told.lower()


def test_each_record_of_a_log_becomes_one_plain_line(caplog: pytest.LogCaptureFixture) -> None:
    hide(KEY)
    logger = logging.getLogger("urllib3.connectionpool")
    caplog.handler.addFilter(quiet := PlainLog())

    try:
        raise ValueError(KEY)
    except ValueError:
        logger.warning("Failed to parse headers (url=%s): %s", "https://f.example/a?sig=ab", "a\nb", exc_info=True)
    caplog.handler.removeFilter(quiet)

    [told] = [record.getMessage() for record in caplog.records]
    assert told == "Failed to parse headers (url=https://f.example/a a b"
    assert "Traceback" not in caplog.text
