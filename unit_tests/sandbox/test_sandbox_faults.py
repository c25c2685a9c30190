"""Bad weather in the sandbox: each kind of fault as it comes over the wire, and whom it meets."""

import json
import time
from collections import Counter
from contextlib import suppress
from email.utils import parsedate_to_datetime
from random import Random
from typing import Protocol

import pytest
import requests

from docextract_sandbox import (
    TRANSIENT_4XX_FAULTS,
    Clock,
    Fault,
    NewDocument,
    NewExtraction,
    NewFile,
    Sandbox,
    SensibleDocument,
    make_throttle_fault,
)
from docextract_sandbox.context import JsonObject
from docextract_sandbox.faults import FAULT_KINDS, PAYLOAD_FAULTS, FaultKind, Faults
from unit_tests.sandbox.conftest import AtlasClient, BearerClient, ExtractaClient


@pytest.fixture
def filled_sandbox(sandbox: Sandbox) -> Sandbox:
    """A few documents everywhere."""
    sandbox.extracta.create("Invoices", ("total",), "invoices")
    files = [NewFile("a.pdf", 0, {"total": "7"}, file_id="a"), NewFile("b.pdf", 0, error="unreadable", file_id="b")]
    sandbox.extracta.upload("invoices", files, "batch")
    sandbox.docmap.put_template("Notes", (), "notes")
    sandbox.docmap.add_extractions(
        "notes", [NewExtraction(f"{number}.pdf", 0, {"n": number}) for number in range(5)], "run"
    )
    sandbox.sensible.add_document_type("claims")
    sandbox.sensible.extract([SensibleDocument("c.pdf", 0, {"total": None}, extraction_id="c")], "claims")
    sandbox.atlas.submit([NewDocument("1", 0, {"document_type": "PAN"})], batch_id="B")
    return sandbox


def get_extractions(docmap: BearerClient) -> requests.Response:
    return docmap.get("extractions", limit=3)


def test_fault_status_replaces_response_without_executing_the_call(
    filled_sandbox: Sandbox, docmap: BearerClient
) -> None:
    # given
    body = {"error": {"code": "INTERNAL_ERROR", "message": "Oops"}}
    extraction_id = filled_sandbox.docmap.extraction_ids[0]

    # when
    with filled_sandbox.faults.apply_only(Fault("status", status=502, body=body, headers={"X-Trouble": "yes"})):
        response = docmap.send("DELETE", f"extractions/{extraction_id}")

    # then
    assert (response.status_code, response.json(), response.headers["X-Trouble"]) == (502, body, "yes")
    assert extraction_id in filled_sandbox.docmap.extraction_ids
    assert docmap.send("DELETE", f"extractions/{extraction_id}").status_code == 200


def test_fault_status_text_body_is_plain_text(filled_sandbox: Sandbox, sensible: BearerClient) -> None:
    with filled_sandbox.faults.apply_only(Fault("status", status=500, body="Internal error")):
        response = sensible.get("document_types")

    assert (response.status_code, response.text) == (500, "Internal error")
    assert response.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("retry_after", [None, 0, 30])
def test_fault_throttle_retry_after_header_is_optional(
    filled_sandbox: Sandbox, docmap: BearerClient, retry_after: int | None
) -> None:
    with filled_sandbox.faults.apply_only(make_throttle_fault(retry_after=retry_after)):
        response = get_extractions(docmap)

    assert response.status_code == 429
    assert response.headers.get("Retry-After") == (None if retry_after is None else str(retry_after))


def test_fault_throttle_as_date_follows_the_sandbox_clock(
    filled_sandbox: Sandbox, docmap: BearerClient, clock: Clock
) -> None:
    with filled_sandbox.faults.apply_only(make_throttle_fault(retry_after=90, as_date=True)):
        first = get_extractions(docmap).headers["Retry-After"]
        clock.advance(days=3)
        second = get_extractions(docmap).headers["Retry-After"]

    assert first == "Fri, 20 Nov 2026 09:01:30 GMT"
    assert (parsedate_to_datetime(second) - clock.now()).total_seconds() == 90


def test_fault_reset_closes_connection_before_the_response(filled_sandbox: Sandbox, docmap: BearerClient) -> None:
    with (
        filled_sandbox.faults.apply_only(Fault("reset")),
        pytest.raises(requests.ConnectionError, match=r"reset|aborted|disconnected"),
    ):
        get_extractions(docmap)

    assert [entry.status for entry in filled_sandbox.journal.entries] == [0]
    assert filled_sandbox.journal.count_requests(ok_only=True) == {}


def test_fault_reset_in_the_middle_closes_connection_after_half_the_body(
    filled_sandbox: Sandbox, docmap: BearerClient
) -> None:
    # given
    whole = len(get_extractions(docmap).content)

    # when
    with filled_sandbox.faults.apply_only(Fault("reset in the middle")):
        response = docmap.session.get(f"{docmap.base_url}/extractions?limit=3", stream=True, timeout=5)
        pieces = response.iter_content(whole // 2)
        received = next(pieces)
        with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
            next(pieces)

    # then
    assert response.status_code == 200
    assert len(received) == whole // 2


@pytest.mark.parametrize(
    ("kind", "type_", "expected_text"),
    [
        ("cut", "application/json", '{"data":[{"'),
        ("html", "text/html", "<!doctype html>"),
        ("empty", "application/json", ""),
    ],
)
def test_fault_body_not_json_has_status_200(
    filled_sandbox: Sandbox, docmap: BearerClient, kind: FaultKind, type_: str, expected_text: str
) -> None:
    with filled_sandbox.faults.apply_only(Fault(kind)):
        response = get_extractions(docmap)

    assert response.status_code == 200
    assert response.headers["content-type"].startswith(type_)
    assert response.text.startswith(expected_text)
    with pytest.raises(requests.exceptions.JSONDecodeError):
        response.json()


def test_fault_stall_delays_the_complete_response(filled_sandbox: Sandbox, docmap: BearerClient) -> None:
    # given
    good = get_extractions(docmap)

    # when
    with filled_sandbox.faults.apply_only(Fault("stall", seconds=0.3)):
        began = time.monotonic()
        late_response = get_extractions(docmap)
        took = time.monotonic() - began

    # then
    assert took >= 0.3
    assert (late_response.status_code, late_response.json()) == (good.status_code, good.json())
    with filled_sandbox.faults.apply_only(Fault("stall", seconds=60)), pytest.raises(requests.ReadTimeout):
        docmap.session.get(f"{docmap.base_url}/extractions", timeout=0.2)


def test_fault_trickle_sends_the_body_in_small_delayed_pieces(filled_sandbox: Sandbox, docmap: BearerClient) -> None:
    # given
    good = get_extractions(docmap)

    # when
    with filled_sandbox.faults.apply_only(Fault("trickle", seconds=0.4)):
        began = time.monotonic()
        response = docmap.session.get(f"{docmap.base_url}/extractions?limit=3", stream=True, timeout=5)
        pieces = [(time.monotonic() - began, piece) for piece in response.iter_content(None)]

    # then
    assert b"".join(piece for _, piece in pieces) == good.content
    assert len(pieces) > 10
    assert pieces[0][0] < 0.4 <= pieces[-1][0]


def test_fault_redirect_points_to_another_host(filled_sandbox: Sandbox, docmap: BearerClient) -> None:
    with filled_sandbox.faults.apply_only(Fault("redirect")):
        response = docmap.session.get(f"{docmap.base_url}/extractions", allow_redirects=False, timeout=5)

    assert (response.status_code, response.content) == (302, b"")
    assert response.headers["Location"] == "https://elsewhere.example.invalid/docmap/v1/extractions"


def describe_shape(value: object) -> object:
    """An answer's keys and types: what a fault may change."""
    if isinstance(value, dict):
        return {key: describe_shape(item) for key, item in value.items()}
    return [describe_shape(item) for item in value] if isinstance(value, list) else type(value)


@pytest.mark.parametrize("kind", PAYLOAD_FAULTS)
def test_payload_fault_response_is_json_of_another_shape(
    filled_sandbox: Sandbox, docmap: BearerClient, kind: FaultKind
) -> None:
    # given
    good = get_extractions(docmap).json()

    # when
    with filled_sandbox.faults.apply_only(Fault(kind)):
        responses = [get_extractions(docmap) for _ in range(60)]

    # then
    bodies = [response.json() for response in responses]
    assert {response.status_code for response in responses} == {200}
    assert all(describe_shape(body) != describe_shape(good) for body in bodies)
    assert len({str(body) for body in bodies}) > 20
    if kind == "missing keys":
        assert {"data", "hasMore"} >= {key for body in bodies for key in body}
        assert any(body.keys() != good.keys() for body in bodies)
        assert any(len(row) < len(good["data"][0]) for body in bodies for row in body.get("data", ()))
    else:
        types = {type(body) for body in bodies} | {
            type(value) for body in bodies if type(body) is dict for value in body.values()
        }
        assert type(None) in types if kind == "nulls" else {list, dict, bool} < types


@pytest.mark.parametrize("kind", PAYLOAD_FAULTS)
def test_payload_fault_extracted_data_and_batch_ids_stay_intact(
    filled_sandbox: Sandbox, extracta: ExtractaClient, kind: FaultKind
) -> None:
    # when
    with filled_sandbox.faults.apply_only(Fault(kind)):
        results = [extracta.get_results("invoices", "batch").json() for _ in range(60)]
        views = [extracta.call("POST", "viewExtraction", {"extractionId": "invoices"}).json() for _ in range(60)]

    # then
    rows = [row for body in results for row in get_elements(get_member(body, "files"))]
    data = [result for row in rows if (result := get_member(row, "result")) and isinstance(result, dict)]
    maps = [
        result
        for body in views
        if isinstance(result := get_member(get_member(body, "extractionDetails"), "batches"), dict)
    ]
    assert len(data) > 10
    assert all(data_item == {"total": "7"} for data_item in data)
    assert len(maps) > 10
    assert all(data_item in ({}, {"batch": data_item.get("batch")}) for data_item in maps)


def get_member(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def get_elements(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def test_payload_fault_single_value_response_changes_type(filled_sandbox: Sandbox, sensible: BearerClient) -> None:
    # given
    wanted = {"documentNames": ["d.pdf"], "docType": "claims"}

    # when
    with filled_sandbox.faults.apply_only(Fault("wrong types")):
        responses = [sensible.send("POST", "extract/batch", wanted).json() for _ in range(3)]

    # then
    assert not any(isinstance(response, str) for response in responses)
    with filled_sandbox.faults.apply_only(Fault("missing keys")):
        assert isinstance(sensible.send("POST", "extract/batch", wanted).json(), str)


def test_fault_unknown_id_response_equals_that_of_the_api(
    filled_sandbox: Sandbox, extracta: ExtractaClient, docmap: BearerClient, sensible: BearerClient, atlas: AtlasClient
) -> None:
    # given
    atlas.use_new_token()

    # when
    plain_responses = [
        extracta.get_results("invoices", "nobody"),
        extracta.get_classification_results("nobody", "nothing"),
        atlas.get_extracts("nobody"),
    ]
    with filled_sandbox.faults.apply_only(Fault("unknown id")):
        fault_responses = [
            extracta.get_results("invoices", "batch"),
            extracta.get_classification_results("mail", "c"),
            atlas.get_extracts("B"),
        ]
        sentence, error = (
            sensible.get("documents/c"),
            docmap.get(f"extractions/{filled_sandbox.docmap.extraction_ids[0]}"),
        )

    # then
    assert [(response.status_code, response.json()) for response in fault_responses] == [
        (response.status_code, response.json()) for response in plain_responses
    ]
    assert (sentence.status_code, sentence.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    assert sentence.text.startswith("Not found")
    assert (error.status_code, error.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert sensible.get("documents/c").status_code == 200


@pytest.mark.parametrize("name", TRANSIENT_4XX_FAULTS)
def test_transient_4xx_fault_returns_its_status_and_body(
    filled_sandbox: Sandbox, docmap: BearerClient, name: str
) -> None:
    with filled_sandbox.faults.apply_only(TRANSIENT_4XX_FAULTS[name]):
        response = docmap.get(f"extractions/{filled_sandbox.docmap.extraction_ids[0]}")

    assert response.status_code == TRANSIENT_4XX_FAULTS[name].status
    assert response.text.startswith("<html>") == (name == "404 page")


def test_fault_endpoint_id_and_times_select_calls(
    filled_sandbox: Sandbox, docmap: BearerClient, sensible: BearerClient
) -> None:
    # given
    first, second = filled_sandbox.docmap.extraction_ids[:2]
    faults = (
        Fault("status", "docmap.extraction", about=first, status=500),
        Fault("status", "sensible.*", times=2, status=503),
        Fault("status", "sensible.document_types", status=404),
    )

    # when
    with filled_sandbox.faults.apply_only(*faults):
        statuses = [docmap.get(f"extractions/{extraction_id}").status_code for extraction_id in (first, second, first)]
        types = [sensible.get("document_types").status_code for _ in range(4)]
        documents = [sensible.get("documents/c").status_code for _ in range(2)]
        match_counts = [extraction_id["met"] for extraction_id in filled_sandbox.faults.describe()]

    # then
    assert statuses == [500, 200, 500]
    assert types == [503, 503, 404, 404]
    assert documents == [200, 200]
    assert match_counts == [2, 2, 2]
    assert filled_sandbox.faults.describe() == []
    assert sensible.get("document_types").status_code == 200
    kinds = Counter((entry.endpoint, entry.fault_kind) for entry in filled_sandbox.journal.entries if entry.fault_kind)
    assert kinds == {("docmap.extraction", "status"): 2, ("sensible.document_types", "status"): 4}


def test_fault_share_is_drawn_from_the_seed() -> None:
    # given
    drawn = []

    # when
    for seed in (1, 1, 2):
        faults = Faults(Random(seed))
        faults.add(Fault("status", share=0.25))
        drawn.append([faults.match_call("docmap.usage", {}) is not None for _ in range(400)])

    # then
    assert drawn[0] == drawn[1] != drawn[2]
    assert 60 < sum(drawn[0]) < 140


def test_fault_stall_leaves_other_endpoints_responsive(
    filled_sandbox: Sandbox, docmap: BearerClient, extracta: ExtractaClient
) -> None:
    """A server that stalls for one goes on answering the others."""
    with filled_sandbox.faults.apply_only(Fault("stall", "docmap.*", seconds=60)):
        with pytest.raises(requests.ReadTimeout):
            docmap.session.get(f"{docmap.base_url}/extractions", timeout=0.1)
        assert extracta.call("GET", "credits").status_code == 200


class FaultControl(Protocol):
    """Asks the endpoint that sets and ends faults."""

    def __call__(self, method: str, body: object = None) -> requests.Response: ...


@pytest.fixture
def control(url: str) -> FaultControl:
    def call(method: str, body: object = None) -> requests.Response:
        return requests.request(method, f"{url}/_sandbox/faults", json=body, timeout=5)

    return call


def test_faults_endpoint_adds_lists_and_clears_faults(
    filled_sandbox: Sandbox, docmap: BearerClient, control: FaultControl
) -> None:
    # given
    fault_json = {
        "kind": "status",
        "endpoint": "docmap.*",
        "times": 1,
        "status": 429,
        "retry_after": 5,
        "as_date": True,
    }

    # when
    added = control("POST", fault_json)
    statuses = [get_extractions(docmap).status_code for _ in range(2)]
    fault_list = control("GET").json()
    ended = control("DELETE").json()

    # then
    assert added.status_code == 200
    assert statuses == [429, 200]
    assert fault_list["kinds"] == list(FAULT_KINDS)
    [fault] = fault_list["faults"]
    assert fault.items() >= {**fault_json, "met": 1, "share": 1.0}.items()
    assert ended["faults"] == control("GET").json()["faults"] == []
    assert filled_sandbox.journal.count_requests() == {"docmap.extractions": 2}


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_faults_endpoint_every_kind_is_accepted(
    filled_sandbox: Sandbox, docmap: BearerClient, control: FaultControl, kind: FaultKind
) -> None:
    # given
    control("POST", {"kind": kind, "times": 1})

    # when
    with suppress(requests.RequestException):
        address = f"{docmap.base_url}/extractions"
        docmap.session.get(address, allow_redirects=False, timeout=5, stream=True).close()  # some have no end

    # then
    assert [entry.fault_kind for entry in filled_sandbox.journal.entries] == [kind]


@pytest.mark.parametrize(
    ("body", "expected_text"),
    [
        (None, "a JSON object is needed"),
        ({}, "kind takes one of status, unknown id, reset, reset in the middle, cut, html"),
        ({"kind": "rain"}, "kind takes one of status"),
        ({"kind": ["status"]}, "kind takes one of status"),
        ({"kind": "cut", "colour": "red"}, "a fault has no 'colour'; it has: kind, endpoint, about, times"),
        ({"kind": "cut", "endpoint": "docmap.nothing"}, "there is no endpoint docmap.nothing; there are: atlas."),
        ({"kind": "cut", "endpoint": 7}, "endpoint takes the name of an endpoint, with wildcards"),
        ({"kind": "cut", "about": None}, "about takes a text"),
        ({"kind": "cut", "times": 0}, "times takes a whole number from 1, or null for always"),
        ({"kind": "cut", "times": True}, "times takes a whole number from 1"),
        ({"kind": "cut", "share": 0}, "share takes a number above 0, up to 1"),
        ({"kind": "cut", "share": "half"}, "share takes a number above 0, up to 1"),
        ({"kind": "status", "status": 100}, "status takes a whole number from 200 to 599"),
        ({"kind": "status", "headers": {"A": 1}}, "headers takes an object of plain texts"),
        ({"kind": "status", "headers": {"A": "b\r\nC: d"}}, "headers takes an object of plain texts"),
        ({"kind": "status", "headers": {"A b": "c"}}, "headers takes an object of plain texts"),
        ({"kind": "status", "retry_after": 0.5}, "retry_after takes a whole number from 0, or null for none"),
        ({"kind": "status", "as_date": 1}, "as_date takes true or false"),
        ({"kind": "stall", "seconds": -1}, "seconds takes a number from 0 to 3600"),
    ],
)
def test_faults_endpoint_invalid_fault_returns_400_with_message(
    sandbox: Sandbox, control: FaultControl, body: JsonObject | None, expected_text: str
) -> None:
    # when
    response = control("POST", body)

    # then
    assert response.status_code == 400
    assert expected_text in response.json()["error"]
    assert sandbox.faults.describe() == []


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-16", "us-ascii"])
def test_fault_charset_encodes_the_same_data_in_a_named_charset(
    filled_sandbox: Sandbox, docmap: BearerClient, charset: str
) -> None:
    # given
    good = docmap.session.get(f"{docmap.base_url}/extractions").json()
    filled_sandbox.faults.add(Fault("charset", charset=charset))

    # when
    response = docmap.session.get(f"{docmap.base_url}/extractions")

    # then
    assert response.headers["Content-Type"] == f"application/json; charset={charset}"
    assert json.loads(response.content.decode(charset))["data"] == good["data"]


def test_fault_bad_byte_inserts_a_single_invalid_byte(filled_sandbox: Sandbox, docmap: BearerClient) -> None:
    # given
    filled_sandbox.faults.add(Fault("bad byte"))

    # when
    content = docmap.session.get(f"{docmap.base_url}/extractions").content

    # then
    assert content.count(b"\xff") == 1
    assert json.loads(content.replace(b"\xff", b""))["data"]


@pytest.mark.parametrize(("status", "message"), [(401, 401), (403, 403), (500, 403)])
def test_fault_firewall_returns_an_html_page(
    filled_sandbox: Sandbox, docmap: BearerClient, status: int, message: int
) -> None:
    # given
    filled_sandbox.faults.add(Fault("firewall", status=status))

    # when
    response = docmap.session.get(f"{docmap.base_url}/extractions")

    # then
    assert (response.status_code, response.headers["Content-Type"]) == (message, "text/html; charset=utf-8")
    assert "Your request was blocked" in response.text


@pytest.mark.parametrize("kind", ["endless", "bomb"])
def test_fault_endless_or_bomb_follows_the_response_with_over_1_mb(
    filled_sandbox: Sandbox, docmap: BearerClient, kind: FaultKind
) -> None:
    # given
    good = docmap.session.get(f"{docmap.base_url}/extractions").content
    filled_sandbox.faults.add(Fault(kind))

    # when
    with docmap.session.get(f"{docmap.base_url}/extractions", stream=True) as response:
        parts = response.iter_content(100_000)
        content = b"".join(next(parts) for _ in range(30))

    # then
    assert content.strip() == good
    assert len(content) > len(good) + 1_000_000
