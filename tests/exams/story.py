"""One intent from the first call to the last: what was said each time, held to what really happened.

Two oracles. What was reported agrees with the truth: `applied` and `already_applied` say that the effect is there,
`not_sent` and `rejected` that this call has not caused it, and `unknown` is for answers that were really lost. And an
intent is applied at most once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import anyio
from mcp.client import Client
from pydantic import SecretStr

from kustom_mcp.api.client import KustomClient
from kustom_mcp.api.retry import RetryBudget
from kustom_mcp.app.app import App
from kustom_mcp.server.handlers import build_server
from kustom_mcp.settings.environment import load
from kustom_mcp.simulator.app import API_KEY
from kustom_mcp.state.audit_log import AuditLog
from kustom_mcp.state.database import Store
from tests.calls.quick import Time
from tests.exams.operations import Operation
from tests.exams.scripted_upstream import Step, Upstream
from tests.support.conversation import Talk
from tests.support.unhurried import PATIENCE
from tests.transport.kustom import USERNAME

Means = Literal["code", "flag"]
EFFECTIVE = ("applied", "already_applied")
NOTHING = ("not_sent", "rejected")
TIMEOUT = 5.0
"""A write has five seconds at least, so a shorter deadline would not make anything faster."""


def settings_for(upstream: Upstream, state: Path | None, means: Means) -> dict[str, str]:
    """Settings of a server that takes the upstream for the playground."""
    return {
        **upstream.settings,
        "KUSTOM_TOOLS": "all",
        "KUSTOM_CONFIRM": means,
        "KUSTOM_STATE_DIR": str(state or "/dev/null"),
        "KUSTOM_TIMEOUT": str(TIMEOUT),
        "KUSTOM_WRITES_PER_MINUTE": "10000",
    }


@asynccontextmanager
async def server(
    upstream: Upstream, state: Path | None = None, means: Means = "code", now: Time | None = None
) -> AsyncGenerator[Talk]:
    """A client of a server whose HTTP goes over real sockets; its records are in memory without a `state`. Retries
    come at once and are not counted together, so that many stories can be told at the same time. With `now` no wait
    takes any time."""
    clock = now.clock if now else anyio.current_time
    app = App.of(load(settings_for(upstream, state, means)).settings, clock=clock)
    if state is None:
        app.audit = AuditLog(None)
    app.use(Store.file(state and state / "store.sqlite3", patience=PATIENCE))
    if now is not None:
        app.sleep = now.sleep
    app.client = KustomClient(
        upstream.url,
        USERNAME,
        SecretStr(API_KEY),
        clock=clock,
        sleep=app.sleep,
        rand=lambda: 0.0,
        budget=RetryBudget(anyio.current_time, capacity=1_000_000),
    )
    async with Client(build_server(app), mode="auto") as client:
        listed = await client.list_tools()
        inputs = {tool.name: tool.input_schema for tool in listed.tools}
        yield Talk(client, app, upstream.simulator, schemas={}, inputs=inputs)


class Server(Protocol):
    """A server that can be called, in this process or in another one."""

    async def call(self, tool: str, arguments: Mapping[str, Any], /, **more: Any) -> dict[str, Any]: ...


@dataclass
class Story:
    """One intent. `told` are the outcomes of the calls that could write; `grew` what each of them really applied."""

    upstream: Upstream
    operation: Operation
    arguments: dict[str, Any]
    confirm: dict[str, Any] = field(default_factory=dict[str, Any])
    last: dict[str, Any] = field(default_factory=dict[str, Any])
    told: list[str] = field(default_factory=list[str])
    grew: list[int] = field(default_factory=list[int])

    @property
    def order_id(self) -> str:
        return self.arguments["order_id"]

    @property
    def applied(self) -> int:
        """Number of times it was really done so far."""
        return self.upstream.applied(self.order_id)

    @property
    def seen(self) -> tuple[list[str], int]:
        """The answers, and what was done."""
        return self.told, self.applied

    async def act(self, talk: Server, *writes: Step, reads: tuple[Step, ...] = ()) -> str:
        """Do it, or settle it, with the means at hand; while these things go wrong. The outcome."""
        self.upstream.writes(self.order_id, *writes)
        self.upstream.reads(self.order_id, *reads)
        before = self.applied
        self.last = await talk.call(self.operation.tool, self.arguments, **self.confirm)
        if "code" in self.last.get("confirm", {}):
            self.confirm = {"confirm": self.last["confirm"]["code"]}
        self.told.append(self.last["outcome"])
        self.grew.append(self.applied - before)
        self.upstream.writes(self.order_id)
        self.upstream.reads(self.order_id)
        return self.told[-1]

    def lies(self) -> list[str]:
        """Disagreements between what was said and what is true."""
        found: list[str] = []
        if self.told[-1] in EFFECTIVE and not self.applied:
            found.append(f"{self}: said {self.told}, but nothing was applied")
        if any(said in NOTHING and grown for said, grown in zip(self.told, self.grew, strict=True)):
            found.append(f"{self}: said {self.told}, but applied {self.grew}")
        return found

    def __str__(self) -> str:
        return f"{self.operation!r} {self.last.get('error')}"


async def begin(talk: Server, upstream: Upstream, operation: Operation, means: Means) -> Story:
    """A new order and everything before the call that writes: a preview where there is a gate."""
    story = Story(upstream, operation, operation.begin(upstream))
    if operation.gated and means == "flag":
        story.confirm = {"confirm": True}
    elif operation.gated:
        preview = await talk.call(operation.tool, story.arguments)
        assert preview["outcome"] == "confirmation_required", preview
        story.confirm = {"confirm": preview["confirm"]["code"]}
    return story
