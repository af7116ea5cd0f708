"""The switches for the open questions, and somebody else who acts on an order in Kustom's portal."""

from datetime import UTC, datetime
from typing import Any

import pytest

from kustom_mcp.cli.simulate import assumed
from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.control import PORTAL_NAMES
from kustom_mcp.simulator.routes import ROUTES
from kustom_mcp.simulator.switches import ABOUT, VALUES, Switches
from tests.support.direct import ask

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LINES = [
    {"reference": " mug ", "name": " Mug", "quantity": 1, "unit_price": 300, "total_amount": 300},
    {"reference": "jug", "name": "Jug", "quantity": 1, "unit_price": 100, "total_amount": 100},
]
SENT = {"captured_amount": 400, "reference": " km-1 ", "order_lines": LINES}


def shop(**switches: Any) -> tuple[Simulator, str]:
    simulator = Simulator(clock=lambda: NOON, seeds=(), switches=Switches(**switches))
    return simulator, f"/orders/{simulator.add_order({'order_amount': 1000}).order['order_id']}"


def two_captures(entries: str) -> tuple[list[dict[str, Any]], dict[str, Any], str]:
    """The captures that an order shows after a capture of 400 and one of 1, what the first shows alone, and its id."""
    simulator, path = shop(entries=entries)
    made = ask(simulator, "POST", f"{path}/captures", SENT).headers["Capture-Id"]
    ask(simulator, "POST", f"{path}/captures", {"captured_amount": 1})
    shown = ask(simulator, "GET", path).json()["captures"]
    assert ask(simulator, "GET", f"{path}/captures").json() == shown
    return shown, ask(simulator, "GET", f"{path}/captures/{made}").json(), made


def test_the_first_value_of_a_switch_is_what_the_sandbox_assumes() -> None:
    assert Switches().values() == {name: values[0] for name, values in VALUES.items()}
    assert set(VALUES) == set(ABOUT)


def test_every_value_can_be_assumed_by_its_words() -> None:
    for name, values in VALUES.items():
        for value in values:
            word = value.replace("SECONDS", "2.5")
            assert getattr(assumed([f"{name} = {word}"]), name) == word


@pytest.mark.parametrize("wrong", ["key=kept", "keys", "keys=lost", "effect=late:SECONDS", "max_body=1", ""])
def test_another_name_or_value_is_refused_with_what_is_possible(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"keys, entries, effect|kept, forgotten|at_once, late:SECONDS"):
        assumed([wrong])
    simulator, _ = shop()
    name, _, value = wrong.partition("=")
    assert ask(simulator, "POST", "/sandbox/assume", {name: value}).status == 400
    assert simulator.store.switches == Switches()


def test_assumptions_change_over_http_until_the_sandbox_is_reset() -> None:
    simulator, _ = shop(limits="422")
    assert ask(simulator, "POST", "/sandbox/assume", {"keys": "forgotten", "malformed_order_id": 400}).status == 204
    assert ask(simulator, "POST", "/sandbox/assume", {"name": "full_refund", "value": "CLOSED"}).status == 204
    expected = Switches(limits="422", keys="forgotten", malformed_order_id="400", full_refund="CLOSED")
    assert ask(simulator, "GET", "/sandbox/assume").json() == expected.values()
    ask(simulator, "POST", "/sandbox/reset")
    assert simulator.store.switches == Switches(limits="422")


def test_entries_are_read_back_in_other_words() -> None:
    plain, alone, made = two_captures("verbatim")
    assert [entry["captured_amount"] for entry in plain] == [400, 1]
    assert (plain[0], plain[0]["order_lines"], plain[0]["reference"]) == (alone, LINES, " km-1 ")

    (trimmed, _), alone, _ = two_captures("trimmed")
    assert trimmed == alone
    assert (trimmed["reference"], trimmed["order_lines"][0]["reference"]) == ("km-1", "mug")

    assert two_captures("without_lines")[0] == [
        {name: value for name, value in entry.items() if name != "order_lines"} for entry in plain
    ]
    without_id, alone, _ = two_captures("without_id")
    assert without_id == [{name: value for name, value in entry.items() if name != "capture_id"} for entry in plain]
    assert alone == without_id[0]

    newest_first, alone, _ = two_captures("reordered")
    assert [entry["captured_amount"] for entry in newest_first] == [1, 400]
    assert (newest_first[1], alone["order_lines"], alone["capture_id"]) == (alone, LINES[::-1], made)


def test_an_entry_that_is_shown_otherwise_is_stored_as_it_was_sent() -> None:
    simulator, path = shop(entries="without_lines")
    ask(simulator, "POST", f"{path}/captures", SENT)
    ask(simulator, "POST", f"{path}/refunds", {"refunded_amount": 300, "order_lines": LINES[:1]})
    simulator.assume({"entries": "verbatim"})
    (capture,) = ask(simulator, "GET", f"{path}/captures").json()
    assert (capture["order_lines"], capture["refunded_amount"]) == (LINES, 300)


def test_reads_see_a_late_effect_after_its_seconds_and_writes_at_once() -> None:
    simulator, path = shop(effect="late:2.5")
    before = ask(simulator, "GET", path).json()
    made = ask(simulator, "POST", f"{path}/captures", {"captured_amount": 600}).headers["Capture-Id"]
    simulator.advance(2)
    refused = ask(simulator, "POST", f"{path}/captures", {"captured_amount": 600})
    ask(simulator, "POST", f"{path}/refunds", {"refunded_amount": 1})
    assert (refused.status, refused.json()["error_code"]) == (403, "CAPTURE_NOT_ALLOWED")
    assert ask(simulator, "GET", path).json() == before
    assert ask(simulator, "GET", f"{path}/captures").json() == []
    assert ask(simulator, "GET", f"{path}/captures/{made}").status == 404

    simulator.advance(0.5)
    after = ask(simulator, "GET", path).json()
    assert (after["captured_amount"], after["refunded_amount"], after["status"]) == (600, 0, "PART_CAPTURED")
    assert ask(simulator, "GET", f"{path}/captures/{made}").status == 200
    simulator.advance(2)
    assert ask(simulator, "GET", path).json()["refunded_amount"] == 1


def test_what_is_so_already_can_be_refused_or_left_as_it_is() -> None:
    shipment = {"shipping_info": [{"tracking_number": "1"}]}
    amount = {"order_amount": 1000, "order_lines": LINES}
    for given, statuses, shipments in (
        ({}, [204, 204, 204, 204, 204, 204], 2),
        ({"second_acknowledge": "refused", "equal_amount": "refused", "shipments": "once"}, [204, 403] + [204] * 4, 1),
    ):
        simulator, path = shop(**given)
        calls = [("POST", "/acknowledge", None)] * 2 + [("POST", "/shipping-info", shipment)] * 2
        made = [ask(simulator, method, path + call, body) for method, call, body in calls]
        lower = ask(simulator, "PATCH", f"{path}/authorization", amount | {"order_amount": 999})
        other = ask(simulator, "POST", f"{path}/shipping-info", {"shipping_info": [{"tracking_number": "2"}]})
        assert [answer.status for answer in (*made, lower, other)] == statuses
        equal = ask(simulator, "PATCH", f"{path}/authorization", amount | {"order_amount": 999})
        assert equal.status == (403 if given else 204)
        assert len(ask(simulator, "GET", path).json()["shipping_info"]) == shipments + 1


def test_somebody_else_acts_on_an_order_without_a_request_of_ours() -> None:
    simulator, path = shop()
    order_id = path.rpartition("/")[2]

    def portal(operation: str, **more: Any) -> tuple[int, dict[str, str]]:
        given = {"order_id": order_id, "operation": operation} | more
        answer = ask(simulator, "POST", "/sandbox/portal", given)
        return answer.status, dict(answer.headers)

    status, headers = portal("kustom_capture_order", body={"captured_amount": 600})
    assert status == 201
    shipment = {"shipping_info": [{"tracking_number": "1"}]}
    assert portal("appendCaptureShippingInfo", capture_id=headers["Capture-Id"], body=shipment)[0] == 204
    assert portal("refund", body={"refunded_amount": 100})[0] == 201
    assert portal("cancel")[0] == 403
    assert portal("refund", body={"refunded_amount": "1"})[0] == 400
    assert portal("release")[0] == 204
    assert portal("undo")[0] == 400
    assert simulator.requests == []
    order = ask(simulator, "GET", path).json()
    assert (order["status"], order["captured_amount"], order["refunded_amount"]) == ("CAPTURED", 600, 100)
    assert order["captures"][0]["shipping_info"] == shipment["shipping_info"]
    assert ask(simulator, "POST", "/sandbox/portal", {"order_id": "0", "operation": "cancel"}).status == 404


def test_everything_that_writes_can_be_done_in_the_portal() -> None:
    writes = {route.operation for route in ROUTES if route.method != "GET"}
    assert {route.operation for route in PORTAL_NAMES.values()} == writes
