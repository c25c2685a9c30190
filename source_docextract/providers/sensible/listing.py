"""Sensible's list, page by page.

Dates are filtered before paging and the rest after it, and a page ends after some time. So a page may be short or
empty, the first one too: only a missing token ends the list.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf

from ...core.errors import TooManyPages, UnreadableResponse
from ...core.json_types import Json
from ...core.provider import RequestFlow
from ...core.requests import Request
from .. import listing as lists
from .reading import parse_page


class ListPager:
    """The pages of one list.

    Args:
        page: asks for the first page.
        full: rows of a full page, which has to say whether it is the last.

    Attributes:
        is_over: the list has no further page.
    """

    def __init__(self, first_request: Request, full_page_size: float = inf) -> None:
        self.is_done = False
        self._first_request = first_request
        self._full_page_size = full_page_size
        self._next_token: str | None = None
        self._seen_tokens: set[str] = set()
        self._page_count = 0

    def read_page(self) -> RequestFlow[list[Json]]:
        """Return the rows of the next page.

        Raises:
            BadAnswer: for a token that comes again.
            TooManyPages: for a list without an end.
        """
        if self._page_count >= lists.MAX_PAGES:
            raise TooManyPages(
                f"Sensible's list of extractions does not end after {lists.MAX_PAGES} pages. The next sync tries again."
            )
        self._page_count += 1
        token_params = {"continuation_token": self._next_token} if self._next_token else {}
        [body] = yield [replace(self._first_request, params={**self._first_request.params, **token_params})]
        rows, self._next_token = parse_page(body, self._full_page_size)
        self.is_done = self._next_token is None
        if self._next_token:
            if self._next_token in self._seen_tokens:
                raise UnreadableResponse("Sensible's list of extractions repeats a continuation_token.")
            self._seen_tokens.add(self._next_token)
        return rows
