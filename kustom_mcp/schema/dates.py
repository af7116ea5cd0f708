"""Dates and times as a model sends them: a date is a whole day in a time zone, anything else says its time.

Python reads more forms of a date, such as 20260131 and 2026-W05. They are refused: their sender would not be understood
as meaning a whole day, and would not notice.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?P<time>[Tt ][0-9].*)?", re.DOTALL)
_DAY = 86_400_000  # milliseconds


def _moment(value: str) -> str:
    try:
        if _FORM.fullmatch(value):
            datetime.fromisoformat(value)
            return value
    except ValueError:
        pass
    raise PydanticCustomError(
        "INVALID_ARGUMENT", "it must be a date like 2026-01-31, or a time like 2026-01-31T12:00:00Z"
    )


DateOrTime = Annotated[str, Field(max_length=64), AfterValidator(_moment)]


def period_start(moment: str | None, zone: tzinfo = UTC) -> int | None:
    """Return the time in unix milliseconds; a date begins at midnight of this zone, which a time without one is of."""
    if moment is None:
        return None
    time = datetime.fromisoformat(moment)
    return int((time if time.tzinfo else time.replace(tzinfo=zone)).timestamp() * 1000)


def period_end(moment: str | None) -> int | None:
    """Return the time in unix milliseconds at which a period ends; a date without a time is included."""
    begins = period_start(moment)
    return begins if begins is None or moment is None or len(moment) > 10 else begins + _DAY
