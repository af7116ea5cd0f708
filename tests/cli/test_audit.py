"""`kustom-mcp audit`, and what a server says of open writes when it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kustom_mcp.cli.audit import run
from kustom_mcp.cli.program import shown
from kustom_mcp.simulator.faults import Fault
from tests.support.conversation import Talk, conversation, demo
from tests.support.sample import sampled
from tests.support.unhurried import PATIENCE

ROOT = Path(__file__).parents[2]
NOON = 1_767_355_200.0  # 2026-01-02 12:00 UTC
ORDER = "7849fd84-0000-4000-8000-00000000000a"
OPEN: dict[str, Any] = {
    "digest": "ab",
    "expires": NOON + 24 * 3600,
    "key": "k1",
    "before": "11",
    "after": "22",
    "figures": {"status": "CAPTURED"},
    "head": "refund-199.00SEK-7849fd84",
    "opened_at": "2026-01-02T12:00:00+00:00",
    "tool": "kustom_refund_order",
    "caller": "anna",
    "host": "claude",
    "arguments": {"order_id": ORDER, "refunded_amount": 19900, "description": {"length": 12}},
}
REPEAT = (
    "Repeat the same call with the same arguments, and with its code as confirm if its answer gave one. "
    "The server looks at the order first and does it at most once. This works until 2026-01-03 12:00 UTC."
)


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {name: value for name, value in os.environ.items() if not name.startswith("KUSTOM_")} | environment
    return subprocess.run(
        [sys.executable, "-m", "kustom_mcp", *arguments],
        cwd=ROOT,
        env=given,
        text=True,
        capture_output=True,
        timeout=PATIENCE,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def opened(state: Path, *intents: dict[str, Any]) -> Path:
    """A state directory with intents: what the version before kept, which is taken over."""
    (state / "intents").mkdir(parents=True, mode=0o700)
    for number, intent in enumerate(intents):
        (state / "intents" / f"k{number}.{number:08x}.{number:08x}.json").write_text(json.dumps(intent))
    return state


def audit_file(path: Path, *lines: dict[str, Any] | str) -> Path:
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def line(event: str, key: str, **more: Any) -> dict[str, Any]:
    arguments = {"order_id": ORDER, "refunded_amount": 19900, "currency": "SEK"}
    shared = {"tool": "kustom_refund_order", "caller": "anna", "arguments": arguments}
    return {"time": "2026-01-02T12:00:00.000+00:00", "event": event, **shared, "key": key, **more}


async def lost_refund(talk: Talk, order: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A refund whose answer was lost, and which nothing could settle."""
    call = {"order_id": order, "refunded_amount": 100}
    preview = await talk.call("refund_order", call)
    talk.simulator.faults.add(Fault("GET", "/orders/{order_id}", "delay"))
    talk.simulator.faults.add(Fault("GET", "/orders/{order_id}", "status", status=500, times=100))
    talk.simulator.faults.add(Fault("POST", "/orders/{order_id}/refunds", "lose_response"))
    unknown = await talk.call("refund_order", call, confirm=preview["confirm"]["code"])
    talk.simulator.faults.clear()
    assert unknown["outcome"] == "unknown"
    return call, unknown


def test_nothing_is_open_in_the_sandbox_that_keeps_nothing() -> None:
    done = command("audit", KUSTOM_ENVIRONMENT="sandbox")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "Environment: sandbox\n"
        "The embedded sandbox keeps its records in memory, so nothing is open. KUSTOM_STATE_DIR is not set.\n"
    )


def test_nothing_is_open_where_no_server_has_run(tmp_path: Path) -> None:
    state = tmp_path / "state"
    done = command("audit", KUSTOM_STATE_DIR=str(state))
    told = f"Environment: sandbox\nNo write is without an outcome in {state}.\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, told, "")
    assert not state.exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["audit", "{}/missing"], "There is no such file or directory."),
        (["audit", "{}"], "This is no state directory: it has none of store.sqlite3, audit, intents, applied, limits."),
        (["audit", "{}", "{}"], "unrecognized arguments"),
    ],
)
def test_a_place_that_is_none_is_a_usage_error(tmp_path: Path, arguments: list[str], why: str) -> None:
    done = command(*(argument.format(tmp_path) for argument in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_path_needs_no_settings_and_without_one_wrong_settings_are_named(tmp_path: Path) -> None:
    state = opened(tmp_path, OPEN)
    wrong = {"KUSTOM_API_KEY": "no-key-that-tells", "KUSTOM_MAX_DAYLY": "SEK:1"}
    assert command("audit", str(state), **wrong).returncode == 1
    assert command("audit", **wrong).returncode == 2


def test_an_open_write_is_named_with_how_to_settle_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = opened(tmp_path, OPEN)
    assert run(state, now=NOON + 3600) == 1
    assert capsys.readouterr().out == (
        "1 write has no outcome: it was sent, and nobody knows yet whether it happened.\n"
        "\n"
        "refund-199.00SEK-7849fd84\n"
        "  tool       kustom_refund_order\n"
        f"  order      {ORDER}\n"
        "  sent       2026-01-02 12:00 UTC\n"
        f"  to settle  {REPEAT}\n"
    )


def advice(capsys: pytest.CaptureFixture[str], state: Path, now: float) -> list[str]:
    assert run(state, now=now) == 1
    shown = capsys.readouterr().out.splitlines()
    return [text.removeprefix("  to settle  ") for text in shown if text.startswith("  to settle")]


def test_the_advice_fits_the_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fresh = OPEN | {"opened_at": "2026-01-02T12:59:00+00:00"}
    untraced = OPEN | {"after": "00" * 16, "opened_at": "2026-01-02T11:00:00+00:00"}
    old = OPEN | {"expires": NOON, "opened_at": "2026-01-01T12:00:00+00:00"}
    state = opened(tmp_path, OPEN, fresh, untraced, old)
    (state / "intents" / "k9.json").write_text('{"tool": ')
    close = f" Then close it: {shown('resolve')}."
    assert advice(capsys, state, NOON + 3600) == [
        "This record cannot be read. The audit lines of its time name the order: look at the order, in the Kustom "
        f"portal or with kustom_get_order.{close}",
        "This is too old to be settled by a repeat: look at the order, in the Kustom portal or with "
        f"kustom_get_order.{close}",
        f"The API does not show whether this happened: look at the order in the Kustom portal.{close}",
        REPEAT,
        f"It may still be running: look again in two minutes. {REPEAT.replace('12:00 UTC', '12:59 UTC')}",
    ]


def test_nothing_of_a_person_and_no_control_character_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tampered = OPEN | {"head": "refund\x1b[2J\n-1", "arguments": {"order_id": ["x"]}, "opened_at": 7, "expires": "z"}
    assert run(opened(tmp_path, tampered), now=NOON) == 1
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "anna" not in shown
    assert "refund -1" in shown or "refund[2J -1" in shown


def test_an_audit_file_is_searched_for_intents_without_an_outcome(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = audit_file(
        tmp_path / "audit.jsonl",
        line("preview", "a"),
        line("intent", "a"),
        line("intent", "b"),
        line("outcome", "a", outcome="applied"),
        line("outcome", "b", outcome="unknown"),
        line("intent", "b"),
        line("withdrawn", "b"),  # a repeat that a ceiling stopped: the first sending is as it was
        line("intent", "c"),
        line("withdrawn", "c"),
        "",
    )
    assert run(path, now=NOON + 3600) == 1
    assert capsys.readouterr().out == (
        "1 write has no outcome: it was sent, and nobody knows yet whether it happened.\n"
        "Another process may have settled it since, in its own file: the state directory says what is open now.\n"
        "\n"
        "A write of 199.00 SEK\n"
        "  tool       kustom_refund_order\n"
        f"  order      {ORDER}\n"
        "  sent       2026-01-02 12:00 UTC\n"
        f"  to settle  {REPEAT}\n"
    )
    audit_file(path, line("intent", "a"), line("outcome", "a", outcome="rejected"))
    assert run(path, now=NOON) == 0
    assert capsys.readouterr().out == f"No write is without an outcome in {path}.\n"


def test_lines_that_cannot_be_read_are_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = audit_file(tmp_path / "audit.jsonl", '{"event": "int', "[1]", line("preview", "a"))
    path.write_bytes(path.read_bytes() + b"\xff\xfe\n")
    assert run(path, now=NOON) == 1
    assert capsys.readouterr().out == (
        f"3 lines of this file cannot be read.\nNo write is without an outcome in {path}.\n"
    )


def test_a_directory_that_cannot_be_read_is_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "intents" / "k1.json").mkdir(parents=True)
    assert run(tmp_path, now=NOON) == 1
    assert capsys.readouterr().out == f"{tmp_path} cannot be read, so nobody can say what is open.\n"


async def test_the_identical_call_settles_what_the_command_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with conversation(KUSTOM_STATE_DIR=str(tmp_path)) as talk:
        call, unknown = await lost_refund(talk, demo("captured-sek"))
        head = unknown["confirm"]["code"].rpartition(".")[0]
        assert run(tmp_path) == 1
        shown = capsys.readouterr().out
        assert f"\n\n{head}\n  tool       kustom_refund_order\n  order      {call['order_id']}\n" in shown
        assert (await talk.call("refund_order", call))["outcome"] == "already_applied"
        assert run(tmp_path) == 0
        capsys.readouterr()
        files = list((tmp_path / "audit").iterdir())
        assert [run(file) for file in files] == [0]


def test_a_server_names_open_writes_on_stderr_when_it_starts(tmp_path: Path) -> None:
    state = opened(tmp_path, *[OPEN | {"opened_at": f"2026-01-02T12:00:{number:02}+00:00"} for number in range(22)])
    done = command("serve", KUSTOM_STATE_DIR=str(state))
    named = (
        f"kustom-mcp: no outcome yet: kustom_refund_order refund-199.00SEK-7849fd84 of order {ORDER}, "
        f"sent 2026-01-02 12:00 UTC, see {shown('audit')}"
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [*[named] * 20, "kustom-mcp: and 2 more writes without an outcome"]


@pytest.mark.parametrize("obstacle", sampled(["a file", "a directory"], 2))
def test_a_server_starts_although_its_records_cannot_be_read(tmp_path: Path, obstacle: str) -> None:
    state = tmp_path / "state"
    if obstacle == "a file":
        state.write_text("in the way")
    else:
        (state / "intents" / "k1.json").mkdir(parents=True)
    done = command(KUSTOM_STATE_DIR=str(state))
    assert (done.returncode, done.stdout) == (0, "")
    warning = "kustom-mcp: the records of open writes cannot be read, so no writes will be sent"
    assert done.stderr.splitlines() == ([] if obstacle == "a file" else [warning])
