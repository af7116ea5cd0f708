"""Any sequence of previews, confirmations, mishaps, other people's changes, replays and restarts, held to both oracles.

In process, with the sandbox's own faults, so that many sequences fit into a few seconds. Each wish is a refund with a
reference of its own, so that the simulator's log tells which wish was carried out how often.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from kustom_mcp.api.client import KustomClient
from kustom_mcp.api.retry import RetryBudget
from kustom_mcp.app.app import App
from kustom_mcp.app.sandbox import SandboxTransport
from kustom_mcp.simulator.app import API_KEY, Simulator
from kustom_mcp.simulator.faults import Fault
from kustom_mcp.simulator.switches import Switches
from tests.calls.quick import Time
from tests.exams.operations import ALL
from tests.exams.story import EFFECTIVE, NOTHING, Means
from tests.support.conversation import Talk, conversation
from tests.support.direct import ask
from tests.support.oracles import excuse
from tests.support.sample import sampled
from tests.transport.kustom import USERNAME

REFUNDS = "/orders/{order_id}/refunds"
ORDER = "/orders/{order_id}"
MISHAPS: dict[str, tuple[Fault, ...]] = {
    "none": (),
    "reset": (Fault("POST", REFUNDS, "reset"),),
    "lost": (Fault("POST", REFUNDS, "lose_response"),),
    "500": (Fault("POST", REFUNDS, "status", 500),),
    "500 after": (Fault("POST", REFUNDS, "late_status", 500),),
    "truncated": (Fault("POST", REFUNDS, "truncate"),),
    "429": (Fault("POST", REFUNDS, "status", 429, headers={"Retry-After": "0"}),),
    "firewall": (Fault("POST", REFUNDS, "status", 403, body="<html>"),),
    "refused": (Fault("POST", REFUNDS, "status", 403, code="REFUND_NOT_ALLOWED"),),
    "out of reach": (Fault("POST", REFUNDS, "reset", times=4),),
    "reset, then the firewall": (
        Fault("POST", REFUNDS, "reset"),
        Fault("POST", REFUNDS, "status", 403, body="<html>"),
    ),
    "lost, and nothing can be read": (
        Fault("POST", REFUNDS, "lose_response"),
        Fault("GET", ORDER, "delay", times=1),
        Fault("GET", ORDER, "status", 503, times=3),
    ),
    "reset, and nothing can be read": (
        Fault("POST", REFUNDS, "reset"),
        Fault("GET", ORDER, "delay", times=1),
        Fault("GET", ORDER, "status", 503, times=3),
    ),
    "unreadable": (Fault("GET", ORDER, "status", 503, times=3),),
    "201 without effect": (Fault("POST", REFUNDS, "status", 201),),
    "201 without effect, and nothing can be read": (
        Fault("POST", REFUNDS, "status", 201),
        Fault("GET", ORDER, "delay", times=1),
        Fault("GET", ORDER, "status", 503, times=3),
    ),
    "reset, then refused": (
        Fault("POST", REFUNDS, "reset"),
        Fault("POST", REFUNDS, "status", 403, code="REFUND_NOT_ALLOWED"),
    ),
}
CREDULOUS = frozenset({"201 without effect, and nothing can be read"})
"""A read that fails takes nothing back: then Kustom's word is all there is."""
DOUBTFUL = frozenset(MISHAPS) - CREDULOUS - {"none", "429", "truncated", "refused", "firewall", "unreadable"}

Action = (
    tuple[Literal["wish"], int]
    | tuple[Literal["do"], int, str]
    | tuple[Literal["somebody"], int]
    | tuple[Literal["words"], int]
    | tuple[Literal["restart"]]
)

AMOUNTS = st.sampled_from([500, 700])
ACTIONS: st.SearchStrategy[Action] = st.one_of(
    st.tuples(st.just("wish"), AMOUNTS),
    st.tuples(st.just("do"), st.integers(0, 3), st.sampled_from(sorted(MISHAPS))),
    st.tuples(st.just("do"), st.integers(0, 3), st.sampled_from(sorted(DOUBTFUL))),
    st.tuples(st.just("do"), st.integers(0, 3), st.just("none")),
    st.tuples(st.just("somebody"), AMOUNTS),
    st.tuples(st.just("words"), st.integers(0, 3)),
    st.tuples(st.just("restart")),
)


ENTRIES = ("verbatim", "trimmed", "without_lines", "without_id", "reordered")
KUSTOMS: list[dict[str, str]] = [
    *({"entries": entries, "keys": keys} for entries in ENTRIES for keys in ("kept", "forgotten")),
    *({"entries": entries, "effect": "late:0.05"} for entries in ENTRIES),
]
"""What Kustom may be like. Nothing helps against one that forgets keys and shows an effect only after we have read."""


@dataclass
class Wish:
    """One refund that somebody wants. `doubtful`: a call for it may have lost its answer."""

    arguments: dict[str, Any]
    confirm: dict[str, Any]
    before: list[int]
    doubtful: bool = False
    unknown: bool = False
    """It was told to be in doubt, and not since to be done: no call that repeats it may say that it was not."""
    done: bool = False
    """It has been carried out, or found done: a repeat may be told so, whatever others do afterwards."""
    trusted: bool = False
    """Kustom said that it was done, and the order could not be read."""
    begun: bool = False
    """It has been sent, or found done: a flag is held to the order as it was before that."""
    carried_out: int = 0


@dataclass
class World:
    """The simulator, the wishes so far, and what was wrong with what was said."""

    simulator: Simulator
    means: Means
    state: Path
    order_id: str
    wishes: list[Wish] = field(default_factory=list[Wish])
    late: bool = False
    """Effects show late."""

    @property
    def refunds(self) -> list[int]:
        record = self.simulator.store.find(self.order_id)
        assert record is not None
        return sorted(refund["refunded_amount"] for refund in record.order["refunds"])

    def times(self, wish: Wish) -> int:
        """Number of times it was carried out."""
        return sum(
            seen.method == "POST"
            and not seen.replayed
            and seen.fault is None
            and seen.status == 201
            and seen.body["reference"] == wish.arguments["reference"]
            for seen in self.simulator.requests
        )

    async def wish(self, talk: Talk, amount: int) -> None:
        arguments = {
            "order_id": self.order_id,
            "refunded_amount": amount,
            "reference": f"wish-{len(self.wishes)}",
        }
        confirm: dict[str, Any] = {"confirm": True}
        if self.means == "code":
            preview = await talk.call("refund_order", arguments)
            if preview.get("error", {}).get("code") == "WRITE_IN_DOUBT":
                return  # another one has to be found out first
            assert preview["outcome"] == "confirmation_required", preview
            confirm = {"confirm": preview["confirm"]["code"]}
        self.wishes.append(Wish(arguments, confirm, self.refunds))

    async def do(self, talk: Talk, wish: Wish, mishap: str) -> None:
        """Call, while this goes wrong, and hold the answer to the truth."""
        for fault in MISHAPS[mishap]:
            self.simulator.faults.add(Fault(**{name: getattr(fault, name) for name in Fault.__slots__}))
        if self.means == "flag" and not wish.begun:
            wish.before = self.refunds
        before = self.times(wish)
        told = await talk.call("refund_order", wish.arguments, **wish.confirm)
        self.simulator.faults.clear()
        wish.carried_out = self.times(wish)
        wish.doubtful |= mishap in DOUBTFUL
        wish.begun |= told["outcome"] not in NOTHING
        if told["outcome"] == "unknown":
            wish.confirm = {"confirm": told["confirm"]["code"]} if "confirm" in told else wish.confirm
        assert wish.carried_out <= 1, (mishap, told)
        assert not (wish.unknown and told["outcome"] in NOTHING), (mishap, told)
        wish.unknown = told["outcome"] == "unknown"
        # Where effects show late, another's may show up just when ours is looked for.
        believed = mishap in CREDULOUS or (self.late and "201 without effect" in mishap)
        if believed and told["outcome"] == "applied":
            wish.trusted = True
            excuse(self.simulator, "Kustom's word is all there is where nothing that was read speaks against it")
        if told["outcome"] in EFFECTIVE:
            there = (
                wish.done
                or wish.trusted
                or wish.carried_out
                or self.refunds == sorted([*wish.before, wish.arguments["refunded_amount"]])
            )
            assert there, (mishap, told)
            wish.done = self.means == "flag"
        elif told["outcome"] in NOTHING:
            assert wish.carried_out == before, (mishap, told)
        else:
            assert told["outcome"] == "unknown", (mishap, told)
            assert wish.doubtful, (mishap, told)

    async def words(self, talk: Talk, wish: Wish) -> None:
        """Ask for the same wish in other words: by flag it is the same, and else nothing leaves without a code."""
        if self.means == "flag":
            plain, wish.arguments = wish.arguments, {**wish.arguments, "currency": "SEK"}
            await self.do(talk, wish, "none")
            wish.arguments = plain
            return
        before = len(self.simulator.requests)
        told = await talk.call("refund_order", {**wish.arguments, "currency": "SEK"})
        assert {seen.method for seen in self.simulator.requests[before:]} <= {"GET"}, told
        assert told["outcome"] in ("confirmation_required", "not_sent", "already_applied", "rejected"), told
        assert told["outcome"] == "confirmation_required" or "error" not in told or wish.unknown or self.in_doubt, told

    @property
    def in_doubt(self) -> bool:
        return any(wish.unknown for wish in self.wishes)

    def somebody(self, amount: int) -> None:
        """Somebody else refunds as well."""
        ask(
            self.simulator,
            "POST",
            f"/orders/{self.order_id}/refunds",
            {"refunded_amount": amount},
            key=str(uuid.uuid4()),
        )
        self.simulator.requests.pop()

    async def live(self, actions: Sequence[Action]) -> None:
        """Everything until the next restart, and so on."""
        rest = list(actions)
        while rest:
            async with conversation(
                simulator=self.simulator,
                host=impatient,
                KUSTOM_API_KEY=API_KEY,
                KUSTOM_CONFIRM=self.means,
                KUSTOM_STATE_DIR=str(self.state),
                KUSTOM_WRITES_PER_MINUTE="10000",
            ) as talk:
                while rest and rest[0] != ("restart",):
                    await self.act(talk, rest.pop(0))
            del rest[:1]

    async def act(self, talk: Talk, action: Action) -> None:
        match action:
            case ("wish", amount):
                await self.wish(talk, amount)
            case ("do", number, mishap):
                if self.wishes:
                    await self.do(talk, self.wishes[number % len(self.wishes)], mishap)
            case ("words", number):
                if self.wishes:
                    await self.words(talk, self.wishes[number % len(self.wishes)])
            case ("somebody", amount):
                self.somebody(amount)
            case _:
                raise AssertionError(action)


def impatient(app: App) -> None:
    """No wait takes any time, and retries are not counted together."""
    assert app.simulator is not None
    now = Time()
    app.clock, app.sleep = now.clock, now.sleep
    app.client = KustomClient(
        "http://sandbox.invalid",
        USERNAME,
        SecretStr(API_KEY),
        transport=SandboxTransport(app.simulator),
        clock=now.clock,
        sleep=now.sleep,
        rand=lambda: 0.0,
        budget=RetryBudget(time.monotonic, capacity=1_000_000),
    )


@pytest.mark.parametrize(("means", "keys"), sampled(product(["code", "flag"], [False, True]), 2))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=st.lists(ACTIONS, min_size=4, max_size=14))
def test_every_answer_is_true_and_no_wish_is_carried_out_twice(means: Means, keys: bool, actions: list[Action]) -> None:
    hold(Switches(keys="kept" if keys else "forgotten"), means, actions)


def hold(switches: Switches, means: Means, actions: Sequence[Action]) -> None:
    """Live through these actions and hold every answer to both oracles."""
    simulator = Simulator(switches=switches, seeds=())
    order_id = str(simulator.add_order(dict(ALL)).order["order_id"])
    with tempfile.TemporaryDirectory() as state:
        world = World(simulator, means, Path(state), order_id, late=switches.late_by > 0)
        asyncio.run(world.live([("wish", 500), *actions]))


@pytest.mark.exam
@pytest.mark.parametrize("assumed", KUSTOMS, ids=str)
@pytest.mark.parametrize("means", ["code", "flag"])
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=st.lists(ACTIONS, min_size=6, max_size=20))
def test_every_answer_is_true_whatever_kustom_is_like(
    means: Means, assumed: Mapping[str, str], actions: list[Action]
) -> None:
    hold(Switches().assume(assumed), means, actions)
