"""Switches between variants of behaviour that the documentation leaves open."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args
from zoneinfo import available_timezones

import orjson

StartTimeFormat = Literal[
    "ms", "text", "iso", "missing",
    "seconds", "microseconds", "nanoseconds", "seconds_and_nanoseconds", "http", "lower_case", "year_9999", "words",
]  # fmt: skip
PortfolioMode = Literal["whole", "no_documents", "no_output"]
EndlessMode = Literal["no", "empty", "rows", "circle"]
StatusFilterMode = Literal["obeyed", "ignored", "refused", "first"]


@dataclass(frozen=True)
class Switches:
    """The variants; each default is the likelier one."""

    extracta_file_ids: bool = True
    """Whether extraction files have `fileId`: public clients read it, the page "Get results" does not show it."""
    extracta_top_level_status: bool = False
    """Whether a finished extraction batch has a `status`: one public client needs it, the page does not show it."""
    extracta_start_time: StartTimeFormat = "ms"
    """Format of a batch's `startTime` in `viewExtraction`.

    Epoch milliseconds, the same as text, ISO 8601, or no key; other units and forms that other APIs and Firestore's
    clients use; or no valid time: the last millisecond of the year 9999, which stands for "no time", or words.
    """
    extracta_batches: bool = True
    """Whether `viewExtraction` has the `batches` map, which public clients read."""
    classification_batches: bool = False
    """Whether `viewClassification` has the same map (a guess)."""
    other_account: bool = False
    """Whether the credentials belong to another, empty account: lists are empty, ids do not exist."""
    unknown_keys: bool = False
    """Whether each object of a response has an undocumented key; extracted data and maps by id have none."""
    unknown_status: str | None = None
    """An undocumented status in place of `processing`."""
    partial_batches: bool = False
    """Whether an unfinished Extracta batch lists files with the status `processing`; `waiting` is documented."""
    atlas_total_counts_extracted: bool = True
    """Whether `total_items` counts extracted documents only. False: it counts all, and pending ones are empty rows."""
    atlas_page_stuck: bool = False
    """Whether the server ignores `page` and always announces a next page."""
    atlas_no_total_pages: bool = False
    """Whether pages have no `total_pages`."""
    atlas_error_in_file_data: bool = False
    """Whether a document's error is inside its `file_data`. False: it is on the row. Neither is documented."""
    atlas_expires_in: str | None = "3600"
    """`expires_in` of the login as JSON: `3600` as documented, `-1`, `"NaN"`; None leaves the key out."""
    atlas_token_size: int = 0
    """Least length of a token in characters: some providers write all rights of a user into it."""
    docmap_cursor_inclusive: bool = False
    """Whether a cursor's page repeats the rows of its millisecond. False: it skips those not yet returned."""
    docmap_nested_list: bool = False
    """Whether the list is at `data.extractions`, beside `data.hasMore`, instead of `data`."""
    docmap_cursor_rows_only: bool = False
    """Whether only the `createdAt` of a row works as a cursor: any other time returns an empty last page."""
    docmap_zone: str = "UTC"
    """Time zone of the days in `dateFrom` and `dateTo`, such as `America/New_York` or `Etc/GMT+12`."""
    docmap_scan: int = 0
    """Most rows that are scanned for a page before the template filter; 0 filters first and fills every page.

    With a limit, a page may be short or empty and still announce more.
    """
    docmap_endless: EndlessMode = "no"
    """Lists without an end: `empty` pages that announce more, invented `rows`, or the same page in a `circle`.

    Where the list is filtered by template, only the list of the first template is endless.
    """
    sensible_scan: int = 0
    """Most extractions that are scanned for a page, after the date filter and before all others; 0 filters first.

    With a limit, a page may be short or empty and still carry a token.
    """
    sensible_status_filter: StatusFilterMode = "obeyed"
    """Whether `statuses` and `review_statuses` are `obeyed`, `ignored`, `refused` (400), or read as the `first` value.

    As documented both accept several values.
    """
    sensible_endless: EndlessMode = "no"
    """Lists without an end: `empty` pages or invented `rows` with new tokens, or one token in a `circle`.

    Where the list is filtered by document type, only the list of the first type is endless.
    """
    sensible_batch_id_in_list: bool = False
    """Whether summaries in the list have the `batchId` that single documents have."""
    sensible_camel_case: bool = False
    """Whether a portfolio's output has `parsedDocument` and the like, as in one example, for `parsed_document`."""
    sensible_portfolios: PortfolioMode = "whole"
    """Whether complete portfolios are whole, have no documents, or have `errors` and documents with a null `output`."""
    sensible_postprocessed: bool = False
    """Whether documents have `postprocessorOutput` instead of `parsed_document` (`keepParsedDocument: false`)."""
    sensible_naive_times: bool = False
    """Whether times come without a zone, as in some examples."""
    sensible_waiting_counter: bool = True
    """Whether a batch has `waiting` when it is 0. False: the key is left out then."""
    sensible_quota_spent: int = 0
    """Number of calls that get 429 for the monthly quota; documented for extract calls, not for reads."""
    sensible_throttle: int = 0
    """Number of calls that get 429 for the request rate, before those of the quota."""


_COUNT_SWITCHES = ("atlas_token_size", "docmap_scan", "sensible_scan", "sensible_quota_spent", "sensible_throttle")
_SWITCH_CHOICES = {
    "extracta_start_time": get_args(StartTimeFormat),
    "sensible_portfolios": get_args(PortfolioMode),
    "sensible_status_filter": get_args(StatusFilterMode),
    "docmap_endless": get_args(EndlessMode),
    "sensible_endless": get_args(EndlessMode),
}


class InvalidSwitch(ValueError):
    """An unknown switch, or a value that a switch does not accept."""


def apply_changes(switches: Switches, changes: Mapping[str, object]) -> Switches:
    """Return the switches with `changes` applied.

    Raises:
        InvalidSwitch: A name or a value is not valid; the message is meant for a person.
    """
    defaults = {field.name: field.default for field in fields(Switches)}
    for name, value in changes.items():
        if name not in defaults:
            raise InvalidSwitch(f"there is no switch {name!r}; there are: {', '.join(defaults)}")
        if not _is_valid(name, value):
            raise InvalidSwitch(f"{name} takes {_describe_expected(name)}")
    # Every value was checked above against its own switch, which the type checker cannot see.
    return replace(switches, **changes)  # type: ignore[arg-type]


def _is_valid(name: str, value: object) -> bool:
    if name in _SWITCH_CHOICES:
        return value in _SWITCH_CHOICES[name]
    if name == "docmap_zone":
        return isinstance(value, str) and value in available_timezones()
    if name == "unknown_status":
        return value is None or (isinstance(value, str) and bool(value))
    if name == "atlas_expires_in":
        return value is None or _is_json(value)
    if name in _COUNT_SWITCHES:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return isinstance(value, bool)


def _describe_expected(name: str) -> str:
    if name in _SWITCH_CHOICES:
        return f"one of {', '.join(_SWITCH_CHOICES[name])}"
    descriptions = {
        "docmap_zone": "the name of a time zone, such as America/New_York",
        "unknown_status": "a word, or null for none",
        "atlas_expires_in": "JSON as text, such as 3600, or null for none",
    }
    return descriptions.get(name) or ("a whole number from 0" if name in _COUNT_SWITCHES else "true or false")


def _is_json(value: object) -> bool:
    # The text is sent as it is: `"NaN"` and `-1` are JSON, but no lifetimes that a client can use.
    try:
        orjson.loads(value if isinstance(value, str) else b"")
    except orjson.JSONDecodeError:
        return False
    return True


def parse_assignment(assignment: str) -> dict[str, object]:
    """Return the change in a command line's `name=value`; `apply_changes` checks it.

    Raises:
        InvalidSwitch: The text is not of the form `name=value`.
    """
    name, separator, value = assignment.partition("=")
    if not separator:
        raise InvalidSwitch(f"{assignment!r} is not of the form name=value")
    constants: dict[str, object] = {"true": True, "false": False, "null": None, "none": None}
    value_text = value.strip()
    if name.strip() in _COUNT_SWITCHES and value_text.isdecimal():
        return {name.strip(): int(value_text)}
    return {name.strip(): constants.get(value_text.lower(), value_text)}
