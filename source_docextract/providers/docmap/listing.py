"""DocMap's list, page by page: newest first, each page by a cursor out of the ones before.

A cursor is documented as the `createdAt` of the last row of a page. Whether the next page begins with rows of that
very time, and whether any other time works, is not. So a page has to show again what is known of the time that it goes
on from: then nothing lies between the pages, whatever the cursor means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from ...core.errors import TooManyPages, UnreadableResponse
from ...core.model import PartitionRef
from ...core.provider import RequestFlow
from ...core.requests import Request
from ...core.timestamps import format_rfc3339
from .. import listing as lists
from ..parsing import parse_each
from .reading import parse_page, parse_ref

_MILLISECOND = timedelta(milliseconds=1)


class ListPager:
    """The pages of one list.

    Args:
        ask: asks for a page with more parameters of the query.
        is_credible: whether a time can be true of a row of this list. Others decide nothing.
        end: where what is wanted ends. Rows from there on are passed over where the list does not get on among them.

    Attributes:
        found: all rows so far, by id.
        unreadable: how many rows cannot be read.
        is_over: the list says that there is no more.
        last: the time of the last row.
        has_passed_over: some rows from `end` on were not shown.
    """

    def __init__(
        self,
        build_request: Callable[..., Request],
        is_plausible: Callable[[datetime], bool],
        end: datetime | None = None,
    ) -> None:
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
        """Return the rows of the next page, those that it shows again included.

        Raises:
            BadAnswer: where none of the cursors that could be meant brings anything new.
            TooManyPages: for a list without an end.
        """
        if self._page_count >= lists.MAX_PAGES:
            raise TooManyPages(
                f"DocMap's list of extractions does not end after {lists.MAX_PAGES} pages. The next sync tries again."
            )
        self._page_count += 1
        stuck_refs: list[PartitionRef] = []
        for cursor in self._iter_cursors():
            [body] = yield [self._build_request(**cursor)]
            rows, has_more = parse_page(body)
            page_refs = parse_each(rows, parse_ref)
            is_new = any(ref.batch_id not in self.refs_by_id for ref in page_refs)
            is_continuation = self._is_continuation(page_refs)
            if (is_continuation or not self._has_started) and (is_new or not has_more):
                self.unreadable_count += len(rows) - len(page_refs)
                self._add_page(page_refs)
                self.is_done = not has_more
                return page_refs
            if not self._has_started:
                break
            stuck_refs = page_refs if is_continuation else stuck_refs
        if self._end and self.last_created_at and self._end < self.last_created_at:
            page_refs = yield from self._skip_to_end(self._end)
            if page_refs:
                return page_refs
        raise UnreadableResponse(self._explain_stuck(stuck_refs))

    def _skip_to_end(self, end: datetime) -> RequestFlow[list[PartitionRef]]:
        """Return the rows before a moment, which is the time of no row: none where that does not work as a cursor."""
        [body] = yield [self._build_request(cursor=format_rfc3339(end))]
        rows, has_more = parse_page(body)
        page_refs = parse_each(rows, parse_ref)
        if any(ref.approx_created_at and ref.approx_created_at > end for ref in page_refs):
            return []
        if page_refs:
            self.has_skipped_rows = True
            self.unreadable_count += len(rows) - len(page_refs)
            self._add_page(page_refs)
            self.is_done = not has_more
        return page_refs

    def has_reached(self, timestamp: datetime) -> bool:
        """Return whether all rows from a moment on have been shown."""
        return self.last_created_at is not None and self.last_created_at < timestamp

    def _iter_cursors(self) -> Iterator[dict[str, str]]:
        """Yield the cursors of the next page, each of them for where the one before leads nowhere.

        First a time that was seen, the earliest one later than the last row: it shows the last row again, inclusive or
        not. Where too many rows have that time, a tick after the last row; at last the cursor as it is documented.
        """
        if not self._has_started:
            yield {}
        elif self.last_created_at is not None:
            for timestamp in (self._next_newer_time, self.last_created_at + _MILLISECOND, self.last_created_at):
                if timestamp is not None:
                    yield {"cursor": format_rfc3339(timestamp) or ""}

    def _is_continuation(self, page_refs: list[PartitionRef]) -> bool:
        return any(
            ref.approx_created_at == self.last_created_at and ref.batch_id in self.refs_by_id for ref in page_refs
        )

    def _add_page(self, page_refs: list[PartitionRef]) -> None:
        self._has_started = True
        self.refs_by_id.update((ref.batch_id, ref) for ref in page_refs)
        times = [
            ref.approx_created_at
            for ref in page_refs
            if ref.approx_created_at and self._is_plausible(ref.approx_created_at)
        ]
        if not times:
            return
        newer_times = [*times, self.last_created_at, self._next_newer_time]
        last_time = times[-1]
        self._next_newer_time = min(
            (timestamp for timestamp in newer_times if timestamp and timestamp > last_time), default=None
        )
        self.last_created_at = last_time

    def _explain_stuck(self, page_refs: list[PartitionRef]) -> str:
        """Say why it does not get on; `shown` is a page that has shown again what was known, and nothing else."""
        if not self._has_started:
            return "DocMap's list of extractions is empty but announces more rows. The next sync tries again."
        if self.last_created_at is None:
            return (
                "DocMap's list of extractions announces more rows, but shows no time to continue from. "
                "The next sync tries again."
            )
        last_time_text = format_rfc3339(self.last_created_at)
        if page_refs and all(ref.approx_created_at == self.last_created_at for ref in page_refs):
            return (
                f"DocMap has more extractions of {last_time_text} than fit on a page. Name their templates in "
                "docmap.template_ids to list them separately."
            )
        return (
            f"DocMap's list of extractions does not continue after {last_time_text} (the cursor returns no later row). "
            "The next sync tries again."
        )
