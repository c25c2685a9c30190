"""Fields: every value in what was extracted, where it stands, and what its provider says of it."""

from __future__ import annotations

from random import Random
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from docextract_sandbox.atlas.identities import FakeIdentities
from docextract_sandbox.docmap.fake_documents import TEMPLATE_VARIABLES
from docextract_sandbox.docmap.fake_documents import FakeDocuments as DocmapPapers
from docextract_sandbox.fake_documents import FakeDocuments as ExtractaPapers
from docextract_sandbox.sensible.fake_documents import FakeDocuments as SensiblePapers
from source_docextract.core.model import Document, Extraction, FileStatus, PartitionRef, PartitionStatus, Snapshot
from source_docextract.provider_specs import build_specs
from source_docextract.settings import Settings
from source_docextract.tables.rows import FIELDS, RenderOptions
from unit_tests.support.cases import each_case
from unit_tests.support.leaf_cases import collect_leaves, get_original_value

ALL_SETTINGS = Settings.parse(
    {
        "extracta": {"api_key": "a-made-up-key", "extraction_ids": ["x"], "classification_ids": ["c"]},
        "docmap": {"api_key": "a-made-up-key"},
        "sensible": {"api_key": "a-made-up-key"},
        "atlas": {"client_id": "a-made-up-id", "client_secret": "a-made-up-secret", "batch_ids": ["b"]},
    }
)
PRODUCTS = {
    product_group.name: product_group
    for plan in build_specs(ALL_SETTINGS)
    for product_group in plan.stream_groups
    if "fields" in product_group.stream_kinds
}
NOTATIONS = {name: product.wrapper_format for name, product in PRODUCTS.items()}


def make_rows(provider: str, data: dict[str, Any], stable: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The fields rows of one result, whose id is `b/f`."""
    extraction = Extraction(data=data, hashable_data=data if stable is None else stable)
    document = Document("f", FileStatus.PROCESSED, extractions=(extraction,))
    snapshot = Snapshot(PartitionRef(None, "b"), PartitionStatus.COMPLETE, documents=(document,))
    [row_group] = FIELDS.build_rows(snapshot, RenderOptions(provider, wrapper_format=NOTATIONS[provider]))
    return list(row_group.records)


def select_columns(provider: str, data: dict[str, Any], *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[column] for column in columns) for row in make_rows(provider, data)]


def test_fields_stream_exists_for_every_product() -> None:
    assert set(PRODUCTS) == {"extracta", "extracta_classification", "docmap", "sensible", "atlas"}


@each_case("provider", ["extracta", "docmap"])
def test_fields_of_nested_data_have_a_row_per_value(provider: str) -> None:
    data = {
        "vendor": {"name": "Acme", "address": {"city": "Bristol"}},
        "skills": ["SQL", "Excel"],
        "lines": [{"article": "Toner", "prices": ["1.50", "2.50"]}, {"article": "Chair", "prices": []}],
        "value": "not a wrapper's",
    }

    assert select_columns(provider, data, "path", "name", "position", "value") == [
        ("/vendor/name", "name", None, "Acme"),
        ("/vendor/address/city", "city", None, "Bristol"),
        ("/skills/0", "skills", 0, "SQL"),
        ("/skills/1", "skills", 1, "Excel"),
        ("/lines/0/article", "article", 0, "Toner"),
        ("/lines/0/prices/0", "prices", 0, "1.50"),
        ("/lines/0/prices/1", "prices", 1, "2.50"),
        ("/lines/1/article", "article", 1, "Chair"),
        ("/value", "value", None, "not a wrapper's"),
    ]


def test_fields_without_wrapper_format_keep_wrapper_like_data() -> None:
    data = {"tax": {"value": 7, "type": "percentage", "confidence_score": 0.5}}

    assert select_columns("docmap", data, "path", "name", "value", "confidence", "unit") == [
        ("/tax/value", "value", "7", None, None),
        ("/tax/type", "type", "percentage", None, None),
        ("/tax/confidence_score", "confidence_score", "0.5", None, None),
    ]


def test_fields_values_are_unchanged() -> None:
    sample = orjson.loads(
        b'{"n": 1250.00, "i": 7, "x": -0.10, "big": 9007199254740993, "t": "0012.50", "d": "03/04/2026", "yes": true,'
        b' "no": false, "none": null, "empty": "", "lists": [[], {}], "object": {}}'
    )

    assert select_columns("docmap", sample, "name", "value", "value_type", "number_value") == [
        ("n", "1250", "number", 1250.0),
        ("i", "7", "number", 7),
        ("x", "-0.1", "number", -0.1),
        ("big", "9007199254740993", "number", 9007199254740993),
        ("t", "0012.50", "string", None),
        ("d", "03/04/2026", "string", None),
        ("yes", "true", "boolean", None),
        ("no", "false", "boolean", None),
        ("none", None, "null", None),
        ("empty", "", "string", None),
    ]


def test_fields_with_any_characters_in_names_have_escaped_paths() -> None:
    names = ["a.b", "a/b", "~tilde", "/~1", "two words", "Straße", "合計", "0", "", "#", "%2F"]

    selected = select_columns("extracta", dict.fromkeys(names, "x"), "name", "path", "id")

    assert [name for name, _, _ in selected] == names
    paths = ["/a.b", "/a~1b", "/~0tilde", "/~1~01", "/two words", "/Straße", "/合計", "/0", "/", "/#", "/%2F"]
    assert [path for _, path, _ in selected] == paths
    assert [id_ for _, _, id_ in selected] == [f"b/f#{path}" for path in paths]
    assert select_columns("extracta", {"0": {"1": ["x"]}}, "name", "position") == [("1", 0)]


def test_fields_of_atlas_wrappers_have_value_and_confidence() -> None:
    address = {"state": "Kerala", "city": "Kochi"}
    data = {
        "document_type": "AADHAAR",
        "name": {"value": "ASHA", "confidence_score": 0.95},
        "aadhaar_number": {"value": "9012", "confidence_score": 1, "redact_url": "https://x/1?sig=1"},
        "dob": {"value": None, "confidence_score": None},
        "formatted_address": {"value": address, "confidence_score": 0.9},
        "bare": address,
        "pages": [{"value": ["1", "2"], "confidence_score": 0.5}, {"document_type": "kept"}],
        "doubtful": {"value": "x", "confidence_score": "0.8"},
    }

    assert select_columns("atlas", data, "path", "name", "position", "value", "confidence") == [
        ("/name", "name", None, "ASHA", 0.95),
        ("/aadhaar_number", "aadhaar_number", None, "9012", 1),
        ("/dob", "dob", None, None, None),
        ("/formatted_address/value/state", "state", None, "Kerala", 0.9),
        ("/formatted_address/value/city", "city", None, "Kochi", 0.9),
        ("/bare/state", "state", None, "Kerala", None),
        ("/bare/city", "city", None, "Kochi", None),
        ("/pages/0/value/0", "pages", 0, "1", 0.5),
        ("/pages/0/value/1", "pages", 1, "2", 0.5),
        ("/pages/1/document_type", "document_type", 1, "kept", None),
        ("/doubtful", "doubtful", None, "x", 0.8),
    ]


def test_fields_of_sensible_wrappers_have_value_unit_and_signal() -> None:
    data = {
        "filing_status.single": {"value": True, "type": "boolean"},
        "wages": {"value": 80.5, "type": "currency", "unit": "$", "source": "$80.50", "valueConfidence": 0.93},
        "parties": {"value": ["Acme", "Foxglove"], "type": "name", "confidenceSignal": "confident_answer"},
        "phones": [{"value": "+1", "type": "phoneNumber"}, None],
        "missing": None,
        "inner": {"value": {"value": "x", "type": "string", "unit": "kg"}, "type": "custom", "unit": "$"},
    }

    assert select_columns(
        "sensible", data, "path", "name", "position", "value", "unit", "confidence", "confidence_signal"
    ) == [
        ("/filing_status.single", "filing_status.single", None, "true", None, None, None),
        ("/wages", "wages", None, "80.5", "$", 0.93, None),
        ("/parties/value/0", "parties", 0, "Acme", None, None, "confident_answer"),
        ("/parties/value/1", "parties", 1, "Foxglove", None, None, "confident_answer"),
        ("/phones/0", "phones", 0, "+1", None, None, None),
        ("/phones/1", "phones", 1, None, None, None, None),
        ("/missing", "missing", None, None, None, None, None),
        ("/inner/value", "inner", None, "x", "kg", None, None),
    ]


def test_fields_of_sensible_tables_and_sections_keep_paths_and_positions() -> None:
    cell = {"value": 5, "type": "currency", "unit": "$"}
    data = {
        "losses": {
            "columns": [{"id": "paid", "values": [cell, None]}, {"id": "cause", "values": []}],
            "title": {"value": "Losses", "type": "string"},
        },
        "clauses": [{"title": {"value": "Term", "type": "string"}, "amendments": [{"n": cell}]}],
        # Fields that happen to be called so, found and not found.
        "odd": [{"value": cell, "type": cell, "id": cell, "values": [cell]}, {"value": None, "type": None}],
    }

    assert select_columns("sensible", data, "path", "name", "position", "unit") == [
        ("/losses/columns/0/values/0", "values", 0, "$"),
        ("/losses/columns/0/values/1", "values", 1, None),
        ("/losses/title", "title", None, None),
        ("/clauses/0/title", "title", 0, None),
        ("/clauses/0/amendments/0/n", "n", 0, "$"),
        ("/odd/0/value", "value", 0, "$"),
        ("/odd/0/type", "type", 0, "$"),
        ("/odd/0/id", "id", 0, "$"),
        ("/odd/0/values/0", "values", 0, "$"),
        ("/odd/1/value", "value", 1, None),
        ("/odd/1/type", "type", 1, None),
    ]


def test_fields_of_data_other_than_object_are_under_value() -> None:
    assert select_columns("extracta", {"value": "text"}, "path", "name") == [("/value", "value")]
    assert select_columns("sensible", {"value": ["a"]}, "path", "name") == [("/value/0", "value")]
    assert make_rows("docmap", {}) == []


def test_fields_of_data_with_file_urls_omit_urls() -> None:
    stable = {"name": {"value": "ASHA", "confidence_score": 0.9}}

    assert [row["path"] for row in make_rows("atlas", {**stable, "redact_url": "https://x/1?sig=1"}, stable)] == [
        "/name"
    ]


def test_fields_of_wide_and_deep_data_are_complete() -> None:
    deep: Any = "bottom"
    for _ in range(250):  # what is nested more deeply cannot be written as JSON here
        deep = [deep]
    data = {"deep": deep, "wide": list(range(20_000))}

    field_rows = make_rows("docmap", data)

    assert len(field_rows) == 20_001
    assert (field_rows[0]["path"], field_rows[0]["value"]) == ("/deep" + "/0" * 250, "bottom")


SAMPLE_DATA = {
    "extracta": lambda random: ExtractaPapers(random).make_document(random.choice(("invoice", "resume", "receipt"))),
    "docmap": lambda random: DocmapPapers(random).make_data(TEMPLATE_VARIABLES[random.choice(("invoice", "delivery"))]),
    "sensible": lambda random: SensiblePapers(random).make_parsed_document(random.choice(("contract", "tax", "claim"))),
    "atlas": lambda random: FakeIdentities(random).make_file_data(),
}


@each_case("provider", SAMPLE_DATA)
def test_fields_of_sample_data_have_every_value_once(provider: str) -> None:
    for seed in range(100):
        data = SAMPLE_DATA[provider](Random(seed))

        field_rows = make_rows(provider, data)

        assert len({row["id"] for row in field_rows}) == len(field_rows) > 1
        assert {row["path"]: get_original_value(row) for row in field_rows} == collect_leaves(data, provider)


NAMES = st.sampled_from(("value", "type", "confidence_score", "id", "values", "columns", "0", "a/b", "~"))
SCALAR_STRATEGY = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
)


def object_strategy(names: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    inner = st.recursive(
        SCALAR_STRATEGY | st.text(max_size=5),
        lambda parts: st.lists(parts, max_size=3) | st.dictionaries(names, parts, max_size=4),
        max_leaves=20,
    )
    return st.dictionaries(names, inner, max_size=5)


@settings(deadline=None, max_examples=300)
@given(object_strategy(NAMES | st.text(max_size=3)))
def test_fields_of_any_data_allow_rebuilding_it(data: dict[str, Any]) -> None:
    values = {row["path"]: get_original_value(row) for row in make_rows("docmap", data)}

    def rebuild(value: Any, pointer: str) -> Any:
        """The lists and objects as they are, each value out of the row that leads to it."""
        if isinstance(value, dict):
            return {key: rebuild(part, f"{pointer}/{token(key)}") for key, part in value.items()}
        if isinstance(value, list):
            return [rebuild(part, f"{pointer}/{index}") for index, part in enumerate(value)]
        return values.pop(pointer)

    assert rebuild(data, "") == data
    assert not values, "rows that lead nowhere"


def token(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


@settings(deadline=None)
@given(object_strategy(NAMES))
def test_fields_number_is_text_and_number(data: dict[str, Any]) -> None:
    for row in make_rows("docmap", data):
        is_number = row["value_type"] == "number"
        assert (row["number_value"] is not None) == is_number
        assert not is_number or orjson.loads(row["value"]) == row["number_value"]


WRAPPED_DATA = {
    "atlas": lambda value: {"value": value, "confidence_score": 0.5},
    "sensible": lambda value: {"value": value, "type": "string", "unit": "kg"},
}


@settings(deadline=None, max_examples=300)
@given(
    object_strategy(st.text("abc", max_size=3)),
    st.randoms(use_true_random=False),
    st.sampled_from(sorted(WRAPPED_DATA)),
)
def test_fields_with_any_wrappers_are_found(data: dict[str, Any], random: Any, provider: str) -> None:
    expected: dict[str, Any] = {}

    def wrap_randomly(value: Any, pointer: str) -> Any:
        """The same with wrappers here and there; what its rows should be is written down on the way."""
        has_wrapper = pointer and random.random() < 0.5
        if isinstance(value, (dict, list)):
            value_pointer = f"{pointer}/value" if has_wrapper else pointer
            parts = value.items() if isinstance(value, dict) else enumerate(value)
            made = {key: wrap_randomly(part, f"{value_pointer}/{key}") for key, part in parts}
            value = made if isinstance(value, dict) else list(made.values())
        else:
            expected[pointer] = value
        return WRAPPED_DATA[provider](value) if has_wrapper else value

    whole = wrap_randomly(data, "")

    assert {row["path"]: get_original_value(row) for row in make_rows(provider, whole)} == expected
