"""A sample of many cases in the usual run; the rest are exams."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pytest


def sampled(cases: Iterable[Any], every: int) -> list[Any]:
    """Each `every`-th case as it is, and the others as exams. A tuple is one case of several arguments."""
    marks = pytest.mark.exam
    parts = [cast("tuple[Any, ...]", case) if isinstance(case, tuple) else (case,) for case in cases]
    return [pytest.param(*part, marks=marks if number % every else ()) for number, part in enumerate(parts)]
