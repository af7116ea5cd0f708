"""Send one request once: what is sent, how long it may take, and the result as a value.

Sending never raises for what the network or the other side does; it ends in an `AttemptResult`, whose class is decided
by the status as soon as one has arrived. A body that is then too long, cut off, compressed or slow can spoil a read,
but not the news that a write was applied. Only cancellation passes through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import anyio
import httpx2 as httpx

from kustom_mcp.api import outcome
from kustom_mcp.api.outcome import Outcome
from kustom_mcp.api.retry import parse_retry_after

MAX_BODY: Final = 8 * 1024 * 1024
CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0
POOL_SECONDS: Final = 10.0
LEFTOVER_SECONDS: Final = 1.0
"""Seconds to wait for a body when the outcome is known without it, so that the connection can be used again."""


@dataclass(frozen=True)
class PreparedRequest:
    """A request in full, to be sent as often as needed. `content` None means no body. `template` is its path with the
    placeholders, for logs and metrics, which may not hold the ids."""

    method: str
    url: httpx.URL
    template: str
    headers: dict[str, str] = field(repr=False)
    content: bytes | None = field(repr=False, default=None)


@dataclass(frozen=True)
class AttemptResult:
    """The result of sending a request once.

    `cause` names the event in one word. `status` is None when no answer began. `flaw` is the reason why the body of a
    2xx is not to be read: "too_large", "content_encoding", or None.
    """

    outcome: Outcome
    cause: str
    status: int | None = None
    headers: httpx.Headers = field(default_factory=httpx.Headers, repr=False)
    body: bytes = field(default=b"", repr=False)
    flaw: str | None = None
    retry_after: float | None = None

    @property
    def error(self) -> str | None:
        """The class of error, in one word or a status; None when all is well."""
        if self.outcome is Outcome.APPLIED:
            return None
        return str(self.status) if self.cause == "status" else self.cause


@dataclass
class _Exchange:
    """The facts known so far; kept outside the time limit, so that running out of time loses nothing."""

    status: int | None = None
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    body: bytes | None = None
    flaw: str | None = None
    error: Exception | None = None


async def send_once(
    http: httpx.AsyncClient, request: PreparedRequest, *, seconds: float, wall: Callable[[], float]
) -> AttemptResult:
    """Send a request once, within `seconds` in all. `wall` tells the time of day, for a Retry-After date."""
    exchange = _Exchange()
    with anyio.move_on_after(seconds):
        try:
            await _converse(http, request, seconds, exchange)
        except Exception as error:  # whatever it is, it happened while sending: the tables say what that proves
            exchange.error = error
    return _concluded(exchange, reading=request.method == "GET", wall=wall)


async def _converse(http: httpx.AsyncClient, request: PreparedRequest, seconds: float, exchange: _Exchange) -> None:
    # Waiting for a connection, dialling and the handshake fit into the time together: so a connection that takes too
    # long is ended by the library, which closes it and says that nothing was sent, and not by our own limit.
    making = seconds / 3
    timeout = httpx.Timeout(
        connect=min(CONNECT_SECONDS, making),
        read=min(READ_SECONDS, seconds),
        write=min(READ_SECONDS, seconds),
        pool=min(POOL_SECONDS, making),
    )
    async with http.stream(
        request.method,
        request.url,
        headers=request.headers,
        content=request.content,
        timeout=timeout,
    ) as response:
        exchange.status, exchange.headers = response.status_code, response.headers
        wanted = request.method == "GET" and response.is_success
        with anyio.move_on_after(seconds if wanted else LEFTOVER_SECONDS):
            await _read_body(response, exchange)


async def _read_body(response: httpx.Response, exchange: _Exchange) -> None:
    """Read the raw bytes, capped. Nothing is decoded: we asked for identity, and a body that inflates is not that."""
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        exchange.flaw = "content_encoding"
        return
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BODY:
            exchange.flaw = "too_large"
            return
    exchange.body = bytes(body)


def _concluded(exchange: _Exchange, *, reading: bool, wall: Callable[[], float]) -> AttemptResult:
    if exchange.status is None:
        if exchange.error is not None:
            return AttemptResult(outcome.of_exception(exchange.error), type(exchange.error).__name__)
        return AttemptResult(Outcome.AMBIGUOUS, "deadline")
    result = outcome.of_status(exchange.status)
    cause = type(exchange.error).__name__ if exchange.error else "status"
    if reading and result is Outcome.APPLIED and exchange.body is None and exchange.flaw is None:
        # A read without its body is worth nothing, and may be asked again.
        result, cause = Outcome.AMBIGUOUS, cause if exchange.error else "deadline"
    return AttemptResult(
        outcome=result,
        cause=cause,
        status=exchange.status,
        headers=exchange.headers,
        body=exchange.body or b"",
        flaw=exchange.flaw,
        retry_after=parse_retry_after(exchange.headers.get("retry-after"), wall()),
    )
