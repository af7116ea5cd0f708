"""A machine whose clock is a day wrong frees no daily ceiling: Kustom's answers say what time it is there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.sample import sampled
from tests.transport.http.test_people import use
from tests.transport.kustom import Kustom, demo
from tests.transport.serving_stdio import serving

SHIFTED = [sys.executable, str(Path(__file__).with_name("shifted.py"))]
TOWEL = demo("captured-sek")
TOKEN = "t" * 40
DAY = 25 * 3600


async def refund(kustom: Kustom, state: Path, amount: int, ahead: int) -> str:
    """Refund by a server whose clock is so many seconds ahead; what it says."""
    settings: dict[str, Any] = {
        "KUSTOM_CONFIRM": "flag",
        "KUSTOM_MAX_DAILY": "SEK:8000",
        "KUSTOM_HTTP_TOKEN": TOKEN,
        "AHEAD": str(ahead),
    }
    with serving(kustom, state, program=SHIFTED, **settings) as served:
        asked = {"order_id": TOWEL, "refunded_amount": amount, "confirm": True}
        answer = (await use(served.url, TOKEN, "refund_order", asked))["structuredContent"]
    return str(answer.get("error", {}).get("code", answer["outcome"]))


@pytest.mark.parametrize(("first", "then"), sampled([(0, DAY), (0, -DAY), (DAY, 0), (-DAY, 0)], 4))
async def test_a_clock_that_jumps_by_a_day_frees_no_ceiling(
    first: int, then: int, kustom: Kustom, tmp_path: Path
) -> None:
    told = [await refund(kustom, tmp_path, 7000, first), await refund(kustom, tmp_path, 3000, then)]
    assert told == ["applied", "LIMIT_EXCEEDED"]
    assert [refund["refunded_amount"] for refund in kustom.order(TOWEL)["refunds"]] == [7000]
