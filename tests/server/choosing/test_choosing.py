"""Descriptions as a person would write them, requests with the arguments that they mean, a good call of every tool."""

from __future__ import annotations

import json
import re
from difflib import SequenceMatcher
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from jsonschema import Draft202012Validator

from kustom_mcp.tools.catalog import CATALOG
from tests.support.conversation import conversation, demo

Request = tuple[str, str, dict[str, Any]]
FOLDER = Path(__file__).parent
READS = {"ok"}
DONE = {"applied", "already_applied"}


def requests() -> list[Request]:
    """Requests of people: the tool, the words, the arguments; ids in the place of the names of demo orders."""
    text = (FOLDER / "requests.yaml").read_text(encoding="utf-8")
    filled = re.sub(r"\{([a-z-]+)\}", lambda found: demo(found[1]), text)
    groups = cast("dict[str, list[tuple[str, dict[str, Any]]]]", yaml.safe_load(filled))
    return [(tool, words, arguments) for tool, rows in groups.items() for words, arguments in rows]


REQUESTS = requests()


NAMED = re.compile(r"kustom_[a-z_]+")


def sentences(text: str) -> list[str]:
    return re.findall(r"[^.]+\.(?= |$)", text)


def test_a_description_is_at_most_three_sentences() -> None:
    found = {name: sentences(tool.description) for name, tool in CATALOG.items()}
    assert {name: told for name, told in found.items() if "".join(told) != CATALOG[name].description} == {}
    assert {name: len(told) for name, told in found.items() if not 1 <= len(told) <= 3} == {}


def test_no_two_descriptions_say_nearly_the_same() -> None:
    """Other tools are named by both sides of a pair, so names do not count."""
    told = {name: re.findall(r"[a-z]+", NAMED.sub("", tool.description.lower())) for name, tool in CATALOG.items()}
    alike = {
        (one, other): SequenceMatcher(None, told[one], told[other]).ratio() for one, other in combinations(told, 2)
    }
    assert {pair: ratio for pair, ratio in alike.items() if ratio > 0.5} == {}


def test_a_description_names_only_tools_that_there_are_and_never_itself() -> None:
    for name, tool in CATALOG.items():
        named = set(NAMED.findall(tool.description))
        assert named <= CATALOG.keys() - {name}, name


def test_requests_are_enough_and_some_for_every_tool() -> None:
    assert len(REQUESTS) >= 150
    assert len({words for _, words, _ in REQUESTS}) == len(REQUESTS)
    assert dict.fromkeys(CATALOG, True) == {
        tool: sum(tool == asked for asked, _, _ in REQUESTS) >= 6 for tool in CATALOG
    }


@pytest.mark.parametrize("tool", CATALOG)
def test_no_request_repeats_a_description(tool: str) -> None:
    """Five words in a row from a description would be the description asking for itself."""

    def runs(text: str) -> set[tuple[str, ...]]:
        plain = re.findall(r"[a-z]+", text.lower())
        return set(zip(*(plain[start:] for start in range(5)), strict=False))

    known = runs(CATALOG[tool].description)
    assert [words for asked, words, _ in REQUESTS if asked == tool and runs(words) & known] == []


@pytest.mark.parametrize("tool", CATALOG)
def test_the_arguments_that_a_request_means_are_valid(tool: str) -> None:
    validator = Draft202012Validator(CATALOG[tool].wire()["inputSchema"])
    for asked, words, arguments in REQUESTS:
        if asked == tool:
            assert [error.message for error in validator.iter_errors(arguments)] == [], words  # pyright: ignore[reportUnknownMemberType]
            assert CATALOG[tool].parse(arguments) is not None


def examples(capture: str, refund: str) -> dict[str, dict[str, Any]]:
    """One good call of every tool, on orders in which it is possible."""
    opened, captured = {"order_id": demo("authorized-sek")}, {"order_id": demo("captured-sek")}
    parcel = {"shipping_info": [{"shipping_company": "DHL SE", "tracking_number": "1234567890"}]}
    entry = {**captured, "capture_id": capture}
    return {
        "kustom_get_order": {**opened, "include": ["lines"]},
        "kustom_resolve_order": opened,
        "kustom_list_activity": {"operation": "refund", "from": "2020-01-01"},
        "kustom_find_orders": {"status": ["CAPTURED"], "created_from": "2020-01-01"},
        "kustom_get_orders": {"order_ids": [opened["order_id"], captured["order_id"]]},
        "kustom_list_transactions": captured,
        "kustom_list_payouts": {"from": "2020-01-01", "currency": "SEK"},
        "kustom_acknowledge_order": opened,
        "kustom_update_order_amount": {**opened, "line_changes": [{"line": 1, "quantity": 1}]},
        "kustom_update_merchant_references": {**opened, "merchant_reference1": "10045"},
        "kustom_update_customer_details": {**opened, "shipping_address": {"street_address": "Storgatan 5"}},
        "kustom_add_shipping_info": {**opened, **parcel},
        "kustom_cancel_order": {"order_id": demo("expiring-soon-sek")},
        "kustom_extend_authorization": opened,
        "kustom_release_remaining_authorization": {"order_id": demo("part-captured-eur")},
        "kustom_capture_order": {**opened, "lines": [{"line": 1, "quantity": 1}]},
        "kustom_list_captures": captured,
        "kustom_get_capture": entry,
        "kustom_add_capture_shipping_info": {**entry, **parcel},
        "kustom_refund_order": {**captured, "lines": [{"line": 1, "quantity": 1}]},
        "kustom_get_refund": {"order_id": demo("partly-refunded-pln"), "refund_id": refund},
        "kustom_trigger_send_out": entry,
        "kustom_get_due_date_options": entry,
        "kustom_extend_due_date": {**entry, "number_of_days": 14},
    }


@pytest.mark.parametrize("tool", CATALOG)
async def test_an_example_of_every_tool_is_valid_and_works_on_the_sandbox(tool: str) -> None:
    async with conversation(KUSTOM_TOOLS="all") as talk:
        capture = talk.stored(demo("captured-sek"))["captures"][0]["capture_id"]
        refund = talk.stored(demo("partly-refunded-pln"))["refunds"][0]["refund_id"]
        arguments = examples(capture, refund)[tool]
        Draft202012Validator(CATALOG[tool].wire()["inputSchema"]).validate(arguments)  # pyright: ignore[reportUnknownMemberType]
        if CATALOG[tool].effect.gated:
            answer = await talk.confirmed(tool, arguments)
        else:
            answer = await talk.call(tool, arguments)
        assert answer["outcome"] in (DONE if CATALOG[tool].writes else READS), json.dumps(answer)
