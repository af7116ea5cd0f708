"""The scenes of the demo: a person's words, an assistant's calls, and the expected answers.

The words of the person and of the assistant are scripted, because no model takes part; their figures and names are
taken from the server's answers. A scene that meets another answer than it expects ends the tour with `Unexpected`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from mcp.client import Client, ClientRequestContext
from mcp.types import ElicitRequestFormParams, ElicitRequestParams, ElicitResult, TextResourceContents

from kustom_mcp import money
from kustom_mcp.cli.demo.transcript import Content, Transcript, amount, brief

Scene = Callable[["Guide"], Awaitable[None]]
DEMO_ORDERS = "kustom://reference/demo-orders"


class Unexpected(Exception):
    """An answer was not what the scene needs; the text says which and what was expected."""


@dataclass
class TourCounts:
    """The counts of outcomes and approvals so far."""

    scene: str = ""
    outcomes: Counter[str] = field(default_factory=Counter[str])
    by_code: int = 0
    by_form: int = 0
    orders: dict[str, str] = field(default_factory=dict[str, str])
    """Demo orders: name to order id."""


class Guide:
    """The guide of one connection through its scenes: prints both sides, compares each answer with the expected one."""

    def __init__(self, client: Client, transcript: Transcript, seen: TourCounts) -> None:
        self.client = client
        self.page = transcript
        self.seen = seen

    def scene(self, title: str, introduction: str) -> None:
        """Begin a scene."""
        self.seen.scene = title
        self.page.heading(title)
        self.page.prose(introduction)

    def person(self, text: str) -> None:
        """Print the words of the person."""
        self.page.says("Person", text)

    def assistant(self, text: str) -> None:
        """Print the words of the assistant."""
        self.page.says("Assistant", text)

    async def call(
        self, tool: str, arguments: Content, expect: str, *, code: str | None = None, details: tuple[str, ...] = ()
    ) -> Content:
        """Call a tool and print both sides. `expect` is the outcome, `code` the error's code."""
        self.page.calls(tool, arguments)
        result = await self.client.call_tool(tool, dict(arguments))
        content: dict[str, Any] = result.structured_content or {}
        error: Content = content.get("error") or {}
        got = (content.get("outcome"), error.get("code"))
        if got != (expect, code):
            if "summary" in content:
                self.page.answers(content)
            raise Unexpected(f"{tool} answered {_named(*got)}, expected {_named(expect, code)}")
        self.seen.outcomes[expect] += 1
        self.seen.by_code += expect == "applied" and "confirm" in arguments
        self.page.answers(content, details=details)
        return content

    def need(self, fact: bool, what: str) -> None:
        """End the tour with Unexpected where a fact does not hold."""
        if not fact:
            raise Unexpected(f"the answer does not show that {what}")

    def order(self, name: str) -> str:
        """Return the id of a demo order by its name."""
        self.need(name in self.seen.orders, f"there is a demo order {name}")
        return self.seen.orders[name]


class Person:
    """A person who answers the forms that a host shows: reads them out and says yes."""

    def __init__(self, transcript: Transcript, seen: TourCounts) -> None:
        self.page = transcript
        self.seen = seen

    async def answer(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        """Read a form out and accept it."""
        if not isinstance(params, ElicitRequestFormParams):
            return ElicitResult(action="decline")
        boxes: dict[str, Any] = params.requested_schema["properties"]
        self.page.says("Server", "asks the person with a form:")
        for line in params.message.splitlines():
            self.page.adds(f"| {brief(line)}")
        for box in boxes.values():
            self.page.adds(f"| [ ] {box['title']}")
        self.page.says("Person", "ticks the box and accepts.")
        self.seen.by_form += 1
        return ElicitResult(action="accept", content=dict.fromkeys(boxes, True))


async def read_names(guide: Guide) -> list[list[str]]:
    """Read the names of the demo orders, and return the rows of their table."""
    resource = await guide.client.read_resource(DEMO_ORDERS)
    rows = [_cells(line) for line in _text(resource.contents).splitlines() if line.startswith("| ")][1:]
    guide.seen.orders.update({name: order_id for order_id, name, *_ in rows})
    return rows


async def question(guide: Guide) -> None:
    """Scene 1: find an order and answer a question about it."""
    guide.scene(
        "1. A question about an order",
        "The assistant reads before it speaks. What was typed by people comes back apart from Kustom's own facts, as "
        "third_party, and every answer says what is possible now.",
    )
    guide.person("What is in the demo order authorized-sek, and can it still be cancelled?")
    guide.assistant(f"reads the resource {DEMO_ORDERS}")
    rows = await read_names(guide)
    order_id = guide.order("authorized-sek")
    guide.page.says("Server", f"{len(rows)} invented orders; authorized-sek is {brief(order_id)}")
    seen = await guide.call("kustom_get_order", {"order_id": order_id}, "ok", details=("lines", "can", "cannot"))
    guide.need(_can(seen, "kustom_cancel_order"), "the order can be cancelled")
    held = ", ".join(f"{line['quantity']} x {line['name']}" for line in seen["third_party"]["order_lines"])
    days = seen["order"]["days_left"]
    guide.assistant(
        f"{held}: {amount(seen, 'order_amount')} in all. Yes, it can be cancelled: of this amount "
        f"{amount(seen, 'captured_amount')} has been captured. A capture is possible for {days} more days."
    )


async def mistyped(guide: Guide) -> None:
    """Scene 2: a wrong argument name is refused."""
    guide.scene(
        "2. A mistyped argument",
        "A server that drops arguments it does not know would carry out something else than was asked. This one "
        "refuses before anything leaves it, and names the argument that was probably meant.",
    )
    order_id = guide.order("captured-sek")
    guide.person("The linen towel of captured-sek has come back. Refund it.")
    seen = await guide.call("kustom_get_order", {"order_id": order_id}, "ok", details=("lines",))
    mistake = {"order_id": order_id, "refund_amount": _line(seen, "TOWEL-1")["total_amount"]}
    await guide.call("kustom_refund_order", mistake, "not_sent", code="UNKNOWN_ARGUMENT")


async def fewer_goods(guide: Guide) -> None:
    """Scene 3: an amount change by line: preview, code, done."""
    guide.scene(
        "3. Take goods off an order",
        "The first call only previews. Its code is bound to this operation, these arguments and this state of the "
        "order: it approves what was shown and nothing else. It proves a preview, not a person, so the assistant asks.",
    )
    guide.person("The customer of authorized-sek wants one wool blanket, not two.")
    change = {"order_id": guide.order("authorized-sek"), "line_changes": [{"line": 1, "quantity": 1}]}
    preview = await guide.call("kustom_update_order_amount", change, "confirmation_required")
    total = next(entry for entry in preview["changes"] if entry["field"] == "order_amount")
    currency = preview["order"]["purchase_currency"]
    before, after = (money.show(total[side], currency) for side in ("before", "after"))
    guide.assistant(f"The order would go from {before} to {after}. Shall I do this?")
    guide.person("Yes.")
    done = await guide.call("kustom_update_order_amount", change | _confirm(preview), "applied")
    guide.need(done["order"]["order_amount"] == total["after"], "the order has the amount that was approved")


async def cancelled_by_form(guide: Guide) -> None:
    """Scene 4: a person is asked by a form. Needs a connection whose client declares forms."""
    guide.scene(
        "4. A host that can ask",
        f"This is another host, on MCP {guide.client.protocol_version}. It can show forms, so the question goes to the "
        "person and not to the assistant, and there is no code that the assistant could use by itself.",
    )
    guide.person("Cancel expiring-soon-sek, please. The customer has changed their mind.")
    forms = guide.seen.by_form
    done = await guide.call("kustom_cancel_order", {"order_id": guide.order("expiring-soon-sek")}, "applied")
    guide.need(guide.seen.by_form == forms + 1, "a person was asked")
    guide.need(done["order"]["status"] == "CANCELLED", "the order is cancelled")


async def too_late(guide: Guide) -> None:
    """Scene 5: a captured order cannot be cancelled."""
    guide.scene(
        "5. Too late to cancel",
        "What cannot be done in the order's state is refused before anybody is asked, with the reason and what "
        "can be done.",
    )
    guide.person("Cancel captured-sek as well.")
    order_id = guide.order("captured-sek")
    seen = await guide.call("kustom_cancel_order", {"order_id": order_id}, "not_sent", code="ACTION_NOT_ALLOWED")
    guide.need(_can(seen, "kustom_refund_order"), "a refund is possible")
    guide.assistant(
        f"{amount(seen, 'captured_amount')} has been captured, so it is too late to cancel. I can refund it."
    )


async def refund_once(guide: Guide) -> None:
    """Scene 6: refund one item by its line, then replay the approval."""
    guide.scene(
        "6. A refund, and its replay",
        "One approval has at most one effect. Here the assistant sends the approved call twice, as after a lost "
        "connection; the second time the server reads the order and sees that it is done.",
    )
    order_id = guide.order("captured-sek")
    guide.person("Then refund only the towel.")
    refund = {"order_id": order_id, "lines": [{"line": 1, "quantity": 1}]}
    preview = await guide.call("kustom_refund_order", refund, "confirmation_required")
    start = amount(preview, "refunded_amount")
    guide.assistant("Shall I do this?")
    guide.person("Yes.")
    approved = refund | _confirm(preview)
    first = await guide.call("kustom_refund_order", approved, "applied")
    second = await guide.call("kustom_refund_order", approved, "already_applied")
    order = {"order_id": order_id, "include": ["refunds"]}
    after = await guide.call("kustom_get_order", order, "ok", details=("refunds",))
    amounts = [amount(content, "refunded_amount") for content in (first, second, after)]
    guide.need(len(set(amounts)) == 1 and amounts[0] != start, "the refund happened exactly once")
    guide.need(len(after["third_party"]["refunds"]) == 1, "the order has exactly one refund")
    guide.page.says("Proof", f"Refunded {start} before, {amounts[0]} after the yes, {amounts[2]} after the replay.")


async def typed_text(guide: Guide) -> None:
    """Scene 7: text in an order that gives instructions opens nothing."""
    guide.scene(
        "7. Text that gives orders",
        "Anybody can type into a shop's order form. Such text stays data: it comes back as third_party, cleaned of "
        "hidden characters, and widens nothing. An assistant that falls for it and makes up an approval is refused.",
    )
    guide.person("Have a look at hostile-text-sek.")
    order_id = guide.order("hostile-text-sek")
    await guide.call("kustom_get_order", {"order_id": order_id}, "ok", details=("reference", "lines"))
    guide.assistant("(believes what it has read, and confirms by itself)")
    believed = {"order_id": order_id, "lines": [{"line": 1, "quantity": 1}], "confirm": "yes"}
    refused = await guide.call("kustom_refund_order", believed, "not_sent", code="CONFIRMATION_INVALID")
    guide.need(refused["order"]["refunded_amount"] == 0, "nothing was refunded")


async def many_orders(guide: Guide) -> None:
    """Scene 8: a question over many orders, and how sure the answer is."""
    guide.scene(
        "8. Which orders expire this week?",
        "Kustom finds an order by its id only. So the server remembers the orders it has met, without personal data, "
        "reads again what may have changed, and says of how many orders it speaks.",
    )
    guide.person("Which orders expire this week?")
    week = datetime.now(UTC) + timedelta(days=7)
    asked = {"expires_before": f"{week:%Y-%m-%d}", "order_by": "expires_at"}
    found = await guide.call("kustom_find_orders", asked, "ok")
    names = {order_id: name for name, order_id in guide.seen.orders.items()}
    rows = found["orders"]
    guide.need([names.get(row["order_id"]) for row in rows] == ["expiring-soon-sek"], "one order expires this week")
    left = money.show(rows[0]["remaining_authorized_amount"], rows[0]["purchase_currency"])
    until = f"{datetime.fromisoformat(rows[0]['expires_at']):%Y-%m-%d, %H:%M} UTC"
    guide.assistant(f"Of the orders I know, expiring-soon-sek: {left} can be captured until {until}.")


SCENES = (question, mistyped, fewer_goods, cancelled_by_form, too_late, refund_once, typed_text, many_orders)
"""In their order. Each can be shown alone once the names are read."""


def _confirm(preview: Content) -> dict[str, str]:
    return {"confirm": preview["confirm"]["code"]}


def _can(content: Content, tool: str) -> bool:
    return any(entry["tool"] == tool for entry in content["order"]["can"])


def _line(content: Content, reference: str) -> Content:
    return {line["reference"]: line for line in content["third_party"]["order_lines"]}[reference]


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("| ").split(" | ")]


def _text(contents: list[Any]) -> str:
    return "".join(part.text for part in contents if isinstance(part, TextResourceContents))


def _named(outcome: str | None, code: str | None) -> str:
    return " ".join(part for part in (outcome, code) if part) or "nothing that this demo understands"
