"""Invariants of every order after any sequence of calls, refused ones and repeats included."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.states import Status
from tests.support.direct import ask

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
AMOUNTS = st.integers(0, 1200)
REFERENCES = st.sampled_from(["A", "B", "unknown"])


class OneOrder(RuleBasedStateMachine):
    """An order of 1000 in two lines, and everything that can be asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.simulator = Simulator(clock=lambda: NOON, seeds=())
        lines = [
            {"reference": "A", "quantity": 2, "unit_price": 300},
            {"reference": "B", "quantity": 1, "unit_price": 400},
        ]
        self.record = self.simulator.add_order({"order_lines": lines})
        self.path = f"/orders/{self.record.order['order_id']}"
        self.keys = 0
        self.last: tuple[str, str, Any] | None = None

    def read(self) -> Any:
        return ask(self.simulator, "GET", self.path).json()

    def send(self, method: str, call: str, body: Any = None) -> None:
        before = self.read()
        self.keys += 1
        self.last = (method, call, body)
        response = ask(self.simulator, method, self.path + call, body, key=f"key-{self.keys}")
        if response.status >= 400:
            assert self.read() == before

    @rule(amount=AMOUNTS, reference=REFERENCES)
    def capture(self, amount: int, reference: str) -> None:
        lines = [{"reference": reference, "name": "x", "quantity": 1, "unit_price": amount, "total_amount": amount}]
        self.send("POST", "/captures", {"captured_amount": amount, "order_lines": lines})

    @rule(amount=AMOUNTS, reference=REFERENCES)
    def refund(self, amount: int, reference: str) -> None:
        lines = [{"reference": reference, "name": "x", "quantity": 1, "unit_price": amount, "total_amount": amount}]
        self.send("POST", "/refunds", {"refunded_amount": amount, "order_lines": lines})

    @rule(amount=AMOUNTS)
    def reprice(self, amount: int) -> None:
        self.send("PATCH", "/authorization", {"order_amount": amount, "order_lines": []})

    @rule(call=st.sampled_from(["/cancel", "/release-remaining-authorization", "/extend-authorization-time"]))
    def end_or_extend(self, call: str) -> None:
        self.send("POST", call)

    @rule(days=st.integers(1, 20))
    def wait(self, days: int) -> None:
        self.simulator.advance(days * 86400)

    @precondition(lambda self: self.keys > 0)
    @rule()
    def repeat_the_last_call_with_its_key(self) -> None:
        assert self.last is not None
        method, call, body = self.last
        before = self.read()
        remembered = self.simulator.store.recall("demo", f"key-{self.keys}")
        again = ask(self.simulator, method, self.path + call, body, key=f"key-{self.keys}")
        if remembered is not None:
            assert again == remembered
            assert self.simulator.requests[-1].replayed
        if remembered is not None or again.status >= 400:
            assert self.read() == before

    @invariant()
    def the_sums_agree(self) -> None:
        order = self.read()
        at = self.record.position
        assert at.captured + at.remaining + at.released == at.ordered
        assert 0 <= order["refunded_amount"] <= order["captured_amount"] <= order["order_amount"]
        assert sum(entry["captured_amount"] for entry in order["captures"]) == order["captured_amount"]
        assert sum(entry["refunded_amount"] for entry in order["refunds"]) == order["refunded_amount"]
        assert sum(entry["refunded_amount"] for entry in order["captures"]) <= order["refunded_amount"]
        assert all(0 <= entry["refunded_amount"] <= entry["captured_amount"] for entry in order["captures"])
        assert order["original_order_amount"] == 1000

    @invariant()
    def the_status_fits_the_sums(self) -> None:
        order = self.read()
        if order["status"] in (Status.AUTHORIZED, Status.PART_CAPTURED):
            assert order["remaining_authorized_amount"] == order["order_amount"] - order["captured_amount"]
            assert bool(order["captured_amount"]) == (order["status"] == Status.PART_CAPTURED)
        else:
            assert order["remaining_authorized_amount"] == 0
        assert (order["status"] == Status.CANCELLED) <= (order["captured_amount"] == 0)


TestOneOrder = OneOrder.TestCase
TestOneOrder.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
