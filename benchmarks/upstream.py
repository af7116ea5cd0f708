"""The least HTTP upstream: orders by id and refunds, HTTP/1.1 with keep-alive, answers made once and kept as bytes.

A process of its own, the same for every system, and fast enough not to be what is measured: a protocol on asyncio
without a framework. It trusts its caller, checks nothing, and listens on loopback.

    python -m benchmarks.upstream      prints the port that it listens on
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.orders import order

ROOT = Path(__file__).resolve().parent.parent
ORDERS = "/ordermanagement/v1/orders/"
MARK = "0" * 12
_REFUNDS: dict[str, list[dict[str, Any]]] = {}


@lru_cache(maxsize=1000)
def _halves(kind: str) -> tuple[bytes, bytes]:
    """An order that has no refunds as bytes, cut where its number stands; `kind` is the rest of its id."""
    text = json.dumps(order(kind + MARK, []), separators=(",", ":")).encode()
    head, tail = text.split((kind + MARK).encode())
    return head, tail


def _answer(status: str, body: bytes, more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{more}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def respond(method: str, path: str, body: bytes) -> bytes:
    """The whole answer to a request."""
    asked, _, rest = path.removeprefix(ORDERS).partition("/")
    if method == "GET" and not rest:
        refunds = _REFUNDS.get(asked)
        if refunds:
            return _answer("200 OK", json.dumps(order(asked, refunds), separators=(",", ":")).encode())
        head, tail = _halves(asked[: -len(MARK)])
        return _answer("200 OK", head + asked.encode() + tail)
    if method == "POST" and rest == "refunds":
        made = _REFUNDS.setdefault(asked, [])
        refund = f"{len(made) + 1:08d}-0000-4000-8000-{MARK}"
        made.append({"refund_id": refund, "refunded_at": "2026-11-23T09:00:00.000Z", **json.loads(body)})
        return _answer("201 Created", b"", f"refund-id: {refund}\r\nlocation: {path}/{refund}\r\n")
    return _answer("404 Not Found", b"{}")


class Connection(asyncio.Protocol):
    """One connection: requests one after the other, each answered at once."""

    def __init__(self) -> None:
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pending += data
        while (end := self._pending.find(b"\r\n\r\n")) >= 0:
            head = self._pending[:end].decode("latin-1")
            _, found, length = head.lower().partition("\r\ncontent-length:")
            total = end + 4 + (int(length.split("\r\n", 1)[0]) if found else 0)
            if len(self._pending) < total:
                return
            body, self._pending = self._pending[end + 4 : total], self._pending[total:]
            method, path, _ = head.split(" ", 2)
            self._transport.write(respond(method, path, body))


async def main() -> None:
    """Listen on any free port until stdin ends, which it does when the process that started this one is gone."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


@contextmanager
def running() -> Generator[str]:
    """The base URL of an upstream in its own process, for as long as the block lasts."""
    command = [sys.executable, "-m", "benchmarks.upstream"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


def path_of(asked: str) -> str:
    """The path of an order."""
    return ORDERS + asked


if __name__ == "__main__":
    asyncio.run(main())
