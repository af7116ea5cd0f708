"""Adding shipments to an order or to a capture: both append, and the list shows them when it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kustom_mcp.api.endpoint import Write
from kustom_mcp.api.models import Order, ShippingInfo
from kustom_mcp.calls.confirmation import Proposal, Watch
from kustom_mcp.calls.write import Call
from kustom_mcp.schema.arguments import ShipmentIn, sent
from kustom_mcp.schema.result import Json, Result
from kustom_mcp.text import alike
from kustom_mcp.tools.amounts import short

NOT_TOLD = "This tells the customer through Kustom; it does not book anything with the carrier."


async def add_shipments(
    call: Call,
    endpoint: Write,
    shipments: Sequence[ShipmentIn],
    held: Callable[[Order], list[ShippingInfo] | None],
    **ids: str,
) -> Result:
    """Append shipments. `held` gives the list that they are appended to, None where Kustom does not return it."""
    added = [sent(shipment) for shipment in shipments]
    call.policy.tracking_links(added)

    def facts(order: Order) -> list[dict[str, Any]]:
        return [shipment.model_dump(mode="json", exclude_none=True) for shipment in held(order) or ()]

    # Whether the list is returned is known after the first read only, so the watch starts without a place to look.
    order = await call.order(
        ids["order_id"], lambda order: Watch(depends=facts, shows=facts if held(order) is not None else None)
    )
    call.require(endpoint, order)
    body = {"shipping_info": added}
    count = "1 shipment" if len(added) == 1 else f"{len(added)} shipments"
    proposal = Proposal(
        action="shipment",
        effect=f"Add {count} to {short(order)}.",
        expects=[*facts(order), *added],
        body=body,
    )
    allowed = call.unasked(proposal, "it moves no money; a wrong entry is corrected by another one")
    entry = "capture" if "capture_id" in ids else None

    def missing(now: Order) -> bool:
        """Return whether the list is as it was, without what was sent: a number that it has may be kept once."""
        before, after = held(order), held(now)
        return bool(before is not None and after == before and not all(_listed(one, facts(order)) for one in added))

    await call.write(endpoint, allowed, body, contradicted=missing, check_effect=None, entry=entry, **ids)
    result, _ = await call.applied(f"Added {count} to {short(order)}.", next_step=NOT_TOLD)
    return result


def _listed(sent: Mapping[str, Json], listed: Sequence[Mapping[str, Json]]) -> bool:
    """Return whether one of these shipments has every field of this one."""
    return any(all(alike(str(one.get(name, "")), str(value)) for name, value in sent.items()) for one in listed)
