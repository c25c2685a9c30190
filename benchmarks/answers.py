"""The sandbox's answers as bytes that are ready to be sent: each page is made once, and remembered.

What is sent is what the sandbox itself answers, so it cannot drift from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

from docextract_sandbox import Sandbox
from docextract_sandbox.api import Api, ApiError, ApiRequest, ApiResponse, Endpoint

_CREDENTIAL_PATTERN = re.compile(rb"\r\n(?:authorization|token): *([^\r\n]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class EncodedResponse:
    """One answer: the endpoint's name, the status, and all bytes of the response."""

    endpoint_name: str
    status: int
    content: bytes


class ResponseCache:
    """What a sandbox answers. GET is remembered: nothing in a benchmark's world changes while it is read.

    Everything else is asked of the sandbox each time, so that it counts logins and keeps up Extracta's spacing.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._cached_responses: dict[bytes, EncodedResponse] = {}
        self._accepted_credentials: set[bytes] = set()
        """Credentials that the sandbox has taken: what is remembered is sent to nobody else."""
        self._routes = [
            (endpoint.method, _build_path_pattern(api, endpoint), endpoint)
            for api in sandbox.apis
            for endpoint in api.list_endpoints()
        ]

    def respond(self, head: bytes, body: bytes, arrived_at: float) -> EncodedResponse:
        """The answer to a request of this head, without the empty line at its end, and this body."""
        request_line = head[: head.index(b"\r\n")]
        credential_match = _CREDENTIAL_PATTERN.search(head)
        credential = credential_match[1] if credential_match else b""
        cached_response = self._cached_responses.get(request_line)
        if cached_response and credential in self._accepted_credentials:
            return cached_response
        response = self._ask_sandbox(head.decode("latin-1"), body, arrived_at)
        if request_line.startswith(b"GET ") and response.status == 200:
            self._cached_responses[request_line] = response
            self._accepted_credentials.add(credential)
        return response

    def _ask_sandbox(self, head: str, body: bytes, arrived_at: float) -> EncodedResponse:
        request_line, *header_lines = head.split("\r\n")
        method, target, _ = request_line.split(" ")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (header_line.partition(":") for header_line in header_lines)
        }
        url = urlsplit(target)
        for endpoint_method, pattern, endpoint in self._routes:
            match = pattern.fullmatch(url.path)
            if match and method == endpoint_method:
                request = ApiRequest(
                    headers=headers,
                    query=dict(parse_qsl(url.query, keep_blank_values=True)),
                    path_params={name: unquote(value) for name, value in match.groupdict().items()},
                    body=_parse_json_object(body),
                    upload_names=(),
                    arrived_at=arrived_at,
                    base_url=f"http://{headers.get('host', '')}",
                )
                return _encode_response(endpoint.name, _call_endpoint(endpoint, request))
        return _encode_response("unknown", ApiResponse({"message": "Not Found"}, 404))


def _build_path_pattern(api: Api, endpoint: Endpoint) -> re.Pattern[str]:
    base_path = api.base_path if endpoint.base_path is None else endpoint.base_path
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", base_path + endpoint.path))


def _call_endpoint(endpoint: Endpoint, request: ApiRequest) -> ApiResponse:
    try:
        return endpoint.handler(request)
    except ApiError as error:
        return error.response


def _encode_response(endpoint_name: str, response: ApiResponse) -> EncodedResponse:
    is_text = isinstance(response.body, str) and not response.text_as_json
    body = str(response.body).encode() if is_text else orjson.dumps(response.body)
    content_type = "text/plain; charset=utf-8" if is_text else "application/json"
    head = f"HTTP/1.1 {response.status} \r\ncontent-length: {len(body)}\r\ncontent-type: {content_type}\r\n\r\n"
    return EncodedResponse(endpoint_name, response.status, head.encode() + body)


def _parse_json_object(content: bytes) -> dict[str, object] | None:
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
