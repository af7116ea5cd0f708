"""Webhooks taken over HTTP: how many a minute, whether each hint is kept, and what a badly signed one costs.

    python -m benchmarks.webhooks --events 2000 --senders 8

`serve --http` and the sandbox are processes of their own. Every event names another order and is signed beforehand;
then all are sent, by so many senders at the same time. A hint is lost where the server answered 2xx and its store does
not have the order. The orders are unknown to the sandbox, so that reading them in the background is part of it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from standardwebhooks import Webhook

from benchmarks.served import free_port, simulated, started
from kustom_mcp.book.sqlite import SqliteBook
from kustom_mcp.simulator.events import SECRET
from kustom_mcp.transport.webhooks.signature import signed_id

PATH = "r4ndom-Path-0123456789-abcdef"
OTHER = "whsec_" + "B" * 32


def event(order_id: str, secret: str) -> tuple[bytes, dict[str, str]]:
    """The body and the signature headers of a webhook about this order."""
    name, at = f"kevt_{uuid.uuid4().hex[:22]}", str(int(time.time()))
    body = json.dumps({"id": name, "type": "order.created", "data": {"order_id": order_id}}).encode()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, b".".join([name.encode(), at.encode(), body]), hashlib.sha256)
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return body, {"webhook-id": name, "webhook-timestamp": at, "webhook-signature": signature}


def request(port: int, order_id: str, secret: str = SECRET) -> bytes:
    """The same as the bytes of an HTTP request."""
    body, headers = event(order_id, secret)
    fields = {"host": f"127.0.0.1:{port}", "content-length": str(len(body))} | headers
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST /hooks/kustom/{PATH} HTTP/1.1\r\n{head}\r\n".encode() + body


async def send(port: int, requests: list[bytes], senders: int, expected: int) -> tuple[float, float]:
    """Send all, and return the seconds that it took, and the longest wait for an answer in milliseconds."""
    left, waits = iter(requests), list[float]()
    begin = time.perf_counter()
    await asyncio.gather(*(_sender(port, left, waits, expected) for _ in range(senders)))
    return time.perf_counter() - begin, max(waits)


async def _sender(port: int, left: Iterator[bytes], waits: list[float], expected: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for asked in left:
        begin = time.perf_counter()
        writer.write(asked)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))
        waits.append((time.perf_counter() - begin) * 1000)
        if int(head.split(b" ", 2)[1]) != expected:
            raise RuntimeError(f"{head.splitlines()[0]!r} instead of {expected}")
    writer.close()


def kept(state: Path) -> set[str]:
    """The orders that the server's store has been told of."""
    book = SqliteBook(state / "book" / "book.sqlite3")
    try:
        return {str(row[0]) for row in book.read(lambda tx: tx.rows("SELECT order_id FROM book_hints"))}
    finally:
        book.close()


def refusal(rounds: int) -> float:
    """The processor time of telling that a signature is wrong, in microseconds."""
    body, headers = event(str(uuid.uuid4()), OTHER)
    secrets = [Webhook(SECRET), Webhook("whsec_" + "C" * 32)]
    begin = time.process_time()
    for _ in range(rounds):
        assert signed_id(body, headers.items(), secrets) is None
    return (time.process_time() - begin) / rounds * 1_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--senders", type=int, default=8)
    given = parser.parse_args()
    port, orders = free_port(), [str(uuid.uuid4()) for _ in range(given.events)]
    with tempfile.TemporaryDirectory() as folder, simulated() as (url, _):
        state = Path(folder)
        settings = {
            "KUSTOM_ENVIRONMENT": "playground",
            "KUSTOM_API_URL": url,
            "KUSTOM_API_KEY": "kco_test_api_sandbox",
            "KUSTOM_STATE_DIR": folder,
            "KUSTOM_HOOKS_PATH": PATH,
            "KUSTOM_HOOKS_SECRET": SECRET,
        }
        serve = [sys.executable, "-m", "kustom_mcp", "serve", "--http", "--port", str(port)]
        with started("kustom-mcp", "", serve, settings, port):
            good = [request(port, order_id) for order_id in orders]
            seconds, longest = asyncio.run(send(port, good, given.senders, 200))
            lost = set(orders) - kept(state)
            bad = [request(port, order_id, OTHER) for order_id in orders]
            refused, _ = asyncio.run(send(port, bad, given.senders, 401))
    print(f"{given.events} signed webhooks in {seconds:.1f} s: {given.events / seconds * 60:,.0f} a minute")
    print(f"longest answer {longest:.0f} ms, load {os.getloadavg()[0]:.1f}, lost hints: {len(lost)}")
    print(f"badly signed: {refused / given.events * 1000:.2f} ms each over HTTP, {refusal(2000):.0f} us to tell")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
