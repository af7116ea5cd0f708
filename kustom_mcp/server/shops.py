"""The handlers of a server of several shops: each call is bound to the handlers of one shop before anything is done.

The handlers of a shop are those of a server with that shop alone: its policy, its gate, its account. In front of them a
call's `shop` is taken off, or the shop of its order is found; behind them the answer says which shop it is about. Tools
that are about no single order run once, with a call for each shop that the caller may see.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from math import ceil
from typing import Any, cast

from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    InputRequiredResult,
    ListResourcesResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
)

from kustom_mcp.api import identifiers
from kustom_mcp.app.shops import OpenShop, Shops
from kustom_mcp.calls.card import ORDER_CARD, CardAnswer, approve_tool, page
from kustom_mcp.calls.confirmation import Ask, Mode, key_ring
from kustom_mcp.calls.messages import too_fast
from kustom_mcp.calls.policy import Policy, Principal
from kustom_mcp.calls.token import derive
from kustom_mcp.calls.write import Call
from kustom_mcp.schema.parsing import says_nothing
from kustom_mcp.schema.result import Code, Json, Result, ToolError
from kustom_mcp.server import resources
from kustom_mcp.server.handlers import (
    LIST_TTL_MS,
    TOOL_FACTS,
    CommonHandlers,
    Context,
    Handlers,
    internal,
    question,
    run,
    tool_named,
)
from kustom_mcp.server.prompts import PROMPTS
from kustom_mcp.server.shop_finder import Asking, Candidate, ShopFinder, several_know
from kustom_mcp.server.tool_list import listing
from kustom_mcp.settings.settings import ConfigError, Settings
from kustom_mcp.settings.shops_file import SETTING, Shop
from kustom_mcp.text import clean, nearest
from kustom_mcp.tools.catalog import CATALOG
from kustom_mcp.tools.tool import Operation

SHOP_ARGUMENT = {"type": "string", "description": "Shop, by name."}
_BY_KUSTOM = (Code.AUTHENTICATION_FAILED, Code.UPSTREAM_UNAVAILABLE, Code.RATE_LIMITED)
"""Errors of a shop that fails."""
_ROOM_FOR_NAMES = 180
"""Bytes of the instructions for the names of shops."""

log = logging.getLogger(__name__)


def in_instructions(shops: Shops, *, by_name: bool) -> str:
    """The paragraph of the instructions about the shops: by name, as many as fit, or that there are several."""
    listed = list(shops.now())
    named = ""
    if by_name:
        fitting = [name for index, name in enumerate(listed) if len(", ".join(listed[: index + 1])) <= _ROOM_FOR_NAMES]
        named = f" ({', '.join(fitting)}{', and more' if len(fitting) < len(listed) else ''})"
    return (
        f"Several shops{named}: see {resources.SHOPS}. Send `shop` where it is known; else the shop of an order is "
        "found. Say which shop an answer is about."
    )


class ShopHandlers(CommonHandlers):
    """The handlers of one server of several shops."""

    def __init__(self, shops: Shops) -> None:
        super().__init__(shops)
        self._shops = shops
        self._finder = ShopFinder(shops)
        self._ring = key_ring(shops.keeper)
        self._handlers: dict[str, Handlers] = {}
        self._listed_at_start = [one.shop for one in shops.now().values()]
        self._modes = _modes(self._listed_at_start)
        self._sandboxed = all(shop.settings.sandboxed for shop in self._listed_at_start)

    def state_keys(self) -> list[bytes]:
        """The keys that seal `requestState`: of the server, since its shop is known only when it is open."""
        return [derive(secret, "request-state") for secret in self._ring]

    def _tools_for(self, *, writing: bool) -> dict[str, dict[str, Json]]:
        """The tools that at least one shop had at the start. No list changes when the file does."""
        return tools_of(self._listed_at_start, self._shops.settings, writing=writing)

    async def call_tool(self, ctx: Context, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
        tool = tool_named(params.name, self.tools)
        try:
            with self._shops.running():
                result, environment = await self._answer(ctx, params, tool)
        except Ask as ask:
            return question(ask)
        if result.error is not None and result.error.setting is not None:
            one = self._shops.now().get(result.shop or "")
            telemetry = self._shops.telemetry if one is None else one.app.telemetry
            telemetry.refused(params.name, result.error.setting)
        return cast("CallToolResult", result.wire(environment, short=self._shops.settings.text == "short"))

    async def _answer(self, ctx: Context, params: CallToolRequestParams, tool: Operation | None) -> tuple[Result, str]:
        """The answer of a call, and its environment."""
        seen: dict[str, OpenShop] = {}
        try:
            principal = self._principal(ctx)
            seen = self._seen(principal)
            card: CardAnswer | None = None
            if tool is None:
                tool, card = (await self._any(seen)).from_card(ctx, params, self._seals())
                params = CallToolRequestParams(name=card.tool, arguments=card.arguments)
            return await self._bound(ctx, params, tool, card, principal, seen)
        except Ask:
            raise
        except ToolError as error:
            stopped = error.result()
        except Exception:
            log.exception("the tool %s failed before its shop was known", params.name)
            stopped = internal(sent=False).result()
        return self.fitted(ctx, stopped, self._lists), _environment(seen)

    def _lists(self, caller: Principal, tool: str) -> bool:
        """Whether a caller is listed a tool."""
        return tool in (self.tools if caller.writes else self.reading_tools)

    async def _bound(
        self,
        ctx: Context,
        params: CallToolRequestParams,
        tool: Operation,
        card: CardAnswer | None,
        principal: Principal,
        seen: Mapping[str, OpenShop],
    ) -> tuple[Result, str]:
        """Bind a call to its shop, or to all that the caller may see, and carry it out."""
        given = dict(params.arguments or {})
        wanted = given.pop("shop", None)
        if isinstance(wanted, str) and not wanted.strip():
            wanted = None
        params = params.model_copy(update={"arguments": given})
        besides = {name: value for name, value in given.items() if not (name == "confirm" and tool.effect.gated)}
        checked = tool.parse(self._with_ids(besides, seen), besides=("shop",))
        if not seen:
            raise _no_shop()
        asking = Asking()
        if not says_nothing(wanted):
            name = _named(wanted, seen)
        elif "order_id" in checked:
            name = await self._finder.find(
                checked["order_id"], self._candidates(seen, principal), principal.identity, asking
            )
        elif len(seen) == 1:
            name = next(iter(seen))
        elif tool.writes:  # every one that changes something names its order
            raise _which(seen)
        else:
            return await self._over(ctx, params, tool, principal, seen, asking), _environment(seen)
        order_id = str(checked.get("order_id"))

        async def run(one: OpenShop) -> Result:
            handlers = await self._of(one)
            one.app.telemetry.in_shop()
            brought = asking.brought.get((order_id, one.name)) if not tool.writes else None
            with one.app.running():
                result = await handlers.result(ctx, params, tool, card, brought=brought)
            self._learn(one, result, order_id)
            return result

        result = await run(seen[name])
        if says_nothing(wanted) and len(seen) > 1 and _knows_no_order(result):  # it was this shop's by the book only
            name = await self._finder.find(order_id, self._candidates(seen, principal), principal.identity, asking)
            result = await run(seen[name])
        return _of_shop(result, seen[name]), seen[name].app.settings.environment

    async def _over(
        self,
        ctx: Context,
        params: CallToolRequestParams,
        tool: Operation,
        principal: Principal,
        seen: Mapping[str, OpenShop],
        asking: Asking,
    ) -> Result:
        """Run a tool that reads once, with a call for each shop. ToolError where none may be used."""
        pace = self._shops.rate_limiter
        if pace is not None and (wait := pace.wait(principal.identity)):
            raise too_fast(ceil(wait))
        calls: dict[str, Call] = {}
        refused: dict[str, ToolError] = {}
        async with AsyncExitStack() as stack:
            for name, one in seen.items():
                handlers = await self._of(one)
                try:
                    call = handlers.reading(ctx, params, tool)
                except ToolError as error:
                    refused[name] = error
                    continue
                stack.enter_context(one.app.running())
                calls[name] = await stack.enter_async_context(call)
            if not calls:
                raise next(iter(refused.values()))
            candidates = self._candidates({name: seen[name] for name in calls}, principal)

            async def find(order_id: str) -> Call:
                name = await self._finder.find(order_id, candidates, principal.identity, asking)
                brought = asking.brought.pop((order_id, name), None)
                if brought is not None:
                    calls[name].brought[order_id] = brought
                return calls[name]

            for call in calls.values():
                call.shops, call.find_shop = calls, find
            result = await run(next(iter(calls.values())), tool)
        if refused:
            _add(result, f"Not looked at: {', '.join(refused)} (switched off there).")
        _add_failing(result, [seen[name] for name in calls])
        return self.fitted(ctx, result, self._lists)

    def _learn(self, one: OpenShop, result: Result, order_id: str) -> None:
        """Note what an answer tells of the order."""
        if result.order is not None:
            self._finder.remember(order_id, one)
        elif _knows_no_order(result):
            self._finder.forget(order_id, one)

    def _seen(self, principal: Principal) -> dict[str, OpenShop]:
        """The shops that exist for this caller, by name."""
        shops = self._shops.now()
        if principal.shops is None:
            return dict(shops)
        return {name: one for name, one in shops.items() if name in principal.shops}

    def _candidates(self, seen: Mapping[str, OpenShop], principal: Principal) -> dict[str, Candidate]:
        def hides(one: OpenShop) -> Callable[[str], bool]:
            scopes = (one.shop.settings.order_scope, principal.orders)
            return lambda order_id: any(scope is not None and order_id not in scope for scope in scopes)

        return {name: Candidate(one, hides(one)) for name, one in seen.items()}

    async def _of(self, one: OpenShop) -> Handlers:
        """The handlers of a shop, which is open from now on."""
        app = await self._shops.opened(one)
        known = self._handlers.get(one.name)
        if known is None or known.app is not app:
            try:
                known = self._handlers[one.name] = Handlers(app)
            except ConfigError as error:  # the file was changed to what no start would have taken
                log.error("shops.%s in KUSTOM_SHOPS_FILE: %s", one.name, error)
                raise _unusable(one.name) from None
        return known

    async def _any(self, seen: Mapping[str, OpenShop]) -> Handlers:
        if not seen:
            raise _no_shop()
        return await self._of(next(iter(seen.values())))

    def _seals(self) -> list[str]:
        return [derive(secret, "order-card").hex() for secret in self._ring]

    def _with_ids(self, given: Mapping[str, Any], seen: Mapping[str, OpenShop]) -> dict[str, Any]:
        """Return the arguments; where every shop is a sandbox, the name of a demo order is as good as its id."""
        if not all(one.app.settings.sandboxed for one in seen.values()):
            return dict(given)
        from kustom_mcp.app.sandbox import ids_for_names

        return ids_for_names(given)

    async def list_resources(self, ctx: Context, params: PaginatedRequestParams | None) -> ListResourcesResult:
        listed = resources.list_resources(sandbox=self._sandboxed, shops=True)
        return ListResourcesResult(resources=listed, ttl_ms=LIST_TTL_MS, cache_scope="public")

    async def read_resource(self, ctx: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
        if str(params.uri) == ORDER_CARD:
            return page(self._seals()[0] if "card" in self._modes else None)
        seen = self._seen(self._principal(ctx))

        async def read_order(order_id: str) -> Mapping[str, Json]:
            asked = CallToolRequestParams(name="kustom_get_order", arguments={"order_id": order_id})
            result, environment = await self._answer(ctx, asked, CATALOG[asked.name])
            return result.structured(environment)

        return await resources.read(
            str(params.uri),
            read_order=read_order,
            parse_order_id=lambda text: identifiers.order_id(self._with_ids({"order_id": text}, seen)["order_id"]),
            demo_orders=_demo_orders(seen) if self._sandboxed else None,
            shops=self._listed(seen),
        )

    async def complete(self, ctx: Context, params: CompleteRequestParams) -> CompleteResult:
        seen = self._seen(self._principal(ctx))
        known = [order[0] for order in _demo_orders(seen)] if self._sandboxed else []
        found = PROMPTS.complete(params.ref, params.argument, order_ids=known, error_codes=resources.documented_codes())
        return CompleteResult(completion=found or Completion(values=[]))

    @staticmethod
    def _listed(seen: Mapping[str, OpenShop]) -> str:
        """The shops of a caller as Markdown."""
        lines = ["# Shops", "", "`shop` takes the name.", ""]
        lines += ["| name | title | environment | writes | now |", "|---|---|---|---|---|"]
        for one in seen.values():
            settings = one.shop.settings
            writes = "previewed" if settings.rehearses else "allowed" if settings.writes_allowed else "off"
            now = f"failing: {one.failing}" if one.failing else "-"
            cells = (one.name, one.shop.title, settings.environment, writes, now)
            lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
        told = [
            f"- {one.name}, {operation.replace('_', ' ')}: {_cell(words)}"
            for one in seen.values()
            for operation, words in one.shop.elsewhere.items()
        ]
        if told:
            lines += ["", "What people do in another system:", "", *told]
        return "\n".join(lines) + "\n"


def tools_of(shops: Sequence[Shop], settings: Settings, *, writing: bool = True) -> dict[str, dict[str, Json]]:
    """The tools of a server of these shops: those that at least one of them has. `writing`: for a caller that may
    write. ConfigError where a shop names tools that there are not."""
    on = [policy_of(shop) for shop in shops]
    writes, modes = writing and settings.writes != "deny", _modes(shops)

    def listed(name: str) -> bool:
        return any(policy.selects(name) for policy in on) and (writes or not TOOL_FACTS[name].writes)

    (mode,) = modes if len(modes) == 1 else ("auto",)
    tools = listing(listed, mode, settings.schemas, shop=SHOP_ARGUMENT)
    if "card" in modes and mode != "card" and any(CATALOG[name].effect.gated for name in tools):
        tools[approve_tool()["name"]] = approve_tool()
    return tools


def _modes(shops: Sequence[Shop]) -> frozenset[Mode]:
    return frozenset(shop.settings.confirm for shop in shops)


def _demo_orders(seen: Mapping[str, OpenShop]) -> list[tuple[str, str, str, str]]:
    """The orders that the sandboxes of these shops started with: id, name with the shop, status and story."""
    return [
        (seed.order_id, f"{seed.name}, {one.name}", seed.status, seed.story)
        for one in seen.values()
        if one.app.simulator is not None
        for seed in one.app.simulator.seeds
    ]


def _of_shop(result: Result, one: OpenShop) -> Result:
    """Say which shop an answer is about, also in the call that would send a write again, and that it fails."""
    shop = one.shop
    result.shop = shop.name
    if result.repeat is not None:
        result.repeat = _repeat(result.repeat, shop.name)
    writes: Sequence[Mapping[str, Json]] = result.payload.get("writes", ())
    if any("repeat" in write for write in writes):
        told = [
            {**write, "repeat": _repeat(write["repeat"], shop.name)} if "repeat" in write else write for write in writes
        ]
        result.payload = {**result.payload, "writes": told}
    error = result.error
    if error is not None and one.failing is not None and error.code in _BY_KUSTOM:
        error.sentence = f"The shop {shop.name} is failing: {error.sentence}"
        result.summary = error.message
    else:
        _add_failing(result, [one])
    return result


def _add_failing(result: Result, asked: Sequence[OpenShop]) -> None:
    """Name the shops that fail, of those that an answer is about."""
    for one in asked:
        if one.failing is not None:
            _add(result, f"The shop {one.name} failed when it was last asked: {one.failing}.")


def _add(result: Result, sentence: str) -> None:
    """Put a sentence to the summary, and to the message of an error, which says the same."""
    if result.error is None:
        result.summary = f"{result.summary} {sentence}"
    else:
        result.error.sentence = f"{result.error.sentence} {sentence}"
        result.summary = result.error.message


def _repeat(repeat: Mapping[str, Json], shop: str) -> dict[str, Json]:
    return {**repeat, "arguments": {**repeat["arguments"], "shop": shop}}


def _environment(seen: Mapping[str, OpenShop]) -> str:
    """The environment of an answer about several shops: the gravest of theirs."""
    found = {one.app.settings.environment for one in seen.values()}
    return next((one for one in ("production", "playground") if one in found), "sandbox")


def _knows_no_order(result: Result) -> bool:
    """Whether a shop said, before anything was sent, that it has no such order."""
    error = result.error
    return (
        result.order is None
        and error is not None
        and error.code is Code.NOT_FOUND
        and error.field in (None, "order_id")
    )


def shop_named(wanted: str, seen: Mapping[str, OpenShop]) -> str | None:
    """The name of the shop that is called so, by name or by title, whatever the case; None where there is none."""
    plain = " ".join(wanted.split()).casefold()
    if plain in seen:
        return plain
    return next((name for name, one in seen.items() if plain == one.shop.title.casefold()), None)


def _named(wanted: object, seen: Mapping[str, OpenShop]) -> str:
    """The shop that a call names. ToolError for none of the caller's."""
    name = shop_named(wanted, seen) if isinstance(wanted, str) else None
    if name is not None:
        return name
    near = nearest(wanted, seen) if isinstance(wanted, str) else None
    hint = f"Did you mean {near}?" if near else f"The shops are {', '.join(seen)}."
    raise ToolError(
        Code.INVALID_ARGUMENT,
        f"shop: it is the name of no shop here. {hint}",
        field="shop",
        next_step="Call again with the name of a shop, or without `shop`: the shop of an order is found.",
    )


def _which(seen: Mapping[str, OpenShop]) -> ToolError:
    error = several_know(list(seen))
    error.sentence = f"shop is missing: there are {', '.join(seen)}."
    return error


def policy_of(shop: Shop) -> Policy:
    """The policy of a shop, without its counts. ConfigError where its table names tools that there are not."""
    try:
        return Policy(shop.settings, TOOL_FACTS, shop=shop)
    except ConfigError as error:
        raise ConfigError(SETTING, f"shops.{shop.name}.tools {error.sentence}") from None


def _unusable(name: str) -> ToolError:
    return ToolError(
        Code.NOT_PERMITTED,
        f"The shop {name} cannot be used: its table names tools that there are not.",
        next_step="Tell the operator of this server to correct KUSTOM_SHOPS_FILE. Other shops can be used.",
        field="shop",
        setting=SETTING,
    )


def _no_shop() -> ToolError:
    return ToolError(
        Code.NOT_PERMITTED,
        "There is no shop for this caller.",
        next_step="Tell the person that the operator of this server decides which shops a token is for.",
        setting="token",
    )


def _cell(text: str) -> str:
    return " ".join(clean(text, 200).split()).replace("|", "/")
