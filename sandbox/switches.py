"""Where an API's documentation is silent or public clients disagree, a switch picks one of the readings."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

StartTime = Literal[
    "ms", "text", "iso", "missing",
    "seconds", "microseconds", "nanoseconds", "seconds_and_nanoseconds", "http", "lower_case", "year_9999", "words",
]  # fmt: skip
Portfolios = Literal["whole", "no_documents", "no_output"]


@dataclass(frozen=True)
class Switches:
    """The readings, each with the likelier one as its default."""

    extracta_file_ids: bool = True
    """`fileId` in extraction files: public clients read it, the page "Get results" does not show it."""
    extracta_top_level_status: bool = False
    """A `status` beside the files of a finished extraction batch: one public client needs it, the page has none."""
    extracta_start_time: StartTime = "ms"
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
    docmap_cursor_inclusive: bool = False
    """A cursor's page begins with rows of its own millisecond again. False: those not yet told are skipped."""
    docmap_nested_list: bool = False
    """The list lies at `data.extractions` beside `data.hasMore`, and not at `data`."""
    sensible_batch_id_in_list: bool = False
    """Summaries in the list carry the `batchId` that documents are shown with."""
    sensible_camel_case: bool = False
    """A portfolio's output has `parsedDocument` and the like, as in one example, for `parsed_document`."""
    sensible_portfolios: Portfolios = "whole"
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


_CHOICES = {"extracta_start_time": get_args(StartTime), "sensible_portfolios": get_args(Portfolios)}
_COUNTS = ("sensible_quota_spent", "sensible_throttle")


class BadSwitch(ValueError):
    """A switch that does not exist, or a value that it does not take."""


def changed(switches: Switches, changes: Mapping[str, object]) -> Switches:
    """The switches with `changes` made; raises BadSwitch in words meant for a person."""
    known = {field.name: field.default for field in fields(Switches)}
    for name, value in changes.items():
        if name not in known:
            raise BadSwitch(f"there is no switch {name!r}; there are: {', '.join(known)}")
        if name in _CHOICES:
            if value not in _CHOICES[name]:
                raise BadSwitch(f"{name} takes one of {', '.join(_CHOICES[name])}")
        elif name == "unknown_status":
            if value is not None and (not isinstance(value, str) or not value):
                raise BadSwitch(f"{name} takes a word, or null for none")
        elif name in _COUNTS:
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise BadSwitch(f"{name} takes a whole number from 0")
        elif not isinstance(value, bool):
            raise BadSwitch(f"{name} takes true or false")
    # Every value was checked above against its own switch; the signature of replace cannot know.
    return replace(switches, **changes)  # type: ignore[arg-type]


def parsed(text: str) -> dict[str, object]:
    """A change out of `name=value` as written on a command line; `changed` says whether it fits."""
    name, separator, value = text.partition("=")
    if not separator:
        raise BadSwitch(f"{text!r} is not of the form name=value")
    words: dict[str, object] = {"true": True, "false": False, "null": None, "none": None}
    word = value.strip()
    if name.strip() in _COUNTS and word.isdecimal():
        return {name.strip(): int(word)}
    return {name.strip(): words.get(word.lower(), word)}
