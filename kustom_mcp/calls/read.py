"""A tool call that reads: an order and its entries, in scope, within the deadline, each order in its turn."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Self, TypeVar, cast

import anyio

from kustom_mcp.api.endpoint import SETTLEMENTS, Read
from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.api.errors import NotFound, OmsError
from kustom_mcp.api.models import Order
from kustom_mcp.app.app import Busy
from kustom_mcp.app.fair_queue import QueueTimeout
from kustom_mcp.book import BookUnavailable
from kustom_mcp.calls import upstream_errors
from kustom_mcp.calls.activity import row, tools_of
from kustom_mcp.calls.confirmation import Gate
from kustom_mcp.calls.doubt import BETWEEN_LOOKS, REMEMBERED, Found, State, claims_of, look, record_in, row_of, too_old
from kustom_mcp.calls.messages import journal_unavailable, records_unavailable, still_running, too_many
from kustom_mcp.calls.policy import Principal
from kustom_mcp.calls.token import digest
from kustom_mcp.orders import facts as order_facts
from kustom_mcp.orders.entries import id_of
from kustom_mcp.schema.result import Code, Json, ToolError
from kustom_mcp.state.audit_log import AuditUnavailable
from kustom_mcp.state.intents import Intent
from kustom_mcp.state.threads import in_thread
from kustom_mcp.text import clean

T = TypeVar("T")

_CLOSED_AS = {"done": "done", "not_seen": "not_seen", "not_done": "not_seen", "never_known": "never_known"}
"""The state of a write that was in doubt, by the outcome with which it was closed."""

_BOOK_PATIENCE = 1.0
"""Seconds that the answer waits for the order book."""

log = logging.getLogger(__name__)


class ReadCall:
    """A call that reads. `before`: the order as it was read last, before anything was written."""

    def __init__(self, gate: Gate, principal: Principal) -> None:
        self.gate = gate.for_caller(principal)
        self.app = gate.app
        self.policy = gate.policy.for_caller(principal)
        self._caller = principal.identity
        self.before: Order | None = None
        self.intents: Sequence[Intent] = ()
        """Everything that was sent for the order, oldest first, as it was when this call read the order."""
        self.doubts: Sequence[Intent] = ()
        """Those of them whose outcome is not known."""
        self.disputed: bool | None = None
        """Whether a signed webhook once told of a dispute on this order; None where that is not known."""
        self.urgent = False
        """Whether the call makes an approved write, so that it waits for no pause of others."""
        self.brought: dict[str, Order] = {}
        """Orders that were read for this call already, when their shop was looked for. Each is used once."""
        self._turn = AsyncExitStack()
        self._deadline: float = self.app.clock() + self.app.settings.timeout

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._turn.aclose()

    async def read(self, endpoint: Read[T], *, entry: str | None = None, **ids: str) -> T:
        """Read an endpoint. ToolError when it cannot be read; `entry`: the kind of entry that may be missing."""
        brought = self.brought.pop(ids["order_id"], None) if endpoint is GET_ORDER else None
        if brought is not None:
            return cast("T", brought)
        asked_at = self.app.wall()
        try:
            async with self.app.concurrency.slot(self._caller, within=self._deadline - self.app.clock()):
                asked_at = self.app.wall()
                client = self.app.client
                read = client.read_for_write if self.urgent else client.read
                found = await read(endpoint, deadline=self._deadline, **ids)
        except OmsError as error:
            if endpoint is GET_ORDER and isinstance(error, NotFound):  # what the book has of it may not be so any more
                self.app.book.doubt(ids["order_id"], since=asked_at)
            if endpoint.prefix == SETTLEMENTS:
                raise upstream_errors.settlements_failure(error, payout=bool(endpoint.placeholders)) from None
            raise self._failure(error, entry=entry) from None
        except QueueTimeout:
            raise too_many() from None
        if isinstance(found, Order):
            self.app.book.note(found, read_at=asked_at)
        return found

    async def order(self, order_id: str, *, for_row: bool = False) -> Order:
        """The order, if it is in scope; with what became of the writes on it that had no outcome. `for_row`: without
        what only its own view shows."""
        self.require_scope(order_id)
        aside: list[Callable[[str], Coroutine[Any, Any, None]]] = [] if for_row else [self.learn_dispute]
        if not self.app.intents.none_kept():
            aside.append(self._load_tolerantly)
        self.before = await self.read_beside(order_id, aside)
        await self.find_out(self.before)
        return self.before

    async def read_beside(self, order_id: str, aside: Iterable[Callable[[str], Coroutine[Any, Any, None]]]) -> Order:
        """Read an order, and do something else about it meanwhile, which raises nothing."""
        failures: list[ToolError] = []
        found: list[Order] = []

        async def read() -> None:
            try:
                found.append(await self.read(GET_ORDER, order_id=order_id))
            except ToolError as failure:
                failures.append(failure)

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            for other in aside:
                group.start_soon(other, order_id)
        if failures:
            raise failures[0]
        return found[0]

    async def learn_dispute(self, order_id: str) -> None:
        """Look into the book for a dispute, for a moment; without one that answers, nothing is known."""
        self.disputed = None
        with contextlib.suppress(BookUnavailable), anyio.move_on_after(_BOOK_PATIENCE):
            self.disputed = await self.app.book.disputed(order_id)

    async def _load_tolerantly(self, order_id: str) -> None:
        """Read what was sent for an order; an order is shown although the records cannot be read."""
        try:
            await self.load(order_id)
        except ToolError:
            log.warning("the records of writes cannot be read, so nothing is said of those in doubt")

    async def load(self, order_id: str, former: Sequence[str] = ()) -> None:
        """Read what was sent for an order from the store; by calls with the digests `former` of an earlier version
        too. ToolError AUDIT_UNAVAILABLE."""
        self.intents = await self._kept(lambda: self.app.intents.of_order(self.app.account, order_id, former))

    async def find_out(self, order: Order, *, but: str | None = None) -> list[tuple[Intent, Found]]:
        """Look in an order for the writes on it that have no outcome, and record what became of each.

        Keeps those that are still in doubt in `doubts`. `but`: the key of one that the call looks at by itself.
        """
        looked = [
            (intent, await self.look_for(intent, order))
            for intent in self.intents
            if intent.unresolved and intent.key != but
        ]
        ended = [intent.key for intent, found in looked if await self._recorded(intent, found)]
        self.doubts = [intent for intent, _ in looked if intent.key not in ended]
        return looked

    async def writes_resolved(self, order: Order) -> list[dict[str, Json]]:
        """Look for every write in doubt on an order, twice where it is not found, and tell what is known of each.

        Those that were in doubt and closed within 30 days come first.
        """
        now = self.app.wall()
        rows: list[dict[str, Json]] = []
        await self._load_tolerantly(order.order_id)
        for intent in self.intents:
            state = _CLOSED_AS.get(str(intent.outcome))
            if state is not None and now - (intent.closed or 0.0) < REMEMBERED:
                entry = {"entry_id": intent.entry} if intent.entry else {}
                rows.append(row_of(self.as_told(intent)) | {"state": state} | entry)
        for intent in [intent for intent in self.intents if intent.unresolved]:
            state, repeat, confirm = await self.way_out(intent, order)
            found = {"repeat": repeat, "confirm": confirm}
            rows.append(
                row_of(self.as_told(intent))
                | {"state": state.value}
                | {name: value for name, value in found.items() if value}
            )
        return rows

    async def way_out(
        self, intent: Intent, order: Order
    ) -> tuple[State, dict[str, Json] | None, dict[str, Json] | None]:
        """Look twice for a write in doubt that the first look did not find: its state, and the call and the code that
        send it again, where this caller may make that write and nothing that it watches has changed. A tool without a
        gate takes no code: its identical call does it."""
        found = await self.look_for(intent, order)
        if found.state is State.ABSENT and not (intent.looks and self.app.wall() - intent.looked >= BETWEEN_LOOKS):
            await self.app.sleep(BETWEEN_LOOKS)
            order = await self.read(GET_ORDER, order_id=order.order_id)
            found = await self.look_for(intent, order)
            await self._recorded(intent, found)
        kept = self.gate.unsealed(intent)
        off = self.policy.why_off(intent.tool) if intent.tool in self.policy.operations else "unknown"
        off = off or self.app.settings.rehearses
        gated = self.policy.gated(intent.tool)
        by_call = not gated or self.gate.mode in ("auto", "code")
        may_go = found.state is State.ABSENT or self._acknowledges(intent)
        if not may_go or kept is None or off or not by_call:
            return found.state, None, None
        watch = await self.gate.watch_of(intent.tool, kept.arguments, order)
        if watch is None or digest(watch.depends(order)).hex() != intent.content.get("before"):
            return found.state, None, None
        claims, head = claims_of(intent, digest([self.app.account.name, intent.tool, kept.arguments]))
        return (
            found.state,
            {"tool": intent.tool, "arguments": dict(kept.arguments)},
            self.gate.seal(head, claims, self._caller) if gated else None,
        )

    async def activity(
        self,
        *,
        order_id: str | None,
        person: str | None,
        operation: str | None,
        since: float | None,
        before: float | None,
        after: tuple[float, str] | None,
        most: int,
    ) -> list[tuple[tuple[float, str], dict[str, Json]]]:
        """Read the journal, as far as this caller may see its orders: rows, newest first, each with its place.
        ToolError."""
        self.policy.require_staff()
        if order_id is not None:
            self.require_scope(order_id)
        tools = None if operation is None else tools_of(operation, self.policy.writing)

        def work() -> list[Intent]:
            return self.app.intents.journal(
                self.app.intents.own_names(self.app.account),
                orders=self.policy.scope if order_id is None else {order_id},
                tools=tools,
                person=person.strip() if person else None,
                since=since,
                before=before,
                after=after,
                most=most,
            )

        try:
            found = await in_thread(work) if self.app.intents.blocks else work()
        except AuditUnavailable:
            raise journal_unavailable(self.app.intents.place) from None
        return [((intent.at, intent.key), row(intent)) for intent in found]

    async def look_for(self, intent: Intent, order: Order) -> Found:
        """Find out from an order what became of one write."""
        kept = self.gate.unsealed(intent)
        arguments = kept.arguments if kept else record_in(intent.content, "arguments")
        watch = await self.gate.watch_of(intent.tool, arguments, order)
        if watch is None:
            return Found(State.UNCERTAIN)
        found = look(intent, kept.body if kept else {}, watch, order, self.intents)
        unmarked = found.state is State.ABSENT and self._acknowledges(intent)
        return Found(State.NOT_READABLE) if unmarked else found

    def _acknowledges(self, intent: Intent) -> bool:
        """Return whether a write is one that no order shows, but that changes nothing however often it is sent."""
        return self.policy.operations.get(intent.tool) == "acknowledgeOrder"

    async def _recorded(self, intent: Intent, found: Found) -> bool:
        """Record what a look at the order has found. Return whether it has ended the doubt."""
        old = too_old(intent, self.app.wall())
        outcome = {State.DONE: "done", State.ABSENT: "not_seen" if old and intent.looks else None}.get(found.state)
        if found.state is State.NOT_READABLE and old:
            outcome = "never_known"
        entry = id_of(found.entry) if found.state is State.DONE and found.entry else None

        def work() -> None:
            if outcome is not None:
                self.app.intents.close(intent.account, intent.key, outcome, entry=entry)
            else:
                self.app.intents.looked(intent, absent=found.state is State.ABSENT)

        with contextlib.suppress(ToolError):
            await self._kept(work)
            if outcome is not None:
                line = {"event": "outcome", "account": intent.account, "tool": intent.tool, "key": intent.key}
                with contextlib.suppress(AuditUnavailable):
                    self.app.audit.record(line | {"outcome": outcome, "found_by": self._caller})
        return outcome is not None

    async def _kept(self, work: Callable[[], T]) -> T:
        """Ask the records, in a thread where that takes time. ToolError AUDIT_UNAVAILABLE."""
        try:
            return await in_thread(work) if self.app.intents.blocks else work()
        except AuditUnavailable:
            raise records_unavailable(self.app.intents.place) from None

    async def order_with(self, endpoint: Read[T], *, entry: str | None = None, **ids: str) -> tuple[Order, T]:
        """The order and something of it, read at the same time; the order is needed for its currency."""
        failures: dict[str, ToolError] = {}
        found: list[T] = []

        async def read_entry() -> None:
            try:
                found.append(await self.read(endpoint, entry=entry, **ids))
            except ToolError as failure:
                failures["entry"] = failure

        async def read_order() -> None:
            try:
                await self.order(ids["order_id"])
            except ToolError as failure:
                failures["order"] = failure

        self.require_scope(ids["order_id"])
        async with anyio.create_task_group() as group:
            group.start_soon(read_entry)
            group.start_soon(read_order)
        if failures:
            raise failures.get("order") or failures["entry"]
        assert self.before is not None
        return self.before, found[0]

    async def may_ask_for_people(self) -> None:
        """Hold a search for a person to the policy. ToolError NOT_PERMITTED, RATE_LIMITED, BUSY, AUDIT_UNAVAILABLE."""
        await self.policy.look_for_people(self._caller, self.app.wall())

    @property
    def finds_people(self) -> bool:
        """Return whether the book keeps people and the caller may look for them."""
        return self.app.book.people.on and not self.policy.narrowed

    async def unresolved_orders(self) -> frozenset[str]:
        """Return the orders with a write whose outcome is not known. ToolError AUDIT_UNAVAILABLE."""
        found = await self._kept(lambda: self.app.intents.unresolved(self.app.account))
        return frozenset(intent.order_id for intent in found)

    @property
    def time_left(self) -> float:
        """Seconds until the call's deadline."""
        return self._deadline - self.app.clock()

    def require_scope(self, order_id: str) -> None:
        """Raise ToolError NOT_FOUND for an order out of scope, exactly as for one that does not exist; send nothing."""
        hidden_by = self.policy.hidden_by(order_id)
        if hidden_by:
            raise upstream_errors.order_not_found(sandboxed=self.app.settings.sandboxed, setting=hidden_by)

    def same_currency(self, order: Order, currency: str | None) -> None:
        """Hold a currency that was sent to the order's. ToolError CURRENCY_MISMATCH."""
        if currency is not None and currency != order.currency:
            raise ToolError(
                Code.CURRENCY_MISMATCH,
                f"This order is in {clean(order.currency, 10)}.",
                closing="Nothing was sent, and nothing is ever converted.",
                field="currency",
                next_step=f"Ask the person for the amount in {clean(order.currency, 10)}.",
            )

    def as_told(self, intent: Intent) -> Intent:
        """A write as this caller is told of it: a customer hears no name of the shop's people."""
        if not self.policy.for_customer:
            return intent
        return replace(intent, content={**intent.content, "caller": "the shop or the customer"})

    def facts(self, order: Order) -> dict[str, Json]:
        """The `order` part of a result."""
        return order_facts.facts(
            order,
            portal_url=self.app.settings.portal_url(order.order_id),
            now=self.app.now(),
            offered=self.policy.offered,
            permitted=self.policy.why_not,
            unresolved=[row_of(self.as_told(intent)) for intent in self.doubts],
            disputed=self.disputed or False,
        )

    def _failure(
        self, error: OmsError, *, writing: upstream_errors.Writing | None = None, entry: str | None = None
    ) -> ToolError:
        return upstream_errors.failure(error, writing=writing, entry=entry, sandboxed=self.app.settings.sandboxed)

    async def _take_turn(self, order_id: str) -> None:
        try:
            await self._turn.enter_async_context(self.app.turn(order_id, within=self._deadline - self.app.clock()))
        except Busy:
            raise still_running() from None
