"""The words of an answer to a customer, who can set nothing: what is for the operator of the server is left out.

A customer token is in the hands of the shop's customer. The names of settings would teach how the server is set up, and
an advice to change one is of no use there.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from kustom_mcp.calls.policy import HAND_OVER
from kustom_mcp.schema.result import Code, Json, Mistake, Result

_ASIDE: Final = re.compile(r"\s*\([^()]*\bKUSTOM_[^()]*\)")
"""A setting in brackets, with what is said about it."""
_END: Final = re.compile(r"(?<=[.!?]) (?=[A-Z])")
_OPERATOR: Final = re.compile(r"\bthe operator( of this server)?\b(?!')", re.IGNORECASE)
_SETTING: Final = re.compile(r"\bKUSTOM_[A-Z]|\bkustom-mcp\b|\b[Oo]perator\b")


def for_customer(result: Result) -> Result:
    """The same answer without the operator's settings."""
    error, next_step, order = result.error, result.next_step, result.order
    if next_step is not None:
        next_step = plain(next_step) or HAND_OVER
    if error is not None:
        if error.code is Code.LIMIT_EXCEEDED:
            next_step = HAND_OVER
        fields = [Mistake(one.field, plain(one.message)) for one in error.fields]
        error = replace(error, sentence=plain(error.sentence), fields=fields)
    if order is not None and "cannot" in order:
        cannot: list[dict[str, Json]] = order["cannot"]
        order = {**order, "cannot": [{**row, "why": plain(row["why"])} for row in cannot]}
    return replace(
        result,
        summary=plain(result.summary),
        order=order,
        warnings=[said for text in result.warnings if (said := plain(text))],
        next_step=next_step,
        error=error,
    )


def plain(text: str) -> str:
    """The sentences of a text of ours that a customer can use."""
    kept = [_OPERATOR.sub("the shop", one) for one in _END.split(_ASIDE.sub("", text))]
    return " ".join(one for one in kept if not _SETTING.search(one))
