"""Sensible's list, page by page.

Dates are filtered before paging and the rest after it, and a page ends after some time. So a page may be short or
empty, the first one too: only a missing token ends the list.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf

from ...errors import BadAnswer, TooManyPages
from ...http import Request
from ...model import Json
from .. import base
from ..base import Script
from .documents import page_of


class Walk:
    """The pages of one list.

    Args:
        page: asks for the first page.
        full: rows of a full page, which has to say whether it is the last.

    Attributes:
        is_over: the list has no further page.
    """

    def __init__(self, page: Request, full: float = inf) -> None:
        self.is_over = False
        self._page = page
        self._full = full
        self._token: str | None = None
        self._seen: set[str] = set()
        self._pages = 0

    def step(self) -> Script[list[Json]]:
        """Return the rows of the next page.

        Raises:
            BadAnswer: for a token that comes again.
            TooManyPages: for a list without an end.
        """
        if self._pages >= base.MOST_PAGES:
            raise TooManyPages(
                f"Sensible's list of extractions goes on after {base.MOST_PAGES} pages. The next sync asks again."
            )
        self._pages += 1
        token = {"continuation_token": self._token} if self._token else {}
        [body] = yield [replace(self._page, params={**self._page.params, **token})]
        rows, self._token = page_of(body, self._full)
        self.is_over = self._token is None
        if self._token:
            if self._token in self._seen:
                raise BadAnswer("Sensible's list of extractions goes round in circles.")
            self._seen.add(self._token)
        return rows
