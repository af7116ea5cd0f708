"""A write that was sent and has no outcome: whatever stops the call that repeats it, the answer is `unknown`.

A stop is about one call. It says nothing about what was sent before, so no answer says `not_sent` or `rejected`, and
none says that nothing was changed; in the same process, and in one that finds the open intent in its state directory.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from kustom_mcp.app.app import App
from kustom_mcp.calls.doubt import refuses
from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.faults import Fault
from kustom_mcp.state.account import Account
from kustom_mcp.state.audit_log import AuditLog, AuditUnavailable
from kustom_mcp.state.database.tables import INTENTS
from kustom_mcp.state.intents import Intent, Intents
from kustom_mcp.tools.catalog import CATALOG
from tests.calls.faults_of_a_write import ORDER, in_doubt, line_mended
from tests.calls.gated_operations import (
    ACKNOWLEDGE,
    ADDRESS,
    AMOUNT,
    CANCEL,
    CAPTURE,
    DUE_DATE,
    EXTENSION,
    GATED,
    REFERENCES,
    REFUND,
    RELEASE,
    SHIPMENT,
    UNGATED,
    Case,
    Request,
    applications,
    name_of,
    only,
    refunded,
    somebody,
)
from tests.calls.quick import KEYS, Time
from tests.calls.rounds import NO, YES, question
from tests.support.conversation import CARDS, MODES, Mode, Talk, conversation, no, yes
from tests.support.sample import sampled

POST = f"{ORDER}/refunds"
PAGE = "<html>An invented gateway</html>"
MISSING = "00000000-0000-0000-0000-000000000000"
AGAIN = "This was sent to Kustom before, and nobody knows yet whether it happened. This call was stopped: "
NO_MORE = "Nothing more was sent."
NOTHING_SAID = ("Nothing was sent", "Nothing was changed")
DOUBT = ("unknown", "OUTCOME_UNKNOWN")


async def _nothing(_: Talk, __: str) -> None:
    return


@dataclass(frozen=True)
class Stop:
    """A way to stop a call. `says`: its name in the message. `settings` differ after a restart, `host` as well;
    `faults` are what Kustom does, `before` is what happens first. `resent`: whether the write goes out again. `code`:
    whether the answer has a code to resolve it with."""

    says: str
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    faults: tuple[Fault, ...] = ()
    before: Callable[[Talk, str], Awaitable[None]] = _nothing
    host: Callable[[App], None] | None = None
    resent: bool = False
    code: bool = True

    def meet(self, sandbox: Simulator) -> None:
        for fault in self.faults:
            sandbox.faults.add(Fault(**{name: getattr(fault, name) for name in Fault.__slots__}))


def _at_kustom(status: int, says: str, told: str | None = None, body: str | None = None) -> Stop:
    """The write is sent again, and is answered with this however often."""
    return Stop(says, faults=(Fault("POST", POST, "status", status, times=9, code=told, body=body),), resent=True)


async def _drained(talk: Talk, _: str) -> None:
    talk.app.drain(60)


async def _unwritable(talk: Talk, _: str) -> None:
    talk.app.audit = AuditLog(None, "/dev/full")


async def _refunded_by_somebody(talk: Talk, order_id: str) -> None:
    somebody(talk, order_id, refunded(700))


def _broken(app: App) -> None:
    class Broken(type(app.client)):
        async def _read(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("a fault of ours")

    app.client.__class__ = Broken


STOPS = {
    "the server ends": Stop("shutting down", before=_drained),
    "the audit is full": Stop("cannot write or read its own records", before=_unwritable),
    "the order changed": Stop("refunded_amount 0.00 SEK -> 7.00 SEK", before=_refunded_by_somebody),
    "unreadable": Stop("did not answer a read", faults=(Fault("GET", ORDER, "status", 503, times=9),)),
    "no order": Stop("not what its API promises", faults=(Fault("GET", ORDER, "status", 200, body=PAGE, times=9),)),
    "no such order": Stop("There is no order", faults=(Fault("GET", ORDER, "status", 404, times=9),)),
    "read 401": Stop("did not accept the credentials", faults=(Fault("GET", ORDER, "status", 401, times=9),)),
    "read 429": Stop("limits the rate", faults=(Fault("GET", ORDER, "status", 429, times=9),)),
    "429": _at_kustom(429, "limits the rate"),
    "403 of Kustom's own": _at_kustom(403, "does not allow this", "REFUND_NOT_ALLOWED"),
    "400": _at_kustom(400, "refused the request (HTTP 400)"),
    "404": _at_kustom(404, "There is no order", "NOT_FOUND"),
    "401": _at_kustom(401, "did not accept the credentials"),
    "a firewall": _at_kustom(403, "blocked before Kustom looked", body=PAGE),
    "a redirect": _at_kustom(302, "refused the request (HTTP 302)"),
}
"""In the same process, or after a restart."""
CHANGED = {
    "the ceiling": Stop("KUSTOM_MAX_AMOUNT", {"KUSTOM_MAX_AMOUNT": "*:1"}),
    "the day's ceiling": Stop("KUSTOM_MAX_DAILY", {"KUSTOM_MAX_DAILY": "*:1"}),
    "read-only": Stop("read-only", {"KUSTOM_WRITES": "deny"}, code=False),
    "switched off": Stop("KUSTOM_TOOLS", {"KUSTOM_TOOLS": "captures"}, code=False),
    "out of scope": Stop("There is no order", {"KUSTOM_ORDER_SCOPE": MISSING}),
    "a fault of ours": Stop("Something went wrong in this server", host=_broken),
}
"""By other settings, so after a restart only."""
MEANS = ("code", "settle", "flag")


@dataclass
class Doubt:
    """A refund in doubt: its call, and what a repeat of it brings."""

    sandbox: Simulator
    state: Path
    now: Time
    case: Case
    means: str
    order_id: str = ""
    given: dict[str, Any] = field(default_factory=dict[str, Any])
    confirm: dict[str, Any] = field(default_factory=dict[str, Any])

    @asynccontextmanager
    async def server(self, stop: Stop | None = None) -> AsyncGenerator[Talk]:
        """A server on this state, one after the other."""

        def host(app: App) -> None:
            self.now.run(app)
            if stop is not None and stop.host is not None:
                stop.host(app)

        mode = {"KUSTOM_CONFIRM": "flag"} if self.means == "flag" else {}
        settings: dict[str, Any] = {
            **only(self.case),
            **mode,
            "KUSTOM_STATE_DIR": str(self.state),
            **(stop.settings if stop else {}),
        }
        async with conversation(simulator=self.sandbox, host=host, **settings) as talk:
            yield talk

    async def arises(self, talk: Talk) -> None:
        """The write is sent, its answer is lost, and nothing can be read."""
        self.order_id, self.given = self.case.begin(talk)
        gated = self.case in GATED
        if gated and self.means != "flag":
            self.confirm = {"confirm": (await talk.call(self.case.tool, self.given))["confirm"]["code"]}
        elif gated:
            self.confirm = {"confirm": True}
        in_doubt(talk, "reset")
        answer = await self.repeated(talk)
        assert (answer["outcome"], applications(talk)) == ("unknown", 0)
        line_mended(talk)
        if self.means == "settle":
            self.confirm = {"confirm": answer["confirm"]["code"]}

    async def repeated(self, talk: Talk) -> dict[str, Any]:
        return await talk.call(self.case.tool, self.given, **self.confirm)

    async def stopped(self, talk: Talk, stop: Stop) -> dict[str, Any]:
        """The call that is stopped, and what has to hold for its answer."""
        talk.mark()
        await stop.before(talk, self.order_id)
        stop.meet(self.sandbox)
        answer = await self.repeated(talk)
        line_mended(talk)
        error = answer["error"]
        assert (answer["outcome"], error["code"]) == DOUBT, answer
        assert error["message"].startswith(AGAIN)
        assert stop.says in error["message"]
        assert error["message"].endswith(NO_MORE)
        assert not [said for said in NOTHING_SAID if said in str(answer)]
        assert (bool(talk.writes), applications(talk)) == (stop.resent, 0)
        assert ("confirm" in answer) is (stop.code and self.means != "flag" and self.case in GATED)
        return answer

    async def settled(self, talk: Talk, **confirm: Any) -> None:
        """It is done once, as if nothing had stopped it."""
        talk.mark()
        answer = await talk.call(self.case.tool, self.given, **(confirm or self.confirm))
        assert (answer["outcome"], applications(talk), talk.app.intents.unresolved()) == ("applied", 1, [])


@pytest.fixture
def doubt(tmp_path: Path) -> Callable[..., Doubt]:
    def made(means: str = "code", case: Case = REFUND) -> Doubt:
        return Doubt(Simulator(), tmp_path, Time(), case, means)

    return made


@pytest.mark.parametrize(("name", "means"), sampled(product(STOPS, MEANS), 2))
async def test_what_stops_a_repeat_leaves_it_unknown(doubt: Callable[..., Doubt], name: str, means: str) -> None:
    stop, write = STOPS[name], doubt(means)
    async with write.server() as talk:
        await write.arises(talk)
        await write.stopped(talk, stop)
        if stop.before is _nothing:
            await write.settled(talk)


@pytest.mark.parametrize(("name", "means"), sampled(product({**STOPS, **CHANGED}, MEANS), 4))
async def test_a_new_process_knows_that_it_is_unknown(doubt: Callable[..., Doubt], name: str, means: str) -> None:
    if (name, means) == ("out of scope", "flag"):
        pytest.skip("only a code says that its bearer knew the order")
    stop, write = {**STOPS, **CHANGED}[name], doubt(means)
    async with write.server() as talk:
        await write.arises(talk)
    async with write.server(stop) as restarted:
        await write.stopped(restarted, stop)
    if stop.before is not _refunded_by_somebody:
        async with write.server() as again:
            await write.settled(again)


async def test_the_writes_of_a_minute_stop_a_repeat_as_well(doubt: Callable[..., Doubt]) -> None:
    write = doubt("flag")
    minute = Stop("KUSTOM_WRITES_PER_MINUTE", {"KUSTOM_WRITES_PER_MINUTE": "1"})
    async with write.server(minute) as talk:
        await write.arises(talk)
        assert (await write.stopped(talk, minute))["error"]["retry_after_seconds"] > 0
        write.now.pass_by(61)
        await write.settled(talk)


@pytest.mark.parametrize("case", [*(case for case in UNGATED if case != ACKNOWLEDGE), CAPTURE, DUE_DATE], ids=name_of)
async def test_so_it_is_for_every_kind_of_write(doubt: Callable[..., Doubt], case: Case) -> None:
    write = doubt("flag", case)
    async with write.server() as talk:
        await write.arises(talk)
        stop = STOPS["unreadable"]
        await write.stopped(talk, stop)
        method, path, _ = case.request
        talk.simulator.faults.add(Fault(method, ORDER + path, "status", 403, code="NOT_ALLOWED"))
        answer = await write.repeated(talk)
        assert (answer["outcome"], answer["error"]["code"], applications(talk)) == (*DOUBT, 0)


async def test_an_acknowledgement_that_was_refused_at_last_is_unknown_as_well() -> None:
    async with conversation(host=Time().run, **only(ACKNOWLEDGE)) as talk:
        _, given = ACKNOWLEDGE.begin(talk)
        path = f"{ORDER}/acknowledge"
        talk.simulator.faults.add(Fault("POST", path, "reset"))
        for _ in range(2):
            talk.simulator.faults.add(Fault("POST", path, "status", 403, code="NOT_ALLOWED"))
            assert (await talk.call(ACKNOWLEDGE.tool, given))["outcome"] == "unknown"
        assert (await talk.call(ACKNOWLEDGE.tool, given))["outcome"] == "applied"


@pytest.mark.parametrize("confirm", ["yes", "refund-50.00SEK-00000000.AAAA"])
async def test_what_is_no_code_does_not_hide_the_doubt(doubt: Callable[..., Doubt], confirm: str) -> None:
    write = doubt("code")
    async with write.server() as talk:
        await write.arises(talk)
        answer = await talk.call(REFUND.tool, write.given, confirm=confirm)
        assert (answer["outcome"], answer["error"]["code"]) == ("not_sent", "WRITE_IN_DOUBT")
        await write.settled(talk, confirm=answer["confirm"]["code"])


async def test_codes_that_a_new_process_cannot_open_do_not_hide_it_either(doubt: Callable[..., Doubt]) -> None:
    write = doubt("settle")
    lost = Stop("is not a code of this server", {"KUSTOM_KEYS": KEYS[::-1]})
    async with write.server() as talk:
        await write.arises(talk)
    async with write.server(lost) as restarted:
        answer = await write.repeated(restarted)
        assert (answer["outcome"], answer["error"]["code"]) == ("not_sent", "WRITE_IN_DOUBT")
        assert "confirm" not in answer  # the sealed call cannot be opened either
    async with write.server() as again:
        await write.settled(again)


class Unreadable(Intents):
    """Open intents that cannot be read, as on a disk that is gone."""

    def of_order(self, account: Account, order_id: str, former: Sequence[str] = ()) -> list[Intent]:
        raise AuditUnavailable(OSError())


class Broken(Intents):
    """Open intents that fail in a way that nobody thought of."""

    def of_order(self, account: Account, order_id: str, former: Sequence[str] = ()) -> list[Intent]:
        raise RuntimeError("an invented mistake")


@pytest.mark.parametrize("confirm", ["settle", "code"])
async def test_records_that_cannot_be_read_do_not_say_that_it_was_settled(
    doubt: Callable[..., Doubt], confirm: str
) -> None:
    """A code for what is in doubt says so by itself. Another one is worth no more than its records."""
    write = doubt(confirm)
    async with write.server() as talk:
        await write.arises(talk)
        talk.app.intents = Unreadable(talk.app.records)
        if confirm == "settle":
            await write.stopped(talk, Stop("cannot write or read its own records"))
        else:
            answer = await write.repeated(talk)
            assert (answer["outcome"], answer["error"]["code"]) == ("not_sent", "AUDIT_UNAVAILABLE")


async def test_a_fault_of_ours_while_looking_for_a_doubt_is_told_as_one(doubt: Callable[..., Doubt]) -> None:
    write = doubt("flag")
    async with write.server() as talk:
        await write.arises(talk)
        talk.app.intents = Broken(talk.app.records)
        answer = await write.repeated(talk)
        assert (answer["outcome"], answer["error"]["code"]) == ("not_sent", "INTERNAL")


async def test_an_expired_code_of_a_write_in_doubt(doubt: Callable[..., Doubt]) -> None:
    """Within a day its open intent is found; after it the code itself says what was in doubt, and is good for nothing
    else."""
    write = doubt("code")
    async with write.server() as talk:
        await write.arises(talk)
        write.now.pass_by(901)
        answer = await write.stopped(talk, Stop("has expired"))
        write.confirm = {"confirm": answer["confirm"]["code"]}
        write.now.pass_by(24 * 3600)
        answer = await write.stopped(talk, Stop("has expired", code=False))
        assert "Repeat" not in answer["next_step"]
        assert "The Kustom portal shows it." in answer["next_step"]


def sent_last(talk: Talk) -> Request:
    """The request sent last, as somebody may send it again."""
    method, path, body = talk.sent[-1]
    return method, "/" + path.rpartition("/")[2], body


async def test_an_effect_is_found_by_an_expired_code_too(doubt: Callable[..., Doubt]) -> None:
    write = doubt("settle")
    async with write.server() as talk:
        await write.arises(talk)
        somebody(talk, write.order_id, sent_last(talk))
        write.now.pass_by(24 * 3600 + 1)
        answer = await write.repeated(talk)
        assert (answer["outcome"], talk.app.intents.unresolved()) == ("already_applied", [])


async def test_another_refund_is_refused_while_one_is_in_doubt(doubt: Callable[..., Doubt]) -> None:
    write = doubt("settle")
    async with write.server() as talk:
        await write.arises(talk)
        other = await talk.call(REFUND.tool, {**write.given, "refunded_amount": 1}, **write.confirm)
        assert (other["outcome"], other["error"]["code"]) == ("not_sent", "WRITE_IN_DOUBT")
        wrong = await talk.call(REFUND.tool, {**write.given, "refunded_amount": 0}, **write.confirm)
        assert (wrong["outcome"], wrong["error"]["code"]) == ("not_sent", "AMOUNT_OUT_OF_RANGE")


async def test_another_approval_of_the_same_call_that_is_refused_does_not_speak_for_the_one_in_doubt() -> None:
    """Two codes for one amount change have two keys. While the first is in doubt the second is refused."""
    async with conversation(host=Time().run, **only(AMOUNT)) as talk:
        _, given = AMOUNT.begin(talk)
        codes = [(await talk.call(AMOUNT.tool, given))["confirm"]["code"] for _ in range(2)]
        in_doubt(talk, "reset")
        assert (await talk.call(AMOUNT.tool, given, confirm=codes[0]))["outcome"] == "unknown"
        line_mended(talk)
        answer = await talk.call(AMOUNT.tool, given, confirm=codes[1])
        assert (answer["outcome"], answer["error"]["code"]) == ("not_sent", "WRITE_IN_DOUBT")
        assert len({seen.key for seen in talk.writes}) == 1
        assert (await talk.call(AMOUNT.tool, given, confirm=codes[0]))["outcome"] == "applied"
        assert applications(talk) == 1


async def test_what_was_settled_is_in_doubt_no_more(doubt: Callable[..., Doubt]) -> None:
    write = doubt("settle")
    async with write.server() as talk:
        await write.arises(talk)
        await write.settled(talk)
        talk.app.drain(60)
        somebody(talk, write.order_id, refunded(700))
        answer = await write.repeated(talk)
        assert answer["outcome"] == "already_applied"


@pytest.mark.parametrize("mode", MODES)
async def test_a_form_that_is_asked_again(mode: Mode) -> None:
    settings: dict[str, Any] = {**only(REFUND), "KUSTOM_CONFIRM": "form"}
    async with conversation(mode, yes, host=Time().run, **settings) as talk:
        _, given = REFUND.begin(talk)
        in_doubt(talk, "reset", reads_before=2)
        assert (await talk.call(REFUND.tool, given))["outcome"] == "unknown"
        line_mended(talk)
        STOPS["403 of Kustom's own"].meet(talk.simulator)
        answer = await talk.call(REFUND.tool, given)
        assert (answer["outcome"], answer["error"]["code"], len(talk.questions)) == (*DOUBT, 2)
        line_mended(talk)
        assert (await talk.call(REFUND.tool, given))["outcome"] == "applied"
        assert applications(talk) == 1


async def test_a_no_to_a_form_that_is_asked_again_is_no_news_of_what_was_sent_before() -> None:
    answers = [no, yes]
    form: dict[str, Any] = {**only(REFUND), "KUSTOM_CONFIRM": "form"}
    async with conversation("legacy", lambda text: answers.pop()(text), host=Time().run, **form) as talk:
        _, given = REFUND.begin(talk)
        in_doubt(talk, "reset", reads_before=2)
        assert (await talk.call(REFUND.tool, given))["outcome"] == "unknown"
        line_mended(talk)
        answer = await talk.call(REFUND.tool, given)
        assert (answer["outcome"], "confirm" in answer) == ("declined", False)
        assert "nobody knows yet whether it happened" in answer["summary"]
        assert "nothing was changed" not in answer["next_step"]


async def test_the_second_round_of_a_form_whose_write_is_in_doubt() -> None:
    async with conversation("auto", yes, host=Time().run, **only(REFUND)) as talk:
        order_id, given = REFUND.begin(talk)
        asked = await question(talk, REFUND.tool, given)
        in_doubt(talk, "reset")
        assert (await asked.answered(talk, YES))["outcome"] == "unknown"
        line_mended(talk)
        STOPS["429"].meet(talk.simulator)
        assert (await asked.answered(talk, YES))["outcome"] == "unknown"
        line_mended(talk)
        declined = await asked.answered(talk, NO)
        assert (declined["outcome"], "nothing more was sent" in declined["summary"]) == ("declined", True)
        somebody(talk, order_id, refunded(700))
        changed = await asked.answered(talk, YES)
        assert (changed["outcome"], "refunded_amount 0.00 SEK" in changed["summary"]) == ("unknown", True)


async def test_a_card_whose_write_is_in_doubt() -> None:
    from tests.calls.test_confirmation_card import CARD, shown

    async with conversation(extensions=CARDS, host=Time().run, **only(REFUND, CARD)) as talk:
        _, given = REFUND.begin(talk)
        card = await shown(talk, REFUND, given)
        code = (await card.preview())["confirm"]["code"]
        in_doubt(talk, "reset")
        assert (await card.answer(code))["outcome"] == "unknown"
        line_mended(talk)
        for name in ("unreadable", "403 of Kustom's own", "429"):
            STOPS[name].meet(talk.simulator)
            answer = await card.answer(code)
            assert (answer["outcome"], answer["error"]["code"]) == DOUBT
            line_mended(talk)
        assert (await card.answer(answer["confirm"]["code"]))["outcome"] == "applied"
        assert applications(talk) == 1


async def test_somebody_who_may_not_see_the_order_is_not_told_of_the_doubt(doubt: Callable[..., Doubt]) -> None:
    """Without a code of theirs: not even the caller whose write it was, who may be anybody with that name."""
    write = doubt("flag", SHIPMENT)
    async with write.server() as talk:
        await write.arises(talk)
    async with write.server(Stop("", {"KUSTOM_ORDER_SCOPE": MISSING})) as restarted:
        answer = await write.repeated(restarted)
        assert (answer["outcome"], answer["error"]["code"]) == ("rejected", "NOT_FOUND")


async def test_references_in_doubt_are_set_once(doubt: Callable[..., Doubt]) -> None:
    write = doubt("flag", REFERENCES)
    async with write.server() as talk:
        await write.arises(talk)
        await write.stopped(talk, STOPS["read 429"])
        await write.settled(talk)


MONEY = (AMOUNT, CANCEL, CAPTURE, EXTENSION, RELEASE)
ALONE = (ADDRESS, DUE_DATE, REFUND)
REFUSES: dict[str, tuple[Case, ...]] = {
    **{case.tool: MONEY for case in MONEY},
    **{case.tool: (case,) for case in ALONE},
}
"""The writes that each write in doubt refuses on its order; one that is not here refuses none."""


@pytest.mark.parametrize("doubtful", [*GATED, *UNGATED], ids=name_of)
def test_a_write_in_doubt_refuses_what_must_not_come_on_top_of_it(doubtful: Case) -> None:
    operations = {case.tool: CATALOG[f"kustom_{case.tool}"].endpoint.name for case in (*GATED, *UNGATED)}
    refused = [case for case in (*GATED, *UNGATED) if refuses(operations[doubtful.tool], operations[case.tool])]
    assert {case.tool for case in refused} == {case.tool for case in REFUSES.get(doubtful.tool, ())}


async def test_an_order_that_another_process_holds_is_busy_and_says_until_when(tmp_path: Path) -> None:
    state: dict[str, Any] = {**only(REFUND), "KUSTOM_STATE_DIR": str(tmp_path)}
    async with conversation(host=Time().run, **state) as talk:
        order_id, given = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        talk.app.intents.lease(talk.app.account.name, order_id, "somebody", 60)
        busy = await talk.call(REFUND.tool, given, confirm=code)
        assert (busy["outcome"], busy["error"]["code"], talk.sent) == ("not_sent", "BUSY", [])
        assert "If its process has died, the order is free again in" in busy["summary"]
        talk.app.intents.release(talk.app.account.name, order_id, "somebody")
        assert (await talk.call(REFUND.tool, given, confirm=code))["outcome"] == "applied"


async def test_a_call_that_waits_for_its_turn_reads_what_was_sent_meanwhile(tmp_path: Path) -> None:
    """Another process carries out the identical call first: by what it had read before, the second would pay again."""
    sandbox = Simulator()
    state: dict[str, Any] = {**only(REFUND), "KUSTOM_STATE_DIR": str(tmp_path), "KUSTOM_CONFIRM": "flag"}
    async with (
        conversation(host=Time().run, simulator=sandbox, **state) as first,
        conversation(host=Time().run, simulator=sandbox, **state) as second,
    ):
        order_id, given = REFUND.begin(first)
        account = first.app.account.name
        first.app.intents.lease(account, order_id, "somebody", 60)
        waits: list[float] = []

        async def wait(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 1:
                first.app.intents.release(account, order_id, "somebody")
                assert (await first.call(REFUND.tool, given, confirm=True))["outcome"] == "applied"

        second.app.sleep = wait
        assert (await second.call(REFUND.tool, given, confirm=True))["outcome"] == "already_applied"
        assert (len(waits), first.stored(order_id)["refunded_amount"]) == (1, 5000)


@pytest.mark.parametrize(
    ("closed", "outcome", "code"),
    [
        (None, "unknown", "OUTCOME_UNKNOWN"),
        ("applied", "already_applied", None),
        ("not_done", "not_sent", "CONFIRMATION_INVALID"),
    ],
)
async def test_what_another_process_has_sent_since_the_records_were_read_is_not_sent(
    closed: str | None, outcome: str, code: str | None
) -> None:
    class SentMeanwhile(Intents):
        def send(self, connection: Any, new: Intent, *, seen: int | None, harmless: bool = False) -> None:
            super().send(connection, new, seen=None)
            if closed:
                connection.execute(INTENTS.update().values(outcome=closed))
            if closed == "applied":
                somebody(talk, order_id, refunded(5000))
            super().send(connection, new, seen=seen, harmless=harmless)

    async with conversation(host=Time().run, **only(REFUND)) as talk:
        order_id, given = REFUND.begin(talk)
        confirm = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        talk.app.intents = SentMeanwhile(talk.app.records)
        answer = await talk.call(REFUND.tool, given, confirm=confirm)
        assert (answer["outcome"], answer.get("error", {}).get("code"), talk.sent) == (outcome, code, [])
        assert closed != "not_done" or "was sent, was not found on the order and was closed" in answer["summary"]


@pytest.mark.parametrize(("within", "lasts"), [("1", 14.0), ("30", 39.0)])
async def test_a_turn_lasts_for_the_write_its_record_and_a_margin(within: str, lasts: float, tmp_path: Path) -> None:
    """A write has five seconds at least, however little is left of the call."""
    state: dict[str, Any] = {**only(REFUND), "KUSTOM_STATE_DIR": str(tmp_path), "KUSTOM_TIMEOUT": within}
    turns: list[float] = []

    class Noting(Intents):
        def lease(self, account: str, order_id: str, holder: str, seconds: float) -> float:
            turns.append(seconds)
            return super().lease(account, order_id, holder, seconds)

    async with conversation(host=Time().run, **state) as talk:
        talk.app.intents = Noting(talk.app.records)
        assert (await talk.confirmed(REFUND.tool, REFUND.begin(talk)[1]))["outcome"] == "applied"
    assert turns == [lasts]


@pytest.mark.parametrize(("later", "goes"), [(8.0, True), (10.0, False)])
@pytest.mark.parametrize("asleep", ["before it was sent", "while the turn was taken"])
async def test_a_write_leaves_only_if_its_turn_lasts_until_its_deadline(
    later: float, goes: bool, asleep: str, tmp_path: Path
) -> None:
    """A turn of 39 seconds is nine longer than a write may take, from the moment before it was asked for."""
    state: dict[str, Any] = {**only(REFUND), "KUSTOM_STATE_DIR": str(tmp_path)}
    async with conversation(host=Time().run, **state) as talk:
        order_id, given = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        intents, slept = talk.app.intents, False

        class Sleeping(Intents):
            def lease(self, account: str, order_id: str, holder: str, seconds: float) -> float:
                nonlocal slept
                ends = intents.lease(account, order_id, holder, seconds)
                slept = True
                return ends

        if asleep == "before it was sent":
            read = iter([0.0, later])
            talk.app.boottime = lambda: next(read)
        else:
            talk.app.intents = Sleeping(talk.app.records)
            talk.app.boottime = lambda: later if slept else 0.0
        answer = await talk.call(REFUND.tool, given, confirm=code)
        assert answer["outcome"] == ("applied" if goes else "not_sent")
        assert (len(talk.sent), talk.stored(order_id)["refunded_amount"]) == (int(goes), 5000 * goes)


async def test_a_machine_that_slept_before_the_request_left_sends_nothing(tmp_path: Path) -> None:
    """The turn with the order has ended meanwhile, and another process may be writing."""
    state: dict[str, Any] = {**only(REFUND), "KUSTOM_STATE_DIR": str(tmp_path)}
    async with conversation(host=Time().run, **state) as talk:
        order_id, given = REFUND.begin(talk)
        code = (await talk.call(REFUND.tool, given))["confirm"]["code"]
        read = iter([0.0, 3600.0])
        talk.app.boottime = lambda: next(read)
        slept = await talk.call(REFUND.tool, given, confirm=code)
        assert (slept["outcome"], slept["error"]["code"], talk.sent) == ("not_sent", "BUSY", [])
        assert "may have slept" in slept["summary"]
        assert talk.app.intents.unresolved() == []
        talk.app.boottime = lambda: 0.0
        assert (await talk.call(REFUND.tool, given, confirm=code))["outcome"] == "applied"
        assert talk.stored(order_id)["refunded_amount"] == 5000
