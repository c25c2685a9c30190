"""The vocabulary: ids, file keys, times, and what becomes of two mentions of one batch."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from source_docextract.core.ids import FileKeyAssigner, escape_id_part, unescape_id_part
from source_docextract.core.model import FileStatus, PartitionKey, PartitionRef, PartitionStatus, Snapshot
from source_docextract.core.timestamps import format_rfc3339, to_utc

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
    assert escape_id_part(part) == written
    assert unescape_id_part(written) == part


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("a%/~#2F5"), min_size=1), min_size=1, max_size=4))
def test_parts_can_be_read_back_out_of_an_id(parts: list[str]) -> None:
    written = "/".join(map(escape_id_part, parts))
    assert [unescape_id_part(part) for part in written.split("/")] == parts
    assert not {"~", "#"} & set(written)


def test_the_nth_file_with_the_same_key_is_numbered() -> None:
    keys = FileKeyAssigner()
    assert [keys.assign(*names) for names in [("f", "x"), ("g", "x"), ("f", "y"), (None, "f"), ("f", None)]] == [
        "f",
        "g",
        "f~2",
        "f~3",
        "f~4",
    ]


def test_a_file_without_id_is_named_by_its_name_and_one_without_either_is_kept() -> None:
    keys = FileKeyAssigner()
    assert [keys.assign(None, "a/b.pdf"), keys.assign(None, "a/b.pdf")] == ["a%2Fb.pdf", "a%2Fb.pdf~2"]
    assert [keys.assign(None, None), keys.assign(None, None)] == ["unnamed", "unnamed~2"]


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("ab~2%"), min_size=1, max_size=3)))
def test_no_two_files_of_an_answer_share_a_key(names: list[str]) -> None:
    keys = FileKeyAssigner()
    given_out = [keys.assign(name, None) for name in names]
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
    assert format_rfc3339(moment) == written


def test_a_time_without_zone_is_taken_for_utc() -> None:
    assert to_utc(NOON.replace(tzinfo=None)) == NOON
    assert to_utc(NOON.astimezone(timezone(timedelta(hours=2)))).tzinfo is timezone.utc


def test_a_batch_is_named_with_its_template_where_there_is_one() -> None:
    assert str(PartitionRef("t", "b").key) == "t/b"
    assert str(PartitionRef(None, "b").key) == "b"
    assert PartitionRef(None, "b").key == PartitionKey("", "b")


def test_a_batch_is_finished_when_it_is_not_open() -> None:
    ref = PartitionRef(None, "b")
    assert {status.value for status in PartitionStatus if Snapshot(ref, status).is_finished} == {
        "complete",
        "stalled",
        "missing",
    }


def test_the_statuses_are_those_of_the_contract() -> None:
    assert [status.value for status in PartitionStatus] == ["open", "complete", "stalled", "missing"]
    assert [status.value for status in FileStatus] == ["pending", "processed", "failed"]


LISTED_REF = PartitionRef(
    "t", "b", created_at=NOON, approx_created_at=NOON, template_name="Invoices", files_total=2, fingerprint="2"
)
EXPLICIT_REF = PartitionRef("t", "b", is_explicit=True)
REFERENCED_REF = PartitionRef("t", "b", is_explicit=True, is_referenced=True)
ONE_FILE = PartitionRef("t", "b", file_ids=("f1",), is_explicit=True)
TWO_FILES = PartitionRef("t", "b", file_ids=("f2", "f1"), is_explicit=True)


@pytest.mark.parametrize(("first", "second"), [(LISTED_REF, EXPLICIT_REF), (EXPLICIT_REF, LISTED_REF)])
def test_of_two_mentions_the_list_is_believed_and_the_name_remembered(
    first: PartitionRef, second: PartitionRef
) -> None:
    merged = first.merge(second)
    assert (merged.created_at, merged.files_total, merged.fingerprint) == (NOON, 2, "2")
    assert merged.template_name == "Invoices"
    assert merged.is_explicit
    assert not merged.is_referenced


def test_a_list_that_tells_no_time_is_believed_too() -> None:
    listed = PartitionRef("t", "b", files_total=3, provider_status="processed", fingerprint="3")
    assert EXPLICIT_REF.merge(listed).files_total == listed.merge(EXPLICIT_REF).files_total == 3


def test_a_link_is_remembered() -> None:
    assert EXPLICIT_REF.merge(REFERENCED_REF).is_referenced
    assert REFERENCED_REF.merge(LISTED_REF).is_referenced


@pytest.mark.parametrize("whole", [LISTED_REF, EXPLICIT_REF, REFERENCED_REF])
def test_whole_goes_before_some_files(whole: PartitionRef) -> None:
    assert whole.merge(ONE_FILE).file_ids == ()
    assert ONE_FILE.merge(whole).file_ids == ()


def test_files_that_are_named_one_by_one_add_up_each_once() -> None:
    assert ONE_FILE.merge(TWO_FILES).file_ids == ("f1", "f2")
