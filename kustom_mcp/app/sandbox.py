"""The embedded sandbox: the simulator behind an HTTP transport, without sockets.

Scripted faults are played as a broken line would look to the client: a lost response or a reset is a ReadError, a delay
is waited for and runs into the client's read timeout. A client that leaves while it waits does not stop the effect.
"""

import anyio
import httpx2 as httpx

from kustom_mcp.simulator import demo_orders as seeds
from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.exchange import Hangup, exchange
from kustom_mcp.simulator.wire import Request


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
