"""The back end of a support chatbot: one conversation about one customer's order, and a person before the money.

    KUSTOM_MCP_URL=https://mcp.example.com/mcp KUSTOM_MCP_TOKEN=... python support_chatbot.py ORDER_ID

The token comes from your identity provider, made for this conversation, with the claim `kustom_orders: [ORDER_ID]`: for
the server no other order exists, whatever the customer types and whatever the model makes of it. A question that the
server asks (cancel this? refund that?) goes to a colleague, not to the customer and not to the model.

`Model` is where your language model goes: it gets what was said so far and the tools, and says something or asks for a
tool. The one below knows two sentences, so that this file runs by itself.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2 as httpx
from mcp.client import Client, ClientRequestContext
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitRequestParams, ElicitResult

TOOLS = ("kustom_get_order", "kustom_cancel_order", "kustom_refund_order")
"""What this chatbot may use. What the token allows may be less."""

STEPS = 6
"""Tools in a row for one answer to the customer; a model that wants more has lost its way."""


@dataclass(frozen=True)
class Use:
    """The model wants this tool called."""

    tool: str
    arguments: dict[str, Any]


Model = Callable[[list[dict[str, Any]], list[dict[str, Any]]], Awaitable[str | Use]]
"""What was said, and the tools as name, description, input_schema -> a sentence for the customer, or a tool to use."""

Colleague = Callable[[str], Awaitable[bool]]
"""A person: reads the server's question, says yes or no. An answer that does not come is a no."""


@dataclass
class Conversation:
    """A chat about one order. `said` holds it all, results of tools included."""

    client: Client
    model: Model
    order_id: str
    said: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    async def answer(self, customer: str) -> str:
        """What to tell the customer."""
        self.said.append({"role": "user", "content": customer})
        listed = await self.client.list_tools()
        tools = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema}
            for tool in listed.tools
            if tool.name in TOOLS
        ]
        for _ in range(STEPS):
            wish = await self.model(self.said, tools)
            if isinstance(wish, str):
                self.said.append({"role": "assistant", "content": wish})
                return wish
            self.said.append({"role": "tool", "name": wish.tool, "content": await self._use(wish)})
        return "I could not find that out. A colleague will get back to you."

    async def _use(self, wish: Use) -> dict[str, Any]:
        """The structured result. Only the outcomes `applied` and `already_applied` mean that something was done."""
        if wish.tool not in TOOLS:
            return {"outcome": "not_sent", "summary": "This chatbot has no such tool."}
        result = await self.client.call_tool(wish.tool, {**wish.arguments, "order_id": self.order_id})
        return dict(result.structured_content or {})


@asynccontextmanager
async def conversation(
    url: str, token: str, order_id: str, model: Model, colleague: Colleague
) -> AsyncGenerator[Conversation]:
    """Open a conversation. The token goes to the MCP server only, which never passes it on."""

    async def ask(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        if await colleague(params.message):
            return ElicitResult(action="accept", content={"approve": True})
        return ElicitResult(action="decline")

    headers = {"authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(headers=headers, timeout=httpx.Timeout(30, read=900)) as http,
        Client(streamable_http_client(url, http_client=http), elicitation_callback=ask) as client,
    ):
        yield Conversation(client, model, order_id)


async def two_sentences(said: list[dict[str, Any]], tools: list[dict[str, Any]]) -> str | Use:
    """In place of a language model: "cancel" cancels, anything else looks up; then the result is read out."""
    last = said[-1]
    if last["role"] == "tool":
        result = last["content"]
        if result["outcome"] == "declined":
            return "My colleague would rather not do that. They will write to you."
        return str(result.get("summary") or "Something went wrong; a colleague will look into it.")
    wanted = "kustom_cancel_order" if "cancel" in last["content"].lower() else "kustom_get_order"
    return Use(wanted, {})


async def at_the_keyboard(question: str) -> bool:
    """The colleague at this terminal."""
    print(f"\n  For you to decide:\n  {question}\n", file=sys.stderr)
    return (await asyncio.to_thread(input, "  Do it? Type yes: ")).strip().lower() == "yes"


async def main(order_id: str) -> None:
    """Chat at the terminal until the customer says nothing more."""
    url, token = os.environ["KUSTOM_MCP_URL"], os.environ["KUSTOM_MCP_TOKEN"]
    async with conversation(url, token, order_id, two_sentences, at_the_keyboard) as chat:
        while customer := (await asyncio.to_thread(input, "Customer: ")).strip():
            print(f"Chatbot:  {await chat.answer(customer)}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
