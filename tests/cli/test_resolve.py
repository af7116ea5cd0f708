"""`kustom-mcp resolve`: look at the writes in doubt, or close them by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from kustom_mcp.app.app import App
from kustom_mcp.cli import resolve
from kustom_mcp.cli.parser import run
from kustom_mcp.settings.environment import load
from kustom_mcp.simulator.faults import Fault
from kustom_mcp.state.intents import Intent
from tests.cli.test_audit import lost_refund
from tests.support.conversation import conversation, demo

ORDER = demo("captured-sek")


async def in_doubt(state: Path) -> dict[str, Any]:
    """The call of a refund that was sent to the sandbox, and whose outcome nobody knows."""
    async with conversation(KUSTOM_STATE_DIR=str(state)) as talk:
        call, _ = await lost_refund(talk, ORDER)
    return call


def kept(state: Path) -> list[Intent]:
    app = App.of(load({"KUSTOM_STATE_DIR": str(state)}).settings)
    found = app.intents.journal([app.account.name])
    app.records.close()
    return found


async def test_a_write_is_closed_by_hand_with_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await in_doubt(tmp_path)
    settings = load({"KUSTOM_STATE_DIR": str(tmp_path)}).settings
    assert resolve.run(settings, ORDER, "not-done", "not in the portal") == 0
    assert capsys.readouterr().out.startswith("Closed as not done: kustom_refund_order of 1.00 SEK, sent ")
    (closed,) = kept(tmp_path)
    assert (closed.outcome, closed.sealed, closed.content["closed_because"]) == (
        "not_done",
        None,
        "not in the portal",
    )
    assert resolve.run(settings, ORDER, "done", "again") == 0
    assert "nothing to close" in capsys.readouterr().out


async def test_after_not_done_the_same_wish_is_a_new_one(tmp_path: Path) -> None:
    call = await in_doubt(tmp_path)
    assert resolve.run(load({"KUSTOM_STATE_DIR": str(tmp_path)}).settings, ORDER, "not-done", "looked") == 0
    async with conversation(KUSTOM_STATE_DIR=str(tmp_path)) as talk:
        preview = await talk.call("refund_order", call)
        assert "was closed by hand as not done" in preview["warnings"][0]
        done = await talk.call("refund_order", call, confirm=preview["confirm"]["code"])
        assert done["outcome"] == "applied"
    keys = [intent.key for intent in kept(tmp_path)]
    assert len(set(keys)) == 2


async def test_only_the_writes_of_that_order_and_this_account_are_closed(tmp_path: Path) -> None:
    await in_doubt(tmp_path)
    async with conversation(KUSTOM_STATE_DIR=str(tmp_path)) as talk:
        await lost_refund(talk, demo("two-captures-nok"))
        (mine,) = [one for one in talk.app.intents.unresolved() if one.order_id == ORDER]
        theirs = replace(mine, account="production/https://api.kustom.co/M1", outcome=None)
        talk.app.records.run(lambda connection: talk.app.intents.send(connection, theirs, seen=None))
    settings = load({"KUSTOM_STATE_DIR": str(tmp_path)}).settings
    assert resolve.run(settings, ORDER, "done", "seen in the portal") == 0
    app = App.of(settings)
    left = {(one.account, one.order_id) for one in app.intents.unresolved()}
    app.records.close()
    assert left == {(mine.account, demo("two-captures-nok")), (theirs.account, ORDER)}


async def test_what_cannot_be_read_is_left_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with conversation(KUSTOM_STATE_DIR=str(tmp_path), KUSTOM_TOOLS="all") as talk:
        (capture, *_) = talk.stored(ORDER)["captures"]
        path = "/orders/{order_id}/captures/{capture_id}/trigger-send-out"
        talk.simulator.faults.add(Fault("POST", path, "reset", times=9))
        sent = await talk.call("trigger_send_out", order_id=ORDER, capture_id=capture["capture_id"])
        assert sent["outcome"] == "unknown"
    settings = load({"KUSTOM_STATE_DIR": str(tmp_path), "KUSTOM_TOOLS": "all"}).settings
    assert await anyio.to_thread.run_sync(resolve.run, settings, None) == 1
    assert "trigger_send_out of " in (shown := capsys.readouterr().out)
    assert "cannot be read through the API: look in the Kustom portal" in shown


def test_what_is_in_doubt_is_looked_for_at_kustom(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import asyncio

    asyncio.run(in_doubt(tmp_path))  # the sandbox of the command is another one, where nothing was refunded
    settings = load({"KUSTOM_STATE_DIR": str(tmp_path)}).settings
    assert resolve.run(settings, None) == 1
    shown = capsys.readouterr().out
    assert f"Order {ORDER}: 1 write on order" in shown
    assert "not there: the same call sends it again" in shown
    assert len(kept(tmp_path)) == 1


def test_nothing_is_in_doubt_where_no_server_has_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = load({"KUSTOM_STATE_DIR": str(tmp_path / "state")}).settings
    assert resolve.run(settings, None) == 0
    assert capsys.readouterr().out == "No write is in doubt.\n"
    assert not (tmp_path / "state").exists()


def test_by_hand_needs_an_order_and_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUSTOM_STATE_DIR", str(tmp_path))
    for words in (["resolve", "--as", "done"], ["resolve", ORDER, "--as", "done"]):
        assert run(words) == 2
        assert "give ORDER_ID and --reason" in capsys.readouterr().err
