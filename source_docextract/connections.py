"""Connections that hold nobody for ever: an answer has an end, and a stop reaches whoever waits for one.

The read timeout of requests is about silence, so that a byte now and then keeps an answer going without end; and
nothing in requests or urllib3 wakes a thread that waits for its answer. Both are seen to here, below all that reads:
status, headers and body alike.
"""

from __future__ import annotations

import io
import math
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPResponse
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from .answers import Again
from .errors import Stopped


class Connections(HTTPAdapter):
    """The connections of one client.

    Args:
        stop: set when no answer is wanted any more; then `cut` is to be called.
        longest_answer: seconds from a request to the last byte of its answer.
        size: how many are kept open for the requests to come.
    """

    def __init__(self, stop: threading.Event, longest_answer: float, size: int) -> None:
        self.stop = stop
        self.longest_answer = longest_answer
        self._waiting: set[_Reading] = set()
        self._lock = threading.Lock()
        self._thread = threading.local()
        self._pools = _pools(self)
        super().__init__(pool_maxsize=size)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):  # those have pools of their own, and keep to the timeouts alone
            manager.pool_classes_by_scheme = self._pools
        return manager

    def sending(self, when_out: Callable[[], None]) -> None:
        """This thread is about to send a request; `when_out` is called as it leaves, with its connection made."""
        self._thread.when_out, self._thread.is_out = when_out, False

    @property
    def is_out(self) -> bool:
        """Whether this thread's last request has left, so that what goes wrong is about its answer."""
        return bool(self._thread.is_out)

    def cut(self) -> None:
        """Wakes all who wait for an answer."""
        with self._lock:
            for reading in self._waiting:
                reading.cut()

    def began(self, reading: _Reading) -> None:
        with self._lock:
            self._waiting.add(reading)
        self._thread.is_out = True
        self._thread.when_out()

    def ended(self, reading: _Reading) -> None:
        with self._lock:
            self._waiting.discard(reading)


class _Reading(io.RawIOBase):
    """One answer on its way in. Each look into the socket is a look at the clock and at the stop as well."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, connections: Connections) -> None:
        self._raw = raw
        self._socket = sock
        self._connections = connections
        self._deadline = time.monotonic() + connections.longest_answer
        connections.began(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        self._check(left)
        is_last = left < (self._socket.gettimeout() or math.inf)
        if is_last:
            self._socket.settimeout(left)
        try:
            count = self._raw.readinto(buffer)
        except OSError as error:
            self._check(0 if is_last and isinstance(error, TimeoutError) else left)
            raise
        self._check(left)
        return count

    def cut(self) -> None:
        with suppress(OSError):  # where it has just ended by itself
            # Not the method of a TLS socket, which would take its state away from under the thread that reads.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        self._connections.ended(self)
        self._raw.close()
        super().close()

    def _check(self, left: float) -> None:
        if self._connections.stop.is_set():
            raise Stopped("The sync was stopped.")
        if left <= 0:
            raise Again(f"took more than {self._connections.longest_answer:.0f} s to answer")


def _pools(connections: Connections) -> dict[str, type[HTTPConnectionPool]]:
    """Those of urllib3, but that answers are read as above."""

    class Answer(HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
            super().__init__(sock, *args, **options)
            self.fp = io.BufferedReader(_Reading(self.fp.detach(), sock, connections), _BUFFER)

    class Plain(HTTPConnection):
        response_class = Answer

    class Secure(HTTPSConnection):
        response_class = Answer

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


_BUFFER = 65_536
"""Bytes that are read at a time; large answers come in fewer pieces than with the standard library's 8,192."""
