"""What an account shows of the assumptions. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from ..model import Json
from .assumptions import Assumption, SwitchValue
from .shapes import described, key_names, status_word


class Verdict(str, Enum):
    """What became of an assumption."""

    AS_ASSUMED = "as assumed"
    HANDLED = "another variant, handled"
    CONTRADICTED = "contradicted"
    NOT_SEEN = "not seen"


@dataclass(slots=True)
class _Sightings:
    variants: dict[str, None] = field(default_factory=dict)
    odd_shapes: dict[str, None] = field(default_factory=dict)
    details: dict[str, None] = field(default_factory=dict)
    switches: dict[str, SwitchValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One assumption, and what an account shows of it.

    Attributes:
        variants: names of the variants that were seen, in the order in which they were.
        detail: shapes and counts, in words; what was seen instead where it is contradicted.
    """

    assumption: Assumption
    verdict: Verdict
    variants: tuple[str, ...] = ()
    detail: str = ""
    measured: Mapping[str, SwitchValue] = field(default_factory=dict)

    @property
    def switches(self) -> Mapping[str, SwitchValue]:
        """The sandbox's switches that reproduce what was seen; `measured` ones go before those of a variant."""
        found: dict[str, SwitchValue] = {}
        for name in self.variants:
            found.update(self.assumption.variant(name).switches)
        return {**found, **self.measured}


class Findings:
    """Collects what the answers of one provider show.

    Args:
        assumptions: those of this provider; anything else is refused, so that no sighting goes astray.
    """

    def __init__(self, assumptions: Iterable[Assumption]) -> None:
        self._assumptions = {assumption.id: assumption for assumption in assumptions}
        self._seen: dict[str, _Sightings] = {name: _Sightings() for name in self._assumptions}
        self.notes: dict[str, None] = {}
        """Sentences about the account that belong to no assumption, such as an endpoint that could not be asked."""

    def see(
        self, assumption: str, variant: str, detail: str = "", switches: Mapping[str, SwitchValue] | None = None
    ) -> None:
        """Note that an answer shows this variant. `detail` and `switches` must hold no value of the account."""
        sightings = self._seen[assumption]
        sightings.variants[self._assumptions[assumption].variant(variant).name] = None
        sightings.switches.update(switches or {})
        if detail:
            sightings.details[detail] = None

    def contradict(self, assumption: str, shape: str) -> None:
        """Note that an answer shows something that no variant covers. `shape` must hold no value of the account."""
        self._seen[assumption].odd_shapes[shape] = None

    def see_keys(self, assumption: str, sent: Mapping[str, Json], documented: Iterable[str]) -> None:
        """Note whether an object has keys beyond the documented ones (variants `known` and `more`)."""
        names = key_names(sent, documented)
        self.see(assumption, "more" if names else "known", ", ".join(names))

    def see_status(self, assumption: str, status: Json, documented: Collection[str]) -> None:
        """Note whether a status is documented (variants `known` and `unknown`); what is no text contradicts."""
        if not isinstance(status, str):
            self.contradict(assumption, f"`status` is {described(status)}")
        elif status in documented:
            self.see(assumption, "known", f"`{status}`")
        else:
            self.see(assumption, "unknown", f"`{status_word(status)}`")

    def note(self, sentence: str) -> None:
        self.notes[sentence] = None

    def results(self) -> list[Finding]:
        """Return one finding for each assumption, in the order of the table."""
        return [self._finding(assumption, self._seen[name]) for name, assumption in self._assumptions.items()]

    @staticmethod
    def _finding(assumption: Assumption, seen: _Sightings) -> Finding:
        variants = tuple(seen.variants)
        if seen.odd_shapes:
            return Finding(assumption, Verdict.CONTRADICTED, variants, "; ".join([*seen.odd_shapes, *seen.details]))
        if not variants:
            return Finding(assumption, Verdict.NOT_SEEN)
        is_assumed = set(variants) == {assumption.assumed.name}
        verdict = Verdict.AS_ASSUMED if is_assumed else Verdict.HANDLED
        return Finding(assumption, verdict, variants, "; ".join(seen.details), seen.switches)
