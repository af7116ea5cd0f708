"""A scripted network for the client: answers in order, a clock that only moves when somebody sleeps, no randomness."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import httpx2 as httpx
from pydantic import SecretStr

from kustom_mcp.api.client import KustomClient
from kustom_mcp.api.endpoint import Approved
from kustom_mcp.api.retry import RetryBudget

ORDER_ID = "7849fd84-47dc-2919-a7ce-0123456789ab"
CAPTURE_ID = "4ba29b50-be7b-44f5-a492-113e6a865e22"
BASE = "https://api.example.com"
KEY = uuid.UUID("11111111-2222-4333-8444-555555555555")
APPROVED = Approved(KEY, "code")
API_KEY = "kco_test_api_invented"
WALL = 1_700_000_000.0


class Hang:
    """A step that never answers."""


HANG = Hang()

Step = httpx.Response | Exception | Callable[[], httpx.Response] | Hang


class Scripted(httpx.AsyncBaseTransport):
    """Answers requests with the given steps, in order; an exception is raised. Keeps what it was asked."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The next step."""
        await request.aread()
        self.requests.append(request)
        step = self.steps.pop(0)
        while isinstance(step, Hang):
            await anyio.sleep_forever()
        if isinstance(step, Exception):
            raise step
        return step if isinstance(step, httpx.Response) else step()


class World:
    """A client on a scripted network, and everything that happened to it."""

    def __init__(
        self,
        *steps: Step,
        api_key: str | Callable[[], SecretStr] = API_KEY,
        read_only: bool = False,
        budget: float | None = None,
        rand: float = 0.0,
    ) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.network = Scripted(*steps)
        self.client = KustomClient(
            BASE,
            "M1-abc",
            SecretStr(api_key) if isinstance(api_key, str) else api_key,
            transport=self.network,
            read_only=read_only,
            clock=self.clock,
            wall=lambda: WALL,
            sleep=self.sleep,
            rand=lambda: rand,
            budget=None if budget is None else RetryBudget(self.clock, capacity=budget, per_second=0.0),
        )

    @property
    def deadline(self) -> float:
        """45 seconds from the start."""
        return 1045.0

    def clock(self) -> float:
        """The time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds

    @property
    def sent(self) -> list[tuple[str, str, str | None]]:
        """Method, path and idempotency key of each request."""
        return [
            (request.method, request.url.path, request.headers.get("klarna-idempotency-key"))
            for request in self.network.requests
        ]


class Pieces(httpx.AsyncByteStream):
    """A body in pieces; the last may be an exception."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


def order_json(**fields: Any) -> dict[str, Any]:
    """A small order body."""
    return {"order_id": ORDER_ID, "status": "AUTHORIZED", **fields}


def answer(status: int = 200, body: object = None, **headers: str) -> httpx.Response:
    """An answer with a JSON body, or none. Underscores in header names become hyphens."""
    content = b"" if body is None else json.dumps(body).encode()
    return httpx.Response(
        status, headers={name.replace("_", "-"): value for name, value in headers.items()}, stream=Pieces(content)
    )


def cut(status: int) -> httpx.Response:
    """An answer whose body breaks off."""
    return httpx.Response(status, stream=Pieces(b"{", httpx.ReadError("cut")))


def refused(status: int, code: str, *messages: str, correlation_id: str = "c-1") -> httpx.Response:
    """An API error."""
    body = {"error_code": code, "error_messages": list(messages), "correlation_id": correlation_id}
    return answer(status, body)
