"""Open orders that were read long ago are read again first: in a measured way, over real sockets, in the call's time.

The simulator is asked over loopback as Kustom would be; the pauses are the app's own clock, which stands still until
somebody waits.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from kustom_mcp.api.client import KustomClient
from kustom_mcp.api.models import Order
from kustom_mcp.app.app import App
from kustom_mcp.book.entry import entry_of
from kustom_mcp.book.writing import put
from kustom_mcp.settings.settings import SANDBOX_KEY
from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.faults import Fault
from tests.calls.quick import Time
from tests.simulator.test_port import served
from tests.support.conversation import Talk, conversation
from tests.support.unhurried import PATIENCE

ORDER = "/orders/{order_id}"
PLAYGROUND: dict[str, Any] = {"KUSTOM_API_KEY": SANDBOX_KEY, "KUSTOM_USERNAME": "M1-demo"}
Heard = list[tuple[float, float | None]]


async def passing(_: Simulator, clock: Time, seconds: float) -> None:
    await clock.sleep(seconds)


@asynccontextmanager
async def known_since_yesterday(
    state: Path, count: int, sleep: Callable[[Simulator, Time, float], Awaitable[None]] = passing, **settings: Any
) -> AsyncGenerator[tuple[Talk, Time, list[str]]]:
    """A conversation with what believes to be the playground, so many open orders in its book, newest first."""
    simulator, clock = Simulator(seeds=()), Time()
    dates = (f"2026-02-{1 + number // 24:02}T{number % 24:02}:00:00Z" for number in reversed(range(count)))
    later = "2099-01-01T00:00:00Z"
    ids = [simulator.add_order({"created_at": date, "expires_at": later}).order["order_id"] for date in dates]
    async with served(simulator) as port:

        def host(app: App) -> None:
            app.simulator = None
            app.wall, app.clock = clock.wall, clock.clock
            app.sleep = lambda seconds: sleep(simulator, clock, seconds)
            url = f"http://127.0.0.1:{port}"
            # Its own stop watch is far behind: were a read left to itself, it would wait for very long.
            app.client = KustomClient(url, "M1-demo", SecretStr(SANDBOX_KEY), clock=lambda: -60.0, rand=lambda: 0.0)

        async with conversation(
            host=host, simulator=simulator, KUSTOM_STATE_DIR=str(state), **PLAYGROUND, **settings
        ) as talk:
            yesterday = clock.wall() - 86_400
            entries = [
                entry_of(Order.model_validate(record.order), "import", yesterday)
                for record in simulator.store.records()
            ]
            await talk.app.book.change(lambda tx, account: put(tx, account, [one for one in entries if one]))
            yield talk, clock, ids


async def one_by_one(simulator: Simulator, clock: Time, seconds: float) -> None:
    """A pause in which the read before comes to its end, so that it can be told which one was the last."""
    clock.pass_by(seconds)
    await anyio.sleep(0.01)  # which is over when nothing else can go on


def read_again(talk: Talk) -> list[str]:
    assert {seen.method for seen in talk.requests} <= {"GET"}
    return [seen.path.rpartition("/")[2] for seen in talk.requests]


async def find(talk: Talk, **arguments: Any) -> tuple[dict[str, Any], Heard]:
    heard: Heard = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total))

    with anyio.fail_after(PATIENCE):
        answer = await talk.client.call_tool(
            "kustom_find_orders", {"min_remaining": 0} | arguments, progress_callback=hear
        )
    return talk.checked("kustom_find_orders", answer), heard


async def test_a_hundred_are_read_about_five_a_second_and_progress_rises_to_the_end(tmp_path: Path) -> None:
    async with known_since_yesterday(tmp_path, 130) as (talk, clock, ids):
        answer, heard = await find(talk, limit=50)
        assert sorted(read_again(talk)) == sorted(ids[:100])
        assert round(clock.passed, 6) == 99 * 0.2
        assert heard == [(number, 100) for number in range(1, 101)]
        assert (answer["coverage"]["known"], answer["coverage"]["stale"]) == (130, 30)
        assert [row["order_id"] for row in answer["orders"] if "stale" not in row] == ids[:50]
        assert answer["summary"] == (
            "130 of the 130 orders I know match, 50 are shown; 30 that match and are not shown were not read again and "
            "may have changed."
        )
        talk.mark()
        answer, heard = await find(talk)
        assert sorted(read_again(talk)) == sorted(ids[100:])
        assert (heard[-1], answer["coverage"]["stale"]) == ((30, 30), 0)
        talk.mark()
        assert (await find(talk))[1] == read_again(talk) == []


async def test_refreshing_stops_at_the_first_error_and_says_what_may_have_changed(tmp_path: Path) -> None:
    async with known_since_yesterday(tmp_path, 10, one_by_one) as (talk, _, ids):
        talk.simulator.faults.add(Fault("GET", f"/orders/{ids[2]}", "status", status=401, times=99))
        answer, heard = await find(talk)
        assert read_again(talk) == ids[:3]
        assert heard == [(1, 10), (2, 10), (3, 10)]
        assert [row["order_id"] for row in answer["orders"] if row.get("stale")] == ids[2:]
        assert answer["coverage"]["stale"] == 8
        assert "; 8 of those shown could not be read again and may have changed" in answer["summary"]


async def test_one_that_is_not_there_any_more_stops_nothing(tmp_path: Path) -> None:
    async with known_since_yesterday(tmp_path, 3, one_by_one) as (talk, _, ids):
        talk.simulator.faults.add(Fault("GET", ORDER, "status", status=404, times=1))
        answer, heard = await find(talk)
        assert (len(talk.requests), len(heard), answer["coverage"]["stale"]) == (3, 3, 1)
        assert len([row for row in answer["orders"] if row.get("stale")]) == 1 < len(ids)


async def test_refreshing_ends_while_there_is_time_for_the_answer(tmp_path: Path) -> None:
    async def sleep(_: Simulator, clock: Time, seconds: float) -> None:
        await clock.sleep(5)

    async with known_since_yesterday(tmp_path, 20, sleep, KUSTOM_TIMEOUT="45") as (talk, clock, ids):
        answer, _ = await find(talk)
        assert read_again(talk) == ids[:9]
        assert (clock.passed, answer["coverage"]["stale"]) == (45.0, 11)
        assert answer["summary"].endswith("; 11 of those shown were not read again and may have changed.")


async def test_a_later_page_reads_again_what_it_shows(tmp_path: Path) -> None:
    async with known_since_yesterday(tmp_path, 130) as (talk, clock, ids):
        more = dict[str, Any]()
        for begins in (0, 50, 100):
            talk.mark()
            clock.pass_by(1)
            answer, _ = await find(talk, limit=50, max_age=0, **more)
            assert sorted(read_again(talk)) == sorted(ids[begins : begins + 100])
            assert "of those shown" not in answer["summary"]
            more = {"cursor": answer.get("next_cursor")}


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 200, "body": "{}"},
        {"status": 200, "body": "no JSON"},
        {"status": 403, "code": "NOT_ALLOWED"},
        {"status": 403, "code": "FORBIDDEN"},
        {"status": 403, "body": "<html>"},
        {"status": 404},
        {"status": 500},
    ],
    ids=str,
)
async def test_one_that_cannot_be_read_stops_nothing(fault: dict[str, Any], tmp_path: Path) -> None:
    async with known_since_yesterday(tmp_path, 8, one_by_one) as (talk, _, ids):
        talk.simulator.faults.add(Fault("GET", f"/orders/{ids[1]}", "status", times=99, **fault))
        answer, _ = await find(talk)
        assert list(dict.fromkeys(read_again(talk))) == ids
        assert [row["order_id"] for row in answer["orders"] if row.get("stale")] == [ids[1]]


async def test_refreshing_gives_up_where_one_read_after_the_other_fails(tmp_path: Path) -> None:
    async with known_since_yesterday(tmp_path, 20, one_by_one) as (talk, _, ids):
        talk.simulator.faults.add(Fault("GET", ORDER, "status", status=403, times=99, code="FORBIDDEN"))
        await find(talk)
        assert read_again(talk) == ids[:5]


async def test_a_read_that_hangs_is_given_up_and_the_answer_comes(tmp_path: Path) -> None:
    async with known_since_yesterday(tmp_path, 2, KUSTOM_TIMEOUT="1") as (talk, _, ids):
        talk.simulator.faults.add(Fault("GET", ORDER, "delay", seconds=60, times=2))
        answer, heard = await find(talk)
        assert (talk.simulator.faults.waiting(), heard) == ((), [])
        assert [row["order_id"] for row in answer["orders"] if row["stale"]] == ids
        assert answer["coverage"]["stale"] == 2


async def test_what_cannot_change_by_itself_is_not_read_again(tmp_path: Path) -> None:
    async with known_since_yesterday(tmp_path, 1) as (talk, clock, _):
        old = clock.wall() - 1e7
        for status, left in (("CAPTURED", 0), ("CANCELLED", 5), ("EXPIRED", 5), ("CLOSED", 5)):
            record = talk.simulator.add_order({"status": status, "created_at": "2026-02-01T00:00:00Z"})
            order = record.order | {"remaining_authorized_amount": left}
            entry = entry_of(Order.model_validate(order), "import", old)
            assert entry is not None
            await talk.app.book.change(lambda tx, account, entry=entry: put(tx, account, [entry]))
        answer, _ = await find(talk)
        assert [row["order_id"] for row in answer["orders"] if "stale" in row] == []
        assert (len(talk.requests), answer["coverage"]["known"], answer["coverage"]["stale"]) == (1, 5, 0)
