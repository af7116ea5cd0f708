"""Rights that end or change while a form is open, in the handshake era: the client gets an answer, and nothing moves.

The server is a process, and so is Kustom. Where the token has ended, the person's answer cannot reach the server any
more (401), so the call must not wait for it.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2 as httpx
import pytest
from mcp import MCPError
from mcp.client import Client, ClientRequestContext
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitRequestParams, ElicitResult

from tests.support.unhurried import PATIENCE
from tests.transport.host import Mode, yes
from tests.transport.http.test_people import write
from tests.transport.kustom import Kustom, demo
from tests.transport.serving_stdio import serving

BLANKETS, TOWEL = demo("authorized-sek"), demo("captured-sek")
DESK = 'may = ["read", "write"]'
REFUND = {"order_id": TOWEL, "refunded_amount": 5000}


@asynccontextmanager
async def asked(
    url: str, mode: Mode, meanwhile: Callable[[], None], ended: list[str] | None = None
) -> AsyncGenerator[Client]:
    """A client of the desk, whose person says yes to a form after something happened. `ended`: each form that the
    server took back."""

    async def person(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        meanwhile()
        if ended is not None:
            try:
                await anyio.sleep(PATIENCE)
            except anyio.get_cancelled_exc_class():
                ended.append(params.message)
                raise
        return yes(params.message)

    headers = {"authorization": "Bearer desk-token"}
    async with (
        httpx.AsyncClient(headers=headers, timeout=PATIENCE, trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode, elicitation_callback=person) as one,
    ):
        await one.list_tools()  # as hosts do; else the client asks for them when it checks the answer
        yield one


def change(file: Path, left: Callable[[], dict[str, str]]) -> None:
    write(file, **left())


async def refund(client: Client) -> Any:
    with anyio.fail_after(PATIENCE):
        return (await client.call_tool("kustom_refund_order", REFUND)).structured_content


LEFT: dict[str, Callable[[], dict[str, str]]] = {
    "removed": lambda: {"other": DESK},
    "expired": lambda: {"desk": f"{DESK}\nexpires = {datetime.now(UTC).isoformat()}"},
    "may only read": lambda: {"desk": 'may = ["read"]'},
    "other orders": lambda: {"desk": f'{DESK}\norders = ["{BLANKETS}"]'},
    "a lower ceiling": lambda: {"desk": f'{DESK}\nmax_amount = "SEK:4999"'},
}
"""What the people file says while the form is open."""


async def test_a_call_whose_caller_lost_rights_while_a_form_was_open_is_answered(
    kustom: Kustom, tmp_path: Path
) -> None:
    file = write(tmp_path / "people.toml", desk=DESK)
    told = dict[str, Any]()
    with serving(kustom, tmp_path / "state", KUSTOM_PEOPLE_FILE=str(file)) as served:
        for name, left in LEFT.items():
            write(file, desk=DESK)
            async with asked(served.url, "legacy", partial(change, file, left)) as client:
                told[name] = await refund(client)
    assert {name: (answer["outcome"], answer["error"]["code"]) for name, answer in told.items()} == dict.fromkeys(
        LEFT, ("not_sent", "NOT_PERMITTED")
    )
    for name in ("removed", "expired"):
        assert told[name]["error"]["message"] == "The token of this caller is not good any more. Nothing was sent."
        assert "gives another one" in told[name]["next_step"]
    for name in ("other orders", "a lower ceiling"):
        assert told[name]["error"]["message"].startswith("The rights of this caller were changed while this call ran.")
        assert "Make the call again" in told[name]["next_step"]
    assert kustom.writes == []


async def test_a_form_is_taken_back_where_its_answer_could_not_count(kustom: Kustom, tmp_path: Path) -> None:
    file, ended = write(tmp_path / "people.toml", desk=DESK), list[str]()
    with serving(kustom, tmp_path / "state", KUSTOM_PEOPLE_FILE=str(file)) as served:
        async with asked(served.url, "legacy", partial(change, file, LEFT["removed"]), ended) as client:
            answer = await refund(client)
    assert answer["error"]["code"] == "NOT_PERMITTED"
    assert len(ended) == 1


async def test_a_call_with_an_open_form_is_answered_at_a_shutdown(kustom: Kustom, tmp_path: Path) -> None:
    file = write(tmp_path / "people.toml", desk=DESK)
    with serving(kustom, tmp_path / "state", KUSTOM_PEOPLE_FILE=str(file), KUSTOM_DRAIN="600") as served:
        async with asked(served.url, "legacy", lambda: served.signal(signal.SIGTERM), []) as client:
            answer = await refund(client)
        assert (await anyio.to_thread.run_sync(served.ended), served.stderr) == (0, "")
    assert (answer["outcome"], answer["error"]["code"]) == ("not_sent", "BUSY")
    assert kustom.writes == []


async def test_a_form_that_comes_back_with_an_ended_token_is_401_with_a_sentence(
    kustom: Kustom, tmp_path: Path
) -> None:
    """In 2026-07-28 no request is open while a form is: the answer comes with a request of its own."""
    file = write(tmp_path / "people.toml", desk=DESK)
    with serving(kustom, tmp_path / "state", KUSTOM_PEOPLE_FILE=str(file)) as served:
        async with asked(served.url, "auto", partial(change, file, LEFT["removed"])) as client:
            with pytest.raises(MCPError, match="not one that this server knows, or it has ended"):
                await refund(client)
    assert kustom.writes == []
