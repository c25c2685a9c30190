"""Tests of the data model: ids, file keys, times, statuses and merges."""

from datetime import datetime, timedelta, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from source_docextract.core.ids import FileKeyAssigner, escape_id_part, unescape_id_part
from source_docextract.core.model import FileStatus, PartitionKey, PartitionRef, PartitionStatus, Snapshot
from source_docextract.core.timestamps import format_rfc3339, to_utc
from unit_tests.support.cases import each_case

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc)


@each_case(
    ("part", "expected"),
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
def test_escape_id_part_delimiters_are_encoded(part: str, expected: str) -> None:
    assert escape_id_part(part) == expected
    assert unescape_id_part(expected) == part


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("a%/~#2F5"), min_size=1), min_size=1, max_size=4))
def test_escape_id_part_any_parts_can_be_split_again(parts: list[str]) -> None:
    joined_id = "/".join(map(escape_id_part, parts))
    assert [unescape_id_part(part) for part in joined_id.split("/")] == parts
    assert not {"~", "#"} & set(joined_id)


def test_file_key_assigner_repeated_key_is_numbered() -> None:
    keys = FileKeyAssigner()
    assert [keys.assign(*names) for names in [("f", "x"), ("g", "x"), ("f", "y"), (None, "f"), ("f", None)]] == [
        "f",
        "g",
        "f~2",
        "f~3",
        "f~4",
    ]


def test_file_key_assigner_file_without_id_gets_its_name_or_unnamed() -> None:
    keys = FileKeyAssigner()
    assert [keys.assign(None, "a/b.pdf"), keys.assign(None, "a/b.pdf")] == ["a%2Fb.pdf", "a%2Fb.pdf~2"]
    assert [keys.assign(None, None), keys.assign(None, None)] == ["unnamed", "unnamed~2"]


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("ab~2%"), min_size=1, max_size=3)))
def test_file_key_assigner_any_names_get_unique_keys(names: list[str]) -> None:
    keys = FileKeyAssigner()
    assigned_keys = [keys.assign(name, None) for name in names]
    assert len(set(assigned_keys)) == len(names)


@each_case(
    ("moment", "expected"),
    [
        (None, None),
        (NOON, "2026-11-20T12:00:00.000Z"),
        (NOON.replace(microsecond=123_999), "2026-11-20T12:00:00.123Z"),
        (NOON.astimezone(timezone(timedelta(hours=5, minutes=30))), "2026-11-20T12:00:00.000Z"),
    ],
)
def test_format_rfc3339_any_zone_gives_utc_milliseconds(moment: datetime | None, expected: str | None) -> None:
    assert format_rfc3339(moment) == expected


def test_to_utc_time_without_zone_is_utc() -> None:
    assert to_utc(NOON.replace(tzinfo=None)) == NOON
    assert to_utc(NOON.astimezone(timezone(timedelta(hours=2)))).tzinfo is timezone.utc


def test_partition_key_text_includes_the_template_if_any() -> None:
    assert str(PartitionRef("t", "b").key) == "t/b"
    assert str(PartitionRef(None, "b").key) == "b"
    assert PartitionRef(None, "b").key == PartitionKey("", "b")


def test_snapshot_is_finished_unless_open() -> None:
    ref = PartitionRef(None, "b")
    assert {status.value for status in PartitionStatus if Snapshot(ref, status).is_finished} == {
        "complete",
        "stalled",
        "missing",
    }


def test_statuses_are_those_of_the_documentation() -> None:
    assert [status.value for status in PartitionStatus] == ["open", "complete", "stalled", "missing"]
    assert [status.value for status in FileStatus] == ["pending", "processed", "failed"]


LISTED_REF = PartitionRef(
    "t", "b", created_at=NOON, approx_created_at=NOON, template_name="Invoices", files_total=2, fingerprint="2"
)
EXPLICIT_REF = PartitionRef("t", "b", is_explicit=True)
REFERENCED_REF = PartitionRef("t", "b", is_explicit=True, is_referenced=True)
ONE_FILE = PartitionRef("t", "b", file_ids=("f1",), is_explicit=True)
TWO_FILES = PartitionRef("t", "b", file_ids=("f2", "f1"), is_explicit=True)


@each_case(("first", "second"), [(LISTED_REF, EXPLICIT_REF), (EXPLICIT_REF, LISTED_REF)])
def test_merge_listed_and_explicit_keeps_the_list_facts_and_is_explicit(
    first: PartitionRef, second: PartitionRef
) -> None:
    merged = first.merge(second)
    assert (merged.created_at, merged.files_total, merged.fingerprint) == (NOON, 2, "2")
    assert merged.template_name == "Invoices"
    assert merged.is_explicit
    assert not merged.is_referenced


def test_merge_listed_without_time_keeps_the_list_facts() -> None:
    listed = PartitionRef("t", "b", files_total=3, provider_status="processed", fingerprint="3")
    assert EXPLICIT_REF.merge(listed).files_total == listed.merge(EXPLICIT_REF).files_total == 3


def test_merge_with_reference_is_referenced() -> None:
    assert EXPLICIT_REF.merge(REFERENCED_REF).is_referenced
    assert REFERENCED_REF.merge(LISTED_REF).is_referenced


@each_case("whole", [LISTED_REF, EXPLICIT_REF, REFERENCED_REF])
def test_merge_whole_and_partial_is_whole(whole: PartitionRef) -> None:
    assert whole.merge(ONE_FILE).file_ids == ()
    assert ONE_FILE.merge(whole).file_ids == ()


def test_merge_two_partial_has_each_file_once() -> None:
    assert ONE_FILE.merge(TWO_FILES).file_ids == ("f1", "f2")
