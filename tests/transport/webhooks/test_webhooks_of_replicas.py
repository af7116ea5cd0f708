"""Two servers that share PostgreSQL: what one hears the other knows, they read at one pace, and one is enough."""

from __future__ import annotations

import signal
import time
import uuid
from pathlib import Path

import pytest

from tests.transport.kustom import demo, simulating
from tests.transport.webhooks.hearing import hearing, reads, until

TOWEL, BLANKETS = demo("captured-sek"), demo("authorized-sek")


@pytest.mark.exam
def test_what_one_replica_hears_the_other_knows_and_one_that_listens_is_enough(
    tmp_path: Path, shared_database: str
) -> None:
    shared = {"KUSTOM_STORE": shared_database}
    with simulating() as kustom, hearing(kustom, tmp_path / "one", **shared) as one:
        with hearing(kustom, tmp_path / "other", **shared) as other:
            assert one.event("dispute.created", TOWEL) == other.event("order.created", TOWEL) == 200
            until(lambda: other.complete and one.complete)
            since = one.coverage["complete_since"]
            for ear in (one, other):
                (row,) = ear.find()["orders"]
                assert (row["order_id"], row["ever_disputed"]) == (TOWEL, True)
            began, before = time.monotonic(), len(reads(kustom))
            for _ in range(20):
                assert one.push(str(uuid.uuid4())) == other.push(str(uuid.uuid4())) == 200
            until(lambda: len(reads(kustom)) >= before + 10)
            assert len(reads(kustom)) - before <= 1 + (time.monotonic() - began) / 0.2
            other.served.signal(signal.SIGKILL)
            other.served.ended()
        assert one.event("order.created", BLANKETS) == 200
        until(lambda: one.coverage["known"] == 2 and one.complete)
        assert one.coverage["complete_since"] == since
        strangers = [order_id for order_id in reads(kustom) if order_id not in (TOWEL, BLANKETS)]
        assert len(set(strangers)) == len(strangers)
