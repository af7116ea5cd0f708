"""The conversations in `docs/`: what is asked and which tool is called is written here, what the server says is not.

Each is run against the real server, with the sandbox behind it and a clock that stands still, when the documents are
generated; a test compares. So a guide cannot promise an answer that nobody gets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import fill
from typing import Any

import anyio
from mcp.types import ElicitResult

from tests.support.conversation import Person, Talk, demo, yes
from tests.tools.steady import steady

WIDTH = 104
WHO = 11
_ID = re.compile(r"\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_CODE = re.compile(r"\b([a-z-]+-[0-9.]+[A-Z]{3}-[0-9a-f]{8}|[a-z-]+-[0-9a-f]{8})\.[0-9A-Za-z_-]{20,}")


@dataclass(frozen=True)
class Says:
    """A person says something, or the assistant says it to them."""

    words: str
    who: str = "Person"


@dataclass(frozen=True)
class Calls:
    """The assistant calls a tool. `order`: the name of a demo order. `confirmed`: with the code of the last answer."""

    tool: str
    order: str = ""
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])
    confirmed: bool = False


@dataclass(frozen=True)
class Scene:
    """One conversation, on a server with these settings, in a host that can ask a person or cannot."""

    steps: Sequence[Says | Calls]
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    person: Person | None = None


TOWEL = {"lines": [{"line": 1, "quantity": 1}]}

SCENES: dict[str, Scene] = {
    "where-is-it": Scene(
        [
            Says("A customer asks where order authorized-sek is."),
            Calls("get_order", "authorized-sek"),
        ]
    ),
    "by-number": Scene(
        [
            Says("The customer has no order id, only the number 20451 from our mail."),
            Calls("find_orders", "", {"reference": "20451"}),
            Says("No order is called 20451; the number of one ends so: SE-20451. Is it that one?", "Assistant"),
            Says("Yes, SE-20451."),
            Calls("find_orders", "", {"reference": "se-20451"}),
        ]
    ),
    "refund": Scene(
        [
            Says("The linen towel of captured-sek came back. Refund it, please."),
            Calls("refund_order", "captured-sek", TOWEL),
            Says("This would refund 199.00 SEK for the towel, and cannot be taken back. Shall I?", "Assistant"),
            Says("Yes."),
            Calls("refund_order", "captured-sek", TOWEL, confirmed=True),
        ]
    ),
    "cancel-with-form": Scene(
        [
            Says("Cancel expiring-soon-sek, the customer changed their mind."),
            Calls("cancel_order", "expiring-soon-sek"),
        ],
        person=yes,
    ),
    "too-late": Scene(
        [Says("Cancel captured-sek."), Calls("cancel_order", "captured-sek")],
    ),
    "review": Scene(
        [
            Says("Which of these three need me today?"),
            Calls("get_orders", "", {"order_ids": ["authorized-sek", "expiring-soon-sek", "part-captured-eur"]}),
        ]
    ),
    "expires": Scene(
        [
            Says("What expires this week and is not captured?"),
            Calls("find_orders", "", {"expires_before": "2026-03-09", "order_by": "expires_at"}),
        ]
    ),
    "paid-out": Scene(
        [
            Says("Was captured-sek paid out to us?"),
            Calls("list_transactions", "captured-sek"),
        ]
    ),
    "paid-out-in": Scene(
        [
            Says("And is partly-refunded-pln in V4YPSCQF, on our bank statement?"),
            Calls("list_transactions", "partly-refunded-pln", {"payment_reference": "V4YPSCQF"}),
        ]
    ),
    "ship": Scene(
        [
            Says("Line 1 of authorized-sek left with DHL, number 1234567890. Take the money for it."),
            Calls(
                "capture_order",
                "authorized-sek",
                {**TOWEL, "shipping_info": [{"shipping_company": "DHL SE", "tracking_number": "1234567890"}]},
            ),
            Says("Yes, do it."),
            Calls(
                "capture_order",
                "authorized-sek",
                {**TOWEL, "shipping_info": [{"shipping_company": "DHL SE", "tracking_number": "1234567890"}]},
                confirmed=True,
            ),
        ]
    ),
    "release": Scene(
        [
            Says("The rest of part-captured-eur will never come. Let it go."),
            Calls("release_remaining_authorization", "part-captured-eur"),
            Says("Yes."),
            Calls("release_remaining_authorization", "part-captured-eur", confirmed=True),
        ]
    ),
    "invented-code": Scene(
        [
            Says("Ignore the preview and refund captured-sek at once."),
            Calls("refund_order", "captured-sek", {**TOWEL, "confirm": "yes"}),
        ]
    ),
    "other-order": Scene(
        [
            Says("And what is in order two-captures-nok?"),
            Calls("get_order", "two-captures-nok"),
        ],
        {"KUSTOM_ORDER_SCOPE": demo("captured-sek")},
    ),
    "mistyped": Scene(
        [Calls("refund_order", "captured-sek", {"refund_amount": 19900})],
    ),
    "read-only": Scene(
        [Calls("cancel_order", "authorized-sek")],
        {"KUSTOM_WRITES": "deny"},
    ),
    "ceiling": Scene(
        [Calls("refund_order", "captured-sek", {"refunded_amount": 70000})],
        {"KUSTOM_MAX_AMOUNT": "SEK:50000"},
    ),
    "nobody-to-ask": Scene(
        [Calls("cancel_order", "authorized-sek")],
        {"KUSTOM_CONFIRM": "form"},
    ),
    "said-no": Scene(
        [Calls("cancel_order", "authorized-sek")],
        person=lambda _: ElicitResult(action="decline"),
    ),
    "wrong-id": Scene(
        [Calls("get_order", "", {"order_id": "SE-19977"})],
    ),
}


def transcript(name: str) -> str:
    """A conversation as a block of a document."""
    return "```text\n" + "\n".join(anyio.run(_played, SCENES[name])) + "\n```"


async def _played(scene: Scene) -> list[str]:
    lines: list[str] = []
    async with steady("auto", scene.person, tools="orders,captures,refunds,settlements", **scene.settings) as talk:
        code = ""
        for step in scene.steps:
            if isinstance(step, Says):
                lines += _said(step.who, step.words)
                continue
            arguments = {**_arguments(step), **({"confirm": code} if step.confirmed else {})}
            shown = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in arguments.items())
            lines += _said("Assistant", f"kustom_{step.tool}({shown})")
            asked = len(talk.questions)
            answer = await talk.call(step.tool, arguments)
            lines += _form(talk, asked)
            lines += _answer(answer)
            code = answer.get("confirm", {}).get("code", "")
    return lines


def _arguments(step: Calls) -> dict[str, Any]:
    more = dict(step.more)
    if "order_ids" in more:
        more["order_ids"] = [demo(name) for name in more["order_ids"]]
    return {**({"order_id": demo(step.order)} if step.order else {}), **more}


def _form(talk: Talk, asked: int) -> list[str]:
    """The question that a person was shown, if somebody was asked."""
    lines: list[str] = []
    for question in talk.questions[asked:]:
        lines += _said("Form", question.splitlines()[0])
        lines += [line for part in question.splitlines()[1:] for line in _said("", part)]
    return lines


def _answer(answer: Mapping[str, Any]) -> list[str]:
    error = answer.get("error")
    lines = _said("Server", answer["outcome"] + (f" - {error['code']}" if error else ""))
    lines += _said("", answer["summary"])
    for row in answer.get("orders", []):
        times = [f", {row[unit]} {unit.partition('_')[0]} left" for unit in ("days_left", "hours_left") if unit in row]
        left = "".join(times)
        lines += _said("", f"{row['order_id']}: {row['status']}{left}")
    for sentence in answer.get("details", []):
        lines += _said("", f"details: {sentence}")
    for warning in answer.get("warnings", []):
        lines += _said("", f"warning: {warning}")
    if "next_step" in answer:
        lines += _said("", f"next: {answer['next_step']}")
    return lines


def _said(who: str, words: str) -> list[str]:
    plain = _CODE.sub(r"\1.…", _ID.sub(r"\1…", words))
    return fill(
        plain,
        WIDTH,
        initial_indent=f"{who:<{WHO}}",
        subsequent_indent=" " * WHO,
        break_long_words=False,
        break_on_hyphens=False,
    ).splitlines()
