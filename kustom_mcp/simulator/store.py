"""The orders, the clock and the remembered answers: everything that the simulator keeps between two requests.

Expiry is applied when an order is looked at, so that no timer is needed: an order that was open when it was made
expires once the injected clock, moved on by `advance`, has passed its `expires_at`. An order that was made with an
`expires_at` in the past never passes it and stays as it was made.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kustom_mcp.simulator import states
from kustom_mcp.simulator.allocation import Booked
from kustom_mcp.simulator.drafts import Json, draft_order, stamp
from kustom_mcp.simulator.seeds import Seed
from kustom_mcp.simulator.states import Position
from kustom_mcp.simulator.switches import Switches
from kustom_mcp.simulator.wire import Response

KEY_LIFETIME: Final = timedelta(hours=24)

PAY_LATER: Final = frozenset({"INVOICE", "INVOICE_BUSINESS", "PAY_LATER_IN_PARTS", "PAY_IN_X"})
KLARNA_METHODS: Final = PAY_LATER | {
    "ACCOUNT",
    "DEFERRED_INTEREST",
    "DIRECT_DEBIT",
    "FIXED_AMOUNT",
    "FIXED_AMOUNT_BY_CARD",
    "FIXED_SUM_CREDIT",
    "PAY_BY_CARD",
    "PAY_LATER_BY_CARD",
}

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Return the real time."""
    return datetime.now(UTC)


@dataclass(slots=True)
class StoredOrder:
    """One order as the API shows it (`order`), with its hidden facts."""

    name: str
    order: Json
    position: Position
    booked: Booked = field(default_factory=dict[tuple[str, str], int])
    can_expire: bool = True
    acknowledged: bool = False
    dispute: tuple[str, int] | None = None
    """The time of the customer's dispute, and what was taken back for it, minor units."""
    extra_due_days: dict[str, int] = field(default_factory=dict[str, int])
    before: list[tuple[datetime, Json]] = field(default_factory=list[tuple[datetime, Json]])
    """The order as it was before each write that reads do not see yet, with the time of the write; see `reading`."""

    def move(self, position: Position) -> None:
        """Take over a new money side; the visible fields follow."""
        self.position = position
        self.order |= {
            "status": str(position.status),
            "order_amount": position.ordered,
            "captured_amount": position.captured,
            "refunded_amount": position.refunded,
            "remaining_authorized_amount": position.remaining,
        }

    def capture(self, capture_id: str) -> Json | None:
        """Return one capture, or None."""
        captures: list[Json] = self.order["captures"]
        return next((entry for entry in captures if entry["capture_id"] == capture_id), None)

    def disputed_at(self, moment: datetime) -> None:
        """Take back for a dispute what is captured and not refunded. A second dispute changes nothing."""
        if self.dispute is None and self.position.captured > self.position.refunded:
            self.dispute = stamp(moment), self.position.captured - self.position.refunded

    @property
    def payment_type(self) -> str:
        """The payment method, e.g. INVOICE; empty where the order does not say."""
        method: Any = self.order.get("initial_payment_method") or {}
        return str(method.get("type") or "")

    @property
    def country(self) -> str:
        """The purchase country in upper case."""
        return str(self.order.get("purchase_country") or "").upper()

    @property
    def expires_at(self) -> datetime:
        """The end of the authorization."""
        return parse_time(self.order["expires_at"])


def parse_time(text: str) -> datetime:
    """Parse an ISO 8601 time of the API; without a zone it counts as UTC."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class OrderStore:
    """Orders by id, a movable clock, and the answers that idempotency keys bring back."""

    def __init__(self, clock: Clock, switches: Switches, seeds: Iterable[Seed]) -> None:
        self.switches = self._assumed = switches
        self.announce: Callable[[str], None] | None = None
        """A function that gets the id of every order that is added, as a webhook would tell it."""
        self.moved = asyncio.Event()
        """An event that is set, and replaced by another, when the clock is moved on."""
        self._clock = clock
        self._seeds = tuple(seeds)
        self.reset()

    def reset(self) -> None:
        """Return to the demo orders, the real time, the switches of the start and no remembered keys."""
        self.switches = self._assumed
        self._offset = timedelta()
        self._answers: dict[tuple[str, str], tuple[datetime, Response]] = {}
        self._records: dict[str, StoredOrder] = {}
        self._added = 0
        for seed in self._seeds:
            record = self.add(seed.draft(self.now()), seed.name)
            if seed.disputed_days_ago is not None:
                record.disputed_at(self.now() - timedelta(days=seed.disputed_days_ago))

    def now(self) -> datetime:
        """Return the simulator's time."""
        return self._clock() + self._offset

    def advance(self, seconds: float) -> None:
        """Move the clock on."""
        self._offset += timedelta(seconds=seconds)
        moved, self.moved = self.moved, asyncio.Event()
        moved.set()

    def add(self, given: Json, name: str | None = None) -> StoredOrder:
        """Add an order from any part of one; an order of the same id is replaced."""
        self._added += 1
        draft = draft_order(given, self.now(), self._added)
        record = StoredOrder(
            name=name or f"order-{self._added}",
            order=draft.order,
            position=draft.position,
            booked=draft.booked,
            acknowledged=bool(draft.order["captures"]),
        )
        record.can_expire = record.expires_at > self.now()
        order_id = str(record.order["order_id"]).lower()
        self._records[order_id] = record
        if self.announce is not None:
            self.announce(order_id)
        return record

    def find(self, order_id: str) -> StoredOrder | None:
        """Return the order as it stands now, or None."""
        record = self._records.get(order_id.lower())
        if record is not None:
            self._expire(record)
        return record

    def records(self) -> list[StoredOrder]:
        """Return all orders as they stand now, oldest first."""
        for record in self._records.values():
            self._expire(record)
        return list(self._records.values())

    def recall(self, merchant: str, key: str) -> Response | None:
        """Return the answer that this merchant got for this key within the last day."""
        remembered = self._answers.get((merchant, key))
        if remembered is None or self.now() - remembered[0] > KEY_LIFETIME:
            return None
        return remembered[1]

    def remember(self, merchant: str, key: str, answer: Response) -> None:
        """Keep a successful answer; errors are not kept, so that a repeat is tried again."""
        if self.switches.keys == "kept" and 200 <= answer.status < 300:
            self._answers[merchant, key] = (self.now(), answer)

    def _expire(self, record: StoredOrder) -> None:
        if record.can_expire and record.expires_at <= self.now():
            record.can_expire = False
            record.move(states.expire(record.position, self.switches))
