"""An entrance to the sandbox for a client in the same process: no socket, no thread, no server."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl, unquote, urlsplit

from starlette.responses import Response, StreamingResponse
from starlette.routing import compile_path

from .api import Api, ApiRequest
from .calls import Call, ServedEndpoint, iterate_endpoints, parse_json_object
from .context import SandboxContext
from .transport_faults import AbortedResponse, DelayedResponse


class BrokenConnection(ConnectionError):
    """A connection that a fault breaks.

    Attributes:
        has_begun: whether a part of the response had arrived.
    """

    def __init__(self, has_begun: bool) -> None:
        """Take note of how far the response had come."""
        super().__init__("the response has begun" if has_begun else "no response")
        self.has_begun = has_begun


_compile_path = lru_cache(maxsize=None)(compile_path)  # the same few paths for each sandbox


_FAULTS_ON_CONNECTIONS = ("endless", "bomb")


@dataclass(frozen=True)
class InProcessResponse:
    """A response as its client receives it."""

    status: int
    headers: Mapping[str, str]
    """Names are case-insensitive."""
    content: bytes


class InProcessEntrance:
    """The endpoints of all APIs, called as functions. Control endpoints are not among them.

    A response is the same as over HTTP, byte for byte, and so are the journal and the faults. The faults `bomb` and
    `endless`, which are about the bytes on a connection, need a server.
    """

    def __init__(self, context: SandboxContext, apis: Sequence[Api], empty_apis: Sequence[Api]) -> None:
        """Collect the endpoints.

        Args:
            context: The shared state of the sandbox.
            apis: The APIs to serve.
            empty_apis: The same APIs, in the same order, of another account without documents.
        """
        self._context = context
        self._routes: list[tuple[re.Pattern[str], ServedEndpoint]] = [
            (_compile_path(served.path)[0], served) for served in iterate_endpoints(apis, empty_apis)
        ]

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes, *, latency: float = 0.0
    ) -> InProcessResponse:
        """Send a request and return its response.

        All waits are those of the running event loop, by its clock.

        Args:
            method: The HTTP method.
            url: The whole URL, percent-encoded.
            headers: The request headers.
            content: The JSON body; empty for none.
            latency: Seconds until the response.

        Raises:
            BrokenConnection: A fault breaks the connection.
            ValueError: No API has the path, or a fault needs a server.
        """
        parts = urlsplit(url)
        path = unquote(parts.path)
        served, path_params = self._find_endpoint(method, path)
        event_loop = asyncio.get_running_loop()
        request = ApiRequest(
            headers={name.lower(): value for name, value in headers.items()},
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            path_params=path_params,
            body=parse_json_object(content),
            upload_names=(),
            arrived_at=event_loop.time(),
            base_url=f"{parts.scheme}://{parts.netloc}",
        )
        with Call(
            self._context,
            served.select(self._context),
            arrived_at=request.arrived_at,
            query=request.query,
            path_params=path_params,
        ) as call:
            await asyncio.sleep(latency)
            response = call.respond(request, path)
            if call.fault_kind in _FAULTS_ON_CONNECTIONS:
                raise ValueError(f"the fault {call.fault_kind} needs a server")
        return InProcessResponse(response.status_code, response.headers, await _receive_content(response))

    def _find_endpoint(self, method: str, path: str) -> tuple[ServedEndpoint, dict[str, str]]:
        for pattern, served in self._routes:
            match = served.method in {method, ""} and pattern.match(path)
            if match:
                return served, match.groupdict()
        raise ValueError(f"no API of the sandbox has the path {path}")


async def _receive_content(response: Response) -> bytes:
    if isinstance(response, AbortedResponse):
        raise BrokenConnection(has_begun=bool(response.body))
    if isinstance(response, StreamingResponse):
        return b"".join([bytes(chunk) async for chunk in response.body_iterator if not isinstance(chunk, str)])
    if isinstance(response, DelayedResponse):
        await asyncio.sleep(response.delay_seconds)
    return bytes(response.body)
