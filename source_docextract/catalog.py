"""The streams of the configured providers, for `discover` and for `read`."""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from airbyte_cdk.models import (
    AirbyteStream,
    ConfiguredAirbyteCatalog,
    ConfiguredAirbyteCatalogSerializer,
    ConfiguredAirbyteStream,
    DestinationSyncMode,
    SyncMode,
)
from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager

from .core.errors import ConfigError, ConnectorError
from .core.provider import ChangeDetection, ProviderSpec, RequestFlow, StreamGroup
from .core.redaction import sanitize
from .core.templates import DiscoveredTemplates
from .core.validation import TableNameEntry, parse_table_name_entry
from .settings import Settings
from .state.entries import SyncPolicy
from .state.serialization import StreamState
from .sync.messages import MessageFactory
from .sync.stream import Stream
from .tables.rows import TABLES, RenderOptions, Table
from .tables.typed import InvalidSchemaMarker, TypedTable, assign_table_names, build_typed_stream


class _StreamSource(NamedTuple):
    """The origin of a stream's rows.

    Attributes:
        provider_spec: the provider.
        stream_group: the product whose snapshots feed the stream.
        table: the table that turns a snapshot into rows.
        table_key: the template or document type of a typed table; empty for a standard stream.
    """

    provider_spec: ProviderSpec
    stream_group: StreamGroup
    table: Table
    table_key: str = ""


class SelectedStreams(NamedTuple):
    """The configured streams, as far as the settings provide them.

    Attributes:
        streams: the streams to read, each with its loaded state.
        errors_by_stream: the reason for each stream that is not read although its provider is configured.
    """

    streams: list[Stream]
    errors_by_stream: Mapping[str, ConfigError]


def list_standard_streams(provider_specs: Sequence[ProviderSpec]) -> list[AirbyteStream]:
    """Return the streams whose columns are the same for every user."""
    return [
        stream_source.table.build_stream(stream_source.stream_group.stream_prefix)
        for stream_source in _iterate_standard_sources(provider_specs)
    ]


def _iterate_standard_sources(provider_specs: Sequence[ProviderSpec]) -> Iterator[_StreamSource]:
    for provider_spec in provider_specs:
        for stream_group in provider_spec.stream_groups:
            yield from (
                _StreamSource(provider_spec, stream_group, table)
                for table in TABLES
                if table.kind in stream_group.stream_kinds
            )


def build_configured_catalog(streams: Sequence[AirbyteStream], patterns: Sequence[str] | None = None) -> dict[str, Any]:
    """Return a configured catalog as JSON: incremental, one row for each id.

    Args:
        streams: the streams that `discover` returned.
        patterns: names of streams, or patterns with `*`; None for all streams.

    Raises:
        ConfigError: if a pattern matches no stream.
    """
    stream_names = [stream.name for stream in streams]
    for pattern in patterns or ():
        if not fnmatch.filter(stream_names, pattern):
            raise ConfigError(f"There is no stream {pattern}. Name one of {', '.join(stream_names)} in --streams.")
    catalog = ConfiguredAirbyteCatalog(
        streams=[
            ConfiguredAirbyteStream(
                stream=stream,
                sync_mode=SyncMode.incremental,
                # Deduplication by `id` lets a changed row replace its earlier version in the warehouse.
                destination_sync_mode=DestinationSyncMode.append_dedup,
                cursor_field=stream.default_cursor_field,
                primary_key=stream.source_defined_primary_key,
            )
            for stream in streams
            if not patterns or _matches_any(stream.name, patterns)
        ]
    )
    catalog_json: dict[str, Any] = ConfiguredAirbyteCatalogSerializer.dump(catalog)
    return catalog_json


def _matches_any(stream_name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(stream_name, pattern) for pattern in patterns)


def build_typed_streams(
    templates_by_prefix: Mapping[str, DiscoveredTemplates], name_entries: tuple[str, ...], logger: logging.Logger
) -> list[AirbyteStream]:
    """Return the stream of a typed table for each template and document type.

    Args:
        templates_by_prefix: the discovered templates of each product, by its stream prefix.
        name_entries: the entries of the setting `table_names`.
        logger: gets a warning for each template that is left out, and for each entry that matches none.

    Raises:
        ConfigError: if an entry names a template by a name that several templates have.
    """
    for discovered in templates_by_prefix.values():
        for template_error in discovered.errors:
            logger.warning("%s", template_error)
    custom_names = list(map(parse_table_name_entry, name_entries))
    try:
        names_by_template = assign_table_names(
            {stream_prefix: discovered.templates for stream_prefix, discovered in templates_by_prefix.items()},
            custom_names,
        )
    except ValueError as naming_error:
        raise ConfigError(f"{naming_error}; name them by their ids.") from None
    for custom_name in custom_names:
        if custom_name.table_name not in names_by_template.values():
            logger.warning(
                "table_names contains %s/%s=%s, but there is no such template or document type. "
                "Correct or remove the entry.",
                *custom_name,
            )
    return [
        build_typed_stream(stream_prefix, template, names_by_template[stream_prefix, template.key])
        for stream_prefix, discovered in templates_by_prefix.items()
        for template in discovered.templates
    ]


def select_streams(
    settings: Settings,
    policy: SyncPolicy,
    provider_specs: Sequence[ProviderSpec],
    catalog: ConfiguredAirbyteCatalog,
    *,
    state_manager: ConnectorStateManager,
    make_messages: MessageFactory,
    logger: logging.Logger,
) -> SelectedStreams:
    """Return the configured streams that the settings provide, with their states.

    A stream in neither part of the result is one that the settings do not provide: its provider was removed, or typed
    tables were switched off.

    Args:
        settings: the user's settings.
        policy: the sync's rules about lookback, start date and stalled batches.
        provider_specs: the configured providers.
        catalog: the streams that the user selected.
        state_manager: holds the states of the last sync.
        make_messages: makes the messages of a stream's records.
        logger: gets a warning for each state that this sync cannot use.
    """
    sources_by_name = {
        f"{stream_source.stream_group.stream_prefix}_{stream_source.table.kind}": stream_source
        for stream_source in _iterate_standard_sources(provider_specs)
    }
    custom_names = {
        custom_name.table_name: custom_name for custom_name in map(parse_table_name_entry, settings.table_names)
    }
    streams = []
    errors_by_stream: dict[str, ConfigError] = {}
    for configured_stream in catalog.streams:
        name = configured_stream.stream.name
        # Standard streams come first; `table_names` may not give their names to typed tables.
        stream_source = sources_by_name.get(name)
        if stream_source is None and settings.typed_tables:
            try:
                stream_source = _find_typed_source(provider_specs, configured_stream, custom_names)
            except ConfigError as error:
                errors_by_stream[name] = error
        if stream_source is None:
            continue
        provider_spec, stream_group, table, table_key = stream_source
        partition_filter = None
        if table_key and stream_group.typed_tables:
            partition_filter = stream_group.typed_tables.build_partition_filter(table_key)
        referrer = provider_spec.find_referrer(stream_group)
        stream_state = StreamState(
            policy.with_lookback(stream_group.lookback),
            stream_name=name,
            change_detection=stream_group.change_detection,
            reference_detection=referrer.change_detection if referrer else ChangeDetection.POLLING,
            reference_policy=policy.with_lookback(referrer.lookback if referrer else None),
            table_key=table_key,
            partition_filter=partition_filter,
        )
        saved_state = dict(state_manager.get_stream_state(name, None))
        stream_state = _load_stream_state(configured_stream, saved_state, stream_state, logger)
        render_options = RenderOptions(stream_group.stream_prefix, settings.keep_urls, stream_group.wrapper_format)
        streams.append(Stream(name, stream_group.name, table, render_options, stream_state, make_messages))
    return SelectedStreams(streams, errors_by_stream)


def _find_typed_source(
    provider_specs: Sequence[ProviderSpec],
    configured_stream: ConfiguredAirbyteStream,
    custom_names: Mapping[str, TableNameEntry],
) -> _StreamSource | None:
    """Return the source of a typed table, None where no configured product has it.

    The template is read from the markers that `discover` wrote into the stream's schema. The name alone does not show
    it: a template can be renamed, and its name can be given to another table.

    Raises:
        ConfigError: if the schema has lost its markers, or `table_names` now gives the name to another template.
    """
    name = configured_stream.stream.name
    try:
        typed_table = TypedTable.parse(configured_stream.stream.json_schema)
    except InvalidSchemaMarker as error:
        raise ConfigError(
            f"The schema of the stream {name} differs from the discovered schema ({error}). "
            "Refresh the connection's schema."
        ) from None
    if typed_table is None:
        return None
    # Airbyte compares schemas by their columns alone. A connection may therefore keep the schema of one template after
    # `table_names` gave its name to another template with the same fields.
    custom_name = custom_names.get(name)
    if (
        custom_name
        and typed_table.template_name
        and (custom_name.provider, custom_name.table_key) not in _list_accepted_names(typed_table)
    ):
        raise ConfigError(
            f"The stream {name} is a table of {sanitize(typed_table.template_name)} in the connection's schema, and of "
            f"{sanitize(custom_name.table_key)} in table_names. Refresh the connection's schema."
        )
    for provider_spec in provider_specs:
        for stream_group in provider_spec.stream_groups:
            if stream_group.typed_tables and stream_group.stream_prefix == typed_table.stream_prefix:
                return _StreamSource(
                    provider_spec, stream_group, typed_table.build_table(stream_group.typed_tables.key), typed_table.key
                )
    return None


def _list_accepted_names(typed_table: TypedTable) -> set[tuple[str, str]]:
    """Return the pairs by which an entry of `table_names` may refer to a table.

    A pair is a provider, and a template's id or name.
    """
    return {(typed_table.stream_prefix, typed_table.key), (typed_table.stream_prefix, typed_table.template_name)}


def fail_unnamed_tables(
    provider_specs: Sequence[ProviderSpec],
    streams: Sequence[Stream],
    run_flow: Callable[[ProviderSpec, RequestFlow[frozenset[str]]], frozenset[str]],
    logger: logging.Logger,
) -> None:
    """Fail the typed tables whose template the settings no longer name.

    Such a table would get no more rows, and a COMPLETE stream with 0 rows would hide that.

    Args:
        provider_specs: the configured providers.
        streams: the selected streams; the affected ones are failed in place.
        run_flow: runs a request flow against a provider. Most lookups make no request
            (`TypedTables.find_unselected`).
        logger: gets a warning for each table that is failed.
    """
    for provider_spec in provider_specs:
        for stream_group in provider_spec.stream_groups:
            typed_streams = [
                stream for stream in streams if stream.product_name == stream_group.name and stream.state.table_key
            ]
            if not typed_streams or not stream_group.typed_tables:
                continue
            setting = stream_group.typed_tables.setting_name
            table_keys = frozenset(stream.state.table_key for stream in typed_streams)
            try:
                unselected_keys = run_flow(provider_spec, stream_group.typed_tables.find_unselected(table_keys))
            except ConnectorError as lookup_error:
                # Without the lookup nothing proves that the table is complete, so it must not end COMPLETE.
                for stream in typed_streams:
                    stream.fail(lookup_error)
                continue
            for stream in typed_streams:
                if stream.state.table_key in unselected_keys:
                    error = ConfigError(
                        f"The settings no longer name {sanitize(stream.state.table_key)}, the template or document "
                        f"type of the stream {stream.name}. Refresh the connection's schema, or name it in {setting} "
                        "again."
                    )
                    logger.warning("%s", error)
                    stream.fail(error)


def _load_stream_state(
    configured_stream: ConfiguredAirbyteStream,
    state_json: dict[str, Any],
    stream_state: StreamState,
    logger: logging.Logger,
) -> StreamState:
    """Load the saved state of a stream, if this sync can continue it.

    Otherwise the returned state is empty.

    A full refresh starts without a state, unless the state is that of an earlier attempt of the same sync. Its state
    cannot continue as an incremental sync: Airbyte drops the rows of an unfinished full refresh, so they would be
    missing. The state of a typed table serves its own template only.
    """
    name = configured_stream.stream.name
    if configured_stream.sync_mode is SyncMode.full_refresh:
        # The platform's `sync_id` is the same for all attempts of one sync.
        stream_state.is_full_refresh, stream_state.sync_id = True, configured_stream.sync_id
        if not stream_state.can_resume(state_json):
            return stream_state
    elif "full_refresh" in state_json:
        logger.warning(
            "The state of %s is that of a full refresh, which an incremental sync cannot continue. The stream is read "
            "from the beginning, once.",
            name,
        )
        return stream_state
    if state_json and not stream_state.is_same_table(state_json):
        logger.warning(
            "The stream %s belongs to another template or document type than before. It is read from the beginning; "
            "rows of the previous one remain until the stream is cleared.",
            name,
        )
        return stream_state
    return stream_state.load(state_json, name)
