"""Many invented orders: the same in every run, of the past sixty days, and as a shop's orders are."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from kustom_mcp.cli.simulate import crowded
from kustom_mcp.simulator.crowd import DAYS, invented_orders
from tests.support.conversation import conversation


def test_invented_orders_are_the_same_in_every_run() -> None:
    assert invented_orders(50) == invented_orders(50)
    assert len({seed.order_id for seed in invented_orders(500)}) == 500


def test_invented_orders_are_of_the_past_sixty_days_and_in_every_status() -> None:
    simulator = crowded(500)
    records = [record for record in simulator.store.records() if record.name.startswith("invented-")]
    assert len(records) == 500
    ages = [datetime.now(UTC) - datetime.fromisoformat(record.order["created_at"]) for record in records]
    assert max(ages) < timedelta(days=DAYS + 1)
    assert len({age.days for age in ages}) > DAYS - 3
    statuses = Counter(record.order["status"] for record in records)
    assert set(statuses) == {"AUTHORIZED", "PART_CAPTURED", "CAPTURED", "CLOSED", "CANCELLED", "EXPIRED"}
    expired = [record for record in records if record.order["status"] in ("AUTHORIZED", "PART_CAPTURED")]
    assert all(datetime.fromisoformat(record.order["expires_at"]) > datetime.now(UTC) for record in expired)


async def test_questions_about_many_orders_have_answers() -> None:
    async with conversation(simulator=crowded(300)) as talk:
        week = (datetime.now(UTC) + timedelta(days=7)).isoformat()
        found = await talk.call("find_orders", expires_before=week, order_by="expires_at")
        assert found["coverage"]["known"] == len(talk.simulator.store.records())
        expiring = [
            record.order["order_id"]
            for record in talk.simulator.store.records()
            if record.order["status"] in ("AUTHORIZED", "PART_CAPTURED") and record.order["expires_at"] < week
        ]
        assert sum(group["orders"] for group in found["totals"]) == len(expiring) > 5
