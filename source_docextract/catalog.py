"""Which streams there are: those that `discover` shows, and what `read` is to make of those that are selected."""

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
from .core.provider import ProviderSpec, RequestFlow, StreamGroup
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
    """What a stream is: its table, and the product that feeds it. `of` is the template of a typed table."""

    provider_spec: ProviderSpec
    stream_group: StreamGroup
    table: Table
    table_key: str = ""


class SelectedStreams(NamedTuple):
    """What `read` makes of the configured streams.

    Attributes:
        streams: those to be read, with what has been read of them.
        refused: by name, why a stream is not read though the settings give it.
    """

    streams: list[Stream]
    errors_by_stream: Mapping[str, ConfigError]


def list_standard_streams(provider_specs: Sequence[ProviderSpec]) -> list[AirbyteStream]:
    """The streams whose columns are the same for everyone."""
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
    """Return a configured catalog as JSON: each stream incremental, one row kept for each id.

    Args:
        chosen: names of streams, or patterns with `*`; all where it is None.

    Raises:
        ConfigError: for a name that no stream has.
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
                destination_sync_mode=DestinationSyncMode.append_dedup,
                cursor_field=stream.default_cursor_field,
                primary_key=stream.source_defined_primary_key,
            )
            for stream in streams
            if not patterns or any(fnmatch.fnmatchcase(stream.name, pattern) for pattern in patterns)
        ]
    )
    catalog_json: dict[str, Any] = ConfiguredAirbyteCatalogSerializer.dump(catalog)
    return catalog_json


def build_typed_streams(
    templates_by_prefix: Mapping[str, DiscoveredTemplates], name_entries: tuple[str, ...], logger: logging.Logger
) -> list[AirbyteStream]:
    """A stream for each template and document type.

    Args:
        told: by what its other streams begin with, what each provider tells.
        names: as the user wants them (`table_names`).
    """
    for templates in templates_by_prefix.values():
        for problem in templates.errors:
            logger.warning("%s", problem)
    custom_names = list(map(parse_table_name_entry, name_entries))
    try:
        names_by_template = assign_table_names(
            {stream_prefix: templates.templates for stream_prefix, templates in templates_by_prefix.items()},
            custom_names,
        )
    except ValueError as problem:
        raise ConfigError(f"{problem}; name them by their ids.") from None
    for custom_name in custom_names:
        if custom_name.table_name not in names_by_template.values():
            logger.warning(
                "table_names contains %s/%s=%s, but there is no such template or document type. "
                "Correct or remove the entry.",
                *custom_name,
            )
    return [
        build_typed_stream(stream_prefix, template, names_by_template[stream_prefix, template.key])
        for stream_prefix, templates in templates_by_prefix.items()
        for template in templates.templates
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
    """Return the streams to be read. Those that the settings do not give are left out."""
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
        try:
            stream_source = sources_by_name.get(name) or (
                _find_typed_source(provider_specs, configured_stream, custom_names) if settings.typed_tables else None
            )
        except ConfigError as error:
            errors_by_stream[name] = error
            continue
        if stream_source:
            provider_spec, stream_group, table, table_key = stream_source
            stream_state = StreamState(
                policy,
                stream_name=name,
                change_detection=stream_group.change_detection,
                reference_detection=provider_spec.get_referrer_detection(stream_group),
                table_key=table_key,
                partition_filter=stream_group.typed_tables.build_partition_filter(table_key)
                if table_key and stream_group.typed_tables
                else None,
            )
            stream_state = _load_stream_state(
                configured_stream, dict(state_manager.get_stream_state(name, None)), stream_state, logger
            )
            render_options = RenderOptions(stream_group.stream_prefix, settings.keep_urls, stream_group.wrapper_format)
            streams.append(Stream(name, stream_group.name, table, render_options, stream_state, make_messages))
    return SelectedStreams(streams, errors_by_stream)


def _find_typed_source(
    provider_specs: Sequence[ProviderSpec],
    configured_stream: ConfiguredAirbyteStream,
    custom_names: Mapping[str, TableNameEntry],
) -> _StreamSource | None:
    """Return a typed table, by what `discover` has written into its schema.

    Raises:
        ConfigError: where that is lost, or `table_names` gives the table to another template by now.
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
    """Return what an entry of `table_names` may call the template of a table."""
    return {(typed_table.stream_prefix, typed_table.key), (typed_table.stream_prefix, typed_table.template_name)}


def fail_unnamed_tables(
    provider_specs: Sequence[ProviderSpec],
    streams: Sequence[Stream],
    run_flow: Callable[[ProviderSpec, RequestFlow[frozenset[str]]], frozenset[str]],
    logger: logging.Logger,
) -> None:
    """Fail the typed tables whose template the settings no longer name: no row of theirs would ever come again.

    Args:
        ask: runs a script against a provider. Most of these ask for nothing: see `Typing.unnamed`.
    """
    for provider_spec in provider_specs:
        for stream_group in provider_spec.stream_groups:
            tables = [
                stream for stream in streams if stream.product_name == stream_group.name and stream.state.table_key
            ]
            if not tables or not stream_group.typed_tables:
                continue
            setting = stream_group.typed_tables.setting_name
            try:
                unnamed = run_flow(
                    provider_spec,
                    stream_group.typed_tables.find_unselected(frozenset(stream.state.table_key for stream in tables)),
                )
            except ConnectorError as lookup_error:
                # Without an answer nothing shows that the table is complete.
                for stream in tables:
                    stream.fail(lookup_error)
                continue
            for stream in tables:
                if stream.state.table_key in unnamed:
                    error = ConfigError(
                        f"The settings no longer name {sanitize(stream.state.table_key)}, the template or document type of the "
                        f"stream {stream.name}. Refresh the connection's schema, or name it in {setting} again."
                    )
                    logger.warning("%s", error)
                    stream.fail(error)


def _load_stream_state(
    configured_stream: ConfiguredAirbyteStream,
    state_json: dict[str, Any],
    stream_state: StreamState,
    logger: logging.Logger,
) -> StreamState:
    """Take in the state of one stream, as far as it serves this sync.

    A full refresh starts anew, but resumes an earlier attempt of the same sync. The state of a full refresh serves no
    incremental sync, and the state of a typed table no other template: what was read of the one says nothing of the
    other.
    """
    name = configured_stream.stream.name
    if configured_stream.sync_mode is SyncMode.full_refresh:
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
    if state_json and state_json.get("of", "") != stream_state.table_key:
        logger.warning(
            "The stream %s belongs to another template or document type than before. It is read from the beginning; "
            "rows of the previous one remain until the stream is cleared.",
            name,
        )
        return stream_state
    return stream_state.load(state_json, name)
