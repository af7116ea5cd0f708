"""The event in a webhook or a push: an order's id, and whether it is disputed.

A push has the order's id in the query, where the shop put it (`{checkout.order.id}` in the push URL of the checkout); a
webhook has a JSON body. A request with an invalid id is refused, whatever else it holds.
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


class UnreadableEvent(Exception):
    """The request is no event, or names no valid order id."""


class WebhookEvent(NamedTuple):
    """An event. `hint` is None where it names no order; `created`: whether the order is new."""

    hint: Hint | None
    created: bool = False


def is_push(query: Iterable[tuple[str, str]]) -> bool:
    """Return whether the query has a field for an order's id."""
    return any(name in IN_QUERY for name, _ in query)


def read_push(query: Iterable[tuple[str, str]]) -> WebhookEvent:
    """Read the event of a push. UnreadableEvent."""
    ids = [value for name, value in query if name in IN_QUERY]
    if len(ids) != 1:
        raise UnreadableEvent
    return WebhookEvent(Hint(_id(ids[0]), PUSH))


def read_webhook(body: bytes, *, verified: bool) -> WebhookEvent:
    """Read the event of a webhook's body. UnreadableEvent."""
    event = _object(_parsed(body))
    kind = event.get("type")
    if not isinstance(kind, str):
        raise UnreadableEvent
    disputed = kind.startswith("dispute.")
    if kind not in EVENTS and not disputed:
        return WebhookEvent(None)
    named = _id(_object(event.get("data")).get("order_id"))
    return WebhookEvent(Hint(named, WEBHOOK, verified, verified and disputed), kind == CREATED)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableEvent from None


def _object(value: object) -> dict[str, Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    raise UnreadableEvent


def _id(value: object) -> str:
    """Read an order id, and nothing longer, such as a link to an order. UnreadableEvent."""
    if isinstance(value, str) and len(value) == _LENGTH:
        with contextlib.suppress(IdentifierError):
            return order_id(value)
    raise UnreadableEvent
