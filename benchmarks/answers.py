"""A cache of the sandbox's responses, which makes the server fast.

Each response comes from the sandbox's own endpoints, so the benchmark cannot diverge from the sandbox.
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
    """A response: the endpoint's name, the status, and all bytes."""

    endpoint_name: str
    status: int
    content: bytes


class ResponseCache:
    """The responses of a sandbox, of which those to GET are cached.

    The documents of a benchmark do not change while they are read. Other methods reach the sandbox each time, so that
    it counts logins and enforces Extracta's spacing.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        """Start with an empty cache."""
        self._cached_responses: dict[bytes, EncodedResponse] = {}
        # Credentials that the sandbox has accepted: only requests with these get cached responses.
        self._accepted_credentials: set[bytes] = set()
        self._routes: list[tuple[str, re.Pattern[str], Endpoint]] = []
        for api in sandbox.apis:
            for endpoint in api.list_endpoints():
                self._routes.append((endpoint.method, _build_path_pattern(api, endpoint), endpoint))

    def respond(self, head: bytes, body: bytes, arrived_at: float) -> EncodedResponse:
        """Return the response to a request.

        Args:
            head: Request line and headers, without the empty line at their end.
            body: Body of the request.
            arrived_at: Arrival, in seconds of `time.monotonic()`.
        """
        request_line = head[: head.index(b"\r\n")]
        credential_match = _CREDENTIAL_PATTERN.search(head)
        credential = credential_match[1] if credential_match else b""
        cached_response = self._cached_responses.get(request_line)
        # The sandbox itself must reject an unknown token, as it does without a cache.
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
        headers: dict[str, str] = {}
        for header_line in header_lines:
            name, _, value = header_line.partition(":")
            headers[name.lower()] = value.strip()
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
