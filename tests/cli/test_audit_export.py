"""`kustom-mcp audit export`: the journal in a table or as JSON lines, that of version 0.1 too."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from kustom_mcp.app.app import App
from kustom_mcp.cli.audit_export import CSV, run
from kustom_mcp.settings.environment import load
from kustom_mcp.settings.settings import Settings
from tests.calls.quick import ALL
from tests.cli.test_audit import audit_file, command, line
from tests.support.conversation import conversation, demo

ORDER = demo("captured-sek")
FORMULA = '=HYPERLINK("x")'


def of(state: Path) -> Settings:
    return load({"KUSTOM_ENVIRONMENT": "sandbox", "KUSTOM_STATE_DIR": str(state)}).settings


def exported(state: Path, capsys: pytest.CaptureFixture[str], form: str, first: str | None = None) -> list[Any]:
    """The records that are printed."""
    assert run(of(state), first, None, form) == 0
    out = capsys.readouterr().out
    return list(csv.DictReader(io.StringIO(out))) if form == CSV else [json.loads(one) for one in out.splitlines()]


async def test_a_record_says_all_that_the_journal_keeps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given: dict[str, Any] = {"lines": [{"line": 1, "quantity": 1}], "reason": FORMULA, "reference": "RMA-1"}
    async with conversation(**ALL, KUSTOM_STATE_DIR=str(tmp_path / "s")) as talk:
        before = talk.stored(ORDER)["refunded_amount"]
        done = await talk.confirmed("refund_order", order_id=ORDER, **given)
        (sent,) = talk.writes
        amount = sent.body["refunded_amount"]
        talk.app.records.close()
        (told,) = exported(tmp_path / "s", capsys, "jsonl")
        user, stamps = told.pop("asked_by"), [told.pop(name) for name in ("time", "closed", "host")]
        assert all(stamps)
        assert told == {
            "account": talk.app.account.name,
            "operation": "refund",
            "order_id": ORDER,
            "outcome": "applied",
            "amount": amount,
            "currency": "SEK",
            "lines": [{"line": 1, "quantity": 1}],
            "entry_id": done["refund"]["refund_id"],
            "before": {"refunded_amount": before},
            "after": {"refunded_amount": before + amount},
            "reference": "RMA-1",
            "reason": FORMULA,
            "approved_by": user,
            "means": "code",
            "key": sent.key,
            "attempts": 1,
        }
        (row,) = exported(tmp_path / "s", capsys, CSV)
        assert (row["reason"], row["lines"], row["before"]) == (f"'{FORMULA}", "1x1", f"refunded_amount: {before}")
        assert row["amount_shown"] == f"{amount / 100:.2f} SEK"
        assert exported(tmp_path / "s", capsys, CSV, first="2100-01-01") == []
    lines = [json.loads(one) for path in (tmp_path / "s" / "audit").iterdir() for one in path.read_text().splitlines()]
    (copy,) = [one for one in lines if one["event"] == "intent"]
    same = {"operation": "refund", "order_id": ORDER, "reason": FORMULA, "reference": "RMA-1"}
    assert copy.items() >= {**same, "worth": amount, "was": told["before"], "becomes": told["after"]}.items()


async def test_what_version_one_wrote_in_its_audit_is_still_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once, when its records are taken over; an intent that is open is told once, and no approval is judged by them."""
    account = {"account": App.of(of(tmp_path)).account.name}
    (tmp_path / "intents").mkdir(mode=0o700)
    opened = {"digest": "ab", "opened_at": "2026-01-03T12:00:00+00:00", **line("intent", "k3"), **account}
    (tmp_path / "intents" / "k3.0.0.json").write_text(json.dumps(opened))
    (tmp_path / "audit").mkdir(mode=0o700)
    audit_file(
        tmp_path / "audit" / "audit-2026-01-02-1-a.jsonl",
        line("intent", "k1", reason="approved by form", **account),
        line("outcome", "k1", outcome="unknown", **account),
        line("outcome", "k1", outcome="applied", correlation_id="c1", **account),
        line("intent", "k2", reason="needs no approval: it moves nothing", **account),
        "{ torn",
        line("intent", "k3", **account),
        line("intent", "k4"),
        line("preview", "k5", **account),
    )
    told = exported(tmp_path, capsys, "jsonl")
    known = {"operation": "refund", "amount": 19900, "currency": "SEK", "asked_by": "anna"}
    first, second, third = told
    assert first.items() >= {**known, "outcome": "applied", "means": "form", "approved_by": "anna"}.items()
    assert second.items() >= {**known, "outcome": "unknown"}.items()
    assert "approved_by" not in second
    assert (third["key"], third["outcome"], third["amount"]) == ("k3", "unknown", 19900)
    assert exported(tmp_path, capsys, "jsonl") == told


def test_an_export_is_nothing_else_and_wrong_options_are_told(tmp_path: Path) -> None:
    state = {"KUSTOM_STATE_DIR": str(tmp_path / "s")}
    done = command("audit", "export", "--format", "csv", **state)
    assert (done.returncode, done.stderr) == (0, "Environment: sandbox\n0 writes exported.\n")
    assert done.stdout.startswith("time,closed,account,operation,order_id,outcome,amount,amount_shown,currency,")
    wrong = command("audit", "--from", "2026-01-01", **state)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "--from, --to and --format are for audit export" in wrong.stderr


def test_a_store_that_cannot_be_read_is_no_empty_journal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "store.sqlite3").write_bytes(b"damaged" * 1000)
    tmp_path.chmod(0o700)
    assert run(of(tmp_path), None, None, "jsonl") == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "0 were exported, and these are not all" in told.err
