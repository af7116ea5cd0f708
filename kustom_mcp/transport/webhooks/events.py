"""The event in a webhook or a push: an order's id, and whether it is disputed.

A push has the order's id in the query or at the end of the path, where the shop put it (`{checkout.order.id}` in the
push URL of the checkout: WooCommerce has it in the query, Kustom's own Magento module in the path); a webhook has a
JSON body. Nothing comes of a request with an invalid id, whatever else it holds.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

from kustom_mcp.api.identifiers import IdentifierError, order_id
from kustom_mcp.book.completeness import WEBHOOK
from kustom_mcp.book.hints import Hint
from kustom_mcp.book.repeats import digest

PUSH = "push"
IN_QUERY = ("order_id", "klarna_order_id", "kustom_order_id")
CREATED = "order.created"
EVENTS = frozenset({CREATED, "capture.created", "refund.created"})
_LENGTH = 36


class UnreadableEvent(Exception):
    """The request is no event, or names no valid order id."""


class UnnamedOrder(UnreadableEvent):
    """The request is an event, and names no valid order id. `kind`: which event; `disputed`: whether of a dispute."""

    def __init__(self, kind: str, *, disputed: bool) -> None:
        super().__init__()
        self.kind = kind
        self.disputed = disputed


class WebhookEvent(NamedTuple):
    """An event. `hint` is None where it is about no order of ours; `created`: whether the order is new; `repeat`: by
    what a repeat of it is known (`book.repeats`), where it is signed."""

    hint: Hint | None
    created: bool = False
    repeat: str | None = None


def pushed(query: Iterable[tuple[str, str]], path: str) -> list[str]:
    """Return the ids of orders that the query has, and the path below ours; none where the request is no push."""
    last = path.rstrip("/").rpartition("/")[2]
    return [*(value for name, value in query if name in IN_QUERY), *([last] if last else [])]


def read_push(ids: Sequence[str]) -> WebhookEvent:
    """Read the event of a push with these ids. UnreadableEvent."""
    if len(ids) != 1:
        raise UnreadableEvent
    return WebhookEvent(Hint(_id(ids[0]), PUSH))


def read_webhook(body: bytes, event: str | None, merchant: str) -> WebhookEvent:
    """Read the event of a webhook's body. UnreadableEvent, UnnamedOrder.

    `event`: the id of a signed one, else None. `merchant`: ours in upper case, or "" where it is not known: another's
    events, and those of payments in a shop (`ipp.`), are about no order of ours.
    """
    given = _object(_parsed(body))
    kind = given.get("type")
    if not isinstance(kind, str):
        raise UnreadableEvent
    disputed = kind.startswith("dispute.")
    if (kind not in EVENTS and not disputed) or _is_foreign(given.get("merchant_id"), merchant):
        return WebhookEvent(None)
    try:
        named = _id(_object(given.get("data")).get("order_id"))
    except UnreadableEvent:
        raise UnnamedOrder(kind if kind in EVENTS else "dispute", disputed=disputed) from None
    verified = event is not None
    hint = Hint(named, WEBHOOK, verified, verified and disputed)
    return WebhookEvent(hint, kind == CREATED, digest(event) if event else None)


def is_foreign(body: bytes, merchant: str) -> bool:
    """Return whether a body says that it is another merchant's."""
    try:
        return _is_foreign(_object(_parsed(body)).get("merchant_id"), merchant)
    except UnreadableEvent:
        return False


def merchant_of(body: bytes) -> str | None:
    """Return the merchant that a body names, in upper case; None where it names none."""
    try:
        told: object = _object(_parsed(body)).get("merchant_id")
    except UnreadableEvent:
        return None
    return told.upper() if isinstance(told, str) else None


def _is_foreign(told: object, merchant: str) -> bool:
    return bool(merchant) and isinstance(told, str) and told.upper() != merchant


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
