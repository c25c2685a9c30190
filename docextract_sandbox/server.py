"""A server that serves the sandbox on a real socket, in its own thread."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from .app import Sandbox

_SHUTDOWN_TIMEOUT = 1.0
"""Seconds that open connections have to end; those of the faults `stall` and `endless` never end by themselves."""


class _Server(uvicorn.Server):
    """A uvicorn server that stops at once.

    Uvicorn polls every 0.1 s whether it should stop, and sleeps as long when it stops: too slow for many tests.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready_event = threading.Event()
        self._event_loop: asyncio.AbstractEventLoop | None = None
        self._stop_event: asyncio.Event | None = None

    def serve_in_thread(self, listener: socket.socket) -> None:
        try:
            self.run(sockets=[listener])
        finally:
            # Set it after a failure too: `serve` waits for this event without a timeout.
            self.ready_event.set()

    def request_stop(self) -> None:
        if self._event_loop is not None and self._stop_event is not None:
            self._event_loop.call_soon_threadsafe(self._stop_event.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._event_loop, self._stop_event = asyncio.get_running_loop(), asyncio.Event()
        await super().startup(sockets)
        self.ready_event.set()

    async def main_loop(self) -> None:
        if self._stop_event is not None:
            await self._stop_event.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        deadline = time.monotonic() + _SHUTDOWN_TIMEOUT
        while self.server_state.connections and time.monotonic() < deadline:
            await asyncio.sleep(0.002)
        for connection in list(self.server_state.connections):
            connection.transport.close()
        for listener in sockets or []:
            listener.close()


@contextmanager
def serve(sandbox: Sandbox, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve the sandbox while the block runs, and yield its address.

    Args:
        sandbox: The sandbox to serve.
        host: Address to bind to.
        port: Port to bind to; 0 lets the system choose a free port as it binds the socket, so no other process can
            take that port in between.

    Raises:
        OSError: The port is in use, or the host is no address of this machine.
        RuntimeError: The server did not start.
    """
    listener = _open_listener(host, port)
    bound_port = listener.getsockname()[1]
    # Without `log_config=None` uvicorn would install its own log handlers over those of the caller.
    config = uvicorn.Config(
        sandbox.application,
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        loop="asyncio",
        ws="none",
        date_header=False,
        # Longer than any pause between two requests of a test: if the server closed an idle connection while the
        # client sends, the client would see an error that no test asked for.
        timeout_keep_alive=75,
    )
    server = _Server(config)
    thread = threading.Thread(target=server.serve_in_thread, args=(listener,), name="sandbox", daemon=True)
    thread.start()
    try:
        server.ready_event.wait()
        if not server.started:
            raise RuntimeError("the sandbox did not start")
        yield f"http://[{host}]:{bound_port}" if ":" in host else f"http://{host}:{bound_port}"
    finally:
        server.request_stop()
        thread.join()
        listener.close()


def _open_listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY; without it, each small response waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
