"""The meaning of a 4xx: only the documented answer says that an id is unknown."""

from __future__ import annotations

import ast
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from source_docextract import providers
from source_docextract.core.errors import RequestRejected, ResourceUnavailable
from source_docextract.core.requests import ErrorFormat
from source_docextract.http.responses import RawResponse, ResponseClassifier
from unit_tests.support.cases import each_case

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def classify_response(status: int, content: bytes, content_type: str) -> RequestRejected:
    """Classify a response of an API with documented answers about unknown ids.

    These are 404 as text and 400 as JSON.
    """
    dialect = ErrorFormat(
        "Acme",
        "acme.key",
        extract_reason=lambda _: None,
        is_unavailable=lambda status, body: {404: str, 400: dict}.get(status) is type(body),
    )
    with pytest.raises(RequestRejected) as exc_info:
        ResponseClassifier(dialect, 600, lambda: NOW).parse_body(
            RawResponse(status, {"Content-Type": content_type}, content)
        )
    return exc_info.value


@each_case(
    ("status", "content", "content_type"),
    [(404, b"Not found", "text/plain"), (404, b'"Not found"', "application/json"), (400, b"{}", "application/json")],
)
def test_response_classifier_documented_unknown_id_is_unavailable(
    status: int, content: bytes, content_type: str
) -> None:
    assert type(classify_response(status, content, content_type)) is ResourceUnavailable


@each_case(
    ("status", "content", "content_type"),
    [
        (404, b"<html><h1>Not Found</h1></html>", "text/html"),
        (404, b"\xef\xbb\xbf\r\n <!doctype html>", "text/plain"),
        (404, b"Not Found", "text/html; charset=utf-8"),
        (404, b"", "text/plain"),
        (404, b"{}", "application/json"),
        (400, b"Bad request", "text/plain"),
        (402, b'{"error":"Payment required"}', "application/json"),
        (409, b"{}", "application/json"),
        (425, b"", "text/plain"),
        (451, b"Unavailable for legal reasons", "text/plain"),
    ],
)
def test_response_classifier_other_rejection_is_not_unavailable(status: int, content: bytes, content_type: str) -> None:
    error = classify_response(status, content, content_type)

    assert type(error) is RequestRejected
    assert str(error).endswith(". The next sync tries again. If the error persists, ask Acme for its meaning.")
    assert "<" not in str(error)


def test_providers_catch_only_the_documented_rejection() -> None:
    files = sorted(Path(providers.__file__).parent.rglob("*.py"))
    exc_info = {
        name.id if isinstance(name, ast.Name) else ast.dump(name)
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler) and node.type
        for name in (node.type.elts if isinstance(node.type, ast.Tuple) else [node.type])
    }

    assert "ResourceUnavailable" in exc_info
    assert exc_info.isdisjoint({base.__name__ for base in RequestRejected.__mro__})
