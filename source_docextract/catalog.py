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

from .config import Settings
from .entries import Rules
from .errors import ConfigError, ConnectorError
from .messages import Tell
from .plain import plain
from .providers.base import Plan, Product, Script
from .state import Ledger
from .streams import Stream
from .tables import TABLES, Table, View
from .templates import Templates
from .typed import LostMarks, Typed, stream_of, table_names
from .values import GivenName, given_name


class _Found(NamedTuple):
    """What a stream is: its table, and the product that feeds it. `of` is the template of a typed table."""

    plan: Plan
    product: Product
    table: Table
    of: str = ""


class Selected(NamedTuple):
    """What `read` makes of the configured streams.

    Attributes:
        streams: those to be read, with what has been read of them.
        refused: by name, why a stream is not read though the settings give it.
    """

    streams: list[Stream]
    refused: Mapping[str, ConfigError]


def standard(planned: Sequence[Plan]) -> list[AirbyteStream]:
    """The streams whose columns are the same for everyone."""
    return [found.table.stream(found.product.streams) for found in _standard(planned)]


def _standard(planned: Sequence[Plan]) -> Iterator[_Found]:
    for plan in planned:
        for product in plan.products:
            yield from (_Found(plan, product, table) for table in TABLES if table.kind in product.kinds)


def configured(streams: Sequence[AirbyteStream], chosen: Sequence[str] | None = None) -> dict[str, Any]:
    """Return a configured catalog as JSON: each stream incremental, one row kept for each id.

    Args:
        chosen: names of streams, or patterns with `*`; all where it is None.

    Raises:
        ConfigError: for a name that no stream has.
    """
    names = [stream.name for stream in streams]
    for pattern in chosen or ():
        if not fnmatch.filter(names, pattern):
            raise ConfigError(f"There is no stream {pattern}. Name some of {', '.join(names)} in --streams.")
    found = ConfiguredAirbyteCatalog(
        streams=[
            ConfiguredAirbyteStream(
                stream=stream,
                sync_mode=SyncMode.incremental,
                destination_sync_mode=DestinationSyncMode.append_dedup,
                cursor_field=stream.default_cursor_field,
                primary_key=stream.source_defined_primary_key,
            )
            for stream in streams
            if not chosen or any(fnmatch.fnmatchcase(stream.name, pattern) for pattern in chosen)
        ]
    )
    document: dict[str, Any] = ConfiguredAirbyteCatalogSerializer.dump(found)
    return document


def typed(told: Mapping[str, Templates], names: tuple[str, ...], logger: logging.Logger) -> list[AirbyteStream]:
    """A stream for each template and document type.

    Args:
        told: by what its other streams begin with, what each provider tells.
        names: as the user wants them (`table_names`).
    """
    for templates in told.values():
        for trouble in templates.troubles:
            logger.warning("%s", trouble)
    given = list(map(given_name, names))
    try:
        called = table_names({product: templates.known for product, templates in told.items()}, given)
    except ValueError as trouble:
        raise ConfigError(f"{trouble}; name them by their ids.") from None
    for one in given:
        if one.table not in called.values():
            logger.warning("There is no template or document type %s/%s to be called %s.", *one)
    return [
        stream_of(product, template, called[product, template.of])
        for product, templates in told.items()
        for template in templates.known
    ]


def selected(
    settings: Settings,
    rules: Rules,
    planned: Sequence[Plan],
    catalog: ConfiguredAirbyteCatalog,
    *,
    manager: ConnectorStateManager,
    tell: Tell,
    logger: logging.Logger,
) -> Selected:
    """Return the streams to be read. Those that the settings do not give are left out."""
    available = {f"{found.product.streams}_{found.table.kind}": found for found in _standard(planned)}
    given = {one.table: one for one in map(given_name, settings.table_names)}
    streams = []
    refused: dict[str, ConfigError] = {}
    for chosen in catalog.streams:
        name = chosen.stream.name
        try:
            found = available.get(name) or (_typed(planned, chosen, given) if settings.typed_tables else None)
        except ConfigError as error:
            refused[name] = error
            continue
        if found:
            plan, product, table, of = found
            ledger = Ledger(
                rules,
                stream=name,
                watch=product.watch,
                links_watch=plan.feeds(product),
                of=of,
                only=product.typing.only(of) if of and product.typing else None,
            )
            ledger = _loaded(chosen, dict(manager.get_stream_state(name, None)), ledger, logger)
            view = View(product.streams, settings.keep_urls, product.notation)
            streams.append(Stream(name, product.name, table, view, ledger, tell))
    return Selected(streams, refused)


def _typed(planned: Sequence[Plan], chosen: ConfiguredAirbyteStream, given: Mapping[str, GivenName]) -> _Found | None:
    """Return a typed table, by what `discover` has written into its schema.

    Raises:
        ConfigError: where that is lost, or `table_names` gives the table to another template by now.
    """
    name = chosen.stream.name
    try:
        table = Typed.read(chosen.stream.json_schema)
    except LostMarks as reason:
        raise ConfigError(
            f"The schema of the stream {name} is not as it was discovered ({reason}). Refresh the connection's schema."
        ) from None
    if table is None:
        return None
    wanted = given.get(name)
    if wanted and table.name and (wanted.provider, wanted.of) not in _names_of(table):
        raise ConfigError(
            f"The stream {name} is a table of {plain(table.name)} in the connection's schema, and of "
            f"{plain(wanted.of)} in table_names. Refresh the connection's schema."
        )
    for plan in planned:
        for product in plan.products:
            if product.typing and product.streams == table.product:
                return _Found(plan, product, table.table(product.typing.of), table.of)
    return None


def _names_of(table: Typed) -> set[tuple[str, str]]:
    """Return what an entry of `table_names` may call the template of a table."""
    return {(table.product, table.of), (table.product, table.name)}


def fail_unnamed(
    planned: Sequence[Plan],
    streams: Sequence[Stream],
    ask: Callable[[Plan, Script[frozenset[str]]], frozenset[str]],
    logger: logging.Logger,
) -> None:
    """Fail the typed tables whose template the settings no longer name: no row of theirs would ever come again.

    Args:
        ask: runs a script against a provider. Most of these ask for nothing: see `Typing.unnamed`.
    """
    for plan in planned:
        for product in plan.products:
            tables = [stream for stream in streams if stream.product == product.name and stream.ledger.of]
            if not tables or not product.typing:
                continue
            setting = product.typing.setting
            try:
                unnamed = ask(plan, product.typing.unnamed(frozenset(stream.ledger.of for stream in tables)))
            except ConnectorError as trouble:
                # Without an answer nothing shows that the table is complete.
                for stream in tables:
                    stream.fail(trouble)
                continue
            for stream in tables:
                if stream.ledger.of in unnamed:
                    error = ConfigError(
                        f"The settings no longer name {plain(stream.ledger.of)}, the template or document type of the "
                        f"stream {stream.name}. Refresh the connection's schema, or name it in {setting} again."
                    )
                    logger.warning("%s", error)
                    stream.fail(error)


def _loaded(
    chosen: ConfiguredAirbyteStream, document: dict[str, Any], ledger: Ledger, logger: logging.Logger
) -> Ledger:
    """Take in the state of one stream, as far as it serves this sync.

    A full refresh starts anew, but resumes an earlier attempt of the same sync. The state of a full refresh serves no
    incremental sync, and the state of a typed table no other template: what was read of the one says nothing of the
    other.
    """
    name = chosen.stream.name
    if chosen.sync_mode is SyncMode.full_refresh:
        ledger.is_full_refresh, ledger.sync_id = True, chosen.sync_id
        if not ledger.resumes(document):
            return ledger
    elif "full_refresh" in document:
        logger.warning(
            "The state of %s is that of a full refresh, which an incremental sync cannot continue. The stream is read "
            "from the beginning, once.",
            name,
        )
        return ledger
    if document and document.get("of", "") != ledger.of:
        logger.warning(
            "The stream %s belongs to another template or document type than before. It is read from the beginning; "
            "rows of the one before stay until the stream is cleared.",
            name,
        )
        return ledger
    return ledger.load(document, name)
