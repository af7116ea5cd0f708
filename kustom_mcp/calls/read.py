"""A tool call that reads: an order and its entries, in scope, within the deadline, each order in its turn."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any, Self, TypeVar

import anyio
from mcp.server import ServerRequestContext

from kustom_mcp.api.endpoint import SETTLEMENTS, Read
from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.api.errors import NotFound, OmsError
from kustom_mcp.api.models import Order
from kustom_mcp.app.app import Busy
from kustom_mcp.app.fair_queue import QueueTimeout
from kustom_mcp.calls import upstream_errors
from kustom_mcp.calls.confirmation import Gate
from kustom_mcp.calls.messages import still_running, too_many
from kustom_mcp.calls.policy import Principal
from kustom_mcp.orders import facts as order_facts
from kustom_mcp.schema.result import Code, Json, ToolError
from kustom_mcp.text import clean

T = TypeVar("T")


class ReadCall:
    """A call that reads. `before`: the order as it was read last, before anything was written."""

    def __init__(self, gate: Gate, context: ServerRequestContext[Any, Any], principal: Principal) -> None:
        self.gate = gate
        self.app = gate.app
        self.policy = gate.policy.for_caller(principal)
        self._caller = principal.identity
        self.context = context
        self.before: Order | None = None
        self._turn = AsyncExitStack()
        self._deadline: float = self.app.clock() + self.app.settings.timeout

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._turn.aclose()

    async def read(self, endpoint: Read[T], *, entry: str | None = None, **ids: str) -> T:
        """Read an endpoint. ToolError when it cannot be read; `entry`: the kind of entry that may be missing."""
        asked_at = self.app.wall()
        try:
            async with self.app.concurrency.slot(self._caller, within=self._deadline - self.app.clock()):
                asked_at = self.app.wall()
                found = await self.app.client.read(endpoint, deadline=self._deadline, **ids)
        except OmsError as error:
            if endpoint is GET_ORDER and isinstance(error, NotFound):  # what the book has of it may not be so any more
                self.app.book.doubt(ids["order_id"], since=asked_at)
            if endpoint.prefix == SETTLEMENTS:
                raise upstream_errors.unsettled(error, payout=bool(endpoint.placeholders)) from None
            raise self._failure(error, entry=entry) from None
        except QueueTimeout:
            raise too_many() from None
        if isinstance(found, Order):
            self.app.book.note(found, read_at=asked_at)
        return found

    async def order(self, order_id: str) -> Order:
        """The order, if it is in scope."""
        self.require_scope(order_id)
        self.before = await self.read(GET_ORDER, order_id=order_id)
        return self.before

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

    def facts(self, order: Order) -> dict[str, Json]:
        """The `order` part of a result."""
        return order_facts.facts(
            order,
            portal_url=self.app.settings.portal_url(order.order_id),
            now=self.app.now(),
            offered=self.policy.offered,
            permitted=self.policy.why_not,
        )

    def _failure(self, error: OmsError, *, writing: bool = False, entry: str | None = None) -> ToolError:
        return upstream_errors.failure(error, writing=writing, entry=entry, sandboxed=self.app.settings.sandboxed)

    async def _take_turn(self, order_id: str) -> None:
        try:
            await self._turn.enter_async_context(self.app.turn(order_id, within=self._deadline - self.app.clock()))
        except Busy:
            raise still_running() from None
