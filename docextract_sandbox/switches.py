"""Where an API's documentation is silent or public clients disagree, a switch picks one of the readings."""

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


@dataclass(frozen=True)
class Switches:
    """The readings, each with the likelier one as its default."""

    extracta_file_ids: bool = True
    """`fileId` in extraction files: public clients read it, the page "Get results" does not show it."""
    extracta_top_level_status: bool = False
    """A `status` beside the files of a finished extraction batch: one public client needs it, the page has none."""
    extracta_start_time: StartTimeFormat = "ms"
    """How `viewExtraction` writes a batch's `startTime`: epoch milliseconds, the same as text, ISO 8601, or not; as
    other APIs and Firestore's clients write times; or as something that is none: the last millisecond of the year 9999,
    as some write that there is no time, or words."""
    extracta_batches: bool = True
    """The `batches` map in `viewExtraction`: read by public clients."""
    classification_batches: bool = False
    """The same map in `viewClassification`: a guess."""
    other_account: bool = False
    """The keys are valid and of another account, which holds nothing: lists are empty, ids are not known."""
    unknown_keys: bool = False
    """One undocumented key in every object of an answer, extracted data and maps by id aside."""
    unknown_status: str | None = None
    """A status that nobody documented, in place of `processing`."""
    partial_batches: bool = False
    """An unfinished Extracta batch lists its files with the status `processing`, where `waiting` is documented."""
    atlas_total_counts_extracted: bool = True
    """`total_items` counts what has been extracted so far. False: it counts all, and the rest are empty rows."""
    atlas_page_stuck: bool = False
    """The server ignores `page` and promises a next one for ever."""
    atlas_no_total_pages: bool = False
    """Pages come without `total_pages`."""
    atlas_error_in_file_data: bool = False
    """The error of a document stands inside its `file_data`. False: on its row. Documented is neither."""
    atlas_expires_in: str | None = "3600"
    """What the login says of the life of a token, as JSON: `3600` as documented, `-1`, `"NaN"`; None says nothing."""
    atlas_token_size: int = 0
    """Characters of a token at least, where a provider puts a whole directory of rights into it."""
    docmap_cursor_inclusive: bool = False
    """A cursor's page begins with rows of its own millisecond again. False: those not yet told are skipped."""
    docmap_nested_list: bool = False
    """The list lies at `data.extractions` beside `data.hasMore`, and not at `data`."""
    docmap_cursor_rows_only: bool = False
    """Only the `createdAt` of a row works as a cursor: any other time brings an empty page that promises no more."""
    docmap_zone: str = "UTC"
    """Where the days of `dateFrom` and `dateTo` are counted: a name such as `America/New_York` or `Etc/GMT+12`."""
    docmap_scan: int = 0
    """So many rows at most are looked at for a page, and filtered by template then: a page may be short or empty and
    promise more. 0: rows are filtered first, and pages are full."""
    docmap_endless: EndlessMode = "no"
    """Lists without an end: pages that are `empty` and promise more, invented `rows`, or the same page in a `circle`.
    Of lists by template that of the first template alone."""
    sensible_scan: int = 0
    """So many extractions are looked at for a page, found by date, and filtered by all else then: a page may be short
    or empty and carry a token. 0: they are filtered first, and pages are full."""
    sensible_endless: EndlessMode = "no"
    """Lists without an end: pages that are `empty`, invented `rows`, both with new tokens, or one token in a `circle`.
    Of lists by document type that of the first type alone."""
    sensible_batch_id_in_list: bool = False
    """Summaries in the list carry the `batchId` that documents are shown with."""
    sensible_camel_case: bool = False
    """A portfolio's output has `parsedDocument` and the like, as in one example, for `parsed_document`."""
    sensible_portfolios: PortfolioMode = "whole"
    """Complete portfolios are whole, have no documents, or documents whose `output` is null: with `errors` then."""
    sensible_postprocessed: bool = False
    """Configurations have `keepParsedDocument: false`: `postprocessorOutput` in place of `parsed_document`."""
    sensible_naive_times: bool = False
    """Times come without a zone, as in some examples."""
    sensible_waiting_counter: bool = True
    """A batch tells `waiting` also when that is 0. False: the key is absent then."""
    sensible_quota_spent: int = 0
    """So many further calls of Sensible answer 429 for a monthly quota. Documented for extract calls, not for reads."""
    sensible_throttle: int = 0
    """So many further calls answer 429 for going too fast: they come before those of the quota."""


_COUNT_SWITCHES = ("atlas_token_size", "docmap_scan", "sensible_scan", "sensible_quota_spent", "sensible_throttle")
_SWITCH_CHOICES = {
    "extracta_start_time": get_args(StartTimeFormat),
    "sensible_portfolios": get_args(PortfolioMode),
    "docmap_endless": get_args(EndlessMode),
    "sensible_endless": get_args(EndlessMode),
}


class InvalidSwitch(ValueError):
    """A switch that does not exist, or a value that it does not take."""


def apply_changes(switches: Switches, changes: Mapping[str, object]) -> Switches:
    """The switches with `changes` made; raises BadSwitch in words meant for a person."""
    defaults = {field.name: field.default for field in fields(Switches)}
    for name, value in changes.items():
        if name not in defaults:
            raise InvalidSwitch(f"there is no switch {name!r}; there are: {', '.join(defaults)}")
        if not _is_valid(name, value):
            raise InvalidSwitch(f"{name} takes {_describe_expected(name)}")
    # Every value was checked above against its own switch; the signature of replace cannot know.
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
    try:
        orjson.loads(value if isinstance(value, str) else b"")
    except orjson.JSONDecodeError:
        return False
    return True


def parse_assignment(assignment: str) -> dict[str, object]:
    """A change out of `name=value` as written on a command line; `changed` says whether it fits."""
    name, separator, value = assignment.partition("=")
    if not separator:
        raise InvalidSwitch(f"{assignment!r} is not of the form name=value")
    constants: dict[str, object] = {"true": True, "false": False, "null": None, "none": None}
    value_text = value.strip()
    if name.strip() in _COUNT_SWITCHES and value_text.isdecimal():
        return {name.strip(): int(value_text)}
    return {name.strip(): constants.get(value_text.lower(), value_text)}
