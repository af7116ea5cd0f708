"""From what a host sent to checked arguments, or to one sentence that lets a model mend its call.

Arguments are validated once, in pydantic's strict JSON mode. What pydantic finds is said again in our own words: which
field, what is wrong, what would be right, and never the rejected value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kustom_mcp.arguments import AMOUNT_FIELDS
from kustom_mcp.money import minor
from kustom_mcp.result import Code, Failure
from kustom_mcp.text import nearest

NOTHING_SENT = "Nothing was sent."
CORRECT = "Correct the argument and call again."
_DEEPEST = 12


def parse(
    model: type[BaseModel], given: Mapping[str, Any], structured: Iterable[str], besides: Sequence[str] = ()
) -> BaseModel:
    """The checked arguments. Failure for anything else.

    `structured`: the arguments that are objects or arrays. `besides`: known arguments that are not checked here.
    """
    arguments = {name: _unwrapped(value) if name in structured else value for name, value in given.items()}
    _refuse_null(arguments, "")
    try:
        text = json.dumps(arguments)
    except (ValueError, RecursionError):
        raise Failure(
            Code.INVALID_ARGUMENT, f"The arguments are not plain JSON. {NOTHING_SENT}", next_step=CORRECT
        ) from None
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise _failure(error.errors(include_url=False), model, arguments, besides) from None


def _unwrapped(value: Any) -> Any:
    """Some hosts send an object or array as a JSON text: read it, and hold it to the same rules."""
    if not isinstance(value, str):
        return value
    try:
        inner = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return cast("Any", inner) if isinstance(inner, dict | list) else value


def _refuse_null(value: Any, path: str, depth: int = 0) -> None:
    """An optional argument is one that is left out: `null` could mean that, or a mistake, so it means neither."""
    if value is None:
        raise Failure(
            Code.INVALID_ARGUMENT,
            f"{path} is null. Leave the argument out instead of sending null. {NOTHING_SENT}",
            next_step=CORRECT,
            field=path,
        )
    if depth > _DEEPEST:
        raise Failure(
            Code.INVALID_ARGUMENT, f"{path} is nested too deeply. {NOTHING_SENT}", next_step=CORRECT, field=path[:80]
        )
    if isinstance(value, dict):
        for name, item in cast("dict[str, Any]", value).items():
            if _is_name(name):  # anything else is refused as unknown, and never repeated
                _refuse_null(item, f"{path}.{name}" if path else name, depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            _refuse_null(item, f"{path}[{index}]", depth + 1)


def _failure(
    found: list[ErrorDetails], model: type[BaseModel], arguments: Mapping[str, Any], besides: Sequence[str]
) -> Failure:
    """The first mistake, as a sentence; unknown names come first, since they often explain the others."""
    problem = next((item for item in found if item["type"] == "extra_forbidden"), found[0])
    field = _path(problem["loc"])
    more = f" There are {len(found) - 1} more mistakes in the arguments." if len(found) > 1 else ""
    if problem["type"] == "extra_forbidden":
        return _unknown(problem, model, field, more, besides)
    code = _code(problem)
    sentence = _sentence(problem, field, arguments)
    return Failure(code, f"{sentence}{more} {NOTHING_SENT}", field=field, next_step=CORRECT)


def _unknown(problem: ErrorDetails, model: type[BaseModel], field: str, more: str, besides: Sequence[str]) -> Failure:
    """The name is repeated only where it looks like a name: it is the caller's text."""
    place = problem["loc"][:-1]
    known = [*_names_at(model, place), *(() if place else besides)]
    name = str(problem["loc"][-1])
    near = nearest(name, known, likeness=0.5)
    shown = name if _is_name(name) else "One argument"
    parent = field[: -len(name)].rstrip(".")
    inside = f" inside {parent}" if parent else ""
    hint = f"Did you mean {near}?" if near else f"Known are {', '.join(known)}."
    return Failure(
        Code.UNKNOWN_ARGUMENT,
        f"{shown} is not an argument of this tool{inside}. {hint}{more} {NOTHING_SENT}",
        field=field if shown == name else parent or None,
        next_step="Correct the argument's name and call again; an unknown argument is never ignored.",
    )


def _is_name(text: str) -> bool:
    """Whether a caller's name for an argument may be repeated: a short identifier, and nothing that says more."""
    return text.isascii() and text.isidentifier() and len(text) <= 40


def _names_at(model: type[BaseModel], location: Iterable[int | str]) -> list[str]:
    """The field names of the object that a location leads to."""
    here: Any = model
    for step in location:
        if isinstance(step, str) and step in here.model_fields:
            here = _object_in(here.model_fields[step].annotation) or here
    return list(here.model_fields)


def _object_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = _object_in(inner)
        if found is not None:
            return found
    return None


def _path(location: Iterable[int | str]) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _code(problem: ErrorDetails) -> Code:
    kind = problem["type"]
    if kind in Code.__members__:
        return Code[kind]
    name = str(problem["loc"][-1]) if problem["loc"] else ""
    if name in AMOUNT_FIELDS and kind in ("greater_than_equal", "less_than_equal"):
        return Code.AMOUNT_OUT_OF_RANGE
    if name in ("order_id", "capture_id", "refund_id") and kind == "string_type":
        return Code.INVALID_IDENTIFIER
    return Code.INVALID_ARGUMENT


_PLAIN = {
    "missing": "{field} is missing.",
    "string_type": "{field} must be a text.",
    "list_type": "{field} must be an array.",
    "model_type": "{field} must be an object.",
    "bool_type": "{field} must be true or false.",
    "string_pattern_mismatch": "{field} must be {letters} letters.",
    "string_too_long": "{field} may have at most {max_length} characters.",
    "too_long": "{field} may have at most {max_length} entries.",
    "too_short": "{field} needs at least {min_length} entry.",
    "greater_than_equal": "{field} must be at least {ge}.",
    "less_than_equal": "{field} may be at most {le}.",
    "literal_error": "{field} must be one of {expected}.",
    "json_invalid": "The arguments are not valid JSON.",
    "string_unicode": "{field} holds characters that are not valid text.",
}


def _sentence(problem: ErrorDetails, field: str, arguments: Mapping[str, Any]) -> str:
    kind = problem["type"]
    context: dict[str, Any] = dict(problem.get("ctx") or {})
    if kind in Code.__members__:
        return f"{field}: {problem['msg']}."
    name = field.rpartition(".")[2]
    if kind.startswith(("int_", "finite_number")):
        return _whole_number(problem, field, name, arguments)
    if kind == "greater_than_equal" and name in ("captured_amount", "refunded_amount"):
        return f"{field} must be at least 1 minor unit; 0 never means everything."
    letters = "three" if name == "currency" else "two"
    return _PLAIN.get(kind, "{field} is not what the schema asks for.").format(field=field, letters=letters, **context)


def _whole_number(problem: ErrorDetails, field: str, name: str, arguments: Mapping[str, Any]) -> str:
    """A number that is not an integer. A fraction is converted only when the currency was sent, and only in words."""
    if name not in AMOUNT_FIELDS:
        return f"{field} must be a whole number, not a text, a fraction or true/false."
    rule = f"{field} must be a whole number of minor units: 9990 means 99.90 in a currency with two decimals."
    value, currency = problem["input"], arguments.get("currency")
    if isinstance(value, float) and isinstance(currency, str) and len(currency) == 3:
        whole = minor(Decimal(str(value)), currency) if abs(value) < 10**9 else None
        if whole is not None:
            rule += f" If the amount was meant in major units of the currency you sent, that is {whole}."
    return rule
