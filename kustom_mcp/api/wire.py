"""What every read model is made of: the tolerant base, strict amounts, lists that are never null.

Apart from `models`, so that the delivery option, a tree of its own, can be read in its own file.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict

Item = TypeVar("Item")

Amount = Annotated[int, Strict(), Field(ge=-(2**63), le=2**63 - 1)]
"""Minor units, int64, never coerced."""


def _none_as_empty(value: object) -> object:
    return [] if value is None else value


def _none_as_zero(value: object) -> object:
    return 0 if value is None else value


Many = Annotated[list[Item], BeforeValidator(_none_as_empty)]
"""A list that is empty when it is null; the field gives the empty default."""

Total = Annotated[Amount, BeforeValidator(_none_as_zero)]
"""One of the five order amounts: 0 when it is missing or null."""


class Wire(BaseModel):
    """What every read model shares: unknown fields are kept, numbers in text fields become text, aliases both ways."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        coerce_numbers_to_str=True,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        protected_namespaces=(),
        defer_build=True,
    )
