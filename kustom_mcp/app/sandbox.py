"""The embedded sandbox: the simulator behind an HTTP transport, without sockets.

Scripted faults are played as a broken line would look to the client: a lost response or a reset is a ReadError, a delay
is waited for and runs into the client's read timeout. A client that leaves while it waits does not stop the effect.
"""

import contextlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

import anyio
import httpx2 as httpx

from kustom_mcp.simulator import demo_orders as seeds
from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.exchange import Hangup, exchange
from kustom_mcp.simulator.wire import Request

_NAMING = frozenset({"order_id", "order_ids", "reference"})
"""Arguments that name an order."""


class SandboxTransport(httpx.AsyncBaseTransport):
    """A transport that asks the simulator instead of a network."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer in process, with httpx's errors for a broken connection or a read that takes too long."""
        body = await request.aread()
        target = request.url.raw_path.decode("ascii")
        read_timeout: float | None = request.extensions.get("timeout", {}).get("read")

        async def sleep(seconds: float) -> None:
            await anyio.sleep(seconds if read_timeout is None else min(seconds, read_timeout))
            if read_timeout is not None and seconds > read_timeout:
                raise httpx.ReadTimeout("The sandbox took too long.", request=request)

        outcome = await exchange(self.simulator, Request(request.method, target, dict(request.headers), body), sleep)
        if isinstance(outcome, Hangup):
            raise httpx.ReadError("The sandbox closed the connection.", request=request)
        # As a stream, like a network would give it: a body given whole counts as read already.
        stream = httpx.ByteStream(outcome.body)
        return httpx.Response(outcome.status, headers=dict(outcome.headers), stream=stream, request=request)


def demo_orders() -> list[tuple[str, str, str, str]]:
    """List the orders that a sandbox starts with: the id, name, status and story of each."""
    return [(seed.order_id, seed.name, seed.status, seed.story) for seed in seeds.demo_orders()]


def ids_for_names(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's arguments with the id of each demo order that they name, as a person types it: captured-sek."""
    return {name: _ids_for_names(value) if name in _NAMING else value for name, value in given.items()}


def _ids_for_names(value: Any) -> Any:
    if isinstance(value, list):
        return [_ids_for_names(item) for item in cast("list[Any]", value)]
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):  # a list that a host sent as a text
        with contextlib.suppress(ValueError, RecursionError):
            return _ids_for_names(json.loads(value))
    return id_for_name(value)


def id_for_name(text: str) -> str:
    """Return the id of the demo order of this name, or the text as it is."""
    return _ids().get(text.strip().lower(), text)


@cache
def _ids() -> dict[str, str]:
    return {name: order_id for order_id, name, *_ in demo_orders()}


def simulator_of(shop: str) -> Simulator:
    """Return the sandbox of one of several shops: orders of its own, in its own currency."""
    from kustom_mcp.simulator.shops import orders_of

    return Simulator(seeds=orders_of(shop))
