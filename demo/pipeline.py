"""The connector run by PyAirbyte, from the sandbox into DuckDB, without a word of PyAirbyte on the screen."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from . import DemoError

if TYPE_CHECKING:
    from airbyte import Source

CONNECTOR = "source-docextract"
SCHEMA = "main"  # so that a query need not name it


def isolate_pyairbyte(folder: Path) -> None:
    """Keeps PyAirbyte off the network and its files inside `folder`. To be called before it is imported."""
    loopback = "127.0.0.1,localhost"
    no_proxy = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    exempt_hosts = f"{no_proxy},{loopback}" if no_proxy else loopback
    os.environ.update(
        AIRBYTE_OFFLINE_MODE="1",
        DO_NOT_TRACK="1",
        NO_LIVE_PROGRESS="1",  # it would draw over the demo's own lines
        AIRBYTE_LOGGING_ROOT=str(folder / "logs"),
        AIRBYTE_CACHE_ROOT=str(folder / "cache"),
        NO_PROXY=exempt_hosts,
        no_proxy=exempt_hosts,
    )


class Pipeline:
    """One connector, one DuckDB file.

    Args:
        database: the DuckDB file.
        chatter: takes what PyAirbyte and the connector would print. To be kept open as long as the process lives:
            their loggers remember it.
    """

    def __init__(self, database: Path, log_path: Path) -> None:
        self.database = database
        self._log = log_path.open("a", encoding="utf-8")
        self._error_collector = _ErrorCollector()
        self._source: Source | None = None

    def import_pyairbyte(self) -> None:
        """Imports PyAirbyte, which takes seconds: not at the top, so that there is something to see meanwhile."""
        try:
            with self._silence_output():
                import airbyte  # noqa: F401, PLC0415
        except ImportError as error:
            raise DemoError(f"PyAirbyte cannot be loaded ({error}); start this with: make demo") from None

    def connect(self, settings: dict[str, Any]) -> list[str]:
        """Selects all streams that the connector has for these settings; returns their names."""
        import airbyte  # noqa: PLC0415

        with self._report_errors():
            executable = Path(sys.executable).parent / CONNECTOR
            source = airbyte.get_source(CONNECTOR, local_executable=executable, config=settings)
            self._error_collector.attach()
            source.select_all_streams()
        self._source = source
        return list(source.get_selected_streams())

    def sync(self) -> int:
        """Brings what is new into the file; returns how many rows the connector sent.

        The cache is opened anew each time, as on another day: what the connector remembers is in the file, too.
        """
        from airbyte.caches import DuckDBCache  # noqa: PLC0415

        if self._source is None:
            raise RuntimeError("connect first")
        with self._report_errors():
            cache = DuckDBCache(db_path=self.database, schema_name=SCHEMA, cache_dir=self.database.parent / "cache")
            try:
                # PyAirbyte asks DuckDB a lot about small tables: more threads than one take twice as long over that.
                cache.execute_sql("SET threads = 1")
                return int(self._source.read(cache=cache).processed_records)
            finally:
                cache.close()

    @contextmanager
    def _report_errors(self) -> Iterator[None]:
        """Quiet, and with PyAirbyte's errors told in the connector's words."""
        from airbyte.exceptions import PyAirbyteError  # noqa: PLC0415

        self._error_collector.messages.clear()
        try:
            with self._silence_output():
                yield
        except PyAirbyteError as error:
            raise DemoError(" ".join((self._error_collector.last_message or error.get_message()).split())) from error

    @contextmanager
    def _silence_output(self) -> Iterator[None]:
        """Prints, warnings and what child processes complain about become lines of a log."""
        try:
            with redirect_stdout(self._log), redirect_stderr(self._log), _redirect_child_stderr(self._log):
                yield
        finally:
            self._log.flush()


class _ErrorCollector(logging.Handler):
    """Overhears the connector's errors: PyAirbyte logs them, and raises only that there was one."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def attach(self) -> None:
        logging.getLogger(f"airbyte.{CONNECTOR}").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())

    @property
    def last_message(self) -> str | None:
        """The last one sums up those of the streams."""
        return self.messages[-1] if self.messages else None


@contextmanager
def _redirect_child_stderr(log: IO[str]) -> Iterator[None]:
    """Child processes write to the descriptor, whatever `sys.stderr` is."""
    saved_descriptor = os.dup(2)
    os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved_descriptor, 2)
        os.close(saved_descriptor)
