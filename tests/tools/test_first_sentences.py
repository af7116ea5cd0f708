"""First sentences of customers, as support desks get them: none of them ends at the order of somebody else.

Each stands with the call that it gives to whoever has nothing but the tool list. It ends at one order, at a question
which of several is meant, or at "I do not know".
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from kustom_mcp.simulator.app import Simulator
from tests.support.conversation import Talk, conversation

Json = dict[str, Any]


def address(name: str, email: str, phone: str, postal_code: str, **more: str) -> Json:
    given, _, family = name.partition(" ")
    return {
        "given_name": given,
        "family_name": family,
        "email": email,
        "phone": phone,
        "postal_code": postal_code,
        "country": "SE",
    } | more


ASTRID = address("Astrid Lindqvist", "astrid@example.com", "070-174 06 11", "114 32")
NAMESAKE = address("Astrid Lindqvist", "a.lindqvist@example.org", "070-174 06 12", "411 01")
JONAS = address("Jonas Ek", "jonas@example.com", "+46701740613", "22100")
MAJA = address("Maja Öst-Berg", "maja@example.com", "070-174 06 14", "75320")
BUILDERS = address(
    "Per Sand", "office@example.net", "018-10 20 30", "903 21", organization_name="Byggbolaget i Umeå AB"
)
ORDERS: dict[str, Json] = {
    "chair": {
        "merchant_reference1": "SE-20451",
        "klarna_reference": "K7XQ2M",
        "order_amount": 124900,
        "billing_address": ASTRID,
        "captures": [{"captured_amount": 124900, "reference": "INV-88013"}],
    },
    "one digit more": {"merchant_reference1": "SE-204511", "billing_address": JONAS},
    "invoiced": {"klarna_reference": "SANDBOX8", "captured_amount": 5000, "billing_address": JONAS},
    "other invoice": {"klarna_reference": "SANDBOX81", "captured_amount": 5000, "billing_address": MAJA},
    "namesake": {"merchant_reference1": "SE-30077", "billing_address": NAMESAKE},
    "bought once": {"merchant_reference1": "WEB-5001", "order_amount": 59900, "billing_address": JONAS},
    "bought again": {"merchant_reference1": "WEB-5002", "order_amount": 59900, "billing_address": JONAS},
    "gift": {"merchant_reference1": "WEB-6100", "billing_address": NAMESAKE, "shipping_address": MAJA},
    "number used again": {"merchant_reference1": "WEB-6100", "order_amount": 12300, "billing_address": JONAS},
    "returned": {
        "merchant_reference1": "WEB-7020",
        "captures": [{"captured_amount": 9900}],
        "refunds": [{"refunded_amount": 9900, "reference": "RMA-77"}],
        "billing_address": BUILDERS,
    },
    "charged twice": {
        "merchant_reference1": "WEB-8800",
        "order_amount": 69800,
        "captures": [{"captured_amount": 34900}, {"captured_amount": 34900, "reference": "second parcel"}],
        "billing_address": BUILDERS,
    },
}


class Sentence(NamedTuple):
    """`ends`: `this` one order; `which`, asked about all that fit; `unknown`: I do not know."""

    words: str
    asked: Json
    ends: str
    orders: tuple[str, ...] = ()


SENTENCES = [
    Sentence("Hej! Var är min beställning SE-20451?", {"reference": "SE-20451"}, "this", ("chair",)),
    Sentence("still waiting for se-20451 , any news", {"reference": "se-20451 "}, "this", ("chair",)),
    Sentence("Order #SE20451 never came.", {"reference": "#SE20451"}, "which", ("chair",)),
    Sentence("The last digits are 0451, the mail is cut off", {"reference": "0451"}, "which", ("chair",)),
    Sentence("Where is 2045? I wrote it on a note", {"reference": "2045"}, "unknown"),
    Sentence("I ordered a chair, number SE-20415", {"reference": "SE-20415"}, "unknown"),
    Sentence("my bank says K7XQ2M, what did I buy?", {"reference": "K7XQ2M"}, "this", ("chair",)),
    Sentence("INV-88013 is in my inbox but no parcel", {"reference": "INV-88013"}, "this", ("chair",)),
    Sentence("I have paid SANDBOX8-1 and get a reminder", {"reference": "SANDBOX8-1"}, "this", ("invoiced",)),
    Sentence("Ni har fakturerat SANDBOX82-1, vad är det?", {"reference": "SANDBOX82-1"}, "unknown"),
    Sentence("Sent it back as RMA-77, where is my money?", {"reference": "RMA-77"}, "this", ("returned",)),
    Sentence("no idea of the number, I am astrid@example.com", {"email": "astrid@example.com"}, "which", ("chair",)),
    Sentence(
        "The page hung so I clicked buy again. Jonas@Example.com - stop one of them",
        {"email": "Jonas@Example.com"},
        "which",
        ("one digit more", "invoiced", "bought once", "bought again", "number used again"),
    ),
    Sentence("Fråga om WEB-6100, tack", {"reference": "WEB-6100"}, "which", ("gift", "number used again")),
    Sentence(
        "From: Astrid <Astrid@example.com> - see below",
        {"email": "Astrid <Astrid@example.com>"},
        "which",
        ("chair",),
    ),
    Sentence("I used lotta@example.com I think", {"email": "lotta@example.com"}, "unknown"),
    Sentence("my order is maja@example.com, no number came", {"reference": "maja@example.com"}, "unknown"),
    Sentence("Ring mig på 0701740614 om paketet", {"phone": "0701740614"}, "which", ("other invoice", "gift")),
    Sentence("call me: +46 70 174 06 19", {"phone": "+46 70 174 06 19"}, "unknown"),
    Sentence(
        "Astrid Lindqvist, 11432. Nothing has arrived",
        {"name": "Astrid Lindqvist", "postal_code": "11432"},
        "which",
        ("chair",),
    ),
    Sentence("It is Astrid Lindqvist again, my parcel?", {"name": "Astrid Lindqvist"}, "unknown"),
    Sentence(
        "My sister ordered for me: maja ost berg in 753 20",
        {"name": "maja ost berg", "postal_code": "753 20"},
        "which",
        ("other invoice", "gift"),
    ),
    Sentence(
        "Byggbolaget i Umea AB here, 90321, which invoices are open",
        {"name": "Byggbolaget i Umea AB", "postal_code": "90321"},
        "which",
        ("returned", "charged twice"),
    ),
    Sentence("You took 349 kr twice!", {"amount": 34900}, "which", ("charged twice",)),
    Sentence(
        "Two orders, WEB-5001 and WEB-9999, send both in one box",
        {"reference": ["WEB-5001", "WEB-9999"]},
        "this",
        ("bought once",),
    ),
]


def end_of(answer: Json) -> tuple[str, set[str]]:
    """What somebody who goes by the answer ends at."""
    rows = answer.get("orders", [])
    exact = {row["order_id"] for row in rows if row.get("match") == "exact"}
    found = {row["order_id"] for row in rows}
    if len(exact) == 1:
        return "this", exact
    return ("which", found) if found else ("unknown", set())


async def shop(talk: Talk) -> dict[str, str]:
    return {talk.order(**order): name for name, order in ORDERS.items()}


async def test_no_sentence_ends_at_the_order_of_somebody_else() -> None:
    async with conversation(simulator=Simulator(seeds=())) as talk:
        names = await shop(talk)
        ended: dict[str, Any] = {}
        for sentence in SENTENCES:
            answer = await talk.call("find_orders", sentence.asked)
            how, found = end_of(answer)
            ended[sentence.words] = how, {names[order_id] for order_id in found}
            if how == "which":
                assert "ask" in answer["next_step"], sentence.words
                assert "which one is meant before using one" in answer["next_step"], sentence.words
            if how == "unknown":
                told = (answer["summary"] + answer["next_step"]).casefold()
                honest = "not that there is none" in told or "is missing" in told or "no reference" in told
                assert honest, sentence.words
        assert ended == {one.words: (one.ends, set(one.orders)) for one in SENTENCES}


async def test_without_people_a_person_is_never_nobody() -> None:
    people = [one for one in SENTENCES if {"email", "phone", "postal_code"} & one.asked.keys()]
    assert len(people) >= 5
    async with conversation(simulator=Simulator(seeds=()), KUSTOM_BOOK_PEOPLE="off") as talk:
        await shop(talk)
        for sentence in people:
            answer = await talk.call("find_orders", sentence.asked)
            assert (answer["outcome"], answer["error"]["code"]) == ("not_sent", "NOT_PERMITTED"), sentence.words
            assert "not that there are none" in answer["next_step"]


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda sentence: sentence.words)
def test_a_call_asks_for_nothing_but_what_the_sentence_says(sentence: Sentence) -> None:
    values: list[Any] = []
    for value in sentence.asked.values():
        values += value if isinstance(value, list) else [value]
    said = [f"{value // 100}" if isinstance(value, int) else value for value in values]
    assert [one for one in said if one not in sentence.words] == []
    assert len({one.words for one in SENTENCES}) == len(SENTENCES) >= 20
