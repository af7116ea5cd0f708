"""The check of a host's arguments: checked values, or an error by which a model can mend its call.

Arguments are validated once, in pydantic's strict JSON mode. Before that they are read with the kindness that hosts and
frameworks need, which fill in every argument of a schema, wrap values or unwrap them: an empty value is left out, and
nothing is made of it. Pydantic's errors are said again in our own words: the field, the mistake, a right value, and
never the rejected value.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from math import isfinite
from typing import Annotated, Any, NamedTuple, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kustom_mcp.money import minor
from kustom_mcp.schema.arguments import AMOUNT_FIELDS
from kustom_mcp.schema.result import CORRECT, Code, Mistake, ToolError
from kustom_mcp.text import nearest

_ADD = "Add what is missing and call again; ask the person for what you do not know."
_LOOK_IT_UP = (
    "Never guess an id: copy the whole of it, or ask the person; then call again. With kustom_find_orders an order is "
    "found by its number (`reference`)."
)
_ENTRY = "Copy the id from kustom_get_order with include captures or refunds. Then call again."
AS_WRITTEN = "order_lines"
"""The argument inside of which an empty text is a value, since Kustom replaces the whole list."""
_WHOLE_AMOUNT = (
    "Ask the person which amount is meant, and call again with it in whole minor units, without a point: Kustom has no "
    "fraction of one."
)
_PART_OF_A_PIECE = {
    "refunded_amount": "Quantities are whole pieces. For a part of one send quantity 1 with total_amount, what is paid "
    "for that line in all, or refunded_amount without lines. Ask the person for the amount.",
    "captured_amount": "Quantities are whole pieces. For a part of one send captured_amount without lines. Ask the "
    "person for the amount.",
    "line_changes": "Quantities are whole pieces. For a part of one keep the quantity and send unit_price, the new "
    "price of one in minor units, in line_changes. Ask the person for the price.",
}
"""The call that does what a fraction of a quantity was meant to do, by an argument that its tool has."""
MOST_TOLD = 20
"""Mistakes that one answer names."""

Place = tuple[int | str, ...]


def parse(model: type[BaseModel], given: Mapping[str, Any], besides: Sequence[str] = ()) -> BaseModel:
    """Check the arguments. ToolError for anything wrong. `besides`: known arguments that are not checked here."""
    reading = _Reading()
    try:
        arguments = reading.fields(given, model, (), as_written=False)
        text = json.dumps(arguments)
    except (ValueError, RecursionError):
        raise ToolError(Code.INVALID_ARGUMENT, "The arguments are not plain JSON.", next_step=CORRECT) from None
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise _failure(error.errors(include_url=False), model, arguments, reading, besides) from None


def says_nothing(value: Any) -> bool:
    """Return whether a value counts as not given: null, and an empty text, list or object."""
    return value is None or (isinstance(value, str | list | dict) and not value)


def with_cleared(given: Mapping[str, str], clear: Sequence[str] | None) -> dict[str, str]:
    """Return the texts to set, with "" for a field to clear, as Kustom wants it. ToolError where both are asked of
    one."""
    both = next((name for name in clear or () if name in given), None)
    if both is not None:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            f"{both} is given a value and named in clear as well.",
            next_step="Ask the person which of the two is meant, and send only that.",
            field="clear",
        )
    return {**given, **dict.fromkeys(clear or (), "")}


class _Reading:
    """The arguments without empty values, and the places of those. Places are those in the host's message."""

    def __init__(self) -> None:
        self._empty: dict[Place, str] = {}
        self._kept: dict[Place, list[int]] = {}
        """The numbers of the entries that are left of a list."""

    def fields(
        self, given: Mapping[str, Any], model: type[BaseModel], place: Place, *, as_written: bool
    ) -> dict[str, Any]:
        """Return an object without its known fields that are empty. An unknown name stays, with any value."""
        said: dict[str, Any] = {}
        for name, value in given.items():
            field = model.model_fields.get(name)
            if field is not None:
                here = (*place, name)
                value = self._value(value, field.annotation, here, as_written=as_written or name == AS_WRITTEN)
                if says_nothing(value) and not (as_written and isinstance(value, str)):
                    self._empty[here] = "null was sent" if value is None else "it was sent empty"
                    continue
            said[name] = value
        return said

    def where(self, location: Iterable[int | str]) -> Place:
        """Return the place in the host's message of a place in the reading."""
        place: Place = ()
        for step in location:
            kept = self._kept.get(place) if isinstance(step, int) else None
            place = (*place, kept[step] if kept is not None and isinstance(step, int) else step)
        return place

    def left_out(self, place: Place) -> str:
        """Describe the empty value that was sent where something is missing."""
        return f": {self._empty[place]}" if place in self._empty else ""

    def _value(self, value: Any, annotation: Any, place: Place, *, as_written: bool) -> Any:
        kind = _bare(annotation)
        if get_origin(kind) is list:
            return self._list(_unwrapped(value), _bare(get_args(kind)[0]), place, as_written=as_written)
        if _is_object(kind):
            value = _unwrapped(value)
            if isinstance(value, dict):
                return self.fields(cast("dict[str, Any]", value), kind, place, as_written=as_written)
            return value
        if kind is int and isinstance(value, float) and value.is_integer() and place[-1] not in AMOUNT_FIELDS:
            return int(value)  # some hosts have no whole numbers; an amount is never touched
        return value

    def _list(self, value: Any, kind: Any, place: Place, *, as_written: bool) -> Any:
        single = dict if _is_object(kind) else str
        if isinstance(value, single) and not says_nothing(value):
            value = [value]
        if not isinstance(value, list):
            return cast("Any", value)
        entries = enumerate(cast("list[Any]", value))
        read = [self._value(item, kind, (*place, index), as_written=as_written) for index, item in entries]
        kept = self._kept[place] = [index for index, item in enumerate(read) if not says_nothing(item)]
        return [read[index] for index in kept]


def _bare(annotation: Any) -> Any:
    """Return a type without its metadata, and without None."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, types.UnionType):
            (annotation,) = [option for option in get_args(annotation) if option is not type(None)]
        else:
            return annotation


def _is_object(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _unwrapped(value: Any) -> Any:
    """Read an object or array that a host sent as a JSON text, to be held to the same rules."""
    if not isinstance(value, str):
        return value
    try:
        inner = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return cast("Any", inner) if isinstance(inner, dict | list) else value


class _Problem(NamedTuple):
    """One mistake: its code, the field, a sentence about it, how to mend it, and the names that are known there."""

    code: Code
    field: str | None
    sentence: str
    mend: str = CORRECT
    known: str = ""


def _failure(
    found: list[ErrorDetails],
    model: type[BaseModel],
    arguments: Mapping[str, Any],
    reading: _Reading,
    besides: Sequence[str],
) -> ToolError:
    """Return all mistakes in one error, the first as its sentence. Unknown names come first: they often explain the
    others."""
    found = sorted(found, key=lambda problem: problem["type"] != "extra_forbidden")
    told: list[_Problem] = []
    for problem in found[:MOST_TOLD]:
        place = reading.where(problem["loc"])
        if problem["type"] == "extra_forbidden":
            told.append(_unknown(problem, model, _path(place), besides))
        else:
            sentence = _sentence(problem, place, arguments, reading)
            told.append(_Problem(_code(problem), _path(place), sentence, _mend(problem, place, model)))
    first, several = told[0], len(told) > 1
    return ToolError(
        first.code,
        f"{first.sentence}{first.known}{_more(len(found)) if several else ''}",
        field=first.field,
        fields=tuple(Mistake(one.field, one.sentence) for one in told) if several else (),
        next_step="Correct everything that `error.fields` names and call again." if several else first.mend,
    )


def _mend(problem: ErrorDetails, place: Place, model: type[BaseModel]) -> str:
    """The next step that mends a mistake."""
    if problem["type"] == "missing":
        return _ADD
    if _is_fraction(problem["input"]):
        return _instead_of_fraction(place, model)
    if _code(problem) is not Code.INVALID_IDENTIFIER:
        return CORRECT
    return _LOOK_IT_UP if {"order_id", "order_ids"} & set(place) else _ENTRY


def _is_fraction(value: Any) -> bool:
    return isinstance(value, float) and isfinite(value) and not value.is_integer()


def _instead_of_fraction(place: Place, model: type[BaseModel]) -> str:
    """The next step for a number with a fraction, where only whole ones go."""
    if place[-1] in AMOUNT_FIELDS:
        return _WHOLE_AMOUNT
    if place[-1] == "quantity":
        return next((mend for name, mend in _PART_OF_A_PIECE.items() if name in model.model_fields), CORRECT)
    return CORRECT


def _more(count: int) -> str:
    which = f"the first {MOST_TOLD} are" if count > MOST_TOLD else "all are"
    return f" There are {count} mistakes in the arguments; {which} in `error.fields`."


def _unknown(problem: ErrorDetails, model: type[BaseModel], field: str, besides: Sequence[str]) -> _Problem:
    """Describe an unknown argument. The name is the caller's text, and repeated only where it looks like a name."""
    place = problem["loc"][:-1]
    known = [*_names_at(model, place), *(() if place else besides)]
    name = str(problem["loc"][-1])
    near = nearest(name, known, likeness=0.5)
    shown = name if _is_name(name) else "One argument"
    parent = field[: -len(name)].rstrip(".")
    inside = f" inside {parent}" if parent else ""
    hint = f"Did you mean {near}?" if near else "Leave it out."
    mend = "Correct the argument's name" if near else "Leave the argument out"
    return _Problem(
        Code.UNKNOWN_ARGUMENT,
        field if shown == name else parent or None,
        f"{shown} is not an argument of this tool{inside}. {hint}",
        f"{mend} and call again; an unknown argument is never ignored.",
        "" if near else f" Known are {', '.join(known)}.",
    )


def _is_name(text: str) -> bool:
    """Return whether a caller's name for an argument may be repeated: a short identifier, and nothing more."""
    return text.isascii() and text.isidentifier() and len(text) <= 40


def _names_at(model: type[BaseModel], location: Iterable[int | str]) -> list[str]:
    """Return the field names of the object that a location leads to."""
    here: Any = model
    for step in location:
        if isinstance(step, str) and step in here.model_fields:
            here = _object_in(here.model_fields[step].annotation) or here
    return list(here.model_fields)


def _object_in(annotation: Any) -> type[BaseModel] | None:
    kind = _bare(annotation)
    if get_origin(kind) is list:
        kind = _bare(get_args(kind)[0])
    return kind if _is_object(kind) else None


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
    "missing": "{field} is missing{sent}.",
    "string_type": "{field} must be a text.",
    "list_type": "{field} must be an array.",
    "model_type": "{field} must be an object.",
    "bool_type": "{field} must be true or false.",
    "string_pattern_mismatch": "{field} must be {letters}",
    "string_too_long": "{field} may have at most {max_length} characters.",
    "too_long": "{field} may have at most {max_length} entries.",
    "greater_than_equal": "{field} must be at least {ge}.",
    "less_than_equal": "{field} may be at most {le}.",
    "literal_error": "{field} must be one of {expected}.",
    "json_invalid": "The arguments are not valid JSON: a text holds half of a character (a lone surrogate such as "
    "\\ud800), or they are nested too deeply.",
    "string_unicode": "{field} holds characters that are not valid text.",
}


def _sentence(problem: ErrorDetails, place: Place, arguments: Mapping[str, Any], reading: _Reading) -> str:
    kind, field = problem["type"], _path(place)
    context: dict[str, Any] = dict(problem.get("ctx") or {})
    if kind in Code.__members__:
        return f"{field}: {problem['msg']}."
    name = field.rpartition(".")[2]
    if kind.startswith(("int_", "finite_number")):
        return _whole_number(problem, field, name, arguments)
    if kind == "greater_than_equal" and name in ("captured_amount", "refunded_amount"):
        return f"{field} must be at least 1 minor unit; 0 never means everything."
    letters = "three letters, such as SEK." if name == "currency" else _two_letters(problem["input"])
    plain = _PLAIN.get(kind, "{field} is not what the schema asks for.")
    return plain.format(field=field, letters=letters, sent=reading.left_out(place), **context)


_COUNTRIES = {
    "AT": "AUT, Austria",
    "AU": "AUS, Australia",
    "BE": "BEL, Belgium",
    "CA": "CAN, Canada",
    "CH": "CHE, Switzerland",
    "CZ": "CZE, Czechia, Czech Republic",
    "DE": "DEU, Germany, Deutschland",
    "DK": "DNK, Denmark, Danmark",
    "ES": "ESP, Spain",
    "FI": "FIN, Finland, Suomi",
    "FR": "FRA, France",
    "GB": "GBR, Great Britain, United Kingdom",
    "GR": "GRC, Greece",
    "HU": "HUN, Hungary",
    "IE": "IRL, Ireland",
    "IS": "ISL, Iceland",
    "IT": "ITA, Italy",
    "MX": "MEX, Mexico",
    "NL": "NLD, Netherlands, Holland",
    "NO": "NOR, Norway, Norge",
    "NZ": "NZL, New Zealand",
    "PL": "POL, Poland",
    "PT": "PRT, Portugal",
    "RO": "ROU, Romania",
    "SE": "SWE, Sweden, Sverige",
    "SK": "SVK, Slovakia",
    "US": "USA, United States, United States of America",
}
"""What people and models write in the place of two letters: ISO 3166's three letters, and names."""


def _two_letters(value: Any) -> str:
    known = {name: code for code, names in _COUNTRIES.items() for name in names.casefold().split(", ")}
    code = known.get(re.sub(r"[\s.]+", " ", value).strip().casefold()) if isinstance(value, str) else None
    hint = f"Did you mean {code}?" if code else "Its code is in ISO 3166, such as SE or US."
    return f"the two letters of a country. {hint}"


def _whole_number(problem: ErrorDetails, field: str, name: str, arguments: Mapping[str, Any]) -> str:
    """Describe a number that is not an integer. A fraction is converted only when the currency was sent, and only in
    words."""
    if name not in AMOUNT_FIELDS:
        return f"{field} must be a whole number, not a text, a fraction or true/false."
    rule = f"{field} must be a whole number of minor units: 9990 means 99.90 in a currency with two decimals."
    value, currency = problem["input"], arguments.get("currency")
    if isinstance(value, str):
        return f"{rule} A text was sent: send a number, without quotes."
    if isinstance(value, bool):
        return f"{rule} True or false was sent."
    if isinstance(value, float) and value.is_integer():
        rule += " A number with a point was sent: if it is in minor units, send it without the point."
    elif _is_fraction(value):
        rule += " A fraction was sent."
    if isinstance(value, float) and isinstance(currency, str) and len(currency) == 3:
        whole = minor(Decimal(str(value)), currency) if abs(value) < 10**9 else None
        if whole is not None:
            rule += f" If the amount was meant in major units of the currency you sent, that is {whole}."
    return rule
