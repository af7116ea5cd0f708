"""A handshake client made of JSON, for what a well-behaved client library would not send."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp.server import Server
from mcp.shared.memory import MessageStream, create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter

from kustom_mcp.app.app import App

HELLO = {"protocolVersion": "2025-06-18", "clientInfo": {"name": "by hand", "version": "1"}}


class Wire:
    """One connection. Messages are JSON objects."""

    def __init__(self, streams: MessageStream) -> None:
        self._incoming, self._outgoing = streams

    async def send(self, **message: Any) -> None:
        await self._outgoing.send(
            SessionMessage(jsonrpc_message_adapter.validate_python({"jsonrpc": "2.0", **message}))
        )

    async def next(self) -> dict[str, Any]:
        message = await self._incoming.receive()
        assert isinstance(message, SessionMessage)
        return message.message.model_dump(by_alias=True, mode="json", exclude_none=True)

    async def call(self, tool: str, arguments: Mapping[str, Any], *, id: int = 2) -> dict[str, Any]:
        """Ask for a tool call; the next message of the server, whatever it is."""
        await self.send(id=id, method="tools/call", params={"name": f"kustom_{tool}", "arguments": dict(arguments)})
        return await self.next()


@asynccontextmanager
async def by_hand(server: Server[App], capabilities: Mapping[str, Any]) -> AsyncGenerator[Wire]:
    """A connection to a server, after the handshake with these client capabilities."""
    async with (
        create_client_server_memory_streams() as (client, (incoming, outgoing)),
        anyio.create_task_group() as group,
    ):
        group.start_soon(server.run, incoming, outgoing, server.create_initialization_options())
        wire = Wire(client)
        await wire.send(id=1, method="initialize", params={**HELLO, "capabilities": dict(capabilities)})
        assert (await wire.next())["id"] == 1
        await wire.send(method="notifications/initialized")
        yield wire
        group.cancel_scope.cancel()
