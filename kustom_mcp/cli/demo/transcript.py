"""A conversation as lines of text for a person: speakers, calls and answers.

Plain sentences, because a table would pad its cells and break in a document. rich wraps the text (it knows how wide an
emoji is) and colours it where the output is a terminal and NO_COLOR is not set. Text from the server is never read as
markup.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from kustom_mcp import money

Content = Mapping[str, Any]
"""The structured content of a tool's answer."""

WIDTH = 92
NARROWEST = 48
CODE_SHOWN = 6
INDENT = 11
LABEL = 12
STYLES = {"Person": "bold green", "Assistant": "bold cyan", "Server": "bold magenta", "Proof": "bold"}
OUTCOMES = {
    "ok": "green",
    "applied": "bold green",
    "already_applied": "bold blue",
    "confirmation_required": "bold blue",
}

_UUID = re.compile(r"\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_CODE = re.compile(r"^([a-z-]+-[0-9.]+[A-Za-z]+-[0-9a-f]{8}|[a-z-]+-[0-9a-f]{8})\.([\w-]{20,})$")
_KEY = re.compile(r'"(\w+)": ')


class _Paper(Console):
    def on_broken_pipe(self) -> None:
        """The reader has left, as `head` does: say no more, and let the conversation come to its end."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Transcript:
    """A conversation printed to stdout, at most `WIDTH` columns wide."""

    def __init__(self) -> None:
        reconfigure = getattr(sys.stdout, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a console that lacks a character shows a question mark
        self._empty = False
        self._console = _Paper(highlight=False, emoji=False, markup=False)
        width = self._console.width if self._console.is_terminal else WIDTH
        self._console.width = max(NARROWEST, min(width, WIDTH))

    def heading(self, title: str) -> None:
        """Print a heading."""
        self.gap()
        self._console.print(Rule(Text(title, "bold"), align="left", style="dim"))

    def prose(self, text: str) -> None:
        """A sentence of the guide's own."""
        self._lines(Text(text, "italic"), Text(), 0)
        self.gap()

    def says(self, speaker: str, text: str) -> None:
        """Print a speech; a text of several lines keeps its lines."""
        for number, line in enumerate(text.splitlines()):
            self._lines(Text(line), Text(speaker if number == 0 else "", STYLES[speaker]), INDENT)

    def calls(self, tool: str, arguments: Content) -> None:
        """A tool call: its name, and the arguments with long ids and codes cut."""
        shown = ", ".join(f"{name}={_argument(value)}" for name, value in arguments.items())
        self._lines(Text.assemble((tool, "cyan"), f"({shown})"), Text("Assistant", STYLES["Assistant"]), INDENT)

    def answers(self, content: Content, *, details: Sequence[str] = ()) -> None:
        """Print a server's answer: the outcome, and the part that a person needs."""
        outcome: str = content["outcome"]
        error: Content = content.get("error") or {}
        title = " - ".join(part for part in (outcome, error.get("code")) if part)
        self._lines(Text(title, OUTCOMES.get(outcome, "bold yellow")), Text("Server", STYLES["Server"]), INDENT)
        self.adds(brief(content["summary"]))
        before = ""
        for label, text in [*_rows(content), *(row for detail in details for row in _detail(detail, content))]:
            head = Text(" " * INDENT + ("" if label == before else label), "dim")
            self._lines(Text(text), head, INDENT + LABEL)
            before = label
        self.gap()

    def adds(self, text: str) -> None:
        """A further line of the speaker before."""
        self._lines(Text(text), Text(), INDENT)

    def count(self, number: int, text: str) -> None:
        self._lines(Text(text), Text(f"{number:>4}", "bold"), 6)

    def plain(self, text: str) -> None:
        """Print a line to copy, never wrapped."""
        self._empty = False
        self._console.print(Text(text, "cyan"), soft_wrap=True)

    def asks(self, text: str) -> None:
        """A question to the person who reads along; the answer is typed in its line."""
        self._console.print(Text(text, "dim"), end="", soft_wrap=True)
        self._empty = True  # the answer ends the line

    def gap(self) -> None:
        """An empty line, but never two."""
        if not self._empty:
            self._console.print()
        self._empty = True

    def _lines(self, text: Text, head: Text, indent: int) -> None:
        """`text` wrapped to the width, `head` before its first line and as much space before the others."""
        self._empty = False
        for number, line in enumerate(text.wrap(self._console, self._console.width - indent)):
            line.rstrip()
            margin = head if number == 0 else Text()
            space = " " * max(indent - margin.cell_len, 0)
            self._console.print(Text.assemble(margin, space, line), soft_wrap=True)


def brief(text: str) -> str:
    """Ids by their first group; of a code the head, which is meant to be read, and a few characters of the rest."""
    code = _CODE.match(text)
    return f"{code[1]}.{code[2][:CODE_SHOWN]}…" if code else _UUID.sub(r"\1…", text)


def _argument(value: Any) -> str:
    text = json.dumps(brief(value) if isinstance(value, str) else value, ensure_ascii=False)
    return _KEY.sub(r"\1: ", text)


def amount(content: Content, field: str) -> str:
    """An amount of the order in an answer, for a person."""
    order = content["order"]
    return money.show(order[field], order["purchase_currency"])


def _rows(content: Content) -> list[tuple[str, str]]:
    """The parts that every answer shows, where it has them: label and text."""
    order: Content = content.get("order") or {}
    currency: str = order.get("purchase_currency", "")
    rows = [("changes", _changed(change, currency)) for change in content.get("changes") or ()]
    rows += [("details", brief(text)) for text in content.get("details") or ()]
    rows += [("warning", text) for text in content.get("warnings") or ()]
    if "confirm" in content:
        rows.append(("code", brief(content["confirm"]["code"])))
    if "next_step" in content:
        rows.append(("next step", content["next_step"]))
    return rows


def _changed(change: Content, currency: str) -> str:
    field: str = change["field"]

    def said(value: Any) -> str:
        is_money = field.endswith("_amount") and isinstance(value, int)
        return money.show(value, currency) if is_money else f"{value}"

    return f"{field}: {said(change.get('before'))} -> {said(change.get('after'))}"


def _detail(name: str, content: Content) -> list[tuple[str, str]]:
    """Parts of an order that only some scenes look at."""
    order = content["order"]
    currency: str = order["purchase_currency"]
    if name == "lines":
        lines: list[Content] = content["third_party"]["order_lines"]
        return [("third_party", f"line {line['line']}: {_line(line, currency)}") for line in lines]
    if name == "reference":
        return [("third_party", f'reference 2: "{content["third_party"]["merchant_reference2"]}"')]
    if name == "refunds":
        refunds: list[Content] = content["third_party"]["refunds"]
        return [("refunds", money.show(refund["refunded_amount"], currency)) for refund in refunds]
    return [(name, ", ".join(entry["tool"].removeprefix("kustom_") for entry in order[name]))]


def _line(line: Content, currency: str) -> str:
    return f'{line["quantity"]} x "{line["name"]}", {money.show(line["total_amount"], currency)}'
