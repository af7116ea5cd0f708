"""The routes: method, path, operation and rules of the body; the contents page of the API.

The legacy PATCH of a capture's customer details is left out: no description of today has it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from kustom_mcp.simulator import capture_calls, limits, order_calls, refund_calls
from kustom_mcp.simulator.calls import ApiCall
from kustom_mcp.simulator.limits import Shape
from kustom_mcp.simulator.wire import Response

PREFIX: Final = ("ordermanagement", "v1")


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint. `body` is None where any body is ignored; `lost` is the code for an unknown order."""

    method: str
    template: str
    operation: str
    perform: Callable[[ApiCall], Response]
    body: Shape | None = None
    lost: str = "NO_SUCH_ORDER"


_ORDER: Final = "/orders/{order_id}"
_CAPTURES: Final = f"{_ORDER}/captures"
_CAPTURE: Final = f"{_CAPTURES}/{{capture_id}}"
_REFUNDS: Final = f"{_ORDER}/refunds"

ROUTES: Final = (
    Route("GET", _ORDER, "getOrder", order_calls.get_order),
    Route("POST", f"{_ORDER}/acknowledge", "acknowledgeOrder", order_calls.acknowledge_order),
    Route(
        "PATCH",
        f"{_ORDER}/authorization",
        "updateAuthorization",
        order_calls.update_authorization,
        limits.UPDATE_AUTHORIZATION,
    ),
    Route(
        "PATCH",
        f"{_ORDER}/merchant-references",
        "updateMerchantReferences",
        order_calls.update_merchant_references,
        limits.UPDATE_MERCHANT_REFERENCES,
    ),
    Route(
        "PATCH",
        f"{_ORDER}/customer-details",
        "updateCustomerDetails",
        order_calls.update_customer_details,
        limits.UPDATE_CUSTOMER_DETAILS,
    ),
    Route(
        "POST",
        f"{_ORDER}/shipping-info",
        "appendOrderShippingInfo",
        order_calls.append_order_shipping_info,
        limits.UPDATE_SHIPPING_INFO,
    ),
    Route("POST", f"{_ORDER}/cancel", "cancelOrder", order_calls.cancel_order),
    Route(
        "POST", f"{_ORDER}/extend-authorization-time", "extendAuthorizationTime", order_calls.extend_authorization_time
    ),
    Route(
        "POST",
        f"{_ORDER}/release-remaining-authorization",
        "releaseRemainingAuthorization",
        order_calls.release_remaining_authorization,
    ),
    Route("GET", _CAPTURES, "listCaptures", capture_calls.list_captures),
    Route("POST", _CAPTURES, "captureOrder", capture_calls.capture_order, limits.CAPTURE),
    Route("GET", _CAPTURE, "getCapture", capture_calls.get_capture),
    Route(
        "POST",
        f"{_CAPTURE}/shipping-info",
        "appendCaptureShippingInfo",
        capture_calls.append_capture_shipping_info,
        limits.UPDATE_SHIPPING_INFO,
    ),
    Route("POST", f"{_CAPTURE}/trigger-send-out", "triggerSendOut", capture_calls.trigger_send_out),
    Route(
        "PATCH", f"{_CAPTURE}/extend-due-date", "extendDueDate", capture_calls.extend_due_date, limits.EXTEND_DUE_DATE
    ),
    Route(
        "GET", f"{_CAPTURE}/extend-due-date-options", "listExtendDueDateOptions", capture_calls.list_due_date_options
    ),
    Route("POST", _REFUNDS, "refundOrder", refund_calls.refund_order, limits.REFUND, lost="NOT_FOUND"),
    Route("GET", f"{_REFUNDS}/{{refund_id}}", "getRefund", refund_calls.get_refund, lost="NOT_FOUND"),
)


def match_template(template: str, segments: tuple[str, ...]) -> dict[str, str] | None:
    """Return the values of the template's placeholders, or None where the path is another one."""
    parts = template.split("/")[1:]
    if len(parts) != len(segments):
        return None
    values: dict[str, str] = {}
    for part, segment in zip(parts, segments, strict=True):
        if part.startswith("{") and segment:
            values[part[1:-1]] = segment
        elif part != segment:
            return None
    return values


def find_route(method: str, segments: tuple[str, ...]) -> tuple[Route, Mapping[str, str]] | None:
    """Return the endpoint that a request names, with the ids in its path."""
    if segments[: len(PREFIX)] != PREFIX:
        return None
    rest = segments[len(PREFIX) :]
    for route in ROUTES:
        if route.method == method:
            ids = match_template(route.template, rest)
            if ids is not None:
                return route, ids
    return None
