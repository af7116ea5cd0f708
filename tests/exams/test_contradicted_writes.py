"""A write that is answered with a 2xx, and an order that does not show it: at once, late, never, or cannot be read.

Every operation meets every case, with each means of the gate. Time is a clock of ours, so that five seconds of looking
take none.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.calls.quick import Time
from tests.exams.faults import JSON, api_error, done_with, reset_read, said
from tests.exams.operations import (
    ACKNOWLEDGE,
    ALL,
    CANCEL,
    CAPTURE,
    HALF,
    OPERATIONS,
    REFERENCES,
    REFUND,
    RELEASE,
    SEND_OUT,
    SHIPPING,
    Operation,
)
from tests.exams.scripted_upstream import Exchange, Step, Upstream, kustom, well
from tests.exams.story import Means, Story, begin, server
from tests.support.conversation import Talk
from tests.support.direct import ask
from tests.support.sample import sampled

ENTRIES = {CAPTURE.tool: ("Capture-Id", "captures", "capture_id"), REFUND.tool: ("Refund-Id", "refunds", "refund_id")}
"""Parts of an entry: the header that names it, the list that it is in, and its id there."""
SHOWN = tuple(operation for operation in OPERATIONS if operation.shows and not operation.harmless)
"""Facts that the order shows once it is done."""
LOOKING = 5.0
"""Seconds for which an order that still shows the old value is read again."""
CONTRADICTED = "Kustom answered that this was done"
UNREAD = "could not be read again"

BOTH = pytest.mark.parametrize("means", ["code", pytest.param("flag", marks=pytest.mark.exam)])
EVERY = pytest.mark.parametrize("operation", sampled(OPERATIONS, 2), ids=repr)
EVERY_SHOWN = pytest.mark.parametrize("operation", SHOWN, ids=repr)
EVERY_ENTRY = pytest.mark.parametrize(
    "operation",
    [replace(CAPTURE, order=HALF), replace(REFUND, order={**ALL, "refunds": [{"refunded_amount": 700}]})],
    ids=repr,
)

Seen = Callable[[bytes], Step]
"""Answers to a read, given the order as it was before the write."""


@dataclass
class Case:
    """One write, from the call that sends it on."""

    upstream: Upstream
    talk: Talk
    now: Time
    story: Story
    before: bytes = b""
    sent_at: float = field(default=-1.0)

    @property
    def nothing(self) -> Step:
        """The 2xx that this is answered with, without anything being done."""
        return said(201 if self.story.operation.tool in ENTRIES else 204)

    async def act(self, write: Step, then: Seen | None = None) -> dict[str, Any]:
        """Do it. Reads are as they should be until the write has arrived; `then` is what comes after."""

        async def written(exchange: Exchange) -> None:
            self.sent_at = self.now.clock()
            await write(exchange)

        async def read(exchange: Exchange) -> None:
            if self.sent_at >= 0 and then is not None:
                await then(self.before)(exchange)
                return
            if exchange.target.endswith(self.story.order_id):
                self.before = (await exchange.apply()).body
            await well(exchange)

        self.upstream.arrived.clear()
        await self.story.act(self.talk, written, reads=(read,) * 30)
        return self.story.last

    def late(self, seconds: float) -> Seen:
        """The order shows what was done only so long after the write."""
        return lambda before: well if self.now.clock() - self.sent_at >= seconds else said(200, JSON, before)

    @property
    def reads_after(self) -> int:
        """Number of reads of the order after the write."""
        methods = [method for method, _, _ in self.upstream.arrived]
        return len(methods) - 1 - max(number for number, method in enumerate(methods) if method != "GET")


@asynccontextmanager
async def case(operation: Operation, means: Means) -> AsyncGenerator[Case]:
    now = Time()
    async with kustom() as upstream, server(upstream, means=means, now=now) as talk:
        yield Case(upstream, talk, now, await begin(talk, upstream, operation, means))


@BOTH
@EVERY
async def test_a_2xx_without_effect_is_unknown_where_the_order_would_show_one(
    operation: Operation, means: Means
) -> None:
    async with case(operation, means) as one:
        answer = await one.act(one.nothing)
        assert (one.story.applied, one.upstream.sent(one.story.order_id)) == (0, 1)
        if operation not in SHOWN:
            assert (answer["outcome"], one.reads_after) == ("applied", 1)
            return
        assert (answer["outcome"], answer["error"]["code"]) == ("unknown", "OUTCOME_UNKNOWN")
        assert CONTRADICTED in answer["error"]["message"]
        assert one.now.clock() - one.sent_at == LOOKING
        assert 1 < one.reads_after <= 8
        assert len(one.talk.app.intents.unresolved()) == 1
        # What was not done is done by the same call, with the same key where Kustom has not kept an answer for it.
        assert (await one.story.act(one.talk), one.story.applied) == ("applied", 1)
        assert one.talk.app.intents.unresolved() == []


@BOTH
@EVERY
async def test_an_effect_that_shows_two_seconds_later_is_applied(operation: Operation, means: Means) -> None:
    async with case(operation, means) as one:
        answer = await one.act(well, one.late(2.0))
        assert (answer["outcome"], one.story.applied) == ("applied", 1)
        assert one.talk.app.intents.unresolved() == []
        names_its_entry = operation.tool in ENTRIES
        waited = one.now.clock() - one.sent_at
        assert 2.0 <= waited < LOOKING if operation in SHOWN and not names_its_entry else waited == 0


@BOTH
@EVERY
async def test_a_read_that_fails_takes_nothing_back(operation: Operation, means: Means) -> None:
    async with case(operation, means) as one:
        for lost in (well, one.nothing):
            answer = await one.act(lost, lambda _: api_error(503, "TEMPORARILY_UNAVAILABLE", {"Retry-After": "0"}))
            assert answer["outcome"] == "applied"
            assert UNREAD in " ".join(answer["warnings"])
            if lost is well:
                assert one.story.applied == 1
                one.story = await begin(one.talk, one.upstream, operation, means)
                one.sent_at = -1.0


@EVERY_SHOWN
async def test_the_old_value_and_then_nothing_readable_stays_unknown(operation: Operation) -> None:
    async with case(operation, "code") as one:
        answers = [well]

        def once(_: bytes) -> Step:
            return answers.pop() if answers else reset_read

        assert (await one.act(one.nothing, once))["outcome"] == "unknown"


@EVERY
async def test_the_order_is_read_once_after_a_write_that_shows_at_once(operation: Operation) -> None:
    async with case(operation, "code") as one:
        assert (await one.act(well))["outcome"] == "applied"
        assert (one.reads_after, one.now.clock()) == (1, 0.0)


@BOTH
@EVERY_ENTRY
async def test_a_201_that_names_an_entry_of_before_is_already_applied(operation: Operation, means: Means) -> None:
    header, entries, name = ENTRIES[operation.tool]
    async with case(operation, means) as one:
        record = one.upstream.simulator.store.find(one.story.order_id)
        assert record is not None
        there = record.order[entries][0]
        answer = await one.act(said(201, {header: there[name]}))
        assert (answer["outcome"], one.story.applied) == ("already_applied", 0)
        assert there[name] in answer["summary"]
        assert "reference" in answer["next_step"]
        assert one.talk.app.intents.unresolved() == []


@BOTH
@EVERY_ENTRY
async def test_a_201_that_names_a_new_entry_is_applied_although_no_sum_changes(
    operation: Operation, means: Means
) -> None:
    header, entries, name = ENTRIES[operation.tool]
    async with case(operation, means) as one:
        answer = await one.act(said(201, {header: "new-1"}))
        assert (answer["outcome"], answer[entries[:-1]][name], one.reads_after) == ("applied", "new-1", 1)
        assert "does not show it exactly as sent" in " ".join(answer["warnings"])


@EVERY_ENTRY
async def test_only_a_201_speaks_by_the_entry_that_it_names(operation: Operation) -> None:
    header, _, _ = ENTRIES[operation.tool]
    async with case(operation, "code") as one:
        assert (await one.act(said(202, {header: "new-1"})))["outcome"] == "unknown"


@EVERY_ENTRY
async def test_an_entry_without_a_name_in_the_answer_is_found_in_the_order(operation: Operation) -> None:
    header, _, _ = ENTRIES[operation.tool]
    async with case(operation, "code") as one:
        answer = await one.act(done_with({header: "../x", "Location": "/"}, b"", status=201), one.late(1.0))
        assert (answer["outcome"], one.story.applied) == ("applied", 1)


async def test_a_write_that_was_contradicted_and_shows_later_is_found_done() -> None:
    async with case(RELEASE, "code") as one:
        assert (await one.act(well, one.late(60.0)))["outcome"] == "unknown"
        assert (await one.story.act(one.talk), one.story.seen) == (
            "already_applied",
            (["unknown", "already_applied"], 1),
        )


def somebody(one: Case, path: str, body: dict[str, Any]) -> None:
    """Somebody else acts on the order; not counted as ours."""
    answer = ask(one.upstream.simulator, "POST", f"/orders/{one.story.order_id}/{path}", body, key=path)
    assert answer.status < 300
    one.upstream.simulator.requests.pop()


@pytest.mark.parametrize(
    ("operation", "path", "body"),
    [
        (CANCEL, "captures", {"captured_amount": 100}),
        (RELEASE, "captures", {"captured_amount": 100}),
        (CAPTURE, "captures", {"captured_amount": 100}),
        (REFUND, "refunds", {"refunded_amount": 100}),
        (REFERENCES, "captures", {"captured_amount": 100}),
    ],
    ids=repr,
)
async def test_what_somebody_else_did_at_the_same_time_is_not_the_effect(
    operation: Operation, path: str, body: dict[str, Any]
) -> None:
    async with case(operation, "code") as one:

        async def somebody_else(exchange: Exchange) -> None:
            somebody(one, path, body)
            await one.nothing(exchange)

        assert (await one.act(somebody_else))["outcome"] == "unknown"


def with_order(change: Callable[[dict[str, Any]], None]) -> Seen:
    """The order as it is now, but for this."""

    async def step(exchange: Exchange) -> None:
        order = (await exchange.apply()).json()
        change(order)
        await exchange.answer(200, JSON, json.dumps(order).encode())

    return lambda _: step


NORMALISED: dict[str, tuple[Operation, Callable[[dict[str, Any]], None]]] = {
    "trimmed to another value": (
        replace(REFERENCES, arguments={"merchant_reference1": " X-1 "}),
        lambda order: order.update(merchant_reference1="X-1"),
    ),
    "cut": (
        replace(REFERENCES, arguments={"merchant_reference1": "X" * 90}),
        lambda order: order.update(merchant_reference1="X" * 60),
    ),
    "dropped": (
        replace(REFERENCES, arguments={"merchant_reference1": "X-1"}),
        lambda order: order.update(merchant_reference1=None),
    ),
    "trimmed to what it was": (
        replace(REFERENCES, order={"merchant_reference1": "X-1"}, arguments={"merchant_reference1": "X-1 "}),
        lambda order: order.update(merchant_reference1="X-1"),
    ),
    "an address in capitals": (
        Operation("update_customer_details", {}, {"shipping_address": {"city": "Lund"}}),
        lambda order: order["shipping_address"].update(city="LUND"),
    ),
    "the shipment that was there already": (
        replace(SHIPPING, order={"shipping_info": SHIPPING.arguments["shipping_info"]}),
        lambda _: None,
    ),
}


@pytest.mark.parametrize("name", NORMALISED)
async def test_a_value_that_is_not_the_old_one_is_applied_and_so_is_one_that_cannot_be_told_from_it(name: str) -> None:
    operation, change = NORMALISED[name]
    if name == "dropped":
        operation = replace(operation, order={"merchant_reference1": "OLD"})
    async with case(operation, "code") as one:
        answer = await one.act(one.nothing, with_order(change))
        assert (answer["outcome"], one.reads_after) == ("applied", 1)


async def test_an_address_of_which_kustom_returns_nothing_or_stars_is_applied() -> None:
    address = Operation("update_customer_details", {}, {"shipping_address": {"city": "Lund", "postal_code": "22100"}})
    for stored in (None, {}, {"city": "S*****", "postal_code": "***"}):
        async with case(address, "code") as one:
            record = one.upstream.simulator.store.find(one.story.order_id)
            assert record is not None
            record.order["shipping_address"] = stored
            one.story = await preview_again(one, address)
            answer = await one.act(one.nothing)
            assert (answer["outcome"], one.reads_after) == ("applied", 1)


async def preview_again(one: Case, operation: Operation) -> Story:
    """The same order, previewed as it is now."""
    story = Story(one.upstream, operation, one.story.arguments)
    code = (await one.talk.call(operation.tool, story.arguments))["confirm"]["code"]
    story.confirm = {"confirm": code}
    return story


async def test_a_second_extension_on_one_day_does_not_move_the_date_and_is_applied() -> None:
    extension = Operation("extend_authorization", {}, gated=False)
    async with case(extension, "code") as one:
        for _ in range(2):
            assert (await one.act(well))["outcome"] == "applied"
        assert "it had been extended today already" in one.story.last["warnings"][0]


async def test_what_leaves_no_trace_is_answered_with_one_read_and_no_doubt() -> None:
    for operation in (ACKNOWLEDGE, SEND_OUT):
        async with case(operation, "code") as one:
            assert ((await one.act(one.nothing))["outcome"], one.reads_after) == ("applied", 1)
