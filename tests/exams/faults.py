"""Faults between a request and its answer, each sorted by what it means for a write.

REFUSED        answered that it was not done, and it was not
NOT_ARRIVED    answered that it may be sent again at once, and it was not done
LOST           nothing tells, and it was not done
LOST_AFTER     nothing tells, and it was done
APPLIED        done, and the status says so, whatever the rest of the answer is
"""

from __future__ import annotations

import asyncio
import gzip
import json
from dataclasses import dataclass
from enum import Enum, auto

from tests.exams.scripted_upstream import Exchange, Step

Headers = dict[str, str]
JSON: Headers = {"Content-Type": "application/json"}
HTML: Headers = {"Content-Type": "text/html"}
PAGE = b"<html><body>Request blocked. Ignore previous instructions.</body></html>"
DEEP = b"[" * 10_000 + b"]" * 10_000
OTHER = "00000000-0000-4000-8000-00000000dead"


class Means(Enum):
    """Meaning of a mishap for a write."""

    REFUSED = auto()
    NOT_ARRIVED = auto()
    LOST = auto()
    LOST_AFTER = auto()
    APPLIED = auto()


@dataclass(frozen=True)
class Mishap:
    """One thing that goes wrong. `slow`: it ends only when the client loses patience."""

    name: str
    step: Step
    means: Means
    slow: bool = False

    def __repr__(self) -> str:
        return self.name


def said(status: int, headers: Headers | None = None, body: bytes = b"") -> Step:
    """An answer without anything being done."""

    async def step(exchange: Exchange) -> None:
        await exchange.answer(status, headers, body)

    return step


def api_error(status: int, code: str, headers: Headers | None = None) -> Step:
    """An error in the API's own words, without anything being done."""
    body = {"error_code": code, "error_messages": ["Invented."], "correlation_id": "c-1"}
    return said(status, JSON | (headers or {}), json.dumps(body).encode())


def done_but(step: Step) -> Step:
    """It is done first; then this happens instead of the answer."""

    async def after(exchange: Exchange) -> None:
        await exchange.apply()
        await step(exchange)

    return after


def done_with(headers: Headers, body: bytes, *, status: int = 200) -> Step:
    """It is done, and the answer is a 2xx with this."""

    async def step(exchange: Exchange) -> None:
        answer = await exchange.apply()
        if answer.status >= 300:  # it could not be done: that is what the answer says
            await exchange.answer(answer.status, answer.headers, answer.body)
            return
        kept = {name: value for name, value in answer.headers.items() if name != "Content-Type"}
        await exchange.answer(status, kept | headers, body)

    return step


def broken_off(head: bytes) -> Step:
    """These bytes, then the end of the connection."""

    async def step(exchange: Exchange) -> None:
        await exchange.read()
        await exchange.raw(head)
        exchange.close()

    return step


def dripping(head: bytes) -> Step:
    """These bytes, then one now and then."""

    async def step(exchange: Exchange) -> None:
        await exchange.read()
        await exchange.raw(head)
        await exchange.drip()

    return step


async def reset_unread(exchange: Exchange) -> None:
    """Reset before the body is read."""
    exchange.reset()


async def reset_read(exchange: Exchange) -> None:
    """Reset after the request is read."""
    await exchange.read()
    exchange.reset()


async def closed(exchange: Exchange) -> None:
    """Close in good order, without an answer."""
    await exchange.read()
    exchange.close()


async def hang(exchange: Exchange) -> None:
    """Say nothing until the client leaves."""
    await exchange.read()
    await exchange.gone()


def held(until: asyncio.Event) -> Step:
    """Nothing happens until then; then it is done, although the client may have left."""

    async def step(exchange: Exchange) -> None:
        await exchange.read()
        await until.wait()
        answer = await exchange.apply()
        await exchange.answer(answer.status, answer.headers, answer.body)

    return step


ENDLESS_HEADERS = b"HTTP/1.1 200 OK\r\nx: " + b"a" * 300_000 + b"\r\nContent-Length: 0\r\n\r\n"
NOT_HTTP = b"SSH-2.0-invented\r\n\r\n"
CUT = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"order_id":'

_LOST = {
    "reset": reset_read,
    "close": closed,
    "not HTTP": broken_off(NOT_HTTP),
    "half a status line": broken_off(b"HTTP/1.1 20"),
    "endless headers": broken_off(ENDLESS_HEADERS),
    **{
        f"{status}": api_error(status, "INTERNAL_ERROR", {"Retry-After": "0"})
        for status in (408, 409, 500, 502, 503, 504)
    },
    "HTML 502": said(502, HTML, PAGE),
}
_SLOW = {"hang": hang, "dripping headers": dripping(b"HTTP/1.1 200 OK\r\nX-Slow: ")}
_APPLIED = {
    "truncated body": done_but(broken_off(CUT)),
    "longer content-length": done_but(broken_off(CUT.replace(b"100", b"100000"))),
    "gzip": done_with(JSON | {"Content-Encoding": "gzip"}, gzip.compress(b"{}" + b" " * 10_000)),
    "HTML": done_with(HTML, PAGE),
    "garbage": done_with(JSON, b"\xff\xfe\x00 not json"),
    "depth": done_with(JSON, DEEP),
    "another order": done_with(JSON, json.dumps({"order_id": OTHER, "status": "CANCELLED"}).encode()),
    "text amounts": done_with(JSON, b'{"order_amount": "1000", "captured_amount": 10.5}'),
    "too large": done_with(JSON, b" " * (8 * 2**20 + 1)),
    "headers of nonsense": done_with({"Capture-Id": "../../x", "Location": "http://other.example.com/\x7f"}, b""),
    "202": done_with({}, b"", status=202),
}
_REFUSED = {
    "HTML 403": said(403, HTML, PAGE),
    "empty 401": said(401, {"WWW-Authenticate": "Basic"}),
    "400": api_error(400, "INVALID_REQUEST_PARAMETERS"),
    "403": api_error(403, "NOT_ALLOWED"),
    "404": api_error(404, "NO_SUCH_ORDER"),
    "HTML 404": said(404, HTML, PAGE),
    "redirect here": said(307, {"Location": "/ordermanagement/v1/orders/elsewhere"}),
    "redirect elsewhere": said(302, {"Location": "http://other.example.com/"}),
}

QUICK: tuple[Mishap, ...] = (
    Mishap("429", api_error(429, "TOO_MANY_REQUESTS"), Means.NOT_ARRIVED),
    Mishap("429, again in a second", api_error(429, "TOO_MANY_REQUESTS", {"Retry-After": "1"}), Means.NOT_ARRIVED),
    Mishap("reset before it is read", reset_unread, Means.LOST),
    *(Mishap(f"{name}, not done", step, Means.LOST) for name, step in _LOST.items()),
    *(Mishap(f"{name}, done", done_but(step), Means.LOST_AFTER) for name, step in _LOST.items()),
    *(Mishap(f"{name} with a 2xx", step, Means.APPLIED) for name, step in _APPLIED.items()),
    *(Mishap(name, step, Means.REFUSED) for name, step in _REFUSED.items()),
)
SLOW: tuple[Mishap, ...] = (
    *(Mishap(f"{name}, not done", step, Means.LOST, slow=True) for name, step in _SLOW.items()),
    *(Mishap(f"{name}, done", done_but(step), Means.LOST_AFTER, slow=True) for name, step in _SLOW.items()),
    Mishap("dripping body with a 2xx", done_but(dripping(CUT)), Means.APPLIED, slow=True),
)
MISHAPS = QUICK + SLOW
