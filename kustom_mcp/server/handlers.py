"""The handlers of the MCP server, and build_server, where settings, policy, gate, tools, prompts and resources meet.

On the SDK's low level, because everything between a request and its answer is ours anyway: strict arguments, policy,
the gate, the envelope. Every exception of a tool ends here: one that passed on would reach handshake-era clients word
for word.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, cast

from mcp import MCPError
from mcp.server import Server, ServerRequestContext
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    ElicitRequest,
    ElicitRequestFormParams,
    GetPromptRequestParams,
    GetPromptResult,
    InputRequiredResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
)

from kustom_mcp import __version__
from kustom_mcp.api import identifiers
from kustom_mcp.api.models import Order
from kustom_mcp.app.app import App
from kustom_mcp.calls.advice import fit
from kustom_mcp.calls.attempt import CallRequest
from kustom_mcp.calls.card import APPROVE, EXTENSION, ORDER_CARD, CardAnswer, card_answer, page, shows_cards
from kustom_mcp.calls.confirmation import ANSWER, Answer, Ask, Gate, Watch, operating_user
from kustom_mcp.calls.doubt_checker import DoubtChecker
from kustom_mcp.calls.messages import nobody_to_ask, too_fast
from kustom_mcp.calls.policy import PRINCIPAL, Policy, Principal, ToolFacts
from kustom_mcp.calls.token import derive
from kustom_mcp.calls.write import Call
from kustom_mcp.schema.parsing import says_nothing
from kustom_mcp.schema.result import Code, Json, Result, ToolError
from kustom_mcp.server import resources
from kustom_mcp.server.prompts import PROMPTS
from kustom_mcp.server.tool_list import listing
from kustom_mcp.server.tracing import Tracing
from kustom_mcp.text import nearest
from kustom_mcp.tools.catalog import CATALOG
from kustom_mcp.tools.tool import Operation

if TYPE_CHECKING:
    from kustom_mcp.app.shops import Shops

Context = ServerRequestContext[Any, Any]
Serving: TypeAlias = "App | Shops"
"""What one server holds: one account, or several shops."""

NAME = "kustom-mcp"
LIST_TTL_MS = 3_600_000
TOOL_FACTS = {
    tool.name: ToolFacts(tool.toolset, tool.writes, tool.endpoint.name, tool.offered, tool.effect.gated)
    for tool in CATALOG.values()
}

UNFIT = frozenset(
    {
        Code.INVALID_ARGUMENT,
        Code.LINES_MISMATCH,
        Code.AMOUNT_OUT_OF_RANGE,
        Code.CURRENCY_MISMATCH,
        Code.ACTION_NOT_ALLOWED,
    }
)
"""Codes for arguments that do not fit the order; after an approval they mean that the order changed."""

log = logging.getLogger(__name__)


class CommonHandlers(ABC):
    """The handlers that are the same for one account and for several shops."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._operator = Principal(operating_user())

    @cached_property
    def tools(self) -> dict[str, dict[str, Json]]:
        """The tools that are listed, as they go on the wire; the same bytes for the same settings."""
        return self._tools_for(writing=True)

    @cached_property
    def reading_tools(self) -> dict[str, dict[str, Json]]:
        """The same for callers who may not write."""
        return self._tools_for(writing=False)

    @abstractmethod
    def _tools_for(self, *, writing: bool) -> dict[str, dict[str, Json]]:
        """The tools for a caller who may write, or may not."""

    def input_schema(self, name: str) -> Mapping[str, Any] | None:
        tool = self.tools.get(name)
        return tool["inputSchema"] if tool else None

    async def list_tools(self, ctx: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        tools = list((self.tools if self._principal(ctx).writes else self.reading_tools).values())
        scope = "private" if self._serving.callers_differ else "public"
        listed = {"resultType": "complete", "tools": tools, "ttlMs": LIST_TTL_MS, "cacheScope": scope}
        return cast("ListToolsResult", listed)

    async def list_templates(self, ctx: Context, params: PaginatedRequestParams | None) -> ListResourceTemplatesResult:
        templates = resources.list_templates()
        return ListResourceTemplatesResult(resource_templates=templates, ttl_ms=LIST_TTL_MS, cache_scope="public")

    async def list_prompts(self, ctx: Context, params: PaginatedRequestParams | None) -> ListPromptsResult:
        return ListPromptsResult(prompts=PROMPTS.listing(), ttl_ms=LIST_TTL_MS, cache_scope="public")

    async def get_prompt(self, ctx: Context, params: GetPromptRequestParams) -> GetPromptResult:
        return PROMPTS.get(params.name, params.arguments)

    def fitted(self, ctx: Context, result: Result, has: Callable[[Principal, str], bool]) -> Result:
        """Leave out of an answer what does not fit its caller. `has`: whether a caller has a tool."""
        if ctx.request is None or PRINCIPAL in ctx.request.scope:  # else it is INTERNAL: nobody says who is calling
            caller = self._principal(ctx)
            fit(result, lambda tool: tool in CATALOG and not has(caller, tool), customer=caller.source == "customer")
        return result

    def _principal(self, ctx: Context) -> Principal:
        """The caller: the operator on stdio, over HTTP the principal of the request."""
        return self._operator if ctx.request is None else ctx.request.scope[PRINCIPAL]


class Handlers(CommonHandlers):
    """The handlers of one server, with the policy and the gate that they share."""

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self.app = app
        self.policy = Policy(app.settings, TOOL_FACTS, app.limits, app.account.name, app.shop)
        self.gate = Gate(app, self.policy)
        self.gate.watch_of = watch_of

    def _tools_for(self, *, writing: bool) -> dict[str, dict[str, Json]]:
        policy = self.policy if writing else self.policy.for_caller(Principal("reader", writes=False))
        return listing(policy.listed, self.gate.mode, self.app.settings.schemas)

    def state_keys(self) -> list[bytes]:
        """The keys that seal `requestState`."""
        return self.gate.state_keys()

    async def call_tool(self, ctx: Context, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
        tool = tool_named(params.name, self.tools)
        try:
            with self.app.running():
                result = await (self.result(ctx, params, tool) if tool else self._by_card(ctx, params))
        except Ask as ask:
            return question(ask)
        if result.error is not None and result.error.setting is not None:
            self.app.telemetry.refused(params.name, result.error.setting)
        settings = self.app.settings
        return cast("CallToolResult", result.wire(settings.environment, short=settings.text == "short"))

    async def _by_card(self, ctx: Context, params: CallToolRequestParams) -> Result:
        """Carry out `kustom_approve`: the preview of a call for the card, or the call with the person's answer."""
        try:
            tool, card = self.from_card(ctx, params, self.gate.card_seals())
        except ToolError as error:
            return self._fitted(ctx, error.result())
        return await self.result(ctx, CallToolRequestParams(name=card.tool, arguments=card.arguments), tool, card)

    def from_card(
        self, ctx: Context, params: CallToolRequestParams, seals: Sequence[str]
    ) -> tuple[Operation, CardAnswer]:
        """The call that the order card makes, and its answer. `seals`: those of its page. ToolError."""
        card = card_answer(params.arguments or {}, seals)
        tool = CATALOG.get(card.tool)
        if tool is None or not tool.effect.gated:
            message = "There is nothing to approve for this tool."
            raise ToolError(Code.INVALID_ARGUMENT, message, field="tool", next_step="Call the tool itself.")
        principal = self._principal(ctx)
        if not shows_cards(ctx) or principal.source == "customer":
            raise self.policy.for_caller(principal).no_form_for_customer() or nobody_to_ask("card")
        return tool, card

    async def result(
        self,
        ctx: Context,
        params: CallToolRequestParams,
        tool: Operation,
        card: CardAnswer | None = None,
        *,
        brought: Order | None = None,
    ) -> Result:
        """Run a tool; every exception becomes a result of ours, with advice that its caller can follow. `brought`: the
        order, read for this very call."""
        return self._fitted(ctx, await self._run(ctx, params, tool, card, brought=brought))

    def _fitted(self, ctx: Context, result: Result) -> Result:
        return self.fitted(ctx, result, lambda caller, tool: self.policy.for_caller(caller).listed(tool))

    async def _run(
        self,
        ctx: Context,
        params: CallToolRequestParams,
        tool: Operation,
        card: CardAnswer | None,
        *,
        brought: Order | None,
    ) -> Result:
        """Run a tool; every exception becomes a result of ours."""
        given = self._with_ids(params.arguments or {})
        confirm = given.pop("confirm", None) if tool.effect.gated else None
        confirm = card.code if card else None if says_nothing(confirm) else confirm

        def request() -> CallRequest:
            return self._request(ctx, params, tool, given, confirm, card)

        sent, code = False, None
        try:
            principal = self._principal(ctx)
            self._keep_pace(principal)
            self.policy.for_caller(principal).require(tool.name)
            if tool.writes and not tool.effect.gated:
                self.policy.require_sending()
            async with Call(self.gate, ctx, request()) as call:
                call.brought = {brought.order_id: brought} if brought is not None else {}
                try:
                    return await run(call, tool)
                finally:
                    sent, code = call.sent, call.in_doubt()
        except Ask:
            raise
        except ToolError as error:
            stopped = error
        except Exception:
            log.exception("the tool %s failed", tool.name)
            stopped = internal(sent=sent)
        if sent or not tool.writes:
            result = stopped.result()
            result.confirm = code
            return result
        return await self._stopped(ctx, request, stopped)

    def reading(self, ctx: Context, params: CallToolRequestParams, tool: Operation) -> Call:
        """The call of a tool that reads, for this shop of several. ToolError where this caller may not use it here."""
        self.policy.for_caller(self._principal(ctx)).require(tool.name)
        return Call(self.gate, ctx, self._request(ctx, params, tool, self._with_ids(params.arguments or {})))

    def _request(
        self,
        ctx: Context,
        params: CallToolRequestParams,
        tool: Operation,
        given: Mapping[str, Any],
        confirm: Any = None,
        card: CardAnswer | None = None,
    ) -> CallRequest:
        """Everything that a call is made of. ToolError for arguments that are not in order."""
        principal = self._principal(ctx)
        who = {"caller": principal.name, "host": _host(ctx)}
        return CallRequest(principal, tool.name, tool.effect.gated, params, who, tool.parse(given), confirm, card)

    def _with_ids(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments; in the sandbox the name of a demo order is as good as its id."""
        if not self.app.settings.sandboxed:
            return dict(given)
        from kustom_mcp.app.sandbox import ids_for_names

        return ids_for_names(given)

    async def _stopped(self, ctx: Context, asked: Callable[[], CallRequest], error: ToolError) -> Result:
        """The answer of a write that was stopped before it ran, or by a fault of this server."""
        try:
            return await Call(self.gate, ctx, asked()).stopped(error)
        except ToolError:
            return error.result()  # arguments that are not in order are no call that was made before
        except Exception:
            log.exception("nothing can be said about an earlier sending of this call")
            return error.result()

    def _keep_pace(self, principal: Principal) -> None:
        """Raise RATE_LIMITED when calls come too fast."""
        wait = self.app.rate_limiter.wait(principal.identity) if self.app.rate_limiter else 0.0
        if wait:
            raise too_fast(ceil(wait))

    async def read_order(self, ctx: Context, order_id: str) -> Mapping[str, Json]:
        """The default view of an order, for its resource."""
        params = CallToolRequestParams(name="kustom_get_order", arguments={"order_id": order_id})
        result = await self.result(ctx, params, CATALOG[params.name])
        return result.structured(self.app.settings.environment)

    async def list_resources(self, ctx: Context, params: PaginatedRequestParams | None) -> ListResourcesResult:
        listed = resources.list_resources(sandbox=self.app.settings.sandboxed)
        return ListResourcesResult(resources=listed, ttl_ms=LIST_TTL_MS, cache_scope="public")

    async def read_resource(self, ctx: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
        if str(params.uri) == ORDER_CARD:
            return page(self.gate.card_seals()[0] if self.gate.mode == "card" else None)
        return await resources.read(
            str(params.uri),
            read_order=lambda order_id: self.read_order(ctx, order_id),
            parse_order_id=lambda text: identifiers.order_id(self._with_ids({"order_id": text})["order_id"]),
            demo_orders=self._demo_orders(ctx) if self.app.settings.sandboxed else None,
        )

    async def complete(self, ctx: Context, params: CompleteRequestParams) -> CompleteResult:
        known = [order[0] for order in self._demo_orders(ctx)] if self.app.settings.sandboxed else []
        found = PROMPTS.complete(params.ref, params.argument, order_ids=known, error_codes=resources.documented_codes())
        return CompleteResult(completion=found or Completion(values=[]))

    def _demo_orders(self, ctx: Context) -> list[tuple[str, str, str, str]]:
        from kustom_mcp.app.sandbox import demo_orders

        policy = self.policy.for_caller(self._principal(ctx))
        return [order for order in demo_orders() if policy.hidden_by(order[0]) is None]


class _Watched(Exception):
    """The end of a tool's function, raised where it names what it watches."""

    def __init__(self, watch: Watch | Callable[[Order], Watch] | None) -> None:
        super().__init__()
        self.watch = watch


class _Watching:
    """A stand-in for the call of a tool's function: it ends the function where that reads the order, with its watch."""

    async def order(self, order_id: str, watch: Watch | Callable[[Order], Watch] | None = None) -> NoReturn:
        raise _Watched(watch)

    def __getattr__(self, name: str) -> _Watching:
        return self

    def __call__(self, *_: object, **__: object) -> _Watching:
        return self


async def watch_of(tool: str, arguments: Mapping[str, Any], order: Order) -> Watch | None:
    """Find what a tool watches: its function is run as far as that. None where its arguments are not known any more.

    Nothing is read or sent: the function ends where it would read the order.
    """
    operation = CATALOG.get(tool)
    if operation is None:
        return None
    try:
        given = operation.parse(dict(arguments))
    except ToolError:  # a record of version 0.1 holds texts by their length only
        given = {"order_id": order.order_id}
        needed = operation.arguments.model_fields
        given |= {name: None for name, field in needed.items() if field.is_required() and name not in given}
    try:
        await operation.run(_Watching(), **given)
    except _Watched as end:
        return end.watch if isinstance(end.watch, Watch) or end.watch is None else end.watch(order)
    except Exception:
        log.debug("what %s watches is not known any more", tool)
    return None


def doubt_checker_of(app: App) -> DoubtChecker:
    """The looks by itself of a server that runs all the time."""
    return DoubtChecker(Handlers(app).gate)


def build_server(app: Serving, *, names_shops: bool = True) -> Server[Any]:
    """The MCP server for an app, or for several shops. It enters the app's lifespan, so the app is used by one server.

    `names_shops`: whether every caller may read the names of the shops in the instructions.
    """
    settings = app.settings
    if isinstance(app, App):
        handlers, shops = Handlers(app), None
    else:
        from kustom_mcp.server.shops import ShopHandlers, in_instructions

        handlers = ShopHandlers(app)
        shops = in_instructions(app, by_name=names_shops)

    @asynccontextmanager
    async def lifespan(_: Server[Any]) -> AsyncGenerator[Serving]:
        async with app.lifespan():
            yield app

    server = Server(
        NAME,
        version=__version__,
        title="Kustom order management",
        instructions=resources.instructions(
            None if settings.writes_allowed else "KUSTOM_WRITES=allow",
            settings.environment,
            by_card=settings.confirm == "card",
            rehearses=settings.rehearses,
            shops=shops,
        ),
        lifespan=lifespan,
        get_tool_input_schema=handlers.input_schema,
        on_list_tools=handlers.list_tools,
        on_call_tool=handlers.call_tool,
        on_list_resources=handlers.list_resources,
        on_list_resource_templates=handlers.list_templates,
        on_read_resource=handlers.read_resource,
        on_list_prompts=handlers.list_prompts,
        on_get_prompt=handlers.get_prompt,
        on_completion=handlers.complete,
    )
    server.extensions[EXTENSION] = {}
    security = RequestStateSecurity(keys=handlers.state_keys(), ttl=float(settings.confirm_ttl))
    server.middleware.clear()  # the SDK's own spans, which repeat what a client has sent
    if app.telemetry.on:
        prompts = {prompt.name for prompt in PROMPTS.listing()}
        key = derive(handlers.state_keys()[0], "callers in telemetry")
        server.middleware.append(Tracing(app.telemetry, {*TOOL_FACTS, APPROVE}, prompts, key))
    server.middleware.append(RequestStateBoundary(security, default_audience=NAME))
    return server


def tool_named(name: str, listed: Collection[str]) -> Operation | None:
    """The tool of this name; None for the order card's own. MCPError where there is none."""
    tool = CATALOG.get(name)
    if tool is None and not (name == APPROVE and APPROVE in listed):
        near = nearest(name, CATALOG)
        hint = f" Did you mean {near}?" if near else ""
        raise MCPError(INVALID_PARAMS, f"There is no such tool.{hint}")
    return tool


def question(ask: Ask) -> InputRequiredResult:
    """The result that asks a 2026-07-28 client for an answer."""
    form = ElicitRequestFormParams(message=ask.proposal.question(), requested_schema=ask.proposal.form())
    return InputRequiredResult(input_requests={ANSWER: ElicitRequest(params=form)}, request_state=ask.state)


async def run(call: Call, tool: Operation) -> Result:
    """Run a tool to its answer. An error carries the order's facts where it was read: they say what is possible."""
    try:
        return await tool.run(call, **call.arguments)
    except Answer as answer:
        return answer.result
    except ToolError as error:
        stopped = call.change if error.code in UNFIT and call.change is not None else error
    call.note_refusal(stopped)
    result = await call.stopped(stopped) if tool.writes else stopped.result()
    if call.before is not None:
        result.order = call.facts(call.before)
    return result


def internal(*, sent: bool) -> ToolError:
    """The error for a fault of this server. `sent`: whether a write had left."""
    if sent:
        return ToolError(
            Code.INTERNAL,
            "Something went wrong in this server after the request had been sent; it may have been carried out.",
            outcome="unknown",
            next_step="Read the order to see whether it happened before doing anything else, and tell the operator.",
        )
    return ToolError(
        Code.INTERNAL,
        "Something went wrong in this server.",
        next_step="Repeat the call once; if it happens again, tell the operator.",
    )


def _host(ctx: Context) -> str:
    """The host's own name for itself, at most 60 characters."""
    client = ctx.session.client_params
    return client.client_info.name[:60] if client else ""
