"""Habits of hosts and frameworks in every call: they fill in what nobody gave, wrap values, unwrap them, widen numbers.

None of it may change what a call means. The places are those of the schemas that a host sees, at any depth, so that a
new argument is tried as well.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple, cast

import pytest

from kustom_mcp.schema.arguments import AMOUNT_FIELDS, as_json
from kustom_mcp.schema.parsing import AS_WRITTEN, MOST_TOLD
from kustom_mcp.schema.result import ToolError
from kustom_mcp.tools.catalog import CATALOG
from tests.support.conversation import Talk, demo
from tests.support.sample import sampled
from tests.tools.steady import first_capture, steady, without

OPEN, TAKEN, TWICE, BACK = map(demo, ("authorized-sek", "captured-sek", "two-captures-nok", "partly-refunded-pln"))
EMPTY: tuple[Any, ...] = (None, "", [], {})
NULL, ITS_OWN = "null", "the empty value of its type"
OWN: dict[str, Any] = {"array": [], "object": {}}

Place = tuple[str | int, ...]
Wire = dict[str, Any]


class Spot(NamedTuple):
    """A field somewhere in the arguments of a tool."""

    place: Place
    schema: Wire
    required: bool

    @property
    def path(self) -> str:
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.place).lstrip(".")

    @property
    def name(self) -> str:
        return str(self.place[-1])

    @property
    def as_written(self) -> bool:
        """Return whether an empty text is a value here."""
        return AS_WRITTEN in self.place[:-1]


def schema_of(tool: str) -> Wire:
    """Without `confirm`, which the server takes out before it reads the arguments."""
    schema: Wire = CATALOG[tool].wire()["inputSchema"]
    return {**schema, "properties": {name: one for name, one in schema["properties"].items() if name != "confirm"}}


def example(schema: Wire, name: str = "") -> Any:
    """A value that a schema allows, with every field of every object."""
    if schema["type"] == "object":
        return {inner: example(one, inner) for inner, one in schema["properties"].items()}
    if schema["type"] == "array":
        return [example(schema["items"], name)]
    if schema["type"] == "integer":
        return max(1, schema.get("minimum", 1))
    if schema["type"] == "boolean":
        return True
    if "enum" in schema:
        return schema["enum"][0]
    if "pattern" in schema:
        return "SEK" if "{3}" in schema["pattern"] else "SE"
    if name.endswith("_uri"):
        return "https://track.example.com/1"
    if name in ("from", "before") or name.endswith(("_from", "_to", "_before", "_date")):
        return "2026-11-28"
    return "region" if name == "clear" else OPEN[: schema.get("maxLength", len(OPEN))]


def spots(schema: Wire, place: Place = ()) -> Iterator[Spot]:
    """Every field, at any depth; of a list its first entry."""
    if schema["type"] == "array":
        yield from spots(schema["items"], (*place, 0))
    for name, inner in schema.get("properties", {}).items():
        yield Spot((*place, name), inner, name in schema.get("required", ()))
        yield from spots(inner, (*place, name))


SPOTS = [(tool, spot) for tool in CATALOG for spot in spots(schema_of(tool))]
OPTIONAL = [(tool, spot) for tool, spot in SPOTS if not spot.required]
REQUIRED = [(tool, spot) for tool, spot in SPOTS if spot.required]


def changed(arguments: Wire, place: Place, change: Callable[[Any, str | int], None]) -> Wire:
    """A copy in which something has been done to what holds this place."""
    result = copy.deepcopy(arguments)
    holder: Any = result
    for step in place[:-1]:
        holder = holder[step]
    change(holder, place[-1])
    return result


def put(arguments: Wire, place: Place, value: Any) -> Wire:
    return changed(arguments, place, lambda holder, step: holder.__setitem__(step, value))


def at(arguments: Wire, place: Place) -> Any:
    found: Any = arguments
    for step in place:
        found = found[step]
    return found


def meant(tool: str, arguments: Mapping[str, Any]) -> Wire:
    """The arguments as codes and keys are made from them."""
    return as_json(CATALOG[tool].parse(arguments))


def refusal(tool: str, arguments: Mapping[str, Any]) -> ToolError:
    with pytest.raises(ToolError) as caught:
        CATALOG[tool].parse(arguments)
    return caught.value


@pytest.mark.parametrize("empty", EMPTY, ids=repr)
def test_what_says_nothing_is_as_if_it_were_left_out(empty: Any) -> None:
    for tool, spot in OPTIONAL:
        full = example(schema_of(tool))
        left_out = changed(full, spot.place, lambda holder, step: holder.pop(step))
        if not (spot.as_written and empty == ""):
            assert meant(tool, put(full, spot.place, empty)) == meant(tool, left_out), (tool, spot.path)


@pytest.mark.parametrize("empty", EMPTY, ids=repr)
def test_entries_of_a_list_that_say_nothing_are_as_if_they_were_not_there(empty: Any) -> None:
    for tool, spot in SPOTS:
        if spot.schema["type"] == "array":
            full = example(schema_of(tool))
            entry = at(full, (*spot.place, 0))
            of_objects = spot.schema["items"]["type"] == "object" and empty != ""
            fields: Any = dict.fromkeys(spot.schema["items"]["properties"], empty) if of_objects else empty
            for several in ([empty, entry], [entry, empty], [fields, entry]):
                assert meant(tool, put(full, spot.place, several)) == meant(tool, full), (tool, spot.path)


def test_an_object_whose_fields_say_nothing_says_nothing() -> None:
    for tool, spot in OPTIONAL:
        if spot.schema["type"] != "object" or spot.as_written:
            continue
        full = example(schema_of(tool))
        left_out = changed(full, spot.place, lambda holder, step: holder.pop(step))
        for empty in EMPTY:
            emptied = put(full, spot.place, dict.fromkeys(spot.schema["properties"], empty))
            assert meant(tool, emptied) == meant(tool, left_out), (tool, spot.path)


@pytest.mark.parametrize("empty", EMPTY, ids=repr)
def test_what_is_required_and_says_nothing_is_missing(empty: Any) -> None:
    for tool, spot in REQUIRED:
        if spot.as_written and empty == "":
            continue
        full = example(schema_of(tool))
        if len(spot.place) > 1:  # an entry that says nothing at all is none
            alone = changed(full, spot.place, lambda holder, step: holder.pop(step))
            if not at(alone, spot.place[:-1]):
                continue
        failure = refusal(tool, put(full, spot.place, empty))
        how = "null was sent" if empty is None else "it was sent empty"
        assert (failure.code, failure.field) == ("INVALID_ARGUMENT", spot.path), (tool, spot.path)
        assert failure.message == f"{spot.path} is missing: {how}. Nothing was sent."


@pytest.mark.parametrize("value", [*EMPTY, 1, "x"], ids=repr)
def test_an_unknown_name_stays_unknown_whatever_its_value(value: Any) -> None:
    for tool in CATALOG:
        schema = schema_of(tool)
        for spot in [None, *spots(schema)]:
            inner = schema if spot is None else spot.schema
            inner = inner["items"] if inner["type"] == "array" else inner
            if inner["type"] == "object":
                at_list = () if spot is None or spot.schema["type"] == "object" else (0,)
                place = (*(spot.place if spot else ()), *at_list, "zzz")
                failure = refusal(tool, put(example(schema), place, value))
                assert failure.code == "UNKNOWN_ARGUMENT", (tool, place)
                assert "zzz is not an argument" in failure.message
                assert "Leave it out." in failure.message
                assert failure.next_step is not None
                assert failure.next_step.startswith("Leave the argument out")


def test_inside_order_lines_an_empty_text_is_meant_as_it_stands() -> None:
    tried = 0
    for tool, spot in OPTIONAL:
        if spot.as_written and spot.schema["type"] == "string" and "enum" not in spot.schema:
            sent = put(example(schema_of(tool)), spot.place, "")
            assert meant(tool, sent) == sent, (tool, spot.path)
            tried += 1
    assert tried == 3 * 12


def test_an_object_or_a_list_may_come_as_a_json_text() -> None:
    for tool, spot in SPOTS:
        if spot.schema["type"] in ("array", "object"):
            full = example(schema_of(tool))
            packed = put(full, spot.place, json.dumps(at(full, spot.place)))
            assert meant(tool, packed) == meant(tool, full), (tool, spot.path)


def test_one_value_is_a_list_of_one() -> None:
    for tool, spot in SPOTS:
        if spot.schema["type"] == "array":
            full = example(schema_of(tool))
            entry = at(full, (*spot.place, 0))
            for single in (entry, json.dumps(entry)) if spot.schema["items"]["type"] == "object" else (entry,):
                assert meant(tool, put(full, spot.place, single)) == meant(tool, full), (tool, spot.path)


def test_a_whole_number_with_a_point_is_taken_for_what_is_no_money() -> None:
    for tool, spot in SPOTS:
        if spot.schema["type"] == "integer":
            full = example(schema_of(tool))
            sent = put(full, spot.place, float(at(full, spot.place)))
            if spot.name in AMOUNT_FIELDS:
                assert refusal(tool, sent).field == spot.path
            else:
                assert meant(tool, sent) == meant(tool, full), (tool, spot.path)
                assert refusal(tool, put(full, spot.place, 1.5)).field == spot.path


@pytest.mark.parametrize(
    ("value", "told"),
    [("1000", "A text was sent"), (1000.0, "with a point"), (99.9, "A fraction was sent."), (True, "True or false")],
)
def test_an_amount_is_told_what_is_wrong_with_it(value: Any, told: str) -> None:
    failure = refusal("kustom_refund_order", {"order_id": TAKEN, "refunded_amount": value})
    assert told in failure.message
    assert "major units" not in failure.message


@pytest.mark.parametrize(
    ("given", "hint"),
    [("USA", "Did you mean US?"), (" swe", "Did you mean SE?"), ("United  States", "Did you mean US?"),
     ("Norge", "Did you mean NO?"), ("Atlantis", "Its code is in ISO 3166, such as SE or US.")],
)  # fmt: skip
def test_a_country_that_is_not_two_letters_is_told_which(given: str, hint: str) -> None:
    failure = refusal("kustom_update_customer_details", {"order_id": OPEN, "shipping_address": {"country": given}})
    assert failure.sentence == f"shipping_address.country must be the two letters of a country. {hint}"


def test_every_mistake_is_named_at_once_and_in_its_place() -> None:
    lines = [{}, {"line": 0, "quantity": None}, {"line": 1, "qty": 2}]
    failure = refusal("kustom_capture_order", {"order_id": None, "captured_amount": "10", "lines": lines, "lnes": 1})
    assert [mistake.field for mistake in failure.fields] == [
        *("lines[2].qty", "lnes", "order_id", "captured_amount"),
        *("lines[1].line", "lines[1].quantity", "lines[2].quantity"),
    ]
    told = {mistake.field: mistake.message for mistake in failure.fields}
    assert told["lines[1].quantity"] == "lines[1].quantity is missing: null was sent."
    assert told["lines[2].quantity"] == "lines[2].quantity is missing."
    assert told["lnes"] == "lnes is not an argument of this tool. Did you mean lines?"
    assert "There are 7 mistakes in the arguments; all are in `error.fields`." in failure.message
    assert failure.structured()["fields"][1] == {"field": "lnes", "message": told["lnes"]}


def test_so_many_mistakes_that_nobody_reads_them_are_counted() -> None:
    failure = refusal("kustom_capture_order", {"order_id": OPEN, "lines": [{"line": 1}] * 500})
    assert len(failure.fields) == MOST_TOLD
    assert f"There are 500 mistakes in the arguments; the first {MOST_TOLD} are" in failure.message


ONE: Wire = {"reference": "PLAID", "name": "Plaid", "quantity": 1, "unit_price": 9900, "total_amount": 9900}
PARCEL: Wire = {"tracking_number": "1"}
CAPTURE: Wire = {"order_id": TWICE, "capture_id": "the first"}
CALLS: list[tuple[str, Wire]] = [
    ("get_order", {"order_id": OPEN}),
    ("get_orders", {"order_ids": [OPEN, TAKEN]}),
    ("resolve_order", {"order_id": OPEN}),
    ("list_activity", {}),
    ("find_orders", {"min_remaining": 0}),
    ("find_orders", {"status": "CAPTURED"}),
    ("acknowledge_order", {"order_id": OPEN}),
    ("update_order_amount", {"order_id": OPEN, "line_changes": [{"line": 1, "quantity": 1}]}),
    ("update_order_amount", {"order_id": OPEN, "order_amount": 9900, "order_lines": [ONE]}),
    ("update_merchant_references", {"order_id": OPEN, "merchant_reference1": "SE-1"}),
    ("update_merchant_references", {"order_id": OPEN, "clear": ["merchant_reference2"]}),
    ("update_customer_details", {"order_id": OPEN, "shipping_address": {"city": "Lund"}}),
    ("update_customer_details", {"order_id": OPEN, "clear": ["phone"]}),
    ("add_shipping_info", {"order_id": OPEN, "shipping_info": [PARCEL]}),
    ("cancel_order", {"order_id": OPEN}),
    ("extend_authorization", {"order_id": OPEN}),
    ("release_remaining_authorization", {"order_id": TWICE}),
    ("capture_order", {"order_id": OPEN, "captured_amount": 4900}),
    ("capture_order", {"order_id": OPEN, "lines": [{"line": 1, "quantity": 1}], "shipping_info": [PARCEL]}),
    ("capture_order", {"order_id": OPEN, "captured_amount": 9900, "order_lines": [ONE]}),
    ("list_captures", {"order_id": TWICE}),
    ("get_capture", CAPTURE),
    ("add_capture_shipping_info", {**CAPTURE, "shipping_info": [PARCEL]}),
    ("refund_order", {"order_id": TAKEN, "refunded_amount": 1000}),
    ("refund_order", {"order_id": TAKEN, "lines": [{"line": 1, "quantity": 1}]}),
    ("get_refund", {"order_id": BACK, "refund_id": "the first"}),
    ("list_transactions", {"order_id": BACK}),
    ("list_payouts", {}),
    ("trigger_send_out", CAPTURE),
    ("get_due_date_options", CAPTURE),
    ("extend_due_date", {**CAPTURE, "number_of_days": 14}),
]  # fmt: skip


def filled(schema: Wire, arguments: Wire, how: str, *, as_written: bool = False) -> Wire:
    """The arguments with everything else that the schema knows, saying nothing."""
    every: Wire = {}
    for name, inner in schema["properties"].items():
        value = arguments.get(name)
        if value is None:
            every[name] = None if how == NULL or as_written else OWN.get(inner["type"], "")
        elif inner["type"] == "object":
            every[name] = filled(inner, value, how, as_written=as_written)
        elif inner["type"] == "array" and inner["items"]["type"] == "object":
            in_lines = as_written or name == AS_WRITTEN
            every[name] = [filled(inner["items"], entry, how, as_written=in_lines) for entry in value]
        else:
            every[name] = value
    return every


def ready(talk: Talk, arguments: Wire) -> Wire:
    """With the ids of a demo order's first entries."""
    ids: Wire = {}
    if "capture_id" in arguments:
        ids["capture_id"] = first_capture(talk, arguments["order_id"])
    if "refund_id" in arguments:
        ids["refund_id"] = talk.stored(arguments["order_id"])["refunds"][0]["refund_id"]
    return arguments | ids


def test_every_tool_is_called() -> None:
    assert {f"kustom_{tool}" for tool, _ in CALLS} == set(CATALOG)


def tool_of(value: object) -> str | None:
    """The name of a parameter in a test's name."""
    return cast("tuple[str, Wire]", value)[0] if isinstance(value, tuple) else None


@pytest.mark.parametrize(("call", "how"), sampled(product(CALLS, [NULL, ITS_OWN]), 3), ids=tool_of)
async def test_a_call_with_everything_filled_in_is_the_call_without(call: tuple[str, Wire], how: str) -> None:
    tool, arguments = call
    schema = CATALOG[f"kustom_{tool}"].wire()["inputSchema"]
    seen: list[Any] = []
    answers: list[Wire] = []
    for first in (0, 1):
        async with steady() as talk:
            plain = ready(talk, arguments)
            ways = (plain, filled(schema, plain, how))
            answer = await talk.call(tool, ways[first])
            answers.append(without(answer, "confirm"))
            seen.append([(one.method, one.path, one.body) for one in talk.requests])
            if "confirm" in answer:  # what was previewed one way may be confirmed the other way
                code = answer["confirm"]["code"]
                assert (await talk.call(tool, ways[1 - first] | {"confirm": code}))["outcome"] == "applied"
    assert answers[0] == answers[1]
    assert seen[0] == seen[1]
    assert answers[0]["outcome"] in ("ok", "applied", "confirmation_required")
