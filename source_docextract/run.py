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

from . import arguments, messages
from .catalog import configured
from .config import Settings
from .errors import ConfigError
from .plain import SHORTEST_SECRET, PlainLog, hide
from .source import SourceDocextract
from .stopping import Stop

_STDOUT = 1
_BUFFER = 1 << 16
_GRACE = 3.0
"""Seconds after which a process that was told to stop ends, whatever it is doing."""


class Entrypoint(AirbyteEntrypoint):
    """The CDK's, but for the log, whose lines are plain whoever wrote them, and for the check of the settings: a JSON
    schema's sentences do not say which setting is meant."""

    def __init__(self, source: SourceDocextract) -> None:
        super().__init__(source)
        source.tell = messages.record_lines
        for handler in logging.getLogger().handlers:
            if isinstance(handler.formatter, AirbyteLogFormatter):
                handler.addFilter(PlainLog())

    @staticmethod
    def parse_args(args: Sequence[str]) -> argparse.Namespace:
        return arguments.parsed(args)

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
            yield self._catalog(spec, config, parsed_args.streams)
        else:
            yield from map(self.airbyte_message_to_string, self._messages(spec, config, parsed_args))

    def _messages(
        self, spec: ConnectorSpecification, config: Any, parsed_args: argparse.Namespace
    ) -> Iterable[AirbyteMessage]:
        if parsed_args.command == "check":
            return self.check(spec, config)
        if parsed_args.command == "discover":
            return self.discover(spec, config)
        catalog, state = self.source.read_catalog(parsed_args.catalog), self.source.read_state(parsed_args.state)
        return self.read(spec, config, catalog, state)

    def _catalog(self, spec: ConnectorSpecification, config: Any, chosen: Sequence[str] | None) -> str:
        """Return a configured catalog, laid out for people, who may take streams out of it."""
        self.set_up_secret_filter(config, spec.connectionSpecification)
        self.validate_connection(spec, config)
        streams = self.source.discover(self.logger, config).streams
        with messages.tracing():
            return json.dumps(configured(streams, chosen), indent=2, ensure_ascii=False)

    def read(
        self, source_spec: ConnectorSpecification, config: Any, catalog: Any, state: list[Any]
    ) -> Iterator[AirbyteMessage]:
        """What the CDK does, but that records, of which there are many, are counted and written without its detours."""
        self.set_up_secret_filter(config, source_spec.connectionSpecification)
        self.validate_connection(source_spec, config)
        counts: Counter[str] = Counter()
        for message in self.source.read(self.logger, config, catalog, state):
            if isinstance(message, messages.Lines):
                for _ in range(message.count):  # it looks at every so many of them
                    self._memory_monitor.check_memory_usage()
                counts[message.stream] += message.count
                sys.stdout.buffer.write(message.text)
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
            raise messages.traced(error) from None

    @staticmethod
    def set_up_secret_filter(config: Any, connection_specification: Mapping[str, Any]) -> None:
        """Leaves out what is too short to be a key: the filter would cut it out of the middle of words."""
        found = get_secrets(connection_specification, config)
        secrets = [secret for secret in found if isinstance(secret, str) and len(secret) >= SHORTEST_SECRET]
        update_secrets(secrets)
        hide(*secrets)


def main(source: SourceDocextract | None = None) -> NoReturn:
    """Ends within seconds when told to stop: no thread that still waits for an answer may hold the process."""
    _prepare_output()
    stop = Stop(before_waiting=sys.stdout.flush)  # what has been said does not lie about while nothing happens
    _listen(stop)
    # While rows are made, what has arrived is taken in, and more is asked for, every 3 ms instead of 5.
    sys.setswitchinterval(0.003)
    # Answers are held while their batch is read, and hold no circles: collecting seldom saves a fifth of the CPU.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    code = 0
    for_people = False
    try:
        if sys.argv[1:2] == ["probe"]:
            from .probe.command import main as probe  # noqa: PLC0415 (no other verb needs it)

            sys.exit(probe(sys.argv[2:]))
        parsed_args = arguments.parsed(sys.argv[1:] or ["--help"])
        for_people = parsed_args.command == "catalog"
        source = source or SourceDocextract()
        source.stop = stop
        if for_people:
            _log_for_people()
        entrypoint = Entrypoint(source)
        for message in entrypoint.run(parsed_args):
            sys.stdout.buffer.write(messages.plain_ends(message.encode()) + b"\n")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BrokenPipeError:
        code = 1
    except Exception as error:
        code = 1
        if for_people and isinstance(error, AirbyteTracedException):
            print(f"source-docextract: {error}", file=sys.stderr)
        else:
            sys.excepthook(*sys.exc_info())  # the CDK's own, which prints a trace message
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = 1
    if stop.signal is not None:
        _die_of(stop.signal)
    # At its own end Python takes its time, waits for threads that look a name up, and leaves signals to the system.
    os._exit(code if stop.code is None else stop.code)


def _log_for_people() -> None:
    """Write warnings as text to standard error: standard output becomes a file of JSON."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)
            handler.setLevel(logging.WARNING)
            handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
            handler.addFilter(PlainLog())


def _die_of(number: int) -> NoReturn:
    """End by the signal that asked for it, so that its sender sees that it worked: PyAirbyte accepts 0 and −15 alone.

    Process 1 of a container is spared by signals with the default action, hence exits with the code that shells show.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(number, signal.SIG_DFL)
    else:
        # Python lets only its main thread set handlers, and that one is busy.
        ctypes.CDLL(None).signal(number, ctypes.c_void_p(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    signal.raise_signal(number)
    os._exit(128 + number)


def _prepare_output() -> None:
    logging.raiseExceptions = False  # who has closed the pipe wants no tracebacks of lines that could not be written
    # They say what they find in odd answers and broken connections, at length; what matters is told by who asked.
    for name in ("aiohttp", "asyncio", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if sys.__stdout__ is None:
        sys.exit("There is no standard output to write to.")
    # Unbuffered, as PYTHONUNBUFFERED has it, Python loses what a signal keeps from being written in one go.
    buffered = open(_STDOUT, "wb", buffering=_BUFFER, closefd=False)  # noqa: SIM115 (there is no end to it)
    # Text is passed on at once, so that it keeps its place among records, which are written to the buffer itself.
    text = TextIOWrapper(buffered, encoding="utf-8", write_through=True)
    sys.stdout = sys.__stdout__ = text  # type: ignore[misc] # log lines come by the latter, through the CDK


def _listen(stop: Stop) -> None:
    """Has signals and a closed pipe ask for a stop; ends the process where its main thread is too busy to hear."""
    # SIGINT, too: a shell that starts it in the background has that ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: stop.ask(128 + number))
    ear, mouth = os.pipe()
    os.set_blocking(mouth, False)
    signal.set_wakeup_fd(mouth)
    threading.Thread(target=_guard, args=(stop, ear), daemon=True).start()


def _guard(stop: Stop, ear: int) -> None:
    polls = select.poll()
    polls.register(ear, select.POLLIN)
    if stat.S_ISFIFO(os.fstat(_STDOUT).st_mode):
        polls.register(_STDOUT, 0)  # that its other end is closed is told all the same
    [(fd, _), *_] = polls.poll()
    number = os.read(ear, 1)[0] if fd == ear else signal.SIGTERM
    stop.code = 128 + number if fd == ear else 1
    signal.pthread_kill(threading.main_thread().ident or 0, number)  # wherever the system sent it
    time.sleep(_GRACE)
    if stop.signal is not None:
        _die_of(stop.signal)
    os._exit(stop.code)
