"""MCP over stdio: one client, served until its host closes stdin or sends a signal.

Hosts end a server by closing its stdin and killing it two seconds later, or by a signal. The SDK cancels running
handlers at once in the first case and hangs in the second while stdin stays open. So the end is ours: calls in flight
get DRAIN_SECONDS to finish and to be answered. A write that is still open then is answered `unknown` and stays on disk
as an open intent. A second signal exits at once.

The SDK takes the era of a connection from its first request, and refuses `initialize` after `server/discover`. A client
that asks for the new protocol and waits a second for an answer (the AI SDK) sends `initialize` then, while a server
that starts slowly has read neither: so a connection that was only asked what it can is open to the handshake.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, cast

import anyio
from mcp.server import Server
from mcp.server.runner import serve_dual_era_loop
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp.types import INVALID_PARAMS, ErrorData, JSONRPCError, JSONRPCRequest, JSONRPCResponse
from pydantic import ValidationError

from kustom_mcp.server.handlers import Serving, build_server
from kustom_mcp.transport.pipes import standard_pipes
from kustom_mcp.transport.shutdown import end_on_signals, leave

log = logging.getLogger(__name__)

DRAIN_SECONDS = 1.5
_LAST_WORDS = 0.2
"""Further seconds for a write that was cut to say so. All in all it stays below the two seconds of a host."""
_HALF = "A text of this request holds half of a character (a lone surrogate such as \\ud800)."
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TICK = 0.02
"""A moment for a request to reach its handler, and for an answer to reach stdout."""


async def serve_stdio(app: Serving) -> None:
    """Serve one client until stdin ends. A signal ends the process from inside."""
    server = build_server(app)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(end_on_signals, partial(_end_in_order, app))
            with standard_pipes() as (stdin, stdout):
                async with stdio_server(
                    stdin,  # pyright: ignore[reportArgumentType] - what it needs of them is to iterate and to write
                    stdout,  # pyright: ignore[reportArgumentType]
                ) as (incoming, outgoing):
                    await _serve(server, incoming, outgoing, app)
            await app.flush_telemetry(DRAIN_SECONDS)
            group.cancel_scope.cancel()
    except* (BrokenPipeError, ConnectionResetError):
        log.info("the host has gone without waiting for an answer")
        await app.flush_telemetry(DRAIN_SECONDS)
        leave(0)  # what is left in a buffer has no reader, and ending as usual would complain about it


async def _serve(server: Server[Any], incoming: Any, outgoing: Any, app: Serving) -> None:
    """Serve the connection in the era of its first request, or by the handshake if that comes after mere questions."""
    async with server.lifespan(server) as state, outgoing:
        stream = _DrainingStream(incoming, outgoing, app)
        while stream is not None:
            await serve_dual_era_loop(
                server,
                stream,  # pyright: ignore[reportArgumentType]
                outgoing.clone(),
                lifespan_state=state,
                init_options=server.create_initialization_options(),
            )
            stream = stream.by_handshake()


class _DrainingStream:
    """The stream of incoming messages; before its end is passed on, calls in flight may finish.

    A request with half of a character in it (a lone surrogate) is an exception to the SDK's reader, which leaves it
    without an answer. It is answered here, or by the check of the arguments.
    """

    def __init__(self, stream: Any, answers: Any, app: Serving, first: Any = None) -> None:
        self._stream = stream
        self._answers = answers
        self._app = app
        self._first = first
        self._asked = False
        self._only_asked = first is None
        self._handshake: Any = None

    def by_handshake(self) -> _DrainingStream | None:
        """Return the messages from `initialize` on, where nothing but `server/discover` came before it."""
        if self._handshake is None:
            return None
        return _DrainingStream(self._stream, self._answers, self._app, self._handshake)

    async def aclose(self) -> None:
        if self._handshake is None:
            await self._stream.aclose()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def __aenter__(self) -> _DrainingStream:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> Any:
        return await self._stream.__aexit__(*error)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def receive(self) -> Any:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        try:
            item = await self._readable(await self._stream.receive())
        except anyio.EndOfStream:
            await _drain(self._app)
            raise
        if self._changes_era(item):
            self._handshake = item
            raise anyio.EndOfStream
        return item

    def _changes_era(self, item: Any) -> bool:
        """Whether this is the first `initialize`, after questions of `server/discover` and no other request."""
        message = item.message if isinstance(item, SessionMessage) else None
        if not self._only_asked or not isinstance(message, JSONRPCRequest):
            return False
        asked, self._asked = self._asked, True
        self._only_asked = message.method == "server/discover"
        return asked and message.method == "initialize"

    async def _readable(self, item: Any) -> Any:
        """Restore a request that the reader gave up because of a lone surrogate; pass on anything else as it is."""
        request = _given_up(item)
        if request is None:
            return _declined(item) or item
        given: Any = request.get("params") or {}
        besides = [request | {"params": None}, *(value for name, value in given.items() if name != "arguments")]
        if _is_text(besides):  # then it is in the arguments, which are checked like any others
            return SessionMessage(JSONRPCRequest.model_validate(request))
        number = request["id"] if _is_text(request["id"]) else None
        refused = JSONRPCError(jsonrpc="2.0", id=number, error=ErrorData(code=INVALID_PARAMS, message=_HALF))
        await self._answers.send(SessionMessage(refused))
        return item


def _given_up(item: Any) -> dict[str, Any] | None:
    """The request behind an exception of the SDK's reader, where a lone surrogate was the only fault."""
    line: object = item.errors()[0]["input"] if isinstance(item, ValidationError) else None
    if not isinstance(line, str) or not _SURROGATE.search(line):
        return None
    try:
        parsed: object = json.loads(line)
        request = cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}
        read = request if _is_text(request.get("jsonrpc")) else {**request, "jsonrpc": "2.0"}
        whole = json.dumps(read, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        JSONRPCRequest.model_validate_json(whole)
    except (ValueError, RecursionError):
        return None
    return request


def _declined(item: Any) -> SessionMessage | None:
    """A "no" in the place of an answer to one of our own questions that the reader gave up because of a lone
    surrogate: whoever asked would wait for it until the deadline."""
    line: object = item.errors()[0]["input"] if isinstance(item, ValidationError) else None
    if not isinstance(line, str) or not _SURROGATE.search(line):
        return None
    try:
        answer: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    fields = cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
    if "method" in fields or not fields.keys() & {"result", "error"} or not _is_text(fields.get("id")):
        return None
    try:
        declined = {"jsonrpc": "2.0", "id": fields.get("id"), "result": {"action": "decline"}}
        return SessionMessage(JSONRPCResponse.model_validate(declined))
    except ValidationError:
        return None


def _is_text(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


async def _drain(app: Serving) -> None:
    """Start no more writes, and wait until no call runs, at most for as long as a host waits."""
    await anyio.sleep(_TICK)
    app.drain(DRAIN_SECONDS)
    with anyio.move_on_after(DRAIN_SECONDS + _LAST_WORDS):
        await app.idle()
    await anyio.sleep(_TICK)


async def _end_in_order(app: Serving) -> None:
    """End the process after a signal: drain first, also where the end of stdin has begun to."""
    await _drain(app)
    await app.flush_telemetry(DRAIN_SECONDS)
    leave(0)
