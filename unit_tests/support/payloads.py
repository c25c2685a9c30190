"""A connection whose responses are good except for one change."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from docextract_sandbox import Sandbox
from unit_tests.support.harness import Connection, frozen_sandbox
from unit_tests.support.stub_server import ReceivedRequest, StubResponse, serve_stub

JsonChange = Callable[[Any], Any]


@dataclass
class SpoilingConnection:
    """A connection behind a proxy that changes some responses.

    Attributes:
        connection: the connection.
        sandbox: the sandbox behind the proxy.
        marker: a text; responses to requests that contain it are changed.
        change: the change of the parsed body, or None to pass responses unchanged.
        write: encodes the changed body.
    """

    connection: Connection
    sandbox: Sandbox
    marker: str = ""
    change: JsonChange | None = None
    write: Callable[[Any], bytes] = lambda body: json.dumps(body).encode()

    def corrupt(self, marker: str, change: JsonChange) -> None:
        """Change the responses to requests that contain `marker` from now on."""
        self.marker, self.change = marker, change

    def restore(self) -> None:
        """Pass all responses unchanged from now on."""
        self.change = None


@contextmanager
def spoiling_connection(fill: Callable[[Sandbox], dict[str, Any]]) -> Iterator[SpoilingConnection]:
    """Serve a sandbox behind a proxy that changes some responses.

    `fill` adds its documents and returns the settings.
    """
    with frozen_sandbox() as (sandbox, url):

        def respond(request: ReceivedRequest) -> StubResponse:
            headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
            upstream_response = requests.request(
                request.method, url + request.path, headers=headers, data=request.body, timeout=60
            )
            is_affected = spoiler.marker in request.path or spoiler.marker.encode() in request.body
            if spoiler.change is None or not is_affected or upstream_response.status_code >= 300:
                return upstream_response.status_code, {}, upstream_response.content
            return upstream_response.status_code, {}, spoiler.write(spoiler.change(upstream_response.json()))

        with serve_stub(respond) as server:
            connection = Connection(sandbox, url, fill(sandbox))
            for section in connection.settings.values():
                if isinstance(section, dict) and "base_url" in section:
                    section["base_url"] = section["base_url"].replace(url, server.url)
            spoiler = SpoilingConnection(connection, sandbox)
            yield spoiler
