"""Ids never leave their place in a URL, and a write needs an authority."""

from __future__ import annotations

import uuid
from typing import Any, cast

import httpx2 as httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kustom_mcp.api.endpoint import Approved, Authority, Endpoint, NeedsNone, Write, contained, url_for
from kustom_mcp.api.endpoints import (
    ACKNOWLEDGE_ORDER,
    CAPTURE_ORDER,
    ENDPOINTS,
    GET_CAPTURE,
    GET_ORDER,
    GET_REFUND,
    REFUND_ORDER,
)
from kustom_mcp.api.errors import InvalidIdentifier
from tests.api.documentation import documented
from tests.api.scripted import CAPTURE_ID, KEY, ORDER_ID

BASE = httpx.URL("https://api.example.com")
DEEPER = httpx.URL("http://127.0.0.1:8090/a%20b/")
anything = st.one_of(
    st.text(max_size=80),
    st.tuples(st.just(ORDER_ID), st.text(min_size=1, max_size=20)).map("".join),
    st.from_regex(r"[0-9a-f-]{30,40}"),
    st.sampled_from(["..", ".", "%2e%2e", "a/b", "a?b", "a#b", "a%2fb", "a\\b", "a;b", "\r\n", "\u0661", "ſ"]),
)


@pytest.mark.parametrize("base", [BASE, DEEPER])
@settings(deadline=None, max_examples=100)
@given(first=anything, second=anything)
@example(first=f"{ORDER_ID}/cancel#", second="1")
@example(first=ORDER_ID, second="../../cancel")
@example(first=ORDER_ID + "\n", second="1")
def test_no_text_escapes_its_place_in_the_template(base: httpx.URL, first: str, second: str) -> None:
    for endpoint in ENDPOINTS:
        ids = dict(zip(endpoint.placeholders, (first, second), strict=False))
        try:
            url = url_for(base, endpoint, ids)
        except InvalidIdentifier:
            continue
        expected = endpoint.path.format(**ids)
        assert str(url) == str(base).rstrip("/") + "/ordermanagement/v1" + expected


def test_an_id_that_fits_is_used_as_it_is() -> None:
    url = url_for(BASE, GET_CAPTURE, {"order_id": ORDER_ID, "capture_id": CAPTURE_ID})
    assert str(url) == f"https://api.example.com/ordermanagement/v1/orders/{ORDER_ID}/captures/{CAPTURE_ID}"


def test_an_upper_case_order_id_is_the_callers_to_canonicalise() -> None:
    with pytest.raises(InvalidIdentifier, match="order_id does not have the form of an id"):
        url_for(BASE, GET_ORDER, {"order_id": ORDER_ID.upper()})


@pytest.mark.parametrize(
    "url",
    [
        f"https://api.example.com/ordermanagement/v1/orders/{ORDER_ID}/cancel",
        f"https://api.example.com/ordermanagement/v1/orders/{ORDER_ID}/acknowledge?x=1",
        f"https://api.example.com/ordermanagement/v1/orders/{ORDER_ID}/acknowledge#x",
        f"https://api.example.com/ordermanagement/v1/orders/{ORDER_ID}/acknowledge/",
        f"https://api.example.com/x/ordermanagement/v1/orders/{ORDER_ID}/acknowledge",
        f"https://api.example.com:444/ordermanagement/v1/orders/{ORDER_ID}/acknowledge",
        f"http://api.example.com/ordermanagement/v1/orders/{ORDER_ID}/acknowledge",
        f"https://api.example.org/ordermanagement/v1/orders/{ORDER_ID}/acknowledge",
        f"https://user@api.example.com/ordermanagement/v1/orders/{ORDER_ID}/acknowledge",
        "https://api.example.com/ordermanagement/v1/orders/../acknowledge",
        "https://api.example.com/",
    ],
)
def test_a_finished_url_that_is_not_the_endpoints_is_refused(url: str) -> None:
    with pytest.raises(InvalidIdentifier):
        contained(httpx.URL(url), BASE, ACKNOWLEDGE_ORDER)


def test_a_finished_url_outside_the_base_path_is_refused() -> None:
    for root in ("", "/b%20a", "/a%20c"):
        with pytest.raises(InvalidIdentifier):
            contained(httpx.URL(f"http://127.0.0.1:8090{root}/ordermanagement/v1/orders/{ORDER_ID}"), DEEPER, GET_ORDER)


def test_missing_and_extra_path_parameters_are_mistakes() -> None:
    for ids in ({}, {"order_id": ORDER_ID, "capture_id": CAPTURE_ID}):
        with pytest.raises(TypeError, match="getOrder takes the path parameters order_id"):
            GET_ORDER.path_for(**ids)


def test_a_placeholder_without_a_pattern_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="without a pattern: shop"):
        Endpoint("x", "GET", "/{shop}")


def test_a_write_posts_or_patches() -> None:
    with pytest.raises(TypeError, match="not a write"):
        Write("x", "GET", "/orders")


def test_reads_get_and_writes_name_what_they_make() -> None:
    assert (GET_REFUND.method, GET_REFUND.placeholders) == ("GET", ("order_id", "refund_id"))
    assert (CAPTURE_ORDER.gives, REFUND_ORDER.gives, ACKNOWLEDGE_ORDER.gives) == ("Capture-Id", "Refund-Id", None)


def test_the_endpoints_are_those_of_the_documentation() -> None:
    described = {
        item["id"]: (item["method"], item["path"], item.get("body_schema"))
        for item in documented()["endpoints"]
        if item["id"] != "updateCaptureCustomerDetails"
    }
    ours = {
        item.name: (
            item.method,
            "/ordermanagement/v1" + item.path,
            item.takes if isinstance(item, Write) else None,
        )
        for item in ENDPOINTS
    }
    assert ours == described


def test_an_authority_is_an_approval_or_a_declared_reason() -> None:
    assert Approved(KEY, "form").reason == "approved by form"
    assert NeedsNone(KEY, "changes nothing").reason == "needs no approval: changes nothing"
    assert isinstance(Approved(KEY, "flag"), Authority)


def test_an_authority_without_substance_cannot_be_made() -> None:
    with pytest.raises(TypeError):
        cast("Any", Authority)(KEY)
    with pytest.raises(TypeError, match="UUID"):
        Approved(cast("uuid.UUID", str(KEY)), "code")
    with pytest.raises(TypeError, match="means"):
        Approved(KEY, cast("Any", "telepathy"))
    with pytest.raises(TypeError, match="why"):
        NeedsNone(KEY, " ")
