"""The sandbox's own endpoints, and the simulator behind an HTTP transport with a line that breaks on demand."""

from datetime import UTC, datetime
from typing import Any

import anyio
import httpx2 as httpx
import pytest

from kustom_mcp.app.sandbox import SandboxTransport
from kustom_mcp.simulator.app import LoggedRequest, Simulator
from tests.support.direct import ask, credentials

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
REFUNDS = "/ordermanagement/v1/orders/{order_id}/refunds"
CAPTURED = {"status": "CAPTURED", "order_amount": 1000}


def shop() -> tuple[Simulator, str]:
    simulator = Simulator(clock=lambda: NOON, seeds=())
    record = simulator.add_order(CAPTURED)
    return simulator, f"/orders/{record.order['order_id']}"


def client(simulator: Simulator, timeout: float | None = 5) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=SandboxTransport(simulator),
        base_url="http://sandbox.test/ordermanagement/v1",
        headers={"Authorization": credentials()},
        timeout=timeout,
    )


def script(simulator: Simulator, **fault: Any) -> None:
    assert ask(simulator, "POST", "/sandbox/faults", {"method": "POST", "path": REFUNDS} | fault).status == 204


def refunded(simulator: Simulator, path: str) -> int:
    return ask(simulator, "GET", path).json()["refunded_amount"]


def test_orders_are_listed_and_added() -> None:
    simulator, path = shop()
    added = ask(simulator, "POST", "/sandbox/orders", {"name": "mine", "status": "CANCELLED", "extra": 1})
    order = added.json()
    assert (added.status, order["status"], order["extra"], "name" in order) == (201, "CANCELLED", 1, False)
    assert ask(simulator, "GET", "/sandbox/orders").json() == [
        {"order_id": path.removeprefix("/orders/"), "name": "order-1", "status": "CAPTURED"},
        {"order_id": order["order_id"], "name": "mine", "status": "CANCELLED"},
    ]
    assert ask(simulator, "GET", f"/orders/{order['order_id']}").json() == order


def test_an_order_of_the_same_id_is_replaced() -> None:
    simulator, path = shop()
    part = {"order_id": path.removeprefix("/orders/").upper(), "order_amount": 7}
    assert ask(simulator, "POST", "/sandbox/orders", part).status == 201
    assert ask(simulator, "GET", path).json()["order_amount"] == 7
    assert len(simulator.store.records()) == 1


def test_the_clock_moves_and_a_reset_moves_it_back() -> None:
    simulator, path = shop()
    assert ask(simulator, "POST", "/sandbox/clock", {"advance_seconds": 86400}).status == 204
    ask(simulator, "POST", f"{path}/refunds", {"refunded_amount": 1})
    assert ask(simulator, "GET", path).json()["refunds"][0]["refunded_at"] == "2026-03-03T12:00:00.000Z"
    assert [entry["status"] for entry in ask(simulator, "GET", "/sandbox/requests").json()] == [201, 200]
    assert ask(simulator, "POST", "/sandbox/reset").status == 204
    assert (simulator.store.now(), simulator.requests, ask(simulator, "GET", "/sandbox/orders").json()) == (
        NOON,
        [],
        [],
    )


BAD: list[tuple[str, Any]] = [
    ("orders", []),
    ("orders", {"order_amount": "1"}),
    ("orders", {"captures": None}),
    ("orders", {"order_lines": [{"quantity": 1.5}]}),
    ("orders", {"created_at": "yesterday"}),
    ("orders", {"initial_payment_method": "CARD", "expires_at": "soon"}),
    ("clock", {}),
    ("clock", {"advance_seconds": -1}),
    ("faults", {"method": "POST", "path": REFUNDS, "fault": "flood"}),
    ("faults", {"method": "POST", "path": "orders", "fault": "reset"}),
    ("faults", {"method": "POST", "path": REFUNDS, "fault": "status", "status": 99}),
    ("faults", {"method": "POST", "path": REFUNDS, "fault": "delay", "seconds": "1"}),
    ("faults", {"method": "POST", "path": REFUNDS, "fault": "delay", "seconds": -1}),
    ("faults", {"method": "POST", "path": REFUNDS, "fault": "reset", "times": 0}),
    ("faults", {"method": "POST", "path": REFUNDS, "fault": "status", "headers": {"X": "a\r\nb"}}),
]


@pytest.mark.parametrize(("call", "body"), BAD)
def test_what_the_sandbox_cannot_follow_is_refused(call: str, body: Any) -> None:
    simulator, _ = shop()
    assert ask(simulator, "POST", f"/sandbox/{call}", body).status == 400
    assert (len(simulator.store.records()), simulator.faults.waiting()) == (1, ())


def test_the_sandbox_has_nothing_else() -> None:
    simulator, _ = shop()
    assert ask(simulator, "GET", "/sandbox/clock").status == 404
    assert ask(simulator, "POST", "/sandbox/clock", "\ud800").status == 400


async def test_the_transport_answers_as_the_simulator_does() -> None:
    simulator, path = shop()
    async with client(simulator) as http:
        made = await http.post(f"{path}/refunds", json={"refunded_amount": 10})
        assert (made.status_code, made.content) == (201, b"")
        found = await http.get(httpx.URL(made.headers["location"]).path.removeprefix("/ordermanagement/v1"))
        assert found.json()["refund_id"] == made.headers["refund-id"]
        assert (await http.get(path, headers={"Authorization": "none"})).status_code == 401


async def test_a_status_fault_is_answered_before_any_effect_and_used_up() -> None:
    simulator, path = shop()
    script(simulator, fault="status", status=503, times=2, headers={"Retry-After": "2"})
    async with client(simulator) as http:
        answers = [await http.post(f"{path}/refunds", json={"refunded_amount": 10}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 201]
    assert (answers[0].json()["error_code"], answers[0].headers["retry-after"]) == ("TEMPORARILY_UNAVAILABLE", "2")
    assert refunded(simulator, path) == 10
    assert simulator.faults.waiting() == ()


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"status": 429}, "TOO_MANY_REQUESTS"),
        ({"status": 403, "code": "REFUND_NOT_ALLOWED"}, "REFUND_NOT_ALLOWED"),
        ({}, "INTERNAL_ERROR"),
        ({"status": 418}, "BAD_REQUEST"),
    ],
)
async def test_a_status_fault_has_the_error_body_that_fits(fault: dict[str, Any], code: str) -> None:
    simulator, path = shop()
    script(simulator, fault="status", **fault)
    async with client(simulator) as http:
        assert (await http.post(f"{path}/refunds", json={})).json()["error_code"] == code


async def test_a_status_fault_may_have_no_body_or_its_own() -> None:
    simulator, path = shop()
    script(simulator, fault="status", status=401)
    script(simulator, fault="status", status=302, headers={"Location": "http://elsewhere.test/"})
    script(simulator, fault="status", status=403, body="<html>blocked</html>")
    async with client(simulator) as http:
        answers = [await http.post(f"{path}/refunds", json={}) for _ in range(3)]
    assert [(answer.status_code, answer.text) for answer in answers] == [
        (401, ""),
        (302, ""),
        (403, "<html>blocked</html>"),
    ]
    assert answers[1].headers["location"] == "http://elsewhere.test/"


async def test_a_lost_response_comes_after_the_effect_and_a_reset_before_it() -> None:
    simulator, path = shop()
    for fault, expected in (("reset", 0), ("lose_response", 10)):
        script(simulator, fault=fault)
        async with client(simulator) as http:
            with pytest.raises(httpx.ReadError):
                await http.post(f"{path}/refunds", json={"refunded_amount": 10})
        assert refunded(simulator, path) == expected


async def test_a_late_status_and_a_truncated_answer_come_after_the_effect() -> None:
    simulator, path = shop()
    script(simulator, fault="late_status", status=500)
    ask(simulator, "POST", "/sandbox/faults", {"method": "*", "path": "/orders/{order_id}", "fault": "truncate"})
    async with client(simulator) as http:
        assert (await http.post(f"{path}/refunds", json={"refunded_amount": 10})).status_code == 500
        broken = await http.get(path)
        assert broken.status_code == 200
        with pytest.raises(ValueError, match=r"Unterminated|Expecting|delimiter"):
            broken.json()
        assert (await http.get(path)).json()["refunded_amount"] == 10


async def test_a_delay_is_waited_for_and_then_proceeds() -> None:
    simulator, path = shop()
    script(simulator, fault="delay", seconds=1)
    started = anyio.current_time()
    async with client(simulator) as http:
        assert (await http.post(f"{path}/refunds", json={"refunded_amount": 10})).status_code == 201
    assert anyio.current_time() - started > 0.9


async def test_a_client_that_waits_no_longer_does_not_stop_the_effect() -> None:
    simulator, path = shop()
    script(simulator, fault="delay", seconds=60, times=2)
    async with client(simulator, timeout=0.01) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.post(f"{path}/refunds", json={"refunded_amount": 10})
    assert refunded(simulator, path) == 10
    async with client(simulator, timeout=None) as http:
        with anyio.move_on_after(0.01):
            await http.post(f"{path}/refunds", json={"refunded_amount": 10})
    assert refunded(simulator, path) == 20


async def test_a_fault_meets_only_its_method_and_path() -> None:
    simulator, path = shop()
    script(simulator, fault="reset", path="/orders/{order_id}/refunds")
    async with client(simulator) as http:
        assert (await http.get(path)).status_code == 200
        assert (await http.post(f"{path}/acknowledge")).status_code == 204
        with pytest.raises(httpx.ReadError):
            await http.post(f"{path}/refunds", json={"refunded_amount": 10})
    assert simulator.requests[-1] == LoggedRequest(
        "POST", f"/ordermanagement/v1{path}/refunds", None, {"refunded_amount": 10}, None, fault="reset"
    )
