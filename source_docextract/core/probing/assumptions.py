"""The form of assumptions about providers and of a probe's responses. Pure.

No API could be called while the connector was written. So the table of assumptions has an entry for each point that a
provider's documentation leaves open: the assumed variant, its evidence, the other variants that the connector handles,
and advice for anything else. The command `source-docextract probe` checks the table against the user's account;
`docs/assumptions.md` is generated from it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from ..json_types import Json, JsonObject
from ..requests import Request
from .shapes import describe_shape

SwitchValue = bool | int | str | None

REPORT_ADVICE = "Report it together with this page, so that the connector can be adapted."
"""The advice for most contradictions."""


class Evidence(str, Enum):
    """The evidence for a fact, from the strongest to the weakest."""

    ORIGINAL_PAGES = "documented on the pages that the connector was built from"
    DOCUMENTED = "documented by the provider elsewhere"
    THIRD_PARTY = "seen in third-party public code or data"
    GUESS = "undocumented"


@dataclass(frozen=True, slots=True)
class Variant:
    """One possible behaviour of a provider, which the connector handles.

    Attributes:
        name: its name, unique in the assumption; part of the report.
        sentence: the provider's behaviour, in the present tense.
        switches: the switches that make the sandbox behave alike; empty where it does so by default, or cannot.
    """

    name: str
    sentence: str
    switches: Mapping[str, SwitchValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Assumption:
    """An assumption about one provider that the connector relies on.

    Attributes:
        id: `<provider>.<name>`. Its meaning never changes, since reports are compared by it.
        evidence: the evidence for the assumed variant.
        variants: the assumed variant first, then the others that the connector handles.
        advice: the action for a user whose account shows none of the variants.
        is_visible: whether a probe can observe it. Some facts show only over weeks, or after a deletion.
    """

    id: str
    evidence: Evidence
    variants: tuple[Variant, ...]
    advice: str
    is_visible: bool = True

    @property
    def provider(self) -> str:
        """The name of the provider's settings object."""
        return self.id.split(".", maxsplit=1)[0]

    @property
    def assumed_variant(self) -> Variant:
        """The variant that the connector expects."""
        return self.variants[0]

    def get_variant(self, name: str) -> Variant:
        """Return the variant with a name.

        Raises:
            KeyError: if there is none.
        """
        return {variant.name: variant for variant in self.variants}[name]


def build_rate_limit_assumption(provider: str) -> Assumption:
    """Return the assumption that no header states a rate limit.

    The command checks it, for all providers alike.
    """
    return Assumption(
        f"{provider}.rate_limit_headers",
        Evidence.GUESS,
        (
            Variant("none", "No header states a rate limit."),
            Variant("present", "Headers state a rate limit."),
        ),
        REPORT_ADVICE,
    )


def build_keys_assumption(provider: str, evidence: Evidence, sentence: str) -> Assumption:
    """Return the assumption that responses have known keys only.

    `Findings.observe_keys` checks it.
    """
    return Assumption(
        f"{provider}.keys",
        evidence,
        (
            Variant("known", sentence),
            Variant("more", "There are other keys, which are kept in provider_data.", {"unknown_keys": True}),
        ),
        REPORT_ADVICE,
    )


THROTTLED_STATUS = 429


@dataclass(frozen=True, slots=True)
class ProbeResponse:
    """The response to one request of a probe, or the reason why there is none.

    Attributes:
        status: the HTTP status; 0 where no response came.
        headers: the headers as sent; names are compared without regard to case.
        body: the parsed JSON; None where the body is not JSON.
        is_json: whether the body is JSON; it distinguishes a JSON null from text.
        is_html: whether the body is a page of HTML.
        error: why no response came, sanitized.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json = None
    is_json: bool = False
    is_html: bool = False
    error: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether the request succeeded, with JSON."""
        return 200 <= self.status < 300 and self.is_json

    @property
    def json_object(self) -> JsonObject | None:
        """The body of a request that succeeded with a JSON object, else None."""
        return self.body if self.is_ok and isinstance(self.body, Mapping) else None

    @property
    def is_about_request(self) -> bool:
        """Whether the response concerns the request itself.

        Other responses concern the key, the rate, a proxy or a server error.
        """
        return 200 <= self.status < 500 and self.status not in {401, 407, 408, THROTTLED_STATUS}

    def describe_outcome(self, documented_keys: Iterable[str] = ()) -> str:
        """Return a phrase with the status and the shape of the body.

        Documented keys are named in it.
        """
        if not self.status:
            return self.error
        if self.is_json:
            return f"status {self.status} with {describe_shape(self.body, documented_keys)}"
        return f"status {self.status} with {'an HTML page' if self.is_html else 'text'}"


NO_RESPONSE = ProbeResponse(0, error="the request limit was reached")
"""The response to a request that was not made, because the probe had reached its limit of requests."""

ProbeFlow = Generator[Request, ProbeResponse, None]
"""A generator that yields one request at a time and is sent its response. It never fails: an assumption without a
usable response counts as not seen.
"""
