"""`kustom-mcp demo --card` as a browser has it: who is answered, and with what."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest

from kustom_mcp.calls.card import page
from kustom_mcp.cli.parser import USAGE_ERROR, run
from kustom_mcp.simulator.demo_orders import demo_orders
from tests.support.unhurried import PATIENCE

CALL = {"name": "kustom_get_order", "arguments": {"order_id": "captured-sek"}}


@contextmanager
def shown() -> Generator[tuple[str, str]]:
    """The demo in a process of its own: its host and port, and the path of its page. Ctrl-C ends it."""
    command = [sys.executable, "-m", "kustom_mcp", "demo", "--card"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().rpartition("http://")[2].strip()
            here, _, path = address.partition("/")
            yield here, f"/{path}"
        finally:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=PATIENCE)
        assert (process.returncode, errors) == (0, "")


def asked(here: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str, str]:
    """Status, policy and text of an answer."""
    connection = HTTPConnection(here, timeout=PATIENCE)
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    return answer.status, answer.headers.get("Content-Security-Policy", ""), answer.read().decode()


@pytest.mark.exam
def test_a_browser_gets_the_cards_of_the_demo_orders_and_nobody_else_gets_anything() -> None:
    with shown() as (here, path):
        status, policy, text = asked(here, "GET", path)
        assert (status, "connect-src 'self'" in policy, "nonce-" in policy) == (200, True, True)
        views = json.loads(text.partition("const VIEWS = ")[2].partition(";\n")[0])
        assert [seed.name for seed in demo_orders() if f'["{seed.name}", "kustom_get_order"' not in text] == []
        status, policy, text = asked(here, "GET", f"{path}card")
        assert (status, policy.startswith("sandbox allow-scripts;")) == (200, True)
        (contents,) = page(None).contents
        assert text.partition("<title>")[2] == contents.model_dump()["text"].partition("<title>")[2]
        origin = f"http://{here}"
        status, _, text = asked(here, "POST", f"{path}call", CALL, Origin=origin)
        assert (status, json.loads(text)["structuredContent"]["order"]["status"]) == (200, "CAPTURED")
        for title, name, given in views:
            status, _, text = asked(here, "POST", f"{path}call", {"name": name, "arguments": given}, Origin=origin)
            assert json.loads(text)["structuredContent"]["outcome"] in ("ok", "confirmation_required"), title
        preview = {"name": "kustom_cancel_order", "arguments": {"order_id": "expiring-soon-sek"}}
        status, _, text = asked(here, "POST", f"{path}call", preview, Origin=origin)
        assert set(json.loads(text)["structuredContent"]["confirm"]) == {"tool", "state"}
        refused = [
            asked(here, "GET", "/"),
            asked(here, "GET", "/card"),
            asked(here, "GET", path, Host="evil.example.com"),
            asked(here, "GET", path, Host=f"localhost:{here.rpartition(':')[2]}"),
            asked(here, "POST", f"{path}call", CALL),
            asked(here, "POST", f"{path}call", CALL, Origin="null"),
            asked(here, "POST", f"{path}call", CALL, Origin="http://evil.example.com"),
            asked(here, "POST", "/call", CALL, Origin=origin),
            asked(here, "POST", f"{path}call", CALL, Origin=origin, Host="evil.example.com"),
        ]
        assert refused == [(404, "", "Not found.")] * len(refused)
        assert asked(here, "POST", f"{path}call", {"name": 1}, Origin=origin)[0] == 400
        assert asked(here, "POST", f"{path}call", "x" * 100_001, Origin=origin)[0] == 413


def test_one_scene_of_the_tour_is_not_for_the_cards(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["demo", "--card", "--scene", "2"])
    assert ended.value.code == USAGE_ERROR
    assert "--scene is for the usual tour, without --card" in capsys.readouterr().err
