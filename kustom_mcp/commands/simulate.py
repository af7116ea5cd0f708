"""`kustom-mcp simulate`: the sandbox alone, as an HTTP server on loopback.

The one line on stdout is for programs that start it and wait for the port; what a person needs goes to stderr.
"""

import asyncio
import os
import signal
import sys

from kustom_mcp.simulator.app import API_KEY, Simulator
from kustom_mcp.simulator.seeds import demo_orders
from kustom_mcp.simulator.serve import serve

DEFAULT_PORT = 8090
HOST = "127.0.0.1"


async def simulate(port: int, orders: int = 0) -> None:
    """Serve until SIGINT or SIGTERM. Port 0 takes any free one. Raises OSError where the port cannot be had."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows: the loop cannot be told, the interpreter can
            signal.signal(number, lambda _number, _frame: loop.call_soon_threadsafe(stop.set))
    serving = asyncio.create_task(serve(crowded(orders), HOST, port, _announce))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    serving.cancel()
    try:
        await serving
    except asyncio.CancelledError:
        return


def crowded(orders: int) -> Simulator:
    """A simulator with its demo orders, and so many more."""
    from kustom_mcp.simulator.crowd import invented_orders

    return Simulator(seeds=(*demo_orders(), *invented_orders(orders)))


def run(port: int = DEFAULT_PORT, orders: int = 0) -> int:
    """The command: exit code 0 after a signal, 2 with one line on stderr where the port cannot be had."""
    try:
        asyncio.run(simulate(port, orders))
    except (OSError, OverflowError) as problem:
        code = getattr(problem, "errno", None)
        reason = os.strerror(code) if code else str(problem)
        print(f"kustom-mcp: --port {port}: {reason}", file=sys.stderr)
        return 2
    return 0


def _announce(port: int) -> None:
    url = f"http://{HOST}:{port}"
    print(f"listening on {url}", flush=True)
    settings = f"KUSTOM_ENVIRONMENT=playground KUSTOM_API_URL={url} KUSTOM_USERNAME=demo KUSTOM_API_KEY={API_KEY}"
    print(f"use it with {settings}", file=sys.stderr, flush=True)
