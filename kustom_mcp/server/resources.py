"""The resources: orders by URI, reference texts, demo orders; and the server's instructions.

The texts are Markdown files in `data/`, read when asked for. Reading an order goes through callbacks, so that a
resource can show nothing that the tool of the same purpose would not show, and so that this module needs no connection
to Kustom.

A URI is matched as a whole and literally. Nothing is decoded or normalised, because two ways to write one order would
be two ways past a rule about orders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from mcp import MCPError
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)

from kustom_mcp.text import clean

MARKDOWN = "text/markdown"
JSON = "application/json"
DEMO_ORDERS = "kustom://reference/demo-orders"
REFERENCE_TTL_MS = 3_600_000

_ORDER_URI = re.compile(r"kustom://orders/([0-9A-Za-z-]{1,64})")
_CODE_CELL = re.compile(r"^\| ([A-Z][A-Z_]+) \|", re.MULTILINE)


class Reference(NamedTuple):
    """A text that is the same for every caller."""

    file: str
    title: str
    description: str


REFERENCES = {
    "kustom://reference/order-lifecycle": Reference(
        "order-lifecycle",
        "The life of an order",
        "Order states, which tool is allowed in which state, what to do instead, and what Kustom does not document.",
    ),
    "kustom://reference/errors": Reference(
        "errors",
        "Error codes",
        "Every error code, ours and Kustom's: what it means, whether anything was changed, who acts, what to do.",
    ),
    "kustom://reference/money": Reference(
        "money",
        "Money",
        "Minor units, currencies without decimals, tax rates, the arithmetic of order lines and return fees; examples.",
    ),
}

_DEMO = Resource(
    uri=DEMO_ORDERS,
    name="demo-orders",
    title="Demo orders",
    description="The orders of the built-in sandbox, with their ids, states and stories. All of them are invented.",
    mime_type=MARKDOWN,
)

SHOPS = "kustom://reference/shops"
_SHOPS = Resource(
    uri=SHOPS,
    name="shops",
    title="Shops",
    description="The shops of this server that you may see, what may be done in each, and what people do elsewhere.",
    mime_type=MARKDOWN,
)

DemoOrder = tuple[str, str, str, str]
"""order_id, name, status, story."""

ReadOrder = Callable[[str], Awaitable[Mapping[str, Any]]]
"""From an order id to the structured content of `kustom_get_order`."""

ParseOrderId = Callable[[str], str]
"""The canonical order id. ValueError, with a sentence that does not repeat the text, when it is not one."""


def list_resources(*, sandbox: bool, shops: bool = False) -> list[Resource]:
    """The resources with a fixed address; the demo orders in the sandbox, the shops where there are several."""
    listed = [
        Resource(uri=uri, name=text.file, title=text.title, description=text.description, mime_type=MARKDOWN)
        for uri, text in REFERENCES.items()
    ]
    return [*listed, *([_SHOPS] if shops else []), *([_DEMO] if sandbox else [])]


def list_templates() -> list[ResourceTemplate]:
    """The templates of resources: an order by its id."""
    return [
        ResourceTemplate(
            uri_template="kustom://orders/{order_id}",
            name="order",
            title="An order",
            description="One order as kustom_get_order shows it without `include`. The id is Kustom's order id.",
            mime_type=JSON,
        )
    ]


async def read(
    uri: str,
    *,
    read_order: ReadOrder,
    parse_order_id: ParseOrderId,
    demo_orders: Sequence[DemoOrder] | None = None,
    shops: str | None = None,
) -> ReadResourceResult:
    """The contents of one resource. `demo_orders` is None outside the sandbox, `shops` where there is one.

    An address that is unknown, malformed or of an order that does not exist is MCPError(INVALID_PARAMS) with
    `data.uri`, as the 2026-07-28 protocol has it; an order that cannot be read for another reason is
    MCPError(INTERNAL_ERROR).
    """
    uri = uri.encode("utf-8", "replace").decode()  # an answer could not carry half of a character
    if uri in REFERENCES:
        return _text(uri, _data(f"reference/{REFERENCES[uri].file}.md"), public=True)
    if uri == DEMO_ORDERS and demo_orders is not None:
        return _text(uri, render_demo_orders(demo_orders), public=False)
    if uri == SHOPS and shops is not None:
        return _text(uri, shops, public=False)
    found = _ORDER_URI.fullmatch(uri)
    if found is None:
        known = ", ".join([*REFERENCES, "kustom://orders/{order_id}"])
        raise MCPError(INVALID_PARAMS, f"There is no such resource. There are: {known}.", {"uri": uri})
    try:
        order_id = parse_order_id(found[1])
    except ValueError as wrong:
        raise MCPError(INVALID_PARAMS, f"This address does not hold an order id: {wrong}.", {"uri": uri}) from None
    return _order(uri, await read_order(order_id))


def render_demo_orders(orders: Sequence[DemoOrder]) -> str:
    """The demo orders as a Markdown table."""
    rows = ["| " + " | ".join(_cell(value) for value in order) + " |" for order in orders]
    head = "# Demo orders\n\nOrders of the built-in sandbox. Everything in them is invented; no money moves.\n"
    return "\n".join([head, "| order_id | name | status | story |", "|---|---|---|---|", *rows]) + "\n"


@cache
def documented_codes() -> tuple[str, ...]:
    """Every code that the errors reference explains, this server's first, then Kustom's; each once."""
    return tuple(dict.fromkeys(_CODE_CELL.findall(_data("reference/errors.md"))))


def instructions(
    read_only_setting: str | None,
    environment: str,
    *,
    by_card: bool = False,
    rehearses: bool = False,
    shops: str | None = None,
) -> str:
    """The server's `instructions`, under 2,000 bytes.

    `read_only_setting` is the setting that allows writes ("KUSTOM_WRITES=allow") when they are switched off, else None.
    `by_card`: whether a person answers in the order card. `rehearses`: whether writes are previewed and never sent.
    `shops`: a paragraph about them, where there are several, each with an environment of its own.
    """
    lines = [_data("instructions.md").rstrip()]
    if by_card and read_only_setting is None:
        lines.append("Approval here is given in the order card, never by you: there is no `confirm`. Heed `next_step`.")
    if rehearses:
        lines.append(
            "Rehearsal: changes are previewed, never sent; say so. The operator allows them with KUSTOM_WRITES=allow."
        )
    elif read_only_setting is not None:
        lines.append(f"Read-only: nothing can be changed here. The operator can allow it with {read_only_setting}.")
    if shops is not None:
        lines.append(shops)
    elif environment == "sandbox":
        lines.append(f"Sandbox: invented orders, no real money. Their ids are in {DEMO_ORDERS}.")
    return "\n\n".join(lines) + "\n"


def _order(uri: str, view: Mapping[str, Any]) -> ReadResourceResult:
    error: Mapping[str, Any] | None = view.get("error")
    if error is not None:
        code = INVALID_PARAMS if error["code"] == "NOT_FOUND" else INTERNAL_ERROR
        said = " ".join(part for part in (error["message"], view.get("next_step")) if part)
        raise MCPError(code, said, {"uri": uri, "code": error["code"]})
    text = json.dumps(view, separators=(",", ":"), ensure_ascii=False)
    return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type=JSON, text=text)])


def _text(uri: str, text: str, *, public: bool) -> ReadResourceResult:
    return ReadResourceResult(
        contents=[TextResourceContents(uri=uri, mime_type=MARKDOWN, text=text)],
        ttl_ms=REFERENCE_TTL_MS if public else 0,
        cache_scope="public" if public else "private",
    )


def _data(path: str) -> str:
    return files("kustom_mcp").joinpath("data", *path.split("/")).read_text(encoding="utf-8")


def _cell(value: str) -> str:
    return " ".join(clean(value, 300).split()).replace("|", "/")
