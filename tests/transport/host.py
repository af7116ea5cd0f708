"""A host: the SDK's own client talks to the server, a process that it spawns (stdio) or finds at a URL (HTTP).

Every answer is held to what holds for all answers before a test sees it: one text block with the same JSON as the
structured content, `isError` for exactly the three outcomes that are errors. The client itself checks the structured
content against the tool's output schema.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import anyio
from mcp.client import Client, ClientRequestContext
from mcp.client.extension import ClientExtension
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.types import ElicitRequestParams, ElicitResult, TextContent

from tests.support.advice import Listed
from tests.support.unhurried import PATIENCE
from tests.transport.kustom import PROGRAM, Kustom
from tests.transport.serving_stdio import serving

Mode = Literal["auto", "legacy"]
MODES: tuple[Mode, ...] = ("auto", "legacy")
"""`auto` speaks 2026-07-28, `legacy` the handshake era."""
Wire = Literal["stdio", "http"]
WAYS: tuple[tuple[Wire, Mode], ...] = (("stdio", "auto"), ("stdio", "legacy"), ("http", "auto"), ("http", "legacy"))
"""Every way to talk to the server. What is said must not depend on it."""

Person = Callable[[str], ElicitResult]
"""A person who answers a form: gets the question, returns the answer."""

ERRORS = frozenset({"not_sent", "rejected", "unknown"})
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)")
_TAIL = re.compile(r'("code":"[a-z0-9.A-Z-]+)\.[\w-]{40,}"')
_CORRELATION = re.compile(r'"correlation_id":"[^"]+"')


def yes(_: str) -> ElicitResult:
    """A person who ticks the box."""
    return ElicitResult(action="accept", content={"approve": True})


@dataclass
class Talk:
    """An open conversation. `answers` has the text of each answer; `questions`, what the person was asked."""

    client: Client
    answers: list[str] = field(default_factory=list[str])
    questions: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self._listed = Listed(self._tools)

    async def call(self, tool: str, arguments: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """Call a tool, named without its prefix; its structured content."""
        with anyio.fail_after(PATIENCE):
            answer = await self.client.call_tool(f"kustom_{tool}", {**(arguments or {}), **more})
        content: Any = answer.structured_content
        (block,) = answer.content
        assert isinstance(block, TextContent)
        assert block.text == json.dumps(content, separators=(",", ":"), ensure_ascii=False)
        assert bool(answer.is_error) is ("error" in content) is (content["outcome"] in ERRORS)
        assert content["environment"] == "playground"
        self.answers.append(block.text)
        await self._listed.hold("", f"kustom_{tool}", content)
        return content

    async def _tools(self, _: str) -> list[dict[str, Any]]:
        return [tool.model_dump(by_alias=True) for tool in (await self.client.list_tools()).tools]

    async def agreed(self, tool: str, arguments: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """Call a gated tool and give the code back if there is one; the last answer."""
        answer = await self.call(tool, arguments, **more)
        if answer["outcome"] != "confirmation_required":
            return answer
        return await self.call(tool, arguments, **more, confirm=answer["confirm"]["code"])

    @property
    def comparable(self) -> list[str]:
        """The answers, without what may differ from run to run: moments, sealed tails, correlation ids."""
        return [
            _CORRELATION.sub("<correlation>", _TAIL.sub(r'\1"', _MOMENT.sub("<moment>", text))) for text in self.answers
        ]


@asynccontextmanager
async def hosting(
    kustom: Kustom,
    state: Path,
    mode: Mode,
    person: Person | None = None,
    wire: Wire = "stdio",
    *,
    open_writes: int = 0,
    extensions: Sequence[ClientExtension] = (),
    **settings: str,
) -> AsyncGenerator[Talk]:
    """A server process against the simulator, in a clean environment. Without a `person` the host has no forms, and
    with `extensions` it has more. It says nothing on stderr but the `open_writes` that it finds at its start."""
    questions: list[str] = []

    async def answer(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        questions.append(params.message)
        assert person is not None
        return person(params.message)

    forms = answer if person else None
    if wire == "http":
        with serving(kustom, state, **settings) as served:
            async with Client(served.url, mode=mode, elicitation_callback=forms, extensions=extensions) as client:
                yield Talk(client, questions=questions)
        return
    env = {**kustom.settings, "KUSTOM_STATE_DIR": str(state), "KUSTOM_TOOLS": "all", **settings}
    with tempfile.TemporaryFile("w+") as told:
        server = StdioServerParameters(command=PROGRAM[0], args=PROGRAM[1:], env=env)
        transport = stdio_client(server, errlog=told)
        async with Client(transport, mode=mode, elicitation_callback=forms, extensions=extensions) as client:
            talk = Talk(client, questions=questions)
            yield talk
        told.seek(0)
        lines = told.read().splitlines()
        assert [line for line in lines if "no outcome yet" not in line] == []
        assert len(lines) == open_writes
