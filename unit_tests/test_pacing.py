"""Many requests: gaps, holds, how many at once, the end of a sync, and one login for all."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from scripted import (
    KEY,
    LOGIN,
    QUICK,
    Answer,
    Log,
    Office,
    Seen,
    Server,
    Waiting,
    acme,
    asked,
    in_background,
    ok,
    scripted,
    side_by_side,
    until,
)

from source_docextract.errors import (
    BadAnswer,
    BadLogin,
    ConfigError,
    CredentialsError,
    Refused,
    Stopped,
    TransientError,
)
from source_docextract.http import Login, Request
from source_docextract.pacing import SPACING_MARGIN, Lane, Patience

FINE = ok({})
SLACK = 0.05
"""Seconds by which an arrival may jitter on a busy machine."""

SLOW = Request("GET", "/slow", lane="slow")
OTHER = Request("GET", "/other", lane="other")


@contextmanager
def slow_to_answer(seconds: float = 0.0, **options: Any) -> Iterator[tuple[Server, Waiting, threading.Event]]:
    """A server whose answers wait for an event, or for so many seconds."""
    answering = threading.Event()

    def answer(_seen: Seen) -> Answer:
        answering.wait(seconds or 5)
        return FINE

    with scripted(answer) as server:
        client = acme(server.url, **options)
        try:
            yield server, client, answering
        finally:
            answering.set()
            client.close()


@pytest.mark.parametrize(
    ("failed", "longest"), [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (8, 60.0), (1000, 60.0)]
)
def test_waits_double_up_to_the_longest_and_are_spread(failed: int, longest: float) -> None:
    waits = [Patience().wait(failed) for _ in range(200)]
    assert all(longest / 2 <= wait <= longest for wait in waits)
    assert len(set(waits)) > 100


def test_a_lane_is_entered_at_its_pace_and_takes_a_slot_each_time() -> None:
    async def enter_three_times() -> list[float]:
        return await asyncio.gather(*[lane.enter(slots) for _ in range(3)])

    lane, slots = Lane(0.1), asyncio.Semaphore(3)
    began = time.monotonic()
    waits = asyncio.run(enter_three_times())
    assert time.monotonic() - began >= 0.2 * SPACING_MARGIN
    assert waits[0] < waits[1]
    assert slots.locked()


def test_a_wait_is_news_only_where_it_is_no_part_of_one_that_was_told() -> None:
    lane = Lane(0)
    assert lane.is_news(20)
    assert not lane.is_news(5)
    assert not lane.is_news(39)
    assert lane.is_news(60)
    assert not lane.is_news(60)


def test_a_wait_is_news_when_the_last_one_is_over() -> None:
    lane = Lane(0)
    assert lane.is_news(0.01)
    time.sleep(0.01)
    assert lane.is_news(0.01)


def are_apart(arrivals: list[float], interval: float, began: float) -> bool:
    """Whether the n-th arrived no sooner than n intervals after the beginning: a busy machine makes them later only."""
    return all(at - began >= n * interval for n, at in enumerate(sorted(arrivals)))


def test_requests_of_one_lane_keep_their_distance() -> None:
    with asked(FINE, spacing={"slow": 0.15}) as (server, client):
        began = time.monotonic()
        side_by_side(client.send, [SLOW] * 5)
        assert are_apart([seen.at for seen in server.seen], 0.15, began)
        assert client.tally.waited >= 4 * 0.15 - SLACK


def test_two_lanes_do_not_wait_for_each_other() -> None:
    with asked(FINE, spacing={"slow": 0.2, "other": 0.2}) as (server, client):
        began = time.monotonic()
        side_by_side(client.send, [SLOW, OTHER] * 3)
        arrivals = sorted((seen.at, seen.path) for seen in server.seen)
    paths = [path for _, path in arrivals]
    assert [set(paths[pair : pair + 2]) for pair in (0, 2, 4)] == [{"/slow", "/other"}] * 3
    for own in ("/slow", "/other"):
        times = [at for at, path in arrivals if path == own]
        assert are_apart(times, 0.2, began)


def test_retries_keep_the_distance_too() -> None:
    with asked((500, {}, {}), (500, {}, {}), FINE, spacing={"slow": 0.15}) as (server, client):
        began = time.monotonic()
        side_by_side(client.send, [SLOW] * 2)
        assert len(server.seen) == 4
        assert are_apart([seen.at for seen in server.seen], 0.15, began)


def test_a_throttled_lane_is_held_for_all_and_told_once() -> None:
    log = Log()
    limit = (429, {"Retry-After": "0.4"}, {"error": "too fast"})
    together = threading.Barrier(4)
    asked_at_first: list[Seen] = []

    def answer(seen: Seen) -> Answer:
        if len(asked_at_first) == 4:
            return FINE
        asked_at_first.append(seen)
        together.wait(5)
        return limit

    with scripted(answer) as server:
        client = acme(server.url, logger=log)
        assert side_by_side(client.send, [SLOW] * 4) == [{}] * 4
        throttled, later = server.seen[:4], server.seen[4:]
        assert len(later) == 4
        assert min(seen.at for seen in later) >= max(seen.at for seen in throttled) + 0.4 - SLACK
    assert log.lines == ["Acme is asked too often (429: too fast); waiting 0.4 s before try 2 of 3."]


def test_who_comes_to_a_held_lane_waits_as_well() -> None:
    with asked((429, {"Retry-After": "0.4"}, {}), FINE) as (server, client):
        threads, _ = in_background(lambda: client.send(SLOW))
        until(lambda: client.tally.retries == 1)
        client.send(SLOW)
        threads[0].join(5)
        assert len(server.seen) == 3
        assert all(seen.at >= server.seen[0].at + 0.4 - SLACK for seen in server.seen[1:])


def test_a_hold_leaves_other_lanes_alone() -> None:
    with asked((429, {"Retry-After": "60"}, {}), FINE) as (server, client):
        threads, outcomes = in_background(lambda: client.send(SLOW))
        until(lambda: client.tally.retries == 1)
        assert client.send(OTHER) == {}
        client.close()
        threads[0].join(5)
        assert [seen.path for seen in server.seen] == ["/slow", "/other"]
        assert [type(outcome) for outcome in outcomes] == [Stopped]


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_are_in_flight_than_allowed(most: int) -> None:
    lanes = [Request("GET", "/x", lane=str(number % 4)) for number in range(12)]
    with slow_to_answer(0.03, max_in_flight=most) as (server, client, _):
        assert side_by_side(client.send, lanes) == [{}] * 12
        assert server.busiest == most


def test_the_end_wakes_whoever_waits_for_a_turn() -> None:
    with asked(FINE, spacing={"slow": 3600}) as (server, client):
        client.send(SLOW)
        threads, outcomes = in_background(*[lambda: client.send(SLOW)] * 5)
        time.sleep(0.05)
        client.close()
        for thread in threads:
            thread.join(5)
        assert [type(outcome) for outcome in outcomes] == [Stopped] * 5
        assert len(server.seen) == 1


@pytest.mark.parametrize("broken", [(500, {}, {}), (429, {"Retry-After": "60"}, {})])
def test_the_end_wakes_whoever_waits_to_try_again(broken: Answer) -> None:
    patience = Patience(first_wait=60, longest_asked=90)
    with asked(broken, FINE, patience=patience) as (server, client):
        threads, outcomes = in_background(lambda: client.send(SLOW))
        until(lambda: client.tally.retries == 1)
        client.close()
        threads[0].join(5)
        assert [type(outcome) for outcome in outcomes] == [Stopped]
        assert len(server.seen) == 1


def test_after_the_end_nothing_is_sent() -> None:
    with asked(FINE) as (server, client):
        client.close()
        with pytest.raises(Stopped):
            client.send(SLOW)
        assert server.seen == []


@pytest.mark.parametrize("lanes", [("a", "a"), ("b", "c")], ids=["one lane", "two lanes"])
def test_a_place_that_frees_after_the_end_goes_to_nobody(lanes: tuple[str, str]) -> None:
    with slow_to_answer(max_in_flight=1) as (server, client, answering):
        threads, outcomes = in_background(lambda: client.send(SLOW))
        until(lambda: len(server.seen) == 1)
        calls = [lambda lane=lane: client.send(Request("GET", "/late", lane=lane)) for lane in lanes]
        late, ended = in_background(*calls)
        time.sleep(0.05)
        client.close()
        answering.set()
        for thread in threads + late:
            thread.join(5)
        assert [seen.path for seen in server.seen] == ["/slow"]
        assert [type(outcome) for outcome in outcomes + ended] == [Stopped] * 3


@contextmanager
def office(desk: Office, **options: Any) -> Iterator[tuple[Server, Waiting]]:
    with scripted(desk) as server:
        client = acme(server.url, login=LOGIN, headers={}, max_in_flight=20, **options)
        yield server, client
        client.close()


def test_one_login_serves_all_and_its_token_goes_with_each_request() -> None:
    desk = Office()
    with office(desk) as (server, client):
        assert side_by_side(client.send, [SLOW, OTHER] * 10) == [{}] * 20
        login, *others = server.seen
    assert (login.method, login.path, login.headers["Client-Secret"]) == ("POST", "/login", "s3cr3t-0123456789")
    assert "Token" not in login.headers
    assert {seen.headers["Token"] for seen in others} == {"token-1"}
    assert all("Client-Secret" not in seen.headers for seen in others)
    assert desk.logins == 1


def test_an_expired_token_is_renewed_once_for_all() -> None:
    desk = Office()
    with office(desk) as (_, client):
        client.log_in()
        desk.tokens = 7  # what the client holds is not taken any more
        assert side_by_side(client.send, [SLOW, OTHER] * 10) == [{}] * 20
    assert desk.logins == 2


@pytest.mark.parametrize(
    ("lifetime", "seconds"),
    [(900, 900), (61, 61), (1, 60), (0, 60), (-1, 60), (float("nan"), 60), (float("inf"), 86_400), (1e300, 86_400)],
)
def test_tokens_current_is_renewed_when_its_time_is_over_and_not_within_a_minute(
    lifetime: float, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("source_docextract.login.time", SimpleNamespace(monotonic=lambda: now[0]))
    login = Login(LOGIN.request, "Token", lambda body: (body["token"], lifetime))
    desk = Office()
    with scripted(desk) as server:
        client = acme(server.url, login=login, headers={})
        for passed in (0, seconds - 1, 2):
            now[0] += passed
            client.send(SLOW)
        client.close()
        assert [seen.path for seen in server.seen] == ["/login", "/slow", "/slow", "/login", "/slow"]


@pytest.mark.parametrize(("size", "is_taken"), [(16_384, True), (16_385, False), (100_000, False)])
def test_client_token_larger_than_a_header_is_refused_in_words(size: int, is_taken: bool) -> None:
    login = Login(LOGIN.request, "Token", lambda _body: ("t0ken" * (size // 5) + "t0ken"[: size % 5], 60.0))
    with asked(FINE, login=login, headers={}) as (server, client):
        [outcome] = side_by_side(client.send, [SLOW])
        assert [seen.path for seen in server.seen] == ["/login", "/slow"][: 1 + is_taken]
    if not is_taken:
        assert type(outcome) is BadLogin
        assert str(outcome).startswith(f"Acme gave a token of {size:,} characters, which no header can hold. ")
    assert "t0ken" not in str(outcome)


def test_a_fresh_token_that_is_refused_is_not_fought_over() -> None:
    def answer(seen: Seen) -> Answer:
        return ok({"token": "t", "lives": 60}) if seen.path == "/login" else (403, {}, {})

    with scripted(answer) as server, pytest.raises(CredentialsError, match=r"acme\.api_key"):
        acme(server.url, login=LOGIN).send(SLOW)
    assert [seen.path for seen in server.seen] == ["/login", "/slow", "/login", "/slow"]


@pytest.mark.parametrize("status", [400, 401, 403, 422])
def test_a_refused_login_is_refused_once_for_all(status: int) -> None:
    desk = Office(3600, (status, {}, {"error": "no such client"}))
    with office(desk) as (server, client):
        outcomes = side_by_side(client.send, [SLOW] * 20)
        with pytest.raises(CredentialsError):
            client.log_in()
        assert [seen.path for seen in server.seen] == ["/login"]
    assert {type(outcome) for outcome in outcomes} == {CredentialsError}
    [told] = {str(outcome) for outcome in outcomes}
    assert f"({status}: no such client)" in told
    assert told.endswith("Check acme.api_key.")


@pytest.mark.parametrize(("status", "body"), [(402, {"error": "Payment required"}), (404, b"<html>"), (400, b"<html>")])
def test_a_login_that_is_refused_for_another_reason_says_nothing_of_the_credentials(status: int, body: Any) -> None:
    with office(Office(3600, (status, {}, body))) as (server, client):
        outcomes = side_by_side(client.send, [SLOW] * 5)
        assert [seen.path for seen in server.seen] == ["/login"]
    assert {type(outcome) for outcome in outcomes} == {Refused}


def test_a_login_that_is_down_is_a_passing_trouble_for_all() -> None:
    desk = Office(3600, (500, {}, {}))
    with office(desk) as (server, client):
        outcomes = side_by_side(client.send, [SLOW] * 5)
        assert [seen.path for seen in server.seen] == ["/login"] * QUICK.tries
    assert {type(outcome) for outcome in outcomes} == {TransientError}
    assert {str(outcome) for outcome in outcomes} == {"Acme had a trouble of its own (500), 3 times in a row."}


def test_a_login_heals_like_any_request() -> None:
    desk = Office(3600, (503, {}, {}), ok({"token": "token-0", "lives": 60}))
    with office(desk) as (_, client):
        assert client.send(SLOW) == {}
    assert desk.logins == 2


def test_a_login_answer_that_cannot_be_read_is_told() -> None:
    def read(_body: Any) -> tuple[str, float]:
        raise BadAnswer("no token in it")

    with asked(FINE, login=Login(LOGIN.request, "Token", read)) as (server, client):
        outcomes = side_by_side(client.send, [SLOW] * 3)
        assert len(server.seen) == 1
    assert [str(outcome) for outcome in outcomes] == ["no token in it"] * 3


def test_a_token_that_cannot_be_sent_is_told_in_words_and_not_shown() -> None:
    broken = Login(LOGIN.request, "Token", lambda _body: ("t0ken\nabcdef", 60.0))
    with asked(FINE, login=broken) as (server, client):
        with pytest.raises(ConfigError) as caught:
            client.send(SLOW)
        assert [seen.path for seen in server.seen] == ["/login"]
    assert "t0ken" not in str(caught.value)


def test_without_a_login_there_is_nothing_to_prove() -> None:
    with asked(FINE) as (server, client):
        client.log_in()
        assert server.seen == []
        client.send(SLOW)
        assert server.seen[0].headers["Authorization"] == f"Bearer {KEY}"
