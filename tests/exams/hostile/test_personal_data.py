"""Personal data and credentials, each marked by a canary, on every way out: answers, records, logs, errors, `repr`.

Every personal field has a value of its own, so that a leak names the field.
"""

from __future__ import annotations

import base64
import json
import logging
import traceback
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import httpx2 as httpx
import pytest
from mcp.client import Client
from mcp.types import CallToolRequestParams

from kustom_mcp.api.endpoints import GET_ORDER
from kustom_mcp.api.errors import OmsError
from kustom_mcp.app.app import App
from kustom_mcp.calls.attempt import CallRequest
from kustom_mcp.calls.confirmation import Gate
from kustom_mcp.calls.policy import Policy, Principal
from kustom_mcp.calls.write import Call
from kustom_mcp.server.handlers import TOOL_FACTS, build_server
from kustom_mcp.settings.environment import load
from kustom_mcp.simulator.app import Simulator
from kustom_mcp.simulator.faults import Fault
from kustom_mcp.tools.catalog import CATALOG
from tests.exams.hostile.assistant import EVERYTHING
from tests.exams.hostile.test_hostile_text import calls
from tests.support.conversation import Talk, conversation, no

Json = dict[str, Any]

ORDER = "5c0ffee5-0000-4000-8000-000000000001"
CAPTURE = "5c0ffee5-0000-4000-8000-000000000002"
FIELDS = (
    *("given_name", "family_name", "title", "organization_name", "attention", "street_address", "street_address2"),
    *("postal_code", "city", "region", "email", "phone"),
)
USER, KEY = "demo", "kco_test_api_sandbox"
PROXY = "pii-proxy-password"
RING = "pii-ring-" + "k" * 32


def address(part: str) -> Json:
    return {name: f"Pii{part}{name}@x" for name in FIELDS} | {"country": "SE"}


NUMBER = "PiiNationalNumber"
PERSONAL: Json = {
    "billing_address": address("billing"),
    "shipping_address": address("shipping"),
    "customer": {
        "date_of_birth": "PiiBirth",
        "national_identification_number": NUMBER,
        "nationalIdentificationNumber": NUMBER,
        "nested": {"national-identification-number": NUMBER},
    },
    "merchant_data": "PiiMerchantData",
    "selected_shipping_option": {
        "name": "Home",
        "selected_addons": [{"type": "entry", "user_input": "PiiDoorCode"}],
    },
}
ORDER_PART: Json = {
    "order_id": ORDER,
    "status": "PART_CAPTURED",
    "order_amount": 30000,
    "purchase_currency": "SEK",
    "order_lines": [{"reference": "A", "name": "Item", "quantity": 3, "unit_price": 10000, "total_amount": 30000}],
    "captures": [
        {
            "capture_id": CAPTURE,
            "captured_amount": 10000,
            "billing_address": address("capturebilling"),
            "shipping_address": address("captureshipping"),
            "customer": PERSONAL["customer"],
        }
    ],
    **PERSONAL,
}
MARK = "Pii"
NEW = {"street_address": "PiiNewStreet 1", "given_name": "PiiNewName"}
CHANGE = {"order_id": ORDER, "shipping_address": NEW}


@asynccontextmanager
async def talking(state: Path, **settings: str) -> AsyncGenerator[Talk]:
    simulator = Simulator(seeds=())
    simulator.add_order(ORDER_PART)
    more: Json = {"KUSTOM_TOOLS": "all", "KUSTOM_STATE_DIR": str(state), "KUSTOM_WRITES_PER_MINUTE": "1000", **settings}
    async with conversation(simulator=simulator, **more) as talk:
        yield talk


async def everything(talk: Talk) -> list[str]:
    """Call every tool on the order, with what asks for personal data as well; what the other calls were answered."""
    said: list[str] = []
    for tool, arguments in calls(talk.stored(ORDER)):
        answer = await talk.call(tool, arguments)
        if "include" not in arguments and tool != "update_customer_details":
            said.append(json.dumps(answer, ensure_ascii=False))
        if "confirm" in answer:
            done = await talk.call(tool, arguments, confirm=answer["confirm"]["code"])
            said.append(json.dumps(done, ensure_ascii=False))
    return said


def written(state: Path) -> dict[str, str]:
    """Every file that the server has left."""
    return {str(path): path.read_bytes().decode("latin-1") for path in state.rglob("*") if path.is_file()}


async def test_nothing_personal_is_in_a_default_view_or_a_record(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with talking(tmp_path) as talk:
        said = await everything(talk)
        resource = await talk.client.read_resource(f"kustom://orders/{ORDER}")
        kept = talk.stored(ORDER)
    assert "Piishippingphone@x" in json.dumps(kept)
    assert [text for text in said if MARK in text] == []
    assert MARK not in resource.model_dump_json()
    files = written(tmp_path)
    assert any(name.endswith(".jsonl") for name in files)
    assert any(name.endswith("/store.sqlite3") for name in files)
    assert [name for name, text in files.items() if MARK in text] == []
    assert MARK not in caplog.text


async def test_an_address_that_a_caller_sends_is_not_recorded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with talking(tmp_path) as talk:
        talk.order(order_id=ORDER, **PERSONAL)  # in the place of the one that has been captured in part
        preview = await talk.call("update_customer_details", CHANGE)
        code = preview["confirm"]["code"]
        talk.simulator.faults.add(Fault("PATCH", "/orders/{order_id}/customer-details", "status", status=500, times=9))
        unknown = await talk.call("update_customer_details", CHANGE, confirm=code)
        open_now = written(tmp_path)
        talk.simulator.faults.clear()
        done = await talk.call("update_customer_details", CHANGE, confirm=unknown["confirm"]["code"])
    assert (unknown["outcome"], done["outcome"]) == ("unknown", "applied")
    assert any(name.endswith("/store.sqlite3") for name in open_now)
    assert [name for name, text in (open_now | written(tmp_path)).items() if MARK in text] == []
    assert MARK not in caplog.text
    assert MARK not in preview["summary"] + preview["next_step"] + code


def shown(answer: Json) -> set[str]:
    """The personal values that an answer has in it."""
    text = json.dumps(answer, ensure_ascii=False)
    return {value for value in _values(ORDER_PART) if value in text}


def _values(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in cast("Json", value).values() for text in _values(item)]
    if isinstance(value, list):
        return [text for item in cast("list[Any]", value) for text in _values(item)]
    return [value] if isinstance(value, str) and MARK in value else []


async def test_what_is_asked_for_is_shown_or_masked_but_never_the_number(tmp_path: Path) -> None:
    read = {"order_id": ORDER, "include": EVERYTHING}
    async with talking(tmp_path / "open") as talk:
        opened = await talk.call("get_order", read)
        customer = await talk.call("get_order", order_id=ORDER, include=["customer"])
    async with talking(tmp_path / "masked", KUSTOM_PII="masked") as talk:
        closed = await talk.call("get_order", read)
        talk.order(order_id=ORDER, **PERSONAL)  # nothing of it is captured, so that its address may change
        preview = await talk.call("update_customer_details", CHANGE)
        assert preview["outcome"] == "confirmation_required"
    captured = {value for value in _values(ORDER_PART["captures"]) if "capture" in value}
    assert shown(opened) == set(_values(PERSONAL)) - {NUMBER}
    assert shown(customer) == shown(opened) - {"PiiMerchantData", "PiiDoorCode"}
    assert shown(opened) & captured == set()
    assert shown(closed) - {"PiiMerchantData"} == set()
    assert shown(preview) == set()
    assert closed["third_party"]["shipping_address"]["country"] == "SE"


@pytest.mark.parametrize("pii", ["on_request", "masked"])
async def test_the_identification_number_is_in_no_answer_at_all(pii: str, tmp_path: Path) -> None:
    async with talking(tmp_path, KUSTOM_PII=pii) as talk:
        for tool, arguments in calls(talk.stored(ORDER)):
            answers = [await talk.call(tool, arguments)]
            if "confirm" in answers[0]:
                answers.append(await talk.call(tool, arguments, confirm=answers[0]["confirm"]["code"]))
            assert NUMBER not in json.dumps(answers), tool


async def test_a_form_shows_the_address_that_was_sent_and_masks_what_is_kept() -> None:
    simulator = Simulator(seeds=())
    simulator.add_order({**ORDER_PART, "status": "AUTHORIZED", "captures": []})
    async with conversation(person=no, simulator=simulator, KUSTOM_PII="masked") as talk:
        await talk.call("update_customer_details", CHANGE)
        (question,) = talk.questions
    assert "PiiNewStreet 1" in question
    assert [value for value in _values(ORDER_PART) if value in question] == []


SECRETS = (KEY, base64.b64encode(f"{USER}:{KEY}".encode()).decode(), PROXY, RING)
Answer = Callable[[httpx.Request], httpx.Response]


class Failing(httpx.AsyncBaseTransport):
    """A transport that fails in its own way."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self._answer(request)


def _raises(error: Exception) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    return answer


def _body(value: Any) -> Answer:
    return lambda request: httpx.Response(200, json=value)


WRONG: dict[str, Answer | None] = {
    "a proxy that is not there": None,
    "a bug": _raises(RuntimeError("boom")),
    "a lost connection": _raises(httpx.ReadError("reset")),
    "a float": _body(ORDER_PART | {"order_amount": 1.5}),
    "a customer that is a list": _body(ORDER_PART | {"customer": [NUMBER]}),
    "an address of numbers": _body(ORDER_PART | {"shipping_address": {"phone": ["PiiPhone"]}}),
    "lines of text": _body(ORDER_PART | {"order_lines": "PiiLines"}),
    "another order": _body(ORDER_PART | {"order_id": ORDER.replace("1", "2")}),
    "no JSON": lambda request: httpx.Response(200, text="PiiText"),
    "an error with data": lambda request: httpx.Response(
        400, json={"error_code": "BAD_VALUE", "error_messages": ["PiiMessage"]}
    ),
    "an error that is none": lambda request: httpx.Response(500, text="PiiText"),
}


def failing(answer: Answer | None, state: Path) -> App:
    """An app with every credential there is, whose upstream answers like this; or which has nothing but a proxy."""
    settings = {
        "KUSTOM_ENVIRONMENT": "playground",
        "KUSTOM_API_URL": "http://127.0.0.1:9",
        "KUSTOM_USERNAME": USER,
        "KUSTOM_API_KEY": KEY,
        "KUSTOM_KEYS": RING,
        "KUSTOM_STATE_DIR": str(state),
        "KUSTOM_TOOLS": "all",
        "KUSTOM_TIMEOUT": "1",
    }
    if answer is None:
        settings["KUSTOM_PROXY"] = f"http://someone:{PROXY}@127.0.0.1:9"
    return App.of(load(settings).settings, transport=Failing(answer) if answer else None, clock=anyio.current_time)


def leaks(text: str) -> list[str]:
    return [secret for secret in (*SECRETS, MARK) if secret in text]


@pytest.mark.parametrize("name", WRONG)
async def test_a_failure_tells_nothing_in_its_log_its_record_or_its_chain(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    app = failing(WRONG[name], tmp_path)
    async with Client(build_server(app)) as client:
        for tool, arguments in (("get_order", {"order_id": ORDER}), ("update_customer_details", CHANGE)):
            answer = await client.call_tool(f"kustom_{tool}", arguments)
            content = cast("Json", answer.structured_content)
            assert content["outcome"] in ("not_sent", "rejected")
            assert leaks(json.dumps({key: item for key, item in content.items() if key != "third_party"})) == []
        try:
            await app.client.read(GET_ORDER, deadline=app.clock() + 1, order_id=ORDER)
        except (OmsError, RuntimeError) as error:
            chain = "".join(traceback.format_exception(error)) + repr(error)
            assert leaks(chain) == []
        else:
            raise AssertionError("it should have failed")
    assert leaks(caplog.text) == []
    assert leaks(json.dumps(written(tmp_path))) == []


async def test_a_bug_of_ours_tells_nothing_of_the_order_it_met(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The order has been read when the clock fails, so it is in every frame of the traceback that is logged."""
    caplog.set_level(logging.DEBUG)

    def broken() -> float:
        raise RuntimeError("boom")

    async with talking(tmp_path) as talk:
        talk.app.wall = broken
        answers = [await talk.call("get_order", order_id=ORDER), await talk.call("update_customer_details", CHANGE)]
    assert [answer["error"]["code"] for answer in answers] == ["INTERNAL", "INTERNAL"]
    assert "boom" in caplog.text
    assert "boom" not in json.dumps(answers)
    assert [each for each in (caplog.text, json.dumps(answers), json.dumps(written(tmp_path))) if leaks(each)] == []


async def test_a_repr_shows_no_credential_and_nobody(tmp_path: Path) -> None:
    app = failing(None, tmp_path)
    gate = Gate(app, Policy(app.settings, TOOL_FACTS, app.limits))
    who = {"caller": "somebody", "host": "tests"}
    tool = CATALOG["kustom_update_customer_details"]
    asked = CallRequest(
        Principal("op"), tool.name, True, CallToolRequestParams(name=tool.name), who, tool.parse(CHANGE), None
    )
    call = Call(gate, cast("Any", SimpleNamespace()), asked)
    for thing in (app, app.settings, app.client, gate, call, app.audit, app.intents, app.limits):
        for text in (repr(thing), str(thing), f"{thing}"):
            assert leaks(text) == [], type(thing)
    assert leaks(str(app.settings.model_dump())) == []
    assert leaks(app.settings.model_dump_json()) == []
