"""What is wrong with the settings, in sentences: which setting, why, what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Set
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from .values import PLACE

_NAME = re.compile(r"[A-Za-z_ -]{1,40}")
"""What a setting's name may look like. Anything else may be a key that was pasted in the wrong place."""

_MOST = 20
_TYPES = {"machine", "s3", "http_basic", "http_header"}

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
    "union_tag_not_found": "needs a type; write machine, s3, http_basic or http_header",
    "union_tag_invalid": "needs a type; write machine, s3, http_basic or http_header",
    "model_type": "must be an object of settings",
    "model_attributes_type": "must be an object of settings",
}


def sentences(problem: ValidationError, model: type[BaseModel], config: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each thing that is wrong, without the values, which may be secret.

    A name that is no setting gets one where a required one is missing beside it: it may be that one, misspelt.
    """
    errors = problem.errors()
    # Pydantic calls a list empty also where it accepted nothing in it, which has a sentence of its own already.
    parents = {error["loc"][:-1] for error in errors}
    wrong = [_sentence(error) for error in errors if error["type"] != "too_short" or error["loc"] not in parents]
    missing = {_path(error)[:-1] for error in errors if error["type"] == "missing"}
    found = list(dict.fromkeys([*wrong, *unknown_sentences(config, model, missing)]))
    return [*found[:_MOST], f"And {len(found) - _MOST} more."] if len(found) > _MOST else found


def _path(error: Any) -> tuple[str, ...]:
    """Return the names that lead to what is wrong, without the types that pydantic puts between them."""
    return tuple(part for part in error["loc"] if isinstance(part, str) and part not in _TYPES)


def _sentence(error: Any) -> str:
    path = _path(error)
    name = ".".join(path) or "The settings"
    kind, context = error["type"], error.get("ctx", {})
    if kind in {"greater_than_equal", "less_than_equal"}:
        bound = context.get("ge", context.get("le"))
        return f"{name} must be {'at least' if 'ge' in context else 'at most'} {bound:g}."
    if kind == "literal_error":
        return f"{name} may only be {context['expected']}."
    if kind.startswith("datetime"):
        return f"{name} is not a date and time; write it like 2026-01-01T00:00:00Z."
    if kind == "value_error":
        places = [part + 1 for part in error["loc"] if isinstance(part, int)]
        reason = str(context["error"]).replace(PLACE, f"number {places[0]}" if places else "one")
        return f"{name} {reason}." if path else f"{reason}."
    return f"{name} {_FIXES.get(kind, error['msg'])}."


def unknown_sentences(config: Mapping[str, Any], model: type[BaseModel], beside: Set[tuple[str, ...]]) -> list[str]:
    """Return one sentence for each name that is no setting, of those in the objects with the given paths."""
    return [_unknown(path, known) for path, known in _unknown_paths(config, model) if path[:-1] in beside]


def _unknown(path: tuple[str, ...], model: type[BaseModel]) -> str:
    *above, last = path
    if not _NAME.fullmatch(last):
        return f"There is something in {'.'.join(above) or 'the settings'} that is not a setting; remove it."
    return f"{'.'.join(path)} is not a setting; remove it{_did_you_mean(last, model)}."


def unknown_names(config: Mapping[str, Any], model: type[BaseModel]) -> str:
    """Return the names that are no settings as one list, each with the setting that was perhaps meant."""
    names = dict.fromkeys(_shown_name(path, known) for path, known in _unknown_paths(config, model))
    more = [f"and {len(names) - _MOST} more"] if len(names) > _MOST else []
    return ", ".join([*list(names)[:_MOST], *more])


def _shown_name(path: tuple[str, ...], model: type[BaseModel]) -> str:
    *above, last = path
    if not _NAME.fullmatch(last):
        return f"a name in {'.'.join(above) or 'the settings'} that may be a key"
    return ".".join(path) + _did_you_mean(last, model)


def _unknown_paths(
    config: Mapping[str, Any], model: type[BaseModel], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    """Yield the path of each name that is no setting, with the model of the object that it stands in.

    What is null is not set, and what is not used is absent with all that it holds.
    """
    for name, value in config.items():
        path = (*above, str(name))
        if value is None:
            continue
        if name not in model.model_fields:
            yield path, model
            continue
        if not isinstance(value, Mapping) or value.get("use") == "no":
            continue
        if inner := _model_of(value, model.model_fields[name].annotation):
            yield from _unknown_paths(value, inner, path)


def _did_you_mean(name: str, model: type[BaseModel]) -> str:
    close = difflib.get_close_matches(name.lower(), model.model_fields, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _model_of(value: Mapping[str, Any], annotation: Any) -> type[BaseModel] | None:
    """Return the model that an object is of; where there are several, that of its `type`."""
    candidates = list(models(annotation))
    if len(candidates) == 1:
        return candidates[0]
    return next((one for one in candidates if value.get("type") in get_args(one.model_fields["type"].annotation)), None)


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation such as `Section | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models(argument)
