"""The command line: Airbyte's four verbs, `catalog` and `probe`.

The module also prepares the process: buffered output, signal handlers, and an end within seconds after a stop.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import logging
import os
import select
import signal
import stat
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import TextIOWrapper
from typing import Any, NoReturn

from airbyte_cdk.entrypoint import AirbyteEntrypoint
from airbyte_cdk.logger import AirbyteLogFormatter, is_platform_debug_log_enabled
from airbyte_cdk.models import AirbyteMessage, AirbyteStateStats, ConnectorSpecification, Type
from airbyte_cdk.utils.airbyte_secrets_utils import get_secrets, update_secrets
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from . import arguments
from .catalog import build_configured_catalog
from .core.errors import ConfigError
from .core.redaction import MIN_SECRET_LENGTH, SanitizingFilter, register_secrets
from .core.secret_parts import list_secret_parts
from .settings import Settings
from .source import SourceDocextract
from .sync import messages
from .sync.shutdown import Shutdown

_STDOUT_FD = 1

_BUFFER_SIZE = 1 << 16

_GRACE_SECONDS = 3.0
"""Seconds from a stop request to the end of the process, whatever it is doing. The promise is 5 seconds in all."""


class Entrypoint(AirbyteEntrypoint):
    """The CDK's entrypoint with sanitized logs, more verbs and faster records.

    It validates settings with their pydantic models: the CDK's messages, made from the JSON schema, do not name the
    setting.
    """

    def __init__(self, source: SourceDocextract) -> None:
        super().__init__(source)
        source.make_messages = messages.make_record_lines
        for handler in logging.getLogger().handlers:
            if isinstance(handler.formatter, AirbyteLogFormatter):
                handler.addFilter(SanitizingFilter())

    @staticmethod
    def parse_args(args: Sequence[str]) -> argparse.Namespace:
        """Parse the arguments, with the connector's own help."""
        return arguments.parse_arguments(args)

    def run(self, parsed_args: argparse.Namespace) -> Iterator[str]:
        """Yield the output lines of one verb.

        The CDK's method does the same inside a temporary folder, into which it writes the settings, keys included. A
        container with a read-only root file system has no such folder, and the connector does not need it.
        """
        is_verbose = parsed_args.debug or is_platform_debug_log_enabled()
        for logger in (logging.getLogger("airbyte"), self.logger):
            logger.setLevel(logging.DEBUG if is_verbose else logging.INFO)
        spec = self.source.spec(self.logger)
        if parsed_args.command == "spec":
            yield self.airbyte_message_to_string(AirbyteMessage(type=Type.SPEC, spec=spec))
            return
        config = self.source.read_config(parsed_args.config)
        if parsed_args.command == "catalog":
            yield self._render_catalog(spec, config, parsed_args.streams)
        else:
            yield from map(self.airbyte_message_to_string, self._run_verb(spec, config, parsed_args))

    def _run_verb(
        self, spec: ConnectorSpecification, config: Any, parsed_args: argparse.Namespace
    ) -> Iterable[AirbyteMessage]:
        if parsed_args.command == "check":
            return self.check(spec, config)
        if parsed_args.command == "discover":
            return self.discover(spec, config)
        catalog, state = self.source.read_catalog(parsed_args.catalog), self.source.read_state(parsed_args.state)
        return self.read(spec, config, catalog, state)

    def _render_catalog(self, spec: ConnectorSpecification, config: Any, patterns: Sequence[str] | None) -> str:
        """Return a configured catalog as indented JSON.

        Users remove streams from it.
        """
        self.set_up_secret_filter(config, spec.connectionSpecification)
        self.validate_connection(spec, config)
        streams = self.source.discover(self.logger, config).streams
        with messages.convert_errors():
            return json.dumps(build_configured_catalog(streams, patterns), indent=2, ensure_ascii=False)

    def read(
        self, source_spec: ConnectorSpecification, config: Any, catalog: Any, state: list[Any]
    ) -> Iterator[AirbyteMessage]:
        """Yield the messages of a sync, except for records.

        Records are counted and written to standard output here.

        The CDK builds and serializes an object for each record, which would cost more than making the record.
        """
        self.set_up_secret_filter(config, source_spec.connectionSpecification)
        self.validate_connection(source_spec, config)
        counts: Counter[str] = Counter()
        for message in self.source.read(self.logger, config, catalog, state):
            if isinstance(message, messages.RecordLines):
                # The monitor measures the memory at every n-th call, so it is called for each record, as in the CDK.
                for _ in range(message.record_count):
                    self._memory_monitor.check_memory_usage()
                counts[message.stream_name] += message.record_count
                sys.stdout.buffer.write(message.payload)
                continue
            self._memory_monitor.check_memory_usage()
            if message.state and message.state.stream:
                # The CDK's entrypoint adds these counts in its `read`, which this method replaces.
                count = counts.pop(message.state.stream.stream_descriptor.name, 0)
                message.state.sourceStats = AirbyteStateStats(recordCount=float(count))
            yield message

    @staticmethod
    def validate_connection(source_spec: ConnectorSpecification, config: Any) -> None:  # noqa: ARG004 (the CDK's)
        """Validate the settings.

        Raises:
            AirbyteTracedException: for invalid settings, as a config error with one sentence for each.
        """
        try:
            Settings.parse(config)
        except ConfigError as error:
            raise messages.as_traced_exception(error) from None

    @staticmethod
    def set_up_secret_filter(config: Any, connection_specification: Mapping[str, Any]) -> None:
        """Register the secrets in the settings.

        The CDK and the connector then mask them in all output.

        Values that are too short to be a key are left out: the filter would mask them in the middle of words.
        """
        # No setting in a list is a secret. The CDK would walk through all of them once for each secret: a second of CPU
        # time for 10,000 batch ids.
        all_secrets = get_secrets(connection_specification, _drop_lists(config))
        secrets = [secret for secret in all_secrets if isinstance(secret, str) and len(secret) >= MIN_SECRET_LENGTH]
        update_secrets(secrets)
        register_secrets(*(part for secret in secrets for part in list_secret_parts(secret)))


def _drop_lists(config: Any) -> Any:
    """Return settings without lists."""
    if not isinstance(config, Mapping):
        return config
    return {name: _drop_lists(value) for name, value in config.items() if not isinstance(value, list)}


def main(source: SourceDocextract | None = None) -> NoReturn:
    """Run one command and end the process, within seconds after a stop request.

    The process ends by `os._exit` or by the signal, so that no thread that still waits for a response can hold it.

    Args:
        source: the source to run; tests pass one with another clock.
    """
    _prepare_output()
    shutdown = Shutdown(on_wait=sys.stdout.flush)  # Airbyte sees each message before the connector waits for a response
    _install_stop_handlers(shutdown)
    # The thread of requests gets its turn every 3 ms instead of 5, so that it takes in responses and sends requests
    # while the main thread makes rows.
    sys.setswitchinterval(0.003)
    # Responses live until their batch is read and have no reference cycles, so seldom collections save a fifth of the
    # CPU time.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    exit_code = 0
    has_human_output = False
    try:
        if sys.argv[1:2] == ["probe"]:
            from .probe.command import main as run_probe  # noqa: PLC0415 (no other verb needs it)

            sys.exit(run_probe(sys.argv[2:]))
        parsed_args = arguments.parse_arguments(sys.argv[1:] or ["--help"])
        has_human_output = parsed_args.command == "catalog"
        source = source or SourceDocextract()
        source.shutdown = shutdown
        if has_human_output:
            _log_as_text()
        entrypoint = Entrypoint(source)
        for message in entrypoint.run(parsed_args):
            sys.stdout.buffer.write(messages.escape_line_separators(message.encode()) + b"\n")
    except SystemExit as system_exit:
        exit_code = system_exit.code if isinstance(system_exit.code, int) else 1
    except BrokenPipeError:
        exit_code = 1
    except Exception as error:
        exit_code = 1
        if has_human_output and isinstance(error, AirbyteTracedException):
            print(f"source-docextract: {error}", file=sys.stderr)
        else:
            sys.excepthook(*sys.exc_info())  # the CDK's hook, which prints a trace message
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        exit_code = 1
    if shutdown.signal_number is not None:
        _terminate_by_signal(shutdown.signal_number)
    # A normal exit of Python would wait for threads that resolve a host name, and would leave further signals to the
    # system's default action.
    os._exit(exit_code if shutdown.exit_code is None else shutdown.exit_code)


def _log_as_text() -> None:
    """Write warnings as text to standard error.

    Users redirect standard output into a JSON file.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)
            handler.setLevel(logging.WARNING)
            handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
            handler.addFilter(SanitizingFilter())


def _terminate_by_signal(signal_number: int) -> NoReturn:
    """End the process by the signal that requested the stop.

    Its parent then sees that the signal worked.

    PyAirbyte accepts only 0 and −15 as exit codes. Process 1 of a container survives signals with the default action,
    so it exits with the code that shells show for the signal (128 + n).
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal_number, signal.SIG_DFL)
    else:
        # Python lets only the main thread set handlers, and the main thread does not react.
        ctypes.CDLL(None).signal(signal_number, ctypes.c_void_p(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal_number})
    signal.raise_signal(signal_number)
    os._exit(128 + signal_number)


def _prepare_output() -> None:
    """Replace standard output by a buffered stream, and silence the logs of libraries."""
    logging.raiseExceptions = False  # a closed pipe would cause a traceback for each log line
    # These libraries log unusual responses and broken connections at length. The client's own errors cover both.
    for logger_name in ("aiohttp", "asyncio", "urllib3"):
        logging.getLogger(logger_name).setLevel(logging.CRITICAL)
    if sys.__stdout__ is None:
        sys.exit("There is no standard output to write to.")
    # With PYTHONUNBUFFERED, Python loses the rest of a write that a signal interrupts.
    stdout_buffer = open(_STDOUT_FD, "wb", buffering=_BUFFER_SIZE, closefd=False)  # noqa: SIM115 (open until the end)
    # `write_through` keeps the order: log lines pass through the text layer, records go to the buffer directly.
    stdout_text = TextIOWrapper(stdout_buffer, encoding="utf-8", write_through=True)
    sys.stdout = sys.__stdout__ = stdout_text  # type: ignore[misc] # the CDK's log handler writes to the latter


def _install_stop_handlers(shutdown: Shutdown) -> None:
    """Make signals and a closed pipe request a stop.

    A second thread watches for both and ends the process if the main thread does not react in time.
    """
    # SIGINT is set explicitly, since a shell that starts the process in the background has it ignored.
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda signal_number, _frame: shutdown.request(128 + signal_number))
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    signal.set_wakeup_fd(write_fd)
    threading.Thread(target=_watch_stop_requests, args=(shutdown, read_fd), daemon=True).start()


def _watch_stop_requests(shutdown: Shutdown, read_fd: int) -> None:
    """Wait for a signal or a closed pipe, then stop the process.

    The main thread is woken first. The process ends after the grace period if the main thread does not end it.
    """
    poller = select.poll()
    poller.register(read_fd, select.POLLIN)
    # The reader of a pipe can go away. PyAirbyte does so as soon as it has its answer.
    if stat.S_ISFIFO(os.fstat(_STDOUT_FD).st_mode):
        poller.register(_STDOUT_FD, 0)  # poll reports a closed reading end without any event being requested
    [(ready_fd, _), *_] = poller.poll()
    signal_number = os.read(read_fd, 1)[0] if ready_fd == read_fd else signal.SIGTERM
    # A closed pipe ends the process with 1, as documented. The signal below then only wakes the main thread.
    shutdown.exit_code = 128 + signal_number if ready_fd == read_fd else 1
    # The system may have delivered the signal to another thread, but only the main thread runs the handler.
    signal.pthread_kill(threading.main_thread().ident or 0, signal_number)
    time.sleep(_GRACE_SECONDS)
    if shutdown.signal_number is not None:
        _terminate_by_signal(shutdown.signal_number)
    os._exit(shutdown.exit_code)
