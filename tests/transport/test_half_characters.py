"""Requests with half of a character in them (a lone surrogate, which JSON can write and UTF-8 cannot): each is told so,
wherever it stands and however it is sent, and the next request is answered as ever.
"""

from __future__ import annotations

import json
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.support.sample import sampled
from tests.support.unhurried import PATIENCE
from tests.transport.kustom import Kustom, demo
from tests.transport.pipe import ERAS, HANDSHAKE, Era, Json, call, request, spawned
from tests.transport.serving_stdio import serving

HALF = "a\ud83d"
ORDER = {"order_id": demo("authorized-sek")}
TOLD = "half of a character"
PLACES: list[tuple[str, Json]] = [
    ("tools/call", {"name": "kustom_get_order", "arguments": {"order_id": HALF}}),
    ("tools/call", {"name": "kustom_get_order", "arguments": {**ORDER, HALF: 1}}),
    ("tools/call", {"name": "kustom_get_order", "arguments": {**ORDER, "include": [HALF]}}),
    ("tools/call", {"name": "kustom_refund_order", "arguments": {**ORDER, "refunded_amount": 1, "description": HALF}}),
    ("tools/call", {"name": "kustom_cancel_order", "arguments": {**ORDER, "confirm": HALF}}),
    (
        "tools/call",
        {"name": "kustom_update_order_amount", "arguments": {**ORDER, "order_lines": json.dumps([{"name": HALF}])}},
    ),
    ("tools/call", {"name": HALF, "arguments": {}}),
    ("tools/call", {"name": "kustom_get_order", "arguments": HALF}),
    ("prompts/get", {"name": HALF}),
    ("resources/read", {"uri": f"kustom://orders/{HALF}"}),
    ("tools/list", {"cursor": HALF}),
    (
        "completion/complete",
        {"ref": {"type": "ref/prompt", "name": "refund-return"}, "argument": {"name": "order_id", "value": HALF}},
    ),
    ("orders/steal", {HALF: HALF}),
]
NOT_TOLD = {"kustom_cancel_order": "CONFIRMATION_INVALID", "kustom_get_order": "Invalid request parameters"}


def asked(era: Era) -> list[Json]:
    return [request(number, method, params, era) for number, (method, params) in enumerate(PLACES)]


@pytest.mark.parametrize("era", sampled(ERAS, 2))
async def test_over_stdio_each_is_told_what_is_wrong_with_it(era: Era, kustom: Kustom, tmp_path: Path) -> None:
    async with spawned(kustom, tmp_path) as pipe:
        if era == "2025-11-25":
            await pipe.send(*HANDSHAKE)
        for each in asked(era):
            await pipe.send(each)
            answer = await pipe.answer(each["id"])
            assert "error" in answer or answer["result"]["isError"], each
            known = NOT_TOLD.get(each["params"].get("name"), TOLD)
            assert TOLD in json.dumps(answer) or known in json.dumps(answer), each
        await pipe.send(request("method", f"tools/{HALF}", {}, era))
        assert TOLD in (await pipe.answer("method"))["error"]["message"]
        await pipe.send(request(HALF, "tools/list", {}, era))
        assert TOLD in (await pipe.answer(None))["error"]["message"]
        await pipe.send(request("version", "tools/list", {}, era) | {"jsonrpc": "\ud800"})
        assert TOLD in (await pipe.answer("version"))["error"]["message"]
        await pipe.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"reason": HALF}})
        assert (await pipe.result(call("next", "get_order", ORDER, era)))["outcome"] == "ok"
        pipe.close()
        assert await pipe.ended() == 0
    assert pipe.answers.keys() - {"hello"} == {*range(len(PLACES)), "method", "version", None, "next"}
    assert (pipe.stderr, kustom.writes) == ("", [])


@pytest.mark.parametrize("era", sampled(ERAS, 2))
def test_over_http_each_gets_an_error(era: Era, kustom: Kustom, tmp_path: Path) -> None:
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": era,
    }
    with (
        serving(kustom, tmp_path) as served,
        httpx.Client(base_url=served.base, trust_env=False, timeout=PATIENCE) as http,
    ):
        if era == "2025-11-25":
            opened = http.post("/mcp", headers=headers, json=HANDSHAKE[0])
            headers["mcp-session-id"] = opened.headers["mcp-session-id"]
        for each in asked(era):
            named = str(each["params"].get("name", "")).encode("ascii", "replace").decode()
            routing = {"mcp-method": each["method"], "mcp-name": named} if era == "2026-07-28" else {}
            answer = http.post("/mcp", headers=headers | routing, content=json.dumps(each))
            assert answer.status_code < 500, each
            if each["method"] not in ("tools/list", "completion/complete"):  # 2026-07-28 has no use for these texts
                assert '"error"' in answer.text or '"isError":true' in answer.text, each
    assert kustom.writes == []


ANSWERS: list[Json] = [
    {"result": {"action": "accept", "content": {HALF: True}}},
    {"result": {"action": "accept", "content": {"approve": True, HALF: 1}}},
    {"result": {"action": HALF}},
    {"error": {"code": -32603, "message": HALF}},
]


@pytest.mark.parametrize("answer", sampled(ANSWERS, 2), ids=ascii)
async def test_a_form_answered_with_one_counts_as_declined_at_once(
    answer: Json, kustom: Kustom, tmp_path: Path
) -> None:
    hello: Json = HANDSHAKE[0]
    able: Json = {**hello, "params": {**hello["params"], "capabilities": {"elicitation": {"form": {}}}}}
    refund = {"order_id": demo("captured-sek"), "refunded_amount": 100}
    async with spawned(kustom, tmp_path) as pipe:
        await pipe.send(able, *HANDSHAKE[1:])
        await pipe.send(call("refund", "refund_order", refund, "2025-11-25"))
        form = await pipe.asked()
        await pipe.send({"jsonrpc": "2.0", "id": form["id"], **answer})
        told = await pipe.answer("refund")
        assert told["result"]["structuredContent"]["outcome"] == "declined"
    assert kustom.writes == []
