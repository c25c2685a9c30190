"""Paging through DocMap's list, newest first, by the creation times of its rows.

"List Extractions" documents the cursor as the `createdAt` of the last row of the previous page. It does not document
whether the next page begins with the rows of that time or after them, nor whether other times work. Each page
therefore has to repeat a row of the page before it: no row can then lie between the two, with either meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from ...core.errors import TooManyPages, UnreadableResponse
from ...core.model import PartitionRef
from ...core.provider import RequestFlow
from ...core.requests import Request
from ...core.timestamps import format_rfc3339
from .. import listing as shared_listing
from ..packing import parse_and_pack
from .reading import parse_page, parse_ref

_MILLISECOND = timedelta(milliseconds=1)


class ListPager:
    """Pages of one list.

    Attributes:
        refs_by_id: All rows read so far, by extraction id.
        unreadable_count: Number of rows that cannot be read.
        is_done: Whether the list has no further page.
        last_created_at: Creation time of the last row with a plausible one.
        has_skipped_rows: Whether rows from `end` on were left out.
    """

    def __init__(
        self,
        build_request: Callable[..., Request],
        is_plausible: Callable[[datetime], bool],
        end: datetime | None = None,
    ) -> None:
        """Start before the first page.

        Args:
            build_request: Returns the request for a page, given additional query parameters.
            is_plausible: Returns whether a creation time can be true of a row in this list. Other times are ignored.
            end: End of the wanted range. If paging gets stuck among later rows, they are skipped.
        """
        self.refs_by_id: dict[str, PartitionRef] = {}
        self.unreadable_count = 0
        self.is_done = False
        self.last_created_at: datetime | None = None
        self.has_skipped_rows = False
        self._end = end
        self._next_newer_time: datetime | None = None
        self._has_started = False
        self._page_count = 0
        self._build_request = build_request
        self._is_plausible = is_plausible

    def read_page(self) -> RequestFlow[list[PartitionRef]]:
        """Return the rows of the next page, including those that it repeats.

        Raises:
            UnreadableResponse: None of the possible cursors leads to new rows.
            TooManyPages: The list does not end.
        """
        # A list may bring a new row with each page and never end, so the number of pages has a limit too.
        if self._page_count >= shared_listing.MAX_PAGES:
            raise TooManyPages(
                f"DocMap's list of extractions does not end after {shared_listing.MAX_PAGES} pages. "
                "The next sync tries again."
            )
        self._page_count += 1
        stuck_refs: list[PartitionRef] = []
        for cursor in self._iter_cursors():
            [body] = yield [self._build_request(**cursor)]
            rows, has_more = parse_page(body)
            page_refs = parse_and_pack(rows, parse_ref)
            is_new = any(ref.batch_id not in self.refs_by_id for ref in page_refs)
            is_continuation = self._is_continuation(page_refs)
            # A page is taken only if nothing can lie between it and the page before, and if it brings paging forward.
            # A list that repeats its pages would otherwise be read for ever.
            if (is_continuation or not self._has_started) and (is_new or not has_more):
                self.unreadable_count += len(rows) - len(page_refs)
                self._add_page(page_refs)
                self.is_done = not has_more
                return page_refs
            if not self._has_started:
                break
            if is_continuation:
                stuck_refs = page_refs
        # Rows after the wanted range are not needed. If paging gets stuck among them, reading may go on at the end of
        # the range without losing a row of it.
        if self._end and self.last_created_at and self._end < self.last_created_at:
            page_refs = yield from self._skip_to_end(self._end)
            if page_refs:
                return page_refs
        raise UnreadableResponse(self._explain_stuck(stuck_refs))

    def _skip_to_end(self, end: datetime) -> RequestFlow[list[PartitionRef]]:
        """Return the rows before the end of the range.

        The end is a midnight, not the time of a row. If DocMap accepts only times of rows as cursors, the response does
        not begin there, and no rows are returned.
        """
        [body] = yield [self._build_request(cursor=format_rfc3339(end))]
        rows, has_more = parse_page(body)
        page_refs = parse_and_pack(rows, parse_ref)
        # No page documents whether a cursor includes its own time, so a row of exactly `end` is accepted.
        if any(ref.approx_created_at and ref.approx_created_at > end for ref in page_refs):
            return []
        if page_refs:
            self.has_skipped_rows = True
            self.unreadable_count += len(rows) - len(page_refs)
            self._add_page(page_refs)
            self.is_done = not has_more
        return page_refs

    def has_reached(self, timestamp: datetime) -> bool:
        """Return whether all rows from a time on have been read."""
        return self.last_created_at is not None and self.last_created_at < timestamp

    def _iter_cursors(self) -> Iterator[dict[str, str]]:
        """Yield the cursors to try for the next page, in order of preference.

        1. The earliest known time after the last row. The page repeats the last row, inclusive cursor or not.
        2. A millisecond after the last row, for when too many rows share the first time.
        3. The time of the last row, the documented cursor.
        """
        if not self._has_started:
            yield {}
        elif self.last_created_at is not None:
            for timestamp in (self._next_newer_time, self.last_created_at + _MILLISECOND, self.last_created_at):
                if timestamp is not None:
                    yield {"cursor": format_rfc3339(timestamp) or ""}

    def _is_continuation(self, page_refs: list[PartitionRef]) -> bool:
        """Return whether a page repeats a row with the time of the last known row."""
        return any(
            ref.approx_created_at == self.last_created_at and ref.batch_id in self.refs_by_id for ref in page_refs
        )

    def _add_page(self, page_refs: list[PartitionRef]) -> None:
        self._has_started = True
        self.refs_by_id.update((ref.batch_id, ref) for ref in page_refs)
        # A time that cannot be true of a row in this list would lead the cursor past rows that were never read.
        times = [
            ref.approx_created_at
            for ref in page_refs
            if ref.approx_created_at and self._is_plausible(ref.approx_created_at)
        ]
        if not times:
            return
        last_time = times[-1]
        # All rows of a page may share one time. The earliest later time is then that of a page before.
        known_times = [*times, self.last_created_at, self._next_newer_time]
        newer_times = [timestamp for timestamp in known_times if timestamp and timestamp > last_time]
        self._next_newer_time = min(newer_times, default=None)
        self.last_created_at = last_time

    def _explain_stuck(self, page_refs: list[PartitionRef]) -> str:
        """Return why paging is stuck.

        Args:
            page_refs: Rows of a page that repeated known rows only; empty if no page did.
        """
        if not self._has_started:
            return "DocMap's list of extractions is empty but announces more rows. The next sync tries again."
        if self.last_created_at is None:
            return (
                "DocMap's list of extractions announces more rows, but shows no time to continue from. "
                "The next sync tries again."
            )
        last_time_text = format_rfc3339(self.last_created_at)
        if page_refs and all(ref.approx_created_at == self.last_created_at for ref in page_refs):
            # A cursor is a time alone, so it cannot lead past a full page of rows with the same time. Passing over
            # them would lose rows; the list of one template has fewer rows of that time.
            return (
                f"DocMap has more extractions of {last_time_text} than fit on a page. Name their templates in "
                "docmap.template_ids to list them separately."
            )
        return (
            f"DocMap's list of extractions does not continue after {last_time_text} (the cursor returns no later row). "
            "The next sync tries again."
        )
