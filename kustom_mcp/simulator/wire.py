"""Requests, responses and error bodies as plain values: HTTP without a socket.

Header names are matched without regard to case. The error body is Kustom's: `error_code`, `error_messages`,
`correlation_id`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import unquote_to_bytes

JSON_TYPE: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `target` is the raw path, percent-encoded as it travelled, with any query string."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """Return a header's value, or None."""
        wanted = name.lower()
        return next((value for given, value in self.headers.items() if given.lower() == wanted), None)

    @property
    def path(self) -> str:
        """The raw path without the query string."""
        return self.target.partition("?")[0]

    @property
    def segments(self) -> tuple[str, ...]:
        """The parts of the path. Split before decoding: an encoded slash stays inside its part."""
        return tuple(unquote_to_bytes(part).decode("utf-8", "replace") for part in self.path.split("/")[1:])


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response; its sender adds `Content-Length`."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""

    def json(self) -> Any:
        """Decode the body."""
        return json.loads(self.body)


class ErrorAnswer(Exception):
    """A request that is answered with an error body, raised before anything has changed."""

    def __init__(self, status: int, code: str, messages: Iterable[str]) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.messages = list(messages)


class NotJson(Exception):
    """A body that is no JSON text."""


def json_response(status: int, value: Any) -> Response:
    """Return a response that carries a JSON body."""
    return Response(status, {"Content-Type": JSON_TYPE}, json.dumps(value, ensure_ascii=False).encode())


def error_response(status: int, code: str, messages: Iterable[str], correlation_id: str) -> Response:
    """Return Kustom's error body."""
    return json_response(
        status, {"error_code": code, "error_messages": list(messages), "correlation_id": correlation_id}
    )


def parse_json(body: bytes, *, keep_nulls: bool = False) -> Any:
    """Decode strictly: no NaN, no lone surrogates (they could not be sent back), no nesting without end."""
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode()
        if b"null" in body and not keep_nulls:
            value = _without_nulls(value)
    except (ValueError, RecursionError) as problem:
        raise NotJson from problem
    return value


def _without_nulls(value: Any) -> Any:
    """Remove nulls at any depth: a null counts as a field left out."""
    if isinstance(value, dict):
        given = cast(dict[str, Any], value)
        return {name: _without_nulls(content) for name, content in given.items() if content is not None}
    if isinstance(value, list):
        entries = cast(list[Any], value)
        return [_without_nulls(entry) for entry in entries]
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)
