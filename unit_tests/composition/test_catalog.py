"""The streams of a catalog: which are there, with which state, and which fail before anything is read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from airbyte_cdk.models import (
    AirbyteStateBlob,
    AirbyteStateMessage,
    AirbyteStateType,
    AirbyteStream,
    AirbyteStreamState,
    ConfiguredAirbyteCatalog,
    ConfiguredAirbyteStream,
    DestinationSyncMode,
    StreamDescriptor,
    SyncMode,
)
from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager

from source_docextract.catalog import (
    SelectedStreams,
    build_configured_catalog,
    build_typed_streams,
    fail_unnamed_tables,
    list_standard_streams,
    select_streams,
)
from source_docextract.core.errors import ConfigError, TransientError
from source_docextract.core.model import PartitionRef
from source_docextract.core.provider import ProviderSpec, RequestFlow, StreamGroup, TypedTables
from source_docextract.core.requests import ErrorFormat
from source_docextract.core.templates import DiscoveredTemplates, Field, Template, ValueType, get_template_key
from source_docextract.settings import Settings
from source_docextract.state.entries import SyncPolicy
from source_docextract.state.serialization import StreamState
from source_docextract.sync.messages import make_record_messages
from source_docextract.sync.stream import Stream
from unit_tests.support.sync_parts import NOW

log = logging.getLogger("airbyte.test")

INVOICE = Template("t-1", "Invoices", (Field("total", ValueType.NUMBER),))
LETTER = Template("t-2", "Letters", (Field("sender", ValueType.STRING),))


def request_nothing(*_: Any) -> Any:
    raise AssertionError("a catalog requests nothing")


def make_spec(*products: StreamGroup) -> ProviderSpec:
    return ProviderSpec(
        ErrorFormat("Acme", "acme.key", lambda _: None), "http://127.0.0.1:9", products, check=request_nothing
    )


ATLAS = make_spec(StreamGroup("atlas", request_nothing))

SENSIBLE = make_spec(
    StreamGroup(
        "sensible_extractions", request_nothing, prefix="sensible", stream_kinds=("files", "results", "fields")
    ),
    StreamGroup("sensible_batches", request_nothing, prefix="sensible", stream_kinds=("batches",)),
)


def make_typed_spec(**attributes: Any) -> ProviderSpec:
    """Return a provider whose product `atlas` has a typed table for each template."""
    tables = TypedTables(request_nothing, get_template_key, setting_name="atlas.template_ids", **attributes)
    return make_spec(StreamGroup("atlas", request_nothing, typed_tables=tables))


def discover_typed(*templates: Template, names: tuple[str, ...] = ()) -> list[AirbyteStream]:
    return build_typed_streams({"atlas": DiscoveredTemplates(templates)}, names, log)


@dataclass
class Selection:
    """A selection of streams.

    Attributes:
        specs: the configured providers.
        streams: the streams of the catalog.
        states: the saved states by stream.
        settings: settings beside the provider's.
        sync_mode: the mode of all streams.
        sync_id: the platform's number of the sync.
    """

    streams: Sequence[AirbyteStream]
    specs: Sequence[ProviderSpec] = (ATLAS,)
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    sync_mode: SyncMode = SyncMode.incremental
    sync_id: int | None = None

    def select(self) -> SelectedStreams:
        catalog = ConfiguredAirbyteCatalog(
            streams=[
                ConfiguredAirbyteStream(
                    stream=stream,
                    sync_mode=self.sync_mode,
                    destination_sync_mode=DestinationSyncMode.append_dedup,
                    sync_id=self.sync_id,
                )
                for stream in self.streams
            ]
        )
        states = [
            AirbyteStateMessage(
                type=AirbyteStateType.STREAM,
                stream=AirbyteStreamState(StreamDescriptor(name), AirbyteStateBlob(**state_json)),
            )
            for name, state_json in self.states.items()
        ]
        settings = Settings.parse(
            {
                "atlas": {"client_id": "sandbox-id", "client_secret": "sandbox-secret", "batch_ids": ["B"]},
                **self.settings,
            }
        )
        return select_streams(
            settings,
            SyncPolicy(),
            self.specs,
            catalog,
            state_manager=ConnectorStateManager(states),
            make_messages=make_record_messages,
            logger=log,
        )


def make_state(stream_name: str, **attributes: Any) -> dict[str, Any]:
    """Return a saved state with one batch."""
    state = StreamState(SyncPolicy(), stream_name=stream_name, **attributes)
    state.ledger_pass.register_reference(PartitionRef("t", "B"), NOW)
    return state.as_json()


def get_names(streams: Sequence[AirbyteStream | Stream]) -> list[str]:
    return [stream.name for stream in streams]


def test_list_standard_streams_two_products_share_one_prefix() -> None:
    assert get_names(list_standard_streams([ATLAS, SENSIBLE])) == [
        *("atlas_batches", "atlas_files", "atlas_results", "atlas_fields"),
        *("sensible_files", "sensible_results", "sensible_fields", "sensible_batches"),
    ]


def test_build_configured_catalog_all_streams_are_incremental_and_deduplicated() -> None:
    catalog = build_configured_catalog(list_standard_streams([ATLAS]))

    assert [stream["stream"]["name"] for stream in catalog["streams"]] == [
        *("atlas_batches", "atlas_files", "atlas_results", "atlas_fields")
    ]
    for stream in catalog["streams"]:
        assert (stream["sync_mode"], stream["destination_sync_mode"]) == ("incremental", "append_dedup")
        assert (stream["cursor_field"], stream["primary_key"]) == (["observed_at"], [["id"]])


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["atlas_files"], ["atlas_files"]),
        (["*_batches"], ["atlas_batches", "sensible_batches"]),
        (["sensible_f*", "atlas_results", "sensible_files"], ["atlas_results", "sensible_files", "sensible_fields"]),
        ([], None),
    ],
)
def test_build_configured_catalog_patterns_select_streams(patterns: list[str], names: list[str] | None) -> None:
    streams = list_standard_streams([ATLAS, SENSIBLE])

    catalog = build_configured_catalog(streams, patterns)

    assert [stream["stream"]["name"] for stream in catalog["streams"]] == (names or get_names(streams))


def test_build_configured_catalog_pattern_without_a_stream_is_an_error_with_the_names() -> None:
    with pytest.raises(ConfigError) as raised:
        build_configured_catalog(list_standard_streams([ATLAS]), ["atlas_*", "docmap_*"])

    assert str(raised.value) == (
        "There is no stream docmap_*. Name one of atlas_batches, atlas_files, atlas_results, atlas_fields in --streams."
    )


def test_build_typed_streams_warns_of_what_is_left_out_and_of_useless_names(caplog: pytest.LogCaptureFixture) -> None:
    discovered = DiscoveredTemplates([INVOICE], errors=["The template t-9 cannot be read."])

    streams = build_typed_streams(
        {"atlas": discovered}, ("atlas/t-1=invoices_2026", "atlas/t-7=contracts", "docmap/t-1=others"), log
    )

    assert get_names(streams) == ["invoices_2026"]
    assert caplog.messages == [
        "The template t-9 cannot be read.",
        "table_names contains atlas/t-7=contracts, but there is no such template or document type. "
        "Correct or remove the entry.",
        "table_names contains docmap/t-1=others, but there is no such template or document type. "
        "Correct or remove the entry.",
    ]


def test_build_typed_streams_name_of_several_templates_is_an_error() -> None:
    twin = Template("t-3", INVOICE.name, ())

    with pytest.raises(ConfigError, match="name them by their ids"):
        discover_typed(INVOICE, twin, names=("atlas/Invoices=invoices_2026",))


def test_select_streams_of_a_removed_provider_are_in_neither_part() -> None:
    streams, errors_by_stream = Selection(list_standard_streams([ATLAS, SENSIBLE])).select()

    assert get_names(streams) == ["atlas_batches", "atlas_files", "atlas_results", "atlas_fields"]
    assert errors_by_stream == {}


def test_select_streams_in_the_order_of_the_catalog_with_their_products() -> None:
    chosen = [stream for stream in reversed(list_standard_streams([SENSIBLE])) if stream.name != "sensible_fields"]

    streams, _ = Selection(chosen, [SENSIBLE]).select()

    assert [(stream.name, stream.product_name) for stream in streams] == [
        ("sensible_batches", "sensible_batches"),
        ("sensible_results", "sensible_extractions"),
        ("sensible_files", "sensible_extractions"),
    ]


@pytest.mark.parametrize("is_on", [True, False])
def test_select_streams_typed_table_needs_the_setting(is_on: bool) -> None:
    streams, errors_by_stream = Selection(
        discover_typed(INVOICE), [make_typed_spec()], settings={"typed_tables": is_on}
    ).select()

    assert [(stream.name, stream.state.table_key) for stream in streams] == [("atlas_invoices", "t-1")] * is_on
    assert errors_by_stream == {}


def test_select_streams_typed_table_reads_partitions_that_may_hold_its_template_only() -> None:
    spec = make_typed_spec(may_contain=lambda ref, key: ref.template_id == key)
    selection = Selection(discover_typed(INVOICE, LETTER), [spec], settings={"typed_tables": True})

    streams, _ = selection.select()

    relevant = {stream.name: stream.state.is_relevant(PartitionRef("t-1", "B")) for stream in streams}
    assert relevant == {"atlas_invoices": True, "atlas_letters": False}


def test_select_streams_typed_table_without_its_marker_fails_alone() -> None:
    invoices, letters = discover_typed(INVOICE, LETTER)
    del letters.json_schema["properties"]["id"]["x-docextract"]["of"]

    streams, errors_by_stream = Selection(
        [invoices, letters], [make_typed_spec()], settings={"typed_tables": True}
    ).select()

    assert get_names(streams) == ["atlas_invoices"]
    assert errors_by_stream.keys() == {"atlas_letters"}
    assert "Refresh the connection's schema." in str(errors_by_stream["atlas_letters"])


def test_select_streams_name_given_to_another_template_fails() -> None:
    """Keep the schema of invoices under a name that `table_names` now gives to letters."""
    kept = discover_typed(INVOICE, names=("atlas/t-1=papers",))

    streams, errors_by_stream = Selection(
        kept, [make_typed_spec()], settings={"typed_tables": True, "table_names": ["atlas/t-2=papers"]}
    ).select()

    assert streams == []
    assert str(errors_by_stream["papers"]) == (
        "The stream papers is a table of Invoices in the connection's schema, and of t-2 in table_names. "
        "Refresh the connection's schema."
    )


def find_stream(name: str) -> list[AirbyteStream]:
    return [stream for stream in list_standard_streams([ATLAS]) if stream.name == name]


def test_select_streams_saved_state_is_continued() -> None:
    state_json = make_state("atlas_files")

    [stream], _ = Selection(find_stream("atlas_files"), states={"atlas_files": state_json}).select()

    assert stream.state.as_json() == state_json


def test_select_streams_state_of_another_stream_is_refused() -> None:
    with pytest.raises(ConfigError, match="atlas_files"):
        Selection(find_stream("atlas_files"), states={"atlas_files": make_state("atlas_results")}).select()


@pytest.mark.parametrize(
    ("saved_id", "sync_id", "is_resumed"), [(7, 7, True), (7, 8, False), (7, None, False), (None, 7, False)]
)
def test_select_streams_full_refresh_resumes_its_own_attempts_only(
    saved_id: int | None, sync_id: int | None, is_resumed: bool
) -> None:
    """Start a full refresh with the state of a full refresh, or of an incremental sync (no id)."""
    state_json = make_state("atlas_files", sync_id=saved_id)

    [stream], _ = Selection(
        find_stream("atlas_files"),
        states={"atlas_files": state_json},
        sync_mode=SyncMode.full_refresh,
        sync_id=sync_id,
    ).select()

    assert bool(len(stream.state)) is is_resumed
    assert stream.state.as_json()["full_refresh"] == (True if sync_id is None else sync_id)


def test_select_streams_incremental_sync_after_a_full_refresh_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    [stream], _ = Selection(
        find_stream("atlas_files"), states={"atlas_files": make_state("atlas_files", sync_id=7)}, sync_id=7
    ).select()

    assert len(stream.state) == 0
    assert "full_refresh" not in stream.state.as_json()
    [warning] = caplog.messages
    assert warning.startswith("The state of atlas_files is that of a full refresh")


def test_select_streams_table_of_another_template_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    name = "atlas_invoices"
    [stream], _ = Selection(
        discover_typed(INVOICE),
        [make_typed_spec()],
        states={name: make_state(name, table_key="t-2")},
        settings={"typed_tables": True},
    ).select()

    assert len(stream.state) == 0
    [warning] = caplog.messages
    assert warning.startswith("The stream atlas_invoices belongs to another template or document type than before.")


def select_typed(spec: ProviderSpec) -> list[Stream]:
    return (
        Selection(
            [*find_stream("atlas_files"), *discover_typed(INVOICE, LETTER)], [spec], settings={"typed_tables": True}
        )
        .select()
        .streams
    )


def finish(run: Callable[[], frozenset[str]]) -> Callable[[ProviderSpec, RequestFlow[frozenset[str]]], frozenset[str]]:
    return lambda _spec, _flow: run()


def test_fail_unnamed_tables_only_the_unnamed_table_fails(caplog: pytest.LogCaptureFixture) -> None:
    asked_keys: list[frozenset[str]] = []
    spec = make_typed_spec(find_unselected=asked_keys.append)
    streams = select_typed(spec)

    fail_unnamed_tables([spec], streams, finish(lambda: frozenset({"t-2"})), log)

    assert asked_keys == [frozenset({"t-1", "t-2"})]
    errors = {stream.name: str(stream.error) for stream in streams if stream.error}
    assert errors == {
        "atlas_letters": "The settings no longer name t-2, the template or document type of the stream atlas_letters. "
        "Refresh the connection's schema, or name it in atlas.template_ids again."
    }
    assert caplog.messages == list(errors.values())


def test_fail_unnamed_tables_failed_lookup_fails_all_tables_and_no_other_stream() -> None:
    error = TransientError("Acme is down.")
    spec = make_typed_spec()
    streams = select_typed(spec)

    def fail() -> frozenset[str]:
        raise error

    fail_unnamed_tables([spec], streams, finish(fail), log)

    assert {stream.name: stream.error for stream in streams} == {
        "atlas_files": None,
        "atlas_invoices": error,
        "atlas_letters": error,
    }


def test_fail_unnamed_tables_without_typed_tables_looks_nothing_up() -> None:
    streams, _ = Selection(find_stream("atlas_files"), [make_typed_spec()]).select()

    fail_unnamed_tables([make_typed_spec()], streams, finish(request_nothing), log)

    assert [stream.error for stream in streams] == [None]
