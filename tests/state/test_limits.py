"""The limits over a minute and over a day: counted once, shared by processes, kept by restarts, safe when they fail."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import Engine, event

from kustom_mcp.state.database import PATIENCE as DEFAULT
from kustom_mcp.state.database import Store
from kustom_mcp.state.spending_limits import (
    DAY,
    MINUTE,
    LimitReached,
    LimitsBusy,
    LimitsUnavailable,
    RateExceeded,
    Reservation,
    SpendingLimits,
)
from tests.support.unhurried import PATIENCE

ROOT = Path(__file__).parents[2]
NOW = 1_767_355_200.0
MANY = 10_000


def of_file(state: Path, patience: float = DEFAULT) -> SpendingLimits:
    """The counts that a state directory keeps."""
    return SpendingLimits(Store.file(state / "store.sqlite3", patience=patience))


@pytest.fixture(params=["memory", "postgres"])
def limits(request: pytest.FixtureRequest) -> Generator[SpendingLimits]:
    """Counts of one test, in each kind of store."""
    if request.param == "memory":
        limits = SpendingLimits()
        yield limits
        limits.store.close()
        return
    store = Store.postgres(SecretStr(request.getfixturevalue("shared_database")), patience=PATIENCE)
    yield SpendingLimits(store)
    store.close()


@pytest.fixture(params=["file", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The store in which processes count together."""
    return str(tmp_path / "state") if request.param == "file" else request.getfixturevalue("shared_database")


COUNTED = """
import os, signal, sys
from pathlib import Path
from pydantic import SecretStr
from sqlalchemy import Engine, event
from kustom_mcp.state.spending_limits import LimitReached, Reservation, SpendingLimits
from kustom_mcp.state.database import Store
def counts(place, patience=120):
    if place.startswith("postgresql://"):
        return SpendingLimits(Store.postgres(SecretStr(place), patience=patience))
    return SpendingLimits(Store.file(Path(place) / "store.sqlite3", patience=patience))
"""


@contextmanager
def counts(place: str) -> Generator[SpendingLimits]:
    """The counts that processes keep together, in this one."""
    shared = Store.postgres(SecretStr(place), patience=PATIENCE) if place.startswith("postgresql://") else None
    limits = SpendingLimits(shared or Store.file(Path(place) / "store.sqlite3", patience=PATIENCE))
    yield limits
    limits.store.close()


def refund(
    key: str, amount: int, ceiling: int = 1000, *, account: str = "playground/M1", currency: str = "SEK"
) -> Reservation:
    return Reservation(key, account, "refund", currency, amount, ceiling)


def left(limits: SpendingLimits, now: float, ceiling: int = 1000) -> int:
    """The sum that refunds in SEK may still come to."""
    with pytest.raises(LimitReached) as refused:
        limits.look(refund("asked", ceiling + 1, ceiling), now)
    return refused.value.left


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def run(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_a_caller_has_so_many_writes_a_minute_and_another_caller_its_own(limits: SpendingLimits) -> None:
    limits.take("anna", 2, None, NOW)
    limits.take("anna", 2, None, NOW + 10)
    with pytest.raises(RateExceeded) as refused:
        limits.take("anna", 2, None, NOW + 20)
    assert refused.value.wait == 40
    limits.take("bo", 2, None, NOW + 20)
    with pytest.raises(RateExceeded):
        limits.take("anna", 2, None, NOW + MINUTE - 0.001)
    limits.take("anna", 2, None, NOW + MINUTE)


def test_small_amounts_add_up_to_the_ceiling_and_no_further(limits: SpendingLimits) -> None:
    for number in range(10):
        limits.take("me", MANY, refund(f"k{number}", 100), NOW + number)
    with pytest.raises(LimitReached) as refused:
        limits.take("me", MANY, refund("k10", 1), NOW + 10)
    assert (refused.value.left, refused.value.at) == (0, NOW + DAY)


def test_room_returns_when_enough_has_become_a_day_old(limits: SpendingLimits) -> None:
    for hour in range(4):
        limits.take("me", MANY, refund(f"k{hour}", 250), NOW + hour * 3600)
    with pytest.raises(LimitReached) as refused:
        limits.look(refund("new", 600), NOW + 4 * 3600)
    assert (refused.value.left, refused.value.at) == (0, NOW + 2 * 3600 + DAY)
    with pytest.raises(LimitReached):
        limits.take("me", MANY, refund("new", 600), NOW + 2 * 3600 + DAY - 1)
    limits.take("me", MANY, refund("new", 600), NOW + 2 * 3600 + DAY)


def test_an_amount_above_the_ceiling_never_has_room(limits: SpendingLimits) -> None:
    limits.take("me", MANY, refund("a", 100), NOW)
    with pytest.raises(LimitReached) as refused:
        limits.look(refund("b", 1001), NOW)
    assert (refused.value.left, refused.value.at) == (900, None)


def test_looking_reserves_nothing(limits: SpendingLimits) -> None:
    for _ in range(3):
        limits.look(refund("a", 1000), NOW)
    assert left(limits, NOW) == 1000


def test_kinds_currencies_and_accounts_are_counted_apart(limits: SpendingLimits) -> None:
    limits.take("me", MANY, refund("a", 1000), NOW)
    limits.take("me", MANY, refund("b", 1000)._replace(kind="capture"), NOW)
    limits.take("me", MANY, refund("c", 1000, currency="EUR"), NOW)
    limits.take("me", MANY, refund("d", 1000, account="production/M1"), NOW)
    with pytest.raises(LimitReached):
        limits.take("me", MANY, refund("e", 1), NOW)


def test_the_same_intent_is_counted_once_and_the_later_time_holds(limits: SpendingLimits) -> None:
    limits.take("me", MANY, refund("a", 600), NOW)
    limits.take("me", MANY, refund("a", 600), NOW + 3600)
    assert left(limits, NOW + 3600) == 400
    assert left(limits, NOW + DAY + 1) == 400
    assert left(limits, NOW + 3600 + DAY) == 1000


def test_what_did_not_move_is_given_back(limits: SpendingLimits) -> None:
    limits.take("me", MANY, refund("a", 600), NOW)
    limits.give_back("a")
    limits.give_back("a")
    limits.give_back("never taken")
    assert left(limits, NOW) == 1000


def test_a_second_attempt_that_was_refused_does_not_give_back_what_the_first_may_have_moved(
    limits: SpendingLimits,
) -> None:
    limits.take("me", MANY, refund("a", 600), NOW)
    limits.take("me", MANY, refund("a", 600), NOW)
    limits.give_back("a")
    assert left(limits, NOW) == 400


def test_a_write_that_is_refused_for_its_money_is_not_counted_as_a_write(limits: SpendingLimits) -> None:
    with pytest.raises(LimitReached):
        limits.take("me", 1, refund("a", 1001), NOW)
    limits.take("me", 1, refund("a", 1000), NOW)
    with pytest.raises(RateExceeded):
        limits.take("me", 1, refund("b", 0), NOW)


def test_a_clock_that_was_set_back_delays_nothing_beyond_a_day(limits: SpendingLimits) -> None:
    limits.take("me", 1, refund("a", 1000), NOW + 365 * DAY)
    with pytest.raises(RateExceeded) as refused:
        limits.take("me", 1, refund("b", 1000), NOW)
    assert refused.value.wait == MINUTE
    limits.look(refund("a", 1000), NOW)  # the time that was corrected is kept
    with pytest.raises(LimitReached) as no_room:
        limits.look(refund("b", 1000), NOW + 1)
    assert no_room.value.at is not None
    assert no_room.value.at <= NOW + 1 + DAY


@pytest.mark.parametrize("off", [25 * 3600.0, -25 * 3600.0], ids=["25 hours ahead", "25 hours behind"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_clock_that_is_wrong_by_more_than_a_day_frees_nothing(limits: SpendingLimits, off: float, when: str) -> None:
    """Kustom's clock is right: ours is off while money moves, or from then on."""
    first, then = (off, 0.0) if when == "before" else (0.0, off)
    limits.take("me", MANY, refund("a", 1000), NOW + first, ahead=-first)
    with pytest.raises(LimitReached):
        limits.look(refund("b", 1), NOW + 3600 + then, ahead=-then)
    with pytest.raises(LimitReached):
        limits.take("me", MANY, refund("b", 1), NOW + 3600 + then, ahead=-then)
    with pytest.raises(LimitReached):
        limits.take("me", MANY, refund("b", 1), NOW + DAY - 1)
    limits.take("me", MANY, refund("b", 1), NOW + DAY + 26 * 3600)


def test_clocks_that_differ_by_minutes_are_ours(limits: SpendingLimits) -> None:
    limits.take("me", MANY, refund("a", 1000), NOW, ahead=300)
    limits.take("me", MANY, refund("b", 1000), NOW + DAY, ahead=-300)


Step = st.tuples(st.sampled_from(("take", "give_back")), st.integers(0, 5), st.integers(1, 500), st.integers(0, 40_000))


@settings(deadline=None, max_examples=60)
@given(st.lists(Step, max_size=25))
def test_no_24_hours_ever_hold_more_than_the_ceiling(steps: list[tuple[str, int, int, int]]) -> None:
    limits, now = SpendingLimits(), NOW
    held: dict[str, list[float]] = {}
    amounts = {f"k{number}": 50 + 150 * number for number in range(6)}
    for action, number, _, pause in steps:
        key, now = f"k{number}", now + pause
        held = {key: times for key, times in held.items() if times[-1] > now - DAY}
        others = sum(amounts[other] for other in held if other != key)
        if action == "give_back":
            limits.give_back(key)
            # The time of the last attempt stays, as it is not known which attempt came to nothing.
            times = held.pop(key, [])
            if times[1:]:
                held[key] = times[1:]
            continue
        try:
            limits.take("me", MANY, refund(key, amounts[key]), now)
        except LimitReached:
            assert others + amounts[key] > 1000
        else:
            assert others + amounts[key] <= 1000
            held.setdefault(key, []).append(now)
    limits.store.close()


def test_the_file_is_private_and_survives_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "home" / "state"
    limits = of_file(state)
    assert not state.exists()
    limits.take("me", MANY, refund("a", 600), NOW)
    assert limits.store.path is not None
    files = sorted(limits.store.path.parent.iterdir())
    assert [file.name for file in files] == ["store.sqlite3", "store.sqlite3-shm", "store.sqlite3-wal"]
    assert {mode(file) for file in files} == {0o600}
    assert (mode(limits.store.path.parent), mode(state)) == (0o700, 0o700)
    limits.store.close()
    again = of_file(state)
    assert left(again, NOW) == 400
    again.store.close()


def test_old_rows_are_swept(tmp_path: Path) -> None:
    limits = of_file(tmp_path / "state")
    for number in range(20):
        limits.take("me", MANY, refund(f"k{number}", 1), NOW)
    limits.take("me", MANY, None, NOW + DAY)
    limits.store.close()
    assert limits.store.path is not None
    with closing(sqlite3.connect(limits.store.path)) as file:
        rows = [file.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("writes", "moved")]
    assert rows == [1, 0]


RACE = f"""
{COUNTED}
limits, name, ceiling, got = counts(sys.argv[1]), sys.argv[2], int(sys.argv[3]), 0
print("ready", flush=True)
sys.stdin.readline()
for number in range(30):
    try:
        limits.take(name, 1000, Reservation(name + str(number), "a", "refund", "SEK", 1, ceiling), 1000.0)
        got += 1
    except LimitReached:
        pass
limits.store.close()
print(got)
"""


@pytest.mark.parametrize("ceiling", [pytest.param(1, marks=pytest.mark.exam), 31])
def test_two_processes_cannot_both_have_the_last_unit(place: str, ceiling: int) -> None:
    racers = [run(RACE, place, name, str(ceiling)) for name in ("a", "b")]
    outputs: list[str] = []
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in racers:
        outputs.append(racer.communicate(timeout=PATIENCE)[0])
        assert racer.returncode == 0
    assert sum(map(int, outputs)) == ceiling


def test_threads_of_one_process_cannot_both_have_the_last_unit(place: str) -> None:
    with counts(place) as limits, ThreadPoolExecutor(5) as pool:

        def work(name: str) -> int:
            got = 0
            for number in range(10):
                try:
                    limits.take(name, MANY, refund(f"{name}{number}", 1, 25), NOW)
                except LimitReached:
                    continue
                got += 1
            return got

        assert sum(pool.map(work, "abcde")) == 25


def test_a_process_that_is_killed_leaves_its_reservation(place: str) -> None:
    killed = f"""
{COUNTED}
counts(sys.argv[1]).take("me", 9, Reservation("a", "playground/M1", "refund", "SEK", 600, 1000), float(sys.argv[2]))
os.kill(os.getpid(), signal.SIGKILL)
"""
    process = run(killed, place, str(NOW))
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -9
    with counts(place) as limits:
        assert left(limits, NOW) == 400


def test_a_file_that_is_not_ours_is_refused_and_works_again_when_it_is_gone(tmp_path: Path) -> None:
    limits = of_file(tmp_path / "state")
    assert limits.store.path is not None
    limits.store.path.parent.mkdir(parents=True)
    limits.store.path.write_bytes(b"this is no database, and longer than the header of one would be" * 20)
    for _ in range(2):
        with pytest.raises(LimitsUnavailable, match="SQLITE_NOTADB"):
            limits.take("me", MANY, None, NOW)
    with pytest.raises(LimitsUnavailable):
        limits.look(refund("a", 1), NOW)
    with pytest.raises(LimitsUnavailable):
        limits.give_back("a")
    limits.store.path.unlink()
    limits.take("me", MANY, refund("a", 600), NOW)
    assert left(limits, NOW) == 400
    limits.store.close()


def test_a_database_that_is_damaged_while_it_is_in_use_is_refused(tmp_path: Path) -> None:
    limits = of_file(tmp_path / "state")
    limits.take("me", MANY, refund("a", 600), NOW)
    limits.store.close()
    assert limits.store.path is not None
    size = limits.store.path.stat().st_size
    limits.store.path.write_bytes(limits.store.path.read_bytes()[:100] + b"\xff" * (size - 100))
    with pytest.raises(LimitsUnavailable):
        limits.take("me", MANY, refund("b", 1), NOW)
    limits.store.close()


@pytest.mark.parametrize("obstacle", ["", "store.sqlite3"])
def test_a_place_that_cannot_hold_the_file_is_unavailable(tmp_path: Path, obstacle: str) -> None:
    state = tmp_path / "state"
    place = state / obstacle
    place.parent.mkdir(parents=True, exist_ok=True)
    if obstacle.endswith("sqlite3"):
        place.mkdir()
    else:
        place.write_text("a file where a directory should be")
    limits = of_file(state)
    with pytest.raises(LimitsUnavailable) as refused:
        limits.take("me", MANY, refund("a", 1), NOW)
    assert str(tmp_path) not in str(refused.value)


def test_a_disk_without_space_is_unavailable(tmp_path: Path) -> None:
    full = """
import resource, signal, sys
from pathlib import Path
from kustom_mcp.state.database import Store
from kustom_mcp.state.spending_limits import LimitsUnavailable, Reservation, SpendingLimits
limits = SpendingLimits(Store.file(Path(sys.argv[1]) / "store.sqlite3"))
limits.take("me", 9, None, 1000.0)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
try:
    limits.take("me", 9, Reservation("a", "x", "refund", "SEK", 1, 9), 1001.0)
except LimitsUnavailable as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
limits.take("me", 2, Reservation("a", "x", "refund", "SEK", 9, 9), 1001.0)
limits.store.close()
print("and again")
"""
    process = run(full, str(tmp_path / "state"))
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert output.splitlines()[1:] == ["and again"]
    assert output.startswith("SQLITE_")


@contextmanager
def statements() -> Generator[list[str]]:
    """The statements that any database is asked meanwhile."""
    seen = list[str]()

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_a_lock_that_stays_is_busy_and_one_that_goes_is_waited_for(tmp_path: Path) -> None:
    limits = of_file(tmp_path / "state", patience=0.2)
    limits.take("me", MANY, refund("a", 600), NOW)
    assert limits.store.path is not None
    with closing(sqlite3.connect(limits.store.path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LimitsBusy):
            limits.take("me", MANY, refund("b", 1), NOW)
        newcomer = of_file(tmp_path / "state", patience=0.2)
        with pytest.raises(LimitsBusy):
            newcomer.take("me", MANY, refund("b", 1), NOW)
        patient = of_file(tmp_path / "state", patience=PATIENCE)
        release = threading.Timer(0.1, lambda: other.execute("ROLLBACK"))
        release.start()
        patient.take("me", MANY, refund("b", 1), NOW)
        release.join()
    assert left(limits, NOW) == 399
    for one in (limits, newcomer, patient):
        one.store.close()


def test_a_file_that_was_removed_does_not_go_on_counting_alone(tmp_path: Path) -> None:
    first, second = of_file(tmp_path / "state"), of_file(tmp_path / "state")
    first.take("me", MANY, refund("a", 600), NOW)
    assert first.store.path is not None
    for file in list(first.store.path.parent.iterdir()):
        file.unlink()
    second.take("me", MANY, refund("b", 300), NOW)
    assert left(first, NOW) == left(second, NOW) == 700
    first.store.close()
    second.store.close()


def test_a_write_costs_one_transaction_of_few_statements_however_many_there_were(tmp_path: Path) -> None:
    """The benchmarks say how long that takes."""
    limits = of_file(tmp_path / "state")
    costs = list[int]()
    for number in range(100):
        with statements() as seen:
            limits.take("me", MANY, refund(f"k{number}", 1, 10**9), NOW)
        costs.append(len(seen))
        assert number == 0 or [each for each in seen if each.startswith("BEGIN")] == ["BEGIN IMMEDIATE"]
    assert set(costs[1:]) == {9}
    limits.store.close()


def test_a_server_that_starts_does_not_load_the_database_library() -> None:
    program = (
        "import sys, kustom_mcp.server.handlers as server; from kustom_mcp.app.app import App; "
        "from kustom_mcp.settings.settings import Settings; server.build_server(App.of(Settings())); "
        "print([name for name in sys.modules if 'sqlalchemy' in name])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_memory_is_private_and_leaves_nothing_behind(tmp_path: Path) -> None:
    before = set(os.listdir(tmp_path)), set(os.listdir(ROOT))
    one, other = SpendingLimits(), SpendingLimits()
    one.take("me", MANY, refund("a", 600), NOW)
    assert (left(one, NOW), left(other, NOW)) == (400, 1000)
    one.store.close()
    other.store.close()
    assert (set(os.listdir(tmp_path)), set(os.listdir(ROOT))) == before
