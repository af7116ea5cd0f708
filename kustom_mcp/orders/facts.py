"""The facts of an order for a model: computed by Kustom, with the tools that are possible now, and a summary.

Facts and what people typed are kept apart from here on: `facts`, `summary`, `row` and `Totals` hold numbers, times,
ids and our own words only; everything typed is in `third_party`, that of a row in its own. `can` and
`cannot` come from the same table that refuses a call (`api.order_rules`), so that the view never promises what a tool
then denies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from kustom_mcp.api import order_rules as rules
from kustom_mcp.api.models import ACCEPTED, AMOUNTS, CANCELLED, CAPTURED, CLOSED, EXPIRED, STATUSES, Order
from kustom_mcp.money import show
from kustom_mcp.orders.third_party import (
    fitting,
)
from kustom_mcp.schema.result import Json, compact
from kustom_mcp.text import clean

Permitted = Callable[[str], str | None]
"""Why the operator switched a tool off; None when it is exposed."""

EXTENSIONS = ("extendAuthorizationTime", "extendDueDate")
"""Operations that `can` names last, and `cannot` never for being switched off."""

ROW_BYTES = 360
_IN_HOURS = timedelta(days=2)
"""What is left is counted in hours below this."""
_NEVER = datetime.min.replace(tzinfo=UTC)

_ENDED = frozenset({CANCELLED, EXPIRED, CLOSED})
_COMPARED = ("status", "fraud_status", *AMOUNTS, "expires_at")
_REFERENCES = ("merchant_reference1", "merchant_reference2")
REFERENCES = (*_REFERENCES, "klarna_reference")
"""The references of an order, apart from its id."""


def facts(
    order: Order,
    *,
    portal_url: str | None,
    now: datetime,
    offered: Mapping[str, str],
    permitted: Permitted,
    unresolved: Sequence[Json] = (),
    disputed: bool = False,
) -> dict[str, Json]:
    """The `order` part of a result: ids, states, the five amounts in minor units, times, and what is possible now.

    `offered`: the tools that `can` or `cannot` names, each with its operation. `unresolved`: the writes on the order of
    which nobody knows what became. `disputed`: whether a signed webhook once told of a dispute.

    `days_left` counts whole days from `now` (with a time zone) until captures end, `hours_left` below two days; both
    are left out once nothing can be captured.
    """
    view = _known(order, ("order_id", "status", "fraud_status"))
    if order.currency:
        view["purchase_currency"] = clean(order.currency, 10)
    view |= {name: getattr(order, name) for name in AMOUNTS}
    if order.initial_payment_method and order.initial_payment_method.type:
        view["payment_method"] = clean(order.initial_payment_method.type, 60)
    view |= _known(order, ("created_at", "expires_at"))
    view |= _time_left(order, now)
    if portal_url is not None:
        view["portal_url"] = portal_url
    if disputed:
        view["ever_disputed"] = True
    view["can"], view["cannot"] = _possible(order, offered, permitted, now)
    if unresolved:
        view["unresolved_writes"] = list(unresolved)
    return view


def summary(order: Order, now: datetime | None = None) -> str:
    """One sentence in our own words, amounts in major units. With `now` it says how long is left to capture."""
    ordered, *others = (
        show(amount, order.currency)
        for amount in (
            order.order_amount,
            order.captured_amount,
            order.refunded_amount,
            order.remaining_authorized_amount,
        )
    )
    captured, refunded, left = (text.partition(" ")[0] for text in others)
    parts = [f"{ordered} ordered, {captured} captured, {refunded} refunded, {left} left to capture"]
    expires = _expiry(order)
    if expires is not None and _open(order):
        [(unit, count)] = _time_left(order, now).items() if now is not None else [("", 0)]
        count = f" ({count} {unit.partition('_')[0].removesuffix('s' * (count == 1))} left)" if unit else ""
        passed = now is not None and expires <= now
        parts.append(
            f"its authorization ended on {expires:%Y-%m-%d} by its date"
            if passed
            else f"captures are possible until {expires:%Y-%m-%d}{count}"
        )
    if order.fraud_status and order.fraud_status != ACCEPTED:
        parts.append(f"the fraud status is {clean(order.fraud_status, 20)}")
    return f"Order {clean(order.order_id, 64)[:8]}… is {clean(order.status, 30)}: {'; '.join(parts)}."


def row(
    outcome: str,
    order: Order,
    *,
    now: datetime,
    called: str = REFERENCES[0],
    more: Mapping[str, Json] = MappingProxyType({}),
) -> dict[str, Json]:
    """One order of many, at most ROW_BYTES bytes as compact JSON. `called`: which of REFERENCES it shows; `more`: what
    else it says.

    A missing amount is 0, and a missing fraud status is ACCEPTED, or unknown to Kustom. What a row is short of is
    dropped in this order until it fits: the original amount, the times of day, all but the start of the reference,
    the time left, `created_at`, `expires_at`, the reference, the other times.
    """
    view: dict[str, Json] = {"outcome": outcome} | _known(order, ("order_id", "status"))
    if order.fraud_status != ACCEPTED:
        view |= _known(order, ("fraud_status",))
    if order.currency:
        view["purchase_currency"] = clean(order.currency, 10)
    view |= {name: amount for name in AMOUNTS if (amount := getattr(order, name))}
    view |= _known(order, ("created_at",))
    for name, times in (
        ("captured_at", [one.captured_at for one in order.captures]),
        ("refunded_at", [one.refunded_at for one in order.refunds]),
    ):
        last = max((time for time in times if time), key=_instant, default=None)
        if last:
            view[name] = clean(last, 64)
    view |= _known(order, ("expires_at",)) | _time_left(order, now)
    reference: str | None = getattr(order, called)
    if reference:
        view["third_party"] = {called: fitting(reference, 40)}
    view |= more
    for shorten in _SHORTER:
        if _size(view) <= ROW_BYTES:
            break
        shorten(view)
    return view


class OrderTotals:
    """Per currency and status: how many orders, and the sums of the five amounts. The orders need not be kept."""

    def __init__(self, orders: Iterable[Order] = ()) -> None:
        self._groups: dict[tuple[str, str], dict[str, Json]] = {}
        for order in orders:
            self.add(order)

    def add(self, order: Order) -> None:
        """Count one more order."""
        key = (clean(order.currency, 10), clean(order.status, 30))
        if key not in self._groups:
            named: dict[str, Json] = {"purchase_currency": key[0]} if key[0] else {}
            self._groups[key] = named | {"status": key[1], "orders": 0} | dict.fromkeys(AMOUNTS, 0)
        group = self._groups[key]
        group["orders"] += 1
        for name in AMOUNTS:
            group[name] += getattr(order, name)

    def groups(self) -> list[dict[str, Json]]:
        """The groups, sorted by currency, then status."""
        return [group for _, group in sorted(self._groups.items())]

    def listed(self) -> list[dict[str, Json]]:
        """The groups, sorted by currency, then status; amounts that are not 0, TOTALS_BYTES at most."""
        return short_totals(self.groups())


TOTALS_BYTES = 600


def short_totals(groups: Sequence[Mapping[str, Json]]) -> list[dict[str, Json]]:
    """Return totals that take TOTALS_BYTES at most as compact JSON: without amounts that are 0, and where there are
    many groups without the original amount, then per currency alone, then without amounts, then the largest ones."""
    whole = [{name: value for name, value in group.items() if value or name not in AMOUNTS} for group in groups]
    counted = [{name: value for name, value in group.items() if name not in AMOUNTS} for group in whole]
    currencies: dict[str, dict[str, Json]] = {}
    for group in whole:
        named = {name: value for name, value in group.items() if name in ("purchase_currency", "shop")}
        summed = currencies.setdefault(compact(named), named)
        for name, value in group.items():
            if name not in ("purchase_currency", "shop", "status"):
                summed[name] = summed.get(name, 0) + value
    together = list(currencies.values())
    bare = [{name: value for name, value in group.items() if name not in AMOUNTS} for group in together]
    steps = (whole, _without(whole, "original_order_amount"), together, counted, bare)
    found = next((step for step in steps if _total_size(step) <= TOTALS_BYTES), None)
    if found is None:
        found = sorted(bare, key=lambda group: -group["orders"])
        while _total_size(found) > TOTALS_BYTES:
            found.pop()
    return found


def _without(groups: Sequence[Mapping[str, Json]], left_out: str) -> list[dict[str, Json]]:
    return [{name: value for name, value in group.items() if name != left_out} for group in groups]


def _total_size(groups: Sequence[Mapping[str, Json]]) -> int:
    return len(compact(groups).encode())


def difference(before: Order, after: Order) -> list[dict[str, Json]]:
    """Differences between two reads, as `changes`: states, amounts, times, references; lines, shipments by count."""
    pairs: list[tuple[str, Json, Json]] = [
        *((name, getattr(before, name), getattr(after, name)) for name in _COMPARED),
        *((name, _reference(before, name), _reference(after, name)) for name in _REFERENCES),
        ("order_lines", len(before.order_lines), len(after.order_lines)),
        ("shipping_info", len(before.shipping_info), len(after.shipping_info)),
    ]
    return [{"field": name, "before": old, "after": new} for name, old, new in pairs if old != new]


def overdue(operation: str, order: Order, now: datetime) -> str | None:
    """A warning that an order is past its `expires_at` although its status is not EXPIRED yet, or None.

    For a person who decides about an operation that needs the authorization.
    """
    expires = _passed(order, now) if operation in rules.NEEDS_AUTHORIZATION else None
    return expires and (
        f"The authorization ended on {expires} by its date, although the status is {clean(order.status, 30)}: "
        "Kustom may refuse."
    )


def unheard_of(order: Order) -> list[str]:
    """The warning that nobody can say what the status of an order allows."""
    if order.status in STATUSES:
        return []
    status = clean(order.status, 30)
    return [f"The status {status} is none that is known here: Kustom decides whether this is possible."]


def more_than_left(operation: str, order: Order, amount: int) -> list[str]:
    """The warning of a capture or refund, in minor units, above what the order has left, where that is not refused."""
    left = rules.left(operation, order)
    if left is None or amount <= left:
        return []
    what = "to capture" if operation == "captureOrder" else "to refund"
    return [f"The order shows {show(left, order.currency)} left {what}: Kustom may refuse more."]


def reported(order: Order) -> list[str]:
    """The warning that a shipment of the order itself is reported already, for what should come before it."""
    return ["A shipment of this order is reported already: the goods may be under way."] if order.shipping_info else []


def _possible(
    order: Order, offered: Mapping[str, str], permitted: Permitted, now: datetime
) -> tuple[list[Json], list[Json]]:
    can: list[Json] = []
    cannot: list[Json] = []
    for tool in sorted(offered, key=lambda tool: offered[tool] in EXTENSIONS):
        operation, off = offered[tool], permitted(tool)
        why = off or _why_not(operation, order, now)
        if why is None:
            most = rules.max_amount(operation, order)
            can.append({"tool": tool} if most is None else {"tool": tool, "max_amount": most})
        elif operation not in EXTENSIONS or (operation == "extendDueDate" and not off):
            cannot.append({"tool": tool, "why": why})
    return can, cannot


def _why_not(operation: str, order: Order, now: datetime) -> str | None:
    """Why an operation should not be tried now, in words that follow "the order".

    It names what Kustom would refuse as far as is known, and what the date has overtaken: fewer things are offered than
    are sent, because a person who approved something should not be told afterwards that it was impossible.
    """
    if operation == "extendDueDate":
        return _no_due_date(order)
    verdict = rules.verdict(operation, order)
    if not verdict.allowed:
        return verdict.sentence
    if operation == "releaseRemainingAuthorization" and _nothing_remains(order):
        return "has nothing left to release"
    if operation == "extendAuthorizationTime" and not rules.extendable(order):
        return "is not one that Kustom extends"
    expires = _passed(order, now) if operation in rules.NEEDS_AUTHORIZATION else None
    return expires and f"is past its expires_at ({expires}), so Kustom may end it any moment"


def _no_due_date(order: Order) -> str | None:
    if not (order.captures or order.captured_amount):
        return "has no captures"
    return "was paid at once: there is no due date" if rules.paid_at_once(order) else None


def _passed(order: Order, now: datetime) -> str | None:
    """The day of an `expires_at` that is past, while the status does not say so."""
    expires = _expiry(order)
    if expires is None or expires > now or order.status in {CAPTURED, *_ENDED}:
        return None
    return f"{expires:%Y-%m-%d}"


def _nothing_remains(order: Order) -> bool:
    return "remaining_authorized_amount" in order.model_fields_set and order.remaining_authorized_amount <= 0


def _open(order: Order) -> bool:
    return order.status not in {CAPTURED, *_ENDED} and not _nothing_remains(order)


def _expiry(order: Order) -> datetime | None:
    moment = _instant(order.expires_at)
    return None if moment == _NEVER else moment


def _instant(text: str | None) -> datetime:
    """Parse a time; _NEVER when it is none."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return _NEVER
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _time_left(order: Order, now: datetime) -> dict[str, Json]:
    """Return the whole days until captures end, or below two days the hours; nothing once none are possible."""
    expires = _expiry(order)
    if expires is None or not _open(order):
        return {}
    left = max(timedelta(0), expires - now)
    return {"hours_left": left // timedelta(hours=1)} if left < _IN_HOURS else {"days_left": left.days}


def _known(order: Order, names: Sequence[str]) -> dict[str, Json]:
    """Fields that Kustom writes itself, those that it sent."""
    values = {name: getattr(order, name) for name in names}
    return {name: clean(value, 64) for name, value in values.items() if value is not None}


def _reference(order: Order, name: str) -> str | None:
    value: str | None = getattr(order, name)
    return None if value is None else clean(value, 255)


def _size(view: dict[str, Json]) -> int:
    return len(compact(view).encode())


def _drop(name: str) -> Callable[[dict[str, Json]], object]:
    return lambda view: view.pop(name, None)


def _drop_times_of_day(view: dict[str, Json]) -> None:
    for name in ("created_at", "captured_at", "refunded_at", "expires_at"):
        if name in view:
            view[name] = view[name][:10]


def _shorten_reference(view: dict[str, Json]) -> None:
    typed: dict[str, str] = view.get("third_party", {})
    for name, text in typed.items():
        typed[name] = clean(text, 12)


_SHORTER: tuple[Callable[[dict[str, Json]], object], ...] = (
    _drop("original_order_amount"),
    _drop_times_of_day,
    _shorten_reference,
    _drop("days_left"),
    _drop("hours_left"),
    _drop("created_at"),
    _drop("expires_at"),
    _drop("third_party"),
    _drop("captured_at"),
    _drop("refunded_at"),
    _drop("fraud_status"),
)
