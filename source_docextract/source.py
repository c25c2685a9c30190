"""The Airbyte source: the verbs spec, check, discover and read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, MutableMapping
from datetime import datetime, timedelta, timezone
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

from . import input_files
from .catalog import build_typed_streams, fail_unnamed_tables, list_standard_streams, select_streams
from .core.errors import ConfigError, ConnectorError, build_unexpected_error
from .core.provider import ProviderSpec, Registry
from .explicit_ids import check_named_ids, collect_mentions
from .http.client import Client
from .http.network import Internet, Network, OutcomeQueue
from .http.rate_limit import RetryPolicy
from .provider_specs import build_specs
from .registry.opening import read_registry
from .settings import Settings
from .spec import build_connection_spec
from .state.entries import SyncPolicy
from .state.state_messages import merge_state_messages
from .sync import engine, messages
from .sync.checkpoints import Checkpoints, StateSizeMonitor
from .sync.flow_runner import Completion, run_flow
from .sync.provider_sync import ProviderSync
from .sync.shutdown import Shutdown
from .sync.stream import Stream

DOCUMENTATION_URL = "https://docs.airbyte.com/platform/operator-guides/using-custom-connectors"
"""Airbyte's page about connectors that a user adds as an image, such as this one.

The connector's own documentation (`docs/`) has no URL until the project is published. Then its URL belongs here and in
the same line of `metadata.yaml`.
"""


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(timezone.utc)


class SourceDocextract(Source):
    """The source of batches, files and results from document-extraction APIs.

    Args:
        now: the clock. Everything that depends on the time of day calls it, so tests can freeze it.
        retry_policy: how often and how long to retry requests; the default policy if None.
        network: the way to the providers; the internet if None.

    Attributes:
        shutdown: the stop that a signal or a closed pipe requests.
        make_messages: makes the messages of a stream's records. The command line sets `make_record_lines`, which
            prints them faster.
    """

    def __init__(
        self,
        now: Callable[[], datetime] = utc_now,
        retry_policy: RetryPolicy | None = None,
        network: Network | None = None,
    ) -> None:
        self._now = now
        self._retry_policy = retry_policy or RetryPolicy()
        self._network = network or Internet()
        self.shutdown = Shutdown()
        self.make_messages: messages.MessageFactory = messages.make_record_messages

    @property
    def name(self) -> str:
        """The connector's name in Airbyte."""
        return "source-docextract"

    @staticmethod
    def read_config(config_path: str) -> MutableMapping[str, Any]:
        """Return the settings from a file.

        Raises:
            AirbyteTracedException: if the file cannot be read, as a config error.
        """
        with messages.convert_errors():
            return input_files.read_settings(config_path)

    @classmethod
    def read_catalog(cls, catalog_path: str) -> ConfiguredAirbyteCatalog:
        """Return the configured catalog from a file.

        Raises:
            AirbyteTracedException: if the file cannot be read, as a config error.
        """
        with messages.convert_errors():
            return input_files.read_catalog(catalog_path)

    @classmethod
    def read_state(cls, state_path: str | None) -> list[AirbyteStateMessage]:
        """Return the states from a file, an empty list without one.

        Raises:
            AirbyteTracedException: if the file cannot be read, as a config error.
        """
        with messages.convert_errors():
            return input_files.read_states(state_path)

    def spec(self, logger: logging.Logger) -> ConnectorSpecification:
        """Return the specification of the settings."""
        return ConnectorSpecification(
            connectionSpecification=build_connection_spec(),
            documentationUrl=DOCUMENTATION_URL,
            supportsIncremental=True,
            supported_destination_sync_modes=[
                DestinationSyncMode.overwrite,
                DestinationSyncMode.append,
                DestinationSyncMode.append_dedup,
            ],
        )

    def check(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteConnectionStatus:
        """Return whether the credentials work and the named templates are known.

        All problems are reported in one message: the user can correct them in one go. A broken registry does not keep
        the providers from being checked.

        Raises:
            AirbyteTracedException: for an unexpected exception.
        """
        try:
            settings = Settings.parse(config, logger)
        except ConfigError as error:
            return AirbyteConnectionStatus(status=Status.FAILED, message=str(error))
        error_texts = []
        with self.shutdown.interruptible_wait():
            try:
                provider_specs = build_specs(settings, _load_registry(settings, logger))
            except ConfigError as error:
                # Checked without the registry's batches, so that the user sees wrong keys in the same message.
                provider_specs, error_texts = build_specs(settings), [str(error)]
            for provider_spec in provider_specs:
                try:
                    self._check_provider(provider_spec, settings, logger)
                except ConnectorError as error:
                    error_texts.append(str(error))
                except Exception as exception:
                    # `from None`: the exception's own text may quote extracted data.
                    raise messages.as_traced_exception(build_unexpected_error(exception)) from None
        if error_texts:
            return AirbyteConnectionStatus(status=Status.FAILED, message=" ".join(error_texts))
        return AirbyteConnectionStatus(status=Status.SUCCEEDED)

    def discover(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteCatalog:
        """Return the streams of the configured providers.

        Only typed tables need requests: they look up the providers' templates.

        Raises:
            AirbyteTracedException: if settings, registry or templates cannot be read.
        """
        try:
            settings = Settings.parse(config, logger)
            if not settings.typed_tables:
                # The standard streams depend on whether there is a registry, not on its rows: it is not opened.
                provider_specs = build_specs(settings, Registry() if settings.batch_registry else None)
                return AirbyteCatalog(streams=list_standard_streams(provider_specs))
            with self.shutdown.interruptible_wait():
                provider_specs = build_specs(settings, _load_registry(settings, logger))
                templates_by_prefix = {}
                for provider_spec in provider_specs:
                    for stream_group in provider_spec.stream_groups:
                        if stream_group.typed_tables:
                            templates_by_prefix[stream_group.stream_prefix] = run_flow(
                                stream_group.typed_tables.discover_templates(),
                                self._make_client(provider_spec, settings, logger),
                            )
            typed_streams = build_typed_streams(templates_by_prefix, settings.table_names, logger)
            return AirbyteCatalog(streams=[*list_standard_streams(provider_specs), *typed_streams])
        except Exception as error:
            connector_error = error if isinstance(error, ConnectorError) else build_unexpected_error(error)
            raise messages.as_traced_exception(connector_error) from None

    def read(
        self,
        logger: logging.Logger,
        config: Mapping[str, Any],
        catalog: ConfiguredAirbyteCatalog,
        state: list[AirbyteStateMessage] | None = None,
    ) -> Generator[AirbyteMessage, None, None]:
        """Yield the messages of one sync.

        Each configured stream gets exactly one terminal status, on every path. A failure of one product or provider
        does not keep the others from being synced.

        Args:
            logger: gets the warnings and the summary.
            config: the settings as JSON.
            catalog: the streams to sync.
            state: the states of the last sync; None or empty to read everything.

        Raises:
            AirbyteTracedException: at the end, if a stream is incomplete, or at once for settings or a state that
                cannot be read.
        """
        # STARTED comes before anything can fail, so that each stream's terminal status follows a start on every path.
        for configured_stream in catalog.streams:
            yield messages.make_status_message(configured_stream.stream.name, AirbyteStreamStatus.STARTED)
        streams: list[Stream] = []
        ended_names: set[str] = set()  # the streams that have their terminal status
        errors_by_stream: Mapping[str, ConfigError] = {}
        try:
            settings = Settings.parse(config, logger)
            state_manager = ConnectorStateManager(merge_state_messages(state))
            with self.shutdown.interruptible_wait():
                provider_specs = build_specs(settings, _load_registry(settings, logger))
            policy = _make_policy(settings)
            streams, errors_by_stream = select_streams(
                settings,
                policy,
                provider_specs,
                catalog,
                state_manager=state_manager,
                make_messages=self.make_messages,
                logger=logger,
            )
            yield from self._end_absent_streams(catalog, streams, errors_by_stream, ended_names, logger)
            with self.shutdown.interruptible_wait():
                fail_unnamed_tables(
                    provider_specs,
                    streams,
                    lambda provider_spec, flow: run_flow(flow, self._make_client(provider_spec, settings, logger)),
                    logger,
                )
            yield from self._run_sync(
                settings, policy, provider_specs, streams=streams, state_manager=state_manager, logger=logger
            )
        except GeneratorExit:
            raise  # the caller has stopped reading, so nothing may be yielded any more
        except BaseException as error:  # a stop (SystemExit) too: Airbyte waits for each stream's terminal status
            ended_names |= {stream.name for stream in streams if stream.has_ended}
            for configured_stream in catalog.streams:
                if configured_stream.stream.name not in ended_names:
                    yield messages.make_status_message(configured_stream.stream.name, AirbyteStreamStatus.INCOMPLETE)
            if isinstance(error, Exception):
                connector_error = error if isinstance(error, ConnectorError) else build_unexpected_error(error)
                raise messages.as_traced_exception(connector_error) from None
            raise
        errors = [stream.error for stream in streams if stream.error]
        errors.extend(errors_by_stream.values())
        if absent_names := sorted(ended_names - errors_by_stream.keys()):
            # One error for each incomplete stream: `_combine_errors` counts them.
            errors += [_make_absent_error(absent_names)] * len(absent_names)
        if errors:
            raise messages.as_traced_exception(_combine_errors(errors, len(catalog.streams))) from None

    def _run_sync(
        self,
        settings: Settings,
        policy: SyncPolicy,
        provider_specs: list[ProviderSpec],
        *,
        streams: list[Stream],
        state_manager: ConnectorStateManager,
        logger: logging.Logger,
    ) -> Iterator[AirbyteMessage]:
        # One queue for all providers, so that the outcome of one never waits for a slower one.
        completions: OutcomeQueue[Completion] = self._network.create_queue()
        # One monitor for all streams: Airbyte sends their newest states in one request, and its server takes 10 MB.
        size_monitor = StateSizeMonitor(logger)
        provider_syncs = []
        for provider_spec in provider_specs:
            product_names = {stream_group.name for stream_group in provider_spec.stream_groups}
            provider_streams = [stream for stream in streams if stream.product_name in product_names]
            if provider_streams:  # a provider without a selected stream gets no request, not even a login
                provider_syncs.append(
                    ProviderSync(
                        provider_spec,
                        provider_streams,
                        client=self._make_client(provider_spec, settings, logger),
                        completions=completions,
                        checkpoints=Checkpoints(provider_streams, state_manager, size_monitor, self._network.monotonic),
                        policy=policy,
                        now=self._now,
                        logger=logger,
                    )
                )
        yield from engine.run(provider_syncs, completions, self.shutdown)

    @staticmethod
    def _end_absent_streams(
        catalog: ConfiguredAirbyteCatalog,
        streams: list[Stream],
        errors_by_stream: Mapping[str, ConfigError],
        ended_names: set[str],
        logger: logging.Logger,
    ) -> Iterator[AirbyteMessage]:
        """End the streams that cannot be read.

        The provider of such a stream may have been removed from the settings.

        They end INCOMPLETE: a COMPLETE stream with 0 rows would hide that nothing was read. Their names are added to
        `ended_names`.
        """
        present_names = {stream.name for stream in streams}
        for configured_stream in catalog.streams:
            name = configured_stream.stream.name
            if name not in present_names:
                ended_names.add(name)
                error = errors_by_stream.get(name) or _make_absent_error([name])
                logger.warning("%s", error)
                yield messages.make_error_message(name, error)
                yield messages.make_status_message(name, AirbyteStreamStatus.INCOMPLETE)

    def _make_client(self, provider_spec: ProviderSpec, settings: Settings, logger: logging.Logger) -> Client:
        return Client(
            provider_spec.error_format,
            provider_spec.base_url,
            headers=provider_spec.headers,
            login=provider_spec.login,
            spacing=provider_spec.spacing,
            max_in_flight=settings.max_in_flight,
            retry_policy=self._retry_policy,
            network=self._network,
            now=self._now,
            logger=logger,
        )

    def _check_provider(self, provider_spec: ProviderSpec, settings: Settings, logger: logging.Logger) -> None:
        # Atlas's check sends no request of its own: the login proves the credentials, even where no batch is named yet.
        run_flow(
            check_named_ids(provider_spec, collect_mentions(settings)),
            self._make_client(provider_spec, settings, logger),
            must_log_in=True,
        )


def _make_policy(settings: Settings) -> SyncPolicy:
    return SyncPolicy(
        lookback=timedelta(days=settings.lookback_days),
        give_up_after=timedelta(days=settings.give_up_after_days),
        start_date=settings.start_date,
        looks_every_sync=settings.lookback_checks == "every_sync",
    )


def _load_registry(settings: Settings, logger: logging.Logger) -> Registry | None:
    if settings.batch_registry is None:
        return None
    product_names = {
        stream_group.name
        for provider_spec in build_specs(settings, Registry())
        for stream_group in provider_spec.stream_groups
    }
    registry = read_registry(settings.batch_registry.url, product_names, settings.batch_registry.credentials)
    if registry.skipped_rows:
        skipped_rows = ", ".join(f"{count} of {provider}" for provider, count in sorted(registry.skipped_rows.items()))
        logger.warning(
            "The batch registry has rows of providers that are not set up. These rows are ignored: %s.", skipped_rows
        )
    return registry


def _make_absent_error(stream_names: list[str]) -> ConfigError:
    return ConfigError(
        f"The settings produce no stream {', '.join(stream_names)}. "
        "Set up its provider again, or refresh the connection's schema."
    )


def _combine_errors(errors: list[ConnectorError], stream_count: int) -> ConnectorError:
    """Return the error that ends a sync with incomplete streams, with all reasons.

    A config error comes first and decides the failure type: it is the one that only the user can resolve.

    Args:
        errors: the error of each incomplete stream; several streams may have the same.
        stream_count: the number of configured streams.
    """
    first_error = next((error for error in errors if isinstance(error, ConfigError)), errors[0])
    reasons = " ".join(dict.fromkeys(str(error) for error in (first_error, *errors)))
    count_text = (
        f"{len(errors)} of {stream_count} streams are incomplete" if stream_count > 1 else "The stream is incomplete"
    )
    remainder_text = "; the others are complete" if len(errors) < stream_count else ""
    combined_error = ConnectorError(f"{count_text}{remainder_text}. {reasons}")
    combined_error.failure_type = first_error.failure_type
    return combined_error
