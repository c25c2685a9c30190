"""The server of `make bench` answers as the sandbox does, byte for byte."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from benchmarks.answers import Answers
from benchmarks.worlds import ALL, WORLDS
from sandbox import Sandbox, serve

Asked = requests.PreparedRequest
SIZES = {
    "atlas": {"batches": 2, "documents": 60},
    "extracta": {"templates": 2, "batches": 2, "files": 2, "open_batches": 1},
    "docmap": {"extractions": 120, "run_size": 50},
    "sensible": {"documents": 120, "batch_size": 50},
}


def asked(method: str, url: str, **options: Any) -> Asked:
    return requests.Request(method, url, **options).prepare()


def atlas(base: str, sandbox: Sandbox, section: dict[str, Any]) -> Iterator[Asked]:
    credentials = sandbox.credentials["atlas"]
    login = {"Client-Id": credentials["client_id"], "Client-Secret": credentials["client_secret"]}
    token = {"Token": requests.post(f"{base}/authtoken", headers=login, timeout=10).json()["access_token"]}
    for batch_id in section["batch_ids"]:
        for page in (1, 2, 3):
            params: dict[str, Any] = {"batch_id": batch_id, "page": page, "per_page": 50}
            yield asked("GET", f"{base}/extracts", params=params, headers=token)
    yield asked("GET", f"{base}/extracts", params={"batch_id": "BATCH-1"}, headers=token)
    yield asked("GET", f"{base}/extracts", params={"batch_id": section["batch_ids"][0]}, headers={"Token": "wrong"})


def extracta(base: str, sandbox: Sandbox, section: dict[str, Any]) -> Iterator[Asked]:
    key = {"Authorization": f"Bearer {sandbox.credentials['extracta']['api_key']}"}
    for template in section["extraction_ids"]:
        yield asked("POST", f"{base}/viewExtraction", json={"extractionId": template}, headers=key)
        for batch_id in sandbox.extracta.batch_ids(template):
            body = {"extractionId": template, "batchId": batch_id}
            yield asked("POST", f"{base}/getBatchResults", json=body, headers=key)
    yield asked("POST", f"{base}/viewExtraction", json={"extractionId": "none"}, headers=key)
    yield asked("GET", f"{base}/credits", headers=key)


def docmap(base: str, sandbox: Sandbox, _: dict[str, Any]) -> Iterator[Asked]:
    key = {"Authorization": f"Bearer {sandbox.credentials['docmap']['api_key']}"}
    one = sandbox.docmap.ids[0]
    for params in (
        {"limit": 100},
        {"limit": 100, "cursor": "2026-01-01T00:00:00.000Z"},
        {"limit": 101},
        {"dateFrom": "?"},
    ):
        yield asked("GET", f"{base}/extractions", params=params, headers=key)
    yield asked("GET", f"{base}/extractions/{one}", headers=key)
    yield asked("GET", f"{base}/extractions/none", headers=key)
    yield asked("GET", f"{base}/usage")


def sensible(base: str, sandbox: Sandbox, _: dict[str, Any]) -> Iterator[Asked]:
    key = {"Authorization": f"Bearer {sandbox.credentials['sensible']['api_key']}"}
    listed = f"{base}/extractions"
    params: dict[str, Any] = {"limit": 100, "environments": "PRODUCTION"}
    first = requests.get(listed, params=params, headers=key, timeout=10).json()
    one = first["extractions"][0]["id"]
    document = requests.get(f"{base}/documents/{one}", headers=key, timeout=10).json()
    yield asked("GET", listed, params=params, headers=key)
    yield asked("GET", listed, params={**params, "continuation_token": first["continuation_token"]}, headers=key)
    yield asked("GET", f"{base}/documents/{one}", headers=key)
    yield asked("GET", f"{base}/documents/none", headers=key)
    yield asked("GET", f"{base}/extract/batch/{document['batchId']}", headers=key)
    yield asked("GET", f"{base}/document_types", headers=key)


PROVIDERS = {provider.__name__: provider for provider in (atlas, extracta, docmap, sensible)}


def of_the_benchmark(answers: Answers, one: Asked) -> tuple[int, str, bytes]:
    """Status, content type and body of its answer."""
    headers = "".join(f"\r\n{name}: {value}" for name, value in one.headers.items())
    body = one.body or b""
    head = f"{one.method} {one.path_url} HTTP/1.1\r\nHost: 127.0.0.1{headers}".encode()
    sent = answers.to(head, body if isinstance(body, bytes) else body.encode(), time.monotonic())
    head, _, content = sent.response.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    told = {name: value for name, _, value in (line.partition(": ") for line in lines[1:])}
    assert lines[0] == f"HTTP/1.1 {sent.status} "
    assert told["content-length"] == str(len(content))
    return sent.status, told["content-type"], unsigned(content)


def of_the_sandbox(one: Asked) -> tuple[int, str, bytes]:
    with requests.Session() as session:
        answer = session.send(one, timeout=10)
    return answer.status_code, answer.headers["content-type"], unsigned(answer.content)


def unsigned(content: bytes) -> bytes:
    """Links are signed anew in each answer."""
    return re.sub(rb"X-Date=\w+&X-Signature=\w+", b"", content)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_its_server_answers_byte_for_byte_what_the_sandbox_answers(provider: str) -> None:
    sandbox, selections = WORLDS[provider](**SIZES[provider])
    answers = Answers(sandbox)
    with serve(sandbox) as url:
        base = sandbox.base_urls(url)[provider]
        requests_made = list(PROVIDERS[provider](base, sandbox, selections[ALL][provider]))

        made = [of_the_benchmark(answers, one) for one in requests_made]
        remembered = [of_the_benchmark(answers, one) for one in requests_made]

        assert made == [of_the_sandbox(one) for one in requests_made]
        assert remembered == made
        assert {status // 100 for status, _, _ in made} == {2, 4}


def test_its_server_gives_what_it_remembers_to_nobody_without_a_key() -> None:
    sandbox, _ = WORLDS["docmap"](**SIZES["docmap"])
    answers = Answers(sandbox)
    key = sandbox.credentials["docmap"]["api_key"]
    url = "http://127.0.0.1/docmap/v1/extractions"

    statuses = [
        of_the_benchmark(answers, asked("GET", url, headers=headers))[0]
        for headers in ({"Authorization": f"Bearer {key}"}, {"Authorization": "Bearer other"}, {})
    ]

    assert statuses == [200, 401, 401]


def test_a_page_of_its_documents_is_as_large_as_told() -> None:
    sandbox, selections = WORLDS["atlas"](batches=1, documents=50)
    with serve(sandbox) as url:
        page, *_ = PROVIDERS["atlas"](sandbox.base_urls(url)["atlas"], sandbox, selections[ALL]["atlas"])
        _, _, content = of_the_sandbox(page)

    assert 714 * 50 < len(content) < 734 * 50
