"""The command line: Airbyte's verbs spec, check, discover and read; `catalog` and `probe` for people."""

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
from .settings import Settings
from .source import SourceDocextract
from .sync import messages
from .sync.shutdown import Shutdown

_STDOUT_FD = 1

_BUFFER_SIZE = 1 << 16

_GRACE_SECONDS = 3.0
"""Seconds after which a process that was told to stop ends, whatever it is doing."""


class Entrypoint(AirbyteEntrypoint):
    """The CDK's, but for the log, whose lines are plain whoever wrote them, and for the check of the settings: a JSON
    schema's sentences do not say which setting is meant."""

    def __init__(self, source: SourceDocextract) -> None:
        super().__init__(source)
        source.make_messages = messages.make_record_lines
        for handler in logging.getLogger().handlers:
            if isinstance(handler.formatter, AirbyteLogFormatter):
                handler.addFilter(SanitizingFilter())

    @staticmethod
    def parse_args(args: Sequence[str]) -> argparse.Namespace:
        return arguments.parse_arguments(args)

    def run(self, parsed_args: argparse.Namespace) -> Iterator[str]:
        """Do what the CDK does, but without a temporary folder, which a read-only root file system need not have.

        The CDK writes the settings into that folder, keys included, and nothing here reads them there.
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
        """Return a configured catalog, laid out for people, who may take streams out of it."""
        self.set_up_secret_filter(config, spec.connectionSpecification)
        self.validate_connection(spec, config)
        streams = self.source.discover(self.logger, config).streams
        with messages.convert_errors():
            return json.dumps(build_configured_catalog(streams, patterns), indent=2, ensure_ascii=False)

    def read(
        self, source_spec: ConnectorSpecification, config: Any, catalog: Any, state: list[Any]
    ) -> Iterator[AirbyteMessage]:
        """What the CDK does, but that records, of which there are many, are counted and written without its detours."""
        self.set_up_secret_filter(config, source_spec.connectionSpecification)
        self.validate_connection(source_spec, config)
        counts: Counter[str] = Counter()
        for message in self.source.read(self.logger, config, catalog, state):
            if isinstance(message, messages.RecordLines):
                for _ in range(message.record_count):  # it looks at every so many of them
                    self._memory_monitor.check_memory_usage()
                counts[message.stream_name] += message.record_count
                sys.stdout.buffer.write(message.payload)
                continue
            self._memory_monitor.check_memory_usage()
            if message.state and message.state.stream:
                count = counts.pop(message.state.stream.stream_descriptor.name, 0)
                message.state.sourceStats = AirbyteStateStats(recordCount=float(count))
            yield message

    @staticmethod
    def validate_connection(source_spec: ConnectorSpecification, config: Any) -> None:  # noqa: ARG004 (the CDK's)
        try:
            Settings.parse(config)
        except ConfigError as error:
            raise messages.as_traced_exception(error) from None

    @staticmethod
    def set_up_secret_filter(config: Any, connection_specification: Mapping[str, Any]) -> None:
        """Leaves out what is too short to be a key: the filter would cut it out of the middle of words."""
        all_secrets = get_secrets(connection_specification, config)
        secrets = [secret for secret in all_secrets if isinstance(secret, str) and len(secret) >= MIN_SECRET_LENGTH]
        update_secrets(secrets)
        register_secrets(*secrets)


def main(source: SourceDocextract | None = None) -> NoReturn:
    """Ends within seconds when told to stop: no thread that still waits for an answer may hold the process."""
    _prepare_output()
    shutdown = Shutdown(on_wait=sys.stdout.flush)  # what has been said does not lie about while nothing happens
    _install_stop_handlers(shutdown)
    # While rows are made, what has arrived is taken in, and more is asked for, every 3 ms instead of 5.
    sys.setswitchinterval(0.003)
    # Answers are held while their batch is read, and hold no circles: collecting seldom saves a fifth of the CPU.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    exit_code = 0
    has_human_output = False
    try:
        if sys.argv[1:2] == ["probe"]:
            from .probe.command import main as probe  # noqa: PLC0415 (no other verb needs it)

            sys.exit(probe(sys.argv[2:]))
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
            sys.excepthook(*sys.exc_info())  # the CDK's own, which prints a trace message
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        exit_code = 1
    if shutdown.signal_number is not None:
        _terminate_by_signal(shutdown.signal_number)
    # At its own end Python takes its time, waits for threads that look a name up, and leaves signals to the system.
    os._exit(exit_code if shutdown.exit_code is None else shutdown.exit_code)


def _log_as_text() -> None:
    """Write warnings as text to standard error: standard output becomes a file of JSON."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)
            handler.setLevel(logging.WARNING)
            handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
            handler.addFilter(SanitizingFilter())


def _terminate_by_signal(signal_number: int) -> NoReturn:
    """End by the signal that asked for it, so that its sender sees that it worked: PyAirbyte accepts 0 and −15 alone.

    Process 1 of a container is spared by signals with the default action, hence exits with the code that shells show.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal_number, signal.SIG_DFL)
    else:
        # Python lets only its main thread set handlers, and that one is busy.
        ctypes.CDLL(None).signal(signal_number, ctypes.c_void_p(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal_number})
    signal.raise_signal(signal_number)
    os._exit(128 + signal_number)


def _prepare_output() -> None:
    logging.raiseExceptions = False  # who has closed the pipe wants no tracebacks of lines that could not be written
    # They say what they find in odd answers and broken connections, at length; what matters is told by who asked.
    for logger_name in ("aiohttp", "asyncio", "urllib3"):
        logging.getLogger(logger_name).setLevel(logging.CRITICAL)
    if sys.__stdout__ is None:
        sys.exit("There is no standard output to write to.")
    # Unbuffered, as PYTHONUNBUFFERED has it, Python loses what a signal keeps from being written in one go.
    stdout_buffer = open(_STDOUT_FD, "wb", buffering=_BUFFER_SIZE, closefd=False)  # noqa: SIM115 (there is no end to it)
    # Text is passed on at once, so that it keeps its place among records, which are written to the buffer itself.
    stdout_text = TextIOWrapper(stdout_buffer, encoding="utf-8", write_through=True)
    sys.stdout = sys.__stdout__ = stdout_text  # type: ignore[misc] # log lines come by the latter, through the CDK


def _install_stop_handlers(shutdown: Shutdown) -> None:
    """Has signals and a closed pipe ask for a stop; ends the process where its main thread is too busy to hear."""
    # SIGINT, too: a shell that starts it in the background has that ignored.
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda signal_number, _frame: shutdown.request(128 + signal_number))
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    signal.set_wakeup_fd(write_fd)
    threading.Thread(target=_watch_stop_requests, args=(shutdown, read_fd), daemon=True).start()


def _watch_stop_requests(shutdown: Shutdown, read_fd: int) -> None:
    poller = select.poll()
    poller.register(read_fd, select.POLLIN)
    if stat.S_ISFIFO(os.fstat(_STDOUT_FD).st_mode):
        poller.register(_STDOUT_FD, 0)  # that its other end is closed is told all the same
    [(ready_fd, _), *_] = poller.poll()
    signal_number = os.read(read_fd, 1)[0] if ready_fd == read_fd else signal.SIGTERM
    shutdown.exit_code = 128 + signal_number if ready_fd == read_fd else 1
    signal.pthread_kill(threading.main_thread().ident or 0, signal_number)  # wherever the system sent it
    time.sleep(_GRACE_SECONDS)
    if shutdown.signal_number is not None:
        _terminate_by_signal(shutdown.signal_number)
    os._exit(shutdown.exit_code)
