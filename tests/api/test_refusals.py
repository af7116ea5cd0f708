"""Refusals: named by status and code, in words of our own."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import pytest

from kustom_mcp.api.errors import AuthenticationFailed, NotAllowed, NotFound, RateLimited, Refused
from tests.api.asking import read_failure
from tests.api.scripted import Pieces, Step, World, answer, refused


@pytest.mark.parametrize(
    ("step", "kind", "code", "messages"),
    [
        (refused(404, "NO_SUCH_ORDER", "gone"), NotFound, "NO_SUCH_ORDER", ("gone",)),
        (answer(404), NotFound, None, ()),
        (refused(400, "NOT_FOUND"), NotFound, "NOT_FOUND", ()),
        (refused(400, "BAD_REQUEST"), Refused, "BAD_REQUEST", ()),
        (refused(403, "NOT_ALLOWED"), NotAllowed, "NOT_ALLOWED", ()),
        (refused(403, "REFUND_NOT_ALLOWED"), NotAllowed, "REFUND_NOT_ALLOWED", ()),
        (refused(403, "PAYMENT_METHOD_FAILED"), Refused, "PAYMENT_METHOD_FAILED", ()),
        (refused(403, "FORBIDDEN"), AuthenticationFailed, "FORBIDDEN", ()),
        (answer(401), AuthenticationFailed, None, ()),
        (answer(301, location="https://elsewhere.example/"), Refused, None, ()),
        (answer(422, {"error_code": "no code {}", "error_messages": "one"}), Refused, None, ("one",)),
        (refused(422, "X", *["too long " * 30] * 20), Refused, "X", (("too long " * 30)[:255],) * 10),
    ],
)
async def test_a_refusal_is_named_by_status_and_code_and_not_repeated(
    step: Step, kind: type[Refused], code: str | None, messages: tuple[str, ...]
) -> None:
    world = World(step)
    error = await read_failure(world)
    assert type(error) is kind
    assert isinstance(error, Refused)
    assert (error.error_code, error.messages, len(world.sent)) == (code, messages, 1)
    assert not messages or messages[0] not in str(error)


async def test_a_gateways_403_is_told_from_wrong_credentials() -> None:
    page = httpx.Response(403, stream=Pieces(b"<html>Access denied</html>"))
    error = await read_failure(World(page))
    assert isinstance(error, AuthenticationFailed)
    assert (error.blocked, str(error)) == (
        True,
        "The request was blocked before Kustom looked at the credentials (HTTP 403).",
    )
    forbidden = await read_failure(World(refused(403, "FORBIDDEN")))
    assert isinstance(forbidden, AuthenticationFailed)
    assert not forbidden.blocked
    wrong = await read_failure(World(answer(401, {"error_code": "UNAUTHORIZED"})))
    assert isinstance(wrong, AuthenticationFailed)
    assert (wrong.blocked, str(wrong)) == (False, "Kustom did not accept the credentials (HTTP 401, UNAUTHORIZED).")


@pytest.mark.parametrize(
    ("told", "kept"),
    [("not-a-uuid", "not-a-uuid"), ("a b\n\u202ec\x00", "abc"), ("x" * 500, "from-header"), ("", "from-header")],
)
async def test_a_correlation_id_is_opaque_short_and_printable(told: str, kept: str) -> None:
    body = {"error_code": "X", "correlation_id": told}
    error = await read_failure(World(answer(400, body, klarna_correlation_id="from-header")))
    assert isinstance(error, Refused)
    assert error.correlation_id == kept


def test_no_error_needs_the_text_of_the_other_side() -> None:
    facts: dict[str, Any] = {"messages": ("who <a@example.com>",)}
    for error in (
        Refused(400, **facts),
        NotFound(404, **facts),
        RateLimited(**facts),
        AuthenticationFailed(401, **facts),
    ):
        assert "@" not in str(error) + repr(error)
