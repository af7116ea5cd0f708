"""The written record: lines that are not torn, files that are whole or absent, and disks that fail."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from kustom_mcp.state.audit_log import AuditLog, AuditUnavailable
from kustom_mcp.state.database import Store
from kustom_mcp.state.intents import AppliedCalls, Intents
from tests.support.unhurried import PATIENCE

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
STAMP = "2026-01-02T12:00:00.000+00:00"
INTENT: dict[str, Any] = {"digest": "ab12", "expires": 2000, "key": "k"}
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


def test_a_device_that_cannot_sync_is_fine() -> None:
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


@pytest.fixture(params=["disk", "memory", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[dict[str, Any]]:
    """Places where records can be kept."""
    if request.param != "postgres":
        yield {"state": tmp_path / "state" if request.param == "disk" else None}
        return
    store = Store.postgres(SecretStr(request.getfixturevalue("shared_database")))
    yield {"state": None, "shared": store}
    store.close()


def test_an_intent_is_found_until_its_outcome_is_known(place: dict[str, Any]) -> None:
    intents = Intents(**place, now=lambda: 1000)
    assert (intents.all(), intents.find("ab12")) == ([], None)
    intents.close("never-opened")
    intents.open(INTENT, "one")
    intents.open({**INTENT, "digest": "cd34"}, "two")
    assert intents.find("ab12") == {**INTENT, "id": "one"}
    assert intents.find("ef56") is None
    assert intents.all() == [{**INTENT, "id": "one"}, {**INTENT, "digest": "cd34", "id": "two"}]
    intents.close("one")
    assert intents.find("ab12") is None
    assert [one["id"] for one in intents.all()] == ["two"]


def test_an_attempt_that_sent_nothing_takes_only_its_own_record_away(place: dict[str, Any]) -> None:
    intents = Intents(**place, now=lambda: 1000)
    intents.open(INTENT, "one")
    mine = intents.open({**INTENT, "expires": 3000}, "one")
    assert intents.all() == [{**INTENT, "expires": 3000, "id": "one"}]
    intents.withdraw(mine)
    assert (intents.all(), intents.find("ab12")) == ([{**INTENT, "id": "one"}], {**INTENT, "id": "one"})
    intents.open(INTENT, "one")
    intents.close("one")
    assert intents.all() == []


def test_an_intent_of_an_earlier_version_is_found_and_closed(tmp_path: Path) -> None:
    (tmp_path / "intents").mkdir()
    (tmp_path / "intents" / "one.json").write_text(json.dumps(INTENT))
    intents = Intents(tmp_path, now=lambda: 1000)
    assert intents.find("ab12") == {**INTENT, "id": "one"}
    intents.close("one")
    assert intents.all() == []


def test_of_many_open_intents_only_those_of_the_call_are_read(tmp_path: Path) -> None:
    intents = Intents(tmp_path, now=lambda: 1000)
    for number in range(3):
        others = intents.open({**INTENT, "digest": f"cd{number}"}, f"k{number}")
        (tmp_path / "intents" / f"{others}.json").unlink()
        (tmp_path / "intents" / f"{others}.json").mkdir()  # reading it would fail
    intents.open(INTENT, "one")
    assert intents.find("ab12") == {**INTENT, "id": "one"}


def test_the_newest_of_identical_intents_is_found(place: dict[str, Any]) -> None:
    intents = Intents(**place, now=lambda: 1000)
    for name, expires in (("a", 1500), ("b", 1900), ("c", 1600)):
        intents.open({**INTENT, "expires": expires}, name)
    assert intents.find("ab12") == {**INTENT, "expires": 1900, "id": "b"}


def test_an_expired_intent_is_listed_and_not_found(place: dict[str, Any]) -> None:
    intents = Intents(**place, now=lambda: 2000)
    intents.open(INTENT, "one")
    assert intents.find("ab12") is None
    assert intents.all() == [{**INTENT, "id": "one"}]


def test_another_process_finds_the_intent(tmp_path: Path) -> None:
    Intents(tmp_path / "state").open({**INTENT, "expires": 9e9}, "one")
    program = (
        "import sys, pathlib; from kustom_mcp.state.intents import Intents\n"
        "print(Intents(pathlib.Path(sys.argv[1])).find('ab12')['id'])"
    )
    assert run(program, str(tmp_path / "state")).communicate(timeout=PATIENCE)[0] == "one\n"
    (file,) = (tmp_path / "state" / "intents").iterdir()
    assert (mode(file), mode(file.parent), mode(tmp_path / "state")) == (0o600, 0o700, 0o700)


@pytest.mark.parametrize("broken", [b"", b"{", b"[1]", b"\xff", b"[" * 100_000])
def test_a_file_that_cannot_be_understood_is_named_and_harms_nothing(tmp_path: Path, broken: bytes) -> None:
    intents = Intents(tmp_path, now=lambda: 1000)
    intents.open(INTENT, "good")
    (tmp_path / "intents" / "bad.json").write_bytes(broken)
    (tmp_path / "intents" / "notes.txt").write_text("not ours")
    assert intents.all() == [{"unreadable": True, "id": "bad"}, {**INTENT, "id": "good"}]
    assert intents.find("ab12") == {**INTENT, "id": "good"}


@pytest.mark.parametrize("name", ["", "../one", "a/b", "a.json", "é", "a" * 129, "a\n"])
def test_a_name_that_is_no_file_name_is_refused(place: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match="letters, digits and hyphens"):
        Intents(**place).open(INTENT, name)


def test_a_place_that_cannot_hold_intents_is_reported_and_reads_as_empty(tmp_path: Path) -> None:
    blocker = tmp_path / "blocker"
    blocker.write_text("a file where a directory should be")
    intents, remembered = Intents(blocker / "state"), AppliedCalls(blocker / "state")
    with pytest.raises(AuditUnavailable, match=r"EEXIST|ENOTDIR"):
        intents.open(INTENT, "one")
    with pytest.raises(AuditUnavailable, match=r"EEXIST|ENOTDIR"):
        remembered.remember("ab12", {}, 5)
    intents.close("one")
    assert (intents.all(), intents.find("ab12"), remembered.recall("ab12", 0)) == ([], None, None)


def test_a_place_that_cannot_be_read_stops_writes(tmp_path: Path) -> None:
    loop = tmp_path / "intents"
    loop.symlink_to(loop)
    intents = Intents(tmp_path)
    for attempt in (intents.all, lambda: intents.close("one"), lambda: intents.open(INTENT, "one")):
        with pytest.raises(AuditUnavailable, match=r"ELOOP|EEXIST"):
            attempt()
    (tmp_path / "applied" / "ab12.json").mkdir(parents=True)
    with pytest.raises(AuditUnavailable, match="EISDIR"):
        AppliedCalls(tmp_path).recall("ab12", 0)


def test_a_write_that_does_not_fit_leaves_the_old_state(tmp_path: Path) -> None:
    intents = Intents(tmp_path, now=lambda: 1000)
    record = intents.open(INTENT, "one")
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
        with pytest.raises(AuditUnavailable, match="EFBIG"):
            intents.open({**INTENT, "key": "other"}, "one")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert intents.all() == [{**INTENT, "id": "one"}]
    assert os.listdir(tmp_path / "intents") == [f"{record}.json"]


def test_a_process_killed_at_any_moment_leaves_only_whole_files(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from kustom_mcp.state.intents import Intents\n"
        "intents = Intents(pathlib.Path(sys.argv[1]))\n"
        "for n in range(10**9): print(n, flush=True); "
        "intents.open({'digest': str(n), 'expires': 9e9, 'pad': 'x' * 20000}, f'i{n % 7}')"
    )
    for moment in (2, 5, 9, 12, 20):
        child = run(program, str(tmp_path))
        assert child.stdout is not None
        for _ in range(moment):
            child.stdout.readline()
        child.kill()
        child.communicate(timeout=PATIENCE)
        found = Intents(tmp_path).all()
        assert found
        assert all(len(one["pad"]) == 20000 for one in found)


def test_a_half_written_file_is_ignored_and_later_removed(tmp_path: Path) -> None:
    left = tmp_path / "applied" / ".ab12.json.0123.tmp"
    fresh = tmp_path / "applied" / ".cd34.json.4567.tmp"
    left.parent.mkdir()
    left.write_text('{"until": 9e9')
    fresh.write_text('{"until": 9e9')
    os.utime(left, (0, 0))
    remembered = AppliedCalls(tmp_path)
    assert remembered.recall("ab12", 0) is None
    remembered.remember("ef56", {}, 9e9)
    assert (left.exists(), fresh.exists()) == (False, True)


def test_a_call_is_remembered_until_its_time_is_over(place: dict[str, Any]) -> None:
    remembered = AppliedCalls(**place, now=lambda: 1000)
    remembered.remember("ab12", {"at": "noon"}, 1900)
    assert remembered.recall("ab12", 1899.9) == {"at": "noon"}
    assert remembered.recall("ab12", 1900) is None
    assert remembered.recall("cd34", 1000) is None
    remembered.remember("ab12", {"at": "later"}, 2500)
    assert remembered.recall("ab12", 2000) == {"at": "later"}


def test_what_is_over_is_swept(tmp_path: Path) -> None:
    now = 1000.0
    remembered = AppliedCalls(tmp_path, now=lambda: now)
    remembered.remember("old", {}, 1030)
    remembered.remember("new", {}, 2000)
    now = 1050
    remembered.remember("other", {}, 2000)
    assert sorted(os.listdir(tmp_path / "applied")) == ["new.json", "old.json", "other.json"]
    now = 1060
    remembered.remember("other", {}, 2000)
    assert sorted(os.listdir(tmp_path / "applied")) == ["new.json", "other.json"]


def test_two_processes_remember_for_each_other(tmp_path: Path) -> None:
    AppliedCalls(tmp_path).remember("ab12", {"at": "noon"}, 9e9)
    assert AppliedCalls(tmp_path).recall("ab12", 0) == {"at": "noon"}
