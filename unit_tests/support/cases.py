"""A table of cases in one test, for checks that cost next to nothing.

Each test costs some milliseconds, whatever it checks. A table in one test costs what its checks
cost.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

_MAX_NAME_LENGTH = 200
_Test = Callable[..., None]


def each_case(
    names: str | Sequence[str], cases: Iterable[Any], ids: Iterable[Any] | Callable[[Any], Any] | None = None
) -> Callable[[_Test], _Test]:
    """Run a test with each of the cases; a failure names all cases that fail.

    It takes the arguments of `pytest.mark.parametrize`, for tests that share no fixture between their cases.
    """
    argument_names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    named_cases = _name_cases(argument_names, list(cases), ids)
    assert named_cases, "a test without cases shows nothing"

    def decorate(test: _Test) -> _Test:
        @wraps(test)
        def run_cases(*args: Any, **options: Any) -> None:
            errors: dict[str, Exception] = {}
            for name, values in named_cases:
                try:
                    test(*args, **options, **dict(zip(argument_names, values, strict=True)))
                except Exception as error:
                    errors[name] = error
            if errors:
                failed = "\n".join(f"  {name}: {error}" for name, error in errors.items())
                message = f"{len(errors)} of {len(named_cases)} cases of {argument_names} fail:\n{failed}"
                raise AssertionError(message) from next(iter(errors.values()))

        signature = inspect.signature(test)
        others = [parameter for name, parameter in signature.parameters.items() if name not in argument_names]
        run_cases.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]
        return run_cases

    return decorate


def _name_cases(
    argument_names: Sequence[str], cases: Sequence[Any], ids: Iterable[Any] | Callable[[Any], Any] | None
) -> list[tuple[str, tuple[Any, ...]]]:
    """Return the name and the values of each case."""
    given_ids = None if ids is None or callable(ids) else [*ids]
    named_cases = []
    for number, case in enumerate(cases):
        is_parameter_set = hasattr(case, "marks") and hasattr(case, "values") and not isinstance(case, dict)
        values = case.values if is_parameter_set else (case,) if len(argument_names) == 1 else tuple(case)
        name = ", ".join(str(ids(value)) if callable(ids) else repr(value) for value in values)
        if given_ids is not None:
            name = str(given_ids[number])
        if is_parameter_set:
            assert not case.marks, "a case in a table has no marks of its own"
            name = case.id or name
        named_cases.append((name[:_MAX_NAME_LENGTH], values))
    return named_cases
