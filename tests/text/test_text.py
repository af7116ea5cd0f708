"""Text typed by strangers: what a model may see of it, and what a customer may be sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kustom_mcp.text import clean, clean_json, has_url, named_hosts, nearest, quoted

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
SCOTLAND = "\U0001f3f4" + "".join(chr(0xE0000 + ord(c)) for c in "gbsct") + "\U000e007f"
INVENTED_FLAG = "\U0001f3f4" + "".join(chr(0xE0000 + ord(c)) for c in "refund") + "\U000e007f"

# What the rules look at, so that examples meet them: joiners, selectors, marks, tags, emoji and letters that join.
TRICKY = [
    *"ab1#*\n\t \u200b\u200c\u200d\u202e\u2066\ufe0e\ufe0f\ufeff\u00ad\u0301\u0323\u20e3\u2028\ud800\ue000\uffff",
    *"ميख\u094d\u0dca❤☠™\u2194\U0001f468\U0001f3fd\U0001f3f4\U0001f525\U000e0067\U000e007f\U000e0101…",
    *[SCOTLAND, INVENTED_FLAG, FAMILY, "1\ufe0f\u20e3", "\u0301" * 9, "a" * 20],
]
tricky = st.lists(st.sampled_from(TRICKY) | st.characters(), max_size=40).map("".join)


@pytest.mark.parametrize(
    "text",
    [
        "Tomatoes, 2 kg",
        "Ärtsoppa à la façade — “10 %”",
        "e\u0301 and o\u0308 decomposed",
        "می\u200cخواهم",
        "क्\u200dष and श्\u200cर",
        "ශ්\u200dරී ලංකා",
        "שלום, مرحبا",
        "日本語\u3000カタログ",
        FAMILY,
        "\U0001f469\U0001f3fd\u200d\u2695\ufe0f",
        "\u2764\ufe0f\u200d\U0001f525",
        "\U0001f3f4\u200d\u2620\ufe0f and \U0001f3f3\ufe0f\u200d\U0001f308",
        "1\ufe0f\u20e3 #\ufe0f\u20e3",
        "\u2194\ufe0f \u2139\ufe0e \u2122\ufe0f",
        SCOTLAND,
        "\U0001f1f8\U0001f1ea",
        "\u0600\u06f1",
    ],
)
def test_what_is_visible_survives(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("a\nb\tc\r\u0085d", "a b c  d"),
        ("a\u2028b\u2029c", "a b c"),
        ("a\x00\x1b[31mb\x7f", "a[31mb"),
        ("a\U000e0069\U000e0067b\U000e007f", "ab"),
        (INVENTED_FLAG, "\U0001f3f4"),
        ("zero\u200bwidth\u2060\ufeff\u00ad", "zerowidth"),
        ("\u202eEVIL\u202c \u200e\u200f\u061c\u2066x\u2069", "EVIL x"),
        ("a\ufe0f\ufe01\U000e0101b", "ab"),
        ("\u2764\ufe0f\ufe0f\ufe0e", "\u2764\ufe0f"),
        ("1\ufe0f 2\ufe0fx", "1 2x"),
        ("\ufe0fa", "a"),
        ("a\u200db\u200cc", "abc"),
        ("\u200da\u200d", "a"),
        ("م\u200d x", "م x"),
        ("\U0001f468\u200dx", "\U0001f468x"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("\ue000private\U0010fffd", "private"),
        ("\uffffnon\ufdd0characters\u0378", "noncharacters"),
        ("Hangul\u3164\u115f\uffa0filler", "Hangulfiller"),
        ("z" + "\u0301" * 50 + "a", "z" + "\u0301" * 8 + "a"),
        ("z" + "\u0301\u200d" * 50, "z" + "\u0301" * 8),
    ],
)
def test_what_is_invisible_is_removed(typed: str, shown: str) -> None:
    assert clean(typed) == shown


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("a" * 200, 200, "a" * 200),
        ("a" * 201, 200, "a" * 180 + " … [+21 characters]"),
        ("word " * 20, 50, ("word " * 20)[:30].rstrip() + " … [+71 characters]"),
        ("a" * 100, 20, "a" * 19 + "…"),
        ("ab", 1, "…"),
        ("ab", 0, ""),
        ("a" * 29 + "\U0001f469\u200d\u2695\ufe0f" + "a" * 40, 50, "a" * 29 + " … [+44 characters]"),
        ("a" * 18 + "e\u0301" + "a" * 40, 20, "a" * 18 + "…"),
        ("\u200b" * 9000 + "a", 50, "… [+7801 characters]"),
    ],
)
def test_long_text_is_cut_with_a_marker(text: str, limit: int, shown: str) -> None:
    assert clean(text, limit).strip() == shown


@given(tricky, st.integers(0, 80))
@settings(max_examples=200, deadline=None)
def test_cleaning_twice_changes_nothing_more(text: str, limit: int) -> None:
    once = clean(text, limit)
    assert clean(once, limit) == once
    assert len(once) <= limit


@given(st.text(alphabet=st.characters(codec="latin-1", exclude_categories=["Cc", "Cf"]), max_size=100))
@settings(max_examples=50, deadline=None)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert clean(text) == text


def test_json_keeps_its_shape() -> None:
    value: dict[str, Any] = {
        "na\u200bme": "x\u202ey",
        "name": "a second key that looks like the first",
        "lines": [{"quantity": 2, "price": 1.5, "gift": True, "note": None}],
    }
    assert clean_json(value) == {
        "name": "xy",
        "lines": [{"quantity": 2, "price": 1.5, "gift": True, "note": None}],
    }
    assert clean_json(["a" * 100], 30) == ["a" * 29 + "…"]


def test_json_that_is_nested_without_end_is_cut() -> None:
    value: Any = "x"
    for _ in range(900):
        value = [{"a": value}]
    assert clean_json(value, depth=3) == [{"a": ["[left out: nested too deeply]"]}]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Tomatoes", '"Tomatoes"'),
        ('A 19" rack “new”', "\"A 19' rack 'new'\""),
        (" two\nlines\u2028and  more ", '"two lines and more"'),
        ("n" * 40, '"' + "n" * 40 + '"'),
        ("n" * 41, '"' + "n" * 34 + '… 8516"'),
        ("n\u200b" * 2000, '"' + "n" * 34 + '… 4704"'),
        ("\u200b" * 2000, '"… 6648"'),
        ("", '""'),
    ],
)
def test_a_name_is_quoted_on_one_short_line(name: str, shown: str) -> None:
    assert quoted(name) == shown


@given(tricky)
@settings(max_examples=200, deadline=None)
def test_a_quoted_name_cannot_leave_its_quotes(name: str) -> None:
    inside = quoted(name)[1:-1]
    assert '"' not in inside
    assert len(inside) <= 40
    assert "\n" not in inside


@pytest.mark.parametrize(
    "text",
    [
        "Track it at https://shop.example/track",
        "HXXPS://evil",
        "http:evil",
        "h**p://evil",
        "gopher://evil",
        "see www.evil",
        "evil.example/path",
        "evil.example",
        "Go to evil.com.",
        "EVIL.COM",
        "EVIL.SE",
        "Evil.Com",
        "pay.evil.shop",
        "EVIL.SHOP",
        "pay at bit.ly",
        "t.co/abc",
        "host.internal:8080/x",
        "shop.internal?order=1",
        "evil。com",
        "ｗｗｗ．ｅｖｉｌ．ｃｏｍ",
        "ｈｔｔｐｓ：／／evil",
        "https\u2236\u2215\u2215evil",
        "ev\u200bil.c\u2060om",
        "ev\u00adil.com",
        "evil[.]com",
        "evil (dot) com",
        "evil{Punkt}de",
        "http://192.0.2.1",
        "192.0.2.1",
        "пример.рф",
        "xn--e1afmkfd.xn--p1ai",
        "mailto:a",
        "javascript:alert(1)",
        "someone@mail.example",
        "user@shop.se",
        "data:text/html,x",
        "RMA.se",
    ],
)
def test_a_link_is_seen_in_its_disguises(text: str) -> None:
    assert has_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Returned 2 pcs. Thanks",
        "Returned 2 pcs.Thanks",
        "10.5 kg, 10.5kg, 1.5kg/box, 3.kg",
        "No.5, Ltd.Co, St.No: 4",
        "Art.nr: 123, ord.no 5, Item.No 7",
        "t.ex. en jacka, m.fl., bl.a., e.g. this, i.e. it, z.B. das, d.h. so",
        "24.12.2026 at 10:30, 24/12 and/or later",
        "Refund of 1,000.00 SEK for order 7849",
        "Ref: 12/34, ratio 1:2, v1.2.3, S.A., P.S. hello, a.m.",
        "Delivery:today. Tel:08-123. Wait...what?",
        "2 pcs.One was broken.Sale item. Thanks...me, hello..com",
        "-.-/ ...",
        "v1.2, Storlek 38.5, Strl.M, 3.5mm, 200x300.cm, 6x33.st",
        "Chanel No.5, Dr.Martens, St.Tropez, S.Oliver, M.Sc, Levi's 501.Blue",
        "PO.no 5, RMA.nr 7, Tel.nr 08",
        "SE-20451|RET-1, 2026/11/28, #1001, DE.5001, A.1234",
        "Paket 123.456.789.012",
        "Tack för köpet. Återbetalning sker inom 5 dagar.",
    ],
)
def test_an_ordinary_sentence_is_no_link(text: str) -> None:
    assert not has_url(text)


def test_what_is_named_like_a_host_is_a_link_only_with_more() -> None:
    for text in ("Bring.se", "DPD.co.uk", "AB12.SE", "evil.com"):
        assert has_url(text)
        assert not has_url(text, bare=False)
    for text in ("evil.com/x", "www.evil.com", "https://evil", "evil.com:8080", "evil[.]com/x", "mailto:a"):
        assert has_url(text, bare=False)


def test_the_hosts_that_a_text_names_are_those_of_its_links() -> None:
    assert named_hosts("BRING.SE, see evil[.]com/x and me@a.example.:80 or 10.0.0.1/x, No.5") == [
        *("bring.se", "evil.com", "a.example"),
    ]


def test_text_made_to_be_slow_is_read_in_time() -> None:
    for piece in ("a", "a.", " ", ".", "-", "é"):
        assert not has_url(piece * 200_000)
        assert len(clean(piece * 8_000_000)) <= 200


def test_a_typing_error_finds_its_name() -> None:
    assert nearest("order_Id", ["order_id", "capture_id"]) == "order_id"
    assert nearest("quantiy", ["Quantity"]) == "Quantity"
    assert nearest("zzz", ["order_id"]) is None
    assert nearest("order_id" * 100_000, ["order_id"]) is None
