"""Webhooks and pushes of the sandbox: the events that wait to be sent, and the last answer to each.

Signed by the Standard Webhooks specification (observed). Id, merchant, time and type of an event are documented, and
the data of capture.created; the data of the others and the times of repetition are assumed.
"""

from __future__ import annotations

import asyncio
import json
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from standardwebhooks import Webhook

from kustom_mcp.simulator.drafts import made_up_id

SECRET: Final = "whsec_a3VzdG9tLW1jcC1zYW5kYm94LXdlYmhvb2tz"
MERCHANT: Final = "PM00000"
MAX_EVENTS: Final = 10_000
PUSH: Final = "push"
PAUSES: Final = {
    False: (5, 30, 300, 1800, 7200, 14_400, 18_000),
    True: (300, 900, 1800, 3600, *(14_400,) * 11),
}
"""Seconds between the attempts of an event, until it is answered with 2xx (assumed: within twelve hours), and, for a
push, until the order is acknowledged (observed: after 5, 15, 30 and 60 minutes, then every four hours for two days)."""

CAUSED_BY: Final[Mapping[str, tuple[str, str, str]]] = {
    "captureOrder": ("capture.created", "Capture-Id", "capture_id"),
    "refundOrder": ("refund.created", "Refund-Id", "refund_id"),
}
"""By operation: the event, the header of the answer that has the new id, and how the event calls that id."""

_SIGNING: Final = Webhook(SECRET)
_ALPHABET: Final = string.digits + string.ascii_letters


@dataclass(slots=True)
class OutgoingEvent:
    """One webhook, or one push: then `kind` is push. `status` is the last answer, 0 where there was none."""

    id: str
    kind: str
    order_id: str
    body: bytes
    attempts: int = 0
    status: int | None = None

    @property
    def query(self) -> str:
        return f"order_id={self.order_id}" if self.kind == PUSH else ""

    def headers(self, now: datetime) -> dict[str, str]:
        """Return the headers of an attempt at this time of day, which the sandbox's own clock does not change."""
        if self.kind == PUSH:
            return {}
        return {
            "Content-Type": "application/json",
            "webhook-id": self.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": _SIGNING.sign(self.id, now.astimezone(UTC), self.body.decode()),
        }


@dataclass
class Outbox:
    """The events of one simulator, the oldest first; `waiting` are those that no sender has begun with."""

    events: list[OutgoingEvent] = field(default_factory=list[OutgoingEvent])
    waiting: asyncio.Queue[OutgoingEvent] = field(default_factory=asyncio.Queue[OutgoingEvent])
    _told: int = 0

    def add(self, kind: str, order_id: str, moment: datetime, data: Mapping[str, str]) -> OutgoingEvent:
        """Add an event to be sent."""
        self._told += 1
        number = f"kevt_{_short(made_up_id(kind, order_id, moment.isoformat(), self._told))}"
        told = {"id": number, "merchant_id": MERCHANT, "timestamp": _nanoseconds(moment), "type": kind}
        body = b"" if kind == PUSH else json.dumps(told | {"data": {"order_id": order_id, **data}}).encode()
        event = OutgoingEvent(number, kind, order_id, body)
        self.events.append(event)
        if len(self.events) > MAX_EVENTS:
            del self.events[: MAX_EVENTS // 10]
        self.waiting.put_nowait(event)
        return event


def _short(made_up: str) -> str:
    """Write a made-up id as 22 letters and digits."""
    rest, digits = UUID(made_up).int, ""
    while len(digits) < 22:
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def _nanoseconds(moment: datetime) -> str:
    """Write a time as events have it, e.g. 2026-04-08T09:48:16.680000000Z: RFC 3339 with nine decimals."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
