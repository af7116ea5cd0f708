"""Every behaviour of the simulator, marked documented, observed or assumed.

A documented behaviour is in Kustom's or Klarna's description of the same API; an observed one shows in code that talks
to the API; an assumed one is decided here because nothing public decides it. The permission table in `states` carries
its own marks: its rows are turned into behaviours, not repeated. `docs/sandbox.md` prints the assumed ones.
"""

from dataclasses import dataclass
from typing import Final, Literal

from kustom_mcp.simulator.states import PERMISSIONS

Mark = Literal["documented", "observed", "assumed"]

MARKS: Final[dict[str, Mark]] = {
    "S": "documented",
    "K": "documented",
    "KL": "documented",
    "A": "documented",
    "C": "observed",
    "I": "assumed",
    "D": "assumed",
}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One behaviour of the simulator, in a sentence, and how sure it is that Kustom does the same."""

    name: str
    sentence: str
    mark: Mark


def _documented(name: str, sentence: str) -> Behaviour:
    return Behaviour(name, sentence, "documented")


def _observed(name: str, sentence: str) -> Behaviour:
    return Behaviour(name, sentence, "observed")


def _assumed(name: str, sentence: str) -> Behaviour:
    return Behaviour(name, sentence, "assumed")


def _permissions() -> tuple[Behaviour, ...]:
    """Return the permission table as sentences: one for each operation, verdict and mark, naming the states."""
    groups: dict[tuple[str, str | None, Mark], list[str]] = {}
    for operation, row in PERMISSIONS.items():
        for status, cell in row.items():
            groups.setdefault((operation, cell.code, MARKS[cell.mark]), []).append(str(status))
    return tuple(
        Behaviour(
            f"{operation}.{code or 'allowed'}.{mark}",
            f"{operation} is {'allowed' if code is None else f'refused with 403 {code}'} in {', '.join(states)}.",
            mark,
        )
        for (operation, code, mark), states in groups.items()
    )


BEHAVIOURS: Final[tuple[Behaviour, ...]] = (
    _documented("auth", "Basic credentials are checked first; without good ones the answer is 401."),
    _documented("auth.raw_key", "The API key may follow `Basic ` as it is, without base64."),
    _assumed("auth.empty_body", "A 401 has no body."),
    _documented("errors.envelope", "Errors carry error_code, error_messages and correlation_id."),
    _assumed("errors.limits", "A body that breaks a limit gets 400 INVALID_REQUEST_PARAMETERS, not Klarna's 422."),
    _assumed("errors.malformed", "A body that is not a JSON text gets 400 BAD_REQUEST."),
    _assumed("errors.media_type", "A body whose content type is not application/json gets 415 UNSUPPORTED_MEDIA_TYPE."),
    _assumed("errors.size", "A body over 8 MiB gets 413 PAYLOAD_TOO_LARGE."),
    _assumed("errors.path", "An unknown path, or a known one with another method, gets 404 RESOURCE_NOT_FOUND."),
    _assumed("errors.order_id", "An order id without UUID shape gets 404 NO_SUCH_ORDER, like an unknown one."),
    _assumed("errors.refund_order", "The two refund calls answer an unknown order with 404 NOT_FOUND."),
    _documented(
        "errors.no_captures", "A capture's shipment or message on an order without captures gets 403 NOT_ALLOWED."
    ),
    _assumed("body.nulls", "A null in a request body counts as a field left out; unknown fields are let through."),
    _observed("body.ignored", "Calls that take no body ignore one, such as `[]`."),
    _assumed("body.numbers", "A number where a text belongs gets 400 with the field's name."),
    _observed("answers.location", "`Location` is an absolute URL."),
    _documented("body.amounts", "Amounts are whole minor units of at most 200000000."),
    _assumed(
        "body.zero", "An order amount of 0 is accepted while nothing is captured; 0 captures and refunds get 400."
    ),
    _assumed("lines.prices", "Lines need a name and a quantity; lines without prices are accepted and kept as sent."),
    _assumed("lines.sums", "Order lines that do not add up to the amount of the request are accepted."),
    _assumed("lines.required", "A changed authorization without order_lines gets 400."),
    _observed("lines.package", "The line type `package` is accepted besides the documented nine."),
    _documented(
        "keys.replay", "A POST or PATCH with a known idempotency key gets the first answer; the body is not compared."
    ),
    _documented("keys.lifetime", "Idempotency keys are kept for 24 hours."),
    _assumed("keys.empty", "An empty idempotency key counts as none."),
    _assumed("keys.scope", "Keys are kept per user name; neither path nor method is compared."),
    _assumed("keys.success", "Only 2xx answers are kept: after an error the same key is tried anew."),
    _documented("capture.amount", "A capture takes at most what remains authorized, else 403 CAPTURE_NOT_ALLOWED."),
    _documented("capture.headers", "A capture answers 201 with Location and Capture-Id and no body."),
    _documented("capture.acknowledges", "A capture acknowledges the order."),
    _documented("capture.fraud", "An order whose fraud_status is not ACCEPTED may be captured all the same."),
    _assumed("entries.verbatim", "Captures and refunds are read back as they were sent, the oldest first."),
    _assumed("effect.at_once", "A write is seen by the next read."),
    _assumed("capture.addresses", "A capture shows the order's addresses as they were when it was made."),
    _documented("refund.amount", "A refund gives back at most captured minus refunded, else 403 REFUND_NOT_ALLOWED."),
    _documented("refund.headers", "A refund answers 201 with Location and Refund-Id and no body."),
    _documented(
        "refund.allocation", "A refund is booked on the captures whose lines have the references of its own lines."
    ),
    _assumed("refund.order", "Where several captures have a reference, the oldest is used up first."),
    _documented("refund.unmatched", "A refund without matching lines counts for the order and for no capture."),
    _assumed("refund.full", "A full refund leaves the status as it is: CAPTURED, not CLOSED."),
    _documented("refund.return_fee", "A return fee is a negative line, and only for one capture of the whole order."),
    _observed("refund.zero_fee", "A return fee of 0 is accepted in countries with return fees, and refused elsewhere."),
    _assumed("refund.zero_fee_parts", "That holds too where several captures or a part would allow no fee."),
    _assumed("refund.return_fee_code", "A return fee that is not possible gets 403 REFUND_NOT_ALLOWED."),
    _assumed("acknowledge.again", "An order that is acknowledged can be acknowledged again."),
    _assumed("amount.equal", "An authorization can be changed to the amount that it has, with other lines."),
    _documented("amount.floor", "The order amount cannot go below what is captured: 403 NOT_ALLOWED."),
    _documented(
        "amount.raise", "Only some payment methods and countries allow a higher amount; others get 403 NOT_ALLOWED."
    ),
    _assumed("amount.risk", "The risk check never declines a higher amount or a new address."),
    _assumed("amount.captured", "An amount lowered to what is captured makes the order CAPTURED."),
    _documented("address.merge", "Only the address fields that are sent change; an empty text clears a field."),
    _assumed("address.mandatory", "Street, postal code, city and country cannot be cleared: 400."),
    _documented("address.billing", "A billing address gets 403 NOT_ALLOWED."),
    _assumed("address.postal", "Postal codes and regions are checked for length only."),
    _assumed(
        "release.status", "A release leaves the order CAPTURED with nothing remaining and its order_amount as it was."
    ),
    _assumed("remaining.zero", "Cancelling and expiry set remaining_authorized_amount to 0."),
    _documented("expiry", "An authorized order expires when its expires_at passes."),
    _documented("expiry.part_captured", "A part-captured order expires too, and is not refunded any more."),
    _documented(
        "extend", "Only Klarna payment methods, orders since 2025-09-25, not ES, FR, IT or PT, not beyond 90 days."
    ),
    _assumed("extend.midnight", "An extension ends at midnight UTC, 28 days from today, never earlier than before."),
    _assumed(
        "shipping.append", "Shipments are appended and never compared, so that a repeat without a key is there twice."
    ),
    _assumed(
        "due_date", "Due dates move for invoice-like methods only, by 14, 30 or 60 days, in any state with a capture."
    ),
    _documented("hooks.events", "Webhooks tell of order.created, capture.created, refund.created and dispute.created."),
    _observed("hooks.signature", "A webhook is signed by the Standard Webhooks specification."),
    _documented("hooks.body", "An event has `id`, `merchant_id`, `timestamp` with nine decimals, `type` and `data`."),
    _assumed("hooks.id", "`webhook-id` is the id of the event; each attempt has the time at which it leaves."),
    _assumed("hooks.data", "The event of a refund has its `refund_id` in `data`, that of a dispute a `dispute_id`."),
    _documented("hooks.again", "A webhook that is not answered with 2xx is sent again."),
    _assumed(
        "hooks.pauses",
        "A webhook is sent again after 5 and 30 seconds, 5 and 30 minutes, 2, 4 and 5 hours, with the same id.",
    ),
    _assumed("hooks.push", "A push is sent on request, for an order that is not acknowledged."),
    _observed(
        "hooks.push_again",
        "A push is sent again after 5, 15, 30 and 60 minutes, then every 4 hours for two days, until the order is "
        "acknowledged.",
    ),
    _documented("payouts.pages", "Payouts and transactions come 20 at a time, or as many as asked for, 500 at most."),
    _documented("payouts.summary", "The sums of the payouts of a period are given by currency."),
    _documented("payouts.time", "What happened until 23:59 CET of a day is settled then; times are told in UTC."),
    _documented("payouts.kinds", "Fees are fixed, by percentage and for disputes, with VAT; a debt is carried over."),
    _documented("payouts.capture_id", "A return or a reversal has an empty capture_id."),
    _assumed("payouts.days", "What was settled is paid out on the second day after it, at 06:00 UTC."),
    _assumed("payouts.summer", "The day of a payout ends at 22:59 by UTC, in summer too."),
    _assumed("payouts.signs", "Every settlement transaction has a positive amount, fees and returns too."),
    _assumed(
        "payouts.fees",
        "An order costs 2.00 once and 2.48 % of each capture, a dispute 15.00, with a quarter of that as VAT; a return "
        "gives none of it back.",
    ),
    _assumed("payouts.dispute", "A dispute takes back all that is captured and not refunded, at once."),
    _assumed("payouts.debt", "A payout that would be negative is 0, and the next one repays the rest."),
    _assumed(
        "payouts.unknown", "A payment reference or order that nobody knows has no transactions; its payout gets 404."
    ),
    _documented("payouts.date_only", "A date without a time in start_date or end_date is the start of that day."),
    *_permissions(),
)


def marked(mark: Mark) -> tuple[Behaviour, ...]:
    """Return the behaviours with one mark."""
    return tuple(behaviour for behaviour in BEHAVIOURS if behaviour.mark == mark)
