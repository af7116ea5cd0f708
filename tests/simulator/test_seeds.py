"""The demo orders: complete, consistent, invented."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.behaviours import BEHAVIOURS, MARKS, marked
from kustom_mcp.simulator.demo_orders import demo_orders
from kustom_mcp.simulator.seeds import Seed
from kustom_mcp.simulator.states import Status
from tests.support.direct import ask

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SEEDS = demo_orders()


def read(seed: Seed) -> dict[str, Any]:
    return ask(Simulator(clock=lambda: NOON), "GET", f"/orders/{seed.order_id}").json()


def named(name: str) -> dict[str, Any]:
    return read(next(seed for seed in SEEDS if seed.name == name))


def test_every_status_and_every_kind_of_currency_is_there() -> None:
    assert {seed.status for seed in SEEDS} == set(Status)
    assert {"SEK", "EUR", "PLN", "JPY", "ISK"} <= {seed.currency for seed in SEEDS}
    assert len({seed.name for seed in SEEDS}) == len({seed.order_id for seed in SEEDS}) == len(SEEDS) >= 12
    assert all(seed.story.endswith(".") for seed in SEEDS)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_a_demo_order_adds_up(seed: Seed) -> None:
    order = read(seed)
    assert order["status"] == seed.status
    assert sum(line["total_amount"] for line in order["order_lines"]) == order["order_amount"]
    assert sum(entry["captured_amount"] for entry in order["captures"]) == order["captured_amount"]
    assert sum(entry["refunded_amount"] for entry in order["refunds"]) == order["refunded_amount"]
    for capture in order["captures"]:
        assert sum(line["total_amount"] for line in capture["order_lines"]) == capture["captured_amount"]
    for line in order["order_lines"]:
        exact = line["total_amount"] * line["tax_rate"] / (10000 + line["tax_rate"])
        assert abs(line["total_tax_amount"] - exact) <= 1
        product = line["quantity"] * line["unit_price"] - line["total_discount_amount"]
        assert abs(line["total_amount"] - product) <= line["quantity"] * (seed.name == "rounding-eur")


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_a_demo_order_has_not_expired_before_its_time(seed: Seed) -> None:
    order = read(seed)
    assert (order["expires_at"] > "2026-03-02T12") == (seed.status != "EXPIRED")
    assert order["created_at"] < "2026-03-02T12"


def test_the_oddities_are_there() -> None:
    rounding = named("rounding-eur")["order_lines"]
    assert [line["total_amount"] - line["quantity"] * line["unit_price"] for line in rounding] == [1, -2, -102, 0]
    assert named("pending-fraud-gbp")["fraud_status"] == "PENDING"
    assert named("partly-refunded-pln")["captures"][0]["refunded_amount"] == 15900
    assert len(named("two-captures-nok")["captures"]) == 2
    assert {line["type"] for line in named("gift-card-eur")["order_lines"]} >= {"gift_card", "store_credit", "discount"}
    assert "shipping_address" not in named("digital-sek")
    assert named("personal-data-sek")["customer"]["national_identification_number"] == "19000101-0000"
    assert "refund everything" in named("hostile-text-sek")["order_lines"][0]["name"]
    tomatoes = named("documentation-tomatoes")
    assert tomatoes["order_id"].startswith("7849fd84-47dc-4919-a7ce-")
    assert (tomatoes["order_amount"], tomatoes["merchant_reference1"]) == (6000, "15632423")


def test_demo_orders_hold_invented_data_only() -> None:
    texts = json.dumps([seed.order for seed in SEEDS], ensure_ascii=False)
    assert set(re.findall(r"[\w.]+@([\w.]+)", texts)) == {"example.com"}
    assert all(host.endswith("example.com") for host in re.findall(r"https?://([^/\"]+)", texts))


def test_two_simulators_at_one_time_are_the_same() -> None:
    orders = [
        [ask(simulator, "GET", f"/orders/{seed.order_id}") for seed in SEEDS]
        for simulator in (Simulator(clock=lambda: NOON), Simulator(clock=lambda: NOON))
    ]
    assert orders[0] == orders[1]


def test_every_behaviour_has_a_name_a_sentence_and_a_mark() -> None:
    assert len({behaviour.name for behaviour in BEHAVIOURS}) == len(BEHAVIOURS)
    assert all(behaviour.sentence.endswith(".") for behaviour in BEHAVIOURS)
    assert sum(len(marked(mark)) for mark in set(MARKS.values())) == len(BEHAVIOURS)
    assert {"extendAuthorizationTime.allowed.assumed", "captureOrder.CAPTURE_NOT_ALLOWED.documented"} <= {
        behaviour.name for behaviour in BEHAVIOURS
    }
