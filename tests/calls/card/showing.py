"""A host that shows the order card in Chromium: what it is given, what the card asks for, and what a person does.

The server is the real one, the host side is the extension's own package, and the page is the one that the server gives.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
from mcp.types import TextResourceContents

from kustom_mcp.calls.card import ORDER_CARD
from tests.support.conversation import Talk
from tests.support.npm import installed, node, unavailable
from tests.support.unhurried import PATIENCE

PACKAGES = (
    "@modelcontextprotocol/ext-apps@2.0.4",
    "@modelcontextprotocol/client@2.4.0",
    "@modelcontextprotocol/core@2.4.0",
    "zod@4.6.7",
    "playwright-core@1.65.1",
    "esbuild@0.28.2",
    "axe-core@4.14.1",
)
SCRIPT = Path(__file__).parent / "browser.mjs"
CAPABLE: dict[str, Any] = {"serverTools": {}, "updateModelContext": {"text": {}}, "openLinks": {}}


class Browser:
    """Chromium with the stand-in host in a process of its own, and the card that it shows."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines = queue.Queue[str]()
        self._last = 0
        self.asked: list[tuple[str, dict[str, Any]]] = []
        """Calls of the card since it was opened: tool and arguments."""
        self.talk: Talk | None = None
        self.deaf = False
        """True if calls of the card are lost."""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _send(self, **message: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    async def do(self, deed: str, **given: Any) -> Any:
        """Do it, and serve what the card asks for meanwhile."""
        self._last += 1
        self._send(id=self._last, do=deed, **given)
        while True:
            line = await anyio.to_thread.run_sync(lambda: self._lines.get(timeout=2 * PATIENCE))
            assert line, "The browser has ended."
            message: dict[str, Any] = json.loads(line)
            if "ask" in message:
                await self._serve(message)
            elif message["id"] == self._last:
                assert "error" not in message, message["error"]
                return message["result"]

    async def _serve(self, message: Mapping[str, Any]) -> None:
        self.asked.append((message["name"], message["given"]))
        if self.deaf:
            self._send(answer=message["ask"], value={"content": []})
            return
        assert self.talk is not None
        answer = await self.talk.client.call_tool(message["name"], message["given"])
        self._send(answer=message["ask"], value=answer.model_dump(by_alias=True, mode="json", exclude_none=True))

    async def show(
        self,
        talk: Talk,
        tool: str,
        given: Mapping[str, Any],
        *,
        result: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        capabilities: Mapping[str, Any] = CAPABLE,
        named: bool = True,
        **options: Any,
    ) -> dict[str, Any]:
        """The model calls a tool, and the host shows the card for its answer. `result`: another answer than the
        server's. `options`: of the browser, as Playwright names them."""
        self.talk, self.asked, self.deaf = talk, [], False
        name = f"kustom_{tool}"
        tools = (await talk.client.list_tools()).tools
        (page,) = (await talk.client.read_resource(ORDER_CARD)).contents
        assert isinstance(page, TextResourceContents)
        if result is None:
            answer = await talk.client.call_tool(name, dict(given))
            result = answer.model_dump(by_alias=True, mode="json", exclude_none=True)
        await self.do(
            "open",
            html=page.text,
            tools=[one.model_dump(by_alias=True, mode="json", exclude_none=True) for one in tools],
            tool=name if named else None,
            given=given,
            result=result,
            context=context or {},
            capabilities=capabilities,
            options=options,
        )
        content: dict[str, Any] = result.get("structuredContent", {})
        return content

    async def again(self, given: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Another answer for the card that is open."""
        await self.host("(all) => window.again(all)", {"given": dict(given), "result": dict(result)})
        content = json.dumps(result["structuredContent"])
        await self.until(f"JSON.stringify(card.answer) === JSON.stringify({content})")

    async def host(self, script: str, arg: Any = None) -> Any:
        """A function in the host's page."""
        return await self.do("host", script=script, arg=arg)

    async def press(self, key: str) -> None:
        await self.do("press", key=key)

    async def text(self) -> str:
        """The text that a person reads, with plain spaces."""
        return (await self.do("text")).replace("\u00a0", " ")

    async def tree(self) -> str:
        """The text that a screen reader reads."""
        return await self.do("tree")

    async def run(self, script: str, arg: Any = None) -> Any:
        """A function in the card's page."""
        return await self.do("run", script=script, arg=arg)

    async def until(self, script: str) -> None:
        """Wait for an expression in the card's page to be true."""
        await self.do("until", script=script)

    async def told(self, number: int = 1) -> list[dict[str, Any]]:
        """What the model was told, once it was told `number` things: the card shows an answer before it tells it."""
        while len(told := (await self.seen())["told"]) < number:
            await self.run("() => new Promise(requestAnimationFrame)")
        return told

    async def dress(self, context: Mapping[str, Any]) -> None:
        """Another context of the host, which the card has."""
        await self.host("(context) => window.dress(context)", dict(context))
        for name, value in context.items():
            await self.until(f"JSON.stringify(host.context.{name}) === JSON.stringify({json.dumps(value)})")

    async def until_there(self, selector: str) -> None:
        await self.until(f"document.querySelector({json.dumps(selector)}) !== null")

    async def axe(self) -> list[Any]:
        """What axe-core finds wrong in the card's page: the rule, and the elements."""
        return await self.do("axe")

    async def resize(self, width: int, height: int = 900) -> None:
        """Another size of the host's window; the card is as wide."""
        await self.do("resize", width=width, height=height)
        await self.until(f"innerWidth === {width}")

    async def click(self, selector: str) -> None:
        await self.do("click", selector=selector)

    async def seen(self) -> dict[str, Any]:
        """`requests` that left the page, `errors` of it, what the model was `told`, and the links that it `opened`."""
        return await self.do("seen")


def chromium() -> str:
    """Debian's Chromium, or another that is named."""
    found = os.environ.get("KUSTOM_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        unavailable("There is no Chromium here: install Debian's chromium, or give KUSTOM_TEST_CHROMIUM.")
    return found


@contextmanager
def browsing() -> Generator[Browser]:
    """A browser for many cards."""
    executable = chromium()
    program, npm = node()
    command = [program, str(SCRIPT), str(installed(npm, *PACKAGES)), executable]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        try:
            yield Browser(process)
        finally:
            process.stdin.close()
            ended = process.wait(PATIENCE)
        assert ended == 0
