"""Typed tables by themselves: names, columns, schemas, and what a row makes of what was sent."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import MISSING
from typing import Any

import pytest

from source_docextract.core.model import Document, Extraction, FileStatus, PartitionRef, PartitionStatus, Snapshot
from source_docextract.core.products import STANDARD_STREAMS
from source_docextract.core.provider import StreamGroup
from source_docextract.core.templates import (
    Field,
    FieldPart,
    Template,
    ValueType,
    get_document_type_key,
    get_template_key,
)
from source_docextract.core.validation import TableNameEntry
from source_docextract.core.wrappers import NO_WRAPPERS, WrapperFormat
from source_docextract.providers.inference import infer_fields, merge_fields, parse_declared_type
from source_docextract.tables.naming import MAX_NAME_LENGTH, SYSTEM_COLUMNS, slug
from source_docextract.tables.rows import RESULTS, TABLES, RenderOptions, Table
from source_docextract.tables.typed import (
    RESERVED_COLUMNS,
    InvalidSchemaMarker,
    TypedTable,
    assign_table_names,
    build_typed_stream,
)
from unit_tests.support.cases import each_case

WRAPPER_FORMAT = WrapperFormat(
    marker_key="type",
    marker_types=(str,),
    confidence_key="valueConfidence",
    signal_key="confidenceSignal",
    unit_key="unit",
    ignored_keys=frozenset({"of"}),
)
STRING, NUMBER, OBJECT, ARRAY = ValueType.STRING, ValueType.NUMBER, ValueType.OBJECT, ValueType.ARRAY


def make_template(*names: str, key: str = "t", name: str = "T", kind: ValueType = STRING) -> Template:
    return Template(key, name, tuple(Field(field_name, kind) for field_name in names))


def name_tables(*templates: tuple[str, str], given_names: tuple[TableNameEntry, ...] = ()) -> list[str]:
    """The tables of DocMap's templates, each an id and a name."""
    template_list = [Template(key, name, ()) for key, name in templates]
    names = assign_table_names({"docmap": template_list}, given_names)
    return [names["docmap", key] for key, _ in templates]


def make_schema(*fields: Field, key: str = "t") -> dict[str, Any]:
    """As it comes back from Airbyte: through JSON."""
    written: dict[str, Any] = json.loads(
        json.dumps(build_typed_stream("docmap", Template(key, "T", fields), "docmap_t").json_schema)
    )
    return written


def list_typed_columns(*fields: Field) -> dict[str, tuple[str, str]]:
    """By column, its field and what of it."""
    properties = make_schema(*fields)["properties"]
    marked = {
        column: column_schema["x-docextract"]
        for column, column_schema in properties.items()
        if "x-docextract" in column_schema
    }
    assert marked.pop("id") == {"product": "docmap", "of": "t"}
    return {column: (column_schema["field"], column_schema["part"]) for column, column_schema in marked.items()}


def name_columns(*names: str) -> list[str]:
    columns_by_field = {
        field: column for column, (field, _) in list_typed_columns(*(Field(name, STRING) for name in names)).items()
    }
    return [columns_by_field[name] for name in names]


def make_snapshot(*extractions: Extraction, template_id: str = "t") -> Snapshot:
    document = Document("f", FileStatus.PROCESSED, file_name="a.pdf", extractions=extractions)
    return Snapshot(PartitionRef(template_id, "b"), PartitionStatus.COMPLETE, documents=(document,))


def make_extraction(data: dict[str, Any], **more: Any) -> Extraction:
    return Extraction(data=data, hashable_data=data, **more)


def make_table(written: dict[str, Any], key: Any = get_template_key) -> Table:
    typed = TypedTable.parse(written)
    assert typed
    return typed.build_table(key)


def make_row(written: dict[str, Any], data: dict[str, Any], notation: WrapperFormat = NO_WRAPPERS) -> dict[str, Any]:
    [row_group] = make_table(written).build_rows(
        make_snapshot(make_extraction(data)), RenderOptions("docmap", wrapper_format=notation)
    )
    [record] = row_group.records
    return record


class TestNames:
    @each_case(
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
    def test_slug_of_any_script_has_letters_digits_and_underscores(self, name: str, expected: str) -> None:
        assert slug(name) == expected

    def test_table_is_named_after_its_template(self) -> None:
        assert name_tables(("48291", "Supplier invoices"), ("t-2", "注文書")) == [
            "docmap_supplier_invoices",
            "docmap_zhuwenshu",
        ]

    def test_template_name_without_letters_is_replaced_by_id(self) -> None:
        assert name_tables(("tmpl_48291ab", "---")) == ["docmap_8291ab"]
        [name] = name_tables(("---", "***"))
        assert name.startswith("docmap_")
        assert len(name) > len("docmap_")

    def test_equal_template_names_get_id_suffixes_in_any_order(self) -> None:
        alike = (("tmpl_00aa11", "Invoices"), ("tmpl_00bb22", "invoices!"), ("tmpl_00cc33", "Receipts"))

        names = name_tables(*alike)

        assert names == ["docmap_invoices_00aa11", "docmap_invoices_00bb22", "docmap_receipts"]
        assert name_tables(*reversed(alike)) == names[::-1]

    def test_equal_template_names_with_equal_id_suffixes_stay_distinct(self) -> None:
        names = name_tables(("A-123456", "Invoices"), ("a-123456", "Invoices"))

        assert len(set(names)) == 2

    @each_case("kind", ["Batches", "files", "RESULTS", "fields"])
    def test_table_named_like_standard_stream_gets_id_suffix(self, kind: str) -> None:
        assert name_tables(("48291", kind)) == [f"docmap_{kind.lower()}_48291"]

    def test_table_named_like_stream_of_other_product_gets_id_suffix(self) -> None:
        names = assign_table_names({"extracta": [Template("48291", "Classification files", ())]}, ())

        assert names == {("extracta", "48291"): "extracta_classification_files_48291"}

    def test_standard_stream_names_match_products_and_tables(self) -> None:
        kinds = {typed_table.kind for typed_table in TABLES}
        products = {name.rpartition("_")[0] for name in STANDARD_STREAMS}

        assert {f"{product}_{kind}" for product in products for kind in kinds} == STANDARD_STREAMS
        default_kinds = StreamGroup.__dataclass_fields__["stream_kinds"].default
        assert default_kinds is not MISSING
        assert kinds == set(default_kinds)

    def test_long_name_is_cut_to_maximum_length_and_stays_distinct(self) -> None:
        names = name_tables(("id-1", "x" * 100), ("id-2", "x" * 99 + "y"))

        assert {len(name) for name in names} == {MAX_NAME_LENGTH}
        assert len(set(names)) == 2

    def test_configured_name_selects_template_by_id_or_name(self) -> None:
        given_names = (TableNameEntry("docmap", "48291", "bills"), TableNameEntry("docmap", "Receipts", "slips"))

        assert name_tables(("48291", "Receipts"), ("t-2", "Receipts"), given_names=given_names[:1]) == [
            "bills",
            "docmap_receipts",
        ]
        assert name_tables(("48291", "Invoices"), ("t-2", "Receipts"), given_names=given_names) == ["bills", "slips"]

    def test_configured_name_is_not_given_to_other_table(self) -> None:
        given_names = (TableNameEntry("docmap", "t-1", "docmap_receipts"),)

        assert name_tables(("t-1", "Invoices"), ("t-2", "Receipts"), given_names=given_names) == [
            "docmap_receipts",
            "docmap_receipts_t2",
        ]

    def test_configured_name_for_several_templates_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="to 2 templates named 'Invoices'"):
            name_tables(
                ("t-1", "Invoices"), ("t-2", "Invoices"), given_names=(TableNameEntry("docmap", "Invoices", "bills"),)
            )


class TestColumns:
    def test_common_columns_surround_field_columns(self) -> None:
        assert list(make_schema(Field("Total (net)", NUMBER))["properties"]) == [
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

    def test_field_named_like_common_column_gets_prefix(self) -> None:
        assert name_columns(*RESERVED_COLUMNS) == [f"field_{name}" for name in RESERVED_COLUMNS]

    @each_case("name", sorted(SYSTEM_COLUMNS))
    def test_field_named_like_database_system_column_gets_prefix(self, name: str) -> None:
        assert name_columns(name) == [f"field_{name}"]
        assert name_columns(f"{name.upper()}!") == [f"field_{name}"]

    def test_system_column_name_beside_its_prefixed_name_stays_distinct(self) -> None:
        names = name_columns("xmin", "field_xmin", "XMAX")

        assert names[1:] == ["field_xmin", "field_xmax"]
        assert names[0].startswith("field_xmin_")

    def test_leading_underscores_before_letter_are_removed(self) -> None:
        names = name_columns("_PARTITIONTIME", "_TABLE_SUFFIX", "__ROOT__x", "_metadata", "_change_type", "_1")

        assert names == ["partitiontime", "table_suffix", "root_x", "metadata", "change_type", "_1"]

    def test_fields_with_equal_column_names_stay_distinct_in_any_order(self) -> None:
        both = name_columns("total", "Total!")

        assert both[0] == "total"
        assert both[1].startswith("total_")
        assert name_columns("Total!", "total") == both[::-1]
        assert len(set(name_columns("Total!", "TOTAL?", "Id", "id", "field_id", "---", "***"))) == 7

    def test_leading_digit_gets_underscore_and_long_name_is_cut(self) -> None:
        first, *long = name_columns("1st name", "x" * 100, "x" * 90)

        assert first == "_1st_name"
        assert {len(name) for name in long} == {MAX_NAME_LENGTH}
        assert len(set(long)) == 2

    def test_value_meta_gets_columns_beside_value(self) -> None:
        typed_columns = list_typed_columns(
            Field("Wages", NUMBER, (FieldPart.CONFIDENCE, FieldPart.SIGNAL, FieldPart.UNIT)), Field("name", STRING)
        )

        assert typed_columns == {
            "wages": ("Wages", "value"),
            "wages_confidence": ("Wages", "confidence"),
            "wages_confidence_signal": ("Wages", "confidence_signal"),
            "wages_unit": ("Wages", "unit"),
            "name": ("name", "value"),
        }

    def test_field_named_like_meta_column_keeps_its_name(self) -> None:
        typed_columns = list_typed_columns(Field("wages", NUMBER, (FieldPart.UNIT,)), Field("wages_unit", STRING))

        assert typed_columns["wages_unit"] == ("wages_unit", "value")
        assert ("wages", "unit") in typed_columns.values()

    def test_schema_has_type_and_original_field_name(self) -> None:
        properties = make_schema(*(Field(f"The {kind.value}!", kind) for kind in ValueType))["properties"]

        assert {name: properties[name]["type"] for name in properties if name.startswith("the_")} == {
            f"the_{kind.value}": ["null", kind.value] for kind in ValueType
        }
        assert properties["the_array"]["description"] == "The field The array!."

    def test_stream_has_same_properties_as_standard_streams(self) -> None:
        stream, other = build_typed_stream("docmap", make_template("a"), "docmap_t"), RESULTS.build_stream("docmap")
        stream.name, stream.json_schema = other.name, other.json_schema

        assert stream == other


class TestReading:
    def test_discovered_schema_is_parsed_to_same_fields(self) -> None:
        written = make_schema(Field("合計", NUMBER, (FieldPart.UNIT,)), Field("Vendor", OBJECT), key="48291")

        typed = TypedTable.parse(written)

        assert typed
        assert (typed.stream_prefix, typed.key) == ("docmap", "48291")
        assert {field: [tuple(read) for read in reads] for field, reads in typed.sources_by_field.items()} == {
            "合計": [("heji", FieldPart.VALUE, NUMBER), ("heji_unit", FieldPart.UNIT, STRING)],
            "Vendor": [("vendor", FieldPart.VALUE, OBJECT)],
        }

    def test_deselected_columns_are_omitted(self) -> None:
        written = make_schema(Field("total", NUMBER), Field("vendor", STRING))
        for name in ("vendor", "confidence", "type_errors"):
            del written["properties"][name]

        assert set(make_row(written, {"total": 1, "vendor": 2})) == {*RESERVED_COLUMNS, "total"} - {"observed_at"}
        assert make_row(written, {"total": 1, "vendor": 2})["type_errors"] is None

    @each_case(
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
    def test_schema_with_lost_or_invalid_marker_is_an_error_naming_it(self, change: Any, reason: str) -> None:
        written = make_schema(Field("total", NUMBER), Field("vendor", STRING))
        assert TypedTable.parse(deepcopy(written))

        change(written)

        with pytest.raises(InvalidSchemaMarker, match=reason):
            TypedTable.parse(written)

    def test_schema_without_top_level_marker_uses_marker_of_id_column(self) -> None:
        written = make_schema(Field("total", NUMBER))
        del written["x-docextract"]

        typed = TypedTable.parse(written)

        assert typed
        assert (typed.stream_prefix, typed.key, *typed.sources_by_field) == ("docmap", "t", "total")

    def test_schema_without_marker_of_id_column_uses_top_level_marker(self) -> None:
        written = make_schema(Field("total", NUMBER))
        del written["properties"]["id"]["x-docextract"]

        typed = TypedTable.parse(written)

        assert typed
        assert (typed.stream_prefix, typed.key, *typed.sources_by_field) == ("docmap", "t", "total")

    def test_schema_of_standard_stream_is_not_a_typed_table(self) -> None:
        assert [TypedTable.parse(other_table.build_stream("docmap").json_schema) for other_table in TABLES] == [
            None
        ] * 4


VALUES_BY_KIND = {STRING: "12", NUMBER: 12.5, ValueType.BOOLEAN: True, OBJECT: {"a": 1}, ARRAY: [1, "2"]}


class TestRows:
    @each_case("kind", ValueType)
    def test_value_of_declared_type_fills_column_and_others_are_type_errors(self, kind: ValueType) -> None:
        rows_by_kind = {
            kind_name: make_row(make_schema(Field("x", kind)), {"x": value})
            for kind_name, value in VALUES_BY_KIND.items()
        }

        assert {kind_name: row_values["x"] for kind_name, row_values in rows_by_kind.items()} == {
            kind_name: value if kind_name is kind else None for kind_name, value in VALUES_BY_KIND.items()
        }
        assert {kind_name: row_values["type_errors"] for kind_name, row_values in rows_by_kind.items()} == {
            kind_name: None if kind_name is kind else ["x"] for kind_name in VALUES_BY_KIND
        }

    def test_integer_is_a_number_and_text_is_not_converted(self) -> None:
        number = make_schema(Field("x", NUMBER))

        assert make_row(number, {"x": 0})["x"] == 0
        assert [
            make_row(number, {"x": text})["type_errors"] for text in ("12", "", "1,5", "12345678901234567890123")
        ] == [["x"]] * 4

    def test_null_or_absent_value_is_null_without_type_error(self) -> None:
        for data in ({"x": None}, {}):
            row_values = make_row(make_schema(Field("x", NUMBER), Field("y", NUMBER)), {**data, "y": "1"})
            assert (row_values["x"], row_values["y"], row_values["type_errors"]) == (None, None, ["y"])

    def test_wrapped_values_are_unwrapped_with_meta_in_separate_columns(self) -> None:
        written = make_schema(
            Field("wages", NUMBER, (FieldPart.CONFIDENCE, FieldPart.SIGNAL, FieldPart.UNIT)),
            Field("lines", ARRAY, (FieldPart.UNIT,)),
            Field("losses", OBJECT),
            Field("gone", STRING, (FieldPart.SIGNAL,)),
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

        row_values = make_row(written, data, WRAPPER_FORMAT)

        assert {name: value for name, value in row_values.items() if name not in RESERVED_COLUMNS} == {
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

    def test_wrapped_value_of_wrong_type_keeps_its_meta(self) -> None:
        written = make_schema(Field("wages", NUMBER, (FieldPart.UNIT,)))

        row_values = make_row(written, {"wages": {"value": "1.5", "type": "custom", "unit": "$"}}, WRAPPER_FORMAT)

        assert (row_values["wages"], row_values["wages_unit"], row_values["type_errors"]) == (None, "$", ["wages"])

    def test_template_table_has_rows_of_its_template_only(self) -> None:
        typed_table = make_table(make_schema(Field("x", NUMBER), key="t"))

        assert len([*typed_table.build_rows(make_snapshot(make_extraction({"x": 1})), RenderOptions("docmap"))]) == 1
        assert [
            *typed_table.build_rows(
                make_snapshot(make_extraction({"x": 1}), template_id="other"), RenderOptions("docmap")
            )
        ] == []
        assert [
            *typed_table.build_rows(Snapshot(PartitionRef("t", "b"), PartitionStatus.OPEN), RenderOptions("docmap"))
        ] == []

    def test_document_type_table_has_rows_of_its_type_with_result_ids(self) -> None:
        type_snapshot = make_snapshot(
            *(
                make_extraction({"x": number}, document_index=number, document_type="AB"[number % 2])
                for number in range(4)
            )
        )

        rows = [
            *make_table(make_schema(Field("x", NUMBER), key="B"), get_document_type_key).build_rows(
                type_snapshot, RenderOptions("docmap")
            )
        ]

        ids = [
            record["id"]
            for row_group in RESULTS.build_rows(type_snapshot, RenderOptions("docmap"))
            for record in row_group.records
        ]
        assert [record["id"] for row_group in rows for record in row_group.records] == [ids[1], ids[3]]

    def test_row_hash_changes_with_data_and_not_with_columns(self) -> None:
        few, more = make_schema(Field("x", NUMBER)), make_schema(Field("x", NUMBER), Field("y", STRING))

        def get_row_hash(written: dict[str, Any], data: dict[str, Any], **options: Any) -> str:
            [row_group] = make_table(written).build_rows(
                make_snapshot(make_extraction(data, **options)), RenderOptions("docmap")
            )
            return row_group.row_hash

        original_hash = get_row_hash(few, {"x": 1, "y": "a"})
        assert get_row_hash(more, {"x": 1, "y": "a"}) == original_hash
        assert get_row_hash(few, {"x": 1, "y": "a"}, review_status="APPROVED") == original_hash
        assert get_row_hash(few, {"x": 2, "y": "a"}) != original_hash
        assert get_row_hash(few, {"x": 1, "y": "b"}) != original_hash


class TestFields:
    def test_inferred_type_is_type_of_most_values(self) -> None:
        data: list[dict[str, Any]] = [{"a": 1, "b": None}, {"a": "1", "c": [1]}, {"a": 2, "c": {}}, {"c": []}]

        assert infer_fields(data, NO_WRAPPERS) == (Field("a", NUMBER), Field("c", ARRAY))

    def test_inferred_type_of_wrapped_values_is_type_of_content(self) -> None:
        data: list[dict[str, Any]] = [
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

        assert infer_fields(data, WRAPPER_FORMAT) == (
            Field("a", NUMBER, (FieldPart.CONFIDENCE, FieldPart.UNIT)),
            Field("c", ARRAY),
        )

    def test_declared_type_takes_precedence_over_inferred_type(self) -> None:
        merged_fields = merge_fields(
            [Field("a", STRING, (FieldPart.UNIT,))], [Field("a", NUMBER, (FieldPart.CONFIDENCE,)), Field("b", NUMBER)]
        )

        assert merged_fields == (Field("a", STRING, (FieldPart.CONFIDENCE, FieldPart.UNIT)), Field("b", NUMBER))

    def test_declared_type_names_are_parsed_leniently(self) -> None:
        message_text = ("string", "Number", "currency", "BOOLEAN", "array", "object", "date", "colour", 1, None)

        assert [parse_declared_type(word) for word in message_text] == [
            STRING, NUMBER, NUMBER, ValueType.BOOLEAN, ARRAY, OBJECT, STRING, None, None, None,
        ]  # fmt: skip
