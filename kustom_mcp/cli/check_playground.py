"""`kustom-mcp check --playground ORDER_ID`: does Kustom do what the sandbox assumes?

For the first person with a test key and an order to throw away. Every experiment says what it will send and is asked
about on its own; without a yes it is left out. It never runs against production. What it sends is not in the audit: it
is about an order that nobody will ever ship.

At the end every assumed line that was not confirmed is listed, and a report is written that a person can send to us:
names of behaviours, statuses, error codes and our own words, so that no secret, id or personal data can be in it.
`simulate --assume FILE` takes it.

The experiments try what the sandbox only assumes (`simulator.behaviours`), on one throw-away order, each while it is
still possible. What cannot be tried on one fresh order within minutes (expiry, declines of the risk check, payment
methods) is not here.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import anyio

from kustom_mcp import __version__
from kustom_mcp.api import identifiers
from kustom_mcp.api.endpoint import Approved, Write
from kustom_mcp.api.endpoints import (
    ACKNOWLEDGE_ORDER,
    APPEND_ORDER_SHIPPING_INFO,
    CAPTURE_ORDER,
    GET_ORDER,
    REFUND_ORDER,
    RELEASE_REMAINING_AUTHORIZATION,
    UPDATE_AUTHORIZATION,
    UPDATE_CUSTOMER_DETAILS,
    UPDATE_MERCHANT_REFERENCES,
)
from kustom_mcp.api.errors import OmsError, Refused
from kustom_mcp.api.models import Order
from kustom_mcp.app.app import App
from kustom_mcp.cli.person import agrees
from kustom_mcp.cli.program import shown
from kustom_mcp.cli.webhook_trial import HEARING_SECONDS, HeardWebhook, WebhookListener, listening
from kustom_mcp.settings.settings import ConfigError, Settings
from kustom_mcp.simulator.behaviours import BEHAVIOURS

DIFFERENT = 1
NOBODY: Final = "00000000-0000-4000-8000-000000000000"
PART: Final = 100  # minor units
SECONDS: Final = 30
MARK: Final = "kustom-mcp check"
REPORT: Final = "kustom-playground-report.json"
_CODE: Final = re.compile(r"[A-Z_]{1,64}")

Body = Mapping[str, Any]

AskPerson = Callable[[str], bool | None]
"""The answer to a question; None where no person can be asked."""


@dataclass(frozen=True)
class Finding:
    """The result of one experiment. `seen` is None where it was left out."""

    behaviour: str
    assumed: str
    expected: str
    seen: str | None
    assume: Mapping[str, str]
    """The switches that make the sandbox do the same."""

    @property
    def verdict(self) -> str:
        """`assumed` still, `confirmed` or `different`."""
        return "assumed" if self.seen is None else "confirmed" if self.seen == self.expected else "different"


def run(
    settings: Settings,
    order_id: str,
    ask: AskPerson | None = None,
    app: App | None = None,
    folder: Path | None = None,
    port: int = 8080,
) -> int:
    """Run each experiment that the person agrees to, and write the report into the folder, or the working directory.
    `port`: where webhooks arrive, if they do. 0: nothing differs; 1: something does, or it broke off. ConfigError."""
    if settings.environment != "playground":
        raise ConfigError("KUSTOM_ENVIRONMENT", "--playground is for the playground only.")
    if not settings.writes_allowed:
        raise ConfigError("KUSTOM_WRITES", "--playground writes to a test order: set it to allow.")
    try:
        order = identifiers.order_id(order_id)
    except identifiers.IdentifierError as error:
        raise ConfigError("--playground", f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
    return anyio.run(_try_out, app or App.of(settings), order, ask or agrees, (folder or Path.cwd()) / REPORT, port)


async def _try_out(app: App, order_id: str, ask: AskPerson, report: Path, port: int) -> int:
    findings: list[Finding] = []
    async with app.lifespan(), listening(app.settings, port) as listener:
        lab = Lab(app, order_id, listener)
        experiments = EXPERIMENTS if listener is None else (*EXPERIMENTS[:-1], *HEARD, EXPERIMENTS[-1])
        try:
            order = await lab.read()
            if order.status != "AUTHORIZED" or order.remaining_authorized_amount <= PART:
                print(f"This needs a fresh order of more than 1.00 that is AUTHORIZED; this one is {order.status}.")
                return DIFFERENT
            print(f"Order {order_id} will be changed, captured, released and refunded. Use one that nobody needs.")
            if listener is None:
                print("Webhooks are not tried: that takes KUSTOM_HOOKS_PATH and KUSTOM_HOOKS_SECRET.")
            else:
                print(f"Webhooks are heard on port {port}, where the proxy sends those for the secret path.")
            for number, experiment in enumerate(experiments, 1):
                assumed = next(each.sentence for each in BEHAVIOURS if each.name == experiment.behaviour)
                print(f"\n{number} of {len(experiments)}. {assumed}")
                answer = ask(f"   This {experiment.sends}. Try it? [y/N] ")
                if answer is None:
                    raise ConfigError("--playground", "Nobody can be asked here, so nothing was tried.")
                seen = await experiment.run(lab) if answer else None
                finding = Finding(experiment.behaviour, assumed, experiment.expected, seen, experiment.switches(seen))
                findings.append(finding)
                print(f"   {finding.verdict}{f': {seen}' if seen else ''}")
        except OmsError as error:
            print(f"\nIt broke off: {error}")
            _sum_up(findings, report, app.settings)
            return DIFFERENT
    return _sum_up(findings, report, app.settings)


def _sum_up(findings: list[Finding], report: Path, settings: Settings) -> int:
    different = [finding for finding in findings if finding.verdict == "different"]
    counts = {word: sum(each.verdict == word for each in findings) for word in ("confirmed", "different", "assumed")}
    print("\n" + ", ".join(f"{count} {word}" for word, count in counts.items()))
    for finding in different:
        print(f"{finding.behaviour}: the sandbox {finding.expected!r}, Kustom {finding.seen!r}")
    confirmed = {finding.behaviour for finding in findings if finding.verdict != "assumed"}
    real = not settings.api_url
    for line in BEHAVIOURS:
        if line.mark == "assumed" and not (real and line.name in confirmed):
            print(f"never confirmed: {line.name}: {line.sentence}")
    if not real:
        print("KUSTOM_API_URL is set, so that whatever answered here counts for nothing: it may be the sandbox.")
    _write(findings, report, real=real)
    return DIFFERENT if different else 0


def _write(findings: list[Finding], report: Path, *, real: bool) -> None:
    """Write the report. OSError is told, and nothing else fails with it."""
    told = {
        "made_by": f"kustom-mcp {__version__}",
        "kustom": real,
        "assume": {name: value for finding in findings for name, value in finding.assume.items()},
        "findings": [asdict(finding) | {"verdict": finding.verdict} for finding in findings],
    }
    try:
        report.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        print(f"The report could not be written ({type(error).__name__}).")
        return
    print(f"Report: {report}. It has no secret, id or personal data in it: send it to us, or give it to")
    print(f"`{shown('simulate', '--assume', REPORT)}`, which then does the same.")


@dataclass(frozen=True)
class Lab:
    """The order, and how to try something on it."""

    app: App
    order_id: str
    listener: WebhookListener | None = None

    async def read(self) -> Order:
        """The order as it is now."""
        return await self.app.client.read(GET_ORDER, deadline=self._deadline(), order_id=self.order_id)

    async def send(
        self, endpoint: Write, body: Body | None = None, *, order: str = "", key: uuid.UUID | None = None
    ) -> str:
        """Send one write and say what Kustom answered: `accepted`, or the status and code of the refusal."""
        authority = Approved(key=key or uuid.uuid4(), means="form")
        deadline, order_id = self._deadline(), order or self.order_id
        try:
            await self.app.client.write(endpoint, authority, deadline=deadline, body=body, order_id=order_id)
        except Refused as refused:
            code = refused.error_code or ""
            return f"{refused.status} {code if _CODE.fullmatch(code) else ''}".strip()
        return "accepted"

    def _deadline(self) -> float:
        return self.app.clock() + SECONDS


@dataclass(frozen=True)
class Experiment:
    """One trial. `behaviour`: the assumption's name. `sends`: for the question. `expected`: what the sandbox does.
    `otherwise`: patterns of other outcomes, each with the switch and the value that make the sandbox do that."""

    behaviour: str
    sends: str
    expected: str
    run: Callable[[Lab], Awaitable[str | None]]
    otherwise: tuple[tuple[str, str, str], ...] = ()

    def switches(self, seen: str | None) -> dict[str, str]:
        """Return the switches that make the sandbox do what was seen."""
        return {name: value for pattern, name, value in self.otherwise if seen and re.match(pattern, seen)}


async def unknown_order(lab: Lab) -> str:
    """Refund an order that does not exist."""
    return await lab.send(REFUND_ORDER, {"refunded_amount": PART}, order=NOBODY)


async def key_after_an_error(lab: Lab) -> str:
    """Use the idempotency key of a refused write for another one."""
    key = uuid.uuid4()
    first = await lab.send(REFUND_ORDER, {"refunded_amount": PART}, key=key)
    return f"first {first}, then {await lab.send(ACKNOWLEDGE_ORDER, key=key)}"


async def key_of_another_call(lab: Lab) -> str:
    """Use the idempotency key of an applied write for another one."""
    key = uuid.uuid4()
    await lab.send(UPDATE_MERCHANT_REFERENCES, {"merchant_reference2": f"{MARK} {key.hex[:8]}"}, key=key)
    before = len((await lab.read()).shipping_info)
    shipment = {"shipping_info": [{"shipping_company": MARK, "tracking_number": "0"}]}
    answer = await lab.send(APPEND_ORDER_SHIPPING_INFO, shipment, key=key)
    after = len((await lab.read()).shipping_info)
    return f"{answer}, {'nothing changed' if after == before else 'changed'}"


async def nothing_captured(lab: Lab) -> str:
    """Capture an amount of 0."""
    return await lab.send(CAPTURE_ORDER, {"captured_amount": 0})


async def acknowledged_twice(lab: Lab) -> str:
    """Acknowledge the order twice, with a key each."""
    return ", ".join([await lab.send(ACKNOWLEDGE_ORDER) for _ in range(2)])


async def number_for_a_text(lab: Lab) -> str:
    """Set a reference to a number."""
    return await lab.send(UPDATE_MERCHANT_REFERENCES, {"merchant_reference2": 1017})


async def cleared_city(lab: Lab) -> str:
    """Clear the city of the shipping address."""
    return await lab.send(UPDATE_CUSTOMER_DETAILS, {"shipping_address": {"city": ""}})


def _line(amount: int) -> dict[str, Any]:
    prices = {"unit_price": amount, "tax_rate": 0, "total_amount": amount, "total_tax_amount": 0}
    return {"name": MARK, "quantity": 1, **prices}


async def equal_amount(lab: Lab) -> str:
    """Set the present total with another line."""
    amount = (await lab.read()).order_amount
    return await lab.send(UPDATE_AUTHORIZATION, {"order_amount": amount, "order_lines": [_line(amount)]})


async def without_lines(lab: Lab) -> str:
    """Lower the total by a minor unit, without lines."""
    return await lab.send(UPDATE_AUTHORIZATION, {"order_amount": (await lab.read()).order_amount - 1})


async def wrong_sum(lab: Lab) -> str:
    """Lower the total by a minor unit, with a line that costs one less than that."""
    amount = (await lab.read()).order_amount - 1
    return await lab.send(UPDATE_AUTHORIZATION, {"order_amount": amount, "order_lines": [_line(amount - 1)]})


async def without_prices(lab: Lab) -> str:
    """Lower the total by a minor unit, with a line that has no price."""
    amount = (await lab.read()).order_amount - 1
    return await lab.send(
        UPDATE_AUTHORIZATION, {"order_amount": amount, "order_lines": [{"name": MARK, "quantity": 1}]}
    )


async def shipment_twice(lab: Lab) -> str:
    """Add the same shipment twice."""
    before = len((await lab.read()).shipping_info)
    shipment = {"shipping_info": [{"shipping_company": MARK, "tracking_number": "1"}]}
    answers = [await lab.send(APPEND_ORDER_SHIPPING_INFO, shipment) for _ in range(2)]
    return f"{', '.join(answers)}; {len((await lab.read()).shipping_info) - before} more"


async def part_captured(lab: Lab) -> Order:
    """The order with a part of it captured: what several experiments need."""
    if not (await lab.read()).captured_amount:
        await lab.send(CAPTURE_ORDER, {"captured_amount": PART})
    return await lab.read()


async def entry_read_back(lab: Lab) -> str:
    """Capture with a line and a reference with blanks around it, and read the entry back."""
    before = {capture.capture_id for capture in (await lab.read()).captures}
    line = {"reference": "A", "name": MARK, "quantity": 1, "unit_price": PART, "tax_rate": 0, "total_amount": PART}
    body = {"captured_amount": PART, "reference": f" {MARK} ", "order_lines": [line | {"total_tax_amount": 0}]}
    answer = await lab.send(CAPTURE_ORDER, body)
    new = [capture for capture in (await lab.read()).captures if capture.capture_id not in before or not before]
    if answer != "accepted" or not new:
        return f"{answer}, {'not seen yet' if not new else 'seen'}"
    entry = new[-1]
    reference = "as sent" if entry.reference == f" {MARK} " else "trimmed" if entry.reference == MARK else "otherwise"
    lines, named = "lines" if entry.order_lines else "no lines", "id" if entry.capture_id else "no id"
    return f"{answer}, {lines}, {named}, {reference}"


async def acknowledge_later(lab: Lab) -> str:
    """Acknowledge an order that is partly captured."""
    return f"{(await part_captured(lab)).status}: {await lab.send(ACKNOWLEDGE_ORDER)}"


async def references_later(lab: Lab) -> str:
    """Set a reference of an order that is partly captured."""
    status = (await part_captured(lab)).status
    return f"{status}: {await lab.send(UPDATE_MERCHANT_REFERENCES, {'merchant_reference2': MARK})}"


async def shipment_later(lab: Lab) -> str:
    """Add a shipment to an order that is partly captured."""
    status = (await part_captured(lab)).status
    shipment = {"shipping_info": [{"shipping_company": MARK, "tracking_number": "2"}]}
    return f"{status}: {await lab.send(APPEND_ORDER_SHIPPING_INFO, shipment)}"


async def release(lab: Lab) -> str:
    """Release what is left of a partly captured order."""
    before = await part_captured(lab)
    answer = await lab.send(RELEASE_REMAINING_AUTHORIZATION)
    after = await lab.read()
    kept = "order_amount kept" if after.order_amount == before.order_amount else "order_amount changed"
    return f"{answer}: {after.status}, {after.remaining_authorized_amount} remaining, {kept}"


async def refund_all(lab: Lab) -> str:
    """Refund all that is captured."""
    order = await part_captured(lab)
    answer = await lab.send(REFUND_ORDER, {"refunded_amount": order.captured_amount - order.refunded_amount})
    status = (await lab.read()).status
    return f"{answer}: {'status kept' if status == order.status else status}"


async def webhook(lab: Lab) -> HeardWebhook | None:
    """The webhook of a refund, which is made where none has been heard."""
    assert lab.listener is not None
    if not any(heard.body.get("type") == REFUNDED for heard in lab.listener.heard):
        order = await part_captured(lab)
        if order.captured_amount - order.refunded_amount > 1:
            await lab.send(REFUND_ORDER, {"refunded_amount": 1})
    heard = await lab.listener.wait(REFUNDED)
    if heard is None:
        print(f"   No webhook came within {HEARING_SECONDS} seconds. Is it set up in the portal? Is the proxy running?")
    return heard


async def webhook_signature(lab: Lab) -> str | None:
    """Return how the webhook of a refund was signed; None without one."""
    heard = await webhook(lab)
    return heard and heard.signature


async def webhook_content(lab: Lab) -> str | None:
    """Return the content of the webhook of a refund, in our words; None without one."""
    heard = await webhook(lab)
    return heard and (heard.content if heard.is_signed else heard.signature)


REFUNDED: Final = "refund.created"
_CAPTURES: Final = "captures 1.00 if nothing is captured yet, then "

EXPERIMENTS: Final = (
    Experiment("errors.refund_order", "refunds an order that does not exist", "404 NOT_FOUND", unknown_order),
    Experiment(
        "keys.success",
        "refunds 1.00 of what is not captured, then acknowledges with the same key",
        "first 403 REFUND_NOT_ALLOWED, then accepted",
        key_after_an_error,
    ),
    Experiment(
        "keys.scope",
        "sets merchant_reference2, then adds a shipment with the same key",
        "accepted, nothing changed",
        key_of_another_call,
    ),
    Experiment(
        "body.zero", "captures 0.00", "400 INVALID_REQUEST_PARAMETERS", nothing_captured, (("422 ", "limits", "422"),)
    ),
    Experiment(
        "acknowledge.again",
        "acknowledges twice",
        "accepted, accepted",
        acknowledged_twice,
        (("(accepted, )?40", "second_acknowledge", "refused"),),
    ),
    Experiment(
        "body.numbers",
        "sets merchant_reference2 to a number",
        "400 INVALID_REQUEST_PARAMETERS",
        number_for_a_text,
        (("accepted", "numbers", "as_texts"), ("422 ", "limits", "422")),
    ),
    Experiment(
        "address.mandatory",
        "clears the city of the shipping address",
        "400 INVALID_REQUEST_PARAMETERS",
        cleared_city,
    ),
    Experiment(
        "amount.equal",
        "sets the same amount with another line",
        "accepted",
        equal_amount,
        (("40", "equal_amount", "refused"),),
    ),
    Experiment(
        "lines.required",
        "lowers the amount by 0.01, without lines",
        "400 INVALID_REQUEST_PARAMETERS",
        without_lines,
        (("accepted", "order_lines", "optional"),),
    ),
    Experiment(
        "lines.sums",
        "lowers the amount by 0.01, with one line that is 0.01 too cheap",
        "accepted",
        wrong_sum,
        (("4", "line_sums", "refused"),),
    ),
    Experiment("lines.prices", "lowers the amount by 0.01, with one line without a price", "accepted", without_prices),
    Experiment(
        "shipping.append",
        "adds the same shipment twice",
        "accepted, accepted; 2 more",
        shipment_twice,
        (("accepted, accepted; 1 more", "shipments", "once"),),
    ),
    Experiment(
        "entries.verbatim",
        "captures 1.00 with a line and a reference",
        "accepted, lines, id, as sent",
        entry_read_back,
        (
            ("accepted, not seen", "effect", "late:1"),
            ("accepted, no lines", "entries", "without_lines"),
            ("accepted, lines, no id", "entries", "without_id"),
            ("accepted, lines, id, trimmed", "entries", "trimmed"),
        ),
    ),
    Experiment(
        "acknowledgeOrder.allowed.assumed",
        f"{_CAPTURES}acknowledges",
        "PART_CAPTURED: accepted",
        acknowledge_later,
    ),
    Experiment(
        "updateMerchantReferences.allowed.assumed",
        f"{_CAPTURES}sets merchant_reference2",
        "PART_CAPTURED: accepted",
        references_later,
    ),
    Experiment(
        "appendOrderShippingInfo.allowed.assumed",
        f"{_CAPTURES}adds a shipment to the order",
        "PART_CAPTURED: accepted",
        shipment_later,
    ),
    Experiment(
        "release.status",
        f"{_CAPTURES}releases the rest",
        "accepted: CAPTURED, 0 remaining, order_amount kept",
        release,
        (("accepted: CLOSED", "release", "CLOSED"),),
    ),
    Experiment(
        "refund.full",
        f"{_CAPTURES}refunds all that is captured",
        "accepted: status kept",
        refund_all,
        (("accepted: CLOSED", "full_refund", "CLOSED"),),
    ),
)

_HEARS: Final = f"{_CAPTURES}refunds 0.01, and waits {HEARING_SECONDS} seconds at most for the webhook"

HEARD: Final = (
    Experiment("hooks.id", _HEARS, "signed, webhook-id is the event's id", webhook_signature),
    Experiment("hooks.data", _HEARS, "refund.created with order_id, refund_id", webhook_content),
)
"""Tried where webhooks can arrive."""
