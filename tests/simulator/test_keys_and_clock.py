"""Idempotent replay and the passing of time."""

from datetime import UTC, datetime
from typing import Any

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.switches import Switches
from tests.support.direct import ask

MORNING = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
DAY = 86400


def shop(given: dict[str, Any] | None = None, switches: Switches | None = None) -> tuple[Simulator, str]:
    simulator = Simulator(clock=lambda: MORNING, seeds=(), switches=switches)
    record = simulator.add_order(given or {"order_amount": 1000})
    return simulator, f"/orders/{record.order['order_id']}"


def captured(simulator: Simulator, path: str) -> int:
    return ask(simulator, "GET", path).json()["captured_amount"]


def test_the_same_key_twice_moves_money_once_and_gets_the_same_answer() -> None:
    simulator, path = shop()
    first = ask(simulator, "POST", f"{path}/captures", {"captured_amount": 100}, key="k")
    other_body = ask(simulator, "POST", f"{path}/captures", {"captured_amount": 900}, key="k")
    assert first.status == 201
    assert other_body == first
    assert captured(simulator, path) == 100


def test_a_key_is_known_whatever_path_it_comes_with() -> None:
    simulator, path = shop()
    first = ask(simulator, "POST", f"{path}/captures", {"captured_amount": 100}, key="k")
    assert ask(simulator, "POST", f"{path}/refunds", {"refunded_amount": 100}, key="k") == first
    assert ask(simulator, "GET", path, key="k").status == 200


def test_an_error_is_not_kept() -> None:
    simulator, path = shop()
    assert ask(simulator, "POST", f"{path}/captures", {"captured_amount": 1001}, key="k").status == 403
    assert ask(simulator, "POST", f"{path}/captures", {"captured_amount": 1000}, key="k").status == 201


def test_keys_of_two_merchants_have_nothing_to_do_with_each_other() -> None:
    simulator, path = shop()
    for user in ("one", "two"):
        ask(simulator, "POST", f"{path}/captures", {"captured_amount": 100}, key="k", user=user)
    assert captured(simulator, path) == 200


def test_a_key_is_forgotten_after_a_day() -> None:
    simulator, path = shop()
    for wait, expected in ((DAY, 100), (1, 200)):
        ask(simulator, "POST", f"{path}/captures", {"captured_amount": 100}, key="k")
        simulator.advance(wait)
        ask(simulator, "POST", f"{path}/captures", {"captured_amount": 100}, key="k")
        assert captured(simulator, path) == expected


def test_a_simulator_that_forgets_keys_has_the_effect_again() -> None:
    simulator, path = shop(switches=Switches(keys="forgotten"))
    for _ in range(2):
        ask(simulator, "POST", f"{path}/captures", {"captured_amount": 100}, key="k")
    assert captured(simulator, path) == 200


def test_an_order_expires_when_the_clock_passes_its_time() -> None:
    simulator, path = shop({"order_amount": 1000, "expires_at": "2026-03-02T09:30:10.000Z"})
    simulator.advance(9)
    assert ask(simulator, "GET", path).json()["status"] == "AUTHORIZED"
    simulator.advance(1)
    order = ask(simulator, "GET", path).json()
    assert (order["status"], order["remaining_authorized_amount"]) == ("EXPIRED", 0)
    assert ask(simulator, "POST", f"{path}/captures", {"captured_amount": 1}).json()["error_code"] == (
        "CAPTURE_NOT_ALLOWED"
    )


def test_a_part_captured_order_expires_unless_the_switch_says_otherwise() -> None:
    given = {"order_amount": 1000, "status": "PART_CAPTURED", "expires_at": "2026-03-03T00:00:00Z"}
    for expires, status, refunded in ((True, "EXPIRED", 403), (False, "PART_CAPTURED", 201)):
        simulator, path = shop(given, Switches(part_captured_expiry="EXPIRED" if expires else "PART_CAPTURED"))
        simulator.advance(DAY)
        order = ask(simulator, "GET", path).json()
        assert (order["status"], order["remaining_authorized_amount"]) == (status, 0)
        assert ask(simulator, "POST", f"{path}/refunds", {"refunded_amount": 500}).status == refunded


def test_an_order_made_with_a_time_in_the_past_stays_as_it_was_made_until_it_is_extended() -> None:
    simulator, path = shop({"order_amount": 1000, "expires_at": "2022-08-05T00:00:00.000Z"})
    assert ask(simulator, "GET", path).json()["status"] == "AUTHORIZED"
    assert ask(simulator, "POST", f"{path}/extend-authorization-time").status == 204
    simulator.advance(29 * DAY)
    assert ask(simulator, "GET", path).json()["status"] == "EXPIRED"


def test_a_finished_order_does_not_expire() -> None:
    simulator, path = shop({"status": "CAPTURED"})
    before = ask(simulator, "GET", path)
    simulator.advance(400 * DAY)
    assert ask(simulator, "GET", path) == before


def test_a_reset_brings_everything_back() -> None:
    simulator = Simulator(clock=lambda: MORNING)
    before = ask(simulator, "GET", "/sandbox/orders").json()
    path = f"/orders/{before[0]['order_id']}"
    order = ask(simulator, "GET", path)
    ask(simulator, "POST", f"{path}/cancel", key="k")
    simulator.advance(100 * DAY)
    simulator.add_order({})
    simulator.reset()
    assert ask(simulator, "GET", "/sandbox/orders").json() == before
    assert ask(simulator, "GET", path) == order
    assert ask(simulator, "POST", f"{path}/captures", {"captured_amount": 1}, key="k").status == 201
