"""Every error code, made by a conversation: with its outcome, its advice, and without an echo of what was refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from kustom_mcp.app.app import App
from kustom_mcp.schema.result import MEANINGS, Code
from kustom_mcp.simulator.faults import Fault
from kustom_mcp.state.intents import Intent, Intents
from tests.calls.faults_of_a_write import ORDER
from tests.calls.gated_operations import CANCEL, LAMPS, MUG, REFUND, refunded, somebody
from tests.calls.quick import ALL as SERVER
from tests.calls.quick import Time
from tests.support.conversation import Talk, conversation

MISSING = "00000000-0000-4000-8000-000000000000"
POST = f"{ORDER}/refunds"

Told = tuple[str, str, str]
"""Code, outcome, retry."""


@dataclass(frozen=True)
class Story:
    """A way to each code: a refund of 50.00 SEK with these arguments, settings and mishaps."""

    told: Told
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    faults: tuple[Fault, ...] = ()
    before: Callable[[Talk, dict[str, Any]], Awaitable[None] | None] | None = None
    host: Callable[[App], None] | None = None
    without: tuple[str, ...] = ()
    order: Mapping[str, Any] = field(default_factory=lambda: REFUND.order)


def _here(code: str, **story: Any) -> Story:
    return Story((code, "not_sent", "never"), **story)


def _kustom(code: str, status: int, told: str | None = None) -> Story:
    return Story((code, "rejected", "never"), faults=(Fault("POST", POST, "status", status=status, code=told),))


def _drained(app: App) -> None:
    app.drain(0)


class NoOpening(Intents):
    """Open intents that fail in a way that nobody thought of, before anything is sent."""

    def send(self, connection: Any, new: Intent, *, seen: int | None, harmless: bool = False) -> None:
        raise RuntimeError("an invented mistake")


class NoClosing(Intents):
    """Open intents that fail in a way that nobody thought of, after the write."""

    def close(self, account: str, key: str, outcome: str, **_: Any) -> None:
        raise RuntimeError("an invented mistake")


def _breaks_before(app: App) -> None:
    app.intents = NoOpening(app.records)


def _breaks_after(app: App) -> None:
    app.intents = NoClosing(app.records)


async def _previewed(talk: Talk, given: dict[str, Any], *, of: Mapping[str, Any] | None = None) -> None:
    given["confirm"] = (await talk.call(REFUND.tool, {**given, **(of or {})}))["confirm"]["code"]


async def _changed(talk: Talk, given: dict[str, Any]) -> None:
    await _previewed(talk, given)
    somebody(talk, given["order_id"], refunded(700))


async def _of_another_amount(talk: Talk, given: dict[str, Any]) -> None:
    await _previewed(talk, given, of={"refunded_amount": 1})


_expiry = Time()


async def _expired(talk: Talk, given: dict[str, Any]) -> None:
    await _previewed(talk, given)
    _expiry.pass_by(901)


FLAG: dict[str, Any] = {"KUSTOM_CONFIRM": "flag"}
NEW = "new_preview"
PAGE = "<html>An invented gateway</html>"

STORIES: dict[str, Story] = {
    "nothing says how much": _here("INVALID_ARGUMENT", without=("refunded_amount",)),
    "a mistyped argument": _here("UNKNOWN_ARGUMENT", arguments={"refunded_amuont": 1}),
    "an id that is none": _here("INVALID_IDENTIFIER", arguments={"order_id": "not-an-id"}),
    "nothing to refund": _here("AMOUNT_OUT_OF_RANGE", arguments={"refunded_amount": 0}),
    "amount and lines differ": _here("LINES_MISMATCH", arguments={"lines": [{"line": 2, "quantity": 1}]}),
    "another currency": _here("CURRENCY_MISMATCH", arguments={"currency": "EUR"}),
    "a tool that is off": _here("NOT_PERMITTED", settings={"KUSTOM_TOOLS": "orders"}),
    "above the ceiling": _here("LIMIT_EXCEEDED", settings={"KUSTOM_MAX_AMOUNT": "*:1"}),
    "no forms": _here("HUMAN_APPROVAL_UNAVAILABLE", settings={"KUSTOM_CONFIRM": "form"}),
    "nothing captured": _here("ACTION_NOT_ALLOWED", order={}),
    "no code": Story(("CONFIRMATION_INVALID", "not_sent", NEW), arguments={"confirm": "yes"}),
    "an old code": Story(("CONFIRMATION_EXPIRED", "not_sent", NEW), before=_expired, host=_expiry.run),
    "another code": Story(("CONFIRMATION_MISMATCH", "not_sent", NEW), before=_of_another_amount),
    "a changed order": Story(("STATE_CHANGED", "not_sent", NEW), before=_changed),
    "shutting down": Story(("BUSY", "not_sent", "later"), settings=FLAG, host=_drained),
    "our own limit": Story(
        ("RATE_LIMITED", "not_sent", "later"),
        settings={**FLAG, "KUSTOM_WRITES_PER_MINUTE": "1"},
        before=lambda talk, given: _write_once(talk, given),
    ),
    "Kustom's limit": Story(
        ("RATE_LIMITED", "not_sent", "later"),
        settings=FLAG,
        faults=(Fault("POST", POST, "status", status=429, times=9),),
        host=Time().run,
    ),
    "a read that fails": Story(
        ("UPSTREAM_UNAVAILABLE", "not_sent", "same_call"),
        faults=(Fault("GET", ORDER, "status", status=503, times=9),),
        host=Time().run,
    ),
    "a read that is no order": Story(
        ("UPSTREAM_PROTOCOL", "not_sent", "same_call"), faults=(Fault("GET", ORDER, "status", status=200, body=PAGE),)
    ),
    "our own mistake": Story(("INTERNAL", "not_sent", "same_call"), settings=FLAG, host=_breaks_before),
    "our own mistake after sending": Story(("INTERNAL", "unknown", "same_call"), settings=FLAG, host=_breaks_after),
    "no such order": Story(("NOT_FOUND", "rejected", "never"), arguments={"order_id": MISSING}),
    "not in the scope": Story(("NOT_FOUND", "rejected", "never"), settings={"KUSTOM_ORDER_SCOPE": MISSING}),
    "credentials": _kustom("AUTHENTICATION_FAILED", 401),
    "refused by the state": _kustom("ACTION_NOT_ALLOWED", 403, "REFUND_NOT_ALLOWED"),
    "refused for another reason": _kustom("UPSTREAM_REJECTED", 400),
    "redirected": _kustom("UPSTREAM_REJECTED", 302),
    "no answer": Story(
        ("OUTCOME_UNKNOWN", "unknown", "same_call"),
        settings=FLAG,
        faults=(Fault("POST", POST, "reset", times=9),),
        host=Time().run,
    ),
    "another write has no answer": Story(
        ("WRITE_IN_DOUBT", "not_sent", "after_resolve"),
        settings=FLAG,
        before=lambda talk, given: _write_in_doubt(talk, given),
        host=Time().run,
    ),
    "read credentials": Story(
        ("AUTHENTICATION_FAILED", "rejected", "never"), faults=(Fault("GET", ORDER, "status", status=401),)
    ),
}


async def _write_once(talk: Talk, given: dict[str, Any]) -> None:
    other = {**given, "reference": "R-0", "refunded_amount": 1}
    assert (await talk.call(REFUND.tool, other, confirm=True))["outcome"] == "applied"


async def _write_in_doubt(talk: Talk, given: dict[str, Any]) -> None:
    talk.simulator.faults.add(Fault("POST", POST, "reset", times=9))
    other = {**given, "reference": "R-0", "refunded_amount": 1}
    assert (await talk.call(REFUND.tool, other, confirm=True))["outcome"] == "unknown"


async def _told(story: Story) -> tuple[Told, dict[str, Any]]:
    async with conversation(host=story.host, **{**SERVER, **story.settings}) as talk:
        order_id = talk.order(order_lines=[LAMPS, MUG], **story.order)
        given: dict[str, Any] = {"order_id": order_id, **REFUND.arguments, **story.arguments}
        for name in story.without:
            del given[name]
        doing = story.before(talk, given) if story.before else None
        if doing is not None:
            await doing
        for fault in story.faults:
            talk.simulator.faults.add(Fault(**{name: getattr(fault, name) for name in fault.__slots__}))
        if "confirm" not in given and (story.settings == FLAG or "KUSTOM_WRITES_PER_MINUTE" in story.settings):
            given["confirm"] = True
        elif story.told[1] == "rejected" and story.faults and story.faults[0].method == "POST":
            await _previewed(talk, given)
        answer = await talk.call(REFUND.tool, given)
        return (answer["error"]["code"], answer["outcome"], answer["error"]["retry"]), answer


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
async def test_a_code_has_its_outcome_and_its_advice(story: Story) -> None:
    told, answer = await _told(story)
    assert told == story.told
    assert answer["summary"].startswith(answer["error"]["message"])
    assert ("retry_after_seconds" in answer["error"]) is (told[0] == "RATE_LIMITED")


async def test_an_audit_that_cannot_be_written_stops_writes_and_not_reads(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    async with conversation(KUSTOM_STATE_DIR=str(blocked / "state"), KUSTOM_CONFIRM="flag", **SERVER) as talk:
        _, given = REFUND.begin(talk)
        answer = await talk.call(REFUND.tool, given, confirm=True)
        told = (answer["error"]["code"], answer["outcome"], answer["error"]["retry"])
        assert (told, talk.sent) == (("AUDIT_UNAVAILABLE", "not_sent", "later"), [])
        assert (await talk.call("get_order", order_id=given["order_id"]))["outcome"] == "ok"


def test_every_code_is_made_by_a_story() -> None:
    of_several_shops = {"SHOP_REQUIRED", "SHOP_UNAVAILABLE"}  # in tests/server/shops
    made = {story.told[0] for story in STORIES.values()} | {"AUDIT_UNAVAILABLE"} | of_several_shops
    assert made == set(Code)


def test_the_stories_agree_with_the_table_of_meanings() -> None:
    for code, outcome, retry in (story.told for story in STORIES.values()):
        meant = MEANINGS[Code(code)]
        by_flag = code == "OUTCOME_UNKNOWN" and retry == "same_call"
        assert retry == meant.retry or by_flag
        if (code, outcome) not in (("ACTION_NOT_ALLOWED", "rejected"), ("INTERNAL", "unknown")):
            assert outcome == meant.outcome


async def test_an_order_that_does_not_exist_is_one_sentence_without_upstream() -> None:
    answers = [(await _told(STORIES[name]))[1] for name in ("no such order", "not in the scope")]
    assert answers[0] == answers[1]
    assert "upstream" not in answers[0]["error"]
    assert "kustom://reference/demo-orders" in answers[0]["next_step"]


SENTINEL = "Xq7sentinel"
ECHOES: tuple[dict[str, Any], ...] = (
    {"order_id": SENTINEL},
    {"refunded_amount": SENTINEL},
    {"currency": SENTINEL},
    {"reference": SENTINEL * 200},
    {"description": f"https://{SENTINEL}.example"},
    {"lines": [{"line": SENTINEL}]},
    {"lines": SENTINEL},
    {"confirm": SENTINEL},
    {"confirm": {"code": SENTINEL}},
)


@pytest.mark.parametrize("other", ECHOES, ids=str)
@pytest.mark.parametrize("mode", ["auto", "flag"])
async def test_an_error_never_repeats_what_was_refused(other: dict[str, Any], mode: str) -> None:
    async with conversation(KUSTOM_CONFIRM=mode, **SERVER) as talk:
        _, given = REFUND.begin(talk)
        answer = await talk.call(REFUND.tool, given | other)
        assert "error" in answer
        assert SENTINEL not in str(answer)


async def test_kustoms_own_words_are_data_and_not_part_of_the_error() -> None:
    _, answer = await _told(STORIES["refused by the state"])
    assert answer["third_party"] == {"upstream_messages": ["A scripted fault of the sandbox."]}
    assert "scripted" not in str(answer["error"])
    assert (answer["error"]["upstream"]["status"], answer["error"]["upstream"]["error_code"]) == (
        403,
        "REFUND_NOT_ALLOWED",
    )
    assert answer["error"]["upstream"]["correlation_id"]


async def test_a_write_waits_for_another_one_to_the_same_order_and_then_gives_up() -> None:
    def impatient(app: App) -> None:
        app.settings = app.settings.model_copy(update={"timeout": 0.05})

    async with conversation(host=impatient, KUSTOM_CONFIRM="flag", **SERVER) as talk:
        order_id, given = CANCEL.begin(talk)
        begun, over = anyio.Event(), anyio.Event()

        async def another() -> None:
            async with talk.app.turn(order_id, within=1):
                begun.set()
                await over.wait()

        async with anyio.create_task_group() as group:
            group.start_soon(another)
            await begun.wait()
            answer = await talk.call(CANCEL.tool, given, confirm=True)
            assert (answer["outcome"], answer["error"]["code"], talk.sent) == ("not_sent", "BUSY", [])
            over.set()
