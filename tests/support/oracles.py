"""Two oracles over every conversation in this process: what was said agrees with the simulator's ledger, and each
approved wish has exactly one effect.

The ledger is written by the simulator itself, where it carries out a request; each effect is put down to the call of a
tool in whose course it came about, or to nobody's where somebody else made it. A call is what the server answered, to
whoever listened. Neither asks the server's own records.

    applied                        its own effect, or that of an earlier call of the same wish that was left in doubt;
                                   no two answers count the same one
    already_applied                no effect of its own, and one like it is there
    every other but unknown        no effect
    an approval, an idempotency    at most one effect, however often and by whichever code it is repeated
    key

Where the test itself makes an `applied` untrue, such as by an upstream that answers 201 and does nothing while nothing
can be read, it excuses that one answer, with its reason.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, ref

from mcp.types import CallToolRequestParams

from kustom_mcp.api.models import Order
from kustom_mcp.calls.card import CardAnswer
from kustom_mcp.schema.result import Result
from kustom_mcp.server.handlers import Context, Handlers
from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.routes import find_route
from kustom_mcp.simulator.wire import Request, Response
from kustom_mcp.tools.catalog import CATALOG
from kustom_mcp.tools.tool import Operation

WITHOUT_EFFECT = frozenset({"ok", "confirmation_required", "declined", "not_sent", "rejected", "already_applied"})
HARMLESS = frozenset({"acknowledgeOrder"})
"""Operations that change nothing the second time: they may be sent as often as it takes."""
_NO_PART_OF_THE_WISH = frozenset({"confirm", "currency", "reason", "shop"})
_ENTRIES = {"captureOrder": ("captures", "captured_amount"), "refundOrder": ("refunds", "refunded_amount")}


@dataclass(eq=False)
class Effect:
    """A write that the simulator carried out. `key`: its idempotency key."""

    operation: str
    order_id: str
    key: str | None
    call: Told | None = None
    """The call of a tool in whose course it came about; None is somebody else's."""
    counted: bool = False
    """Whether an `applied` has been said of it."""


@dataclass(eq=False)
class Told:
    """One call of a tool as the server saw it, and what it answered; `said` is None where it never came to an end."""

    tool: str
    arguments: Mapping[str, Any]
    approvals: set[str]
    """What the call was approved by, and the keys that it sent: all that belong to one approval."""
    effects: list[Effect] = field(default_factory=list[Effect])
    said: str | None = None
    simulator: ReferenceType[Simulator] | None = None
    """The simulator in whose ledger it stands: the first that it asked."""
    like_it: bool = True
    """Of an `already_applied`: whether such an effect is there."""
    excused: str = ""
    """Why its `applied` may be untrue, and what is said of the same wish afterwards."""

    @property
    def operation(self) -> str:
        return CATALOG[self.tool].endpoint.name

    @property
    def wish(self) -> str:
        """Operation, order and arguments, as far as they tell one wish from another."""
        given = {name: value for name, value in self.arguments.items() if name not in _NO_PART_OF_THE_WISH}
        return json.dumps([self.tool, given], sort_keys=True, default=str)

    def __str__(self) -> str:
        return f"{self.tool} {dict(self.arguments)} said {self.said}"


@dataclass(eq=False)
class Ledger:
    """What one simulator has carried out, and every call that was answered with it, in their order."""

    effects: list[Effect] = field(default_factory=list[Effect])
    calls: list[Told] = field(default_factory=list[Told])

    def wrong(self) -> list[str]:
        """Everything that was said and is not so, and everything that happened twice."""
        for effect in self.effects:
            effect.counted = False
        return [*self._untrue(), *self._twice()]

    def _untrue(self) -> Iterator[str]:
        for number, call in enumerate(self.calls):
            if call.said in WITHOUT_EFFECT and call.effects:
                yield f"{call}, and it was done"
            excused = any(earlier.excused and earlier.wish == call.wish for earlier in self.calls[:number])
            if not call.like_it and not excused:
                yield f"{call}, and nothing like it is there"
            if call.said == "applied" and not call.excused:
                found = next(self._effects_of(call, self.calls[:number]), None)
                if found is None:
                    yield f"{call}, and it was not done"
                else:
                    found.counted = found.operation not in HARMLESS

    def _effects_of(self, call: Told, before: list[Told]) -> Iterator[Effect]:
        """Effects that an `applied` may mean: its own, or one of the same wish that was left in doubt before."""
        yield from (effect for effect in call.effects if not effect.counted)
        harmless = call.operation in HARMLESS
        for earlier in before:
            if earlier.wish == call.wish and (harmless or earlier.said in (None, "unknown")):
                yield from (effect for effect in earlier.effects if not effect.counted)

    def _twice(self) -> Iterator[str]:
        effects = [effect for effect in self.effects if effect.operation not in HARMLESS]
        for key, times in Counter(effect.key for effect in effects if effect.key).items():
            if times > 1:
                yield f"{times} effects have the key {key}"
        for calls in self._approvals():
            made = [effect for call in calls for effect in call.effects if effect.operation not in HARMLESS]
            if len(made) > 1:
                yield f"one approval has {len(made)} effects: {'; '.join(map(str, calls))}"

    def _approvals(self) -> Iterable[list[Told]]:
        """The calls that belong to one approval, because they have a code, a form's state or a key in common."""
        first: dict[str, str] = {}

        def approval(name: str) -> str:
            while first.setdefault(name, name) != name:
                name = first[name]
            return name

        for call in self.calls:
            for one, other in pairwise(call.approvals):
                first[approval(one)] = approval(other)
        groups: defaultdict[str, list[Told]] = defaultdict(list)
        for call in self.calls:
            for name in islice(call.approvals, 1):
                groups[approval(name)].append(call)
        return groups.values()


_LEDGERS: WeakKeyDictionary[Simulator, Ledger] = WeakKeyDictionary()
_CALL: ContextVar[Told | None] = ContextVar("call", default=None)
_handle, _result = Simulator.handle, Handlers.result


def ledger_of(simulator: Simulator) -> Ledger:
    """The ledger of a simulator, which begins with the first question for it."""
    return _LEDGERS.setdefault(simulator, Ledger())


def held_to_the_truth(simulator: Simulator) -> None:
    """Fail where something that was said until now is not so, or something happened twice."""
    wrong = ledger_of(simulator).wrong()
    if wrong:
        raise AssertionError("\n".join(wrong))


def excuse(simulator: Simulator, because: str) -> None:
    """Let the last answer be `applied` although the ledger has no effect for it: the test itself makes that so."""
    assert because
    last = ledger_of(simulator).calls[-1]
    assert last.said == "applied", last
    last.excused = because


@contextmanager
def somebody_else() -> Generator[None]:
    """What the simulator does meanwhile is no doing of the call that is being answered."""
    before = _CALL.set(None)
    try:
        yield
    finally:
        _CALL.reset(before)


def watch() -> None:
    """Keep the ledger of every simulator in this process from now on."""
    Simulator.handle = _kept
    Handlers.result = _told


def _kept(self: Simulator, request: Request) -> Response:
    response = _handle(self, request)
    seen = self.requests[-1]
    _enter(_CALL.get(), self)
    found = None if seen.method == "GET" or seen.replayed else find_route(request.method, request.segments)
    if found is not None and response.status < 300:
        route, ids = found
        effect = Effect(route.operation, ids["order_id"].lower(), seen.key, _CALL.get())
        ledger_of(self).effects.append(effect)
        if effect.call is not None:
            effect.call.effects.append(effect)
            effect.call.approvals.add(f"key {seen.key}")
    return response


async def _told(
    self: Handlers,
    ctx: Context,
    params: CallToolRequestParams,
    tool: Operation,
    card: CardAnswer | None = None,
    *,
    brought: Order | None = None,
) -> Result:
    given = dict(params.arguments or {})
    by = [given.get("confirm"), params.request_state, card.code if card else None]
    call = Told(tool.name, given, {text for text in by if isinstance(text, str)})
    _enter(call, self.app.simulator)
    before = _CALL.set(call)
    try:
        result = await _result(self, ctx, params, tool, card, brought=brought)
    finally:
        _CALL.reset(before)
    call.said = result.outcome
    if call.said == "already_applied":
        call.like_it = _like_it(call)
    if call.said == "unknown" and result.confirm:
        call.approvals.add(result.confirm["code"])
    return result


def _enter(call: Told | None, simulator: Simulator | None) -> None:
    """Enter a call into the ledger of the first simulator that it asks, or that its server has."""
    if call is not None and call.simulator is None and simulator is not None:
        call.simulator = ref(simulator)
        ledger_of(simulator).calls.append(call)


def _like_it(call: Told) -> bool:
    """Whether a capture or refund like the one that was asked for is there, as far as the call says what that is."""
    simulator = call.simulator and call.simulator()
    record = simulator and simulator.store.find(str(call.arguments.get("order_id")))
    if record is None or call.operation not in _ENTRIES:
        return True
    entries, amount = _ENTRIES[call.operation]
    asked = {name: call.arguments[name] for name in (amount, "reference") if name in call.arguments}
    return any(asked.items() <= entry.items() for entry in record.order[entries])
