"""Error messages for invalid settings: the setting, the reason and the fix.

No sentence quotes a value: it may be a secret, or a key that was pasted into the wrong setting.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Set
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from .core.validation import POSITION_PLACEHOLDER
from .registry.credentials import CREDENTIALS_TYPES

_SETTING_NAME = re.compile(r"[A-Za-z_ -]{1,40}")
"""The form of a setting's name. Messages do not quote anything else: it may be a key in the wrong place."""

_MAX_ENTRIES = 20

_TYPE_NEEDED = f"needs a type; write {', '.join(CREDENTIALS_TYPES[:-1])} or {CREDENTIALS_TYPES[-1]}"

_FIXES = {
    "missing": "is missing; add it",
    "string_type": "must be text; put it in quotes",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "finite_number": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": 'must be a list, such as ["id"]',
    "too_short": "is empty; name at least one",
    "union_tag_not_found": _TYPE_NEEDED,
    "union_tag_invalid": _TYPE_NEEDED,
    "model_type": "must be an object of settings",
    "model_attributes_type": "must be an object of settings",
}


def build_error_messages(
    validation_error: ValidationError, model: type[BaseModel], config: Mapping[str, Any]
) -> list[str]:
    """Return one sentence for each invalid setting.

    An unknown name gets a sentence only where a required setting is missing beside it: it may be that one, misspelt.
    Elsewhere it is a warning (`list_unknown_names`).

    Args:
        validation_error: pydantic's error.
        model: the model of the settings.
        config: the config that failed.
    """
    errors = validation_error.errors()
    # If no entry of a list is valid, pydantic reports the list as too short as well. Each entry has its own sentence.
    parent_locations = {error["loc"][:-1] for error in errors}
    invalid_messages = [
        _build_error_message(error)
        for error in errors
        if error["type"] != "too_short" or error["loc"] not in parent_locations
    ]
    incomplete_sections = {_get_setting_path(error)[:-1] for error in errors if error["type"] == "missing"}
    messages = list(dict.fromkeys([*invalid_messages, *build_unknown_messages(config, model, incomplete_sections)]))
    if len(messages) <= _MAX_ENTRIES:
        return messages
    return [*messages[:_MAX_ENTRIES], f"And {len(messages) - _MAX_ENTRIES} more."]


def _get_setting_path(error: Any) -> tuple[str, ...]:
    """Return the path of an error as names of settings.

    pydantic inserts the type of the credentials into the path, which is no name of a setting.
    """
    return tuple(part for part in error["loc"] if isinstance(part, str) and part not in CREDENTIALS_TYPES)


def _build_error_message(error: Any) -> str:
    path = _get_setting_path(error)
    name = ".".join(path) or "The settings"
    error_type, context = error["type"], error.get("ctx", {})
    if error_type in {"greater_than_equal", "less_than_equal"}:
        comparison, bound = ("at least", context["ge"]) if "ge" in context else ("at most", context["le"])
        return f"{name} must be {comparison} {bound:g}."
    if error_type == "literal_error":
        return f"{name} may only be {context['expected']}."
    if error_type.startswith("datetime"):
        return f"{name} is not a date and time; write it like 2026-01-01T00:00:00Z."
    if error_type == "value_error":
        positions = [part + 1 for part in error["loc"] if isinstance(part, int)]
        position_text = f"number {positions[0]}" if positions else "one"
        reason = str(context["error"]).replace(POSITION_PLACEHOLDER, position_text)
        return f"{name} {reason}." if path else f"{reason}."
    return f"{name} {_FIXES.get(error_type, error['msg'])}."


def build_unknown_messages(
    config: Mapping[str, Any], model: type[BaseModel], section_paths: Set[tuple[str, ...]]
) -> list[str]:
    """Return one sentence for each unknown name in the sections with the given paths."""
    return [
        _build_unknown_message(path, section_model)
        for path, section_model in _find_unknown_paths(config, model)
        if path[:-1] in section_paths
    ]


def _build_unknown_message(path: tuple[str, ...], model: type[BaseModel]) -> str:
    *section_path, name = path
    if not _SETTING_NAME.fullmatch(name):
        return f"There is an unknown setting in {'.'.join(section_path) or 'the settings'}; remove it."
    return f"{'.'.join(path)} is not a setting; remove it{_suggest_name(name, model)}."


def list_unknown_names(config: Mapping[str, Any], model: type[BaseModel]) -> str:
    """Return the unknown names as one text, each with the most similar setting."""
    names = dict.fromkeys(
        _describe_unknown_name(path, section_model) for path, section_model in _find_unknown_paths(config, model)
    )
    overflow_note = [f"and {len(names) - _MAX_ENTRIES} more"] if len(names) > _MAX_ENTRIES else []
    return ", ".join([*list(names)[:_MAX_ENTRIES], *overflow_note])


def _describe_unknown_name(path: tuple[str, ...], model: type[BaseModel]) -> str:
    *section_path, name = path
    if not _SETTING_NAME.fullmatch(name):
        return f"a hidden name in {'.'.join(section_path) or 'the settings'}, which may be a key"
    return ".".join(path) + _suggest_name(name, model)


def _find_unknown_paths(
    config: Mapping[str, Any], model: type[BaseModel], section_path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    """Yield the path of each unknown name, with the model of its section.

    A null counts as not set. A section that is switched off (`use: no`) is absent, with all that it holds.
    """
    for name, value in config.items():
        path = (*section_path, str(name))
        if value is None:
            continue
        if name not in model.model_fields:
            yield path, model
            continue
        if not isinstance(value, Mapping) or value.get("use") == "no":
            continue
        if section_model := _select_model(value, model.model_fields[name].annotation):
            yield from _find_unknown_paths(value, section_model, path)


def _suggest_name(name: str, model: type[BaseModel]) -> str:
    matches = difflib.get_close_matches(name.lower(), model.model_fields, n=1)
    return f" (did you mean {matches[0]}?)" if matches else ""


def _select_model(value: Mapping[str, Any], annotation: Any) -> type[BaseModel] | None:
    """Return the model of an object: the only one, or the one with its `type`."""
    candidates = list(iterate_models(annotation))
    if len(candidates) == 1:
        return candidates[0]
    for candidate in candidates:
        if value.get("type") in get_args(candidate.model_fields["type"].annotation):
            return candidate
    return None


def iterate_models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models in an annotation such as `Section | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from iterate_models(argument)
