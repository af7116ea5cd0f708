"""The prompts: Markdown files with a front matter, listed, filled in and completed for an MCP client.

The texts live in files because the people who judge them - support leads - read Markdown and not Python. The front
matter is a small, fixed part of YAML, read here in a few lines, so that no YAML library is needed at run time.
Nothing is read before a client asks for prompts: start-up time is felt, and most sessions use none.

Argument values are data: cleaned, cut and quoted as JSON strings before they meet the text, and filled in a single
pass, so that a value can neither close its quotes nor name another placeholder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from mcp import MCPError
from mcp.types import (
    INVALID_PARAMS,
    Completion,
    CompletionArgument,
    GetPromptResult,
    Prompt,
    PromptArgument,
    PromptMessage,
    PromptReference,
    ResourceTemplateReference,
    TextContent,
)

from kustom_mcp.text import clean, nearest

ORDER_TEMPLATE = "kustom://orders/{order_id}"
LIMIT = 500
"""Characters of an argument value."""
LONGER = {"order_ids": 8_000, "error": 3_000, "customer_message": 3_000}
"""Arguments that hold a list of ids, or what somebody pasted."""
MAX_COMPLETIONS = 100  # the protocol's own maximum

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_FIELD = re.compile(r"(  - |    )?([a-z]+):(?: (\S.*))?")
_NOT_GIVEN = "(not given)"
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class PromptFile:
    """One file: the prompt as a client lists it, and the text with `{argument}` placeholders."""

    prompt: Prompt
    body: str

    @property
    def arguments(self) -> list[PromptArgument]:
        """The arguments that the prompt takes."""
        return self.prompt.arguments or []

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with every argument quoted in its place. Braces that name no argument stay as they are."""
        quoted = {a.name: _quoted(a.name, values.get(a.name, "")) for a in self.arguments}
        return _PLACEHOLDER.sub(lambda found: quoted.get(found[1], found[0]), self.body)


class PromptBook:
    """The prompts of one folder, by name. The folder is read at the first use."""

    def __init__(self, folder: Traversable) -> None:
        self._folder = folder

    @cached_property
    def pages(self) -> dict[str, PromptFile]:
        """Every `*.md` of the folder, in the order of their names. ValueError names the file that cannot be read."""
        found = sorted(
            (item for item in self._folder.iterdir() if item.name.endswith(".md")), key=lambda item: item.name
        )
        return {item.name.removesuffix(".md"): parse(item.read_text(encoding="utf-8"), item.name) for item in found}

    def listing(self) -> list[Prompt]:
        """The prompts as `prompts/list` gives them."""
        return [page.prompt for page in self.pages.values()]

    def get(self, name: str, arguments: Mapping[str, str] | None) -> GetPromptResult:
        """The filled prompt. MCPError(INVALID_PARAMS) for an unknown name and an unknown or missing argument."""
        page = self._page(name)
        given = {key: value for key, value in (arguments or {}).items() if value.strip()}
        known = [argument.name for argument in page.arguments]
        for key in arguments or {}:
            if key not in known:
                raise MCPError(INVALID_PARAMS, f"{page.prompt.name} has no such argument. {_suggest(key, known)}")
        missing = [a for a in page.arguments if a.required and a.name not in given]
        if missing:
            needs = " ".join(f'"{a.name}" is missing: {a.description}' for a in missing)
            raise MCPError(INVALID_PARAMS, f"{page.prompt.name} cannot start. {needs}")
        text = TextContent(text=page.fill(given))
        return GetPromptResult(description=page.prompt.description, messages=[PromptMessage(role="user", content=text)])

    def complete(
        self,
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        *,
        order_ids: Sequence[str] = (),
        error_codes: Sequence[str] = (),
    ) -> Completion | None:
        """Values that begin with what was typed so far, in the candidates' order; None where nothing can be offered.

        `order_ids` are the demo orders of the sandbox (elsewhere there is nothing to offer: the API has no list), and
        `error_codes` what explain-error knows. An unknown prompt or argument is MCPError(INVALID_PARAMS).
        """
        if isinstance(ref, PromptReference):
            page = self._page(ref.name)
            known = [a.name for a in page.arguments]
            if argument.name not in known:
                raise MCPError(
                    INVALID_PARAMS, f"{page.prompt.name} has no such argument. {_suggest(argument.name, known)}"
                )
        elif ref.uri != ORDER_TEMPLATE or argument.name != "order_id":
            raise MCPError(
                INVALID_PARAMS, f"There is one resource template, {ORDER_TEMPLATE}, with the argument order_id."
            )
        if argument.name == "error":
            return _matching("", argument.value, error_codes)
        if argument.name == "order_id":
            return _matching("", argument.value, order_ids)
        if argument.name == "order_ids":
            return _next_of_list(argument.value, order_ids)
        return None

    def _page(self, name: str) -> PromptFile:
        if name not in self.pages:
            raise MCPError(INVALID_PARAMS, f"There is no such prompt. {_suggest(name, list(self.pages))}")
        return self.pages[name]


def find_folder(package: Traversable) -> Traversable:
    """The folder of the prompts: inside the installed package, or beside it in a source checkout.

    The inside comes first, because beside an installed package there is only what other packages put there.
    """
    inside = package / "data" / "prompts"
    if not inside.is_dir() and isinstance(package, Path):
        return package.parent / "prompts"
    return inside


def parse(text: str, file: str) -> PromptFile:
    """Read a file: `---`, name, title, description, arguments, `---`, the body. ValueError says what is wrong."""
    opening, _, rest = text.partition("---\n")
    head, closing, body = rest.partition("\n---\n")
    if opening or not closing:
        raise ValueError(f"{file}: a prompt begins with a front matter between two lines of ---.")
    top: dict[str, str] = {}
    arguments: list[dict[str, str]] = []
    for line in head.splitlines():
        _read_line(line, top, arguments, file)
    try:
        prompt = Prompt(
            name=top["name"],
            title=top["title"],
            description=top["description"],
            arguments=[
                PromptArgument(name=a["name"], description=a["description"], required=_TRUTH[a["required"]])
                for a in arguments
            ],
        )
    except KeyError as missing:
        raise ValueError(f"{file}: the front matter lacks {missing}, or `required` is not true or false.") from None
    if prompt.name != file.removesuffix(".md"):
        raise ValueError(f"{file}: the name of the prompt and of its file differ.")
    return PromptFile(prompt, body.strip() + "\n")


def _read_line(line: str, top: dict[str, str], arguments: list[dict[str, str]], file: str) -> None:
    found = _FIELD.fullmatch(line)
    if found is None:
        raise ValueError(f"{file}: a line of the front matter is not `field: value`.")
    indent, key, value = found.groups()
    if indent is None:
        target, known = top, ("name", "title", "description", "arguments")
    else:
        if indent == "  - ":
            arguments.append({})
        if not arguments or "arguments" not in top:
            raise ValueError(f"{file}: an argument stands outside the list of arguments.")
        target, known = arguments[-1], ("name", "description", "required")
    if key not in known or key in target or (value is None) != (key == "arguments"):
        raise ValueError(f"{file}: the field {key} is unknown, repeated or without a value.")
    target[key] = value or ""


def _quoted(name: str, value: str) -> str:
    text = " ".join(clean(value, LONGER.get(name, LIMIT)).split())
    return json.dumps(text, ensure_ascii=False) if text else _NOT_GIVEN


def _suggest(given: str, known: Sequence[str]) -> str:
    near = nearest(given, known)
    return f'Did you mean "{near}"?' if near else f"There are: {', '.join(known)}."


def _matching(before: str, typed: str, candidates: Sequence[str]) -> Completion | None:
    hits = [before + item for item in candidates if item.casefold().startswith(typed.strip().casefold())]
    if not candidates:
        return None
    return Completion(values=hits[:MAX_COMPLETIONS], total=len(hits), has_more=len(hits) > MAX_COMPLETIONS)


def _next_of_list(typed: str, candidates: Sequence[str]) -> Completion | None:
    """Complete the last id of a comma list, leaving out the ids that it holds already."""
    head, comma, last = typed.rpartition(",")
    taken = {item.strip().casefold() for item in head.split(",")}
    left = [item for item in candidates if item.casefold() not in taken]
    return _matching(f"{head}{comma} " if comma else "", last, left)


PROMPTS = PromptBook(find_folder(files("kustom_mcp")))
