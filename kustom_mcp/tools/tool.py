"""A tool of the catalogue: one plain function, and the facts that the decorator attaches and checks at import.

Name, title, description, annotations and schemas are derived from the function's signature, its effect and its
docstring, never repeated beside them. The decorator generates no behaviour: reading a tool's file top to bottom tells
everything that it does.
"""

from __future__ import annotations

import inspect
import keyword
import types
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, Concatenate, ParamSpec, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from kustom_mcp.api.endpoint import Read, Write
from kustom_mcp.calls.card import SHOWN_IN_CARD
from kustom_mcp.calls.confirmation import Mode
from kustom_mcp.calls.write import Call
from kustom_mcp.schema.input_schema import input_schema
from kustom_mcp.schema.output_schema import output_schema
from kustom_mcp.schema.parsing import parse
from kustom_mcp.schema.result import Result

P = ParamSpec("P")

PREFIX = "kustom_"

CONFIRM_CODE = {
    "type": "string",
    "description": "Code of this call's preview, after the person agreed. First call without it.",
}
CONFIRM_FLAG = {"type": "boolean", "description": "true executes; false or absent only previews."}


class Effect(Enum):
    """The effect of a tool on an order: (gated, idempotent). `destructive` and `gated` are one fact."""

    READS = (False, True)
    NOTES = (False, True, "sets")
    """An absolute set that moves nothing: references, the acknowledgement."""
    ADDS = (False, False)
    """Adds something, or extends: repeating does it again."""
    SENDS = (False, False, "sends")
    """Makes Kustom send a message to the customer."""
    REPLACES = (True, True)
    """Replaces amounts, lines or the address by the arguments."""
    ENDS_ORDER = (True, True, "ends")
    MOVES_MONEY = (True, False)

    @property
    def gated(self) -> bool:
        """Whether a person has to approve."""
        return self.value[0]

    @property
    def idempotent(self) -> bool:
        """Whether repeating it changes nothing more."""
        return self.value[1]


@dataclass(frozen=True)
class Operation:
    """One tool of the catalogue."""

    name: str
    title: str
    description: str
    endpoint: Read[Any] | Write
    effect: Effect
    toolset: str
    payload: tuple[str, ...]
    label: str
    """The words of the order card for this tool."""
    offered: bool
    """Whether `can` names this tool where it is possible."""
    shown: bool
    """True if the card has a view of its answers."""
    run: Callable[..., Awaitable[Result]]

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self.effect is not Effect.READS

    @property
    def in_card(self) -> bool:
        """True if the card shows its answers: those of what passes the gate, and those that it has a view of."""
        return self.effect.gated or self.shown

    @cached_property
    def arguments(self) -> type[BaseModel]:
        """The argument model, made from the signature: strict, closed. `from_` is the argument `from`."""
        hints = get_type_hints(self.run, include_extras=True)
        fields: dict[str, Any] = {}
        for name, parameter in list(inspect.signature(self.run).parameters.items())[1:]:
            default = ... if parameter.default is inspect.Parameter.empty else None
            fields[name.removesuffix("_")] = (_without_none(hints[name]), default)
        config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)
        return create_model(self.name, __config__=config, **fields)

    @cached_property
    def input(self) -> dict[str, Any]:
        """The portable input schema, without `confirm`."""
        return input_schema(self.arguments)

    def parse(self, given: Mapping[str, Any], *, besides: tuple[str, ...] = ()) -> dict[str, Any]:
        """The checked arguments, only those that were sent. ToolError otherwise. `besides`: known arguments of the
        server."""
        known = (*(("confirm",) if self.effect.gated else ()), *besides)
        model = parse(self.arguments, given, besides=known)
        names = ((name, f"{name}_" if keyword.iskeyword(name) else name) for name in model.model_fields_set)
        return {parameter: getattr(model, name) for name, parameter in names}

    def wire(self) -> dict[str, Any]:
        """The tool as `tools/list` puts it on the wire, with `confirm` as a code; `with_means` changes that."""
        schema = self.input
        if self.effect.gated:
            schema = {**schema, "properties": {**schema["properties"], "confirm": CONFIRM_CODE}}
        tool = {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": schema,
            "outputSchema": output_schema(self.payload, writes=self.writes, gated=self.effect.gated),
            "annotations": {
                "readOnlyHint": not self.writes,
                "destructiveHint": self.effect.gated,
                "idempotentHint": self.effect.idempotent,
                "openWorldHint": True,
            },
        }
        return {**tool, "_meta": SHOWN_IN_CARD} if self.in_card else tool


def with_means(tool: Mapping[str, Any], mode: Mode) -> dict[str, Any]:
    """A tool of `Operation.wire` with its `confirm` as this means has it: a code, a boolean, or nothing at all."""
    schema = tool["inputSchema"]
    if "confirm" not in schema["properties"] or mode not in ("flag", "card"):
        return dict(tool)
    properties = {name: field for name, field in schema["properties"].items() if name != "confirm"}
    if mode == "flag":
        properties["confirm"] = CONFIRM_FLAG
    return {**tool, "inputSchema": {**schema, "properties": properties}}


def operation(
    endpoint: Read[Any] | Write,
    effect: Effect,
    *,
    toolset: str,
    payload: tuple[str, ...] = (),
    label: str = "",
    card: bool = False,
) -> Callable[[Callable[Concatenate[Call, P], Awaitable[Result]]], Operation]:
    """Make a tool of a function. TypeError at import when its facts do not fit together.

    `label`: its words in the card where its title will not do. `can` offers what is gated or has a label. `card`: the
    card has a view of its answers.
    """

    def attach(run: Callable[Concatenate[Call, P], Awaitable[Result]]) -> Operation:
        name = run.__name__
        description = " ".join((run.__doc__ or "").split())
        parameters = inspect.signature(run).parameters
        if not description:
            raise TypeError(f"{name} needs a docstring: it is the tool's description")
        missing = [placeholder for placeholder in endpoint.placeholders if placeholder not in parameters]
        if missing and "orders" not in payload:  # those read many
            raise TypeError(f"{name} lacks the path parameters {missing}")
        if isinstance(endpoint, Write) is (effect is Effect.READS):
            raise TypeError(f"{name}: a write has an effect, a read has none")
        title = name.replace("_", " ").capitalize()
        return Operation(
            PREFIX + name,
            title,
            description,
            endpoint,
            effect,
            toolset,
            payload,
            label or title,
            effect.gated or bool(label),
            card,
            run,
        )

    return attach


def _without_none(annotation: Any) -> Any:
    """`X | None` becomes X: an optional argument is one that is left out, never null."""
    if get_origin(annotation) in (Union, types.UnionType):
        (only,) = [option for option in get_args(annotation) if option is not type(None)]
        return only
    return annotation
