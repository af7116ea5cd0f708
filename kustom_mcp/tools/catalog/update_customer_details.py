"""kustom_update_customer_details: the shipping address of an order, with phone and e-mail."""

from collections.abc import Mapping, Sequence
from typing import Any

from kustom_mcp.api.endpoints import UPDATE_CUSTOMER_DETAILS
from kustom_mcp.api.models import Order
from kustom_mcp.calls.confirmation import Proposal, Watch, unset
from kustom_mcp.calls.write import Call
from kustom_mcp.orders import third_party
from kustom_mcp.orders.facts import reported
from kustom_mcp.schema.arguments import Address, ClearedFields, OrderId, sent
from kustom_mcp.schema.parsing import with_cleared
from kustom_mcp.schema.result import Code, Json, Result, ToolError
from kustom_mcp.tools.amounts import short
from kustom_mcp.tools.tool import Effect, operation

MAY_BE_MANDATORY = (
    "given_name",
    "family_name",
    "street_address",
    "postal_code",
    "city",
    "country",
    "email",
    "phone",
)
"""Fields that Kustom may refuse to clear: it clears none that is mandatory (KL), and names none of these."""


def _may_clear(cleared: Sequence[str], address: Mapping[str, str]) -> list[str]:
    """Refuse to clear the region of an address in the US, where it is required (KL). ToolError INVALID_ARGUMENT.

    `address`: as it would be. Returns a warning for what Kustom may refuse to clear.
    """
    if "region" in cleared and address.get("country", "").upper() == "US":
        raise ToolError(
            Code.INVALID_ARGUMENT,
            "An address in the United States needs a region, so Kustom does not clear it.",
            next_step="Ask the person for the right region, and send it in shipping_address.",
            field="clear",
        )
    named = [name for name in MAY_BE_MANDATORY if name in cleared]
    if not named:
        return []
    return [f"Kustom clears no field that an address must have, and may refuse to clear {', '.join(named)}."]


def _stored(order: Order) -> dict[str, str]:
    address = order.shipping_address
    fields: dict[str, Any] = address.model_dump(exclude_none=True, mode="json") if address else {}
    return {name: value for name, value in fields.items() if isinstance(value, str) and value}


def _legible(order: Order) -> dict[str, str]:
    """The stored fields that tell one value from another: not those that Kustom returns with stars."""
    return {name: _same(name, value) for name, value in _stored(order).items() if "*" not in value}


def _same(name: str, value: str) -> str:
    return value.upper() if name == "country" else value


@operation(UPDATE_CUSTOMER_DETAILS, Effect.REPLACES, toolset="orders", label="Change the address")
async def update_customer_details(
    call: Call, order_id: OrderId, shipping_address: Address | None = None, clear: ClearedFields | None = None
) -> Result:
    """Correct the shipping address, phone or email of an order whose goods have not left. Only the fields that are
    given change. The billing address cannot be changed."""
    wanted = with_cleared(sent(shipping_address) if shipping_address else {}, clear)
    if not wanted:
        raise ToolError(
            Code.INVALID_ARGUMENT,
            "Send the fields of shipping_address to change, or name in clear those to empty.",
            next_step="Ask the person for the new address.",
            field="shipping_address",
        )

    def address(order: Order) -> dict[str, str]:
        stored = _stored(order)
        return {name: _same(name, stored.get(name, "")) for name in wanted}

    watch = Watch(depends=lambda order: [order.status, _stored(order)], shows=address, recurs=True)
    order = await call.order(order_id, watch)
    expected = {name: _same(name, value) for name, value in wanted.items()}
    hides = call.policy.hides_addresses
    if address(order) == expected and not hides:
        call.already(f"{short(order).capitalize()} has this shipping address already.")
    call.require(UPDATE_CUSTOMER_DETAILS, order)
    mandatory = _may_clear(clear or (), _stored(order) | wanted)
    body: dict[str, Json] = {"shipping_address": wanted}
    stored = _stored(order)
    told = [name for name in wanted if hides or _same(name, stored.get(name, "")) != expected[name]]
    masked = call.app.settings.pii == "masked"
    before_shown = third_party.masked(stored) if masked else third_party.cleaned(stored)
    approved = await call.approval(
        Proposal(
            action="change-address",
            effect=f"Change the shipping address of {short(order)}.",
            afterwards="The goods will be sent to the new address.",
            expects=expected,
            body=body,
            changes=[
                {"field": f"shipping_address.{name}", "before": before_shown.get(name), "after": wanted[name]}
                for name in told
            ],
            warnings=[*mandatory, *reported(order)],
        )
    )
    await call.write(
        UPDATE_CUSTOMER_DETAILS,
        approved,
        body,
        contradicted=lambda now: unset(expected, _legible(order), _legible(now)),
        order_id=order_id,
    )
    result, _ = await call.applied(f"Changed the shipping address of {short(order)}.")
    result.changes = [
        *result.changes,
        *({"field": f"shipping_address.{name}", "after": wanted[name]} for name in told),
    ]
    return result
