"""What a developer would write by hand: one tool on the bare SDK, low level, that asks for an order and returns it.

    python one_tool.py URL          the JSON as one text block
    python one_tool.py URL both     the JSON as structured content and as one text block, as the protocol recommends
    python one_tool.py URL PORT     the same over Streamable HTTP on this port, with the SDK's defaults

No checks, no view, no policy: the least that answers. Run by path, in an environment that holds the SDK only.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2 as httpx
import uvicorn
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams, TextContent, Tool

Context = ServerRequestContext[httpx.AsyncClient, Any]
GET_ORDER = Tool(
    name="get_order",
    description="Read one order.",
    input_schema={
        "type": "object",
        "properties": {"order_id": {"type": "string"}},
        "required": ["order_id"],
        "additionalProperties": False,
    },
)
URL = sys.argv[1]
BOTH = len(sys.argv) > 2
PORT = int(sys.argv[2]) if BOTH and sys.argv[2] != "both" else None


@asynccontextmanager
async def lifespan(_: Server[httpx.AsyncClient]) -> AsyncGenerator[httpx.AsyncClient]:
    """One HTTP client for as long as the server runs."""
    async with httpx.AsyncClient(base_url=URL, auth=("user", "kco_test_api_sandbox"), trust_env=False) as client:
        yield client


async def list_tools(ctx: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
    """The one tool."""
    return ListToolsResult(tools=[GET_ORDER])


async def call_tool(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
    """The order, as the API gave it."""
    asked = (params.arguments or {})["order_id"]
    response = await ctx.lifespan_context.get(f"/ordermanagement/v1/orders/{asked}")
    text = TextContent(text=response.text)
    return CallToolResult(content=[text], structured_content=response.json() if BOTH else None)


async def main() -> None:
    """Serve until stdin ends, or for ever over HTTP."""
    server = Server("bare", lifespan=lifespan, on_list_tools=list_tools, on_call_tool=call_tool)
    if PORT is not None:
        config = uvicorn.Config(server.streamable_http_app(), port=PORT, log_level="error", access_log=False)
        await uvicorn.Server(config).serve()
        return
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
