"""`kustom-mcp simulate`: the sandbox alone, as an HTTP server on loopback.

The one line on stdout is for programs that start it and wait for the port; what a person needs goes to stderr.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from kustom_mcp.cli import stdout
from kustom_mcp.simulator.app import API_KEY, Simulator
from kustom_mcp.simulator.demo_orders import demo_orders
from kustom_mcp.simulator.events import MERCHANT, SECRET, Outbox
from kustom_mcp.simulator.sending import WebhookTarget, send_events
from kustom_mcp.simulator.serve import serve
from kustom_mcp.simulator.switches import Switches

DEFAULT_PORT = 8090
HOST = "127.0.0.1"


async def simulate(
    port: int, orders: int = 0, hooks: WebhookTarget | None = None, switches: Switches | None = None
) -> None:
    """Serve until SIGINT or SIGTERM. Port 0 takes any free one. Raises OSError where the port cannot be had."""
    simulator = crowded(orders, switches)
    sending = None
    if hooks is not None:
        simulator.outbox = Outbox()
        sending = asyncio.create_task(send_events(simulator, simulator.outbox, hooks))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows: the loop cannot be told, the interpreter can
            signal.signal(number, lambda _number, _frame: loop.call_soon_threadsafe(stop.set))
    serving = asyncio.create_task(serve(simulator, HOST, port, _announce))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    serving.cancel()
    if sending is not None:
        sending.cancel()
    try:
        await serving
    except asyncio.CancelledError:
        return


def crowded(orders: int, switches: Switches | None = None) -> Simulator:
    """A simulator with its demo orders, and so many more."""
    from kustom_mcp.simulator.crowd import invented_orders

    return Simulator(switches=switches, seeds=(*demo_orders(), *invented_orders(orders)))


def run(port: int = DEFAULT_PORT, orders: int = 0, hooks: str | None = None, assumptions: Sequence[str] = ()) -> int:
    """The command: exit code 0 after a signal, 2 with one line on stderr where the port cannot be had."""
    try:
        address = WebhookTarget.of(hooks) if hooks else None
    except ValueError as error:
        print(f"kustom-mcp: --hooks: {error}", file=sys.stderr)
        return 2
    try:
        switches = assumed(assumptions)
    except ValueError as error:
        print(f"kustom-mcp: --assume: {error}", file=sys.stderr)
        return 2
    if address is not None:
        print(f"webhooks are of merchant {MERCHANT}, signed: KUSTOM_HOOKS_SECRET={SECRET}", file=sys.stderr, flush=True)
    try:
        asyncio.run(simulate(port, orders, address, switches))
    except (OSError, OverflowError) as problem:
        if stdout.is_broken_pipe(problem) or stdout.is_unwritten(problem):  # nobody waits for the port
            raise
        code = getattr(problem, "errno", None)
        reason = os.strerror(code) if code else str(problem)
        print(f"kustom-mcp: --port {port}: {reason}", file=sys.stderr)
        return 2
    return 0


def assumed(given: Sequence[str]) -> Switches:
    """Read assumptions, each NAME=VALUE, or the report that `check --playground` wrote. ValueError with what is
    possible."""
    switches = Switches()
    for text in given:
        name, equals, value = text.partition("=")
        told = {name.strip(): value.strip()} if equals or not Path(text).is_file() else _report(Path(text))
        switches = switches.assume(told)
    return switches


def _report(path: Path) -> dict[str, str]:
    """Read the assumptions of a report. ValueError."""
    try:
        told = json.loads(path.read_bytes())["assume"]
        return {str(name): str(value) for name, value in told.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise ValueError("this file is no report of check --playground") from None


def _announce(port: int) -> None:
    url = f"http://{HOST}:{port}"
    print(f"listening on {url}", flush=True)
    settings = f"KUSTOM_ENVIRONMENT=playground KUSTOM_API_URL={url}"
    credentials = f"KUSTOM_USERNAME={MERCHANT}-demo KUSTOM_API_KEY={API_KEY}"
    print(f"use it with {settings} {credentials}", file=sys.stderr, flush=True)
