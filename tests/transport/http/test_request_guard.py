"""The guard: what is let in, byte for byte and second for second, and what is said to what is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from kustom_mcp.transport.http.request_guard import RequestGuard
from tests.support.unhurried import PATIENCE

HOST = (b"host", b"mcp.example:8443")
ORIGIN = (b"origin", b"https://chat.example")


@dataclass
class Inside:
    """The app behind the guard: reads the body and says how long it was."""

    bodies: list[bytes] = field(default_factory=list[bytes])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"in"})


async def knock(
    headers: Sequence[tuple[bytes, bytes]], parts: Sequence[bytes] = (b"",), *, stops: bool = False, **limits: Any
) -> tuple[int, str, list[bytes]]:
    """Send a request through a guard; status, text, and the bodies that came through. `stops`: the body never ends."""
    inside, said = Inside(), dict[str, Any]()

    async def messages() -> AsyncIterator[Any]:
        for number, part in enumerate(parts, start=1):
            yield {"type": "http.request", "body": part, "more_body": stops or number < len(parts)}
        await anyio.sleep_forever()

    coming = messages()

    async def send(message: Any) -> None:
        said.setdefault("status", message.get("status"))
        said["text"] = message.get("body", b"").decode()

    guard = RequestGuard(
        inside, hosts=frozenset({"mcp.example:8443"}), origins=frozenset({"https://chat.example"}), **limits
    )
    with anyio.fail_after(PATIENCE):
        await guard({"type": "http", "headers": list(headers)}, lambda: anext(coming), send)
    return said["status"], said["text"].strip(), inside.bodies


@pytest.mark.parametrize(
    "headers", [[HOST], [HOST, ORIGIN], [(b"host", b"MCP.Example:8443")], [HOST, (b"origin", b"HTTPS://chat.example")]]
)
async def test_a_listed_host_and_origin_are_let_in(headers: list[tuple[bytes, bytes]]) -> None:
    assert await knock(headers, [b"ab", b"c"]) == (200, "in", [b"abc"])


HOSTS = [
    b"mcp.example",
    b"mcp.example:8443.evil.example",
    b"mcp.example:84430",
    b"mcp.example:8443@evil.example",
    b"evil.example",
    b"",
    b"mcp.example:8443,evil.example",
    "mcp。example:8443".encode(),
]


@pytest.mark.parametrize("headers", [[], [HOST, HOST], *[[(b"host", host)] for host in HOSTS]])
async def test_any_other_host_is_misdirected(headers: list[tuple[bytes, bytes]]) -> None:
    status, text, bodies = await knock(headers)
    assert (status, bodies) == (421, [])
    assert "KUSTOM_HTTP_HOSTS" in text
    assert "evil" not in text


ORIGINS = [b"null", b"https://chat.example.evil.example", b"http://chat.example", b"https://chat.example:8443", b""]


@pytest.mark.parametrize("origins", [[ORIGIN, ORIGIN], *[[(b"origin", origin)] for origin in ORIGINS]])
async def test_any_other_origin_is_refused(origins: list[tuple[bytes, bytes]]) -> None:
    status, text, bodies = await knock([HOST, *origins])
    assert (status, bodies) == (403, [])
    assert "KUSTOM_HTTP_ORIGINS" in text
    assert "evil" not in text


async def test_a_body_may_have_exactly_the_limit() -> None:
    assert await knock([HOST], [b"12345", b"67890"], body_bytes=10) == (200, "in", [b"1234567890"])
    assert (await knock([HOST], [b"12345", b"678901"], body_bytes=10))[::2] == (413, [])
    assert (await knock([HOST], [b"12345678901"], body_bytes=10))[::2] == (413, [])


@pytest.mark.parametrize(
    ("length", "status"), [(b"10", 200), (b"11", 413), (b"9" * 30, 413), (b"-1", 400), (b"x", 400)]
)
async def test_a_length_that_is_announced_is_believed_when_it_is_too_large(length: bytes, status: int) -> None:
    assert (await knock([HOST, (b"content-length", length)], body_bytes=10))[0] == status


async def test_a_body_that_never_ends_does_not_hold_a_connection() -> None:
    status, text, bodies = await knock([HOST], [b"1", b"2"], stops=True, body_seconds=0.05)
    assert (status, text, bodies) == (408, "The body of the request took too long.", [])


async def test_waiting_for_a_client_to_leave_is_not_timed() -> None:
    """Receive, after the body, the end of the connection, minutes later."""
    left = list[str]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        left.append((await receive())["type"])

    async def receive() -> Any:
        if not left:
            left.append("body")
            return {"type": "http.request", "body": b""}
        await anyio.sleep(0.1)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError(message)

    guard = RequestGuard(app, hosts=frozenset({"mcp.example:8443"}), origins=frozenset[str](), body_seconds=0.02)
    await guard({"type": "http", "headers": [HOST]}, receive, send)
    assert left == ["body", "http.disconnect"]
