"""The back end of a chatbot, which asks a real server over HTTP for customer tokens, and uses them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx

from kustom_mcp.simulator.app import Simulator
from tests.support.advice import Listed
from tests.transport.oauth.serving_with_tokens import Served, bound, serving
from tests.transport.pipe import call, request


@dataclass
class Bot:
    """The back end of a chatbot, and the server that it calls."""

    served: Served
    simulator: Simulator
    http: httpx.AsyncClient

    def __post_init__(self) -> None:
        self._listed = Listed(self._tools)
        self._of_customers: set[str] = set()

    async def prove(self, bearer: str, /, content: str | None = None, **body: Any) -> httpx.Response:
        """Ask for a customer token."""
        headers = {"authorization": f"Bearer {bearer}"}
        text = json.dumps(body) if content is None else content
        answer = await self.http.post("/customer-tokens", headers=headers, content=text)
        if answer.status_code == 200:
            self._of_customers.add(answer.json()["access_token"])
        return answer

    async def use(self, bearer: str, tool: str, **arguments: Any) -> Any:
        """Call a tool; its structured content."""
        params = call(1, tool, arguments)["params"]
        headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2026-07-28"}
        headers |= {"mcp-method": "tools/call", "mcp-name": params["name"], "authorization": f"Bearer {bearer}"}
        answer = await self.http.post("/mcp", headers=headers, json=request(1, "tools/call", params, "2026-07-28"))
        assert answer.status_code == 200, answer.text
        content = _result(answer)["structuredContent"]
        await self._listed.hold(bearer, params["name"], content, customer=bearer in self._of_customers)
        return content

    async def tools(self, bearer: str) -> set[str]:
        """The tools that are listed."""
        return {tool["name"] for tool in await self._tools(bearer)}

    async def _tools(self, bearer: str) -> Any:
        headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2026-07-28"}
        headers |= {"mcp-method": "tools/list", "authorization": f"Bearer {bearer}"}
        answer = await self.http.post("/mcp", headers=headers, json=request(1, "tools/list", {}, "2026-07-28"))
        return _result(answer)["tools"]

    @property
    def journal(self) -> list[dict[str, Any]]:
        """The answers in the journal."""
        return [line for line in self.served.app.audit.memory if line["event"] == "customer_token"]

    @property
    def why(self) -> list[str]:
        """The reason of each answer in the journal."""
        return [str(line.get("why", line["outcome"])) for line in self.journal]


def _result(answer: httpx.Response) -> Any:
    """The result in an answer, which comes as JSON or as a stream of one event."""
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    return json.loads(lines[0] if lines else answer.text)["result"]


@asynccontextmanager
async def chatbot(people: str, **environ: str) -> AsyncGenerator[Bot]:
    """A server with this people file, and somebody who calls it."""
    async with serving(bound(), KUSTOM_PEOPLE_FILE=people, **environ) as served:
        url = served.url.removesuffix("/mcp")
        assert served.app.simulator is not None
        async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False, verify=False) as http:
            yield Bot(served, served.app.simulator, http)


def of(email: str, code: str) -> dict[str, Any]:
    """The addresses of an order."""
    return {name: {"email": email, "postal_code": code} for name in ("billing_address", "shipping_address")}
