"""kustom_update_customer_details in conversation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kustom_mcp.calls.messages import NOBODY_TOLD
from tests.support.conversation import MODES, Mode, demo, write, yes
from tests.tools.steady import NOBODY, NOT_FOUND, facts, in_every_state, steady, summed_up, without

ORDER = demo("authorized-sek")
NEW_YORK = {
    "given_name": "John",
    "family_name": "Doe",
    "email": "jdoe@example.com",
    "title": "Mr",
    "street_address": "33 Park Place",
    "street_address2": "",  # as printed there; here it means nothing
    "postal_code": "10025",
    "city": "New York",
    "region": "NY",
    "country": "us",
    "phone": "333444555",
}
"""The shipping address of Kustom's documentation."""
SENT = {name: value for name, value in NEW_YORK.items() if value}


@pytest.mark.parametrize("mode", MODES)
async def test_the_address_of_the_documentation_is_sent_as_it_stands(mode: Mode) -> None:
    async with steady(mode) as talk:
        before = await facts(talk, ORDER)
        preview = await talk.call("update_customer_details", order_id=ORDER, shipping_address=NEW_YORK)
        assert talk.sent == []
        assert without(preview, "confirm", "changes", "next_step") == {
            "outcome": "confirmation_required",
            "environment": "sandbox",
            "summary": "Not done yet. Change the shipping address of order c963cfe0…. "
            "The goods will be sent to the new address.",
            "order": before,
            "details": [
                f'Order "SE-20451", id {ORDER}: change address.',
                'Given name: "Testa" -> "John".',
                'Family name: "Testsson" -> "Doe".',
                'Title: none -> "Mr".',
                'Street address: "Exempelgatan 1" -> "33 Park Place".',
                'Postal code: "11122" -> "10025".',
                'City: "Stockholm" -> "New York".',
                'Region: none -> "NY".',
                'Country: "SE" -> "us".',
                'Email: "testa.testsson@example.com" -> "jdoe@example.com".',
                'Phone: "+46700000000" -> "333444555".',
            ],
            "warnings": [NOBODY_TOLD],
        }
        assert {change["field"]: change["after"] for change in preview["changes"]} == {
            f"shipping_address.{name}": value for name, value in SENT.items()
        }
        code = preview["confirm"]["code"]
        assert code.startswith("change-address-c963cfe0.")

        answer = await talk.call("update_customer_details", order_id=ORDER, shipping_address=NEW_YORK, confirm=code)
        body = {"shipping_address": SENT}
        assert talk.sent == [write("PATCH", f"/orders/{ORDER}/customer-details", body)]
        assert without(answer, "changes") == {
            "outcome": "applied",
            "environment": "sandbox",
            "summary": f"Changed the shipping address of order c963cfe0…. {await summed_up(talk, ORDER)}",
            "order": await facts(talk, ORDER),
        }


async def test_the_preview_says_what_changes_and_what_stays() -> None:
    async with steady() as talk:
        address = {"street_address": "Provgatan 2", "city": "Uppsala"}
        preview = await talk.call("update_customer_details", order_id=ORDER, shipping_address=address)
        assert preview["changes"] == [
            {"field": "shipping_address.street_address", "before": "Exempelgatan 1", "after": "Provgatan 2"},
            {"field": "shipping_address.city", "before": "Stockholm", "after": "Uppsala"},
        ]
        assert 'Street address: "Exempelgatan 1" -> "Provgatan 2".' in preview["details"]
        assert 'Country: "SE", stays.' in preview["details"]
        assert preview["warnings"] == [NOBODY_TOLD]


async def test_what_is_cleared_is_previewed_sent_and_told() -> None:
    async with steady() as talk:
        given = {"order_id": ORDER, "shipping_address": {"city": "Uppsala"}, "clear": ["phone", "given_name", "phone"]}
        preview = await talk.call("update_customer_details", given)
        assert [(change["field"], change["after"]) for change in preview["changes"]] == [
            ("shipping_address.city", "Uppsala"),
            ("shipping_address.given_name", ""),
            ("shipping_address.phone", ""),
        ]
        assert preview["warnings"] == [
            "Kustom clears no field that an address must have, and may refuse to clear given_name, phone.",
            NOBODY_TOLD,
        ]
        other_way_round = given | {"clear": ["given_name", "phone"], "confirm": preview["confirm"]["code"]}
        answer = await talk.call("update_customer_details", other_way_round)
        body = {"shipping_address": {"city": "Uppsala", "given_name": "", "phone": ""}}
        assert talk.sent == [write("PATCH", f"/orders/{ORDER}/customer-details", body)]
        assert {"field": "shipping_address.phone", "after": ""} in answer["changes"]
        assert "phone" not in talk.stored(ORDER)["shipping_address"]


async def test_who_approves_is_told_that_kustom_may_not_clear_a_field() -> None:
    async with steady() as talk:
        talk.stored(ORDER)["shipping_address"] |= {"title": "Mr", "region": "Uppland"}
        harmless = await talk.call("update_customer_details", order_id=ORDER, clear=["title", "region"])
        assert harmless["warnings"] == [NOBODY_TOLD]
        preview = await talk.call("update_customer_details", order_id=ORDER, clear=["street_address"])
        assert preview["warnings"] == [
            "Kustom clears no field that an address must have, and may refuse to clear street_address.",
            NOBODY_TOLD,
        ]


async def test_the_region_of_an_address_in_the_united_states_is_not_cleared() -> None:
    async with steady() as talk:
        talk.stored(ORDER)["shipping_address"] |= {"region": "NY", "country": "us"}
        given = {"order_id": ORDER, "clear": ["region"]}
        answer = await talk.call("update_customer_details", given)
        assert (answer["outcome"], answer["error"]["code"], answer["error"]["field"]) == (
            "not_sent",
            "INVALID_ARGUMENT",
            "clear",
        )
        moved = await talk.call("update_customer_details", given, shipping_address={"country": "SE"})
        assert moved["outcome"] == "confirmation_required"
        assert talk.sent == []


async def test_a_person_is_shown_what_is_cleared() -> None:
    async with steady(person=yes) as talk:
        await talk.call("update_customer_details", order_id=ORDER, clear=["phone"])
        assert 'Phone: "+46700000000" -> cleared.' in talk.questions[0]


@pytest.mark.parametrize("nothing", [None, "", [], {}])
async def test_nothing_of_an_address_is_cleared_by_a_value_that_is_empty(nothing: Any) -> None:
    async with steady() as talk:
        address = {"city": "Uppsala", "phone": nothing, "region": nothing}
        await talk.confirmed("update_customer_details", order_id=ORDER, shipping_address=address, clear=nothing)
        body = {"shipping_address": {"city": "Uppsala"}}
        assert talk.sent == [write("PATCH", f"/orders/{ORDER}/customer-details", body)]


async def test_a_person_is_shown_the_whole_address() -> None:
    async with steady(person=yes) as talk:
        address = {"street_address": "Provgatan 2"}
        await talk.call("update_customer_details", order_id=ORDER, shipping_address=address)
        (question,) = talk.questions
        for text in (
            'Street address: "Exempelgatan 1" -> "Provgatan 2".',
            'City: "Stockholm", stays.',
            'Family name: "Testsson", stays.',
        ):
            assert text in question.splitlines()
        assert talk.stored(ORDER)["shipping_address"]["street_address"] == "Provgatan 2"


async def test_masked_data_shows_only_what_the_caller_sent() -> None:
    async with steady(KUSTOM_PII="masked") as talk:
        address = {"street_address": "Provgatan 2"}
        preview = await talk.call("update_customer_details", order_id=ORDER, shipping_address=address)
        told = json.dumps(preview, ensure_ascii=False)
        assert "Provgatan 2" in told
        for secret in ("Testsson", "Exempelgatan", "11122", "testa.testsson@example.com", "+46700000000"):
            assert secret not in told
        answer = await talk.call(
            "update_customer_details", order_id=ORDER, shipping_address=address, confirm=preview["confirm"]["code"]
        )
        assert "Testsson" not in json.dumps(answer, ensure_ascii=False)


async def test_the_same_address_again_is_not_sent() -> None:
    async with steady() as talk:
        address = {"city": "Stockholm", "country": "se"}
        answer = await talk.call("update_customer_details", order_id=ORDER, shipping_address=address)
        assert (answer["outcome"], talk.sent) == ("already_applied", [])


async def test_what_is_sent_as_it_is_stands_among_no_changes() -> None:
    async with steady() as talk:
        given = {"order_id": ORDER, "shipping_address": {"city": "Uppsala", "country": "se", "postal_code": "11122"}}
        preview = await talk.call("update_customer_details", given)
        city = {"field": "shipping_address.city", "before": "Stockholm", "after": "Uppsala"}
        assert preview["changes"] == [city]
        answer = await talk.call("update_customer_details", given, confirm=preview["confirm"]["code"])
        assert answer["changes"] == [{"field": city["field"], "after": "Uppsala"}]
        assert talk.sent == [
            write("PATCH", f"/orders/{ORDER}/customer-details", without(given, "order_id")),
        ]


async def test_nobody_can_guess_a_masked_address() -> None:
    told: list[Any] = []
    for city, street in (("Stockholm", "Exempelgatan 1"), ("Uppsala", "Provgatan 2")):
        async with steady(KUSTOM_PII="masked") as talk:
            given = {"order_id": ORDER, "shipping_address": {"city": city, "street_address": street}}
            preview = await talk.call("update_customer_details", given)
            code = preview["confirm"]["code"]
            answers = [await talk.call("update_customer_details", given, confirm=code) for _ in range(2)]
            assert [answer["outcome"] for answer in answers] == ["applied", "already_applied"]
            assert talk.sent == [write("PATCH", f"/orders/{ORDER}/customer-details", without(given, "order_id"))]
            shown = json.dumps([without(preview, "confirm"), answers], ensure_ascii=False)
            told.append(shown.replace(city, "CITY").replace(street, "STREET"))
    assert told[0] == told[1]


async def test_an_address_is_changed_only_while_nothing_is_captured() -> None:
    async with steady() as talk:
        await in_every_state(
            talk,
            "update_customer_details",
            {
                "AUTHORIZED": "applied",
                "PART_CAPTURED": "here",
                "CAPTURED": "here",
                "CANCELLED": "here",
                "EXPIRED": "here",
                "CLOSED": "here",
            },
            shipping_address={"city": "Uppsala"},
        )


async def test_an_order_without_an_address_can_get_one() -> None:
    async with steady() as talk:
        address = {"city": "Uppsala"}
        answer = await talk.confirmed("update_customer_details", order_id=demo("digital-sek"), shipping_address=address)
        assert answer["outcome"] == "applied"


async def test_an_order_that_does_not_exist_has_no_address() -> None:
    async with steady() as talk:
        assert await talk.call("update_customer_details", order_id=NOBODY, shipping_address=NEW_YORK) == NOT_FOUND
        assert talk.sent == []


@pytest.mark.parametrize("blank", [" ", "\u200b"], ids=["blank", "zero width"])
async def test_an_address_field_without_a_visible_character_is_refused(blank: str) -> None:
    async with steady() as talk:
        given = {"order_id": ORDER, "shipping_address": {"city": blank}}
        answer = await talk.call("update_customer_details", given)
        assert (answer["error"]["code"], answer["error"]["field"]) == ("INVALID_ARGUMENT", "shipping_address.city")
        assert "name it in clear" in answer["error"]["message"]
