"""What a webhook or a push says, as far as it is looked at: which order, and whether it is disputed.

A push has the order's id in the query, where the shop put it (`{checkout.order.id}` in the push URL of the checkout); a
webhook has a JSON body. An id that is not one, whatever else it is, ends the matter.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

from kustom_mcp.api.identifiers import IdentifierError, order_id
from kustom_mcp.book.completeness import WEBHOOK
from kustom_mcp.book.hints import Hint

PUSH = "push"
IN_QUERY = ("order_id", "klarna_order_id", "kustom_order_id")
CREATED = "order.created"
EVENTS = frozenset({CREATED, "capture.created", "refund.created"})
_LENGTH = 36


class NotUnderstood(Exception):
    """It is no notice of anything."""


class Notice(NamedTuple):
    """`hint` is None for an event that says nothing about an order. `created`: that the order is new."""

    hint: Hint | None
    created: bool = False


def is_push(query: Iterable[tuple[str, str]]) -> bool:
    """Whether the query is to name an order."""
    return any(name in IN_QUERY for name, _ in query)


def pushed(query: Iterable[tuple[str, str]]) -> Notice:
    """What a push says. NotUnderstood."""
    ids = [value for name, value in query if name in IN_QUERY]
    if len(ids) != 1:
        raise NotUnderstood
    return Notice(Hint(_id(ids[0]), PUSH))


def told(body: bytes, *, verified: bool) -> Notice:
    """What a webhook says. NotUnderstood."""
    event = _object(_parsed(body))
    kind = event.get("type")
    if not isinstance(kind, str):
        raise NotUnderstood
    disputed = kind.startswith("dispute.")
    if kind not in EVENTS and not disputed:
        return Notice(None)
    named = _id(_object(event.get("data")).get("order_id"))
    return Notice(Hint(named, WEBHOOK, verified, verified and disputed), kind == CREATED)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise NotUnderstood from None


def _object(value: object) -> dict[str, Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    raise NotUnderstood


def _id(value: object) -> str:
    """An order id; nothing longer, such as a link to an order."""
    if isinstance(value, str) and len(value) == _LENGTH:
        with contextlib.suppress(IdentifierError):
            return order_id(value)
    raise NotUnderstood
