"""Typed tables by themselves: names, columns, schemas, and what a row makes of what was sent."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from source_docextract.fields import PLAIN, Notation
from source_docextract.model import BatchRef, BatchStatus, Document, Extraction, FileStatus, Snapshot
from source_docextract.names import LONGEST, SYSTEM_COLUMNS, slug
from source_docextract.providers.base import Product
from source_docextract.tables import RESULTS, TABLES, Table, View
from source_docextract.templates import Field, Kind, Part, Template, by_template, by_type, declared, merged, seen
from source_docextract.typed import COLUMNS, LostMarks, Typed, stream_of, table_names
from source_docextract.values import STANDARD, GivenName

WRAPPED = Notation(
    sign="type",
    sign_is=(str,),
    confidence="valueConfidence",
    signal="confidenceSignal",
    unit="unit",
    aside=frozenset({"of"}),
)
STRING, NUMBER, OBJECT, ARRAY = Kind.STRING, Kind.NUMBER, Kind.OBJECT, Kind.ARRAY


def template(*names: str, of: str = "t", name: str = "T", kind: Kind = STRING) -> Template:
    return Template(of, name, tuple(Field(one, kind) for one in names))


def named(*templates: tuple[str, str], given: tuple[GivenName, ...] = ()) -> list[str]:
    """The tables of DocMap's templates, each an id and a name."""
    told = [Template(of, name, ()) for of, name in templates]
    names = table_names({"docmap": told}, given)
    return [names["docmap", of] for of, _ in templates]


def schema(*fields: Field, of: str = "t") -> dict[str, Any]:
    """As it comes back from Airbyte: through JSON."""
    written: dict[str, Any] = json.loads(
        json.dumps(stream_of("docmap", Template(of, "T", fields), "docmap_t").json_schema)
    )
    return written


def own_columns(*fields: Field) -> dict[str, tuple[str, str]]:
    """By column, its field and what of it."""
    properties = schema(*fields)["properties"]
    marked = {column: told["x-docextract"] for column, told in properties.items() if "x-docextract" in told}
    assert marked.pop("id") == {"product": "docmap", "of": "t"}
    return {column: (told["field"], told["part"]) for column, told in marked.items()}


def columns(*names: str) -> list[str]:
    found = {field: column for column, (field, _) in own_columns(*(Field(name, STRING) for name in names)).items()}
    return [found[name] for name in names]


def snapshot(*extractions: Extraction, template_id: str = "t") -> Snapshot:
    document = Document("f", FileStatus.PROCESSED, file_name="a.pdf", extractions=extractions)
    return Snapshot(BatchRef(template_id, "b"), BatchStatus.COMPLETE, documents=(document,))


def sent(data: dict[str, Any], **more: Any) -> Extraction:
    return Extraction(data=data, stable=data, **more)


def table(written: dict[str, Any], of: Any = by_template) -> Table:
    typed = Typed.read(written)
    assert typed
    return typed.table(of)


def row(written: dict[str, Any], data: dict[str, Any], notation: Notation = PLAIN) -> dict[str, Any]:
    [one] = table(written).rows(snapshot(sent(data)), View("docmap", notation=notation))
    [record] = one.records
    return record


class TestNames:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("Supplier invoices", "supplier_invoices"),
            ("  Total ($) -- net ", "total_net"),
            ("Frachtbriefe für Müller & Söhne", "frachtbriefe_fur_muller_sohne"),
            ("注文書", "zhuwenshu"),
            ("Счёт № 5", "schet_no_5"),
            ("فاتورة", "ftwrh"),
            ("__init__", "init"),
            ("---", ""),
            ("", ""),
        ],
    )
    def test_a_slug_has_letters_digits_and_underscores_whatever_the_script(self, name: str, expected: str) -> None:
        assert slug(name) == expected

    def test_a_table_is_called_after_its_template(self) -> None:
        assert named(("48291", "Supplier invoices"), ("t-2", "注文書")) == [
            "docmap_supplier_invoices",
            "docmap_zhuwenshu",
        ]

    def test_where_a_name_has_no_letters_the_id_has_to_do(self) -> None:
        assert named(("tmpl_48291ab", "---")) == ["docmap_8291ab"]
        [name] = named(("---", "***"))
        assert name.startswith("docmap_")
        assert len(name) > len("docmap_")

    def test_all_of_one_name_get_part_of_their_ids_in_whichever_order_they_come(self) -> None:
        alike = (("tmpl_00aa11", "Invoices"), ("tmpl_00bb22", "invoices!"), ("tmpl_00cc33", "Receipts"))

        names = named(*alike)

        assert names == ["docmap_invoices_00aa11", "docmap_invoices_00bb22", "docmap_receipts"]
        assert named(*reversed(alike)) == names[::-1]

    def test_where_parts_of_ids_are_the_same_too_they_are_told_apart_all_the_same(self) -> None:
        names = named(("A-123456", "Invoices"), ("a-123456", "Invoices"))

        assert len(set(names)) == 2

    @pytest.mark.parametrize("kind", ["Batches", "files", "RESULTS", "fields"])
    def test_no_table_takes_the_name_of_another_stream(self, kind: str) -> None:
        assert named(("48291", kind)) == [f"docmap_{kind.lower()}_48291"]

    def test_nor_does_one_of_another_product(self) -> None:
        names = table_names({"extracta": [Template("48291", "Classification files", ())]}, ())

        assert names == {("extracta", "48291"): "extracta_classification_files_48291"}

    def test_the_names_of_the_other_streams_are_known_to_the_settings(self) -> None:
        kinds = {one.kind for one in TABLES}
        products = {name.rpartition("_")[0] for name in STANDARD}

        assert {f"{product}_{kind}" for product in products for kind in kinds} == STANDARD
        assert kinds == set(Product.__dataclass_fields__["kinds"].default)

    def test_a_long_name_is_cut_where_every_warehouse_can_hold_it(self) -> None:
        names = named(("id-1", "x" * 100), ("id-2", "x" * 99 + "y"))

        assert {len(name) for name in names} == {LONGEST}
        assert len(set(names)) == 2

    def test_a_user_may_name_a_table_by_the_templates_id_or_name(self) -> None:
        given = (GivenName("docmap", "48291", "bills"), GivenName("docmap", "Receipts", "slips"))

        assert named(("48291", "Receipts"), ("t-2", "Receipts"), given=given[:1]) == ["bills", "docmap_receipts"]
        assert named(("48291", "Invoices"), ("t-2", "Receipts"), given=given) == ["bills", "slips"]

    def test_a_name_that_is_given_is_nobody_elses(self) -> None:
        given = (GivenName("docmap", "t-1", "docmap_receipts"),)

        assert named(("t-1", "Invoices"), ("t-2", "Receipts"), given=given) == ["docmap_receipts", "docmap_receipts_t2"]

    def test_a_name_for_several_templates_of_one_name_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="to 2 templates called 'Invoices'"):
            named(("t-1", "Invoices"), ("t-2", "Invoices"), given=(GivenName("docmap", "Invoices", "bills"),))


class TestColumns:
    def test_the_columns_of_all_tables_stand_around_those_of_the_fields(self) -> None:
        assert list(schema(Field("Total (net)", NUMBER))["properties"]) == [
            "id",
            "file_key",
            "batch_key",
            "batch_id",
            "template_name",
            "file_name",
            "confidence",
            "created_at",
            "total_net",
            "type_errors",
            "observed_at",
        ]

    def test_a_field_that_is_called_like_one_of_these_gives_way(self) -> None:
        assert columns(*COLUMNS) == [f"field_{name}" for name in COLUMNS]

    @pytest.mark.parametrize("name", sorted(SYSTEM_COLUMNS))
    def test_a_column_name_that_a_database_reserves_is_never_used(self, name: str) -> None:
        assert columns(name) == [f"field_{name}"]
        assert columns(f"{name.upper()}!") == [f"field_{name}"]

    def test_a_reserved_name_beside_its_new_name_keeps_them_apart(self) -> None:
        names = columns("xmin", "field_xmin", "XMAX")

        assert names[1:] == ["field_xmin", "field_xmax"]
        assert names[0].startswith("field_xmin_")

    def test_no_column_begins_with_an_underscore_and_a_letter_which_bigquery_and_databricks_reserve(self) -> None:
        names = columns("_PARTITIONTIME", "_TABLE_SUFFIX", "__ROOT__x", "_metadata", "_change_type", "_1")

        assert names == ["partitiontime", "table_suffix", "root_x", "metadata", "change_type", "_1"]

    def test_two_fields_of_one_column_are_told_apart_in_whichever_order_they_come(self) -> None:
        both = columns("total", "Total!")

        assert both[0] == "total"
        assert both[1].startswith("total_")
        assert columns("Total!", "total") == both[::-1]
        assert len(set(columns("Total!", "TOTAL?", "Id", "id", "field_id", "---", "***"))) == 7

    def test_a_column_begins_with_no_digit_and_is_not_too_long(self) -> None:
        first, *long = columns("1st name", "x" * 100, "x" * 90)

        assert first == "_1st_name"
        assert {len(name) for name in long} == {LONGEST}
        assert len(set(long)) == 2

    def test_what_is_told_beside_a_value_has_columns_beside_it(self) -> None:
        told = own_columns(Field("Wages", NUMBER, (Part.CONFIDENCE, Part.SIGNAL, Part.UNIT)), Field("name", STRING))

        assert told == {
            "wages": ("Wages", "value"),
            "wages_confidence": ("Wages", "confidence"),
            "wages_confidence_signal": ("Wages", "confidence_signal"),
            "wages_unit": ("Wages", "unit"),
            "name": ("name", "value"),
        }

    def test_a_field_that_is_called_like_one_of_those_keeps_its_name(self) -> None:
        told = own_columns(Field("wages", NUMBER, (Part.UNIT,)), Field("wages_unit", STRING))

        assert told["wages_unit"] == ("wages_unit", "value")
        assert ("wages", "unit") in told.values()

    def test_the_schema_tells_the_type_and_the_fields_own_name(self) -> None:
        properties = schema(*(Field(f"The {kind.value}!", kind) for kind in Kind))["properties"]

        assert {name: properties[name]["type"] for name in properties if name.startswith("the_")} == {
            f"the_{kind.value}": ["null", kind.value] for kind in Kind
        }
        assert properties["the_array"]["description"] == "The field The array!."

    def test_the_stream_behaves_as_all_others(self) -> None:
        stream, other = stream_of("docmap", template("a"), "docmap_t"), RESULTS.stream("docmap")
        stream.name, stream.json_schema = other.name, other.json_schema

        assert stream == other


class TestReading:
    def test_a_schema_comes_back_as_it_was_discovered(self) -> None:
        written = schema(Field("合計", NUMBER, (Part.UNIT,)), Field("Vendor", OBJECT), of="48291")

        typed = Typed.read(written)

        assert typed
        assert (typed.product, typed.of) == ("docmap", "48291")
        assert {field: [tuple(one) for one in reads] for field, reads in typed.reads.items()} == {
            "合計": [("heji", Part.VALUE, NUMBER), ("heji_unit", Part.UNIT, STRING)],
            "Vendor": [("vendor", Part.VALUE, OBJECT)],
        }

    def test_columns_that_are_deselected_are_left_out(self) -> None:
        written = schema(Field("total", NUMBER), Field("vendor", STRING))
        for name in ("vendor", "confidence", "type_errors"):
            del written["properties"][name]

        assert set(row(written, {"total": 1, "vendor": 2})) == {*COLUMNS, "total"} - {"observed_at"}
        assert row(written, {"total": 1, "vendor": 2})["type_errors"] is None

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda written: written.update({"x-docextract": "docmap/t"}), "does not name its template"),
            (lambda written: written["x-docextract"].pop("of"), "does not name its template"),
            (lambda written: written["x-docextract"].update(of=["t"]), "does not name its template"),
            (lambda written: written["x-docextract"].update(of="other"), "names two templates"),
            (lambda written: written.pop("properties"), "has no columns"),
            (lambda written: written["properties"].update(total=True), "does not name the field of total"),
            (lambda written: written["properties"]["total"].pop("type"), "does not name the field of total"),
            (lambda written: written["properties"]["total"].update(type="null"), "does not name the field of total"),
            (lambda written: written["properties"]["total"].pop("x-docextract"), "does not name the field of total"),
            (lambda written: written["properties"].update(new={"type": "string"}), "does not name the field of new"),
            (
                lambda written: written["properties"]["total"]["x-docextract"].update(part="colour"),
                "does not name the field of total",
            ),
            (
                lambda written: [written.pop("x-docextract"), written["properties"]["id"].pop("x-docextract")],
                "template",
            ),
        ],
    )
    def test_a_schema_that_lost_a_mark_is_an_error_that_names_it(self, change: Any, reason: str) -> None:
        written = schema(Field("total", NUMBER), Field("vendor", STRING))
        assert Typed.read(deepcopy(written))

        change(written)

        with pytest.raises(LostMarks, match=reason):
            Typed.read(written)

    def test_the_template_is_read_from_the_column_where_the_top_has_lost_it(self) -> None:
        written = schema(Field("total", NUMBER))
        del written["x-docextract"]

        typed = Typed.read(written)

        assert typed
        assert (typed.product, typed.of, *typed.reads) == ("docmap", "t", "total")

    def test_the_template_is_read_from_the_top_of_a_schema_of_an_earlier_version(self) -> None:
        written = schema(Field("total", NUMBER))
        del written["properties"]["id"]["x-docextract"]

        typed = Typed.read(written)

        assert typed
        assert (typed.product, typed.of, *typed.reads) == ("docmap", "t", "total")

    def test_the_schemas_of_the_other_streams_are_none(self) -> None:
        assert [Typed.read(one.stream("docmap").json_schema) for one in TABLES] == [None] * 4


VALUES = {STRING: "12", NUMBER: 12.5, Kind.BOOLEAN: True, OBJECT: {"a": 1}, ARRAY: [1, "2"]}


class TestRows:
    @pytest.mark.parametrize("kind", Kind)
    def test_a_value_stands_in_its_column_if_it_was_sent_as_its_type(self, kind: Kind) -> None:
        told = {one: row(schema(Field("x", kind)), {"x": value}) for one, value in VALUES.items()}

        assert {one: found["x"] for one, found in told.items()} == {
            one: value if one is kind else None for one, value in VALUES.items()
        }
        assert {one: found["type_errors"] for one, found in told.items()} == {
            one: None if one is kind else ["x"] for one in VALUES
        }

    def test_whole_numbers_are_numbers_and_nothing_is_made_of_text(self) -> None:
        number = schema(Field("x", NUMBER))

        assert row(number, {"x": 0})["x"] == 0
        assert [row(number, {"x": text})["type_errors"] for text in ("12", "", "1,5", "12345678901234567890123")] == [
            ["x"]
        ] * 4

    def test_null_and_nothing_are_null_and_no_error(self) -> None:
        for data in ({"x": None}, {}):
            found = row(schema(Field("x", NUMBER), Field("y", NUMBER)), {**data, "y": "1"})
            assert (found["x"], found["y"], found["type_errors"]) == (None, None, ["y"])

    def test_wrappers_are_taken_off_and_what_they_tell_stands_beside(self) -> None:
        written = schema(
            Field("wages", NUMBER, (Part.CONFIDENCE, Part.SIGNAL, Part.UNIT)),
            Field("lines", ARRAY, (Part.UNIT,)),
            Field("losses", OBJECT),
            Field("gone", STRING, (Part.SIGNAL,)),
        )
        data = {
            "wages": {
                "value": 1.5,
                "type": "currency",
                "unit": "$",
                "valueConfidence": 0.9,
                "confidenceSignal": "sure",
            },
            "lines": [{"n": {"value": 1, "type": "number", "unit": "kg"}}, None],
            "losses": {"columns": [{"id": "paid", "values": [{"value": 2, "type": "number"}, None]}]},
            "gone": None,
        }

        found = row(written, data, WRAPPED)

        assert {name: value for name, value in found.items() if name not in COLUMNS} == {
            "wages": 1.5,
            "wages_confidence": 0.9,
            "wages_confidence_signal": "sure",
            "wages_unit": "$",
            "lines": [{"n": 1}, None],
            "lines_unit": None,
            "losses": {"columns": [{"id": "paid", "values": [2, None]}]},
            "gone": None,
            "gone_confidence_signal": None,
        }

    def test_a_wrapped_value_of_another_type_leaves_what_is_told_of_it(self) -> None:
        written = schema(Field("wages", NUMBER, (Part.UNIT,)))

        found = row(written, {"wages": {"value": "1.5", "type": "custom", "unit": "$"}}, WRAPPED)

        assert (found["wages"], found["wages_unit"], found["type_errors"]) == (None, "$", ["wages"])

    def test_a_table_has_the_rows_of_its_template_alone(self) -> None:
        one = table(schema(Field("x", NUMBER), of="t"))

        assert len([*one.rows(snapshot(sent({"x": 1})), View("docmap"))]) == 1
        assert [*one.rows(snapshot(sent({"x": 1}), template_id="other"), View("docmap"))] == []
        assert [*one.rows(Snapshot(BatchRef("t", "b"), BatchStatus.OPEN), View("docmap"))] == []

    def test_or_of_its_document_type_with_the_ids_of_the_results(self) -> None:
        some = snapshot(*(sent({"x": n}, document_index=n, document_type="AB"[n % 2]) for n in range(4)))

        rows = [*table(schema(Field("x", NUMBER), of="B"), by_type).rows(some, View("docmap"))]

        ids = [record["id"] for one in RESULTS.rows(some, View("docmap")) for record in one.records]
        assert [record["id"] for one in rows for record in one.records] == [ids[1], ids[3]]

    def test_a_row_is_news_when_what_was_extracted_is_and_not_when_there_are_more_columns(self) -> None:
        few, more = schema(Field("x", NUMBER)), schema(Field("x", NUMBER), Field("y", STRING))

        def mark(written: dict[str, Any], data: dict[str, Any], **of: Any) -> str:
            [one] = table(written).rows(snapshot(sent(data, **of)), View("docmap"))
            return one.mark

        before = mark(few, {"x": 1, "y": "a"})
        assert mark(more, {"x": 1, "y": "a"}) == before
        assert mark(few, {"x": 1, "y": "a"}, review_status="APPROVED") == before
        assert mark(few, {"x": 2, "y": "a"}) != before
        assert mark(few, {"x": 1, "y": "b"}) != before


class TestFields:
    def test_the_fields_of_data_are_of_the_type_that_most_of_their_values_have(self) -> None:
        data = [{"a": 1, "b": None}, {"a": "1", "c": [1]}, {"a": 2, "c": {}}, {"c": []}]

        assert seen(data, PLAIN) == (Field("a", NUMBER), Field("c", ARRAY))

    def test_in_wrappers_they_are_of_what_these_hold(self) -> None:
        data = [
            {
                "of": "claims",
                "a": {"value": 1, "type": "currency", "unit": "$"},
                "b": {"value": None, "type": "string"},
            },
            {
                "of": "claims",
                "a": {"value": 2, "type": "number", "valueConfidence": 0.5},
                "c": [{"value": "x", "type": "string"}],
            },
        ]

        assert seen(data, WRAPPED) == (Field("a", NUMBER, (Part.CONFIDENCE, Part.UNIT)), Field("c", ARRAY))

    def test_what_is_declared_counts_before_what_is_seen(self) -> None:
        told = merged([Field("a", STRING, (Part.UNIT,))], [Field("a", NUMBER, (Part.CONFIDENCE,)), Field("b", NUMBER)])

        assert told == (Field("a", STRING, (Part.CONFIDENCE, Part.UNIT)), Field("b", NUMBER))

    def test_words_for_types_are_read_tolerantly(self) -> None:
        words = ("string", "Number", "currency", "BOOLEAN", "array", "object", "date", "colour", 1, None)

        assert [declared(word) for word in words] == [
            STRING, NUMBER, NUMBER, Kind.BOOLEAN, ARRAY, OBJECT, STRING, None, None, None,
        ]  # fmt: skip
