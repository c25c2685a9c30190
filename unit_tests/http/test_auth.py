"""Atlas's login during whole syncs of many requests: once, once more when the token is over, and what if it fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import cycle
from typing import Any

import pytest
from airbyte_cdk.models import FailureType

from docextract_sandbox import Fault, NewDocument, NewFile, Sandbox
from source_docextract.core.errors import CredentialsError
from source_docextract.core.requests import Request
from source_docextract.http.auth import Token, TokenProvider
from unit_tests.support.harness import Connection, frozen_sandbox
from unit_tests.support.stub_server import (
    LOGIN,
    ClockedInternet,
    ReceivedRequest,
    StubResponse,
    create_acme_client,
    ok_response,
    run_concurrently,
    serve_stub,
)

DATA = {"document_type": "PAN", "name": {"value": "ASHA", "confidence_score": 0.9}}


def create_account(sandbox: Sandbox, batch_count: int = 4) -> dict[str, Any]:
    """So many batches of Atlas, and one of another account."""
    template = sandbox.extracta.create("Invoices", ["vendor"])
    sandbox.extracta.upload(template, [NewFile("1.pdf", 0, {"vendor": "Acme"})])
    batches = [
        sandbox.atlas.submit([NewDocument(f"{number}", 0, DATA) for number in range(60)]) for _ in range(batch_count)
    ]
    return {"atlas": {"batch_ids": batches}, "extracta": {"extraction_ids": [template]}, "max_in_flight": 20}


def expire_in_sandbox(sandbox: Sandbox, _hours: list[float]) -> None:
    sandbox.atlas.expire_tokens()


def expire_everywhere(sandbox: Sandbox, hours: list[float]) -> None:
    hours[0] += 1
    sandbox.clock.advance(seconds=3600)


def expire_locally(_sandbox: Sandbox, hours: list[float]) -> None:
    hours[0] += 1


@pytest.mark.sample
@pytest.mark.parametrize("expire", [expire_in_sandbox, expire_everywhere, expire_locally])
@pytest.mark.parametrize("moments", [[1], [60], [1, 41]], ids=["early", "late", "twice"])
def test_token_expired_during_sync_is_renewed_by_single_login(
    moments: list[int], expire: Callable[[Sandbox, list[float]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    hours, current, to_come = [0.0], TokenProvider.get_token, list(moments)
    network = ClockedInternet(lambda: time.monotonic() + 3600 * hours[0])
    with frozen_sandbox() as (sandbox, url):
        connection = Connection(sandbox, url, create_account(sandbox, 40), network=network)

        async def expiring(tokens: TokenProvider) -> Token:
            answered = sandbox.journal.count_requests(ok_only=True).get("atlas.extracts", 0)
            if to_come and answered >= to_come[0]:
                to_come.pop(0)
                expire(sandbox, hours)
            return await current(tokens)

        monkeypatch.setattr(TokenProvider, "get_token", expiring)

        synced = connection.sync()

        assert sum(rows for stream, rows in synced.counts.items() if stream.startswith("atlas")) == 40 + 3 * 40 * 60
        assert sandbox.journal.count_requests()["atlas.authtoken"] == 1 + len(moments)
        assert sandbox.journal.count_requests(ok_only=True)["atlas.extracts"] == 80
        refused = sandbox.journal.count_requests()["atlas.extracts"] - 80
        assert refused <= (0 if expire is expire_locally else 20 * len(moments))


@pytest.mark.parametrize("life", ["3600", "-1", "0", "1e300", '"NaN"', '"soon"', "[]", None])
def test_token_any_lifetime_is_used_for_at_least_a_minute(life: str | None) -> None:
    with frozen_sandbox(atlas_expires_in=life) as (sandbox, url):
        connection = Connection(sandbox, url, create_account(sandbox))

        synced = connection.sync()

        assert set(synced.final_statuses.values()) == {"COMPLETE"}
        assert synced.requests["atlas.authtoken"] == 1


def test_token_too_long_fails_only_atlas_streams() -> None:
    with frozen_sandbox(atlas_token_size=100_000) as (sandbox, url):
        connection = Connection(sandbox, url, create_account(sandbox))

        synced = connection.sync()

        assert {stream.split("_")[0]: end for stream, end in synced.final_statuses.items()} == {
            "extracta": "COMPLETE",
            "atlas": "INCOMPLETE",
        }
        assert "Atlas returned a token of 100,000 characters, which is too long for a header." in str(synced.error)
        assert synced.requests["atlas.authtoken"] == 1


def set_wrong_secret(connection: Connection) -> None:
    connection.settings["atlas"]["client_secret"] = "wrong-wrong-wrong"


def make_outage_fault(status: int, **headers: str) -> Callable[[Connection], None]:
    fault = Fault("status", "atlas.authtoken", status=status, headers=headers)
    return lambda connection: connection.sandbox.faults.add(fault)


def make_broken_fault(kind: Any) -> Callable[[Connection], None]:
    return lambda connection: connection.sandbox.faults.add(Fault(kind, "atlas.authtoken"))


@pytest.mark.parametrize(
    ("trouble", "failure", "logins"),
    [
        (set_wrong_secret, FailureType.config_error, 1),
        (make_outage_fault(403), FailureType.config_error, 1),
        (make_outage_fault(500), FailureType.transient_error, 3),
        (make_outage_fault(503), FailureType.transient_error, 3),
        (make_outage_fault(429, **{"Retry-After": "86400"}), FailureType.transient_error, 1),
        (make_broken_fault("reset"), FailureType.transient_error, 3),
        (make_broken_fault("html"), FailureType.transient_error, 3),
    ],
    ids=["wrong secret", "403", "500", "503", "429", "reset", "html"],
)
def test_login_failure_affects_only_atlas_streams(
    trouble: Callable[[Connection], None], failure: FailureType, logins: int
) -> None:
    with frozen_sandbox() as (sandbox, url):
        connection = Connection(sandbox, url, create_account(sandbox))
        trouble(connection)

        synced = connection.sync()

        assert {stream: end for stream, end in synced.final_statuses.items() if stream.startswith("extracta")} == {
            f"extracta_{kind}": "COMPLETE" for kind in ("batches", "files", "results", "fields")
        }
        assert {end for stream, end in synced.final_statuses.items() if stream.startswith("atlas")} == {"INCOMPLETE"}
        assert synced.error is not None
        assert synced.error.failure_type is failure
        assert synced.requests["atlas.authtoken"] == logins
        assert "atlas.extracts" not in synced.requests
        assert "wrong-wrong" not in str(synced.error.message)
        sandbox.faults.clear()
        connection.settings["atlas"].update(sandbox.credentials["atlas"])
        assert set(connection.sync().final_statuses.values()) == {"COMPLETE"}


@pytest.mark.parametrize("tokens", [["t0ken-abcdef"], ["t0ken-abcdef", "t0ken-ghijkl", "t0ken-mnopqr"]])
def test_token_always_rejected_stops_after_second_login(tokens: list[str]) -> None:
    turn = cycle(tokens)

    def respond(request: ReceivedRequest) -> StubResponse:
        return ok_response({"token": next(turn), "lives": 60}) if request.path == "/login" else (401, {}, {})

    with serve_stub(respond) as server:
        client = create_acme_client(server.url, login=LOGIN, headers={}, max_in_flight=20)
        outcomes = run_concurrently(client.send, [Request("GET", "/x")] * 20)
        client.close()
        assert [request.path for request in server.received].count("/login") == 2
    assert {type(outcome) for outcome in outcomes} == {CredentialsError}
