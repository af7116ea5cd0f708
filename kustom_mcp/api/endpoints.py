"""All eighteen endpoints of the API, in the order of its description.

Every one is in Klarna's description of the same API; those marked K are in Kustom's own as well. They are kept as a
table in one file, so that a difference from the documentation is found by reading the two side by side.
"""

from __future__ import annotations

from typing import Any, Final

from kustom_mcp.api.endpoint import Read, Write
from kustom_mcp.api.models import Capture, ExtendDueDateOptions, Order, Refund

_ORDER: Final = "/orders/{order_id}"
_CAPTURE: Final = _ORDER + "/captures/{capture_id}"

GET_ORDER: Final = Read("getOrder", _ORDER, Order)  # K
ACKNOWLEDGE_ORDER: Final = Write("acknowledgeOrder", "POST", _ORDER + "/acknowledge")  # K
UPDATE_AUTHORIZATION: Final = Write(
    "updateAuthorization", "PATCH", _ORDER + "/authorization", takes="UpdateAuthorization"
)  # K
UPDATE_MERCHANT_REFERENCES: Final = Write(
    "updateMerchantReferences", "PATCH", _ORDER + "/merchant-references", takes="UpdateMerchantReferences"
)  # K
UPDATE_CUSTOMER_DETAILS: Final = Write(
    "updateCustomerDetails", "PATCH", _ORDER + "/customer-details", takes="UpdateCustomerDetails"
)  # K
APPEND_ORDER_SHIPPING_INFO: Final = Write(
    "appendOrderShippingInfo", "POST", _ORDER + "/shipping-info", takes="UpdateShippingInfo"
)  # K
CANCEL_ORDER: Final = Write("cancelOrder", "POST", _ORDER + "/cancel")  # K
EXTEND_AUTHORIZATION_TIME: Final = Write("extendAuthorizationTime", "POST", _ORDER + "/extend-authorization-time")  # K
RELEASE_REMAINING_AUTHORIZATION: Final = Write(
    "releaseRemainingAuthorization", "POST", _ORDER + "/release-remaining-authorization"
)  # K
LIST_CAPTURES: Final = Read("listCaptures", _ORDER + "/captures", list[Capture])  # K
CAPTURE_ORDER: Final = Write(
    "captureOrder", "POST", _ORDER + "/captures", takes="CaptureRequest", gives="Capture-Id"
)  # K
GET_CAPTURE: Final = Read("getCapture", _CAPTURE, Capture)  # K
APPEND_CAPTURE_SHIPPING_INFO: Final = Write(
    "appendCaptureShippingInfo", "POST", _CAPTURE + "/shipping-info", takes="UpdateShippingInfo"
)  # KL + C
TRIGGER_SEND_OUT: Final = Write("triggerSendOut", "POST", _CAPTURE + "/trigger-send-out")  # KL only
EXTEND_DUE_DATE: Final = Write(
    "extendDueDate", "PATCH", _CAPTURE + "/extend-due-date", takes="ExtendDueDateRequest"
)  # KL only
LIST_DUE_DATE_OPTIONS: Final = Read(
    "listExtendDueDateOptions", _CAPTURE + "/extend-due-date-options", ExtendDueDateOptions
)  # KL only
REFUND_ORDER: Final = Write("refundOrder", "POST", _ORDER + "/refunds", takes="RefundRequest", gives="Refund-Id")  # K
GET_REFUND: Final = Read("getRefund", _ORDER + "/refunds/{refund_id}", Refund)  # KL

ENDPOINTS: Final[tuple[Read[Any] | Write, ...]] = (
    GET_ORDER,
    ACKNOWLEDGE_ORDER,
    UPDATE_AUTHORIZATION,
    UPDATE_MERCHANT_REFERENCES,
    UPDATE_CUSTOMER_DETAILS,
    APPEND_ORDER_SHIPPING_INFO,
    CANCEL_ORDER,
    EXTEND_AUTHORIZATION_TIME,
    RELEASE_REMAINING_AUTHORIZATION,
    LIST_CAPTURES,
    CAPTURE_ORDER,
    GET_CAPTURE,
    APPEND_CAPTURE_SHIPPING_INFO,
    TRIGGER_SEND_OUT,
    EXTEND_DUE_DATE,
    LIST_DUE_DATE_OPTIONS,
    REFUND_ORDER,
    GET_REFUND,
)
"""The eighteen, in order."""
