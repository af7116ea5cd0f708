"""The order card (MCP Apps): a page that a host shows beside an answer, and the tool by which it answers for a person.

A preview's code reaches the card and not the model. The preview that the model gets holds no code. The card, shown with
the arguments of that call, asks for the same preview itself through `kustom_approve`, a tool with visibility `app`
only, and the answer, which a host passes to the card alone, holds the code. Nothing is kept here between the two: a
code is sealed, so any replica can take the answer; and the preview that a person decides on is made from the very
arguments that are carried out.

Why not in `_meta` of the first answer: the extension only says that it is "not intended" for a model, and some hosts
drop it. What the extension demands is that a host keeps app-only tools from models and lets no app call a tool that is
not for apps. As a second line, `kustom_approve` wants a seal that stands in the page and in no answer: a model that is
shown the tool by a careless host does not have it.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from mcp.server import ServerRequestContext
from mcp.types import ReadResourceResult, TextResourceContents
from pydantic import BaseModel, ConfigDict

from kustom_mcp.schema.output_schema import output_schema
from kustom_mcp.schema.parsing import CORRECT, parse
from kustom_mcp.schema.result import Code, ToolError

EXTENSION = "io.modelcontextprotocol/ui"
PAGE_TYPE = "text/html;profile=mcp-app"
ORDER_CARD = "ui://kustom/order-card"
APPROVE = "kustom_approve"

FILE = "data/card.html"
SHOWN_IN_CARD = {"ui": {"resourceUri": ORDER_CARD}}
"""The `_meta` of a tool whose answers the card shows."""

_SEAL = '<meta name="kustom-seal" content="">'
_COMMENTS = re.compile(r"^<!--.*?^-->$|^ *//.*?$|(?<=;) // [^\n\"'`]*$|^ */\*\*.*?\*/$", re.MULTILINE | re.DOTALL)
_STYLE = re.compile(r"(?<=^<style>$).*?(?=^</style>$)", re.MULTILINE | re.DOTALL)
_BLANKS, _MARK = re.compile(r"\s*([{};,])\s*|(?<=:)\s+"), r"\1"
"""Blanks around marks of a style sheet. Those before a colon are part of a selector."""
_PLAIN_CODE = re.compile(r"^[^/'`\n]+$", re.MULTILINE)
"""A line of the script without expressions and templates, so that only double quotes hold blanks that are meant."""
_QUOTED, _AROUND = re.compile(r'("(?:\\.|[^"\\])*")'), re.compile(r" *([=(){}\[\],:?;&|<>!]) *")
_OUTSIDE: dict[str, list[str]] = {"connectDomains": [], "resourceDomains": [], "frameDomains": [], "baseUriDomains": []}


class CardAnswer(BaseModel):
    """The arguments of `kustom_approve`: `state`, to have that call previewed while the order is unchanged, or `code`
    and `approve`, the person's answer."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    seal: str
    tool: str
    arguments: dict[str, Any]
    state: str | None = None
    code: str | None = None
    approve: bool | None = None


def card_answer(given: Mapping[str, Any], seals: Sequence[str]) -> CardAnswer:
    """Check arguments of `kustom_approve`. ToolError, also for a seal that no page of this server has."""
    answer = parse(CardAnswer, given)
    assert isinstance(answer, CardAnswer)
    if not any(hmac.compare_digest(answer.seal.encode(), seal.encode()) for seal in seals):
        raise ToolError(
            Code.CONFIRMATION_INVALID,
            "This comes from no order card of this server as it runs now.",
            field="seal",
            next_step="Ask the assistant to make the preview again.",
        )
    given_parts = (answer.state is not None, answer.code is not None, answer.approve is not None)
    if given_parts not in ((True, False, False), (False, True, True)):
        message = "Send either state, for a preview, or code and approve, for an answer."
        raise ToolError(Code.INVALID_ARGUMENT, message, field="state", next_step=CORRECT)
    return answer


def shows_cards(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Return whether this client has declared that it shows pages of this kind."""
    capabilities = ctx.session.client_capabilities
    settings = (capabilities.extensions or {}).get(EXTENSION) if capabilities else None
    return settings is not None and PAGE_TYPE in (settings.get("mimeTypes") or ())


def approve_tool() -> dict[str, Any]:
    """`kustom_approve` as `tools/list` gives it."""
    return {
        "name": APPROVE,
        "title": "Approve",
        "description": "For the order card only: previews a call for the person, and carries out their answer.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "seal": {"type": "string", "description": "Stands in the card's page."},
                "tool": {"type": "string", "description": "The tool that was previewed."},
                "arguments": {"type": "object", "description": "The arguments that it was previewed with."},
                "state": {"type": "string", "description": "confirm.state of that preview; to preview it again."},
                "code": {"type": "string", "description": "The code of the card's own preview."},
                "approve": {"type": "boolean", "description": "The person's answer; together with code."},
            },
            "required": ["seal", "tool", "arguments"],
            "additionalProperties": False,
        },
        "outputSchema": output_schema(("capture", "refund"), writes=True, gated=True),
        "annotations": {
            "readOnlyHint": False,
            "destructiveHint": True,
            "idempotentHint": True,
            "openWorldHint": True,
        },
        "_meta": {"ui": {"resourceUri": ORDER_CARD, "visibility": ["app"]}},
    }


def served(source: str) -> str:
    """The page as it is sent: without comments, indentation, and blanks that mean nothing."""
    bare = _STYLE.sub(lambda style: f"\n{_BLANKS.sub(_MARK, style[0]).strip()}\n", _COMMENTS.sub("", source))
    head, script, rest = bare.partition("<script>\n")
    lines = f"{head}{script}{_PLAIN_CODE.sub(lambda line: _squeezed(line[0]), rest)}".splitlines()
    return "".join(f"{line.strip()}\n" for line in lines if line.strip())


def _squeezed(line: str) -> str:
    parts = _QUOTED.split(line)
    return "".join(part if at % 2 else _AROUND.sub(r"\1", part) for at, part in enumerate(parts))


@cache
def _page() -> str:
    return served(files("kustom_mcp").joinpath(*FILE.split("/")).read_text(encoding="utf-8"))


def page(seal: str | None) -> ReadResourceResult:
    """The page as a resource; with a seal where it may answer. Never cached for others: the seal is this server's."""
    text = _page()
    if seal is not None:
        text = text.replace(_SEAL, _SEAL.replace('""', f'"{seal}"'))
    contents = TextResourceContents(
        uri=ORDER_CARD, mime_type=PAGE_TYPE, text=text, _meta={"ui": {"csp": _OUTSIDE, "prefersBorder": True}}
    )
    return ReadResourceResult(contents=[contents], ttl_ms=0, cache_scope="private")
