"""Conditions under which a function becomes a tool, and answers to errors that only this process can make."""

from __future__ import annotations

from typing import Any

import pytest

from kustom_mcp.api.endpoints import ACKNOWLEDGE_ORDER, GET_CAPTURE, GET_ORDER
from kustom_mcp.api.errors import InvalidIdentifier, NotSent, Unavailable, WritesOff
from kustom_mcp.calls import upstream_errors as upstream
from kustom_mcp.calls.messages import state_changed
from kustom_mcp.calls.token import Figures
from kustom_mcp.calls.write import Call
from kustom_mcp.schema.result import Result, ToolError
from kustom_mcp.tools.tool import Effect, operation

DONE = Result("ok", "Done.")


async def without_a_docstring(call: Call, order_id: str) -> Result:
    return DONE


async def with_one(call: Call, order_id: str) -> Result:
    """Read something."""
    return DONE


def test_a_tool_needs_a_docstring() -> None:
    with pytest.raises(TypeError, match="needs a docstring"):
        operation(GET_ORDER, Effect.READS, toolset="orders")(without_a_docstring)


def test_a_tool_takes_what_its_path_needs() -> None:
    with pytest.raises(TypeError, match=r"lacks the path parameters \['capture_id'\]"):
        operation(GET_CAPTURE, Effect.READS, toolset="orders")(with_one)


@pytest.mark.parametrize(("endpoint", "effect"), [(GET_ORDER, Effect.NOTES), (ACKNOWLEDGE_ORDER, Effect.READS)])
def test_a_tool_has_the_effect_of_its_endpoint(endpoint: Any, effect: Effect) -> None:
    with pytest.raises(TypeError, match="a write has an effect, a read has none"):
        operation(endpoint, effect, toolset="orders")(with_one)


TOLD = (
    (InvalidIdentifier("capture_id"), ("INVALID_IDENTIFIER", "not_sent", "never", "capture_id")),
    (WritesOff(), ("NOT_PERMITTED", "not_sent", "never", None)),
    (NotSent("ConnectError"), ("UPSTREAM_UNAVAILABLE", "not_sent", "same_call", None)),
    (Unavailable("ReadTimeout"), ("UPSTREAM_UNAVAILABLE", "not_sent", "same_call", None)),
)


@pytest.mark.parametrize(("error", "told"), TOLD, ids=str)
def test_what_never_reached_kustom_is_not_sent(error: Any, told: tuple[Any, ...]) -> None:
    for writing in (None, "named"):
        failure = upstream.failure(error, writing=writing)
        structured = failure.structured()
        assert (structured["code"], failure.ends, structured["retry"], structured.get("field")) == told
        assert "upstream" not in structured


def test_a_failure_is_one_sentence() -> None:
    assert str(upstream.failure(NotSent("x"), writing="named")) == (
        "UPSTREAM_UNAVAILABLE: Kustom could not be reached. Nothing was sent."
    )


def _difference(before: Figures, now: Figures) -> str:
    failure = state_changed(before, now, "SEK")
    assert isinstance(failure, ToolError)
    return failure.message.partition("(")[2].partition(")")[0]


def test_a_change_names_status_and_amounts_and_nothing_that_did_not_change() -> None:
    before = Figures("AUTHORIZED", 1000, 0, 0, 1000)
    assert _difference(before, Figures("CAPTURED", 1000, 1000, 0, 0)) == (
        "status AUTHORIZED -> CAPTURED; captured_amount 0.00 SEK -> 10.00 SEK; "
        "remaining_authorized_amount 10.00 SEK -> 0.00 SEK"
    )
    assert _difference(before, before) == "its lines, its address or its entries were changed"


def test_a_status_that_a_code_cannot_hold_is_not_taken_for_a_change() -> None:
    unknown = Figures("", 1000, 0, 0, 1000)
    assert _difference(unknown, Figures("ODD", 900, 0, 0, 1000)) == "order_amount 10.00 SEK -> 9.00 SEK"
    assert _difference(unknown, Figures("CLOSED", 1000, 0, 0, 1000)) == "status unknown -> CLOSED"
    assert _difference(Figures("CLOSED", 1, 0, 0, 0), Figures("ODD", 1, 0, 0, 0)) == "status CLOSED -> unknown"
