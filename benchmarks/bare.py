"""The least that a server of the official SDK can be: one tool, low level, stdio. What ours is compared with."""

from __future__ import annotations

from typing import Any

import anyio
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams, TextContent, Tool

Context = ServerRequestContext[Any, Any]
ECHO = Tool(
    name="echo",
    description="Return the text.",
    input_schema={
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
        "additionalProperties": False,
    },
)


async def list_tools(ctx: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
    """The one tool."""
    return ListToolsResult(tools=[ECHO])


async def call_tool(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
    """The text that was sent."""
    return CallToolResult(content=[TextContent(text=str((params.arguments or {}).get("text", "")))])


async def main() -> None:
    """Serve until stdin ends."""
    server: Server[Any] = Server("bare", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
