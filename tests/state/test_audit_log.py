"""The written record: lines that are not torn, files that are whole or absent, and disks that fail."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kustom_mcp.state.audit_log import AuditLog, AuditUnavailable
from tests.support.unhurried import PATIENCE

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
STAMP = "2026-01-02T12:00:00.000+00:00"
ROOT = Path(__file__).parents[2]


def noon() -> datetime:
    return NOON


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def run(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", program, *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE)


def test_each_record_is_one_line_in_a_private_file_of_the_process(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "state", now=noon)
    assert not (tmp_path / "state").exists()
    audit.record({"event": "preview", "text": 'line\nbreak "quoted" \ud800'})
    audit.record({"event": "intent", "at": Path("/x")})
    assert audit.path is not None
    assert lines(audit.path) == [
        {"time": STAMP, "event": "preview", "text": 'line\nbreak "quoted" \ud800'},
        {"time": STAMP, "event": "intent", "at": "/x"},
    ]
    assert audit.path.parent == tmp_path / "state" / "audit"
    assert audit.path.name.startswith(f"audit-2026-01-02-{os.getpid()}-")
    assert (mode(audit.path), mode(audit.path.parent), mode(tmp_path / "state")) == (0o600, 0o700, 0o700)
    audit.close()
    audit.close()


def test_another_file_can_be_named_and_is_appended_to(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    for number in (1, 2):
        audit = AuditLog(tmp_path / "state", str(log), now=noon)
        audit.record({"n": number})
        audit.close()
    assert lines(log) == [{"time": STAMP, "n": 1}, {"time": STAMP, "n": 2}]
    assert mode(log) == 0o600
    assert not (tmp_path / "state").exists()


def test_a_dash_is_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    AuditLog(None, "-", now=noon).record({"event": "intent"})
    assert capfd.readouterr() == ("", f'{{"time":"{STAMP}","event":"intent"}}\n')


def test_without_a_place_the_record_is_kept_in_memory() -> None:
    audit = AuditLog(None, now=noon)
    audit.record({"event": "preview"})
    assert list(audit.memory) == [{"time": STAMP, "event": "preview"}]
    for number in range(10_001):
        audit.record({"n": number})
    assert len(audit.memory) == 10_000


def test_the_time_is_that_of_the_record() -> None:
    audit = AuditLog(None)
    audit.record({})
    assert abs(datetime.fromisoformat(audit.memory[0]["time"]) - datetime.now(UTC)).total_seconds() < 60


def test_a_place_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    blocker = tmp_path / "blocker"
    blocker.write_text("a file where a directory should be")
    audit = AuditLog(blocker / "state", now=noon)
    with pytest.raises(AuditUnavailable, match=r"EEXIST|ENOTDIR") as caught:
        audit.record({"n": 1})
    assert str(tmp_path) not in str(caught.value)
    blocker.unlink()
    audit.record({"n": 2})
    assert audit.path is not None
    assert lines(audit.path) == [{"time": STAMP, "n": 2}]
    audit.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_reported_for_every_record() -> None:
    audit = AuditLog(None, "/dev/full")
    for _ in range(2):
        with pytest.raises(AuditUnavailable, match="ENOSPC"):
            audit.record({"event": "intent"})


def test_a_device_takes_records() -> None:
    audit = AuditLog(None, os.devnull)
    audit.record({"event": "intent"})
    audit.close()


def test_a_line_that_did_not_fit_does_not_spoil_the_next(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    audit = AuditLog(None, str(log), now=noon)
    audit.record({"n": 1})
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 20, hard))
        with pytest.raises(AuditUnavailable, match="EFBIG"):
            audit.record({"n": 2, "long": "x" * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    audit.record({"n": 3})
    audit.close()
    first, torn, last = log.read_text().splitlines()
    assert (json.loads(first)["n"], len(torn), json.loads(last)["n"]) == (1, 20, 3)


def test_processes_that_share_a_file_do_not_tear_lines(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    program = (
        "import sys; from kustom_mcp.state.audit_log import AuditLog; audit = AuditLog(None, sys.argv[1])\n"
        "for n in range(200): audit.record({'who': sys.argv[2], 'n': n, 'pad': 'x' * 3000})"
    )
    children = [run(program, str(log), who) for who in "abcd"]
    for child in children:
        child.communicate(timeout=PATIENCE)
    found = lines(log)
    assert {who: [line["n"] for line in found if line["who"] == who] for who in "abcd"} == {
        who: list(range(200)) for who in "abcd"
    }
