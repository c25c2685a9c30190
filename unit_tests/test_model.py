"""The vocabulary: ids, file keys, times, and what becomes of two mentions of one batch."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from source_docextract.model import (
    BatchKey,
    BatchRef,
    BatchStatus,
    FileKeys,
    FileStatus,
    Snapshot,
    escaped,
    rfc3339,
    unescaped,
    utc,
)

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("part", "written"),
    [
        ("-OPXQuIrkHuA2QZkY-44", "-OPXQuIrkHuA2QZkY-44"),
        ("a/b", "a%2Fb"),
        ("50%", "50%25"),
        ("a~2", "a%7E2"),
        ("a#1", "a%231"),
        ("%2F", "%252F"),
        ("Rechnung é.pdf ?&", "Rechnung é.pdf ?&"),
    ],
)
def test_what_joins_the_parts_of_an_id_is_escaped_inside_them(part: str, written: str) -> None:
    assert escaped(part) == written
    assert unescaped(written) == part


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("a%/~#2F5"), min_size=1), min_size=1, max_size=4))
def test_parts_can_be_read_back_out_of_an_id(parts: list[str]) -> None:
    written = "/".join(map(escaped, parts))
    assert [unescaped(part) for part in written.split("/")] == parts
    assert not {"~", "#"} & set(written)


def test_the_nth_file_with_the_same_key_is_numbered() -> None:
    keys = FileKeys()
    assert [keys.key(*names) for names in [("f", "x"), ("g", "x"), ("f", "y"), (None, "f"), ("f", None)]] == [
        "f",
        "g",
        "f~2",
        "f~3",
        "f~4",
    ]


def test_a_file_without_id_is_named_by_its_name_and_one_without_either_is_kept() -> None:
    keys = FileKeys()
    assert [keys.key(None, "a/b.pdf"), keys.key(None, "a/b.pdf")] == ["a%2Fb.pdf", "a%2Fb.pdf~2"]
    assert [keys.key(None, None), keys.key(None, None)] == ["unnamed", "unnamed~2"]


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("ab~2%"), min_size=1, max_size=3)))
def test_no_two_files_of_an_answer_share_a_key(names: list[str]) -> None:
    keys = FileKeys()
    given_out = [keys.key(name, None) for name in names]
    assert len(set(given_out)) == len(names)


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (None, None),
        (NOON, "2026-11-20T12:00:00.000Z"),
        (NOON.replace(microsecond=123_999), "2026-11-20T12:00:00.123Z"),
        (NOON.astimezone(timezone(timedelta(hours=5, minutes=30))), "2026-11-20T12:00:00.000Z"),
    ],
)
def test_times_leave_in_one_shape(moment: datetime | None, written: str | None) -> None:
    assert rfc3339(moment) == written


def test_a_time_without_zone_is_taken_for_utc() -> None:
    assert utc(NOON.replace(tzinfo=None)) == NOON
    assert utc(NOON.astimezone(timezone(timedelta(hours=2)))).tzinfo is timezone.utc


def test_a_batch_is_named_with_its_template_where_there_is_one() -> None:
    assert str(BatchRef("t", "b").key) == "t/b"
    assert str(BatchRef(None, "b").key) == "b"
    assert BatchRef(None, "b").key == BatchKey("", "b")


def test_a_batch_is_finished_when_it_is_not_open() -> None:
    ref = BatchRef(None, "b")
    assert {status.value for status in BatchStatus if Snapshot(ref, status).finished} == {
        "complete",
        "stalled",
        "missing",
    }


def test_the_statuses_are_those_of_the_contract() -> None:
    assert [status.value for status in BatchStatus] == ["open", "complete", "stalled", "missing"]
    assert [status.value for status in FileStatus] == ["pending", "processed", "failed"]


LISTED = BatchRef("t", "b", created_at=NOON, clock=NOON, template_name="Invoices", files_total=2, fingerprint="2")
BY_HAND = BatchRef("t", "b", named=True)
LINKED = BatchRef("t", "b", named=True, linked=True)
ONE_FILE = BatchRef("t", "b", file_ids=("f1",), named=True)
TWO_FILES = BatchRef("t", "b", file_ids=("f2", "f1"), named=True)


@pytest.mark.parametrize(("first", "second"), [(LISTED, BY_HAND), (BY_HAND, LISTED)])
def test_of_two_mentions_the_list_is_believed_and_the_name_remembered(first: BatchRef, second: BatchRef) -> None:
    merged = first.merged(second)
    assert (merged.created_at, merged.files_total, merged.fingerprint) == (NOON, 2, "2")
    assert merged.template_name == "Invoices"
    assert merged.named
    assert not merged.linked


def test_a_list_that_tells_no_time_is_believed_too() -> None:
    listed = BatchRef("t", "b", files_total=3, provider_status="processed", fingerprint="3")
    assert BY_HAND.merged(listed).files_total == listed.merged(BY_HAND).files_total == 3


def test_a_link_is_remembered() -> None:
    assert BY_HAND.merged(LINKED).linked
    assert LINKED.merged(LISTED).linked


@pytest.mark.parametrize("whole", [LISTED, BY_HAND, LINKED])
def test_whole_goes_before_some_files(whole: BatchRef) -> None:
    assert whole.merged(ONE_FILE).file_ids == ()
    assert ONE_FILE.merged(whole).file_ids == ()


def test_files_that_are_named_one_by_one_add_up_each_once() -> None:
    assert ONE_FILE.merged(TWO_FILES).file_ids == ("f1", "f2")
