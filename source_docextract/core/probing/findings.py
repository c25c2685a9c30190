"""Findings: what a user's account shows about each assumption. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from ..json_types import Json
from .assumptions import Assumption, SwitchValue
from .shapes import describe_shape, describe_status, describe_time_format, list_unknown_keys


class Verdict(str, Enum):
    """The outcome of checking one assumption against an account."""

    AS_ASSUMED = "as assumed"
    HANDLED = "another variant, handled"
    CONTRADICTED = "contradicted"
    NOT_SEEN = "not seen"


@dataclass(slots=True)
class _Observations:
    """The observations about one assumption. Dicts serve as ordered sets."""

    variants: dict[str, None] = field(default_factory=dict)
    unexpected_shapes: dict[str, None] = field(default_factory=dict)
    details: dict[str, None] = field(default_factory=dict)
    switches: dict[str, SwitchValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result for one assumption.

    Attributes:
        assumption: the checked assumption.
        verdict: the outcome.
        variants: names of the observed variants, in order of observation.
        detail: shapes and counts as text; where the assumption is contradicted, the unexpected shape first.
        measured_switches: sandbox switches with values measured in the account.
    """

    assumption: Assumption
    verdict: Verdict
    variants: tuple[str, ...] = ()
    detail: str = ""
    measured_switches: Mapping[str, SwitchValue] = field(default_factory=dict)

    @property
    def switches(self) -> Mapping[str, SwitchValue]:
        """The sandbox's switches that reproduce the observations.

        Measured values override those of a variant.
        """
        variant_switches: dict[str, SwitchValue] = {}
        for name in self.variants:
            variant_switches.update(self.assumption.get_variant(name).switches)
        return {**variant_switches, **self.measured_switches}


class Findings:
    """The collected observations about one provider.

    Args:
        assumptions: the provider's assumptions. An observation about any other raises KeyError, so that none is lost.

    Attributes:
        notes: sentences about the account that belong to no assumption, such as an endpoint that was out of reach; a
            dict that serves as an ordered set.
    """

    def __init__(self, assumptions: Iterable[Assumption]) -> None:
        self._assumptions = {assumption.id: assumption for assumption in assumptions}
        self._observations: dict[str, _Observations] = {name: _Observations() for name in self._assumptions}
        self.notes: dict[str, None] = {}

    def observe(
        self, assumption_id: str, variant_name: str, detail: str = "", switches: Mapping[str, SwitchValue] | None = None
    ) -> None:
        """Record that a response shows a variant.

        `detail` and `switches` must hold no value of the account.
        """
        observations = self._observations[assumption_id]
        observations.variants[self._assumptions[assumption_id].get_variant(variant_name).name] = None
        observations.switches.update(switches or {})
        if detail:
            observations.details[detail] = None

    def contradict(self, assumption_id: str, shape: str) -> None:
        """Record a shape that no variant covers.

        `shape` must hold no value of the account.
        """
        self._observations[assumption_id].unexpected_shapes[shape] = None

    def observe_keys(self, assumption_id: str, json_object: Mapping[str, Json], documented_keys: Iterable[str]) -> None:
        """Record whether an object has undocumented keys (variants `known` and `more`)."""
        unknown_keys = list_unknown_keys(json_object, documented_keys)
        self.observe(assumption_id, "more" if unknown_keys else "known", ", ".join(unknown_keys))

    def observe_status(self, assumption_id: str, status: Json, documented_statuses: Collection[str]) -> None:
        """Record whether a status is documented (variants `known` and `unknown`).

        A status that is no text contradicts the assumption.
        """
        if not isinstance(status, str):
            self.contradict(assumption_id, f"`status` is {describe_shape(status)}")
        elif status in documented_statuses:
            self.observe(assumption_id, "known", f"`{status}`")
        else:
            self.observe(assumption_id, "unknown", f"`{describe_status(status)}`")

    def observe_zone(self, assumption_id: str, key: str, time: Json) -> None:
        """Record whether a time in ISO 8601 has a zone (variants `zoned` and `naive`).

        A time of another form contradicts the assumption.
        """
        time_form = describe_time_format(time)
        if time_form.startswith("ISO 8601"):
            self.observe(assumption_id, "zoned" if time_form == "ISO 8601 with a zone" else "naive")
        else:
            self.contradict(assumption_id, f"`{key}` is {time_form}")

    def observe_order(self, assumption_id: str, creation_times: Sequence[datetime]) -> None:
        """Record whether the rows of a page are in order (variant `newest_first`).

        One row has no order. Another order contradicts the assumption.
        """
        if len(creation_times) < 2:
            return
        if list(creation_times) == sorted(creation_times, reverse=True):
            self.observe(assumption_id, "newest_first")
        else:
            self.contradict(assumption_id, "the rows of a page are in another order")

    def add_note(self, sentence: str) -> None:
        """Add a sentence about the account that belongs to no assumption."""
        self.notes[sentence] = None

    def build_findings(self) -> list[Finding]:
        """Return one finding for each assumption, in the order of the assumptions."""
        return [
            self._build_finding(assumption, self._observations[name]) for name, assumption in self._assumptions.items()
        ]

    @staticmethod
    def _build_finding(assumption: Assumption, observations: _Observations) -> Finding:
        variants = tuple(observations.variants)
        # A shape that nothing handles outweighs all that was as assumed: it decides the exit code of the probe.
        if observations.unexpected_shapes:
            return Finding(
                assumption,
                Verdict.CONTRADICTED,
                variants,
                "; ".join([*observations.unexpected_shapes, *observations.details]),
            )
        if not variants:
            return Finding(assumption, Verdict.NOT_SEEN)
        is_assumed = set(variants) == {assumption.assumed_variant.name}
        verdict = Verdict.AS_ASSUMED if is_assumed else Verdict.HANDLED
        return Finding(assumption, verdict, variants, "; ".join(observations.details), observations.switches)
