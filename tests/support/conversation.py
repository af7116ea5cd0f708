"""A conversation: a real MCP client, the real server, and the simulator behind it, in one process.

Every answer is held to what holds for all answers before a test sees it: valid against the tool's own output schema,
one text block with the same JSON, `isError` exactly for the three outcomes that are errors. What was really sent is
read from the simulator, never from the server.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any, Literal, cast

import anyio
from jsonschema import Draft202012Validator
from mcp.client import Client, ClientRequestContext
from mcp.client.extension import ClientExtension, advertise
from mcp.types import CallToolResult, ElicitRequestParams, ElicitResult, TextContent

from kustom_mcp.app.app import App
from kustom_mcp.app.sandbox import SandboxTransport
from kustom_mcp.app.telemetry import SILENT, Telemetry
from kustom_mcp.calls.card import EXTENSION, PAGE_TYPE
from kustom_mcp.server.handlers import build_server
from kustom_mcp.settings.environment import load
from kustom_mcp.simulator.app import LoggedRequest, Simulator
from kustom_mcp.simulator.demo_orders import demo_orders
from kustom_mcp.state.database import Store
from tests.support.advice import misadvised
from tests.support.oracles import held_to_the_truth
from tests.support.unhurried import PATIENCE

Mode = Literal["auto", "legacy"]
MODES: tuple[Mode, ...] = ("auto", "legacy")
"""`auto` speaks 2026-07-28, `legacy` the handshake era."""

Person = Callable[[str], ElicitResult | Awaitable[ElicitResult]]
"""A person who answers a form: gets the question, returns the answer."""

API = "/ordermanagement/v1"
CARDS = (advertise(EXTENSION, {"mimeTypes": [PAGE_TYPE]}),)
"""The capability of a host that shows the order card."""
ERRORS = frozenset({"not_sent", "rejected", "unknown"})


class _Ours(str):
    """Equal to every reference that the server gives where a request had none."""

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and re.fullmatch(r"km-[0-9a-f]{8}", other) is not None


OURS = _Ours("km-00000000")


def yes(_: str) -> ElicitResult:
    """A person who ticks the box."""
    return ElicitResult(action="accept", content={"approve": True})


def no(_: str) -> ElicitResult:
    """A person who declines."""
    return ElicitResult(action="decline")


def demo(name: str) -> str:
    """The id of a demo order."""
    return next(seed.order_id for seed in demo_orders() if seed.name == name)


def write(method: str, path: str, body: Any = None) -> tuple[str, str, Any]:
    """A write as `Talk.sent` lists it. `path` starts after `/ordermanagement/v1`."""
    return method, f"{API}{path}", body


@dataclass
class Talk:
    """An open conversation. `sent` and `requests` list what the simulator saw since the start, or the last `mark`."""

    client: Client
    app: App
    simulator: Simulator
    schemas: Mapping[str, Any]
    questions: list[str] = field(default_factory=list[str])
    """The questions that the person was asked."""
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The input schemas of the tools that this client is listed, where answers are held to them."""
    _from: int = 0

    def mark(self) -> None:
        """Forget what was sent so far."""
        self._from = len(self.simulator.requests)

    @property
    def requests(self) -> list[LoggedRequest]:
        """Every request since the mark, reads included."""
        return self.simulator.requests[self._from :]

    @property
    def writes(self) -> list[LoggedRequest]:
        """Every write since the mark, whole; each carries one idempotency key, a UUID."""
        writes = [seen for seen in self.requests if seen.method != "GET"]
        for seen in writes:
            assert seen.key is not None
            assert str(uuid.UUID(seen.key)) == seen.key
        return writes

    @property
    def sent(self) -> list[tuple[str, str, Any]]:
        """Every write since the mark: method, path, body."""
        return [(seen.method, seen.path, seen.body) for seen in self.writes]

    def order(self, **given: Any) -> str:
        """Add an order made from any part of one; its id."""
        return str(self.simulator.add_order(given).order["order_id"])

    def stored(self, order_id: str) -> dict[str, Any]:
        """An order as the simulator holds it now."""
        record = self.simulator.store.find(order_id)
        assert record is not None
        return record.order

    @staticmethod
    def named(tool: str) -> str:
        """The whole name of a tool."""
        return tool if tool.startswith("kustom_") else f"kustom_{tool}"

    async def call(self, tool: str, arguments: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """Call a tool; its structured content. The prefix `kustom_` may be left out."""
        name = self.named(tool)
        with anyio.fail_after(PATIENCE):
            answer = await self.client.call_tool(name, {**(arguments or {}), **more})
        return self.checked(name, answer)

    async def confirmed(self, tool: str, arguments: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """Preview and confirm with the code; the second answer. Nothing may be sent by the preview."""
        given = {**(arguments or {}), **more}
        before = len(self.writes)
        preview = await self.call(tool, given)
        assert preview["outcome"] == "confirmation_required", preview
        assert len(self.writes) == before
        return await self.call(tool, given, confirm=preview["confirm"]["code"])

    def checked(self, tool: str, answer: CallToolResult) -> dict[str, Any]:
        """Check what holds for every answer; return its structured content."""
        content: Any = answer.structured_content
        assert isinstance(content, dict)
        content = cast("dict[str, Any]", content)
        if tool in self.schemas:
            Draft202012Validator(self.schemas[tool]).validate(content)  # pyright: ignore[reportUnknownMemberType]
        (block,) = answer.content
        assert isinstance(block, TextContent)
        assert block.text == json.dumps(content, separators=(",", ":"), ensure_ascii=False)
        assert bool(answer.is_error) is (content["outcome"] in ERRORS)
        assert ("error" in content) is (content["outcome"] in ERRORS)
        assert content["environment"] == self.app.settings.environment
        assert not self.inputs or misadvised(tool, content, self.inputs) == []
        return content


@asynccontextmanager
async def conversation(
    mode: Mode = "auto",
    person: Person | None = None,
    *,
    extensions: Sequence[ClientExtension] = (),
    simulator: Simulator | None = None,
    host: Callable[[App], None] | None = None,
    telemetry: Telemetry = SILENT,
    **settings: str,
) -> AsyncGenerator[Talk]:
    """A client connected to a server with these settings (`KUSTOM_TOOLS="all"`), and the sandbox behind it.

    With `KUSTOM_API_KEY="kco_test_api_sandbox"` the server believes that the sandbox is the playground.
    `person`: declares forms and answers them; None is a host without forms. `extensions`: declared as
    well. `host`: changes the app before it is served, such as its clock.
    """
    sandbox = simulator or Simulator()
    app = App.of(
        load(settings).settings,
        simulator=sandbox,
        transport=SandboxTransport(sandbox),
        telemetry=telemetry,
        clock=anyio.current_time,
    )
    if not app.records.shared:
        app.use(Store.file(app.records.path, patience=PATIENCE))
    if host is not None:
        host(app)
    questions: list[str] = []

    async def answer(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        questions.append(params.message)
        assert person is not None
        given = person(params.message)
        return await given if isawaitable(given) else given

    forms = answer if person else None
    async with Client(build_server(app), mode=mode, elicitation_callback=forms, extensions=extensions) as client:
        listed = await client.list_tools(cache_mode="bypass")  # the cache would copy them all
        schemas = {tool.name: tool.output_schema for tool in listed.tools}
        inputs = {tool.name: tool.input_schema for tool in listed.tools}
        yield Talk(client, app, sandbox, schemas, questions, inputs)
    held_to_the_truth(sandbox)
