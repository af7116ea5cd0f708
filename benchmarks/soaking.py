"""The stories of a soak: one order each, with reads, previews, confirmed writes and replays, some with a fault.

Stories say what was told; what is true is counted in the log of the simulator.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx2 as httpx

from benchmarks.pipe import HELLO, message

ROUND = 40
"""Stories between two looks at the log, which forgets its oldest lines."""

PATIENCE = 60  # seconds
TRIES = 6
NOTHING = frozenset({"not_sent", "rejected"})
FAULTS: list[dict[str, Any]] = [
    {"fault": "lose_response"},
    {"fault": "reset"},
    {"fault": "truncate"},
    {"fault": "delay", "seconds": 0.2},
    {"fault": "late_status", "status": 503},
    {"fault": "status", "status": 500},
    {"fault": "status", "status": 502},
    {"fault": "status", "status": 429, "headers": {"Retry-After": "0"}},
    {"fault": "status", "status": 403, "body": "<html>blocked</html>"},
]
ITEMS = [
    {"reference": "CUP", "name": "Cup", "quantity": 4, "unit_price": 2500, "total_amount": 10000},
    {"reference": "POT", "name": "Pot", "quantity": 2, "unit_price": 10000, "total_amount": 20000},
]
CAPTURED = {"status": "CAPTURED", "captured_amount": 30000}
PART_CAPTURED = {"status": "PART_CAPTURED", "captured_amount": 10000}

Json = dict[str, Any]


@dataclass
class Kind:
    """An operation: its tool, its arguments, the end of the path it writes to, the order it starts with."""

    tool: str
    arguments: Json
    writes: str
    method: str = "POST"
    starts: Json = field(default_factory=dict[str, Any])
    replayed: bool = True


KINDS = [
    Kind("refund_order", {"refunded_amount": 1234}, "/refunds", starts=CAPTURED),
    Kind("refund_order", {"lines": [{"line": 1, "quantity": 1}]}, "/refunds", starts=CAPTURED),
    Kind("capture_order", {"captured_amount": 4321}, "/captures"),
    Kind("capture_order", {"lines": [{"line": 2, "quantity": 1}]}, "/captures"),
    Kind("cancel_order", {}, "/cancel"),
    Kind("release_remaining_authorization", {}, "/release-remaining-authorization", starts=PART_CAPTURED),
    Kind("update_order_amount", {"line_changes": [{"line": 1, "quantity": 3}]}, "/authorization", "PATCH"),
    Kind("update_customer_details", {"shipping_address": {"city": "Exempelby"}}, "/customer-details", "PATCH"),
    Kind("update_merchant_references", {"merchant_reference1": "SOAK-1"}, "/merchant-references", "PATCH"),
    Kind("extend_authorization", {}, "/extend-authorization-time", replayed=False),
    Kind("add_shipping_info", {"shipping_info": [{"tracking_number": "T1"}]}, "/shipping-info", replayed=False),
]


class Server:
    """A server process; any number of calls at the same time. `calls` counts them."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.pid, self.calls = process.pid, 0
        self._in, self._out = process.stdin, process.stdout
        self._waiting: dict[int, asyncio.Future[Json]] = {}

    @classmethod
    @asynccontextmanager
    async def started(cls, settings: dict[str, str]) -> AsyncGenerator[Server]:
        """A server with these settings, which has listed its tools."""
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "kustom_mcp"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=settings,
            limit=2**24,
        )
        server = cls(process)
        listening = asyncio.create_task(server._listen())
        try:
            await server._ask("initialize", HELLO)
            server._in.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
            await server._ask("tools/list", {})
            server.calls = 0
            yield server
            server._in.close()
            await asyncio.wait_for(process.wait(), 10)
        finally:
            listening.cancel()
            if process.returncode is None:
                process.kill()

    async def call(self, tool: str, arguments: Json) -> Json:
        """Call a tool, named without its prefix; its structured content."""
        answer = await self._ask("tools/call", {"name": f"kustom_{tool}", "arguments": arguments})
        return answer["result"]["structuredContent"]

    async def _ask(self, method: str, params: Json) -> Json:
        self.calls += 1
        number = self.calls if method == "tools/call" else -self.calls
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self._in.write(message(number, method, params))
        return await asyncio.wait_for(self._waiting[number], PATIENCE)

    async def _listen(self) -> None:
        while line := await self._out.readline():
            answer: Json = json.loads(line)
            waiting = self._waiting.pop(answer.get("id", 0), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)


class Asked(Protocol):
    """Whatever answers calls."""

    async def call(self, tool: str, arguments: Json) -> Json: ...


@dataclass
class Intent:
    """One wish, and what was told about it, from the first call that could write."""

    kind: Kind
    order_id: str
    reference: str
    told: list[str] = field(default_factory=list[str])

    def applied(self, log: list[Json]) -> int:
        """How often it was really done: no replays, no refusals."""
        return sum(self._is_done_by(seen) for seen in log)

    def _is_done_by(self, seen: Json) -> bool:
        body: Json = seen["body"] or {}
        return (
            (seen["method"], body.get("reference", "")) == (self.kind.method, self.reference)
            and seen["path"].endswith(f"/orders/{self.order_id}{self.kind.writes}")
            and not seen["replayed"]
            and 200 <= (seen["status"] or 0) < 300
        )


def violations(intent: Intent, applied: int) -> list[str]:
    """Where what was told and what is true disagree. Nobody else writes, so who did it is known."""
    told = intent.told
    wrong: list[str] = []
    if applied > 1:
        wrong.append(f"was applied {applied} times")
    if not applied and ("applied" in told or "already_applied" in told):
        wrong.append("was not applied")
    if applied and all(outcome in NOTHING for outcome in told):
        wrong.append("was applied all the same")
    first = next((outcome for outcome in told if outcome not in NOTHING), "")
    if first == "already_applied":
        wrong.append("was applied by a call that denied it")
    return [f"{intent.kind.tool} on {intent.order_id} {each}; told: {told}" for each in wrong]


class Story:
    """An order, what is asked about it, and what is done to it."""

    def __init__(self, server: Asked, kustom: httpx.AsyncClient, chance: random.Random, faults: float) -> None:
        self.intents: list[Intent] = []
        self.outcomes: list[str] = []
        self._server = server
        self._kustom = kustom
        self._chance = chance
        self._faults = faults
        self._kind = chance.choice(KINDS)
        self._order_id = str(uuid.UUID(int=chance.getrandbits(128)))

    async def tell(self) -> None:
        """From a new order to the replay of what was done to it."""
        order = {"order_id": self._order_id, "order_amount": 30000, "order_lines": ITEMS, **self._kind.starts}
        (await self._kustom.post("/sandbox/orders", json=order)).raise_for_status()
        await self._read()
        for reference in ("SOAK-A", "SOAK-B") if self._kind.writes in ("/refunds", "/captures") else ("",):
            await self._intent(Intent(self._kind, self._order_id, reference))
            await self._read()

    async def _intent(self, intent: Intent) -> None:
        """Preview, confirm, settle what is unknown, replay."""
        self.intents.append(intent)
        arguments = self._kind.arguments | {"order_id": self._order_id}
        if intent.reference:
            arguments |= {"reference": intent.reference}
        code: Json = {}
        for _ in range(TRIES):
            answer = await self._call(self._kind.tool, arguments | (code if self._chance.random() < 0.5 else {}))
            code = {"confirm": answer["confirm"]["code"]} if "confirm" in answer else code
            if answer["outcome"] == "confirmation_required":
                answer = await self._call(self._kind.tool, arguments | code)
            intent.told.append(answer["outcome"])
            if answer["outcome"] not in (*NOTHING, "unknown"):
                if self._kind.replayed:
                    intent.told.append((await self._call(self._kind.tool, arguments | code))["outcome"])
                return

    async def _read(self) -> None:
        order = {"order_id": self._order_id}
        for tool, arguments in self._chance.sample(
            [
                ("get_order", order),
                ("get_order", order | {"include": ["lines", "captures", "refunds", "shipping", "customer"]}),
                ("list_captures", order),
                ("get_orders", {"order_ids": [self._order_id, str(uuid.UUID(int=self._chance.getrandbits(128)))]}),
            ],
            2,
        ):
            await self._call(tool, arguments)

    async def _call(self, tool: str, arguments: Json) -> Json:
        """Call a tool; now and then something goes wrong on the way."""
        if self._chance.random() < self._faults:
            read = {"method": "GET", "path": f"/orders/{self._order_id}"}
            write = {"method": self._kind.method, "path": f"/orders/{self._order_id}{self._kind.writes}"}
            where = write if tool == self._kind.tool and self._chance.random() < 0.7 else read
            fault = self._chance.choice(FAULTS) | {"times": self._chance.choice((1, 1, 2, 5))}
            (await self._kustom.post("/sandbox/faults", json=where | fault)).raise_for_status()
        answer = await self._server.call(tool, arguments)
        self.outcomes.append(answer["outcome"])
        return answer
