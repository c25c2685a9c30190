"""Paging through Sensible's list by continuation tokens.

The OpenAPI specification documents that rows found by date "may then be removed by other filters": Sensible filters by
date before paging and by everything else afterwards. Its release notes add that a page ends after some time. A page,
the first one included, may therefore be short or empty. Only a missing token ends the list.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf

from ...core.errors import TooManyPages, UnreadableResponse
from ...core.json_types import Json
from ...core.provider import RequestFlow
from ...core.requests import Request
from .. import listing as shared_listing
from .reading import parse_page


class ListPager:
    """Pages of one list.

    Attributes:
        is_done: Whether the list has no further page.
    """

    def __init__(self, first_request: Request, full_page_size: float = inf) -> None:
        """Start before the first page.

        Args:
            first_request: The request for the first page; the others add a token to it.
            full_page_size: Number of rows of a full page, which has to state whether it is the last.
        """
        self.is_done = False
        self._first_request = first_request
        self._full_page_size = full_page_size
        self._next_token: str | None = None
        self._seen_tokens: set[str] = set()
        self._page_count = 0

    def read_page(self) -> RequestFlow[list[Json]]:
        """Return the rows of the next page.

        Raises:
            UnreadableResponse: A token comes again, so that the list would be read for ever.
            TooManyPages: The list does not end.
        """
        # A list whose tokens never come again passes the check for circles, so the number of pages has a limit too.
        if self._page_count >= shared_listing.MAX_PAGES:
            raise TooManyPages(
                f"Sensible's list of extractions does not end after {shared_listing.MAX_PAGES} pages. "
                "The next sync tries again."
            )
        self._page_count += 1
        token_params = {"continuation_token": self._next_token} if self._next_token else {}
        [body] = yield [replace(self._first_request, params={**self._first_request.params, **token_params})]
        rows, self._next_token = parse_page(body, self._full_page_size)
        self.is_done = self._next_token is None
        if self._next_token:
            # Only a token that comes again is a circle. Several empty pages in a row are none, since Sensible filters
            # after paging.
            if self._next_token in self._seen_tokens:
                raise UnreadableResponse("Sensible's list of extractions repeats a continuation_token.")
            self._seen_tokens.add(self._next_token)
        return rows
