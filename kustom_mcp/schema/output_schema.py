"""The output schema of a tool: the envelope, as `result` fills it, in JSON Schema.

Typed, and small: every model pays for every byte of every schema, so a tool names only the outcomes it can have and the
parts it returns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kustom_mcp.api.models import AMOUNTS
from kustom_mcp.schema.result import ERROR_OUTCOMES, OUTCOMES, Json

_READS: frozenset[str] = frozenset({"ok", "not_sent", "rejected"})
_WRITES: frozenset[str] = ERROR_OUTCOMES | {"applied", "already_applied"}
_GATED: frozenset[str] = _WRITES | {"confirmation_required", "declined"}

_STRING = {"type": "string"}
_INTEGER = {"type": "integer"}
_OBJECT = {"type": "object"}
_STRINGS = {"type": "array", "items": _STRING}
SETTLED = ("sales", "returns", "reversals", "fees", "vat_on_fees")
"""The sums of payouts that this server computes, minor units."""


def _object(properties: Mapping[str, Json], required: Sequence[str] = ()) -> dict[str, Json]:
    schema: dict[str, Json] = {"type": "object", "properties": dict(properties)}
    if required:
        schema["required"] = list(required)
    return schema


def _list_of(item: Json) -> dict[str, Json]:
    return {"type": "array", "items": item}


_ORDER = _object(
    {
        **dict.fromkeys(("order_id", "status", "fraud_status", "purchase_currency", "payment_method"), _STRING),
        **dict.fromkeys(AMOUNTS, _INTEGER),
        **dict.fromkeys(("created_at", "expires_at", "portal_url"), _STRING),
        **dict.fromkeys(("days_left", "hours_left"), _INTEGER),
        "ever_disputed": {"type": "boolean"},
        "can": _list_of(_OBJECT),
        "cannot": _list_of(_OBJECT),
        "unresolved_writes": _list_of(_OBJECT),
    }
)

_ERROR = _object(
    {
        "code": _STRING,
        "message": _STRING,
        "field": _STRING,
        "fields": _list_of(_OBJECT),
        "retry": _STRING,
        "retry_after_seconds": _INTEGER,
        "upstream": _OBJECT,
    },
    ["code", "message", "retry"],
)

PAYLOADS: dict[str, Json] = {
    "capture": _object(
        {
            **dict.fromkeys(("capture_id", "captured_at"), _STRING),
            **dict.fromkeys(("captured_amount", "refunded_amount"), _INTEGER),
        }
    ),
    "refund": _object({"refund_id": _STRING, "refunded_at": _STRING, "refunded_amount": _INTEGER}),
    "refundable": _list_of(
        _object({**dict.fromkeys(("line", "unit_price", "share", "amount"), _INTEGER)}, ["line"]),
    ),
    "options": _list_of(_object({"number_of_days": _INTEGER, "amount": _INTEGER, "currency": _STRING})),
    "orders": _list_of(
        _object(
            {
                **dict.fromkeys(("outcome", "order_id", "status", "fraud_status", "purchase_currency"), _STRING),
                **dict.fromkeys(AMOUNTS, _INTEGER),
                **dict.fromkeys(("created_at", "captured_at", "refunded_at", "expires_at", "error"), _STRING),
                **dict.fromkeys(("days_left", "hours_left"), _INTEGER),
                "third_party": _OBJECT,
                "match": {"type": "string", "enum": ["exact", "person", "part"]},
                "ever_disputed": {"type": "boolean"},
                "stale": {"type": "boolean"},
            },
            ["order_id"],
        )
    ),
    "totals": _list_of(
        _object(
            {
                "purchase_currency": _STRING,
                "status": _STRING,
                "orders": _INTEGER,
                **dict.fromkeys(AMOUNTS, _INTEGER),
            }
        )
    ),
    "now": _STRING,
    "coverage": _object(
        {
            "known": _INTEGER,
            "complete_since": _STRING,
            "sources": _OBJECT,
            "stale": _INTEGER,
            "oldest_read": _STRING,
        },
        ["known", "sources", "stale"],
    ),
    "writes": _list_of(
        _object(
            {
                **dict.fromkeys(("operation", "since", "asked_by", "tool", "state", "entry_id"), _STRING),
                "amount": _INTEGER,
                **dict.fromkeys(("repeat", "confirm"), _OBJECT),
            },
            ["operation", "since", "state"],
        )
    ),
    "activity": _list_of(
        _object(
            {
                **dict.fromkeys(("time", "operation", "order_id", "outcome"), _STRING),
                "amount": _INTEGER,
                **dict.fromkeys(("currency", "entry_id", "asked_by", "approved_by", "means"), _STRING),
                "third_party": _object({"reference": _STRING, "reason": _STRING}),
            },
            ["time", "operation", "order_id", "outcome", "asked_by"],
        )
    ),
    "next_cursor": _STRING,
    "transactions": _list_of(
        _object(
            {
                **dict.fromkeys(("type", "detailed_type"), _STRING),
                **dict.fromkeys(("amount", "vat_amount"), _INTEGER),
                **dict.fromkeys(("currency_code", "order_id", "capture_id", "refund_id"), _STRING),
                **dict.fromkeys(("payment_reference", "capture_date"), _STRING),
                "third_party": _OBJECT,
            },
            ["type", "amount"],
        )
    ),
    "payouts": _list_of(
        _object(
            {
                **dict.fromkeys(("payment_reference", "currency_code", "payout_date"), _STRING),
                "merchant_settlement_type": _STRING,
                **dict.fromkeys(("transactions", *SETTLED, "other", "net", "settlement_amount"), _INTEGER),
                **dict.fromkeys(("opening_debt", "closing_debt"), _INTEGER),
            },
            ["payment_reference"],
        )
    ),
    "totals settled": _list_of(
        _object(
            {
                "currency_code": _STRING,
                **dict.fromkeys(("transactions", "payouts", *SETTLED, "other", "net", "not_paid_out"), _INTEGER),
                "settlement_amount": _INTEGER,
            }
        )
    ),
}
"""The parts by name. A second word tells two parts of the same name apart."""
PAYLOADS["captures"] = _list_of(PAYLOADS["capture"])


def output_schema(payload: Sequence[str], *, writes: bool, gated: bool) -> dict[str, Json]:
    """Return the output schema of a tool: the envelope with the outcomes that it can have, and the parts that it
    returns.

    Typed, without `$ref`. Parts that only a person reads on (`can`, `cannot`, `upstream`) stay plain objects: every
    model pays for every byte of every schema.
    """
    possible = _GATED if gated else _WRITES if writes else _READS
    properties: dict[str, Json] = {
        "outcome": {"type": "string", "enum": [outcome for outcome in OUTCOMES if outcome in possible]},
        "environment": _STRING,
        "summary": _STRING,
        **{name.partition(" ")[0]: PAYLOADS[name] for name in payload},
    }
    if "activity" in payload:
        pass  # of many orders, and each row has the texts of its own
    elif "payouts" in payload:
        properties |= {"third_party": _OBJECT}
    elif "orders" not in payload:
        properties |= {"order": _ORDER, "third_party": _OBJECT}
    if writes:
        properties["changes"] = _list_of(_object({"field": _STRING, "before": {}, "after": {}}))
        properties |= {"details": _STRINGS, "warnings": _STRINGS} if gated else {"warnings": _STRINGS}
    if gated:
        properties |= {"confirm": _object({"code": _STRING, "expires_at": _STRING}), "repeat": _OBJECT}
    properties |= {"next_step": _STRING, "error": _ERROR}
    return _object(properties, ["outcome", "environment", "summary"])
