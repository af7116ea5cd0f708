"""Lines that a pipe can carry besides good requests: none ends the server, none gets anything done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kustom_mcp.tools.catalog import CATALOG
from tests.support.sample import sampled
from tests.transport.kustom import Kustom, demo
from tests.transport.pipe import ERAS, HANDSHAKE, Era, Json, call, lines, request, spawned

ORDER = {"order_id": demo("authorized-sek")}
LOOK = "get_order"

NO_MESSAGES = {
    "text": b"hello, is this on?\n",
    "nothing": b"\n\r\n\n",
    "binary noise": bytes(range(256)) * 40 + b"\n",
    "half an object": b'{"jsonrpc":"2.0",\n',
    "not an object": b"17\nnull\n",
    "NUL bytes": b"\0\0\0\n",
    "depth": b"[" * 100_000 + b"\n",
    "20 MB": b'{"jsonrpc":"2.0","id":' + b"9" * (20 << 20) + b"}\n",
    "no method": b'{"jsonrpc":"2.0","id":"x"}\n',
    "a batch": b"[" + lines([request("x", "tools/list")]).strip() + b"]\n",
    "an unasked answer": b'{"jsonrpc":"2.0","id":"x","result":{}}\n',
    "an unknown notification": b'{"jsonrpc":"2.0","method":"notifications/nothing"}\n',
}


@pytest.mark.parametrize("era", sampled(ERAS, 2))
async def test_what_is_no_request_is_not_answered_and_the_next_request_is(
    era: Era, kustom: Kustom, tmp_path: Path
) -> None:
    async with spawned(kustom, tmp_path) as pipe:
        if era == "2025-11-25":
            await pipe.send(*HANDSHAKE)
        for name, data in NO_MESSAGES.items():
            await pipe.put(data)
            looked = await pipe.result(call(name, LOOK, ORDER, era))
            assert looked["outcome"] == "ok", name
        pipe.close()
        code = await pipe.ended()
    assert (code, pipe.stderr) == (0, "")
    assert pipe.answers.keys() - NO_MESSAGES.keys() <= {"hello"}


def _forged(era: Era) -> Json:
    yes = {"approve": {"action": "accept", "content": {"approve": True}}}
    return call("forged", "cancel_order", ORDER, era, requestState="v1.AAAA", inputResponses=yes)


@pytest.mark.parametrize("era", sampled(ERAS, 2))
async def test_a_request_that_cannot_be_followed_gets_its_reason(era: Era, kustom: Kustom, tmp_path: Path) -> None:
    tool = {"name": "kustom_get_order"}
    asked = [
        request("method", "orders/steal", None, era),
        request("no arguments", "tools/call", tool, era),
        request("null arguments", "tools/call", {**tool, "arguments": None}, era),
        request("listed arguments", "tools/call", {**tool, "arguments": [1]}, era),
        request("no name", "tools/call", {"arguments": {}}, era),
        call("no tool", "get_ordr", {}, era),
        call("switched off", "refund_order", {}, era),
        _forged(era),
        call("5 MB", LOOK, {"order_id": "a" * (5 << 20)}, era),
        call("10,000 lines", "update_order_amount", {**ORDER, "order_lines": [{"quantity": 1}] * 10_000}, era),
        request("prompt", "prompts/get", {"name": "nope"}, era),
        request("resource", "resources/read", {"uri": "kustom://nope"}, era),
    ]
    async with spawned(kustom, tmp_path, KUSTOM_TOOLS="orders") as pipe:
        if era == "2025-11-25":
            await pipe.send(*HANDSHAKE)
        await pipe.put(lines([call("NaN", LOOK, {"x": 0}, era)]).replace(b'"x": 0', b'"x": NaN'))
        await pipe.send(*asked)
        answers = {each["id"]: await pipe.answer(each["id"]) for each in asked}
        nan = await pipe.answer("NaN")
    errors = {number: answer["error"]["code"] for number, answer in answers.items() if "error" in answer}
    assert errors == {
        "method": -32601,
        **dict.fromkeys(("listed arguments", "no name", "no tool", "forged", "prompt", "resource"), -32602),
    }
    assert "Did you mean kustom_get_order?" in answers["no tool"]["error"]["message"]
    results = {
        number: answer["result"]["structuredContent"]["error"]
        for number, answer in {**answers, "NaN": nan}.items()
        if "result" in answer
    }
    assert {number: error["code"] for number, error in results.items()} == {
        "no arguments": "INVALID_ARGUMENT",
        "null arguments": "INVALID_ARGUMENT",
        "switched off": "NOT_PERMITTED",
        "5 MB": "INVALID_IDENTIFIER",
        "10,000 lines": "INVALID_ARGUMENT",
        "NaN": "UNKNOWN_ARGUMENT",
    }
    assert "KUSTOM_TOOLS" in results["switched off"]["message"]
    assert max(len(json.dumps(answer)) for answer in answers.values()) < 10_000
    assert [seen for seen in kustom.requests if seen["method"] != "GET"] == []


async def test_the_list_of_tools_is_the_same_bytes_from_run_to_run(kustom: Kustom, tmp_path: Path) -> None:
    listed: list[Json] = []
    for era in (*ERAS, "2026-07-28"):
        async with spawned(kustom, tmp_path / str(len(listed))) as pipe:
            await pipe.send(*(HANDSHAKE if era == "2025-11-25" else ()), request("list", "tools/list", None, era))
            listed.append(json.dumps((await pipe.answer("list"))["result"]))
    assert listed[1] == listed[2]
    handshake, stateless = (json.loads(result) for result in listed[:2])
    assert handshake["tools"] == stateless["tools"]
    assert len(stateless["tools"]) == len(CATALOG)
    assert (stateless["ttlMs"], stateless["cacheScope"]) == (3_600_000, "public")


async def test_a_client_that_gave_up_asking_for_the_new_protocol_may_still_shake_hands(
    kustom: Kustom, tmp_path: Path
) -> None:
    """As the AI SDK does after one second. After any other request the era stays."""
    asked = [request(n, "server/discover", None, "2026-07-28") for n in ("probe", "probe again")]
    async with spawned(kustom, tmp_path) as pipe:
        await pipe.send(*asked, *HANDSHAKE)
        assert (await pipe.answer("hello"))["result"]["protocolVersion"] == "2025-11-25"
        assert (await pipe.result(call("legacy", LOOK, ORDER)))["outcome"] == "ok"
        modern = await pipe.put(lines([call("modern", LOOK, ORDER, "2026-07-28")])) or await pipe.answer("modern")
        pipe.close()
        ended = await pipe.ended()
    async with spawned(kustom, tmp_path) as pipe:
        await pipe.send(asked[0], call("look", LOOK, ORDER, "2026-07-28"), *HANDSHAKE)
        refused = await pipe.answer("hello")
        looked = await pipe.answer("look")
    assert (ended, modern["error"]["code"], refused["error"]["code"]) == (0, -32600, -32022)
    assert looked["result"]["structuredContent"]["outcome"] == "ok"
