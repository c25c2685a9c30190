"""What the jobs of a visit are for: each is tagged with one of these."""

from __future__ import annotations

from dataclasses import dataclass

from .model import BatchRef
from .routes import Route
from .scroll import Oldest, Scroll, Window


@dataclass(frozen=True, slots=True)
class ToList:
    """Lists the batches of one template."""

    route: Route
    template_id: str


@dataclass(frozen=True, slots=True)
class ToFindMembers:
    """Asks which documents are in a batch that is named by hand."""

    route: Route
    ref: BatchRef


@dataclass(frozen=True, slots=True)
class ToScroll:
    """Asks for a window of a list by time, or for where that list begins."""

    route: Route
    scroll: Scroll
    ask: Window | Oldest


@dataclass(frozen=True, slots=True)
class ToFetch:
    """Fetches one batch."""

    route: Route
    ref: BatchRef


Errand = ToList | ToFindMembers | ToScroll | ToFetch
