"""The assumptions about the providers, in one table. Pure data.

No API could be called while the connector was written, so each reading of what a provider leaves open stands here:
what is assumed, how sure it is, which other variants are handled, and what to do about anything else. The command
`source-docextract probe` checks the table against an account; `docs/assumptions.md` is written from it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from ..json_types import Json
from ..requests import Request
from .shapes import describe_shape

SwitchValue = bool | int | str | None

REPORT_ADVICE = "Report it together with this page, so that the connector can be adapted."
"""What a user can do about most contradictions."""


class Evidence(str, Enum):
    """How sure a fact is, from the surest to the least."""

    ORIGINAL_PAGES = "documented on the pages that the connector was built from"
    DOCUMENTED = "documented by the provider elsewhere"
    THIRD_PARTY = "seen in third-party public code or data"
    GUESS = "undocumented"


@dataclass(frozen=True, slots=True)
class Variant:
    """One reading of what a provider leaves open; the connector handles it.

    Attributes:
        name: unique in its assumption; part of the report.
        sentence: what the provider does, in the present tense.
        switches: the sandbox's switches that make it do the same; empty where it does so by default, or cannot.
    """

    name: str
    sentence: str
    switches: Mapping[str, SwitchValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Assumption:
    """What the connector relies on, of one provider.

    Attributes:
        id: `<provider>.<name>`; it never changes its meaning, since reports are compared by it.
        variants: the assumed one first; the others are handled as well.
        contradicted: what a user should do where an account shows none of them.
        is_visible: whether a probe can see it. Some facts show over weeks only, or when something is deleted.
    """

    id: str
    evidence: Evidence
    variants: tuple[Variant, ...]
    advice: str
    is_visible: bool = True

    @property
    def provider(self) -> str:
        """The provider, as its settings object is called."""
        return self.id.split(".", maxsplit=1)[0]

    @property
    def assumed_variant(self) -> Variant:
        return self.variants[0]

    def get_variant(self, name: str) -> Variant:
        """Return the variant of that name; KeyError where there is none."""
        return {variant.name: variant for variant in self.variants}[name]


def build_rate_limit_assumption(provider: str) -> Assumption:
    """Return the assumption that no header speaks of a limit. The command checks it, for all providers alike."""
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
    """Return the assumption that answers have known keys alone; `Findings.see_keys` checks it."""
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
    """One answer, or that there was none.

    Attributes:
        status: the HTTP status, 0 where no answer came.
        headers: as they came; names are compared whatever letters they are written in.
        body: the parsed JSON, None where it is none.
        trouble: why no answer came, in words that hold no secret.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json = None
    is_json: bool = False
    is_html: bool = False
    error: str = ""

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300 and self.is_json

    @property
    def is_about_request(self) -> bool:
        """Whether it says something of what was asked for, and not of the key, the rate or a trouble in between."""
        return 200 <= self.status < 500 and self.status not in {401, 407, 408, THROTTLED_STATUS}

    def describe_outcome(self, documented_keys: Iterable[str] = ()) -> str:
        """Return the status and the shape of the answer, in words. Keys that are `documented` are shown."""
        if not self.status:
            return self.error
        if self.is_json:
            return f"status {self.status} with {describe_shape(self.body, documented_keys)}"
        return f"status {self.status} with {'an HTML page' if self.is_html else 'text'}"


NO_RESPONSE = ProbeResponse(0, error="the request limit was reached")
"""What a probe is sent for a request that was not made, since the limit was reached."""

ProbeFlow = Generator[Request, ProbeResponse, None]
"""Yields one request at a time and is sent its answer. It never fails: what cannot be had is not seen."""
