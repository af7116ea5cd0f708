"""Many callers of one HTTP server: the least client that can keep it busy, so that the server is what is measured.

Each caller has a connection of its own that it keeps, and sends the next request when the last one is answered. Raw
sockets and requests made beforehand; an answer is read to its end and looked at once for success.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
}


@dataclass
class Taken:
    """How long it took: all of it in seconds, and each call in milliseconds."""

    seconds: float
    calls: list[float]


def request(host: str, tool: str, arguments: dict[str, object]) -> bytes:
    """A `tools/call` of the stateless protocol, as bytes."""
    params = {"name": tool, "arguments": arguments, "_meta": META}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
        "accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\n"
        f"mcp-method: tools/call\r\nmcp-name: {tool}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def run(port: int, requests: Sequence[bytes], callers: int) -> Taken:
    """Send all requests, by so many callers at the same time. RuntimeError when an answer is no success."""
    left = iter(requests)
    taken: list[float] = []
    begin = time.perf_counter()
    await asyncio.gather(*(_caller(port, left, taken) for _ in range(callers)))
    return Taken(time.perf_counter() - begin, taken)


async def _caller(port: int, left: object, taken: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    try:
        for asked in left:  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
            begin = time.perf_counter()
            writer.write(asked)  # pyright: ignore[reportUnknownArgumentType]
            body = await _answer(reader)
            taken.append((time.perf_counter() - begin) * 1000)
            if b'"isError":true' in body or b'"result"' not in body:
                raise RuntimeError(body[:500].decode(errors="replace"))
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    """The body of an answer: of a given length, or in chunks."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"\r\ncontent-length:" in head:
        return await reader.readexactly(int(head.split(b"\r\ncontent-length:", 1)[1].split(b"\r\n", 1)[0]))
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body
