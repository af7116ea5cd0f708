"""A date in a question is a day of the shop: from its first instant to that of the next, also where clocks change."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kustom_mcp.schema.dates import period_start

ZONES = [
    *("Europe/Stockholm", "Europe/London", "Atlantic/Azores", "UTC", "America/New_York"),
    *("America/Sao_Paulo", "America/Havana", "Asia/Beirut", "Australia/Lord_Howe", "Pacific/Apia"),
]
"""Among them zones whose midnight is left out or comes twice, and one that skipped a whole day."""
CHANGES = ["2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2018-11-04", "2018-02-18", "2011-12-30"]
DAYS = st.one_of(st.sampled_from([date.fromisoformat(day) for day in CHANGES]), st.dates(date(2010, 1, 1)))
AROUND = st.integers(-40 * 3600, 40 * 3600)


@given(zone=st.sampled_from(ZONES), day=DAYS.filter(lambda day: day.year < 2100), seconds=AROUND)
@example(zone="America/Sao_Paulo", day=date(2018, 11, 4), seconds=0)
@example(zone="Pacific/Apia", day=date(2011, 12, 30), seconds=-1)
@settings(max_examples=60, deadline=None)
def test_an_instant_is_of_a_period_where_its_date_in_the_shop_is(zone: str, day: date, seconds: int) -> None:
    shop = ZoneInfo(zone)
    near = datetime.combine(day, datetime.min.time(), shop).timestamp() + seconds
    begins, ends = (period_start(f"{one}", shop) for one in (day, day + timedelta(1)))
    assert begins is not None
    assert ends is not None
    local = datetime.fromtimestamp(near, shop).date()
    assert (begins <= near * 1000 < ends) == (local == day)
