"""`kustom-mcp demo`: a guided tour for people who have just met this server.

Nothing is staged: a client of the official SDK starts this server as a process of its own, as a host does, and talks
to it over stdio; the server talks to the embedded sandbox. The environment of that process is a clean one, so that the
demo is the same for everybody and a user's credentials are never in it. An answer that is not the expected one ends
the demo with exit code 1.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import anyio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from kustom_mcp.cli import stdout
from kustom_mcp.cli.demo import tour
from kustom_mcp.cli.demo.tour import Guide, Person, Tally, Unexpected
from kustom_mcp.cli.demo.transcript import Transcript
from kustom_mcp.cli.install.hosts import HOSTS
from kustom_mcp.cli.program import shown

DEADLINE_SECONDS = 120
PROBLEM = 1


def run(command: Sequence[str] | None = None) -> int:
    """Print the tour. 0 when every answer was the expected one, otherwise 1 and one line on stderr.

    `command` starts another server than this one.
    """
    # The SDK logs a broken server's traceback; what matters of it is in our own line.
    logging.getLogger("mcp").addHandler(logging.NullHandler())
    seen = Tally()
    try:
        anyio.run(_tour, _server(command or [sys.executable, "-m", "kustom_mcp"]), seen)
    except KeyboardInterrupt:
        return PROBLEM
    except Exception as problem:
        if stdout.is_unwritten(problem):
            raise
        sys.stdout.flush()
        where = f'in scene "{seen.scene}"' if seen.scene else "at the start"
        print(f"kustom-mcp: the demo stopped {where}: {_reason(problem)}", file=sys.stderr)
        return PROBLEM
    return 0


def _server(command: Sequence[str]) -> StdioServerParameters:
    """The command that starts the server: the SDK passes on only what a process needs (PATH, HOME, SYSTEMROOT, ...)."""
    env = {"KUSTOM_ENVIRONMENT": "sandbox"}
    if "PYTHONPATH" in os.environ:  # where this very package may have come from
        env["PYTHONPATH"] = os.environ["PYTHONPATH"]
    return StdioServerParameters(command=command[0], args=list(command[1:]), env=env)


async def _tour(server: StdioServerParameters, seen: Tally) -> None:
    with anyio.fail_after(DEADLINE_SECONDS):
        page = Transcript()
        person = Person(page, seen)
        async with Client(server) as client:
            guide = Guide(client, page, seen)
            await _opening(guide)
            await tour.question(guide)
            await tour.mistyped(guide)
            await tour.fewer_goods(guide)
            # Handshake-era, as many hosts of today are; a process and a sandbox of its own.
            async with Client(server, mode="legacy", elicitation_callback=person.answer) as asking:
                await tour.cancelled_by_form(Guide(asking, page, seen))
            await tour.too_late(guide)
            await tour.refund_once(guide)
            await tour.typed_text(guide)
            await tour.many_orders(guide)
    _closing(page, seen)


async def _opening(guide: Guide) -> None:
    client, page = guide.client, guide.page
    tools = await client.list_tools()
    page.heading("kustom-mcp demo")
    page.prose(
        "A person, an assistant and a server look after orders in a shop. The person and the assistant are scripted; "
        "the server is the real one, in a process of its own, and every line of it below is its real answer. It "
        "talks to a sandbox: the orders are invented and no money moves."
    )
    name = f"{client.server_info.name} {client.server_info.version}, " if client.server_info else ""
    page.says("Server", f"{name}MCP {client.protocol_version} over stdio, {len(tools.tools)} tools")


def _closing(page: Transcript, seen: Tally) -> None:
    """Print the counts from the answers, and the next commands to try."""
    outcomes = seen.outcomes
    page.heading("What you have seen")
    page.count(outcomes.total(), "tool calls, each with a structured answer")
    page.count(
        outcomes["applied"],
        f"changes, each after a person's yes: {seen.by_code} with a code, {seen.by_form} with a form",
    )
    page.count(outcomes["not_sent"], "calls refused with the reason; no change left the server")
    page.count(outcomes["already_applied"], "approval used a second time, without a second effect")
    page.heading("What next")
    page.prose("Connect a host; each of these shows what it will change, and asks.")
    for host in HOSTS:
        page.plain(f"  {shown('install', host)}")
    page.gap()
    page.prose(
        "Without settings a host gets this sandbox. For your own orders set KUSTOM_USERNAME, KUSTOM_API_KEY and "
        "KUSTOM_ENVIRONMENT (playground first), let the server look at them, then connect the host again:"
    )
    page.plain(f"  {shown('check')}")


def _reason(problem: BaseException) -> str:
    """One sentence: the first thing that went wrong, out of the groups that task groups make."""
    inner: Sequence[BaseException] = getattr(problem, "exceptions", ())
    if inner:
        return _reason(inner[0])
    if isinstance(problem, Unexpected):
        return f"{problem}."
    if isinstance(problem, TimeoutError):
        return f"the server did not answer within {DEADLINE_SECONDS} seconds."
    if isinstance(problem, KeyError):
        return f"an answer lacks {problem}."
    return f"{type(problem).__name__}: {problem}"
