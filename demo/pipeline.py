"""The connector in PyAirbyte, from the sandbox into DuckDB."""

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
SCHEMA = "main"  # DuckDB's default schema, which queries need not name


def isolate_pyairbyte(folder: Path) -> None:
    """Keep PyAirbyte off the network and its files inside `folder`.

    Call this before it is imported.
    """
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
    """A connector that writes to one DuckDB file.

    Attributes:
        database: The DuckDB file.
    """

    def __init__(self, database: Path, log_path: Path) -> None:
        """Write PyAirbyte's and the connector's output to `log_path`."""
        self.database = database
        # Open until the process ends: PyAirbyte's loggers keep a reference to the stream.
        self._log = log_path.open("a", encoding="utf-8")
        self._error_collector = _ErrorCollector()
        self._source: Source | None = None

    def import_pyairbyte(self) -> None:
        """Import PyAirbyte, which takes seconds, as a step that the screen shows.

        Raises:
            DemoError: PyAirbyte is not installed.
        """
        try:
            with self._silence_output():
                import airbyte  # noqa: F401, PLC0415
        except ImportError as error:
            raise DemoError(f"PyAirbyte cannot be loaded ({error}); start this with: make demo") from None

    def connect(self, settings: dict[str, Any]) -> list[str]:
        """Select all streams that the connector offers for these settings.

        Return their names.

        Raises:
            DemoError: The connector rejected the settings.
        """
        import airbyte  # noqa: PLC0415

        with self._report_errors():
            executable = Path(sys.executable).parent / CONNECTOR
            source = airbyte.get_source(CONNECTOR, local_executable=executable, config=settings)
            self._error_collector.attach()
            source.select_all_streams()
        self._source = source
        return list(source.get_selected_streams())

    def sync(self) -> int:
        """Sync new rows into the file.

        Return the number of rows that the connector emitted.

        The cache is opened for each sync, as a later run would do: the connector's state is in the file too.

        Raises:
            DemoError: The sync failed.
        """
        from airbyte.caches import DuckDBCache  # noqa: PLC0415

        if self._source is None:
            raise RuntimeError("connect first")
        with self._report_errors():
            cache = DuckDBCache(db_path=self.database, schema_name=SCHEMA, cache_dir=self.database.parent / "cache")
            try:
                # PyAirbyte runs many queries on small tables, which take twice as long with more than one thread.
                cache.execute_sql("SET threads = 1")
                return int(self._source.read(cache=cache).processed_records)
            finally:
                cache.close()

    @contextmanager
    def _report_errors(self) -> Iterator[None]:
        """Silence the output, and raise PyAirbyte's errors with the connector's message."""
        from airbyte.exceptions import PyAirbyteError  # noqa: PLC0415

        self._error_collector.messages.clear()
        try:
            with self._silence_output():
                yield
        except PyAirbyteError as error:
            raise DemoError(" ".join((self._error_collector.last_message or error.get_message()).split())) from error

    @contextmanager
    def _silence_output(self) -> Iterator[None]:
        """Write prints, warnings and the error output of child processes to the log."""
        try:
            with redirect_stdout(self._log), redirect_stderr(self._log), _redirect_child_stderr(self._log):
                yield
        finally:
            self._log.flush()


class _ErrorCollector(logging.Handler):
    """A log handler that collects errors, which PyAirbyte logs but does not raise."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def attach(self) -> None:
        logging.getLogger(f"airbyte.{CONNECTOR}").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())

    @property
    def last_message(self) -> str | None:
        """Return the last error, which summarizes those of the streams."""
        return self.messages[-1] if self.messages else None


@contextmanager
def _redirect_child_stderr(log: IO[str]) -> Iterator[None]:
    """Redirect file descriptor 2, to which child processes write."""
    saved_descriptor = os.dup(2)
    os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved_descriptor, 2)
        os.close(saved_descriptor)
