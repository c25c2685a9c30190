"""Settings: what is accepted, what a default is, and that each mistake is told in one plain sentence."""

import logging
import math
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, ClassVar

import pytest

from source_docextract.config import PROVIDERS, Settings
from source_docextract.errors import ConfigError
from source_docextract.model import BatchRef
from source_docextract.values import batch_refs, given_name

KEY = "s3cr3t-key-0123456789"
EXTRACTA = {"api_key": KEY, "extraction_ids": ["t1"]}
SENSIBLE = {"api_key": KEY}
ATLAS = {"client_id": "s3cr3t-client-id", "client_secret": "s3cr3t-client-secret", "batch_ids": ["B-1"]}


def extracta(**more: Any) -> dict[str, Any]:
    return {"extracta": {**EXTRACTA, **more}}


def sensible(**more: Any) -> dict[str, Any]:
    return {"sensible": {**SENSIBLE, **more}}


def atlas(**more: Any) -> dict[str, Any]:
    return {"atlas": {**ATLAS, **more}}


def top(**more: Any) -> dict[str, Any]:
    return {**extracta(), **more}


def without(section: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in section.items() if key != name}


def refusal(config: Mapping[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        Settings.parse(config)
    return str(caught.value)


BLANK = "holds a blank or a character that no key has; paste it again"
SHORT = "is empty or cut short; paste the whole of it from the provider's app"
WHOLE = "must be a whole number"
YES_NO = "must be true or false"
LIST = 'must be a list, such as ["id"]'
OBJECT = "must be an object of settings"
TEXT = "must be text; put it in quotes"
ENVIRONMENTS = "may only be 'PRODUCTION' or 'DEVELOPMENT'"
EMPTY_ID = "holds an empty id; remove it"
NO_TIME = "is not a date and time; write it like 2026-01-01T00:00:00Z"
NO_ADDRESS = "is not a web address; write one that begins with https://"
MORE_THAN_ADDRESS = "holds more than an address; leave out user names, passwords, ? and #"
UNENCRYPTED = "would send the key unencrypted; begin it with https://"


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({}, "No provider is set up; fill in at least one of extracta, docmap, sensible, atlas."),
        (
            {"extracta": None, "sensible": None},
            "No provider is set up; fill in at least one of extracta, docmap, sensible, atlas.",
        ),
        ({"extracta": "t1"}, f"extracta {OBJECT}."),
        ({"extracta": without(EXTRACTA, "api_key")}, "extracta.api_key is missing; add it."),
        ({"sensible": {}}, "sensible.api_key is missing; add it."),
        ({"atlas": without(ATLAS, "client_id")}, "atlas.client_id is missing; add it."),
        ({"atlas": without(ATLAS, "client_secret")}, "atlas.client_secret is missing; add it."),
        (
            {"extracta": {"api_key": KEY}},
            "extracta names nothing to bring in; give at least one of extraction_ids, extraction_batches, "
            "classification_ids, classification_batches, or a batch_registry.",
        ),
        (
            atlas(batch_ids=[]),
            "atlas names nothing to bring in; give at least one id in batch_ids, or a batch_registry.",
        ),
        (extracta(api_key=12345678901), f"extracta.api_key {TEXT}."),
        (extracta(api_key=""), f"extracta.api_key {SHORT}."),
        (extracta(api_key="  seven77  "), f"extracta.api_key {SHORT}."),
        (extracta(api_key="s3cr3t with a blank"), f"extracta.api_key {BLANK}."),
        (extracta(api_key="s3cr3t\nInjected: yes"), f"extracta.api_key {BLANK}."),
        (extracta(api_key="s3cr3t-kéy-012345"), f"extracta.api_key {BLANK}."),
        (atlas(client_secret="short"), f"atlas.client_secret {SHORT}."),
        (extracta(extraction_ids="t1"), f"extracta.extraction_ids {LIST}."),
        (extracta(extraction_ids=[1]), f"extracta.extraction_ids {TEXT}."),
        (extracta(classification_ids=["c1", " "]), f"extracta.classification_ids {EMPTY_ID}."),
        (sensible(api_key="short"), f"sensible.api_key {SHORT}."),
        (sensible(batch_ids="b1"), f"sensible.batch_ids {LIST}."),
        (sensible(batch_ids=["b1", ""]), f"sensible.batch_ids {EMPTY_ID}."),
        (sensible(document_types=[" "]), f"sensible.document_types {EMPTY_ID}."),
        (sensible(environments=[]), "sensible.environments is empty; name at least one."),
        (sensible(environments=["s3cr3t"]), f"sensible.environments {ENVIRONMENTS}."),
        (sensible(environments=["production", "STAGING"]), f"sensible.environments {ENVIRONMENTS}."),
        (sensible(environments=["PRODUCTION", None]), f"sensible.environments {ENVIRONMENTS}."),
        (sensible(environments="PRODUCTION"), f"sensible.environments {LIST}."),
        (atlas(batch_ids=[""]), f"atlas.batch_ids {EMPTY_ID}."),
        (extracta(follow_links="perhaps"), f"extracta.follow_links {YES_NO}."),
        (extracta(seconds_between_requests=-1), "extracta.seconds_between_requests must be at least 0."),
        (extracta(seconds_between_requests="slow"), "extracta.seconds_between_requests must be a number."),
        (top(lookback_days=-1), "lookback_days must be at least 0."),
        (top(lookback_days=2.5), f"lookback_days {WHOLE}."),
        (top(lookback_days="some"), f"lookback_days {WHOLE}."),
        (top(lookback_days=math.inf), f"lookback_days {WHOLE}."),
        (top(give_up_after_days=0), "give_up_after_days must be at least 1."),
        (top(max_in_flight=0), "max_in_flight must be at least 1."),
        (top(max_in_flight=51), "max_in_flight must be at most 50."),
        (top(max_in_flight=[]), f"max_in_flight {WHOLE}."),
        (top(keep_urls=[]), f"keep_urls {YES_NO}."),
        (top(typed_tables="perhaps"), f"typed_tables {YES_NO}."),
        (top(table_names="docmap/1=a"), f"table_names {LIST}."),
        (top(table_names=[1]), f"table_names {TEXT}."),
        (top(start_date="yesterday"), f"start_date {NO_TIME}."),
        (top(start_date=[]), f"start_date {NO_TIME}."),
        (top(start_date="2026-13-01T00:00:00Z"), f"start_date {NO_TIME}."),
        (top(start_date="0001-01-01T00:00:00+01:00"), f"start_date {NO_TIME}."),
        (sensible(use="perhaps"), "sensible.use may only be 'yes' or 'no'."),
        (sensible(use=True), "sensible.use may only be 'yes' or 'no'."),
        (top(batch_registry={"use": "yes"}), "batch_registry.url is missing; add it."),
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
            "extracta names nothing to bring in; give at least one of extraction_ids, extraction_batches, "
            "classification_ids, classification_batches, or a batch_registry. "
            "extracta.extraction_id is not a setting; remove it (did you mean extraction_ids?).",
        ),
        (
            {"atlas": {**without(ATLAS, "batch_ids"), "batches": ["B"]}},
            "atlas names nothing to bring in; give at least one id in batch_ids, or a batch_registry. "
            "atlas.batches is not a setting; remove it (did you mean batch_ids?).",
        ),
        (
            {"extracta": {"api_key": KEY}, **atlas(batch_ids=[])},
            "extracta names nothing to bring in; give at least one of extraction_ids, extraction_batches, "
            "classification_ids, classification_batches, or a batch_registry. "
            "atlas names nothing to bring in; give at least one id in batch_ids, or a batch_registry.",
        ),
        (
            {"sensible": {"s3cr3t-key-0123456789": 1}},
            "sensible.api_key is missing; add it. There is something in sensible that is not a setting; remove it.",
        ),
    ],
)
def test_a_bad_setting_is_told_in_one_sentence(config: Mapping[str, Any], sentence: str) -> None:
    told = refusal(config)
    assert told == sentence
    assert "s3cr3t" not in told


class TestUnknownNames:
    """A name that is no setting does not stop a sync: a newer version may have written it."""

    def warnings(self, config: Mapping[str, Any], caplog: pytest.LogCaptureFixture) -> list[str]:
        Settings.parse(config, logging.getLogger("airbyte.test"))
        return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]

    @pytest.mark.parametrize(
        ("config", "named"),
        [
            (top(keep_url=False), "keep_url (did you mean keep_urls?)"),
            (top(extrcta={"api_key": KEY}), "extrcta (did you mean extracta?)"),
            (extracta(extraction_id=["t1"]), "extracta.extraction_id (did you mean extraction_ids?)"),
            (atlas(Batch_IDs=["B"]), "atlas.Batch_IDs (did you mean batch_ids?)"),
            (top(batch_registry={"url": "/list.csv", "zzzzzz": 1}), "batch_registry.zzzzzz"),
            (top(zzzzzz=1, **sensible(types=[])), "zzzzzz, sensible.types"),
            (extracta(**{"s3cr3t-key-0123": 1, "s3cr3t-key-4567": 1}), "a name in extracta that may be a key"),
            (top(**{"s3cr3t-key-0123": 1}), "a name in the settings that may be a key"),
            (top(**{"x" * n: n for n in range(1, 26)}), f"{', '.join('x' * n for n in range(1, 21))}, and 5 more"),
        ],
    )  # fmt: skip
    def test_parse_with_unknown_names_gives_one_warning_that_names_each(
        self, config: Mapping[str, Any], named: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert self.warnings(config, caplog) == [f"Unknown settings are ignored: {named}. Correct or remove them."]

    @pytest.mark.parametrize(
        "config",
        [
            top(zzzzzz=None, _limit=1),
            extracta(zzzzzz=None),
            top(sensible={"use": "no", "zzzzzz": 1}),
            {**extracta(use="yes"), "docmap": {"use": "no"}},
        ],
    )
    def test_parse_with_names_that_are_null_unused_or_the_platforms_gives_no_warning(
        self, config: Mapping[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        assert self.warnings(config, caplog) == []

    def test_parse_with_unknown_names_gives_the_settings_without_them(self) -> None:
        config = {**extracta(lookback_checks="thinning"), "zzzzzz": {"a": 1}}

        assert Settings.parse(config) == Settings.parse(extracta())

    def test_parse_with_another_error_tells_that_alone(self) -> None:
        assert refusal(top(keep_url=False, lookback_days=-1)) == "lookback_days must be at least 0."


class TestUse:
    """Each provider, and the registry, can be switched off, and is used where nothing is said."""

    SECTIONS: ClassVar = {
        **extracta(),
        "docmap": {"api_key": KEY},
        **sensible(),
        **atlas(),
        "batch_registry": {"url": "/data/list.csv"},
    }

    @pytest.mark.parametrize("name", SECTIONS)
    @pytest.mark.parametrize("said", [{}, {"use": "yes"}, {"use": None}], ids=str)
    def test_an_object_without_use_means_yes(self, name: str, said: dict[str, Any]) -> None:
        config = {**top(), name: {**said, **self.SECTIONS[name]}}

        settings = Settings.parse(config)

        assert getattr(settings, name) is not None
        assert settings == Settings.parse({**top(), name: self.SECTIONS[name]})

    @pytest.mark.parametrize("name", SECTIONS)
    @pytest.mark.parametrize(
        "leftovers",
        [{}, {"api_key": None}, {"base_url": "ftp://x", "api_key": 7, "batch_ids": "B", "url": []}, {"zzzzzz": 1}],
        ids=str,
    )
    def test_an_object_with_use_no_is_absent_whatever_else_it_holds(self, name: str, leftovers: dict[str, Any]) -> None:
        others = without(self.SECTIONS, name)

        settings = Settings.parse({**others, name: {**self.SECTIONS[name], **leftovers, "use": "no"}})

        assert getattr(settings, name) is None
        assert settings == Settings.parse(others)

    def test_settings_in_which_nothing_is_used_are_refused(self) -> None:
        assert refusal({name: {**section, "use": "no"} for name, section in self.SECTIONS.items()}) == (
            "No provider is set up; fill in at least one of extracta, docmap, sensible, atlas."
        )


class TestNull:
    """Null counts as not set, everywhere."""

    def test_null_counts_as_not_set_wherever_there_is_a_default(self) -> None:
        plain = {name: section for name, section in TestUse.SECTIONS.items() if name != "batch_registry"}
        nulls = {
            name: {**dict.fromkeys(type(getattr(Settings.parse(plain), name)).model_fields), **section}
            for name, section in plain.items()
        }

        assert Settings.parse({**dict.fromkeys(Settings.model_fields), **nulls}) == Settings.parse(plain)

    @pytest.mark.parametrize(
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
    def test_null_counts_as_missing_where_there_is_none(self, section: str, name: str) -> None:
        config = {**TestUse.SECTIONS, section: {**TestUse.SECTIONS[section], name: None}}

        assert refusal(config) == f"{section}.{name} is missing; add it."


NO_NAMING = (
    "that is not <provider>/<template id or document type>=<table name>, with one of extracta, docmap, sensible, atlas "
    "before the /; write a / or = inside an id as %2F or %3D"
)
NOT_EVERYWHERE = (
    "whose table name not every warehouse takes; write up to 63 letters from a to z, digits and _, and no digit first"
)
TAKEN = "whose table name is that of another stream; choose another"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("", NO_NAMING),
        ("invoices", NO_NAMING),
        ("docmap=invoices", NO_NAMING),
        ("docmap/=invoices", NO_NAMING),
        ("/48291=invoices", NO_NAMING),
        ("docmaps/48291=invoices", NO_NAMING),
        ("extracta_classification/48291=invoices", NO_NAMING),
        ("docmap/a/b=invoices", NO_NAMING),
        ("docmap/a=b=invoices", NO_NAMING),
        ("docmap/48291=", NOT_EVERYWHERE),
        ("docmap/48291=Invoices", NOT_EVERYWHERE),
        ("docmap/48291=1st", NOT_EVERYWHERE),
        ("docmap/48291=in-voices", NOT_EVERYWHERE),
        ("docmap/48291=rechnungen_für", NOT_EVERYWHERE),
        (f"docmap/48291={'x' * 64}", NOT_EVERYWHERE),
        ("docmap/48291=docmap_fields", TAKEN),
        ("docmap/48291=extracta_classification_batches", TAKEN),
    ],
)
def test_a_name_for_a_table_that_cannot_be_is_told_by_its_place(entry: str, reason: str) -> None:
    told = refusal(top(table_names=["docmap/1=good", entry]))

    assert told == f"table_names holds an entry (number 2) {reason}."


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["docmap/1=a", "atlas/PAN=a"], "gives two tables one name; choose another for one of them"),
        (["docmap/1=a", "docmap/%31=b"], "gives one template or document type two names; remove one of them"),
    ],
)
def test_each_table_has_one_name_and_each_name_one_table(names: list[str], sentence: str) -> None:
    assert refusal(top(table_names=names)) == f"table_names {sentence}."


def test_a_name_for_a_table_is_decoded() -> None:
    entries = [" docmap / 48291 = bills ", "atlas/A%2FB%3DC%25=a_b", "sensible/tax forms=_1"]

    settings = Settings.parse(top(table_names=entries))

    assert list(map(given_name, settings.table_names)) == [
        ("docmap", "48291", "bills"),
        ("atlas", "A/B=C%", "a_b"),
        ("sensible", "tax forms", "_1"),
    ]


@pytest.mark.parametrize("path", ["t1", "t1/", "/b1", "t1/b1/f1/x", "", "t1//f1", "t1/b1/"])
@pytest.mark.parametrize("setting", ["extraction_batches", "classification_batches"])
def test_a_batch_that_is_not_written_as_a_path_is_shown(setting: str, path: str) -> None:
    assert refusal(extracta(**{setting: [path]})) == (
        f"extracta.{setting} holds an entry (number 1) that is not <template id>/<batch id>[/<file id>]; "
        "write a / inside an id as %2F."
    )


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("api.extracta.ai", NO_ADDRESS),
        ("ftp://api.extracta.ai", NO_ADDRESS),
        ("https://", NO_ADDRESS),
        ("https:///v1", NO_ADDRESS),
        ("", NO_ADDRESS),
        ("https://[", NO_ADDRESS),
        ("https://host:port/v1", NO_ADDRESS),
        ("https://host:99999/v1", NO_ADDRESS),
        ("https://two hosts/v1", NO_ADDRESS),
        ("https://me:s3cr3t@host/v1", MORE_THAN_ADDRESS),
        ("https://s3cr3t@host/v1", MORE_THAN_ADDRESS),
        ("https://host/v1?key=s3cr3t", MORE_THAN_ADDRESS),
        ("https://host/v1#s3cr3t", MORE_THAN_ADDRESS),
        ("https://host/v1?", MORE_THAN_ADDRESS),
        ("https://host/v1#", MORE_THAN_ADDRESS),
        ("http://api.extracta.ai/v1", UNENCRYPTED),
        ("http://192.168.0.7", UNENCRYPTED),
        ("http://0.0.0.0", UNENCRYPTED),
        ("http://127.0.0.1.example.com", UNENCRYPTED),
        ("http://localhost.example.com", UNENCRYPTED),
        ("http://[2001:db8::1]", UNENCRYPTED),
    ],
)
def test_an_address_that_could_lose_the_key_is_refused(url: str, reason: str) -> None:
    configs = {"extracta": extracta, "sensible": sensible, "atlas": atlas}
    for name, config in ((name, config(base_url=url)) for name, config in configs.items()):
        assert refusal(config) == f"{name}.base_url {reason}."


@pytest.mark.parametrize(
    ("url", "taken"),
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
def test_https_is_accepted_anywhere_and_http_on_this_machine(url: str, taken: str) -> None:
    settings = Settings.parse({**extracta(base_url=url), **sensible(base_url=url), **atlas(base_url=url)})
    assert settings.extracta is not None
    assert settings.sensible is not None
    assert settings.atlas is not None
    assert settings.extracta.base_url == settings.sensible.base_url == settings.atlas.base_url == taken


def test_several_mistakes_are_told_one_after_the_other_and_each_once() -> None:
    config = {**extracta(api_key="", extraction_ids=[1, 2]), "max_in_flight": 99}
    assert refusal(config) == (
        f"extracta.api_key {SHORT}. extracta.extraction_ids {TEXT}. max_in_flight must be at most 50."
    )


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = Settings.parse({**extracta(), "docmap": {"api_key": KEY}, **sensible(), **atlas()})
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
    assert settings.model_dump(exclude=set(PROVIDERS)) == {
        "batch_registry": None,
        "start_date": None,
        "lookback_days": 3,
        "give_up_after_days": 30,
        "max_in_flight": 10,
        "keep_urls": True,
        "typed_tables": False,
        "table_names": (),
    }


def test_each_environment_may_be_named_and_ids_are_taken_without_the_blanks_around_them() -> None:
    config = sensible(environments=["DEVELOPMENT", "PRODUCTION"], batch_ids=[" b1 "], document_types=["tax forms "])
    settings = Settings.parse(config).sensible
    assert settings is not None
    assert settings.environments == ("DEVELOPMENT", "PRODUCTION")
    assert (settings.batch_ids, settings.document_types) == (("b1",), ("tax forms",))


@pytest.mark.parametrize(
    "url",
    ["https://x.example/list.csv?sig=1", "s3://bucket/list.jsonl", "gs://b/l.csv", "/data/list.csv", "http://[::1]/l"],
)
def test_a_registry_is_read_from_anywhere_safe(url: str) -> None:
    assert Settings.parse(top(batch_registry={"url": url})).batch_registry is not None


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://x.example/list.csv", "would be read unencrypted; begin it with https://"),
        ("ftp://x.example/list.csv", "is no address that can be read; write one with https://, s3:// or gs://"),
        ("ssh://x.example/list.csv", "is no address that can be read; write one with https://, s3:// or gs://"),
        ("  ", "is no address that can be read; write one with https://, s3:// or gs://"),
    ],
)
def test_a_registry_elsewhere_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"batch_registry.url {reason}"):
        Settings.parse(top(batch_registry={"url": url}))


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)),
        ("2026-01-02T03:04:05.250Z", datetime(2026, 1, 2, 3, 4, 5, 250_000, tzinfo=timezone.utc)),
        ("2026-01-02T03:04:05+05:30", datetime(2026, 1, 1, 21, 34, 5, tzinfo=timezone.utc)),
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)),
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=timezone.utc)),
    ],
)
def test_a_start_date_is_read_in_each_usual_form(sent: str, meant: datetime) -> None:
    start = Settings.parse(top(start_date=sent)).start_date
    assert start == meant
    assert start is not None
    assert start.tzinfo is timezone.utc


def test_nothing_secret_is_in_the_looks_of_settings() -> None:
    settings = Settings.parse({**extracta(), **sensible(), **atlas()})
    for looks in (repr(settings), str(settings), settings.model_dump_json()):
        assert "s3cr3t" not in looks


def test_a_key_is_taken_without_the_blanks_around_it() -> None:
    settings = Settings.parse(extracta(api_key=f" {KEY}\n"))
    assert settings.extracta is not None
    assert settings.extracta.api_key.get_secret_value() == KEY


def test_keys_that_begin_with_an_underscore_are_the_platforms_own() -> None:
    assert Settings.parse(top(_limit=1, __injected={"a": 1})) == Settings.parse(top())


def test_each_provider_has_a_settings_object_of_its_name() -> None:
    assert set(PROVIDERS) <= set(Settings.model_fields)


@pytest.mark.parametrize(
    ("path", "ref"),
    [
        ("t1/b1", BatchRef("t1", "b1", named=True)),
        ("t1/b1/f1", BatchRef("t1", "b1", file_ids=("f1",), named=True)),
        ("t%2F1/b%2f1/f%25", BatchRef("t/1", "b/1", file_ids=("f%",), named=True)),
        ("-OPXQ~a/8p%23", BatchRef("-OPXQ~a", "8p#", named=True)),
    ],
)
def test_a_batch_named_by_hand_is_decoded(path: str, ref: BatchRef) -> None:
    settings = Settings.parse(extracta(extraction_batches=[f" {path} "]))
    assert settings.extracta is not None
    assert batch_refs(settings.extracta.extraction_batches) == [ref]


@pytest.mark.parametrize(
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
def test_streams_follow_from_what_is_named(
    more: Mapping[str, Any], classification: bool, extraction: bool, follows: bool
) -> None:
    settings = Settings.parse({"extracta": {"api_key": KEY, **more}}).extracta
    assert settings is not None
    assert (settings.has_classification, settings.has_extraction, settings.follows_links) == (
        classification,
        extraction,
        follows,
    )
