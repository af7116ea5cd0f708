"""The simulator's answers against the published description of the API, where that file is at hand."""

from datetime import UTC, datetime
from typing import Any

import openapi_schema_validator
import pytest

from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.demo_orders import demo_orders
from kustom_mcp.simulator.routes import ROUTES
from kustom_mcp.simulator.seeds import Seed
from kustom_mcp.simulator.wire import Response
from tests.support.description import DESCRIPTION, MISSING, description, put_right
from tests.support.direct import ask

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PREFIX = "/ordermanagement/v1"

pytestmark = pytest.mark.skipif(not DESCRIPTION.is_file(), reason=MISSING)


def schema_of(method: str, template: str, status: int) -> Any:
    """The schema of a documented answer; None without content; KeyError for one that is not documented."""
    answer = description()["paths"][PREFIX + template][method.lower()]["responses"][str(status)]
    content = answer.get("content", {}).get("application/json")
    return put_right(content["schema"]) if content else None


def check(method: str, template: str, response: Response) -> None:
    schema = schema_of(method, template, response.status)
    if response.status in (201, 204):
        assert response.body == b""
        return
    openapi_schema_validator.validate(
        response.json(),
        schema,
        cls=openapi_schema_validator.OAS30Validator,
        format_checker=openapi_schema_validator.oas30_format_checker,
    )


def simulator() -> Simulator:
    return Simulator(clock=lambda: NOON)


def seeded(name: str) -> str:
    return next(f"/orders/{seed.order_id}" for seed in demo_orders() if seed.name == name)


def test_every_endpoint_of_the_description_is_there_and_no_other() -> None:
    described = {
        (method.upper(), path.removeprefix(PREFIX)) for path, item in description()["paths"].items() for method in item
    }
    assert {(route.method, route.template) for route in ROUTES} == described


@pytest.mark.parametrize("seed", demo_orders(), ids=lambda seed: seed.name)
def test_a_demo_order_is_as_described(seed: Seed) -> None:
    server = simulator()
    check("GET", "/orders/{order_id}", ask(server, "GET", f"/orders/{seed.order_id}"))
    captures = ask(server, "GET", f"/orders/{seed.order_id}/captures")
    check("GET", "/orders/{order_id}/captures", captures)
    for capture in captures.json():
        path = f"/orders/{seed.order_id}/captures/{capture['capture_id']}"
        check("GET", "/orders/{order_id}/captures/{capture_id}", ask(server, "GET", path))
        options = ask(server, "GET", f"{path}/extend-due-date-options")
        check("GET", "/orders/{order_id}/captures/{capture_id}/extend-due-date-options", options)


LINE: dict[str, Any] = {"name": "x", "reference": "x", "quantity": 1, "unit_price": 9, "total_amount": 9}
WRITES: list[tuple[str, str, Any, str, str | None]] = [
    ("POST", "/acknowledge", None, "authorized-sek", "cancelled-eur"),
    ("PATCH", "/authorization", {"order_amount": 9, "order_lines": [LINE]}, "authorized-sek", "captured-sek"),
    ("PATCH", "/merchant-references", {"merchant_reference1": "x"}, "authorized-sek", "cancelled-eur"),
    ("PATCH", "/customer-details", {"shipping_address": {"city": "Lund"}}, "authorized-sek", "captured-sek"),
    ("POST", "/shipping-info", {"shipping_info": [{"shipping_method": "Home"}]}, "authorized-sek", None),
    ("POST", "/cancel", None, "authorized-sek", "captured-sek"),
    ("POST", "/extend-authorization-time", None, "expiring-soon-sek", "expired-sek"),
    ("POST", "/release-remaining-authorization", None, "part-captured-eur", "authorized-sek"),
    ("POST", "/captures", {"captured_amount": 9, "order_lines": [LINE]}, "authorized-sek", "captured-sek"),
    ("POST", "/refunds", {"refunded_amount": 9, "order_lines": [LINE]}, "captured-sek", "authorized-sek"),
]


@pytest.mark.parametrize(("method", "call", "body", "good", "bad"), WRITES)
def test_a_write_and_its_refusal_are_as_described(
    method: str, call: str, body: Any, good: str, bad: str | None
) -> None:
    server = simulator()
    template = "/orders/{order_id}" + call
    accepted = ask(server, method, seeded(good) + call, body)
    assert accepted.status in (201, 204)
    check(method, template, accepted)
    check("GET", "/orders/{order_id}", ask(server, "GET", seeded(good)))
    if bad is not None:
        refused = ask(server, method, seeded(bad) + call, body)
        assert refused.status == 403
        check(method, template, refused)


def test_a_refund_and_what_is_not_there_are_as_described() -> None:
    server = simulator()
    order = ask(server, "GET", seeded("partly-refunded-pln")).json()
    path = f"/orders/{order['order_id']}"
    refund = ask(server, "GET", f"{path}/refunds/{order['refunds'][0]['refund_id']}")
    check("GET", "/orders/{order_id}/refunds/{refund_id}", refund)
    for template in ("/orders/{order_id}/refunds/{refund_id}", "/orders/{order_id}/captures/{capture_id}"):
        kind = template.split("/")[3]
        check("GET", template, ask(server, "GET", f"{path}/{kind}/none"))
    check("GET", "/orders/{order_id}/captures", ask(server, "GET", "/orders/none/captures"))
