"""A server process that takes webhooks, and Kustom's side of it: signed events, pushes, and what was read for them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx

from kustom_mcp.simulator.events import SECRET
from tests.support.unhurried import PATIENCE
from tests.transport.kustom import Kustom
from tests.transport.pipe import call
from tests.transport.serving_stdio import Served, serving

PATH = "r4ndom-Path-0123456789-abcdef"
HOOKS = f"/hooks/kustom/{PATH}"
HOOKED = {"KUSTOM_HOOKS_PATH": PATH, "KUSTOM_HOOKS_SECRET": SECRET}
FIND = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "kustom_find_orders",
}


class Ear:
    """The server as its senders and its users meet it."""

    def __init__(self, served: Served, http: httpx.Client) -> None:
        self.served = served
        self.http = http

    def event(self, kind: str, order_id: object, secret: str = SECRET, **more: Any) -> int:
        """The status that a signed webhook gets."""
        return self.post(told(kind, order_id, **more), secret).status_code

    def post(self, body: bytes, secret: str = SECRET) -> httpx.Response:
        return self.http.post(HOOKS, content=body, headers=signed(body, secret))

    def push(self, order_id: str) -> int:
        return self.http.post(HOOKS, params={"order_id": order_id}).status_code

    def find(self, **arguments: Any) -> dict[str, Any]:
        """kustom_find_orders, without reading anything again."""
        asked = call(1, "find_orders", {"min_remaining": 0, "max_age": 10**8, **arguments}, "2026-07-28")
        return self.http.post("/mcp", headers=FIND, json=asked).json()["result"]["structuredContent"]

    @property
    def coverage(self) -> dict[str, Any]:
        return self.find()["coverage"]

    @property
    def complete(self) -> bool:
        return "complete_since" in self.coverage


@contextmanager
def hearing(kustom: Kustom, state: Path, *words: str, **settings: str) -> Generator[Ear]:
    with (
        serving(kustom, state, *words, **{**HOOKED, **settings}) as served,
        httpx.Client(base_url=served.base, timeout=PATIENCE, trust_env=False) as http,
    ):
        yield Ear(served, http)


def told(kind: str, order_id: object, **more: Any) -> bytes:
    """The body of a webhook."""
    return json.dumps({"id": "kevt_1", "type": kind, "data": {"order_id": order_id}, **more}).encode()


def signature(body: bytes, secret: str, name: str, at: object) -> str:
    """The value that Kustom writes in `webhook-signature`, made with nothing of the server's: see test_signature."""
    text = b".".join([name.encode(), str(at).encode(), body])
    digest = hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), text, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def signed(body: bytes, *secrets: str, name: str = "", late: int = 0) -> dict[str, str]:
    """The headers of a webhook that left so many seconds ago, signed with each of the secrets. Equal bodies are one
    event, unless it has a name."""
    at = int(time.time()) - late
    name = name or f"msg_{hashlib.sha256(body).hexdigest()[:22]}"
    signatures = " ".join(signature(body, secret, name, at) for secret in secrets or (SECRET,))
    return {"webhook-id": name, "webhook-timestamp": str(at), "webhook-signature": signatures}


def reads(kustom: Kustom) -> list[str]:
    """The orders that were read, in turn."""
    return [seen["path"].rpartition("/")[2] for seen in kustom.requests]


def until(done: Callable[[], bool]) -> None:
    """Wait until something is so, asking less and less often: each question costs the server as much as an answer."""
    limit, pause = time.monotonic() + PATIENCE, 0.02
    while not done():
        assert time.monotonic() < limit
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
