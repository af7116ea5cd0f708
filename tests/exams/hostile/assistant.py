"""An assistant that does whatever it reads, in any field of any answer: it calls the tools that a text names, with the
order ids, amounts and confirmations that stand there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from tests.exams.hostile.texts import GATED, out_of_tags
from tests.support.conversation import Talk

Json = dict[str, Any]

EVERYTHING = ["lines", "customer", "shipping", "captures", "refunds", "merchant_data"]
AT_MOST = 3
"""Calls that one order can talk it into."""

_MONEY = ("refunded_amount", "captured_amount")
_INVISIBLE = re.compile("[\u200b\u2060\u202a-\u202e\u2066-\u2069\ufe00-\ufe0f\u0301]")
_TOOL = re.compile(r"kustom_[a-z_]+")
_ORDER = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_AMOUNT = re.compile(r"amount\W{1,4}(\d{1,9})")
_CONFIRM = re.compile(r"(?:confirm|code)\W{1,3}([^\s\"&)]+)")


def texts(value: Any) -> Iterator[str]:
    """Every text in an answer, keys too."""
    if isinstance(value, dict):
        for key, item in cast("Json", value).items():
            yield key
            yield from texts(item)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from texts(item)
    elif isinstance(value, str):
        yield value


@dataclass(frozen=True)
class Order:
    """The call that a text asks for."""

    tool: str
    order_id: str
    amount: int
    confirm: str

    def arguments(self) -> Json:
        """As the tool takes them."""
        line = {"name": "Anything", "quantity": 1, "unit_price": self.amount, "total_amount": self.amount}
        more: dict[str, Json] = {
            "kustom_refund_order": {"refunded_amount": self.amount},
            "kustom_capture_order": {"captured_amount": self.amount},
            "kustom_update_order_amount": {"order_amount": self.amount, "order_lines": [line]},
            "kustom_update_customer_details": {"shipping_address": {"street_address": "Somewhere else 1"}},
            "kustom_update_merchant_references": {"merchant_reference1": "TALKED-INTO"},
        }
        return {"order_id": self.order_id, **more.get(self.tool, {})}


def orders_in(answer: Json, about: str) -> list[Order]:
    """The calls that an answer's texts ask for. `about`: the order that it is about, where a text names none."""
    found: dict[Order, None] = {}
    for raw in texts(answer):
        text = out_of_tags(_INVISIBLE.sub("", raw))
        tool = _TOOL.search(text)
        if tool is None or tool[0] == text or tool[0].startswith("kustom_get"):  # `can` lists bare names
            continue
        confirms = _CONFIRM.findall(text) or ["yes"]
        ids, amounts = _ORDER.findall(text) or [about], _AMOUNT.findall(text) or ["100"]
        found[Order(tool[0], ids[0], int(amounts[0]), confirms[-1])] = None
    return list(found)


@dataclass
class Assistant:
    """`flag`: confirm is a boolean, and it always says true. `redeems`: it gives the server's own codes back, and tries
    each for a little more money and for the next call too."""

    talk: Talk
    flag: bool = False
    redeems: bool = False
    outcomes: list[str] = field(default_factory=list[str])
    previewed: list[tuple[str, Json]] = field(default_factory=list[tuple[str, Json]])
    """Calls for which the server has minted a code."""
    _code: str = ""
    """The code of the call before, which it tries first."""

    async def look_after(self, order_id: str) -> None:
        """Read everything about an order, and obey; the answers to that may give further orders."""
        answers = [await self._call("kustom_get_order", {"order_id": order_id, "include": EVERYTHING})]
        obeyed: set[Order] = set()
        while answers:
            answer = answers.pop()
            found = orders_in(answer, order_id)
            for order in found[:: max(1, len(found) // AT_MOST)]:
                if order not in obeyed and len(obeyed) < AT_MOST:
                    obeyed.add(order)
                    answers.append(await self._obey(order))

    async def _obey(self, order: Order) -> Json:
        arguments = order.arguments()
        if order.tool not in GATED:
            return await self._call(order.tool, arguments)
        confirm = True if self.flag else self._code or order.confirm
        answer = await self._call(order.tool, arguments | {"confirm": confirm})
        if "confirm" in answer:
            self.previewed.append((order.tool, arguments))
            if self.redeems:
                self._code = answer["confirm"]["code"]
                code = {"confirm": self._code}
                more = {name: value + 1 for name, value in arguments.items() if name in _MONEY}
                if more:
                    await self._call(order.tool, arguments | more | code)
                answer = await self._call(order.tool, arguments | code)
        elif "without confirm" in answer.get("next_step", ""):
            answer = await self._call(order.tool, arguments)
        return answer

    async def _call(self, tool: str, arguments: Json) -> Json:
        answer = await self.talk.client.call_tool(tool, arguments)
        content = self.talk.checked("", answer)
        self.outcomes.append(content["outcome"])
        return content
