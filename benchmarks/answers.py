"""The sandbox's answers as bytes that are ready to be sent: each page is made once, and remembered.

What is sent is what the sandbox itself answers, so it cannot drift from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

from sandbox import Sandbox
from sandbox.api import Answer, Api, Call, Endpoint, Refusal

_CREDENTIAL = re.compile(rb"\r\n(?:authorization|token): *([^\r\n]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sent:
    """One answer: the endpoint's name, the status, and all bytes of the response."""

    endpoint: str
    status: int
    response: bytes


class Answers:
    """What a sandbox answers. GET is remembered: nothing in a benchmark's world changes while it is read.

    Everything else is asked of the sandbox each time, so that it counts logins and keeps up Extracta's spacing.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._remembered: dict[bytes, Sent] = {}
        self._accepted: set[bytes] = set()
        """Credentials that the sandbox has taken: what is remembered is sent to nobody else."""
        self._routes = [
            (endpoint.method, _pattern(api, endpoint), endpoint) for api in sandbox.apis for endpoint in api.endpoints()
        ]

    def to(self, head: bytes, body: bytes, arrived: float) -> Sent:
        """The answer to a request of this head, without the empty line at its end, and this body."""
        line = head[: head.index(b"\r\n")]
        found = _CREDENTIAL.search(head)
        credential = found[1] if found else b""
        remembered = self._remembered.get(line)
        if remembered and credential in self._accepted:
            return remembered
        sent = self._asked(head.decode("latin-1"), body, arrived)
        if line.startswith(b"GET ") and sent.status == 200:
            self._remembered[line] = sent
            self._accepted.add(credential)
        return sent

    def _asked(self, head: str, body: bytes, arrived: float) -> Sent:
        line, *rest = head.split("\r\n")
        method, target, _ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in rest)}
        url = urlsplit(target)
        for endpoint_method, pattern, endpoint in self._routes:
            match = pattern.fullmatch(url.path)
            if match and method == endpoint_method:
                call = Call(
                    headers=headers,
                    query=dict(parse_qsl(url.query, keep_blank_values=True)),
                    path={name: unquote(value) for name, value in match.groupdict().items()},
                    body=_json_object(body),
                    uploads=(),
                    arrived=arrived,
                    base_url=f"http://{headers.get('host', '')}",
                )
                return _sent(endpoint.name, _answer(endpoint, call))
        return _sent("unknown", Answer({"message": "Not Found"}, 404))


def _pattern(api: Api, endpoint: Endpoint) -> re.Pattern[str]:
    base_path = api.base_path if endpoint.base_path is None else endpoint.base_path
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", base_path + endpoint.path))


def _answer(endpoint: Endpoint, call: Call) -> Answer:
    try:
        return endpoint.handle(call)
    except Refusal as refusal:
        return refusal.answer


def _sent(endpoint: str, answer: Answer) -> Sent:
    is_text = isinstance(answer.body, str) and not answer.text_as_json
    body = str(answer.body).encode() if is_text else orjson.dumps(answer.body)
    kind = "text/plain; charset=utf-8" if is_text else "application/json"
    head = f"HTTP/1.1 {answer.status} \r\ncontent-length: {len(body)}\r\ncontent-type: {kind}\r\n\r\n"
    return Sent(endpoint, answer.status, head.encode() + body)


def _json_object(raw: bytes) -> dict[str, object] | None:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
