"""The server of `make bench` answers as the sandbox does, byte for byte."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from benchmarks.answers import ResponseCache
from benchmarks.worlds import ALL_SELECTION, WORLDS
from docextract_sandbox import Sandbox, serve

PreparedRequest = requests.PreparedRequest
SIZES = {
    "atlas": {"batches": 2, "documents": 60},
    "extracta": {"templates": 2, "batches": 2, "files": 2, "open_batches": 1},
    "docmap": {"extractions": 120, "run_size": 50},
    "sensible": {"documents": 120, "batch_size": 50},
}


def prepare_request(method: str, url: str, **options: Any) -> PreparedRequest:
    return requests.Request(method, url, **options).prepare()


def atlas_requests(base: str, sandbox: Sandbox, section: dict[str, Any]) -> Iterator[PreparedRequest]:
    credentials = sandbox.credentials["atlas"]
    login = {"Client-Id": credentials["client_id"], "Client-Secret": credentials["client_secret"]}
    token = {"Token": requests.post(f"{base}/authtoken", headers=login, timeout=10).json()["access_token"]}
    for batch_id in section["batch_ids"]:
        for page in (1, 2, 3):
            params: dict[str, Any] = {"batch_id": batch_id, "page": page, "per_page": 50}
            yield prepare_request("GET", f"{base}/extracts", params=params, headers=token)
    yield prepare_request("GET", f"{base}/extracts", params={"batch_id": "BATCH-1"}, headers=token)
    yield prepare_request(
        "GET", f"{base}/extracts", params={"batch_id": section["batch_ids"][0]}, headers={"Token": "wrong"}
    )


def extracta_requests(base: str, sandbox: Sandbox, section: dict[str, Any]) -> Iterator[PreparedRequest]:
    key = {"Authorization": f"Bearer {sandbox.credentials['extracta']['api_key']}"}
    for template in section["extraction_ids"]:
        yield prepare_request("POST", f"{base}/viewExtraction", json={"extractionId": template}, headers=key)
        for batch_id in sandbox.extracta.list_batch_ids(template):
            body = {"extractionId": template, "batchId": batch_id}
            yield prepare_request("POST", f"{base}/getBatchResults", json=body, headers=key)
    yield prepare_request("POST", f"{base}/viewExtraction", json={"extractionId": "none"}, headers=key)
    yield prepare_request("GET", f"{base}/credits", headers=key)


def docmap_requests(base: str, sandbox: Sandbox, _: dict[str, Any]) -> Iterator[PreparedRequest]:
    key = {"Authorization": f"Bearer {sandbox.credentials['docmap']['api_key']}"}
    extraction_id = sandbox.docmap.extraction_ids[0]
    for params in (
        {"limit": 100},
        {"limit": 100, "cursor": "2026-01-01T00:00:00.000Z"},
        {"limit": 101},
        {"dateFrom": "?"},
    ):
        yield prepare_request("GET", f"{base}/extractions", params=params, headers=key)
    yield prepare_request("GET", f"{base}/extractions/{extraction_id}", headers=key)
    yield prepare_request("GET", f"{base}/extractions/none", headers=key)
    yield prepare_request("GET", f"{base}/usage")


def sensible_requests(base: str, sandbox: Sandbox, _: dict[str, Any]) -> Iterator[PreparedRequest]:
    key = {"Authorization": f"Bearer {sandbox.credentials['sensible']['api_key']}"}
    listed = f"{base}/extractions"
    params: dict[str, Any] = {"limit": 100, "environments": "PRODUCTION"}
    first = requests.get(listed, params=params, headers=key, timeout=10).json()
    extraction_id = first["extractions"][0]["id"]
    document = requests.get(f"{base}/documents/{extraction_id}", headers=key, timeout=10).json()
    yield prepare_request("GET", listed, params=params, headers=key)
    yield prepare_request(
        "GET", listed, params={**params, "continuation_token": first["continuation_token"]}, headers=key
    )
    yield prepare_request("GET", f"{base}/documents/{extraction_id}", headers=key)
    yield prepare_request("GET", f"{base}/documents/none", headers=key)
    yield prepare_request("GET", f"{base}/extract/batch/{document['batchId']}", headers=key)
    yield prepare_request("GET", f"{base}/document_types", headers=key)


PROVIDERS = {
    provider.__name__.removesuffix("_requests"): provider
    for provider in (atlas_requests, extracta_requests, docmap_requests, sensible_requests)
}


def get_benchmark_response(responses: ResponseCache, request: PreparedRequest) -> tuple[int, str, bytes]:
    """Status, content type and body of its answer."""
    headers = "".join(f"\r\n{name}: {value}" for name, value in request.headers.items())
    body = request.body or b""
    head = f"{request.method} {request.path_url} HTTP/1.1\r\nHost: 127.0.0.1{headers}".encode()
    raw_response = responses.respond(head, body if isinstance(body, bytes) else body.encode(), time.monotonic())
    head, _, content = raw_response.content.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    response_headers = {name: value for name, _, value in (line.partition(": ") for line in lines[1:])}
    assert lines[0] == f"HTTP/1.1 {raw_response.status} "
    assert response_headers["content-length"] == str(len(content))
    return raw_response.status, response_headers["content-type"], remove_signatures(content)


def get_sandbox_response(request: PreparedRequest) -> tuple[int, str, bytes]:
    with requests.Session() as session:
        response = session.send(request, timeout=10)
    return response.status_code, response.headers["content-type"], remove_signatures(response.content)


def remove_signatures(content: bytes) -> bytes:
    """Links are signed anew in each answer."""
    return re.sub(rb"X-Date=\w+&X-Signature=\w+", b"", content)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_response_cache_equals_the_sandbox_byte_for_byte(provider: str) -> None:
    sandbox, selections = WORLDS[provider](**SIZES[provider])
    responses = ResponseCache(sandbox)
    with serve(sandbox) as url:
        base = sandbox.get_base_urls(url)[provider]
        requests_made = list(PROVIDERS[provider](base, sandbox, selections[ALL_SELECTION][provider]))

        made = [get_benchmark_response(responses, request) for request in requests_made]
        remembered = [get_benchmark_response(responses, request) for request in requests_made]

        assert made == [get_sandbox_response(request) for request in requests_made]
        assert remembered == made
        assert {status // 100 for status, _, _ in made} == {2, 4}


def test_response_cache_without_valid_key_returns_401() -> None:
    sandbox, _ = WORLDS["docmap"](**SIZES["docmap"])
    responses = ResponseCache(sandbox)
    key = sandbox.credentials["docmap"]["api_key"]
    url = "http://127.0.0.1/docmap/v1/extractions"

    statuses = [
        get_benchmark_response(responses, prepare_request("GET", url, headers=headers))[0]
        for headers in ({"Authorization": f"Bearer {key}"}, {"Authorization": "Bearer other"}, {})
    ]

    assert statuses == [200, 401, 401]


def test_atlas_page_has_the_documented_size_per_document() -> None:
    sandbox, selections = WORLDS["atlas"](batches=1, documents=50)
    with serve(sandbox) as url:
        page, *_ = PROVIDERS["atlas"](sandbox.get_base_urls(url)["atlas"], sandbox, selections[ALL_SELECTION]["atlas"])
        _, _, content = get_sandbox_response(page)

    assert 714 * 50 < len(content) < 734 * 50
