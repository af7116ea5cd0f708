"""The back end of a support chatbot: a customer shows whose order it is, and then hears about it, or has it changed.

    KUSTOM_MCP_URL=https://mcp.example.com/mcp KUSTOM_MCP_TOKEN=kmp_... python support_chatbot.py SE-20451 E-MAIL

The token is that of a person with `may = ["customers", "write"]`, and stays here: the model never sees it. With it this
program asks for a customer token, for which no order exists but the customer's own, whatever the customer types and
whatever the model makes of it. A question that the server asks (cancel this? refund that?) goes to the customer.

`Model` is where your language model goes: it gets what was said so far and the tools, and says something or asks for a
tool. The one below knows two sentences, so that this file runs by itself.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2 as httpx
from mcp import MCPError
from mcp.client import Client, ClientRequestContext
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitRequestParams, ElicitResult

TOOLS = ("kustom_get_order", "kustom_cancel_order", "kustom_refund_order")
"""What this chatbot may use. What the token allows may be less."""
STEPS = 6
"""Tools in a row for one answer to the customer; a model that wants more has lost its way."""
EARLY = 60
"""Seconds before its end that a customer token is replaced."""
NOT_FOUND = "I find no order with this number and this e-mail address. Please look at the confirmation that you got."
LATER = "I cannot look that up at the moment. A colleague will get back to you."


class NotFound(Exception):
    """No order fits what the customer said, or it was tried too often."""


@dataclass(frozen=True)
class Use:
    """The model wants this tool called."""

    tool: str
    arguments: dict[str, Any]


Model = Callable[[list[dict[str, Any]], list[dict[str, Any]]], Awaitable[str | Use]]
"""What was said, and the tools as name, description, input_schema -> a sentence for the customer, or a tool to use."""
Customer = Callable[[str], Awaitable[bool]]
"""Shows the server's question to the customer, word for word, with two buttons. No answer is a no."""


class CustomerToken(httpx.Auth):
    """Puts the customer token into each request, and gets another before it ends or when it is refused (401). A request
    that was refused has done nothing, so that it may be sent again."""

    def __init__(self, url: str, bearer: str, proof: Mapping[str, str]) -> None:
        self._ask = url.removesuffix("/mcp") + "/customer-tokens", {"authorization": f"Bearer {bearer}"}, dict(proof)
        self._token = ""
        self._until = 0.0
        self.orders: list[str] = []

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        if time.monotonic() > self._until:
            await self.take((yield self.asking()))
        request.headers["authorization"] = f"Bearer {self._token}"
        if (yield request).status_code == 401:
            await self.take((yield self.asking()))
            request.headers["authorization"] = f"Bearer {self._token}"
            yield request

    def asking(self) -> httpx.Request:
        url, headers, proof = self._ask
        return httpx.Request("POST", url, headers=headers, json=proof)

    async def take(self, answer: httpx.Response) -> None:
        """Keep the token of an answer. Without one the next request is refused, and `Conversation` says so."""
        await answer.aread()
        if answer.status_code == 200:
            given = answer.json()
            self._token, self.orders = given["access_token"], given["orders"]
            self._until = time.monotonic() + given["expires_in"] - EARLY


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
        try:
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
        except MCPError:  # 401: no new token was given; 403: the token may not; or the server is not there
            self.said.append({"role": "assistant", "content": LATER})
        return LATER

    async def _use(self, wish: Use) -> dict[str, Any]:
        """The structured result. Only the outcomes `applied` and `already_applied` mean that something was done."""
        if wish.tool not in TOOLS:
            return {"outcome": "not_sent", "summary": "This chatbot has no such tool."}
        result = await self.client.call_tool(wish.tool, {**wish.arguments, "order_id": self.order_id})
        return dict(result.structured_content or {})


@asynccontextmanager
async def conversation(
    url: str, bearer: str, proof: Mapping[str, str], model: Model, customer: Customer
) -> AsyncGenerator[Conversation]:
    """Open a conversation about the newest order that fits. `proof`: `reference` or `order_id`, and `email` or
    `postal_code`, as the customer typed them. NotFound."""

    async def ask(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        if await customer(params.message):
            return ElicitResult(action="accept", content={"approve": True})
        return ElicitResult(action="decline")

    token = CustomerToken(url, bearer, proof)
    async with httpx.AsyncClient(timeout=httpx.Timeout(30, read=900)) as http:
        answer = await http.send(token.asking())
        if answer.status_code == 404:
            raise NotFound
        answer.raise_for_status()  # 401, 403: the token of this program has ended, or lacks `customers`
        await token.take(answer)
        http.auth = token
        async with Client(streamable_http_client(url, http_client=http), elicitation_callback=ask) as client:
            yield Conversation(client, model, token.orders[0])


async def two_sentences(said: list[dict[str, Any]], tools: list[dict[str, Any]]) -> str | Use:
    """In place of a language model: "cancel" cancels, anything else looks up; then the result is read out."""
    last = said[-1]
    if last["role"] == "tool":
        result = last["content"]
        if result["outcome"] == "declined":
            return "Then nothing was changed."
        return str(result.get("summary") or "Something went wrong; a colleague will look into it.")
    return Use("kustom_cancel_order" if "cancel" in last["content"].lower() else "kustom_get_order", {})


async def at_the_keyboard(question: str) -> bool:
    """The customer at this terminal."""
    print(f"\n{question}\n")
    return (await asyncio.to_thread(input, "Shall we do this? Type yes: ")).strip().lower() == "yes"


async def main(reference: str, email: str) -> None:
    """Chat at the terminal until the customer says nothing more."""
    url, bearer = os.environ["KUSTOM_MCP_URL"], os.environ["KUSTOM_MCP_TOKEN"]
    proof = {"reference": reference, "email": email}
    try:
        async with conversation(url, bearer, proof, two_sentences, at_the_keyboard) as chat:
            while customer := (await asyncio.to_thread(input, "Customer: ")).strip():
                print(f"Chatbot:  {await chat.answer(customer)}")
    except NotFound:
        print(f"Chatbot:  {NOT_FOUND}")
    except httpx.HTTPError:
        print(f"Chatbot:  {LATER}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
