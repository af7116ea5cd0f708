"""Answers to a caller who may see a part of the orders: those of a book that has nothing else."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from kustom_mcp.api.models import Order
from kustom_mcp.app.app import App
from kustom_mcp.app.sandbox import SandboxTransport
from kustom_mcp.book.entry import entry_of
from kustom_mcp.book.writing import doubt, put
from kustom_mcp.calls.policy import Principal
from kustom_mcp.settings.environment import load
from kustom_mcp.settings.settings import SANDBOX_KEY
from kustom_mcp.simulator.app import Simulator
from tests.transport.http.callers import Callers

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MINE = tuple(f"0000000{number}-0000-4000-8000-000000000000" for number in range(3))
OTHERS = tuple(f"00000000-0000-4000-8000-00000000000{number}" for number in range(1, 8))
STATUSES = ("AUTHORIZED", "CAPTURED", "PART_CAPTURED", "CANCELLED")

QUESTIONS: dict[str, dict[str, Any]] = {
    "everything": {},
    "a page": {"limit": 1},
    "soonest": {"limit": 1, "order_by": "expires_at"},
    "largest": {"limit": 2, "order_by": "remaining_authorized_amount"},
    "a reference that others have as well": {"reference": "SHARED"},
    "a reference of another's": {"reference": "OTHER-3"},
    "an id of another's": {"reference": OTHERS[2]},
    "how ids begin": {"reference": "0000"},
    "a part of all ids": {"reference": "-4000-8000"},
    "a part of another's id": {"reference": OTHERS[2][-12:]},
    "a refund": {"refunded_from": "2026-01-01"},
    "a status": {"status": "AUTHORIZED"},
    "a time": {"created_from": "2026-02-01", "created_to": "2026-02-28"},
    "a currency of others only": {"currency": "NOK"},
    "what expires": {"expires_before": "2026-03-20"},
    "what was read long ago": {"max_age": 0},
}


def drafts(ids: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {
            "order_id": order_id,
            "status": STATUSES[number % 4],
            "purchase_currency": "NOK" if order_id in OTHERS[:2] else "SEK",
            "order_amount": 1000 * (number + 1),
            "created_at": f"2026-02-{10 + number}T08:00:00Z",
            "expires_at": f"2026-03-{10 + number}T08:00:00Z",
            "merchant_reference1": "SHARED",
            "merchant_reference2": f"{'MINE' if order_id in MINE else 'OTHER'}-{number}",
        }
        for number, order_id in enumerate(ids)
    ]


@asynccontextmanager
async def serving(state: Path, ids: tuple[str, ...], scope: str) -> AsyncGenerator[tuple[Callers, str]]:
    """A server whose book has these orders, read two days ago and by different ways; and who asks it."""
    simulator = Simulator(seeds=(), clock=lambda: NOW)
    records = [simulator.add_order(draft) for draft in drafts(MINE)]
    records += [simulator.add_order(draft) for draft in drafts(OTHERS)]
    settings: dict[str, str] = {"KUSTOM_API_KEY": SANDBOX_KEY, "KUSTOM_STATE_DIR": str(state)}
    if scope in ("setting", "both"):
        settings["KUSTOM_ORDER_SCOPE"] = ",".join(MINE if scope == "setting" else MINE + OTHERS[:3])
    app = App.of(load(settings).settings, simulator=simulator, transport=SandboxTransport(simulator))
    app.simulator, app.wall = None, NOW.timestamp
    tokens = {"token": frozenset(MINE), "both": frozenset(MINE + OTHERS[3:])}
    who = Principal("who", orders=tokens.get(scope))
    callers = Callers(app, simulator, {"who": who})
    async with callers.running():
        for number, record in enumerate(sorted(records, key=lambda record: record.order["order_id"] in MINE)):
            order_id = record.order["order_id"]
            if order_id in ids:
                mine = order_id in MINE
                hours = 48 if mine else 90 + number
                source = "import" if order_id in OTHERS[2:4] else "webhook"
                entry = entry_of(Order.model_validate(record.order), source, NOW.timestamp() - 3600 * hours)
                assert entry is not None
                await app.book.change(lambda tx, account, entry=entry: put(tx, account, [entry]))
        doubted = {OTHERS[1]: int(NOW.timestamp() * 1000)}
        await app.book.change(lambda tx, account: doubt(tx, account, doubted))
        yield callers, "who"


async def answers(state: Path, ids: tuple[str, ...], scope: str) -> list[tuple[str, Any, list[str]]]:
    """Every question with the pages of its answer, and what was read for it."""
    found: list[tuple[str, Any, list[str]]] = []
    async with serving(state, ids, scope) as (callers, who):
        for name, question in QUESTIONS.items():
            more: dict[str, Any] = {"min_remaining": 0, "max_age": 10**8} | question
            for _ in range(9):
                before = len(callers.simulator.requests)
                answer = await callers.call(who, "find_orders", more)
                read = sorted(seen.path.rpartition("/")[2] for seen in callers.simulator.requests[before:])
                found.append((name, answer, read))
                if "next_cursor" not in answer:
                    break
                more = {**more, "cursor": answer["next_cursor"]}
    return found


@pytest.mark.parametrize("scope", ["token", "setting", "both"])
async def test_who_is_narrowed_gets_the_answers_of_a_book_that_has_nothing_else(scope: str, tmp_path: Path) -> None:
    narrowed = await answers(tmp_path / "all", MINE + OTHERS, scope)
    assert narrowed == await answers(tmp_path / "mine", MINE, "none")
    everything = {order_id for _, _, read in narrowed for order_id in read}
    assert everything == {MINE[0], MINE[2]}
    pages = [answer["orders"] for name, answer, _ in narrowed if name == "a page"]
    assert [[row["order_id"] for row in page] for page in pages] == [[order_id] for order_id in reversed(MINE)]


async def test_a_cursor_made_up_from_another_order_leads_to_nothing_new(tmp_path: Path) -> None:
    async with serving(tmp_path, MINE + OTHERS, "token") as (callers, who):
        first = await callers.call(who, "find_orders", {"min_remaining": 0, "limit": 1, "max_age": 10**8})
        which = first["next_cursor"].partition(".")[0]
        told: list[Any] = []
        for order_id in (OTHERS[0], "ffffffff-0000-4000-8000-000000000000"):
            value = int(datetime(2026, 2, 11, 8, tzinfo=UTC).timestamp() * 1000)
            made = f"{which}.1.{value}.{base64.urlsafe_b64encode(UUID(order_id).bytes).decode().rstrip('=')}"
            told.append(
                await callers.call(
                    who, "find_orders", {"min_remaining": 0, "limit": 1, "max_age": 10**8, "cursor": made}
                )
            )
        assert told[0] == told[1]
        assert {row["order_id"] for row in told[0]["orders"]} <= set(MINE)
