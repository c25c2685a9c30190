"""Tests of the settings: accepted values, defaults and error sentences."""

import logging
import math
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, ClassVar

import pytest

from source_docextract.core.errors import ConfigError
from source_docextract.core.model import PartitionRef
from source_docextract.core.validation import parse_partition_refs, parse_table_name_entry
from source_docextract.settings import REQUIREMENTS_BY_PROVIDER, Settings
from unit_tests.support.cases import each_case

KEY = "s3cr3t-key-0123456789"
EXTRACTA = {"api_key": KEY, "extraction_ids": ["t1"]}
SENSIBLE = {"api_key": KEY}
ATLAS = {"client_id": "s3cr3t-client-id", "client_secret": "s3cr3t-client-secret", "batch_ids": ["B-1"]}


def extracta_config(**more: Any) -> dict[str, Any]:
    return {"extracta": {**EXTRACTA, **more}}


def sensible_config(**more: Any) -> dict[str, Any]:
    return {"sensible": {**SENSIBLE, **more}}


def atlas_config(**more: Any) -> dict[str, Any]:
    return {"atlas": {**ATLAS, **more}}


def full_config(**more: Any) -> dict[str, Any]:
    return {**extracta_config(), **more}


def remove_setting(section: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in section.items() if key != name}


def get_error_message(config: Mapping[str, Any]) -> str:
    with pytest.raises(ConfigError) as exc_info:
        Settings.parse(config)
    return str(exc_info.value)


BLANK_MESSAGE = "contains a space or an invalid character; paste it again"
TOO_SHORT_MESSAGE = "is empty or incomplete; paste the complete value from the provider's app"
WHOLE_NUMBER_MESSAGE = "must be a whole number"
BOOLEAN_MESSAGE = "must be true or false"
LIST = 'must be a list, such as ["id"]'
OBJECT = "must be an object of settings"
TEXT = "must be text; put it in quotes"
ENVIRONMENTS = "may only be 'PRODUCTION' or 'DEVELOPMENT'"
EMPTY_ID_MESSAGE = "contains an empty id; remove it"
NO_TIME = "is not a date and time; write it like 2026-01-01T00:00:00Z"
NO_URL_MESSAGE = "is not a web address; write one that begins with https://"
EXTRA_URL_PARTS_MESSAGE = "contains more than an address; remove user name, password, ? and #"
UNENCRYPTED_MESSAGE = "would send the key unencrypted; use https://"


@each_case(
    ("config", "sentence"),
    [
        ({}, "No provider is set up; fill in at least one of extracta, docmap, sensible, atlas."),
        (
            {"extracta": None, "sensible": None},
            "No provider is set up; fill in at least one of extracta, docmap, sensible, atlas.",
        ),
        ({"extracta": "t1"}, f"extracta {OBJECT}."),
        ({"extracta": remove_setting(EXTRACTA, "api_key")}, "extracta.api_key is missing; add it."),
        ({"sensible": {}}, "sensible.api_key is missing; add it."),
        ({"atlas": remove_setting(ATLAS, "client_id")}, "atlas.client_id is missing; add it."),
        ({"atlas": remove_setting(ATLAS, "client_secret")}, "atlas.client_secret is missing; add it."),
        (
            {"extracta": {"api_key": KEY}},
            "extracta names nothing to sync; set at least one of extraction_ids, extraction_batches, "
            "classification_ids, classification_batches, or a batch_registry.",
        ),
        (
            atlas_config(batch_ids=[]),
            "atlas names nothing to sync; set at least one id in batch_ids, or a batch_registry.",
        ),
        (extracta_config(api_key=12345678901), f"extracta.api_key {TEXT}."),
        (extracta_config(api_key=""), f"extracta.api_key {TOO_SHORT_MESSAGE}."),
        (extracta_config(api_key="  seven77  "), f"extracta.api_key {TOO_SHORT_MESSAGE}."),
        (extracta_config(api_key="s3cr3t with a blank"), f"extracta.api_key {BLANK_MESSAGE}."),
        (extracta_config(api_key="s3cr3t\nInjected: yes"), f"extracta.api_key {BLANK_MESSAGE}."),
        (extracta_config(api_key="s3cr3t-kéy-012345"), f"extracta.api_key {BLANK_MESSAGE}."),
        (atlas_config(client_secret="short"), f"atlas.client_secret {TOO_SHORT_MESSAGE}."),
        (extracta_config(extraction_ids="t1"), f"extracta.extraction_ids {LIST}."),
        (extracta_config(extraction_ids=[1]), f"extracta.extraction_ids {TEXT}."),
        (extracta_config(classification_ids=["c1", " "]), f"extracta.classification_ids {EMPTY_ID_MESSAGE}."),
        (sensible_config(api_key="short"), f"sensible.api_key {TOO_SHORT_MESSAGE}."),
        (sensible_config(batch_ids="b1"), f"sensible.batch_ids {LIST}."),
        (sensible_config(batch_ids=["b1", ""]), f"sensible.batch_ids {EMPTY_ID_MESSAGE}."),
        (sensible_config(document_types=[" "]), f"sensible.document_types {EMPTY_ID_MESSAGE}."),
        (sensible_config(environments=[]), "sensible.environments is empty; name at least one."),
        (sensible_config(environments=["s3cr3t"]), f"sensible.environments {ENVIRONMENTS}."),
        (sensible_config(environments=["production", "STAGING"]), f"sensible.environments {ENVIRONMENTS}."),
        (sensible_config(environments=["PRODUCTION", None]), f"sensible.environments {ENVIRONMENTS}."),
        (sensible_config(environments="PRODUCTION"), f"sensible.environments {LIST}."),
        (atlas_config(batch_ids=[""]), f"atlas.batch_ids {EMPTY_ID_MESSAGE}."),
        (extracta_config(follow_links="perhaps"), f"extracta.follow_links {BOOLEAN_MESSAGE}."),
        (extracta_config(seconds_between_requests=-1), "extracta.seconds_between_requests must be at least 0."),
        (extracta_config(seconds_between_requests="slow"), "extracta.seconds_between_requests must be a number."),
        (full_config(lookback_days=-1), "lookback_days must be at least 0."),
        (full_config(lookback_days=2.5), f"lookback_days {WHOLE_NUMBER_MESSAGE}."),
        (full_config(lookback_days="some"), f"lookback_days {WHOLE_NUMBER_MESSAGE}."),
        (full_config(lookback_checks="daily"), "lookback_checks may only be 'thinning' or 'every_sync'."),
        (full_config(lookback_days=math.inf), f"lookback_days {WHOLE_NUMBER_MESSAGE}."),
        (full_config(give_up_after_days=0), "give_up_after_days must be at least 1."),
        (full_config(max_in_flight=0), "max_in_flight must be at least 1."),
        (full_config(max_in_flight=51), "max_in_flight must be at most 50."),
        (full_config(max_in_flight=[]), f"max_in_flight {WHOLE_NUMBER_MESSAGE}."),
        (full_config(keep_urls=[]), f"keep_urls {BOOLEAN_MESSAGE}."),
        (full_config(typed_tables="perhaps"), f"typed_tables {BOOLEAN_MESSAGE}."),
        (full_config(table_names="docmap/1=a"), f"table_names {LIST}."),
        (full_config(table_names=[1]), f"table_names {TEXT}."),
        (full_config(start_date="yesterday"), f"start_date {NO_TIME}."),
        (full_config(start_date=[]), f"start_date {NO_TIME}."),
        (full_config(start_date="2026-13-01T00:00:00Z"), f"start_date {NO_TIME}."),
        (full_config(start_date="0001-01-01T00:00:00+01:00"), f"start_date {NO_TIME}."),
        (sensible_config(use="perhaps"), "sensible.use may only be 'yes' or 'no'."),
        (sensible_config(use=True), "sensible.use may only be 'yes' or 'no'."),
        (full_config(batch_registry={"use": "yes"}), "batch_registry.url is missing; add it."),
        (
            {"extrcta": EXTRACTA},
            "No provider is set up; fill in at least one of extracta, docmap, sensible, atlas. "
            "extrcta is not a setting; remove it (did you mean extracta?).",
        ),
        (
            {"sensible": {"apikey": KEY, "zzzzzz": 1}},
            "sensible.api_key is missing; add it. sensible.apikey is not a setting; remove it (did you mean api_key?). "
            "sensible.zzzzzz is not a setting; remove it.",
        ),
        (
            {"extracta": {"api_key": KEY, "extraction_id": ["t1"]}},
            "extracta names nothing to sync; set at least one of extraction_ids, extraction_batches, "
            "classification_ids, classification_batches, or a batch_registry. "
            "extracta.extraction_id is not a setting; remove it (did you mean extraction_ids?).",
        ),
        (
            {"atlas": {**remove_setting(ATLAS, "batch_ids"), "batches": ["B"]}},
            "atlas names nothing to sync; set at least one id in batch_ids, or a batch_registry. "
            "atlas.batches is not a setting; remove it (did you mean batch_ids?).",
        ),
        (
            {"extracta": {"api_key": KEY}, **atlas_config(batch_ids=[])},
            "extracta names nothing to sync; set at least one of extraction_ids, extraction_batches, "
            "classification_ids, classification_batches, or a batch_registry. "
            "atlas names nothing to sync; set at least one id in batch_ids, or a batch_registry.",
        ),
        (
            {"sensible": {"s3cr3t-key-0123456789": 1}},
            "sensible.api_key is missing; add it. There is an unknown setting in sensible; remove it.",
        ),
    ],
)
def test_parse_invalid_setting_error_is_a_sentence_without_secrets(config: Mapping[str, Any], sentence: str) -> None:
    message = get_error_message(config)
    assert message == sentence
    assert "s3cr3t" not in message


class TestUnknownNames:
    """Tests of unknown names, which do not stop a sync.

    A newer version of the connector may have written them.
    """

    def collect_warnings(self, config: Mapping[str, Any], caplog: pytest.LogCaptureFixture) -> list[str]:
        Settings.parse(config, logging.getLogger("airbyte.test"))
        return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]

    @pytest.mark.parametrize(
        ("config", "names_text"),
        [
            (full_config(keep_url=False), "keep_url (did you mean keep_urls?)"),
            (full_config(extrcta={"api_key": KEY}), "extrcta (did you mean extracta?)"),
            (extracta_config(extraction_id=["t1"]), "extracta.extraction_id (did you mean extraction_ids?)"),
            (atlas_config(Batch_IDs=["B"]), "atlas.Batch_IDs (did you mean batch_ids?)"),
            (full_config(batch_registry={"url": "/list.csv", "zzzzzz": 1}), "batch_registry.zzzzzz"),
            (full_config(zzzzzz=1, **sensible_config(types=[])), "zzzzzz, sensible.types"),
            (
                extracta_config(**{"s3cr3t-key-0123": 1, "s3cr3t-key-4567": 1}),
                "a hidden name in extracta, which may be a key",
            ),
            (full_config(**{"s3cr3t-key-0123": 1}), "a hidden name in the settings, which may be a key"),
            (
                full_config(**{"x" * number: number for number in range(1, 26)}),
                f"{', '.join('x' * number for number in range(1, 21))}, and 5 more",
            ),
        ],
    )  # fmt: skip
    def test_parse_unknown_names_cause_a_single_warning(
        self, config: Mapping[str, Any], names_text: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert self.collect_warnings(config, caplog) == [
            f"Unknown settings are ignored: {names_text}. Correct or remove them."
        ]

    @pytest.mark.parametrize(
        "config",
        [
            full_config(zzzzzz=None, _limit=1),
            extracta_config(zzzzzz=None),
            full_config(sensible={"use": "no", "zzzzzz": 1}),
            {**extracta_config(use="yes"), "docmap": {"use": "no"}},
        ],
    )
    def test_parse_null_unused_or_platform_names_cause_no_warning(
        self, config: Mapping[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        assert self.collect_warnings(config, caplog) == []

    def test_parse_unknown_names_are_ignored(self) -> None:
        config = {**extracta_config(later="setting"), "zzzzzz": {"a": 1}}

        assert Settings.parse(config) == Settings.parse(extracta_config())

    def test_parse_unknown_name_beside_another_error_is_not_mentioned(self) -> None:
        assert get_error_message(full_config(keep_url=False, lookback_days=-1)) == "lookback_days must be at least 0."


class TestUse:
    """Tests of sections that are switched off; without `use` a section is on."""

    SECTIONS: ClassVar = {
        **extracta_config(),
        "docmap": {"api_key": KEY},
        **sensible_config(),
        **atlas_config(),
        "batch_registry": {"url": "/data/list.csv"},
    }

    @each_case("name", SECTIONS)
    @each_case("use_value", [{}, {"use": "yes"}, {"use": None}], ids=str)
    def test_parse_section_without_use_is_switched_on(self, name: str, use_value: dict[str, Any]) -> None:
        config = {**full_config(), name: {**use_value, **self.SECTIONS[name]}}

        settings = Settings.parse(config)

        assert getattr(settings, name) is not None
        assert settings == Settings.parse({**full_config(), name: self.SECTIONS[name]})

    @each_case("name", SECTIONS)
    @each_case(
        "leftovers",
        [{}, {"api_key": None}, {"base_url": "ftp://x", "api_key": 7, "batch_ids": "B", "url": []}, {"zzzzzz": 1}],
        ids=str,
    )
    def test_parse_section_with_use_no_is_absent(self, name: str, leftovers: dict[str, Any]) -> None:
        others = remove_setting(self.SECTIONS, name)

        settings = Settings.parse({**others, name: {**self.SECTIONS[name], **leftovers, "use": "no"}})

        assert getattr(settings, name) is None
        assert settings == Settings.parse(others)

    def test_parse_all_sections_with_use_no_is_an_error(self) -> None:
        assert get_error_message({name: {**section, "use": "no"} for name, section in self.SECTIONS.items()}) == (
            "No provider is set up; fill in at least one of extracta, docmap, sensible, atlas."
        )


class TestNull:
    """A null counts as not set, in every section."""

    def test_parse_null_for_an_optional_setting_gives_its_default(self) -> None:
        plain = {name: section for name, section in TestUse.SECTIONS.items() if name != "batch_registry"}
        nulls = {
            name: {**dict.fromkeys(type(getattr(Settings.parse(plain), name)).model_fields), **section}
            for name, section in plain.items()
        }

        assert Settings.parse({**dict.fromkeys(Settings.model_fields), **nulls}) == Settings.parse(plain)

    @each_case(
        ("section", "name"),
        [
            ("extracta", "api_key"),
            ("docmap", "api_key"),
            ("sensible", "api_key"),
            ("atlas", "client_id"),
            ("atlas", "client_secret"),
            ("batch_registry", "url"),
        ],
    )
    def test_parse_null_for_a_required_setting_is_missing(self, section: str, name: str) -> None:
        config = {**TestUse.SECTIONS, section: {**TestUse.SECTIONS[section], name: None}}

        assert get_error_message(config) == f"{section}.{name} is missing; add it."


BAD_TABLE_NAME_MESSAGE = (
    "that is not <provider>/<template id or document type>=<table name>, with one of extracta, docmap, sensible, atlas "
    "before the /; write a / or = inside an id as %2F or %3D"
)
UNPORTABLE_NAME_MESSAGE = (
    "with a table name that not every warehouse accepts; use at most 63 characters: a to z, digits and _, "
    "with no digit first"
)
TAKEN_NAME_MESSAGE = "with the name of another stream; choose another table name"


@each_case(
    ("entry", "reason"),
    [
        ("", BAD_TABLE_NAME_MESSAGE),
        ("invoices", BAD_TABLE_NAME_MESSAGE),
        ("docmap=invoices", BAD_TABLE_NAME_MESSAGE),
        ("docmap/=invoices", BAD_TABLE_NAME_MESSAGE),
        ("/48291=invoices", BAD_TABLE_NAME_MESSAGE),
        ("docmaps/48291=invoices", BAD_TABLE_NAME_MESSAGE),
        ("extracta_classification/48291=invoices", BAD_TABLE_NAME_MESSAGE),
        ("docmap/a/b=invoices", BAD_TABLE_NAME_MESSAGE),
        ("docmap/a=b=invoices", BAD_TABLE_NAME_MESSAGE),
        ("docmap/48291=", UNPORTABLE_NAME_MESSAGE),
        ("docmap/48291=Invoices", UNPORTABLE_NAME_MESSAGE),
        ("docmap/48291=1st", UNPORTABLE_NAME_MESSAGE),
        ("docmap/48291=in-voices", UNPORTABLE_NAME_MESSAGE),
        ("docmap/48291=rechnungen_für", UNPORTABLE_NAME_MESSAGE),
        (f"docmap/48291={'x' * 64}", UNPORTABLE_NAME_MESSAGE),
        ("docmap/48291=docmap_fields", TAKEN_NAME_MESSAGE),
        ("docmap/48291=extracta_classification_batches", TAKEN_NAME_MESSAGE),
    ],
)
def test_parse_invalid_table_name_error_has_its_position(entry: str, reason: str) -> None:
    message = get_error_message(full_config(table_names=["docmap/1=good", entry]))

    assert message == f"table_names contains an entry (number 2) {reason}."


@each_case(
    ("names", "sentence"),
    [
        (["docmap/1=a", "atlas/PAN=a"], "gives two tables the same name; change one of them"),
        (["docmap/1=a", "docmap/%31=b"], "gives one template or document type two names; remove one of them"),
    ],
)
def test_parse_ambiguous_table_names_is_an_error(names: list[str], sentence: str) -> None:
    assert get_error_message(full_config(table_names=names)) == f"table_names {sentence}."


def test_parse_table_name_entry_is_decoded() -> None:
    entries = [" docmap / 48291 = bills ", "atlas/A%2FB%3DC%25=a_b", "sensible/tax forms=_1"]

    settings = Settings.parse(full_config(table_names=entries))

    assert list(map(parse_table_name_entry, settings.table_names)) == [
        ("docmap", "48291", "bills"),
        ("atlas", "A/B=C%", "a_b"),
        ("sensible", "tax forms", "_1"),
    ]


@each_case("path", ["t1", "t1/", "/b1", "t1/b1/f1/x", "", "t1//f1", "t1/b1/"])
@each_case("setting", ["extraction_batches", "classification_batches"])
def test_parse_invalid_batch_path_error_has_its_position(setting: str, path: str) -> None:
    assert get_error_message(extracta_config(**{setting: [path]})) == (
        f"extracta.{setting} contains an entry (number 1) that is not <template id>/<batch id>[/<file id>]; "
        "write a / inside an id as %2F."
    )


@each_case(
    ("url", "reason"),
    [
        ("api.extracta.ai", NO_URL_MESSAGE),
        ("ftp://api.extracta.ai", NO_URL_MESSAGE),
        ("https://", NO_URL_MESSAGE),
        ("https:///v1", NO_URL_MESSAGE),
        ("", NO_URL_MESSAGE),
        ("https://[", NO_URL_MESSAGE),
        ("https://host:port/v1", NO_URL_MESSAGE),
        ("https://host:99999/v1", NO_URL_MESSAGE),
        ("https://two hosts/v1", NO_URL_MESSAGE),
        ("https://me:s3cr3t@host/v1", EXTRA_URL_PARTS_MESSAGE),
        ("https://s3cr3t@host/v1", EXTRA_URL_PARTS_MESSAGE),
        ("https://host/v1?key=s3cr3t", EXTRA_URL_PARTS_MESSAGE),
        ("https://host/v1#s3cr3t", EXTRA_URL_PARTS_MESSAGE),
        ("https://host/v1?", EXTRA_URL_PARTS_MESSAGE),
        ("https://host/v1#", EXTRA_URL_PARTS_MESSAGE),
        ("http://api.extracta.ai/v1", UNENCRYPTED_MESSAGE),
        ("http://192.168.0.7", UNENCRYPTED_MESSAGE),
        ("http://0.0.0.0", UNENCRYPTED_MESSAGE),
        ("http://127.0.0.1.example.com", UNENCRYPTED_MESSAGE),
        ("http://localhost.example.com", UNENCRYPTED_MESSAGE),
        ("http://[2001:db8::1]", UNENCRYPTED_MESSAGE),
    ],
)
def test_parse_unsafe_base_url_is_an_error(url: str, reason: str) -> None:
    configs = {"extracta": extracta_config, "sensible": sensible_config, "atlas": atlas_config}
    for name, config in ((name, config(base_url=url)) for name, config in configs.items()):
        assert get_error_message(config) == f"{name}.base_url {reason}."


@each_case(
    ("url", "expected"),
    [
        ("https://eu.example.com/api/", "https://eu.example.com/api"),
        ("https://example.com:8443", "https://example.com:8443"),
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        ("http://LOCALHOST", "http://LOCALHOST"),
        ("http://127.0.0.1:9", "http://127.0.0.1:9"),
        ("http://127.8.8.8", "http://127.8.8.8"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_parse_base_url_https_or_local_http_is_accepted(url: str, expected: str) -> None:
    settings = Settings.parse(
        {**extracta_config(base_url=url), **sensible_config(base_url=url), **atlas_config(base_url=url)}
    )
    assert settings.extracta is not None
    assert settings.sensible is not None
    assert settings.atlas is not None
    assert settings.extracta.base_url == settings.sensible.base_url == settings.atlas.base_url == expected


def test_parse_several_invalid_settings_have_a_sentence_each() -> None:
    config = {**extracta_config(api_key="", extraction_ids=[1, 2]), "max_in_flight": 99}
    assert get_error_message(config) == (
        f"extracta.api_key {TOO_SHORT_MESSAGE}. extracta.extraction_ids {TEXT}. max_in_flight must be at most 50."
    )


def test_parse_minimal_config_gives_the_documented_defaults() -> None:
    settings = Settings.parse({**extracta_config(), "docmap": {"api_key": KEY}, **sensible_config(), **atlas_config()})
    assert settings.extracta is not None
    assert settings.docmap is not None
    assert settings.sensible is not None
    assert settings.atlas is not None
    assert settings.extracta.model_dump(exclude={"use", "api_key", "extraction_ids"}) == {
        "extraction_batches": (),
        "classification_ids": (),
        "classification_batches": (),
        "follow_links": True,
        "seconds_between_requests": 2,
        "base_url": "https://api.extracta.ai/api/v1",
    }
    assert settings.docmap.model_dump(exclude={"use", "api_key"}) == {
        "template_ids": (),
        "base_url": "https://api.docmap.io/v1",
    }
    assert settings.sensible.model_dump(exclude={"use", "api_key"}) == {
        "batch_ids": (),
        "document_types": (),
        "environments": ("PRODUCTION",),
        "base_url": "https://api.sensible.so/v0",
    }
    assert settings.atlas.model_dump(exclude={"use", "client_id", "client_secret", "batch_ids"}) == {
        "base_url": "https://api.helloatlas.in/v1/bulk"
    }
    assert settings.model_dump(exclude=set(REQUIREMENTS_BY_PROVIDER)) == {
        "batch_registry": None,
        "start_date": None,
        "lookback_days": 3,
        "lookback_checks": "thinning",
        "give_up_after_days": 30,
        "max_in_flight": 10,
        "keep_urls": True,
        "typed_tables": False,
        "table_names": (),
    }


def test_parse_environments_are_accepted_and_ids_stripped() -> None:
    config = sensible_config(
        environments=["DEVELOPMENT", "PRODUCTION"], batch_ids=[" b1 "], document_types=["tax forms "]
    )
    settings = Settings.parse(config).sensible
    assert settings is not None
    assert settings.environments == ("DEVELOPMENT", "PRODUCTION")
    assert (settings.batch_ids, settings.document_types) == (("b1",), ("tax forms",))


@each_case(
    "url",
    [
        "https://x.example/list.csv?sig=1",
        "s3://bucket/list.jsonl",
        "gs://b/l.csv",
        "az://container/list.csv",
        "sftp://user@host:2222/list.csv",
        "/data/list.csv",
        "http://[::1]/l",
    ],
)
def test_parse_registry_url_safe_address_is_accepted(url: str) -> None:
    assert Settings.parse(full_config(batch_registry={"url": url})).batch_registry is not None


@each_case(
    ("url", "reason"),
    [
        ("http://x.example/list.csv", "would be read unencrypted; use https://"),
        (
            "ftp://x.example/list.csv",
            "is not an address that can be read; use https://, s3://, gs://, az:// or sftp://",
        ),
        (
            "ssh://x.example/list.csv",
            "is not an address that can be read; use https://, s3://, gs://, az:// or sftp://",
        ),
        ("sftp://host:0/list.csv", "is not an address that can be read; use https://, s3://, gs://, az:// or sftp://"),
        (
            "sftp://host:port/list.csv",
            "is not an address that can be read; use https://, s3://, gs://, az:// or sftp://",
        ),
        ("sftp://host", "is incomplete; write it like sftp://host/folder/batches.csv"),
        ("sftp://user:secret@/list.csv", "is incomplete; write it like sftp://host/folder/batches.csv"),
        ("az://container/", "is incomplete; write it like az://container/batches.csv"),
        ("az:///list.csv", "is incomplete; write it like az://container/batches.csv"),
        ("  ", "is not an address that can be read; use https://, s3://, gs://, az:// or sftp://"),
    ],
)
def test_parse_registry_url_other_address_is_an_error(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"batch_registry.url {reason}"):
        Settings.parse(full_config(batch_registry={"url": url}))


@each_case(
    ("raw_value", "expected"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)),
        ("2026-01-02T03:04:05.250Z", datetime(2026, 1, 2, 3, 4, 5, 250_000, tzinfo=timezone.utc)),
        ("2026-01-02T03:04:05+05:30", datetime(2026, 1, 1, 21, 34, 5, tzinfo=timezone.utc)),
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)),
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=timezone.utc)),
    ],
)
def test_parse_start_date_each_iso_form_is_utc(raw_value: str, expected: datetime) -> None:
    start = Settings.parse(full_config(start_date=raw_value)).start_date
    assert start == expected
    assert start is not None
    assert start.tzinfo is timezone.utc


def test_settings_repr_and_json_hold_no_secret() -> None:
    settings = Settings.parse({**extracta_config(), **sensible_config(), **atlas_config()})
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert "s3cr3t" not in text


def test_parse_api_key_is_stripped() -> None:
    settings = Settings.parse(extracta_config(api_key=f" {KEY}\n"))
    assert settings.extracta is not None
    assert settings.extracta.api_key.get_secret_value() == KEY


def test_parse_keys_with_leading_underscore_are_ignored() -> None:
    assert Settings.parse(full_config(_limit=1, __injected={"a": 1})) == Settings.parse(full_config())


def test_requirements_each_provider_has_a_section() -> None:
    assert set(REQUIREMENTS_BY_PROVIDER) <= set(Settings.model_fields)


@each_case(
    ("path", "ref"),
    [
        ("t1/b1", PartitionRef("t1", "b1", is_explicit=True)),
        ("t1/b1/f1", PartitionRef("t1", "b1", file_ids=("f1",), is_explicit=True)),
        ("t%2F1/b%2f1/f%25", PartitionRef("t/1", "b/1", file_ids=("f%",), is_explicit=True)),
        ("-OPXQ~a/8p%23", PartitionRef("-OPXQ~a", "8p#", is_explicit=True)),
    ],
)
def test_parse_partition_refs_path_is_decoded(path: str, ref: PartitionRef) -> None:
    settings = Settings.parse(extracta_config(extraction_batches=[f" {path} "]))
    assert settings.extracta is not None
    assert parse_partition_refs(settings.extracta.extraction_batches) == [ref]


@each_case(
    ("more", "classification", "extraction", "follows"),
    [
        ({"extraction_ids": ["t"]}, False, True, False),
        ({"extraction_batches": ["t/b"]}, False, True, False),
        ({"classification_ids": ["c"]}, True, True, True),
        ({"classification_batches": ["c/b"]}, True, True, True),
        ({"classification_ids": ["c"], "follow_links": False}, True, False, False),
        ({"classification_ids": ["c"], "extraction_ids": ["t"], "follow_links": False}, True, True, False),
    ],
)
def test_extracta_settings_named_ids_decide_the_products(
    more: Mapping[str, Any], classification: bool, extraction: bool, follows: bool
) -> None:
    settings = Settings.parse({"extracta": {"api_key": KEY, **more}}).extracta
    assert settings is not None
    assert (settings.has_classification, settings.has_extraction, settings.follows_references) == (
        classification,
        extraction,
        follows,
    )
