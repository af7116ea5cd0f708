"""Every way an attempt can end has a class."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2 as httpx
import pytest

from kustom_mcp.api.outcome import EXCEPTIONS, Outcome, of_exception, of_status

ROOTS: tuple[type[Exception], ...] = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, httpx.CookieConflict)


def family(root: type[Exception]) -> Iterator[type[Exception]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__.startswith("httpx2"):
            yield from family(child)


def test_every_exception_of_the_http_library_has_a_class() -> None:
    exported = {item for item in vars(httpx).values() if isinstance(item, type) and issubclass(item, Exception)}
    assert set(EXCEPTIONS) == {item for root in ROOTS for item in family(root)} | exported


def test_only_a_connection_that_was_never_made_counts_as_not_sent() -> None:
    assert {item for item, outcome in EXCEPTIONS.items() if outcome is not Outcome.AMBIGUOUS} == {
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.PoolTimeout,
        httpx.ProxyError,
        httpx.UnsupportedProtocol,
        httpx.InvalidURL,
    }


def test_an_exception_that_nobody_foresaw_proves_nothing() -> None:
    assert of_exception(RuntimeError()) is Outcome.AMBIGUOUS
    assert of_exception(httpx.ConnectTimeout("")) is Outcome.NOT_SENT


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ((200, 201, 202, 204, 206, 299), Outcome.APPLIED),
        ((300, 301, 302, 307, 308), Outcome.REFUSED),
        ((400, 401, 403, 404, 405, 413, 415, 418, 422, 425, 499), Outcome.REFUSED),
        ((408, 409, 500, 501, 502, 503, 504, 599), Outcome.AMBIGUOUS),
        ((429,), Outcome.NOT_SENT),
        ((100, 101, 199, 600, 999), Outcome.AMBIGUOUS),
    ],
)
def test_every_status_has_a_class(statuses: tuple[int, ...], outcome: Outcome) -> None:
    assert {of_status(status) for status in statuses} == {outcome}
