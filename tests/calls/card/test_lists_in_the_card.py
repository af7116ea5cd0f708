"""Lists of orders, the journal and payouts in the card, and an order opened from them; what holds for every view."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.calls.card.showing import Browser
from tests.calls.faults_of_a_write import in_doubt, line_mended
from tests.calls.quick import quickly
from tests.support.conversation import CARDS, Talk, conversation, demo

SERVER: dict[str, Any] = {"KUSTOM_TOOLS": "all", "KUSTOM_CONFIRM": "card"}
CODES: dict[str, Any] = {**SERVER, "KUSTOM_CONFIRM": "code"}
CLEAN: dict[str, list[str]] = {"requests": [], "errors": []}
TOWEL: dict[str, Any] = {"order_id": demo("captured-sek"), "lines": [{"line": 1, "quantity": 1}]}
FITS = "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"


async def refunded(talk: Talk) -> None:
    """A towel was refunded, for a reason."""
    given = {**TOWEL, "reason": "Torn at the seam"}
    preview = await talk.call("refund_order", given)
    assert (await talk.call("refund_order", {**given, "confirm": preview["confirm"]["code"]}))["outcome"] == "applied"


async def test_an_order_says_who_bought_it_where_it_goes_and_what_happened(browser: Browser) -> None:
    async with conversation(extensions=CARDS, **CODES) as talk:
        await refunded(talk)
        await browser.show(talk, "get_order", {"order_id": TOWEL["order_id"]})
        await browser.until("card.deeds.length > 0")
        text = await browser.text()
        for said in (
            "Order SE-19977",
            "Testa Testsson, Stockholm",
            "Captured in full. 199.00 SEK was refunded.",
            "Reason: Torn at the seam",
            "with a code",
            TOWEL["order_id"],
        ):
            assert said in text
        assert [text.count(said) for said in ("Refunded 199.00 SEK", "1 refunded")] == [1, 1]
        await browser.show(talk, "get_order", {"order_id": demo("part-captured-eur")})
        await browser.until("card.more !== null")
        text = await browser.text()
        for said in (
            "Partly captured: 249.00 EUR of 624.90 EUR, 375.90 EUR left to capture.",
            "days left to capture",
            "Max Beispiel, Musterstraße 12, 10115 Berlin, DE",
            "Track parcel (tracking.example.com)",
            "Invoice (Pay later)",
        ):
            assert said in text
        await browser.click(".link")
        assert (await browser.seen())["opened"] == ["https://tracking.example.com/00340000000000000001"]
        for told in ("javascript:alert(1)", "https://me@evil.example.com/", "data:text/html,x", "//x.example.com"):
            assert await browser.run("(link_) => link(link_)", told) is None
        assert await browser.run(
            "(id) => document.getElementById('whole-id').textContent === id", demo("part-captured-eur")
        )


async def test_masked_the_card_shows_no_more_of_a_person_than_the_server_gives(browser: Browser) -> None:
    async with conversation(extensions=CARDS, KUSTOM_PII="masked", **CODES) as talk:
        await browser.show(talk, "get_order", {"order_id": demo("part-captured-eur")})
        await browser.until("card.more !== null")
        text = await browser.text()
        assert "M*** B***, B***" in text
        assert not any(said in text for said in ("Beispiel", "Berlin", "Musterstraße", "10115"))


async def test_a_list_is_sorted_by_a_click_and_opens_an_order_and_comes_back(browser: Browser) -> None:
    async with conversation(extensions=CARDS, **SERVER) as talk:
        shown = await browser.show(talk, "find_orders", {"min_remaining": 0, "limit": 15})
        rows, known = shown["orders"], shown["coverage"]["known"]
        assert (len(rows), known) == (15, 21)
        text = await browser.text()
        assert text.startswith(f"15 of {known} orders")
        assert f"{known} of the {known} orders I know match" in text
        assert await browser.run("() => document.querySelectorAll('.left i').length") == sum(
            "expires_at" in row and bool({"days_left", "hours_left"} & row.keys()) for row in rows
        )
        by: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for name in ("days_left", "order_amount"):
            for direction in ("ascending", "descending"):
                await browser.click(f"#sort-{name}")
                assert await browser.run(f"() => document.activeElement.id === 'sort-{name}'")
                assert await browser.run("(to) => document.querySelector(`[aria-sort=${to}]`) !== null", direction)
                by[name, direction] = await browser.run("() => sorted(card.answer.orders)")
        amounts = [(row["purchase_currency"], row["order_amount"]) for row in by["order_amount", "ascending"]]
        assert amounts == sorted(amounts)
        left = [row["days_left"] for row in by["days_left", "descending"] if "days_left" in row]
        assert left == sorted(left, reverse=True)
        assert "days_left" in by["days_left", "descending"][0]
        await browser.click("#more")
        await browser.until(f"card.answer.orders.length === {known}")
        assert await browser.run("() => document.getElementById('more')") is None
        at = f"#open-{demo('captured-sek')}"
        await browser.click(at)
        await browser.until("card.more !== null && card.answer.order")
        assert await browser.run("() => document.activeElement.id") == "title"
        assert "Order SE-19977" in await browser.text()
        await browser.click("#back")
        assert await browser.run("(at) => document.activeElement === document.querySelector(at)", at)
        assert await browser.run("() => document.querySelectorAll('.orders tbody tr').length") == known
        asked = [(name, given.get("cursor") is not None) for name, given in browser.asked]
        assert asked == [
            ("kustom_find_orders", True),
            ("kustom_get_order", False),
            ("kustom_list_activity", False),
        ]
        seen = await browser.seen()
        assert {name: seen[name] for name in CLEAN} == CLEAN


async def test_the_journal_and_the_payouts_have_views_of_their_own(browser: Browser) -> None:
    async with conversation(extensions=CARDS, **CODES) as talk:
        await refunded(talk)
        await browser.show(talk, "list_activity", {})
        text = await browser.text()
        for said in ("1 change by this server", "Refund, 199.00 SEK", "Done", "with a code", "Torn at the seam"):
            assert said in text
        await browser.click(f"#open-{TOWEL['order_id']}")
        await browser.until("card.answer.order && card.deeds.length > 0")
        assert "Order SE-19977" in await browser.text()
        answer: Any = await browser.show(talk, "list_payouts", {})
        text = await browser.text()
        assert f"{len(answer['payouts'])} payouts" in text
        sek = next(total for total in answer["totals"] if total["currency_code"] == "SEK")
        assert f"{sek['fees'] / 100:,.2f} SEK" in text
        days = {
            row["payout_date"][:10]
            for row in answer["payouts"]
            if row["currency_code"] == "SEK" and row["settlement_amount"]
        }
        filled = """() => [...document.querySelectorAll('section')]
          .find((one) => one.textContent.startsWith('Paid out by day, SEK'))
          .querySelectorAll('i:not([style="height: 0%;"])').length"""
        assert await browser.run(filled) == len(days)
        assert [
            await browser.run(f"() => document.querySelectorAll('table')[{at}].tBodies[0].rows.length") for at in (0, 1)
        ] == [
            len(answer["totals"]),
            len(answer["payouts"]),
        ]


async def test_a_write_in_doubt_is_on_the_card_and_a_click_finds_out(browser: Browser) -> None:
    async with conversation(extensions=CARDS, host=quickly, **CODES) as talk:
        preview = await talk.call("refund_order", TOWEL)
        in_doubt(talk, "reset")
        unknown = await talk.call("refund_order", {**TOWEL, "confirm": preview["confirm"]["code"]})
        line_mended(talk)
        talk.mark()
        assert unknown["outcome"] == "unknown"
        await browser.show(talk, "get_order", {"order_id": TOWEL["order_id"]})
        await browser.until("card.deeds.length > 0")
        text = await browser.text()
        assert "Refund, 199.00 SEK, sent " in text
        assert "Do not do it a second time" in text
        assert "Refund: not certain" in text
        await browser.click("#resolve")
        await browser.until_there("#problem")
        assert "Refund: it is not on the order. If it is still wanted, ask your assistant" in await browser.text()
        assert talk.sent == []


EVERY: dict[str, tuple[str, dict[str, Any], str]] = {
    "order": ("get_order", {"order_id": demo("part-captured-eur")}, "card.more !== null"),
    "done": ("get_order", {"order_id": demo("captured-sek")}, "card.deeds.length > 0"),
    "preview": (
        "refund_order",
        {"order_id": TOWEL["order_id"], "refunded_amount": 1000},
        "document.querySelector('#yes')?.disabled === false",
    ),
    "address": (
        "update_customer_details",
        {"order_id": demo("authorized-sek"), "shipping_address": {"city": "Lund"}},
        "document.querySelector('#yes')?.disabled === false",
    ),
    "list": ("find_orders", {"min_remaining": 0}, "document.querySelector('#more') !== null"),
    "journal": ("list_activity", {}, "document.querySelector('.journal') !== null"),
    "payouts": ("list_payouts", {}, "document.querySelector('.days') !== null"),
}


WIDTHS = (320, 430, 560, 561, 768, 859, 860, 1024, 1280, 1600)


@pytest.mark.exam
@pytest.mark.parametrize(
    ("locale", "scheme"), [("en-GB", "light"), ("sv-SE", "dark"), ("ar-EG", "dark"), ("he", "light")]
)
async def test_every_view_can_be_read_by_everybody_at_every_width(browser: Browser, locale: str, scheme: str) -> None:
    """axe-core finds nothing, nothing is wider than the host, digits are English, and figures have one notation."""
    foreign = "() => document.body.innerText.match(/[\\u0660-\\u0669\\u06f0-\\u06f9]/g)"
    async with conversation(extensions=CARDS, **SERVER) as talk:
        await browser.show(talk, "refund_order", TOWEL)
        await browser.until_there("#yes")
        await browser.click("#yes")
        await browser.until("card.own.outcome === 'applied'")
        for name, (tool, given, ready) in EVERY.items():
            await browser.show(talk, tool, given, context={"locale": locale}, colorScheme=scheme)
            await browser.until(ready)
            assert await browser.axe() == [], name
            assert await browser.run(foreign) is None, name
            assert await browser.run("() => document.dir") == ("rtl" if locale in ("ar-EG", "he") else "ltr")
            text = await browser.text()
            if locale == "sv-SE":
                assert re.findall(r"\d+\.\d\d [A-Z]{3}", text) == [], name
                assert name == "journal" or re.search(r"\d,\d\d [A-Z]{3}", text), name
            for width in WIDTHS:
                await browser.resize(width)
                assert await browser.run(FITS), (name, width)
        seen = await browser.seen()
        assert {name: seen[name] for name in CLEAN} == CLEAN


@pytest.mark.exam
@pytest.mark.parametrize("zone", ["America/Los_Angeles", "UTC", "Pacific/Kiritimati"])
async def test_times_are_those_of_the_reader_and_days_those_that_were_meant(browser: Browser, zone: str) -> None:
    async with conversation(extensions=CARDS, **SERVER) as talk:
        order_id = talk.order(created_at="2026-11-24T23:30:00Z", expires_at="2026-12-22T23:30:00Z")
        await browser.show(talk, "get_order", {"order_id": order_id}, context={"timeZone": zone, "locale": "en-GB"})
        await browser.until("card.more !== null")
        at = {
            "America/Los_Angeles": ("24 Nov 2026, 15:30", "22 Dec 2026, 15:30"),
            "UTC": ("24 Nov 2026, 23:30", "22 Dec 2026, 23:30"),
            "Pacific/Kiritimati": ("25 Nov 2026, 13:30", "23 Dec 2026, 13:30"),
        }[zone]
        assert await browser.run("() => [...document.querySelectorAll('time')].map((one) => one.textContent)") == list(
            at
        )
        assert await browser.run("() => moment('2026-12-22')") == "22 Dec 2026"


async def test_sentences_of_the_server_have_the_figures_of_the_reader_and_quotes_stay(browser: Browser) -> None:
    said = {
        'Line 1: 2 of 3, total 1,234.50 SEK, "Lamp 1,234.50 SEK of 2026-11-28".': (
            'Line 1: 2 of 3, total 1 234,50 SEK, "Lamp 1,234.50 SEK of 2026-11-28".'
        ),
        "Order 55e7d67e-1234-4123-8123-123456789012: amount 10.00 EUR -> -0.05 EUR.": (
            "Order 55e7d67e-1234-4123-8123-123456789012: amount 10,00 EUR -> −0,05 EUR."
        ),
        "check 01E3-8773": "check 01E3-8773",
        "Refunded on 2026-11-28T23:30:00Z, 24,900 ISK.": "Refunded on 28 nov. 2026 23:30, 24 900 ISK.",
        "kustom_resolve_order finds out.": "“Resolve order” finds out.",
        "The order may have been captured until 2026-12-22 (22 days left).": (
            "The order may have been captured until 22 dec. 2026 (22 days left)."
        ),
    }
    async with conversation(extensions=CARDS, **SERVER) as talk:
        context = {"locale": "sv-SE", "timeZone": "UTC"}
        await browser.show(talk, "get_order", {"order_id": demo("authorized-sek")}, context=context)
        found = await browser.run("(all) => all.map(sentence)", list(said))
        assert [text.replace("\u00a0", " ") for text in found] == list(said.values())
        for locale in ("ar-EG", "he"):  # the parts of a date would change places among English words
            await browser.dress({"locale": locale})
            assert re.fullmatch(
                r"On \u2068[^\u2069]*28[^\u2069]*\u2069\.", await browser.run("() => sentence('On 2026-11-28.')")
            )


async def test_a_list_that_was_refused_is_told_without_words_about_an_order(browser: Browser) -> None:
    async with conversation(extensions=CARDS, **SERVER) as talk:
        await browser.show(talk, "find_orders", {})
        text = await browser.text()
        assert "The assistant’s call was not complete or not right" in text
        assert "the order" not in text


async def test_a_host_that_does_not_say_that_it_shows_cards_is_told_so_in_the_card(browser: Browser) -> None:
    async with conversation(extensions=CARDS, **SERVER) as talk, conversation(**SERVER) as undeclared:
        answer = await undeclared.client.call_tool("kustom_refund_order", TOWEL)
        result = answer.model_dump(by_alias=True, mode="json", exclude_none=True)
        assert result["structuredContent"]["error"]["code"] == "HUMAN_APPROVAL_UNAVAILABLE"
        await browser.show(talk, "refund_order", TOWEL, result=result)
        text = await browser.text()
        assert "has not told the server that it does" in text
        assert "KUSTOM_CONFIRM=code" in text
        assert "cannot show one" not in text
