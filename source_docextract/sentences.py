"""What is wrong with the settings, in sentences: which setting, why, what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from .values import PLACE

_NAME = re.compile(r"[A-Za-z_ -]{1,40}")
"""What a setting's name may look like. Anything else may be a key that was pasted in the wrong place."""

_TOLD = 20

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
    "model_type": "must be an object of settings",
    "model_attributes_type": "must be an object of settings",
}


def sentences(problem: ValidationError, model: type[BaseModel]) -> list[str]:
    """One sentence for each thing that is wrong, without the values, which may be secret."""
    errors = problem.errors()
    # A list is called empty also where nothing in it was accepted, which is told already.
    told_inside = {error["loc"][:-1] for error in errors}
    told = list(
        dict.fromkeys(
            _sentence(error, model)
            for error in errors
            if error["type"] != "too_short" or error["loc"] not in told_inside
        )
    )
    return [*told[:_TOLD], f"And {len(told) - _TOLD} more."] if len(told) > _TOLD else told


def _sentence(error: Any, model: type[BaseModel]) -> str:
    path = [part for part in error["loc"] if isinstance(part, str)]
    name = ".".join(path) or "The settings"
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(path, model)
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


def _unknown(path: list[str], model: type[BaseModel]) -> str:
    *above, last = path
    if not _NAME.fullmatch(last):
        return f"There is something in {'.'.join(above) or 'the settings'} that is not a setting; remove it."
    return f"{'.'.join(path)} is not a setting; remove it{_did_you_mean(path, model)}."


def _did_you_mean(path: list[str], model: type[BaseModel]) -> str:
    for part in path[:-1]:
        model = next(_models(model.model_fields[part].annotation))
    close = difflib.get_close_matches(path[-1], model.model_fields, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation such as `Section | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
