"""Answers that fit their reader: no tool that the caller does not have, and for a customer nothing of the shop's side.

The sentences are written for the people of a shop that has every tool. What does not fit a caller is left out here,
once, by the sentence or the part of one that ends in a semicolon. A customer can set nothing, and the names of settings
would teach how the server is set up.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from kustom_mcp.calls.policy import HAND_OVER
from kustom_mcp.schema.result import ERROR_OUTCOMES, Code, Json, Mistake, Result

SEE_PORTAL = "Tell the person what happened, and that the Kustom portal shows the order."

_PARTS = re.compile(r"(?<=[.?!;]) (?=\S)")
_TOOLS = re.compile(r"\bkustom_[a-z_]+")
_FACT = re.compile(r"An earlier kustom_[a-z_]+")
"""The name of a tool by which something was done, not advice to use it."""
_OF_THE_SHOP = re.compile(r"\boperator\b|\bportal\b|\bmerchant support\b|\bKUSTOM_|\bkustom-mcp\b")
"""What a customer, and who talks to one, can neither do nor ask for."""
_ASIDE = re.compile(r"\s*\([^()]*\bKUSTOM_[^()]*\)")
"""A setting in brackets, with what is said about it."""
_END = re.compile(r"(?<=[.!?]) (?=[A-Z])")
_OPERATOR = re.compile(r"\bthe operator( of this server)?\b(?!')", re.IGNORECASE)
_SETTING = re.compile(r"\bKUSTOM_[A-Z]|\bkustom-mcp\b|\b[Oo]perator\b")


def named(text: str) -> set[str]:
    """The tools that a text advises to use."""
    return set(_TOOLS.findall(_FACT.sub("", text)))


def kept(text: str, fits: Callable[[str], bool]) -> str:
    """Return the parts of a text that fit, as sentences."""
    sentences: list[str] = []
    begun = False
    for part in _PARTS.split(text):
        if not fits(part):
            if begun:
                sentences[-1] = sentences[-1].removesuffix(";") + ("." if part.endswith(".") else "")
                begun = begun and not part.endswith(".")
            continue
        if begun:
            sentences.append(part)
        else:
            sentences.append(part[:1].upper() + part[1:])
        begun = part.endswith(";")
    return " ".join(sentences)


def fit(result: Result, off: Callable[[str], bool], *, customer: bool) -> None:
    """Leave out of an answer what its caller cannot do. `off`: whether the caller does not have a tool."""

    def fits(part: str) -> bool:
        return not any(off(tool) for tool in named(part)) and not (customer and _OF_THE_SHOP.search(part))

    if result.warnings:
        shown = [kept(warning, fits) if named(warning) else warning for warning in result.warnings]
        result.warnings = [warning for warning in shown if warning]
    if customer:
        _leave_out_settings(result)
    if not result.next_step or fits(result.next_step):
        return
    failed = result.outcome in ERROR_OUTCOMES
    told = kept(result.next_step, fits)
    if failed and customer and HAND_OVER not in told:
        told = f"{told} {HAND_OVER}"
    result.next_step = told.strip() or (SEE_PORTAL if failed else None)


def _leave_out_settings(result: Result) -> None:
    """Leave the operator's settings out of what an answer to a customer says."""
    error, order = result.error, result.order
    if error is not None:
        if error.code is Code.LIMIT_EXCEEDED:
            result.next_step = HAND_OVER
        fields = [Mistake(one.field, plain(one.message)) for one in error.fields]
        result.error = replace(error, sentence=plain(error.sentence), fields=fields)
    if order is not None and "cannot" in order:
        cannot: list[dict[str, Json]] = order["cannot"]
        result.order = {**order, "cannot": [{**row, "why": plain(row["why"])} for row in cannot]}
    result.summary = plain(result.summary)
    result.warnings = [said for text in result.warnings if (said := plain(text))]


def plain(text: str) -> str:
    """The sentences of a text of ours that a customer can use."""
    sentences = [_OPERATOR.sub("the shop", one) for one in _END.split(_ASIDE.sub("", text))]
    return " ".join(one for one in sentences if not _SETTING.search(one))
