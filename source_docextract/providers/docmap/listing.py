"""DocMap's list, page by page: newest first, each page by a cursor out of the ones before.

A cursor is documented as the `createdAt` of the last row of a page. Whether the next page begins with rows of that
very time, and whether any other time works, is not. So a page has to show again what is known of the time that it goes
on from: then nothing lies between the pages, whatever the cursor means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from ...errors import BadAnswer, TooManyPages
from ...http import Request
from ...model import BatchRef, rfc3339
from .. import base
from ..base import Script, each
from .extractions import page_of, ref_of

_TICK = timedelta(milliseconds=1)


class Walk:
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
        self, ask: Callable[..., Request], is_credible: Callable[[datetime], bool], end: datetime | None = None
    ) -> None:
        self.found: dict[str, BatchRef] = {}
        self.unreadable = 0
        self.is_over = False
        self.last: datetime | None = None
        self.has_passed_over = False
        self._end = end
        self._above: datetime | None = None
        self._is_begun = False
        self._pages = 0
        self._ask = ask
        self._is_credible = is_credible

    def step(self) -> Script[list[BatchRef]]:
        """Return the rows of the next page, those that it shows again included.

        Raises:
            BadAnswer: where none of the cursors that could be meant brings anything new.
            TooManyPages: for a list without an end.
        """
        if self._pages >= base.MOST_PAGES:
            raise TooManyPages(
                f"DocMap's list of extractions goes on after {base.MOST_PAGES} pages. The next sync asks again."
            )
        self._pages += 1
        stuck: list[BatchRef] = []
        for cursor in self._cursors():
            [body] = yield [self._ask(**cursor)]
            rows, has_more = page_of(body)
            shown = each(rows, ref_of)
            is_new = any(ref.batch_id not in self.found for ref in shown)
            follows = self._follows(shown)
            if (follows or not self._is_begun) and (is_new or not has_more):
                self.unreadable += len(rows) - len(shown)
                self._take(shown)
                self.is_over = not has_more
                return shown
            if not self._is_begun:
                break
            stuck = shown if follows else stuck
        if self._end and self.last and self._end < self.last:
            shown = yield from self._pass_over(self._end)
            if shown:
                return shown
        raise BadAnswer(self._stuck(stuck))

    def _pass_over(self, end: datetime) -> Script[list[BatchRef]]:
        """Return the rows before a moment, which is the time of no row: none where that does not work as a cursor."""
        [body] = yield [self._ask(cursor=rfc3339(end))]
        rows, has_more = page_of(body)
        shown = each(rows, ref_of)
        if any(ref.clock and ref.clock > end for ref in shown):
            return []
        if shown:
            self.has_passed_over = True
            self.unreadable += len(rows) - len(shown)
            self._take(shown)
            self.is_over = not has_more
        return shown

    def is_below(self, moment: datetime) -> bool:
        """Return whether all rows from a moment on have been shown."""
        return self.last is not None and self.last < moment

    def _cursors(self) -> Iterator[dict[str, str]]:
        """Yield the cursors of the next page, each of them for where the one before leads nowhere.

        First a time that was seen, the earliest one later than the last row: it shows the last row again, inclusive or
        not. Where too many rows have that time, a tick after the last row; at last the cursor as it is documented.
        """
        if not self._is_begun:
            yield {}
        elif self.last is not None:
            for moment in (self._above, self.last + _TICK, self.last):
                if moment is not None:
                    yield {"cursor": rfc3339(moment) or ""}

    def _follows(self, shown: list[BatchRef]) -> bool:
        return any(ref.clock == self.last and ref.batch_id in self.found for ref in shown)

    def _take(self, shown: list[BatchRef]) -> None:
        self._is_begun = True
        self.found.update((ref.batch_id, ref) for ref in shown)
        times = [ref.clock for ref in shown if ref.clock and self._is_credible(ref.clock)]
        if not times:
            return
        later = [*times, self.last, self._above]
        last = times[-1]
        self._above = min((moment for moment in later if moment and moment > last), default=None)
        self.last = last

    def _stuck(self, shown: list[BatchRef]) -> str:
        """Say why it does not get on; `shown` is a page that has shown again what was known, and nothing else."""
        if not self._is_begun:
            return "DocMap's list of extractions shows nothing and says that there is more. The next sync asks again."
        if self.last is None:
            return "DocMap's list of extractions has more rows, and no time to go on from. The next sync asks again."
        when = rfc3339(self.last)
        if shown and all(ref.clock == self.last for ref in shown):
            return (
                f"DocMap has more extractions of {when} than a page holds; name their templates in "
                "docmap.template_ids to read them apart."
            )
        return (
            f"DocMap's list of extractions does not get on from {when} (its cursor brings nothing that follows). "
            "The next sync asks again."
        )
