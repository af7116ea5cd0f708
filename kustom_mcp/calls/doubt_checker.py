"""Background reads of the orders with a write in doubt, while `serve --http` runs.

A minute after a write that got no outcome its order is read, then after twice the time, and so on; when its day ends,
once more, which closes what was not seen. A webhook about the order is a reason to look at once. Only reads are sent.
Replicas see in the store when others have looked.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import anyio

from kustom_mcp.calls.confirmation import RESOLVING_SECONDS, Gate
from kustom_mcp.calls.policy import Principal
from kustom_mcp.calls.read import ReadCall
from kustom_mcp.schema.result import ToolError
from kustom_mcp.state.audit_log import AuditUnavailable
from kustom_mcp.state.intents import Intent
from kustom_mcp.state.threads import in_thread

EVERY = 15.0
"""Seconds between two checks in the store whether a read is due."""
FIRST = 60.0
"""Seconds from a write to the first read of its order, and at least between two."""
NAMED = 10.0
"""Seconds at least between a read and the next one where a webhook has named the order."""
CALLER = "kustom-mcp"
_MOST_NAMED = 1000

log = logging.getLogger(__name__)


class DoubtChecker:
    """The background reads of one process."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._app = gate.app
        self._named: set[str] = set()
        self._news = anyio.Event()
        self._tried: dict[str, float] = {}
        """Times of the reads that failed or told nothing, by the key of the intent."""

    def note(self, order_id: str) -> None:
        """Note an order that a webhook has named, so that it is read soon."""
        if len(self._named) < _MOST_NAMED:
            self._named.add(order_id)
            self._news.set()

    async def run(self) -> None:
        """Read orders until cancelled."""
        while True:
            with anyio.move_on_after(EVERY):
                await self._news.wait()
            self._news = anyio.Event()
            named, self._named = self._named, set()
            try:
                await self.look(named)
            except AuditUnavailable:
                log.debug("the records of writes cannot be read now")
            except Exception:
                log.exception("the writes in doubt could not be listed; everything else goes on")

    async def look(self, named: frozenset[str] | set[str] = frozenset()) -> None:
        """Read every order that is due, one after the other. AuditUnavailable."""
        intents, mine = self._app.intents, self._app.account
        open_ones = await in_thread(lambda: intents.unresolved(mine)) if intents.blocks else intents.unresolved(mine)
        self._tried = {intent.key: self._tried[intent.key] for intent in open_ones if intent.key in self._tried}
        for order_id in dict.fromkeys(intent.order_id for intent in open_ones):
            of_order = [intent for intent in open_ones if intent.order_id == order_id]
            if self._is_due(of_order, named=order_id in named):
                await self._look_at(order_id, of_order)

    def _is_due(self, of_order: Sequence[Intent], *, named: bool) -> bool:
        now = self._app.wall()
        return any(now >= self._next(intent, named=named) for intent in of_order)

    def _next(self, intent: Intent, *, named: bool) -> float:
        """The time of the next read for a write. Before the first one it may still be in flight."""
        first = intent.sent + max(FIRST, self._app.settings.timeout + EVERY)
        last = max(intent.looked, self._tried.get(intent.key, -math.inf))
        if last < first:
            return first
        if named:
            return last + NAMED
        end = intent.sent + RESOLVING_SECONDS
        later = last + max(FIRST, last - intent.sent)
        return min(later, max(end, last + FIRST)) if last < end else later

    async def _look_at(self, order_id: str, of_order: Sequence[Intent]) -> None:
        try:
            async with ReadCall(self._gate, Principal(CALLER, writes=False)) as call:
                await call.order(order_id, for_row=True)
        except ToolError as failure:
            log.info("an order with a write in doubt could not be read: %s", failure.code)
        except Exception:  # a damaged record, say: it must not keep the others from being looked for
            log.exception("looking for a write in doubt failed; everything else goes on")
        now = self._app.wall()
        self._tried |= {intent.key: now for intent in of_order}
