"""Airbyte's four verbs: spec, check, discover, read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from datetime import datetime, timedelta, timezone
from queue import SimpleQueue
from typing import Any

from airbyte_cdk.models import (
    AirbyteCatalog,
    AirbyteConnectionStatus,
    AirbyteMessage,
    AirbyteStateMessage,
    AirbyteStreamStatus,
    ConfiguredAirbyteCatalog,
    ConnectorSpecification,
    DestinationSyncMode,
    Status,
)
from airbyte_cdk.sources import Source
from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager

from . import engine, files, messages
from .asking import answered
from .catalog import fail_unnamed, selected, standard, typed
from .config import Settings
from .entries import Rules
from .errors import ConfigError, ConnectorError, unforeseen
from .http import Client
from .named_ids import checked, mentions
from .pacing import Patience
from .providers import plans
from .providers.base import Plan
from .registry import Registry, read_registry
from .scripts import Arrival
from .spec import connection_specification
from .state_messages import by_stream
from .stopping import Stop
from .streams import Checkpoints, StateSize, Stream
from .visit import Visit

DOCUMENTATION = "https://docs.airbyte.com/platform/operator-guides/using-custom-connectors"
"""Airbyte's page about connectors that are brought in as an image, such as this one. Its own documentation is `docs/`,
which has no address as long as the project is not published: then this, and the same line of metadata.yaml, name it."""


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


class SourceDocextract(Source):
    """Batches, files and extracted results out of document-extraction APIs.

    Args:
        now: the clock; all that depends on the time of day asks it.
        patience: how long to keep trying when a provider is in trouble.
    """

    def __init__(self, now: Callable[[], datetime] = utc_now, patience: Patience | None = None) -> None:
        self._now = now
        self._patience = patience or Patience()
        self.stop = Stop()
        self.tell = messages.records

    @property
    def name(self) -> str:
        return "source-docextract"

    @staticmethod
    def read_config(config_path: str) -> MutableMapping[str, Any]:
        with messages.tracing():
            return files.read_settings(config_path)

    @classmethod
    def read_catalog(cls, catalog_path: str) -> ConfiguredAirbyteCatalog:
        with messages.tracing():
            return files.read_catalog(catalog_path)

    @classmethod
    def read_state(cls, state_path: str | None) -> list[AirbyteStateMessage]:
        with messages.tracing():
            return files.read_states(state_path)

    def spec(self, logger: logging.Logger) -> ConnectorSpecification:
        return ConnectorSpecification(
            connectionSpecification=connection_specification(),
            documentationUrl=DOCUMENTATION,
            supportsIncremental=True,
            supported_destination_sync_modes=[
                DestinationSyncMode.overwrite,
                DestinationSyncMode.append,
                DestinationSyncMode.append_dedup,
            ],
        )

    def check(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteConnectionStatus:
        """Asks each provider something cheap that proves the credentials, and for each template that is named."""
        try:
            settings = Settings.parse(config, logger)
        except ConfigError as error:
            return AirbyteConnectionStatus(status=Status.FAILED, message=str(error))
        troubles = []
        with self.stop.waiting():
            try:
                planned = plans(settings, _registry(settings, logger))
            except ConfigError as error:
                planned, troubles = plans(settings), [str(error)]
            for plan in planned:
                try:
                    self._prove(plan, settings, logger)
                except ConnectorError as error:
                    troubles.append(str(error))
                except Exception as bug:
                    raise messages.traced(unforeseen(bug)) from None
        if troubles:
            return AirbyteConnectionStatus(status=Status.FAILED, message=" ".join(troubles))
        return AirbyteConnectionStatus(status=Status.SUCCEEDED)

    def discover(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteCatalog:
        """The streams of what is set up. Asks nobody, but for what typed tables are made of."""
        try:
            settings = Settings.parse(config, logger)
            if not settings.typed_tables:
                planned = plans(settings, Registry() if settings.batch_registry else None)
                return AirbyteCatalog(streams=standard(planned))
            with self.stop.waiting():
                planned = plans(settings, _registry(settings, logger))
                asked = [
                    (product.streams, answered(product.typing.templates(), self._client(plan, settings, logger)))
                    for plan in planned
                    for product in plan.products
                    if product.typing
                ]
            return AirbyteCatalog(streams=[*standard(planned), *typed(dict(asked), settings.table_names, logger)])
        except Exception as error:
            raise messages.traced(error if isinstance(error, ConnectorError) else unforeseen(error)) from None

    def read(
        self,
        logger: logging.Logger,
        config: Mapping[str, Any],
        catalog: ConfiguredAirbyteCatalog,
        state: list[AirbyteStateMessage] | None = None,
    ) -> Iterator[AirbyteMessage]:
        """Delivers what is due. Each configured stream gets exactly one terminal status, whatever happens.

        Raises:
            AirbyteTracedException: at the end, if a stream is incomplete; everything else has been synced by then.
        """
        for configured in catalog.streams:
            yield messages.status(configured.stream.name, AirbyteStreamStatus.STARTED)
        streams: list[Stream] = []
        ended: set[str] = set()
        refused: Mapping[str, ConfigError] = {}
        try:
            settings = Settings.parse(config, logger)
            manager = ConnectorStateManager(by_stream(state))
            with self.stop.waiting():
                planned = plans(settings, _registry(settings, logger))
            rules = _rules(settings)
            streams, refused = selected(
                settings, rules, planned, catalog, manager=manager, tell=self.tell, logger=logger
            )
            yield from self._absent(catalog, streams, refused, ended, logger)
            with self.stop.waiting():
                fail_unnamed(
                    planned,
                    streams,
                    lambda plan, script: answered(script, self._client(plan, settings, logger)),
                    logger,
                )
            yield from self._sync(settings, rules, planned, streams=streams, manager=manager, logger=logger)
        except GeneratorExit:
            raise
        except BaseException as error:
            ended |= {stream.name for stream in streams if stream.ended}
            for configured in catalog.streams:
                if configured.stream.name not in ended:
                    yield messages.status(configured.stream.name, AirbyteStreamStatus.INCOMPLETE)
            if isinstance(error, Exception):
                raise messages.traced(error if isinstance(error, ConnectorError) else unforeseen(error)) from None
            raise
        troubles = [stream.trouble for stream in streams if stream.trouble]
        troubles.extend(refused.values())
        if absent := sorted(ended - refused.keys()):
            troubles += [_not_set_up(absent)] * len(absent)  # each of them is one that is incomplete
        if troubles:
            raise messages.traced(_summed_up(troubles, len(catalog.streams))) from None

    def _sync(
        self,
        settings: Settings,
        rules: Rules,
        planned: list[Plan],
        *,
        streams: list[Stream],
        manager: ConnectorStateManager,
        logger: logging.Logger,
    ) -> Iterator[AirbyteMessage]:
        arrivals: SimpleQueue[Arrival] = SimpleQueue()
        size = StateSize(logger)
        visits = []
        for plan in planned:
            products = {product.name for product in plan.products}
            own = [stream for stream in streams if stream.product in products]
            if own:
                visits.append(
                    Visit(
                        plan,
                        own,
                        client=self._client(plan, settings, logger),
                        arrivals=arrivals,
                        checkpoints=Checkpoints(own, manager, size),
                        rules=rules,
                        now=self._now,
                        logger=logger,
                    )
                )
        yield from engine.run(visits, arrivals, self.stop)

    @staticmethod
    def _absent(
        catalog: ConfiguredAirbyteCatalog,
        streams: list[Stream],
        refused: Mapping[str, ConfigError],
        ended: set[str],
        logger: logging.Logger,
    ) -> Iterator[AirbyteMessage]:
        """End the streams that cannot be read, as after a provider was removed from the settings."""
        present = {stream.name for stream in streams}
        for configured in catalog.streams:
            name = configured.stream.name
            if name not in present:
                ended.add(name)
                error = refused.get(name) or _not_set_up([name])
                logger.warning("%s", error)
                yield messages.trouble(name, error)
                yield messages.status(name, AirbyteStreamStatus.INCOMPLETE)

    def _client(self, plan: Plan, settings: Settings, logger: logging.Logger) -> Client:
        return Client(
            plan.dialect,
            plan.base_url,
            headers=plan.headers,
            login=plan.login,
            spacing=plan.spacing,
            max_in_flight=settings.max_in_flight,
            patience=self._patience,
            now=self._now,
            logger=logger,
        )

    def _prove(self, plan: Plan, settings: Settings, logger: logging.Logger) -> None:
        answered(checked(plan, mentions(settings)), self._client(plan, settings, logger), log_in=True)


def _rules(settings: Settings) -> Rules:
    return Rules(
        lookback=timedelta(days=settings.lookback_days),
        give_up_after=timedelta(days=settings.give_up_after_days),
        start_date=settings.start_date,
    )


def _registry(settings: Settings, logger: logging.Logger) -> Registry | None:
    if settings.batch_registry is None:
        return None
    products = {product.name for plan in plans(settings, Registry()) for product in plan.products}
    registry = read_registry(settings.batch_registry.url, products, settings.batch_registry.credentials)
    if registry.passed_over:
        rows = ", ".join(f"{count} of {provider}" for provider, count in sorted(registry.passed_over.items()))
        logger.warning("The batch registry has rows of providers that are not set up; they are passed over: %s.", rows)
    return registry


def _not_set_up(names: list[str]) -> ConfigError:
    return ConfigError(
        f"The settings give no stream {', '.join(names)}: set up its provider again, or refresh the connection's "
        "schema."
    )


def _summed_up(troubles: list[ConnectorError], streams: int) -> ConnectorError:
    """One error for the end of a sync: the first reason, in the class that asks most of the user.

    `troubles` are those of the incomplete streams, one for each of them; several may have the same.
    """
    first = next((trouble for trouble in troubles if isinstance(trouble, ConfigError)), troubles[0])
    reasons = " ".join(dict.fromkeys(str(trouble) for trouble in (first, *troubles)))
    count = f"{len(troubles)} of {streams} streams are incomplete" if streams > 1 else "The stream is incomplete"
    rest = "; all else was synced" if len(troubles) < streams else ""
    summary = ConnectorError(f"{count}{rest}. {reasons}")
    summary.failure_type = first.failure_type
    return summary
