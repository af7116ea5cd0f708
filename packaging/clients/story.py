"""The conversation that every client has with the server, and what must come of it.

It runs inside each framework's own environment, beside `snippet.py`, which is the block that docs/frameworks.md prints
for that framework: nothing but Python's own library, and no package of ours. The two halves are `by_code`, where a
preview is confirmed with its code, and `by_form`, where a person is asked if the client can ask. At the end Kustom (the
sandbox on a port) is asked what was really done, and no server may be left running.
"""

from __future__ import annotations

import base64
import json
import os
import time
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

Answer = dict[str, Any]
GIVEN: dict[str, Any] = json.loads(os.environ.get("KUSTOM_CHECK") or "{}")
"""From the runner: `kustom` (address), `tools` (names), `settings` (path of the env file), `strict`, `forms`, `own`."""
ENDED = 15.0  # seconds for a server to end; hosts kill after 2
TAKEN, SECOND, ASKED = "captured-sek", "partly-refunded-pln", "authorized-sek"
NOWHERE = "00000000-0000-4000-8000-000000000000"
OPTIONAL = ("refunded_amount", "order_lines", "return_fee", "reason", "currency", "description", "reference", "confirm")


@dataclass
class Tools:
    """Tools as a framework offers them to a model. `call` gives what the model is handed, as text and parsed."""

    schemas: Mapping[str, Any]
    call: Callable[[str, Answer], Awaitable[tuple[str, Answer]]]

    async def answer(self, tool: str, **arguments: Any) -> Answer:
        """Call a tool; the answer, whose outcome and sentence the model must have been handed."""
        name = f"kustom_{tool}"
        if GIVEN["strict"]:
            arguments = nulls(self.schemas[name], arguments)
        seen, answer = await self.call(name, arguments)
        for part in (answer["outcome"], answer["summary"][:40]):
            assert part in seen, f"{tool}: the model is not handed {part!r} but {seen[:300]!r}"
        if "confirm" in answer:
            assert answer["confirm"]["code"] in seen, f"{tool}: the model is not handed the code"
        return answer


def parsed(text: str) -> Answer:
    """The answer in a text that may say more around it, or hold it as a text inside JSON."""
    if '{"outcome"' not in text and text.startswith("{"):
        text = next(value for value in json.loads(text).values() if isinstance(value, str))
    assert '{"outcome"' in text, f"the model is handed {text[:500]!r}"
    return json.JSONDecoder().raw_decode(text[text.index('{"outcome"') :])[0]


def kustom(path: str) -> Any:
    """Ask the sandbox itself."""
    request = urllib.request.Request(GIVEN["kustom"] + path)
    request.add_header("Authorization", "Basic " + base64.b64encode(b"PM1:kco_test_api_sandbox").decode())
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


def ids() -> dict[str, str]:
    """Order ids by the names of the demo orders."""
    return {order["name"]: order["order_id"] for order in kustom("/sandbox/orders")}


def refunds(order_id: str) -> list[int]:
    """What Kustom has refunded of an order, one amount a refund."""
    return [refund["refunded_amount"] for refund in kustom(f"/ordermanagement/v1/orders/{order_id}")["refunds"]]


def confirm_by(means: str) -> None:
    """Set KUSTOM_CONFIRM for the servers that are started from now on."""
    path = Path(GIVEN["settings"])
    kept = [line for line in path.read_text().splitlines() if not line.startswith("KUSTOM_CONFIRM=")]
    path.write_text("\n".join([*kept, f"KUSTOM_CONFIRM={means}", ""]))


def servers() -> list[str]:
    """Processes that were started with our env file."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        if b"--env-file" in words and GIVEN["settings"].encode() in words:
            found.append(process.parent.name)
    return found


def ended() -> None:
    """Wait until every server has ended."""
    until = time.monotonic() + ENDED
    while left := servers():
        assert time.monotonic() < until, f"servers are left: {left}"
        time.sleep(0.05)
    say("shutdown")


def say(step: str) -> None:
    """Report a step that went well."""
    print(f"ok {step}", flush=True)


def objects(schema: Any) -> list[Any]:
    """Every object schema inside one, itself included."""
    fields = cast("Answer", schema) if isinstance(schema, dict) else {}
    inside = list(fields.values()) or (cast("list[Any]", schema) if isinstance(schema, list) else [])
    inner = [found for one in inside for found in objects(one)]
    return [fields, *inner] if isinstance(fields.get("properties"), dict) else inner


def nulls(schema: Any, given: Answer) -> Answer:
    """Arguments as a model in strict mode sends them: every property, with null where it has nothing to say."""
    every: Answer = {name: given.get(name) for name in schema["properties"]}
    for name, value in every.items():
        inner = schema["properties"][name].get("items", {})
        if isinstance(value, list) and "properties" in inner:
            every[name] = [nulls(inner, entry) for entry in cast("list[Answer]", value)]
    return every


async def by_code(tools: Tools) -> None:
    """List, read, find, preview, confirm, and what frameworks do to arguments; a preview is confirmed with its code."""
    orders = ids()
    taken, second = orders[TAKEN], orders[SECOND]
    one = {"order_id": taken, "lines": [{"line": 1, "quantity": 1}]}

    assert sorted(tools.schemas) == sorted(GIVEN["tools"]), sorted(tools.schemas)
    say("list")
    refund = tools.schemas["kustom_refund_order"]
    (shown, *_) = objects(refund)
    assert {"order_id", "lines", *OPTIONAL} <= set(shown["properties"]), shown
    if GIVEN["strict"]:
        assert all(set(each["required"]) == set(each["properties"]) for each in objects(refund)), refund
    say("convert")

    assert "CAPTURED" in (await tools.answer("get_order", order_id=taken))["summary"]
    say("read")
    found = await tools.answer("find_orders", reference=["SE-19977"])
    assert [row["order_id"] for row in found["orders"]] == [taken], found
    say("find")
    preview = await tools.answer("refund_order", **one)
    assert (preview["outcome"], refunds(taken)) == ("confirmation_required", []), preview
    say("preview")
    done = await tools.answer("refund_order", **one, confirm=preview["confirm"]["code"])
    again = await tools.answer("refund_order", **one, confirm=preview["confirm"]["code"])
    assert (done["outcome"], again["outcome"]) == ("applied", "already_applied"), (done, again)
    assert refunds(taken) == [19900]
    say("confirm")

    before = refunds(second)
    other = {"order_id": second, "lines": [{"line": 1, "quantity": 1, "total_amount": None}], **dict.fromkeys(OPTIONAL)}
    preview = await tools.answer("refund_order", **other)
    assert preview["outcome"] == "confirmation_required", preview
    done = await tools.answer("refund_order", **{**other, "confirm": preview["confirm"]["code"]})
    assert (done["outcome"], len(refunds(second))) == ("applied", len(before) + 1), done
    say("nulls")
    await tolerated("empties", empties(tools, orders["captured-isk"]))
    await tolerated("sloppy", sloppy(tools, orders["captured-isk"]))

    refused = await tools.answer("get_order", order_id=NOWHERE)
    assert (refused["outcome"], refused["error"]["code"]) == ("rejected", "NOT_FOUND"), refused
    refused = await tools.answer("refund_order", **one)
    assert (refused["outcome"], refused["error"]["code"]) == ("not_sent", "ACTION_NOT_ALLOWED"), refused
    assert (await tools.answer("get_order", order_id=taken))["outcome"] == "ok"
    say("error")


async def empties(tools: Tools, order_id: str) -> None:
    """A refund whose other arguments say nothing."""
    texts = dict.fromkeys(("reason", "currency", "description", "reference", "confirm"), "")
    lines = [{"line": 1, "quantity": 1}]
    answer = await tools.answer("refund_order", order_id=order_id, lines=lines, order_lines=[], **texts)
    assert answer["outcome"] == "confirmation_required", answer


async def sloppy(tools: Tools, order_id: str) -> None:
    """Whole numbers with a point, a list as a text, one text where a list is wanted."""
    answer = await tools.answer("refund_order", order_id=order_id, lines='[{"line": 1.0, "quantity": 1.0}]')
    assert answer["outcome"] == "confirmation_required", answer
    answer = await tools.answer("get_orders", order_ids=order_id)
    assert answer["outcome"] == "ok", answer


async def tolerated(step: str, tried: Awaitable[None]) -> None:
    """Carry out a step that some frameworks refuse by themselves, before the server hears of it."""
    if step in GIVEN["own"]:
        try:
            await tried
        except AssertionError:
            raise
        except Exception as error:  # whatever type of its own the framework refuses with
            print(f"ok {step}: refused by the framework itself ({type(error).__name__})", flush=True)
            return
        raise AssertionError(f"{step} is taken by the framework now: say so in the table of clients")
    await tried
    say(step)


def nobody(why: str) -> bool:
    """Fail where a client asks that is said to have no forms."""
    raise AssertionError(why)


class Person:
    """Who is asked by a form; says no first, and yes after that."""

    def __init__(self) -> None:
        self.questions: list[str] = []

    def agrees(self, question: str) -> bool:
        """Hear a question, and answer it."""
        self.questions.append(question)
        return len(self.questions) > 1


PERSON = Person()


async def by_form(tools: Tools) -> None:
    """Ask a person where the client can; one that cannot gets a code without any setting."""
    order = ids()[ASKED]
    first = await tools.answer("cancel_order", order_id=order)
    if not GIVEN["forms"]:
        assert (first["outcome"], PERSON.questions) == ("confirmation_required", []), first
        print("ok elicitation: it cannot ask a person, and gets a code", flush=True)
        return
    assert first["outcome"] == "declined", first
    second = await tools.answer("cancel_order", order_id=order)
    assert second["outcome"] == "applied", second
    assert [question[:12] for question in PERSON.questions] == ["Cancel order"] * 2, PERSON.questions
    assert kustom(f"/ordermanagement/v1/orders/{order}")["status"] == "CANCELLED"
    say("elicitation")


async def tell(main: Callable[..., Awaitable[object]], adapt: Callable[[Any], Awaitable[Tools]]) -> None:
    """Have both halves, each with a server of its own. `adapt` makes tools of what a snippet gives to `talk`."""
    for means, half in (("code", by_code), ("auto", by_form)):
        confirm_by(means)

        async def talk(offered: Any, half: Callable[[Tools], Awaitable[None]] = half) -> None:
            await half(await adapt(offered))

        await main(talk)
        ended()
    print("all is well", flush=True)
