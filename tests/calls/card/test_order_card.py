"""The order card as a person has it: in a real browser, in a host built on the extension's own package."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from kustom_mcp.calls.card import ORDER_CARD, served
from kustom_mcp.money import exponent, show
from kustom_mcp.simulator.demo_orders import demo_orders
from tests.calls.card.showing import Browser
from tests.calls.faults_of_a_write import in_doubt, line_mended
from tests.calls.gated_operations import GATED, refunded, somebody
from tests.generate import CARD, with_policy
from tests.support.conversation import CARDS, Talk, conversation, demo, write

SERVER: dict[str, Any] = {"KUSTOM_TOOLS": "all", "KUSTOM_CONFIRM": "card"}
CODES: dict[str, Any] = {**SERVER, "KUSTOM_CONFIRM": "code"}
MOVE: dict[str, Any] = {"order_id": demo("authorized-sek"), "shipping_address": {"city": "Lund"}}
TOWEL: dict[str, Any] = {"order_id": demo("captured-sek"), "lines": [{"line": 1, "quantity": 1}]}
REFUND = write("POST", f"/orders/{demo('captured-sek')}/refunds")[:2]
CLEAN: dict[str, list[str]] = {"requests": [], "errors": []}
NARROW = {"width": 320, "height": 640}
CONTRAST = """() => {
  const channel = (value) => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b)
  const colour = (text) => text.match(/[\\d.]+/g).map(Number)
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const found = colour(getComputedStyle(node).backgroundColor)
      if (found[3] !== 0) return found
    }
    return [255, 255, 255]
  }
  const poor = []
  for (const node of document.querySelectorAll('#card *')) {
    if (![...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim())) continue
    if (node.closest('.unseen, :disabled')) continue
    const [one, other] = [light(colour(getComputedStyle(node).color)), light(ground(node))]
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
    if (ratio < 4.5) poor.push([node.textContent.slice(0, 40), ratio.toFixed(2)])
  }
  return poor
}"""


def faults(seen: Mapping[str, Any]) -> dict[str, Any]:
    return {name: seen[name] for name in CLEAN}


async def previewed(browser: Browser, talk: Talk, **options: Any) -> dict[str, Any]:
    """The card with a refund of one towel, ready to be answered."""
    shown = await browser.show(talk, "refund_order", TOWEL, **options)
    await browser.until_there("#yes")
    return shown


async def test_every_demo_order_is_shown_with_its_amounts_and_its_history(browser: Browser) -> None:
    async with conversation(extensions=CARDS, **SERVER) as talk:
        await browser.show(talk, "get_order", {"order_id": demo("authorized-sek")})
        for seed in demo_orders():
            given = {"order_id": seed.order_id}
            answer = await talk.client.call_tool("kustom_get_order", given)
            await browser.again(given, answer.model_dump(by_alias=True, mode="json", exclude_none=True))
            await browser.until(f"card.more?.order.order_id === '{seed.order_id}'")
            text, order = await browser.text(), talk.stored(seed.order_id)
            lines = len(order["order_lines"])
            entries = len(order["captures"]) + len(order["refunds"])
            buyer = order["billing_address"]
            who = buyer.get("organization_name") or f"{buyer['given_name']} {buyer['family_name']}"
            assert text.startswith("Order "), seed.name
            assert f"{who}, {(order.get('shipping_address') or buyer)['city']}" in text, (seed.name, text)
            assert show(order["order_amount"], order["purchase_currency"]) in text, (seed.name, text)
            assert f"Lines ({lines})" in text
            count = "() => document.querySelectorAll('.time .capture, .time .refund').length"
            assert await browser.run(count) == entries, seed.name
            shown: Any = answer.structured_content
            open_still = bool({"days_left", "hours_left"} & shown["order"].keys())
            assert ("Capture before this time" in text) is open_still, seed.name
            ends = "() => [...document.querySelectorAll('.time .expiry')].map((one) => one.firstChild.textContent)"
            ended = {"EXPIRED": ["Expired"], "CANCELLED": ["Cancelled"]}.get(order["status"], [])
            assert open_still or await browser.run(ends) == ended, seed.name
        assert faults(await browser.seen()) == CLEAN


async def test_a_yes_is_sent_once_and_told_and_the_model_has_seen_no_code(browser: Browser) -> None:
    async with conversation(extensions=CARDS, **SERVER) as talk:
        shown = await previewed(browser, talk)
        assert talk.sent == []
        assert set(shown["confirm"]) == {"tool", "state"}
        text = await browser.text()
        for fact in ("Refund 199.00 SEK", "0.00 SEK", "cannot be taken back", "Yes, refund 199.00 SEK"):
            assert fact in text
        await browser.click("#yes")
        await browser.until("card.deeds.length > 0")
        assert [sent[:2] for sent in talk.sent] == [REFUND]
        heard = await browser.told()
        ((told,),) = [[content["text"] for content in one["content"]] for one in heard]
        assert told.startswith("The person answered in the order card. Refunded 199.00 SEK of order 55e7d67e")
        assert "code" not in str(heard)
        text = await browser.text()
        assert "Done\n\nRefunded 199.00 SEK of order 55e7d67e…\n" in text
        assert "Asked by" in text
        assert "Yes, refund" not in text
        assert faults(await browser.seen()) == CLEAN


async def test_the_answer_reaches_the_assistant_by_what_the_host_has(browser: Browser) -> None:
    async with conversation(extensions=CARDS, **SERVER) as talk:
        both: dict[str, Any] = {"message": {"text": {}}, "updateModelContext": {"text": {}}}
        hosts: list[tuple[dict[str, Any], list[str | None]]] = [
            (both, ["user"]),
            ({"message": {"text": {}}}, ["user"]),
            ({"updateModelContext": {"text": {}}}, [None]),
            ({**both, "deaf": {}}, ["user", None]),
            ({"message": {"text": {}}, "deaf": {}}, ["user"]),
            ({}, ["user"]),  # taken, though not declared
            ({"deaf": {}}, ["user"]),
        ]
        for hears, roles in hosts:
            await previewed(browser, talk, capabilities=hears)
            await browser.click("#no")
            unheard = "deaf" in hears and None not in roles
            await browser.until_there("#unheard" if unheard else "#outcome")
            assert [one.get("role") for one in await browser.told(len(roles))] == roles
            assert ("Your assistant has not been told." in await browser.text()) is unheard
            assert talk.sent == []


async def test_a_policy_that_a_host_has_put_into_the_body_is_moved_to_where_it_is_obeyed(browser: Browser) -> None:
    async with conversation(extensions=CARDS, **SERVER) as talk:
        await browser.show(talk, "get_order", {"order_id": demo("captured-sek")})
        moved = """() => {
          const policy = document.querySelector("meta[http-equiv]");
          document.body.append(policy);
          guard();
          return policy.parentNode === document.head;
        }"""
        assert await browser.run(moved)


async def test_a_no_sends_nothing_and_is_told(browser: Browser) -> None:
    async with conversation(extensions=CARDS, **SERVER) as talk:
        await previewed(browser, talk)
        await browser.click("#no")
        await browser.until_there("#outcome")
        assert "Declined" in await browser.text()
        assert talk.sent == []
        (told,) = await browser.told()
        assert told["structuredContent"]["outcome"] == "declined"


async def test_a_card_answers_by_keyboard_and_has_a_name_for_everything(browser: Browser) -> None:
    async with conversation(extensions=CARDS, **SERVER) as talk:
        await previewed(browser, talk)
        await browser.until("card.more !== null")
        tree = await browser.tree()
        for named in (
            'main "Order SE-19977"',
            'heading "Not done yet: what would happen" [level=2]',
            'row "Refunded 0.00 SEK 199.00 SEK"',
            'img "595.00 SEK captured and kept, 199.00 SEK refunded, 0.00 SEK left to capture, 0.00 SEK released"',
            'group "Your answer"',
            'button "Yes, refund 199.00 SEK"',
            'button "No, leave it"',
            "status: You can answer now.",
        ):
            assert named in tree
        focused = "() => document.activeElement.id"
        order: list[str] = []
        for _ in range(2):
            await browser.press("Tab")
            order.append(await browser.run(focused))
        assert order == ["yes", "no"]
        assert await browser.run("() => getComputedStyle(document.activeElement).outlineStyle") == "solid"
        await browser.press("Shift+Tab")
        await browser.press("Enter")
        await browser.until_there("#outcome")
        assert await browser.run(focused) == "outcome"
        assert [sent[:2] for sent in talk.sent] == [REFUND]


async def test_a_card_that_is_shown_again_after_the_yes_offers_no_second(browser: Browser) -> None:
    async with conversation(extensions=CARDS, **SERVER) as talk:
        first = await talk.client.call_tool("kustom_refund_order", TOWEL)
        result = first.model_dump(by_alias=True, mode="json", exclude_none=True)
        await browser.show(talk, "refund_order", TOWEL, result=result)
        await browser.until_there("#yes")
        await browser.click("#yes")
        await browser.until_there("#outcome")
        await browser.show(talk, "refund_order", TOWEL, result=result)
        await browser.until_there("#outcome")
        assert "has changed since this was previewed" in await browser.text()
        assert await browser.run("() => document.querySelectorAll('#yes, #no').length") == 0
        assert len(talk.sent) == 1


async def test_two_clicks_and_a_key_held_down_are_one_answer_to_what_was_seen(browser: Browser) -> None:
    async with conversation(extensions=CARDS, **SERVER) as talk:
        await previewed(browser, talk)
        somebody(talk, TOWEL["order_id"], refunded(1000))
        await browser.do("doubleClick", selector="#yes")  # the second one finds a preview that nobody has read
        await browser.until_there("#outcome")
        assert "The order has changed since this was approved" in await browser.text()
        assert talk.sent == []
        await browser.do("doubleClick", selector="#yes")
        await browser.until("card.own.outcome === 'applied'")
        assert await browser.run("() => String(getSelection())") == ""
        await browser.show(talk, "refund_order", {**TOWEL, "lines": [{"line": 2, "quantity": 1}]})
        await browser.until_there("#yes")
        await browser.run("() => document.getElementById('yes').focus()")
        await browser.do("hold", key="Enter", times=5)
        await browser.until("card.own.outcome === 'applied'")
        assert [sent[:2] for sent in talk.sent] == [REFUND, REFUND]


async def test_a_change_before_the_yes_is_shown_and_can_be_answered_anew(browser: Browser) -> None:
    async with conversation(extensions=CARDS, **SERVER) as talk:
        await previewed(browser, talk)
        somebody(talk, TOWEL["order_id"], refunded(1000))
        await browser.click("#yes")
        await browser.until_there("#outcome")
        text = await browser.text()
        assert "The order has changed since this was approved" in text
        assert "209.00 SEK" in text
        assert talk.sent == []
        await browser.click("#yes")
        await browser.until("card.own.outcome === 'applied'")
        assert [sent[:2] for sent in talk.sent] == [REFUND]


async def test_where_the_host_passes_no_calls_on_nothing_can_be_answered_and_nothing_is_claimed(
    browser: Browser,
) -> None:
    async with conversation(extensions=CARDS, **SERVER) as talk:
        await previewed(browser, talk)
        browser.deaf = True
        await browser.click("#yes")
        await browser.until_there("#problem")
        text = await browser.text()
        assert "It may have been done" in text
        assert "What you approved" in text
        assert "Not done yet" not in text
        assert await browser.run("() => document.querySelectorAll('#yes, #no').length") == 0
        await browser.click("#again")
        await browser.until("document.getElementById('again') !== null && !card.busy")
        assert "It may have been done" in await browser.text()
        browser.deaf = False
        await browser.click("#again")
        await browser.until_there("#yes")
        assert "Not done yet" in await browser.text()
        await browser.run("() => wait({ expires_at: new Date(Date.now() + 5).toISOString() })")
        await browser.until_there("#problem")
        assert "This preview has expired" in await browser.text()
        assert await browser.run("() => document.querySelectorAll('#yes').length") == 0
        assert talk.sent == []


@pytest.mark.exam
async def test_in_production_the_card_names_no_environment_and_no_value(browser: Browser) -> None:
    async with conversation(extensions=CARDS, **SERVER) as talk:
        given = {"order_id": demo("captured-sek")}
        answer = await talk.client.call_tool("kustom_get_order", given)
        content: Any = answer.structured_content
        for environment, named in (("sandbox", True), ("production", False)):
            result: dict[str, Any] = {"content": [], "structuredContent": {**content, "environment": environment}}
            await browser.show(talk, "get_order", given, result=result)
            await browser.until("card.more !== null")
            text = await browser.text()
            assert ("Sandbox" in text) is named
            assert re.findall(r"\b(false|true|null|undefined|NaN|object Object)\b", text) == []


FOR_MODELS = re.compile(r"confirm|kustom_|repeat|the person|\bclear`|you cannot", re.IGNORECASE)


@pytest.mark.exam
async def test_no_text_that_is_meant_for_a_model_stands_in_the_card(browser: Browser) -> None:
    texts: list[str] = []
    async with conversation(extensions=CARDS, **SERVER) as talk:
        await previewed(browser, talk)
        texts.append(await browser.text())
        somebody(talk, TOWEL["order_id"], refunded(1000))
        await browser.click("#yes")
        await browser.until_there("#outcome")
        texts.append(await browser.text())
        assert "it needs a new answer" in texts[-1]
        assert texts[-1].count("A refund cannot be taken back.") == 1
        await browser.until("card.more?.order.refunded_amount === 1000")  # the card has read the order again
        in_doubt(talk, "reset")
        await browser.click("#yes")
        await browser.until_there("#look")
        texts.append(await browser.text())
        line_mended(talk)
        await browser.click("#look")
        await browser.until("card.own.outcome === 'applied'")
        texts.append(await browser.text())
        await browser.show(talk, "update_customer_details", MOVE)
        await browser.until_there("#no")
        texts.append(await browser.text())
        await browser.click("#no")
        await browser.until_there("#outcome")
        texts.append(await browser.text())
    assert [FOR_MODELS.findall(text) for text in texts] == [[]] * 6


async def test_an_address_is_shown_old_and_new(browser: Browser) -> None:
    async with conversation(extensions=CARDS, **SERVER) as talk:
        await browser.show(talk, "update_customer_details", MOVE, viewport=NARROW)
        await browser.until_there("#yes")
        text = await browser.text()
        for said in (
            'City: "Stockholm" -> "Lund".',
            'Street address: "Exempelgatan 1", stays.',
            'Country: "SE", stays.',
        ):
            assert said in text
        assert text.count("Lund") == 1


async def test_in_other_modes_the_card_only_shows(browser: Browser) -> None:
    async with conversation(extensions=CARDS, **CODES) as talk:
        shown = await browser.show(talk, "refund_order", TOWEL, named=False)
        text = await browser.text()
        assert "Your assistant asks you" in text
        assert shown["confirm"]["code"] not in text
        assert await browser.run("() => document.querySelectorAll('#yes, #no').length") == 0
        await browser.until("card.more !== null")
        assert "code" not in str(browser.asked)
        assert talk.sent == []


HOSTILE = (
    "<script>window.pwned = 1</script>",
    '<img src=x onerror="window.pwned = 1">',
    '"><svg onload=window.pwned=1>',
    "<iframe srcdoc='<script>parent.pwned=1</script>'></iframe>",
    "<a href=javascript:window.pwned=1 autofocus onfocus=window.pwned=1>x</a>",
    "</bdi></main><h1>Approved</h1>",
    "<style>*{display:none}</style>",
    "<meta http-equiv=refresh content='0;url=https://evil.example.com'>",
    "<base href=https://evil.example.com/>",
    "<button id=yes onclick=window.pwned=1>Yes</button>",
    "<math><mtext><table><mglyph><style><img src onerror=window.pwned=1>",
    "javascript:window.pwned=1",
    "data:text/html,<script>window.pwned=1</script>",
    "${window.pwned=1}{{constructor.constructor('window.pwned=1')()}}",
    "';window.pwned=1;//\\u0027\\",
    "&lt;script&gt;window.pwned=1&lt;/script&gt;",
    "<!--><script>window.pwned=1</script-->",
    "__proto__",
)


def everywhere(text: str) -> dict[str, Any]:
    """An answer with this text wherever the card takes a text from, even where the server never lets one through."""
    line = {"line": text, "name": text, "reference": text, "quantity": text, "total_amount": 100}
    shipment = {"shipping_company": text, "tracking_number": text, "tracking_uri": text}
    entry = {"captured_at": text, "refunded_at": text, "description": text, "shipping_info": [shipment]}
    amounts = {"order_amount": 100, "captured_amount": 50, "refunded_amount": 10, "remaining_authorized_amount": 50}
    person = dict.fromkeys(("given_name", "street_address", "postal_code", "city", "country"), text)
    facts = ("order_id", "status", "fraud_status", "purchase_currency", "created_at", "expires_at", "portal_url")
    return {
        "outcome": "not_sent",
        "environment": text,
        "summary": text,
        "next_step": text,
        "error": {"code": text, "message": text, "retry": text},
        "order": {
            **dict.fromkeys(facts, text),
            **amounts,
            "can": [{"tool": text, "max_amount": 1}],
            "cannot": [{"tool": text, "why": text}],
        },
        "third_party": {
            **dict.fromkeys(("merchant_reference1", "merchant_reference2", "klarna_reference"), text),
            "billing_address": person,
            "shipping_address": person,
            "initial_payment_method": {"type": text, "description": text},
            "selected_shipping_option": {"name": text, "carrier": text, "location": {"name": text}},
            "order_lines": [line],
            "captures": [entry],
            "refunds": [entry],
            "shipping_info": [shipment],
            "upstream_messages": [text],
        },
    }


SORTS = [f"sort-{name}" for name in ("number", "status", "order_amount", "remaining_authorized_amount", "days_left")]


def rows(text: str) -> dict[str, Any]:
    """A list with this text wherever the card takes a text of a row from."""
    names = ("order_id", "status", "fraud_status", "purchase_currency", "currency", "currency_code", "shop", "match")
    more = ("time", "operation", "outcome", "asked_by", "approved_by", "means", "payment_reference", "payout_date")
    typed = dict.fromkeys(("merchant_reference1", "reference", "reason"), text)
    row = {**dict.fromkeys((*names, *more), text), "amount": 1, "days_left": text, "third_party": typed, "sales": text}
    return {"orders": [row], "totals": [row], "coverage": {"known": 1, "complete_since": text}, "summary": text}


def asked(text: str) -> dict[str, Any]:
    """A preview with this text wherever a preview has one."""
    return {
        **everywhere(text),
        "outcome": "confirmation_required",
        "changes": [{"field": text, "before": text, "after": {"deep": text}}],
        "details": [text],
        "warnings": [text],
        "confirm": {"code": text, "action": text, "effect": text, "afterwards": text},
    }


@pytest.mark.exam
async def test_an_answer_of_an_unknown_form_is_said_to_be_one(browser: Browser) -> None:
    async with conversation(extensions=CARDS, **SERVER) as talk:
        await browser.show(talk, "get_order", {"order_id": demo("authorized-sek")})
        odd = {"outcome": "confirmation_required", "changes": "none", "order": {"can": 1}}
        await browser.again({}, {"content": [], "structuredContent": odd})
        assert "a form that the card does not know" in await browser.text()
        assert faults(await browser.seen()) == CLEAN


@pytest.mark.exam
async def test_text_of_an_order_stays_text(browser: Browser) -> None:
    inside = """() => {
      const all = [...document.querySelectorAll('#card *')]
      return {
        elements: all.map((one) => one.localName), attributes: all.flatMap((one) => one.getAttributeNames()),
        pwned: window.pwned ?? null, heading: document.querySelectorAll('h1').length,
        buttons: all.filter((one) => one.localName === 'button').map((one) => one.id),
        text: document.getElementById('card').textContent,
      }
    }"""
    foreign = {"a", "base", "iframe", "img", "link", "math", "meta", "object", "script", "style", "svg"}
    async with conversation(extensions=CARDS, **SERVER) as talk:
        await browser.show(talk, "get_order", {"order_id": demo("authorized-sek")})
        for text in HOSTILE:
            for content, buttons, times in (
                (everywhere(text), ["copy"], 15),
                (asked(text), ["yes", "no"], 4),
                ({"outcome": "ok", **rows(text)}, SORTS, 3),
                ({"outcome": "ok", "activity": rows(text)["orders"]}, [], 4),
                ({"outcome": "ok", "payouts": rows(text)["orders"], "totals": rows(text)["orders"]}, [], 3),
            ):
                await browser.again({}, {"content": [], "structuredContent": content})
                found = await browser.run(inside)
                assert set(found["elements"]) & foreign == set(), text
                assert not [name for name in found["attributes"] if name.startswith("on") or name in ("href", "src")]
                clicked = [name for name in found["buttons"] if not name.startswith("open-")]
                assert (found["pwned"], found["heading"], clicked) == (None, 1, buttons)
                assert found["text"].count(text) >= times, text
        assert faults(await browser.seen()) == CLEAN


@pytest.mark.exam
async def test_a_thousand_lines_are_shown_and_narrow_widths_and_long_or_right_to_left_names_fit(
    browser: Browser,
) -> None:
    lines = [
        {"reference": f"R-{n}", "name": name, "quantity": 1, "unit_price": 1000, "total_amount": 1000}
        for n, name in enumerate(["Lamp", "W" * 200, "قميص قطني أزرق", "שרשרת כסף (x)"] * 250, start=1)
    ]
    fits = "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    async with conversation(extensions=CARDS, **SERVER) as talk:
        order_id = talk.order(order_lines=lines, purchase_currency="SEK")
        await browser.show(talk, "get_order", {"order_id": order_id}, viewport=NARROW)
        await browser.until("card.more !== null")
        text = await browser.text()
        assert "Lines (1000)" in text
        assert "Show all 1000" in text
        assert await browser.run(fits)
        count = "document.querySelectorAll('.lines tbody tr').length"
        assert await browser.run(f"() => {count}") == 5
        await browser.click("#all")
        await browser.until("document.getElementById('said').textContent === 'All lines are shown.'")
        assert await browser.run(f"() => {count}") == 1000
        assert await browser.run("() => document.activeElement.id") == "all"
        assert await browser.run(fits)
        own_row = """() => [...document.querySelectorAll('.lines tbody tr')].filter(({ cells: [number, item] }) =>
          number.getBoundingClientRect().top !== item.getBoundingClientRect().top).length"""
        assert await browser.run(own_row) == 0
        assert await browser.run("() => formats.size") == 2  # made for every amount and time they took most of the time
        direction = "(at) => getComputedStyle(document.querySelectorAll('.item > bdi')[at]).direction"
        assert [await browser.run(direction, at) for at in (0, 2, 3)] == ["ltr", "rtl", "rtl"]
        await browser.click("#all")
        assert await browser.run(f"() => {count}") == 5
        assert await browser.run("() => document.activeElement.id") == "all"
        height = await browser.run("() => Math.ceil(document.documentElement.getBoundingClientRect().height)")
        framed = "(height) => document.querySelector('iframe').clientHeight === height"
        assert await browser.host(framed, height)
        await browser.show(talk, "refund_order", TOWEL, viewport=NARROW)
        await browser.until_there("#yes")
        assert await browser.run(fits)


async def test_lines_that_cannot_be_read_are_counted_and_read_on_later(browser: Browser) -> None:
    async with conversation(extensions=CARDS, **SERVER) as talk:
        line = {"name": "Lamp", "quantity": 1, "unit_price": 1000, "total_amount": 1000}
        order_id = talk.order(order_lines=[{**line, "reference": f"R-{n}"} for n in range(120)])
        await browser.show(talk, "get_order", {"order_id": order_id})
        await browser.until("card.more !== null")
        browser.deaf = True
        await browser.click("#all")
        await browser.until("card.answer && document.getElementById('card').innerText.includes('70 more lines')")
        assert "70 more lines are not shown here." in await browser.text()
        browser.deaf = False
        for _ in ("fewer", "all"):
            await browser.click("#all")
        await browser.until("document.querySelectorAll('.lines tbody tr').length === 120")
        assert "not shown here" not in await browser.text()


async def test_a_host_that_tells_of_a_new_size_has_nothing_drawn_anew(browser: Browser) -> None:
    unfolded = "() => document.querySelector('details').open"
    async with conversation(extensions=CARDS, **SERVER) as talk:
        await browser.show(talk, "get_order", {"order_id": demo("part-captured-eur")}, context={"locale": "en-GB"})
        await browser.until("card.more !== null")
        assert not await browser.run(unfolded)
        await browser.click("summary")
        await browser.run("() => { document.querySelector('.lines').marked = true }")
        await browser.dress({"containerDimensions": {"width": 500, "maxHeight": 6000}})
        assert await browser.run("() => document.querySelector('.lines').marked")
        await browser.dress({"locale": "sv-SE"})
        assert "249,00 EUR" in await browser.text()
        assert await browser.run(unfolded)


async def test_of_a_state_that_it_does_not_know_the_card_claims_nothing(browser: Browser) -> None:
    order = {"order_id": "7f3a9c21", "status": "ON_HOLD", "purchase_currency": "SEK", "order_amount": 10000}
    async with conversation(extensions=CARDS, **SERVER) as talk:
        result: dict[str, Any] = {"content": [], "structuredContent": {"outcome": "ok", "order": order}}
        await browser.show(talk, "get_order", {"order_id": "7f3a9c21"}, result=result)
        text = await browser.text()
        assert "On hold" in text
        assert "Released" not in text
        assert not re.search(r"undefined|null|NaN", text)


async def test_lines_say_what_captures_and_refunds_have_of_them(browser: Browser) -> None:
    def line(name: str, quantity: int, total: int, kind: str = "physical") -> dict[str, Any]:
        made = {"reference": name, "name": name, "type": kind, "quantity": quantity, "tax_rate": 0}
        return made | {"unit_price": total // quantity, "total_amount": total, "total_tax_amount": 0}

    lines = [line("Cup", 3, 3000), line("Coat", 1, 50000), line("Campaign", 1, -600, "discount")]
    taken = [line("Cup", 2, 2000), line("Campaign", 1, -600, "discount")]
    back = [line("Cup", 1, 1000), line("Campaign", 1, -300, "discount")]
    async with conversation(extensions=CARDS, **SERVER) as talk:
        parcel = {"shipping_company": "PostNord SE", "tracking_number": "1"}
        captures, refunds = {"order_lines": taken, "shipping_info": [parcel]}, {"order_lines": back}
        order_id = talk.order(order_lines=lines, captures=[captures], refunds=[refunds], purchase_currency="SEK")
        await browser.show(talk, "get_order", {"order_id": order_id})
        await browser.until("card.more !== null")
        notes = """() => [...document.querySelectorAll('td.item')].map(
          (item) => [...item.querySelectorAll('.note')].map((one) => one.textContent))"""
        assert [[note.replace("\xa0", " ") for note in of_line] for of_line in await browser.run(notes)] == [
            ["2 captured", "2 shipped", "1 refunded", "7.00 SEK left to refund"],
            ["not captured"],
            ["-3.00 SEK went back with goods"],
        ]
        assert faults(await browser.seen()) == CLEAN


@pytest.mark.exam
async def test_light_and_dark_follow_the_system_and_the_host_and_can_be_read(browser: Browser) -> None:
    ground = "() => getComputedStyle(document.body).backgroundColor"
    async with conversation(extensions=CARDS, **SERVER) as talk:
        await previewed(browser, talk, colorScheme="dark")
        assert await browser.run(ground) == "rgb(27, 28, 31)"
        assert await browser.run(CONTRAST) == []
        await browser.dress({"theme": "light"})
        assert await browser.run(ground) == "rgb(255, 255, 255)"
        assert await browser.run(CONTRAST) == []
        await browser.dress({"theme": "dark"})
        assert await browser.run(ground) == "rgb(27, 28, 31)"
        for theme in ("light", "dark"):
            await browser.dress({"theme": theme})
            for outcome in ("applied", "declined", "unknown"):
                order = {"order_id": demo("captured-sek"), "status": "CAPTURED", "fraud_status": "PENDING"}
                content = {"outcome": outcome, "environment": "playground", "summary": "Said.", "order": order}
                await browser.again({}, {"content": [], "structuredContent": {**content, "next_step": "Then."}})
                assert await browser.run(CONTRAST) == [], (theme, outcome)
        colours = {"styles": {"variables": {"--color-background-primary": "rgb(1, 2, 3)"}}}
        await browser.dress(colours)
        assert await browser.run(ground) == "rgb(1, 2, 3)"


async def test_amounts_have_the_digits_of_their_currency_in_the_language_of_the_reader(browser: Browser) -> None:
    currencies = ["SEK", "EUR", "JPY", "ISK", "KRW", "HUF", "BHD", "KWD", "CLF", "UYW", "CLP", "TWD", "XXX"]
    amounts = [(19900, "SEK"), (4980, "JPY"), (-2500, "EUR"), (5, "EUR"), (0, "ISK"), (1234567, "KWD"), (5, "no")]
    async with conversation(extensions=CARDS, **SERVER) as talk:
        given = {"order_id": demo("authorized-sek")}
        await browser.show(talk, "get_order", given, context={"locale": "sv-SE", "timeZone": "Asia/Tokyo"})
        assert await browser.run("(all) => all.map(digits)", currencies) == [exponent(code) for code in currencies]
        assert await browser.run("() => money(123456789, 'SEK')") == "1\u00a0234\u00a0567,89\u00a0SEK"
        assert "2026" in await browser.run("() => moment('2026-11-23T23:30:00Z')")
        await browser.dress({"locale": "not a locale", "timeZone": "Nowhere"})
        said = await browser.run("(all) => all.map(([amount, code]) => money(amount, code))", amounts)
        assert [text.replace("\u00a0", " ") for text in said] == [
            "199.00 SEK",
            "4,980 JPY",
            "-25.00 EUR",
            "0.05 EUR",
            "0 ISK",
            "1,234.567 KWD",
            "5 minor units",
        ]
        assert await browser.run("() => moment('2026-11-23T23:30:00Z')")


async def test_only_the_window_that_embeds_the_card_is_listened_to(browser: Browser) -> None:
    forged = {
        "jsonrpc": "2.0",
        "method": "ui/notifications/tool-result",
        "params": {"structuredContent": {"outcome": "applied", "summary": "Forged."}},
    }
    async with conversation(extensions=CARDS, **SERVER) as talk:
        await browser.show(talk, "get_order", {"order_id": demo("authorized-sek")})
        await browser.run("(forged) => window.postMessage(forged, '*')", forged)
        await browser.run("() => new Promise(requestAnimationFrame)")
        assert "Forged." not in await browser.text()
        await browser.host("() => window.cancel()")
        await browser.until_there("#problem")
        assert "The call was cancelled." in await browser.text()


def test_the_page_is_small_and_alone() -> None:
    source = CARD.read_text(encoding="utf-8")
    page = served(source)
    assert len(page.encode()) < 60_000
    assert not re.search(r"<!--|^//|; // |/\*\*|^ ", page, re.MULTILINE)
    assert re.findall(r"https?://", page) == ["https://"]  # what a portal link must start with
    assert re.findall(r"\bon[a-z]+=|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(", source) == []
    assert source == with_policy(source)
    assert ORDER_CARD.startswith("ui://")


@pytest.mark.exam
async def test_every_operation_shows_all_its_details_and_nothing_for_a_model_from_the_preview_to_the_outcome(
    browser: Browser,
) -> None:
    """The card shows the very sentences that a form and a preview in a conversation have."""
    async with conversation(extensions=CARDS, **SERVER) as talk:
        for case in GATED:
            order_id, given = case.begin(talk)
            shown = await browser.show(talk, case.tool, given)
            await browser.until("document.querySelector('#yes')?.disabled === false && card.more !== null")
            text = await browser.text()
            assert [said for said in shown["details"] + shown["warnings"] if said not in text] == []
            assert order_id in text
            assert FOR_MODELS.findall(text) == []
            await browser.click("#yes")
            await browser.until("card.own.outcome === 'applied' && !card.busy && card.deeds.length > 0")
            text = await browser.text()
            assert text.partition("\n")[0].startswith("Order ")
            assert "Done\n" in text
            assert FOR_MODELS.findall(text) == []


async def test_a_rehearsal_says_first_that_nothing_will_be_sent_and_a_yes_sends_nothing(browser: Browser) -> None:
    async with conversation(extensions=CARDS, KUSTOM_WRITES="preview", **SERVER) as talk:
        await previewed(browser, talk)
        text = await browser.text()
        assert text.index("Nothing will be sent: this server only previews") < text.index("Yes, refund")
        await browser.click("#yes")
        await browser.until_there("#outcome")
        text = await browser.text()
        assert "Nothing was sent" in text
        assert "Whoever runs this server decides on that." in text
        assert talk.sent == []


async def test_what_is_so_already_says_when_it_was_done_and_by_whom(browser: Browser) -> None:
    async with conversation(extensions=CARDS, **CODES) as talk:
        given = {"order_id": demo("authorized-sek")}
        preview = await talk.call("cancel_order", given)
        done = await talk.call("cancel_order", {**given, "confirm": preview["confirm"]["code"]})
        assert done["outcome"] == "applied"
        await browser.show(talk, "cancel_order", given)
        await browser.until("card.deeds.length > 0")
        text = await browser.text()
        assert re.search(r"It is so already\n\n.*\n\nDone on \d+ \w+ 20\d\d, \d\d:\d\d, asked by \w+\.", text)
        assert text.count("Cancelled") == 2  # the state, and one time line
