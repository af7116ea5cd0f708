"""`kustom-mcp demo`: a guided tour for people who have just met this server.

Nothing is staged: a client of the official SDK starts this server as a process of its own, as a host does, and talks
to it over stdio; the server talks to the embedded sandbox. The environment of that process is a clean one, so that the
demo is the same for everybody and a user's credentials are never in it. An answer that is not the expected one ends
the demo with exit code 1.
"""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType

import anyio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from kustom_mcp.cli import stdout
from kustom_mcp.cli.demo import shops_tour, tour
from kustom_mcp.cli.demo.tour import Guide, Person, TourCounts, Unexpected
from kustom_mcp.cli.demo.transcript import Transcript
from kustom_mcp.cli.install.command import this_machine
from kustom_mcp.cli.install.hosts import HOSTS, HOW, is_there
from kustom_mcp.cli.program import shown

DEADLINE_SECONDS = 120
PROBLEM = 1


def run(command: Sequence[str] | None = None, *, scene: int | None = None, shops: bool = False) -> int:
    """Print the tour, or one scene of it. 0 when every answer was the expected one, otherwise 1 and one line on stderr.

    `command` starts another server than this one; `shops`: the tour of three shops. In a terminal each scene waits for
    Enter.
    """
    # The SDK logs a broken server's traceback; what matters of it is in our own line.
    logging.getLogger("mcp").addHandler(logging.NullHandler())
    seen = TourCounts()
    try:
        words = command or [sys.executable, "-m", "kustom_mcp"]
        if shops:
            anyio.run(_tour_of_shops, _server(words, shops_tour.SETTINGS), seen)
        else:
            anyio.run(_tour, _server(words), seen, scene)
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


def run_cards() -> int:
    """Serve the cards of the demo orders on loopback, until Ctrl-C."""
    from kustom_mcp.cli.demo import cards

    try:
        anyio.run(cards.show, _server([sys.executable, "-m", "kustom_mcp"], cards.SETTINGS))
    except KeyboardInterrupt:
        return 0
    except Exception as problem:
        if stdout.is_unwritten(problem):
            raise
        print(f"kustom-mcp: the cards cannot be shown: {_reason(problem)}", file=sys.stderr)
    return PROBLEM


def _server(command: Sequence[str], settings: Mapping[str, str] = MappingProxyType({})) -> StdioServerParameters:
    """The command that starts the server: the SDK passes on only what a process needs (PATH, HOME, SYSTEMROOT, ...)."""
    env = dict(settings) if "KUSTOM_SHOPS_FILE" in settings else {"KUSTOM_ENVIRONMENT": "sandbox", **settings}
    if "PYTHONPATH" in os.environ:  # where this very package may have come from
        env["PYTHONPATH"] = os.environ["PYTHONPATH"]
    return StdioServerParameters(command=command[0], args=list(command[1:]), env=env)


async def _tour(server: StdioServerParameters, seen: TourCounts, only: int | None) -> None:
    chosen = tour.SCENES if only is None else tour.SCENES[only - 1 : only]
    with anyio.fail_after(DEADLINE_SECONDS) as deadline:
        page = Transcript()
        person = Person(page, seen)
        async with Client(server) as client:
            guide = Guide(client, page, seen)
            await _opening(guide, "look after orders in a shop")
            await tour.read_names(guide)

            async def show(scene: tour.Scene) -> None:
                if scene is tour.cancelled_by_form:
                    # Handshake-era, as many hosts of today are; a process and a sandbox of its own.
                    async with Client(server, mode="legacy", elicitation_callback=person.answer) as asking:
                        await scene(Guide(asking, page, seen))
                else:
                    await scene(guide)

            if await _all_shown(page, chosen, show, deadline) and only is None:
                _counts(page, seen)
    _next(page)


async def _tour_of_shops(server: StdioServerParameters, seen: TourCounts) -> None:
    with anyio.fail_after(DEADLINE_SECONDS) as deadline:
        page = Transcript()
        async with Client(server) as client:
            guide = Guide(client, page, seen)
            await _opening(guide, "look after orders in three shops")
            await _all_shown(page, shops_tour.SCENES, lambda scene: scene(guide), deadline)
    _next(page, "--shops", "sandbox")


async def _all_shown(
    page: Transcript,
    scenes: Sequence[tour.Scene],
    show: Callable[[tour.Scene], Awaitable[None]],
    deadline: anyio.CancelScope,
) -> bool:
    """Show scenes, and wait for Enter between them. False where the person ended it."""
    for number, scene in enumerate(scenes, start=1):
        await show(scene)
        if number < len(scenes):
            deadline.deadline = math.inf
            goes_on = await _enter(page, number, len(scenes))
            deadline.deadline = anyio.current_time() + DEADLINE_SECONDS
            if not goes_on:
                return False
    return True


async def _enter(page: Transcript, number: int, scenes: int) -> bool:
    """Wait for Enter where a person reads along in a terminal. False where that person has had enough."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    page.asks(f"Scene {number} of {scenes}. Enter shows the next one, q and Enter ends the demo: ")
    if sys.platform != "win32":
        await anyio.wait_readable(sys.stdin)  # a terminal gives whole lines, so that Ctrl-C stays what it is
    typed = sys.stdin.readline()
    if not typed:
        page.gap()
    return typed.strip().lower() not in ("q", "quit") and typed != ""


async def _opening(guide: Guide, doing: str) -> None:
    client, page = guide.client, guide.page
    tools = await client.list_tools()
    page.heading("kustom-mcp demo")
    page.prose(
        f"A person, an assistant and a server {doing}. The person and the assistant are scripted; "
        "the server is the real one, in a process of its own, and every line of it below is its real answer. It "
        "talks to a sandbox: the orders are invented and no money moves."
    )
    name = f"{client.server_info.name} {client.server_info.version}, " if client.server_info else ""
    page.says("Server", f"{name}MCP {client.protocol_version} over stdio, {len(tools.tools)} tools")


def _counts(page: Transcript, seen: TourCounts) -> None:
    """Print the counts from the answers."""
    outcomes = seen.outcomes
    page.heading("What you have seen")
    page.count(outcomes.total(), "tool calls, each with a structured answer")
    page.count(
        outcomes["applied"],
        f"changes, each after a person's yes: {seen.by_code} with a code, {seen.by_form} with a form",
    )
    page.count(outcomes["not_sent"], "calls refused with the reason; no change left the server")
    page.count(outcomes["already_applied"], "approval used a second time, without a second effect")


def _next(page: Transcript, *options: str) -> None:
    """Print the one thing to do next: this sandbox in a host, one that is on this machine if there is any.

    `options`: what `install` needs for the shops.
    """
    machine = this_machine()
    host = next((host for host in HOSTS if is_there(HOW[host], machine)), HOSTS[0])
    page.heading("What next")
    page.prose(
        f"Put this sandbox into {HOW[host].title}: the command shows what it will change, and asks. Then ask the "
        f'assistant: "{"Which orders of Norway are not captured?" if options else "Refund the towel of captured-sek."}"'
    )
    page.plain(f"  {shown('install', host, *options)}")


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
