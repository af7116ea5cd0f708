"""The operator's policy, and the caller that it judges: writes, toolsets, spending limits, scope, tracking hosts.

Decided from settings and from counts of this server alone, so that neither the text in an order nor a model can widen
it. Every call asks again, the second call of a confirmation too: the operator may have changed a setting in between.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from typing import TYPE_CHECKING, Literal, NamedTuple
from uuid import UUID

import anyio

from kustom_mcp.money import Ceilings, show
from kustom_mcp.schema.result import Code, Json, ToolError
from kustom_mcp.settings.links import ANY, CARRIERS, carriers, host_of, is_within
from kustom_mcp.settings.settings import ConfigError, Settings
from kustom_mcp.state.spending_limits import (
    LimitReached,
    LimitsBusy,
    LimitsUnavailable,
    RateExceeded,
    Reservation,
    SpendingLimits,
)
from kustom_mcp.state.threads import in_thread
from kustom_mcp.text import named_hosts, nearest

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from kustom_mcp.settings.shops_file import Shop

log = logging.getLogger(__name__)

DEFAULT_TOOLSETS = ("orders", "captures", "refunds")
TOOLSETS = (*DEFAULT_TOOLSETS, "settlements", "klarna")

MOST_PEOPLE = 20
"""Searches for people a minute, per caller."""

TOKEN = "token"
"""The name in place of a setting where the access token's scopes or orders refuse a caller."""

PEOPLE = "KUSTOM_PEOPLE_FILE"
SHOPS = "KUSTOM_SHOPS_FILE"
ALL_SHOPS = "shops"
"""Stands for an account where a limit is that of a caller over all shops of a server."""
HAND_OVER = "Tell the customer that a person of the shop will do it, and hand over to one."
_ASK_AGAIN = f"Make the call once more; if that is refused, too: {HAND_OVER}"
_TOKEN_ENDED = (
    "Tell the person that their token has ended: the operator of this server gives another one, if they may have it."
)
_ELSEWHERE = "people of this shop do it elsewhere"

MOVES = {"refunded_amount": "refund", "captured_amount": "capture"}
"""The fields of a request that move money, each with the kind that has a spending limit a day."""


Source = Literal["operator", "token", "issuer", "people", "customer"]
"""The origin of a caller's rights: the process itself, the static token, an issuer, the people file, or a customer
token, whose holder is the customer."""
_READ_ONLY: Mapping[Source, str] = {
    "issuer": "the caller's access token lacks the scope orders:write",
    "people": "the caller may not write (`may` in KUSTOM_PEOPLE_FILE)",
    "customer": "the caller's customer token is for reading",
}

_DECIDED_BY: Mapping[Source, str] = {"issuer": "the scopes of a token", "people": "KUSTOM_PEOPLE_FILE"}

PRINCIPAL = "kustom.principal"
"""The key of the principal in the ASGI scope of an HTTP request."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller, and how far the call reaches: on stdio the user of the operating system, over HTTP what a token says.

    `name` is the one name of the caller for people, in the journal and nowhere else: that user, "token" for the static
    token, the name in the people file, the person claim of an access token. `identity`, the same as `name` where it is
    not given, is what codes, sessions and counts are bound to: two ways in may know one name.

    `writes`: whether tools that change something may be called. `orders`: the order ids that exist for this caller,
    `shops`: the shops; None for all. `max_amount`: ceilings of one write, beside those of the server. `renew` returns
    the caller with the rights of this moment, None where there are none any more; without it rights last for the call.
    """

    name: str
    writes: bool = True
    orders: frozenset[str] | None = None
    identity: str = ""
    source: Source = "operator"
    shops: frozenset[str] | None = None
    max_amount: Ceilings | None = None
    renew: Callable[[], Principal | None] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.identity:
            object.__setattr__(self, "identity", self.name)


class ToolFacts(NamedTuple):
    """The facts about a tool of the catalogue that a call needs. `operation`: that of its endpoint.

    `offered`: whether `can` names it where it is possible; `gated`: whether a person approves each call.
    """

    toolset: str
    writes: bool
    operation: str
    offered: bool
    gated: bool


class _SettingPlace(NamedTuple):
    """The place where an operator set something: in words, and the setting that holds it."""

    words: str
    setting: str


class Policy:
    """The operator's settings, as answers to the questions that a call asks."""

    def __init__(
        self,
        settings: Settings,
        catalog: Mapping[str, ToolFacts],
        limits: SpendingLimits | None = None,
        account: str = "",
        shop: Shop | None = None,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._limits = limits or SpendingLimits()
        self._account = account
        self._shop = shop
        self._selected = _selection(settings.tools, catalog)
        bound = shop is not None and "tools" in shop.within.model_fields_set
        self._selected_by_server = _selection(shop.within.tools, catalog) if shop and bound else frozenset(catalog)
        """All, where the tools are each shop's own."""
        self._selected &= self._selected_by_server
        self._principal = self._began_as = Principal("operator")

    def operation(self, tool: str) -> str:
        """The operation of the API behind a tool."""
        return self._catalog[tool].operation

    def gated(self, tool: str) -> bool:
        """Return whether a person approves each call of this tool. False for one that is not in the catalogue."""
        return tool in self._catalog and self._catalog[tool].gated

    @property
    def operations(self) -> dict[str, str]:
        """The operation of the API behind every tool."""
        return {name: facts.operation for name, facts in self._catalog.items()}

    @property
    def writing(self) -> list[str]:
        """The tools of the catalogue that change something."""
        return [name for name, facts in self._catalog.items() if facts.writes]

    def tool_for(self, operation: str) -> str:
        """The tool for an operation of the API that writes."""
        return next(name for name, facts in self._catalog.items() if facts.operation == operation and facts.writes)

    @property
    def offered(self) -> dict[str, str]:
        """The tools that `can` may name, each with its operation."""
        return {name: facts.operation for name, facts in self._catalog.items() if facts.offered}

    def for_caller(self, principal: Principal) -> Policy:
        """Narrow the policy to the rights of this caller."""
        policy = copy.copy(self)
        policy._principal = policy._began_as = principal
        return policy

    def listed(self, tool: str) -> bool:
        """Return whether `tools/list` shows the tool."""
        return self.why_off(tool) is None

    def selects(self, tool: str) -> bool:
        """Return whether the operator's list of tools names this one."""
        return tool in self._selected

    def why_off(self, tool: str) -> str | None:
        """The reason why a tool of the catalogue is switched off, naming the setting; None when it is on."""
        facts = self._catalog[tool]
        if facts.writes and not (self._settings.writes_allowed or self._settings.rehearses):
            who = "the server" if self._shop is None else f"the shop {self._shop.name}"
            return self._or_elsewhere(tool, f"{who} is read-only ({self._opened_by} opens it)")
        if facts.writes and not self._principal.writes:
            return _READ_ONLY.get(self._principal.source, "the caller may not write")
        if tool not in self._selected:
            place = self._place("tools", of_server=tool not in self._selected_by_server)
            return self._or_elsewhere(tool, f"switched off (add {facts.toolset} or {tool} to {place.words})")
        return None

    def _place(self, field_: str, *, of_server: bool) -> _SettingPlace:
        """The place where the operator set this: the variable of the server, or the field of the shop."""
        if self._shop is None or of_server:
            name = f"KUSTOM_{field_.upper()}"
            return _SettingPlace(name, name)
        return _SettingPlace(f"`{field_}` of shops.{self._shop.name} in {SHOPS}", SHOPS)

    @property
    def _writes(self) -> _SettingPlace:
        within = self._shop.within.writes if self._shop else None
        return self._place("writes", of_server=within is not None and within == self._settings.writes)

    @property
    def _opened_by(self) -> str:
        place = self._writes
        return f'"allow" as {place.words}' if place.setting == SHOPS else f"{place.words}=allow"

    @property
    def code_instead(self) -> str:
        """The operator's way to codes in place of forms and cards, in words."""
        of_server = self._shop is not None and self._shop.within.confirm != "auto"
        place = self._place("confirm", of_server=of_server)
        return f'"code" as {place.words}' if place.setting == SHOPS else f"{place.words}=code"

    def _or_elsewhere(self, tool: str, why: str) -> str:
        """The reason why a tool is off, with the words of this shop where people do the same in another system."""
        short = tool.removeprefix("kustom_").removesuffix("_order")
        words = self._shop.elsewhere.get(short) if self._shop else None
        return f"{_ELSEWHERE}: {words}" if words else why

    def why_not(self, tool: str) -> str | None:
        """The reason why a tool of the catalogue changes nothing here, naming the setting; None when it does."""
        if self.rehearses and self._catalog[tool].writes:
            return self.why_off(tool) or f"only previewed here, never sent ({self._opened_by} opens it)"
        return self.why_off(tool)

    @property
    def rehearses(self) -> bool:
        """Whether every write is previewed, and none is sent."""
        return self._settings.rehearses

    def require_sending(self) -> None:
        """Refuse to send where writes are only previewed. ToolError NOT_PERMITTED."""
        if self.rehearses:
            raise ToolError(
                Code.NOT_PERMITTED,
                f"This server previews and sends nothing ({self._rehearsed_by}).",
                next_step="Tell the person that this was a rehearsal: the order is as it was. The operator of this "
                f"server decides with {self._opened_by} when changes are sent.",
                setting=self._writes.setting,
            )

    @property
    def _rehearsed_by(self) -> str:
        place = self._writes
        return f'"preview" as {place.words}' if place.setting == SHOPS else f"{place.words}=preview"

    def require(self, tool: str) -> None:
        """Refuse a tool that is switched off, by the rights that the caller has now. ToolError NOT_PERMITTED."""
        self._renew()
        why = self.why_off(tool)
        if why:
            told = ("KUSTOM_TOOLS", "KUSTOM_WRITES", SHOPS)
            setting = next((name for name in told if name in why), SHOPS if _ELSEWHERE in why else TOKEN)
            how = _DECIDED_BY.get(self._principal.source, "the rights of a token") if setting == TOKEN else setting
            raise ToolError(
                Code.NOT_PERMITTED,
                f"{tool} is not available here: {why}.",
                closing="",
                next_step=HAND_OVER
                if self.for_customer
                else f"Tell the person that the operator of this server decides this with {how}.",
                setting=setting,
            )
        if self._principal != self._began_as:  # orders, shops, ceilings: all were judged by those of before
            raise ToolError(
                Code.NOT_PERMITTED,
                "The rights of this caller were changed while this call ran.",
                next_step="Make the call again: it is then held to the rights of now.",
                setting=TOKEN,
            )

    def _renew(self) -> None:
        """Take the rights of this moment: a person may have been removed while a call waited."""
        if self._principal.renew is None:
            return
        now = self._principal.renew()
        if now is None:
            raise ToolError(
                Code.NOT_PERMITTED,
                "The token of this caller is not good any more.",
                next_step=_ASK_AGAIN if self.for_customer else _TOKEN_ENDED,
                setting=TOKEN,
            )
        self._principal = now

    def hidden_by(self, order_id: str) -> str | None:
        """The setting that hides this order, or TOKEN; None when it is in scope."""
        configured = self._settings.order_scope
        if configured is not None and order_id not in configured:
            bound = self._shop.within.order_scope if self._shop else None
            return self._place("order_scope", of_server=bound is not None and order_id not in bound).setting
        own = self._principal.orders
        return TOKEN if own is not None and order_id not in own else None

    @property
    def scope(self) -> frozenset[str] | None:
        """The only order ids that exist for this caller; None when all do."""
        configured, token = self._settings.order_scope, self._principal.orders
        return token if configured is None else configured if token is None else configured & token

    @property
    def hides_addresses(self) -> bool:
        """Whether no answer may tell this caller that an address is the one on the order: it could guess."""
        return self._settings.pii == "masked" or self._principal.orders is not None

    def require_all_orders(self) -> None:
        """Refuse a view of many orders together where only some exist for this caller. ToolError NOT_PERMITTED."""
        if self.scope is not None:
            bound = self._shop is not None and self._shop.within.order_scope is not None
            place = _SettingPlace("the caller's access token", TOKEN)
            if self._settings.order_scope is not None:
                place = self._place("order_scope", of_server=bound)
            raise ToolError(
                Code.NOT_PERMITTED,
                f"Payouts hold many orders, and {place.words} allows certain ones only.",
                next_step="Ask about one order: kustom_list_transactions with its order_id says what was paid out.",
                setting=place.setting,
            )

    @property
    def for_customer(self) -> bool:
        """Whether the caller is a customer of the shop, who hears no name of its people."""
        return self._principal.source == "customer"

    def no_form_for_customer(self) -> ToolError | None:
        """The error where a customer must approve a write and the host cannot show a form; None for the shop's people:
        no other means is open to a customer."""
        if not self.for_customer:
            return None
        return ToolError(
            Code.HUMAN_APPROVAL_UNAVAILABLE,
            "The customer must approve this in a form, and this host cannot show one.",
            next_step=HAND_OVER,
            setting=TOKEN,
        )

    def require_staff(self) -> None:
        """Refuse what names the people of the shop to a customer. ToolError NOT_PERMITTED."""
        if self.for_customer:
            raise ToolError(
                Code.NOT_PERMITTED,
                "The journal is for the people of the shop, and this is a customer's token.",
                next_step="Answer from kustom_get_order: it says what was captured and refunded, and when.",
                setting=TOKEN,
            )

    @property
    def _counted_with(self) -> str:
        """The account within which a caller's calls are counted; of several shops all of them together."""
        return self._account if self._shop is None else ALL_SHOPS

    @property
    def narrowed(self) -> bool:
        """Return whether the caller's access token allows certain orders only, so that no people are looked for."""
        return self._principal.orders is not None

    async def look_for_people(self, caller: str, now: float) -> None:
        """Hold a search for a person to the rights and the pace of its caller. `now` in unix seconds. ToolError
        NOT_PERMITTED, RATE_LIMITED, BUSY, AUDIT_UNAVAILABLE."""
        if self.narrowed:
            raise ToolError(
                Code.NOT_PERMITTED,
                "Orders cannot be looked up by a person here: the caller's access token allows certain orders only.",
                next_step="Ask for the order number or the order id.",
                setting=TOKEN,
            )
        try:
            who = f"{self._counted_with}/{caller}/people"
            await in_thread(lambda: self._limits.take(who, MOST_PEOPLE, None, now))
        except RateExceeded as error:
            wait = max(1, ceil(error.wait))
            raise ToolError(
                Code.RATE_LIMITED,
                f"People are looked up at most {MOST_PEOPLE} times a minute here.",
                retry_after_seconds=wait,
                next_step=f"Wait {wait} seconds, then repeat the call.",
            ) from None
        except (LimitsBusy, LimitsUnavailable) as error:
            log.warning("searches for people cannot be counted: %s", error)
            raise ToolError(
                Code.AUDIT_UNAVAILABLE,
                "This server cannot count its searches for people now, so it answers none.",
                next_step=f"Tell the operator to look at {self._limits.place}; orders are still found by reference.",
            ) from None

    def within_ceiling(self, amount: int, currency: str, field: str) -> None:
        """Hold one write to KUSTOM_MAX_AMOUNT. `amount` in minor units. ToolError LIMIT_EXCEEDED."""
        ceilings = self._settings.max_amount
        if ceilings is not None:
            self._hold(amount, currency, field, ceilings.limit(currency), self._ceiling("max_amount", currency))
        own = self._principal.max_amount
        if own is not None:
            self._hold(amount, currency, field, own.limit(currency), _SettingPlace(f"max_amount in {PEOPLE}", PEOPLE))

    def _ceiling(self, field_: str, currency: str) -> _SettingPlace:
        """The place where the ceiling stands that counts for a currency."""
        bound: Ceilings | None = getattr(self._shop.within, field_) if self._shop else None
        counts: Ceilings = getattr(self._settings, field_)
        return self._place(field_, of_server=bound is not None and counts.limit(currency) == bound.limit(currency))

    @staticmethod
    def _hold(amount: int, currency: str, field: str, limit: int | None, place: _SettingPlace) -> None:
        if limit is not None and amount > limit:
            raise ToolError(
                Code.LIMIT_EXCEEDED,
                f"{show(amount, currency)} is above {show(limit, currency)}, the most that one write may move here "
                f"({place.words}).",
                field=field,
                next_step="Do not split the amount to get around this. Ask the person to do it in the Kustom portal.",
                setting=place.setting,
            )

    def tracking_links(self, shipments: Sequence[Mapping[str, Json]]) -> None:
        """Hold the links of shipments (checked arguments) to KUSTOM_TRACKING_HOSTS, and the hosts that other texts of
        them name: a mail program makes links of those. ToolError NOT_PERMITTED."""
        for index, shipment in enumerate(shipments):
            for name, text in shipment.items():
                field = f"shipping_info[{index}].{name}"
                if name.endswith("_uri"):
                    self._tracking_host(host_of(text), field, "This tracking link names a host", "the link")
                    continue
                for host in named_hosts(text):
                    self._tracking_host(host, field, f"{field} names a web address", "the web address in it")

    def _tracking_host(self, host: str, field: str, names: str, what: str) -> None:
        bound = self._shop.within.tracking_hosts if self._shop else None
        outside = bound is not None and not _allows(bound, host)
        if outside or not _allows(self._tracking_hosts(), host):
            place = self._place("tracking_hosts", of_server=outside)
            raise ToolError(
                Code.NOT_PERMITTED,
                f"{names} that is not allowed here ({place.words}).",
                field=field,
                next_step=f"Send the carrier and the number without {what}, or ask the operator to add the carrier's "
                f"host to {place.words}.",
                setting=place.setting,
            )

    def _tracking_hosts(self) -> frozenset[str]:
        """The setting, or its default: the carriers' in production and for a token that is narrowed to orders."""
        strict = self._settings.environment == "production" or self._principal.orders is not None
        return self._settings.tracking_hosts or frozenset({CARRIERS if strict else ANY})

    async def room_today(
        self, key: UUID, body: Mapping[str, Json] | None, currency: str, now: float, ahead: float
    ) -> None:
        """Hold a request to KUSTOM_MAX_DAILY before a person is asked about it.

        `now` in unix seconds; `ahead`: seconds by which Kustom's clock is ahead of it.
        ToolError LIMIT_EXCEEDED, BUSY, AUDIT_UNAVAILABLE.
        """
        move = self.move(key, body, currency)
        if move is not None and move.ceiling is not None:
            with self.refusals(move):
                await in_thread(lambda: self._limits.look(move, now, ahead))

    def taking(
        self, caller: str, move: Reservation | None, now: float, ahead: float
    ) -> Callable[[Callable[[Connection], None], str], None]:
        """Return the function that counts a write and reserves the money that it moves, together with its record.

        It raises what `refusals` puts into words: RATE_LIMITED above KUSTOM_WRITES_PER_MINUTE, LIMIT_EXCEEDED above
        KUSTOM_MAX_DAILY, BUSY, AUDIT_UNAVAILABLE.
        """
        most = self._settings.writes_per_minute
        who = f"{self._counted_with}/{caller}"
        return lambda also, lock: self._limits.take(who, most, move, now, also, (lock,), ahead)

    async def give_back(self, move: Reservation | None) -> None:
        """Give the money of a write back that certainly moved nothing."""
        if move is None:
            return
        with anyio.CancelScope(shield=True):
            try:
                await in_thread(lambda: self._limits.give_back(move.key))
            except (LimitsBusy, LimitsUnavailable):
                log.warning("money that did not move stays counted for a day: the limits cannot be written")

    def move(self, key: UUID, body: Mapping[str, Json] | None, currency: str) -> Reservation | None:
        """The money that a request moves, None where it moves none. It counts although no ceiling of a day is set."""
        ceilings = self._settings.max_daily
        ceiling = ceilings.limit(currency) if ceilings else None
        field = next((name for name in MOVES if name in (body or {})), None)
        if body is None or field is None:
            return None
        return Reservation(str(key), self._account, MOVES[field], currency.upper(), body[field], ceiling)

    @contextmanager
    def refusals(self, move: Reservation | None) -> Generator[None]:
        """Put what the limits refuse into words. ToolError."""
        try:
            yield
        except RateExceeded as error:
            raise _too_fast(self._settings.writes_per_minute, max(1, ceil(error.wait))) from None
        except LimitReached as error:
            assert move is not None
            raise _no_room(move, error, self._ceiling("max_daily", move.currency)) from None
        except LimitsBusy:
            raise ToolError(
                Code.BUSY,
                "Other writes of this server, or of another one here, hold its counts.",
                next_step="Repeat the call in a few seconds.",
            ) from None
        except LimitsUnavailable as error:
            log.warning("the limits cannot be kept: %s", error)
            raise ToolError(
                Code.AUDIT_UNAVAILABLE,
                "This server cannot keep count of its writes, so it sends none.",
                next_step=f"Tell the operator that {self._limits.place} cannot be used; reading orders still works.",
            ) from None


def _allows(hosts: frozenset[str], host: str) -> bool:
    """Return whether a host is one of these, or within one of them."""
    if CARRIERS in hosts:
        hosts |= carriers()
    return ANY in hosts or is_within(host, hosts)


def _too_fast(most: int, wait: int) -> ToolError:
    return ToolError(
        Code.RATE_LIMITED,
        f"This server sends at most {most} writes a minute (KUSTOM_WRITES_PER_MINUTE).",
        retry_after_seconds=wait,
        next_step=f"Wait {wait} seconds, then repeat the call.",
        setting="KUSTOM_WRITES_PER_MINUTE",
    )


def _no_room(move: Reservation, room: LimitReached, place: _SettingPlace) -> ToolError:
    """The error for a full spending limit: the rest of it, and when there is room again."""
    assert move.ceiling is not None
    ceiling, left = show(move.ceiling, move.currency), show(room.left, move.currency)
    if room.at is None:
        again = "This amount alone is above it."
        wait = "Ask the person"
    else:
        when = datetime.fromtimestamp(ceil(room.at / 60) * 60, UTC)
        again = f"There is room for this amount from {when:%Y-%m-%d %H:%M} UTC on, if no other comes first."
        wait = "Wait, or ask the person"
    return ToolError(
        Code.LIMIT_EXCEEDED,
        f"The {move.kind}s of 24 hours may come to {ceiling} here ({place.words}), and {left} of that is left. {again}",
        field=next(field for field, kind in MOVES.items() if kind == move.kind),
        next_step=f"Do not split the amount to get around this. {wait} to do it in the Kustom portal.",
        setting=place.setting,
    )


def _selection(names: tuple[str, ...], catalog: Mapping[str, ToolFacts]) -> frozenset[str]:
    """The tools that KUSTOM_TOOLS names. ConfigError for a name that is neither a toolset nor a tool."""
    if "all" in names:
        return frozenset(catalog)
    selected: set[str] = set()
    for name in names:
        if name in TOOLSETS:
            selected.update(tool for tool, kind in catalog.items() if kind.toolset == name)
        elif name in catalog:
            selected.add(name)
        else:
            near = nearest(name, [*TOOLSETS, *catalog])
            hint = f"; did you mean {near}?" if near else ""
            known = ", ".join(TOOLSETS)
            raise ConfigError(
                "KUSTOM_TOOLS", f"names something that is neither a toolset ({known}), all, nor a tool{hint}"
            )
    return frozenset(selected)
