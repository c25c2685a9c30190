"""The command line: `source-docextract spec|check|discover|read`, as Airbyte calls it."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from types import FrameType
from typing import Any

from airbyte_cdk.entrypoint import AirbyteEntrypoint
from airbyte_cdk.logger import PRINT_BUFFER, AirbyteLogFormatter
from airbyte_cdk.models import ConnectorSpecification
from airbyte_cdk.utils.airbyte_secrets_utils import get_secrets, update_secrets

from . import messages
from .config import Settings
from .errors import ConfigError
from .plain import SHORTEST_SECRET, PlainLog, hide
from .source import SourceDocextract


class Entrypoint(AirbyteEntrypoint):
    """The CDK's, but for the log, whose lines are plain whoever wrote them, and for the check of the settings: a JSON
    schema's sentences do not say which setting is meant."""

    def __init__(self, source: SourceDocextract) -> None:
        super().__init__(source)
        for handler in logging.getLogger().handlers:
            if isinstance(handler.formatter, AirbyteLogFormatter):
                handler.addFilter(PlainLog())

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


def _stop(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main(source: SourceDocextract | None = None) -> None:
    """Ends within seconds when told to stop: no thread that still waits for an answer may hold the process."""
    # SIGINT, too: a shell that starts it in the background has that ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    # Answers are held while their batch is read, and hold no circles: collecting seldom saves a fifth of the CPU.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    code = 0
    try:
        entrypoint = Entrypoint(source or SourceDocextract())
        arguments = entrypoint.parse_args(sys.argv[1:] or ["--help"])
        with PRINT_BUFFER:
            for message in entrypoint.run(arguments):
                print(messages.line(message), end="")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BrokenPipeError:
        code = 1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception:
        code = 1
        sys.excepthook(*sys.exc_info())  # the CDK's own, which prints a trace message
    finally:
        sys.stdout.flush()
    if threading.active_count() > 1:
        os._exit(code)
    sys.exit(code)
