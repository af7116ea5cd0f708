"""Decisions to try again, and their delays."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kustom_mcp.api.outcome import Outcome
from kustom_mcp.api.retry import (
    LONGEST_PAUSE,
    LONGEST_RETRY_AFTER,
    READS,
    CoolDown,
    RetryBudget,
    RetryPolicy,
    next_wait,
    parse_retry_after,
)

WALL = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def wait(
    number: int,
    outcome: Outcome = Outcome.AMBIGUOUS,
    *,
    left: float = 60.0,
    retry_after: float | None = None,
    rand: float = 1.0,
    policy: RetryPolicy = READS,
) -> float | None:
    return next_wait(
        number, outcome, policy=policy, now=10.0, deadline=10.0 + left, retry_after=retry_after, rand=lambda: rand
    )


def test_the_wait_doubles_up_to_a_ceiling() -> None:
    patient = RetryPolicy(attempts=9)
    assert [wait(number, policy=patient) for number in range(1, 9)] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


@pytest.mark.parametrize("outcome", [Outcome.APPLIED, Outcome.REFUSED])
def test_an_answer_is_not_asked_for_again(outcome: Outcome) -> None:
    assert wait(1, outcome) is None


def test_the_last_attempt_is_the_last() -> None:
    assert [wait(number, Outcome.NOT_SENT, rand=0.0) for number in (1, 2, 3)] == [0.0, 0.0, None]


def test_a_wait_that_does_not_fit_before_the_deadline_is_not_begun() -> None:
    assert (wait(1, left=0.25), wait(1, left=0.26)) == (None, 0.25)


def test_retry_after_is_obeyed_when_it_fits() -> None:
    assert wait(1, retry_after=7.0) == 7.25
    assert wait(1, retry_after=60.0) is None
    assert wait(1, retry_after=0.0) == 0.25


@settings(deadline=None, max_examples=100)
@given(
    number=st.integers(1, 5),
    left=st.floats(0, 100),
    retry_after=st.none() | st.floats(0, 100),
    rand=st.floats(0, 1, exclude_max=True),
)
def test_no_wait_ever_passes_the_deadline(number: int, left: float, retry_after: float | None, rand: float) -> None:
    seconds = wait(number, left=left, retry_after=retry_after, rand=rand)
    assert seconds is None or (retry_after or 0.0) <= seconds < left + 1e-9


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 12 ", 12.0),
        ("999999999", LONGEST_RETRY_AFTER),
        ("9" * 5000, None),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:14:20 -0000", 60.0),
        ("Wed, 15 Nov 2023 00:14:20 +0200", 60.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("Tue, 14 Nov 2090 22:00:00 GMT", LONGEST_RETRY_AFTER),
        ("Tue, 14 Nov 0001 00:00:00 +2359", 0.0),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_a_date_or_nonsense(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, WALL) == seconds


@settings(deadline=None, max_examples=100)
@given(st.text())
def test_no_retry_after_breaks_the_reader(text: str) -> None:
    seconds = parse_retry_after(text, WALL)
    assert seconds is None or 0.0 <= seconds <= LONGEST_RETRY_AFTER


def test_the_retry_budget_runs_dry_and_refills_with_time() -> None:
    clock = Clock()
    budget = RetryBudget(clock, capacity=2.0, per_second=0.5)
    assert [budget.take() for _ in range(3)] == [True, True, False]
    clock.now = 1.0
    assert not budget.take()
    clock.now = 2.0
    assert [budget.take(), budget.take()] == [True, False]
    clock.now = 1000.0
    assert [budget.take() for _ in range(3)] == [True, True, False]


def test_the_cool_down_lasts_as_long_as_was_asked_within_reason() -> None:
    clock = Clock()
    cool_down = CoolDown(clock)
    assert cool_down.remaining == 0.0
    cool_down.start(None)
    assert cool_down.remaining == 1.0
    cool_down.start(10.0)
    cool_down.start(2.0)
    assert cool_down.remaining == 10.0
    cool_down.start(1e9)
    assert cool_down.remaining == LONGEST_PAUSE
    clock.now = LONGEST_PAUSE
    assert cool_down.remaining == 0.0
