"""`serve --http` as a process: who is let in, what is refused before a tool is asked, health, no sessions."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from kustom_mcp.cli.serve import run_http
from kustom_mcp.settings.settings import ConfigError, Settings
from kustom_mcp.transport.http.app import listen
from tests.support.unhurried import PATIENCE
from tests.transport.host import MODES, Mode, Talk, hosting, yes
from tests.transport.kustom import PROGRAM, Kustom, demo
from tests.transport.pipe import HANDSHAKE, call, request
from tests.transport.serving_stdio import Served, serving

TOWEL = demo("captured-sek")
REFUND = {"order_id": TOWEL, "refunded_amount": 100}
HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
MODERN = {
    **HEADERS,
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "kustom_get_order",
}
GET_ORDER = call(1, "get_order", {"order_id": TOWEL}, "2026-07-28")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(None, tmp_path_factory.mktemp("state")) as served:
        yield served


@pytest.fixture
def http(server: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base, trust_env=False, timeout=PATIENCE) as client:
        yield client


def test_the_server_says_that_it_is_alive_and_ready_under_any_name(http: httpx.Client) -> None:
    for headers in ({}, {"host": "10.1.2.3:8080"}):
        alive, ready = http.get("/healthz", headers=headers), http.get("/readyz", headers=headers)
        assert (alive.status_code, ready.status_code, ready.json()) == (200, 200, {"ready": True, "because": []})


def test_a_request_of_2026_needs_no_handshake(http: httpx.Client) -> None:
    answer = http.post("/mcp", headers=MODERN, json=GET_ORDER)
    assert answer.status_code == 200
    assert answer.json()["result"]["structuredContent"]["outcome"] == "ok"
    assert "mcp-session-id" not in answer.headers
    assert "server" not in answer.headers


WRONG: list[tuple[dict[str, str], int]] = [
    ({"host": "evil.example"}, 421),
    ({"host": "127.0.0.1"}, 421),
    ({"origin": "http://evil.example"}, 403),
    ({"origin": "http://localhost:8080.evil.example"}, 403),
    ({"origin": "http://localhost.evil.example:8080"}, 403),
    ({"origin": "http://127.0.0.1x1:8080"}, 403),
    ({"origin": "http://evil.example@localhost:8080"}, 403),
    ({"origin": "https://localhost:8080"}, 403),
    ({"origin": "null"}, 403),
    ({"content-type": "text/plain"}, 400),
    ({"accept": "application/json"}, 406),
    ({"mcp-name": "kustom_cancel_order"}, 400),
    ({"mcp-method": "tools/list"}, 400),
    ({"mcp-protocol-version": "2026-07-29"}, 400),
]


@pytest.mark.parametrize(("headers", "status"), WRONG)
def test_headers_that_do_not_fit_are_refused_before_anything_is_done(
    headers: dict[str, str], status: int, http: httpx.Client
) -> None:
    answer = http.post("/mcp", headers={**MODERN, **headers}, json=GET_ORDER)
    assert answer.status_code == status
    assert "outcome" not in answer.text


def test_a_browser_on_this_machine_may_read_the_answers_and_no_other(server: Served, http: httpx.Client) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "mcp-session-id,content-type"}
    for page in (server.base, "http://localhost:8080", "http://[::1]:6274", "http://127.0.0.1"):
        good = http.options("/mcp", headers={"origin": page, **asked})
        assert (good.status_code, good.headers["access-control-allow-origin"]) == (200, page)
        answer = http.post("/mcp", headers={**MODERN, "origin": page}, json=GET_ORDER)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, page)
    assert http.options("/mcp", headers={"origin": "https://evil.example", **asked}).status_code == 403


def test_a_request_of_more_than_four_mib_is_refused(http: httpx.Client) -> None:
    big = json.dumps(call(1, "get_order", {"order_id": "x" * (4 * 1024 * 1024)}, "2026-07-28")).encode()
    assert http.post("/mcp", headers=MODERN, content=big).status_code == 413
    assert http.post("/mcp", headers=MODERN, content=iter([big[:9000], big[9000:]])).status_code == 413
    assert http.post("/mcp", headers=MODERN, json=GET_ORDER).status_code == 200


def test_a_slash_behind_the_path_changes_nothing(http: httpx.Client) -> None:
    with_slash, without = (http.post(path, headers=MODERN, json=GET_ORDER) for path in ("/mcp/", "/mcp"))
    assert (with_slash.status_code, with_slash.json()) == (200, without.json())
    assert http.post("/mcp/", headers={**MODERN, "host": "evil.example"}, json=GET_ORDER).status_code == 421


def test_other_paths_are_not_there(http: httpx.Client) -> None:
    assert {http.get(path).status_code for path in ("/", "/mcp/x", "/mcp//", "/docs", "/sse", "/hooks")} == {404}


async def test_a_form_is_answered_over_http_in_both_eras_and_a_no_sends_nothing(kustom: Kustom, tmp_path: Path) -> None:
    for mode in MODES:
        async with hosting(kustom, tmp_path / mode, mode, yes, "http", KUSTOM_CONFIRM="form") as talk:
            done = await talk.call("refund_order", REFUND)
        assert (done["outcome"], len(talk.questions)) == ("applied", 1)
        kustom.reset()
        async with hosting(kustom, tmp_path / f"{mode}-no", mode, lambda _: no(), "http") as talk:
            declined = await talk.call("refund_order", REFUND)
        assert (declined["outcome"], len(talk.questions), kustom.writes) == ("declined", 1, [])


def no() -> Any:
    from mcp.types import ElicitResult

    return ElicitResult(action="decline")


async def test_without_sessions_a_handshake_client_gets_codes_and_a_modern_one_its_form(
    kustom: Kustom, tmp_path: Path
) -> None:
    answers: dict[Mode, tuple[str, int]] = {}
    for mode in MODES:
        async with hosting(kustom, tmp_path / mode, mode, yes, "http", KUSTOM_HTTP_SESSIONS="off") as talk:
            answer = await talk.call("refund_order", REFUND)
            answers[mode] = answer["outcome"], len(talk.questions)
            if mode == "legacy":
                done = await talk.call("refund_order", REFUND, confirm=answer["confirm"]["code"])
                assert done["outcome"] == "applied"
        kustom.reset()
    assert answers == {"auto": ("applied", 1), "legacy": ("confirmation_required", 0)}


async def test_progress_is_reported_over_http(kustom: Kustom, tmp_path: Path) -> None:
    heard: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    ids = list(kustom.listed())[:5]
    for mode in MODES:
        async with hosting(kustom, tmp_path / mode, mode, wire="http") as talk:
            await talk.client.call_tool("kustom_get_orders", {"order_ids": ids}, progress_callback=hear)
    assert heard == [1, 2, 3, 4, 5] * 2


def test_an_address_that_others_reach_needs_a_token_or_an_issuer() -> None:
    for host in ("0.0.0.0", "::", "10.0.0.1", "kustom.example"):
        with pytest.raises(ConfigError, match="Other machines can reach this address"):
            run_http(Settings(), host, 0)


async def test_an_answer_does_not_wait_until_the_last_one_is_acknowledged() -> None:
    """Without TCP_NODELAY each answer after the first of a connection would take 40 ms longer."""
    accepted = asyncio.get_running_loop().create_future()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    server = await asyncio.start_server(connected, sock=(listener := listen("127.0.0.1", 0)))
    async with server:
        _, writer = await asyncio.open_connection(*listener.getsockname())
        writer.close()
        assert await accepted == 1


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*PROGRAM, "serve", "--http", "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={"PATH": "/usr/bin:/bin"},
            check=False,
        )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"kustom-mcp: --port: Cannot listen on 127.0.0.1:{port} (Address already in use).\n"


def test_the_server_is_not_ready_when_the_state_directory_cannot_be_written(kustom: Kustom, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with serving(kustom, tmp_path / "file" / "state") as served:
        ready = httpx.get(f"{served.base}/readyz", trust_env=False, timeout=PATIENCE)
        read = httpx.post(served.url, headers=MODERN, json=GET_ORDER, trust_env=False, timeout=PATIENCE)
        served.signal(signal.SIGTERM)
        code = served.ended()
    assert (ready.status_code, ready.json()) == (503, {"ready": False, "because": ["the store cannot be written"]})
    assert read.json()["result"]["structuredContent"]["outcome"] == "ok"
    assert code == 0
    assert "the order book cannot be written" in served.stderr


def test_a_session_is_not_another_ones(http: httpx.Client) -> None:
    opened = http.post("/mcp", headers=HEADERS, json=HANDSHAKE[0])
    session = opened.headers["mcp-session-id"]
    known, unknown = (
        http.post("/mcp", headers={**HEADERS, "mcp-session-id": id}, json=request(2, "tools/list"))
        for id in (session, "0" * len(session))
    )
    assert (opened.status_code, known.status_code, unknown.status_code) == (200, 200, 404)
    assert http.delete("/mcp", headers={"mcp-session-id": session}).status_code == 200


async def test_two_callers_of_one_server_do_not_share_a_conversation(kustom: Kustom, tmp_path: Path) -> None:
    from mcp.client import Client

    with serving(kustom, tmp_path) as served:
        async with Client(served.url, mode="legacy") as one, Client(served.url, mode="legacy") as two:
            preview = await Talk(one).call("refund_order", REFUND)
            done = await Talk(two).call("refund_order", REFUND, confirm=preview["confirm"]["code"])
            again = await Talk(one).call("refund_order", REFUND, confirm=preview["confirm"]["code"])
    assert (done["outcome"], again["outcome"]) == ("applied", "already_applied")
    assert [write[:2] for write in kustom.writes] == [("POST", "refunds")]
