"""Credentials never leave the process but in the one header, not even at debug level, not even when things go wrong."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from kustom_mcp.api.redaction import LEFT_OUT
from tests.transport.kustom import API_KEY, USERNAME, Kustom, demo
from tests.transport.pipe import HANDSHAKE, Pipe, call, spawned

TOWEL = demo("captured-sek")
REFUND = {"order_id": TOWEL, "refunded_amount": 100}
WRONG_KEY = "kco_test_api_canary_8d1f6a"
LIVE_KEY = "kco_live_api_canary_5e2c9b"
RING = "canary-ring-" + "k" * 32
FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("reset", {}),
    ("truncate", {}),
    ("status", {"status": 500}),
    ("status", {"status": 401}),
    ("status", {"status": 302, "headers": {"Location": "http://elsewhere.example.com/"}}),
    ("status", {"status": 200, "body": "no JSON"}),
]


def echoes(key: str) -> list[tuple[str, dict[str, Any]]]:
    """Refusals that repeat the credentials of their request."""
    pair = f"{USERNAME}:{key}".encode()
    written = [f"Basic {base64.b64encode(pair).decode()}", key, pair.hex(), "".join(f"%{byte:02X}" for byte in pair)]
    return [
        (
            "status",
            {
                "status": status,
                "body": json.dumps({"error_code": "BAD", "error_messages": [text, "Odd."], "correlation_id": text}),
                "headers": {"Klarna-Correlation-Id": text, "Content-Type": "application/json"},
            },
        )
        for text in written
        for status in (400, 401, 500)
    ]


def traces(key: str) -> list[str]:
    """Forms of a secret: as it is, in hexadecimal, and as Basic auth encodes it, whole or in part."""
    return [
        key,
        key.encode().hex(),
        key.encode().hex("%").upper(),
        *(base64.b64encode(f"{user}:{key}".encode()).decode() for user in (USERNAME, "")),
        _middle(key),
    ]


def _middle(key: str) -> str:
    """The base64 form of all but the edges, which depend on what stands before."""
    encoded = base64.b64encode(f"{USERNAME}:{key}".encode()).decode()
    return encoded[8:-4]


async def _everything_that_fails(pipe: Pipe, kustom: Kustom, key: str) -> None:
    order = "/orders/{order_id}"
    await pipe.send(*HANDSHAKE)
    await pipe.put(b"no message\n")
    for number, (fault, more) in enumerate(FAULTS + echoes(key)):
        kustom.fault("GET", order, fault, **more)
        await pipe.result(call(f"read {number}", "get_order", {"order_id": TOWEL}))
    preview = await pipe.result(call("preview", "refund_order", REFUND))
    confirm = preview["confirm"]["code"] if "confirm" in preview else "refund-1.00SEK-55e7d67e.forged"
    kustom.fault("POST", f"{order}/refunds", "lose_response")
    await pipe.result(call("refund", "refund_order", {**REFUND, "confirm": confirm}))
    await pipe.result(call("wrong", "refund_order", {**REFUND, "confirm": "forged"}))
    pipe.close()
    await pipe.ended()


async def test_a_key_is_in_no_answer_no_log_and_no_file(kustom: Kustom, tmp_path: Path) -> None:
    for key in (API_KEY, WRONG_KEY):
        state = tmp_path / key
        async with spawned(
            kustom, state, KUSTOM_API_KEY=key, KUSTOM_KEYS=RING, KUSTOM_LOG_LEVEL="debug", KUSTOM_TIMEOUT="60"
        ) as pipe:
            await _everything_that_fails(pipe, kustom, key)
        written = {path.name: path.read_bytes().decode("latin-1") for path in state.rglob("*") if path.is_file()}
        said = "\n".join([pipe.stderr, json.dumps(pipe.answers, ensure_ascii=False), *written.values()])
        assert "kustom-mcp: DEBUG" in pipe.stderr
        assert pipe.answers["read 3"]["result"]["structuredContent"]["error"]["code"] == "AUTHENTICATION_FAILED"
        refused = pipe.answers[f"read {len(FAULTS)}"]["result"]["structuredContent"]
        assert refused["third_party"] == {"upstream_messages": [LEFT_OUT, "Odd."]}
        assert refused["error"]["upstream"] == {"status": 400, "error_code": "BAD"}
        assert [trace for trace in [*traces(key), RING] if trace in said] == []
        assert any(name.endswith(".jsonl") for name in written)
    assert kustom.order(TOWEL)["refunded_amount"] == 100


async def test_a_key_that_changes_in_its_file_is_used_at_once_and_a_live_one_never_leaves(
    kustom: Kustom, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    read = {"order_id": TOWEL}
    file.write_text(f"{WRONG_KEY}\n")
    async with spawned(kustom, tmp_path / "state", "KUSTOM_API_KEY", KUSTOM_API_KEY_FILE=str(file)) as pipe:
        await pipe.send(*HANDSHAKE)
        outcomes = [(await pipe.result(call("wrong key", "get_order", read)))["outcome"]]
        for number, key in enumerate((API_KEY, LIVE_KEY, f'"{LIVE_KEY}"', f"\ufeff{LIVE_KEY}", WRONG_KEY)):
            file.write_text(f"{key}\n")
            outcomes.append((await pipe.result(call(number, "get_order", read)))["outcome"])
        pipe.close()
        await pipe.ended()
    assert outcomes == ["rejected", "ok", "ok", "ok", "ok", "rejected"]
    assert pipe.stderr.count("The API key from before is used on.") == 3
    assert "live_api" not in pipe.stderr + json.dumps(pipe.answers)
