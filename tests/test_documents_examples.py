"""The examples of the documentation, run against the real server."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.conversation import demo
from tests.transport.oauth.issuing import AUDIENCE, ISSUER, Site, jwk, rsa_key, token
from tests.transport.oauth.serving_with_tokens import bound, serving

EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "examples"
MINE = demo("expiring-soon-sek")
ANOTHER = demo("authorized-sek")
HELLO = "Where is my order?"


@pytest.fixture(scope="module")
def chatbot() -> ModuleType:
    spec = importlib.util.spec_from_file_location("support_chatbot", EXAMPLES / "support_chatbot.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["support_chatbot"] = module
    spec.loader.exec_module(module)
    return module


async def chat(
    chatbot: ModuleType, *said: str, order_id: str = MINE, agrees: bool = True, **claims: Any
) -> tuple[list[str], list[str], Any]:
    """The chatbot's answers, the colleague's questions, and the order's status afterwards."""
    questions: list[str] = []

    async def colleague(question: str) -> bool:
        questions.append(question)
        return agrees

    issuer = Site.of(jwk(rsa_key())).transport
    async with serving(bound(), issuer, KUSTOM_OAUTH_ISSUER=ISSUER, KUSTOM_OAUTH_AUDIENCE=AUDIENCE) as served:
        mine = token(kustom_orders=[MINE], **claims)
        async with chatbot.conversation(served.url, mine, order_id, chatbot.two_sentences, colleague) as talk:
            answers = [await talk.answer(sentence) for sentence in said]
        async with served.client(token=token()) as client:
            after = await client.call_tool("kustom_get_order", {"order_id": order_id})
    assert after.structured_content is not None
    return answers, questions, after.structured_content["order"]["status"]


async def test_a_customer_hears_about_their_order_and_a_colleague_decides(chatbot: ModuleType) -> None:
    answers, questions, status = await chat(chatbot, HELLO, "Please cancel it.", "cancel, please")
    assert "is AUTHORIZED" in answers[0]
    assert answers[1].startswith("Cancelled order e7ca430e")
    assert "Nothing was sent by this call" in answers[2]
    assert (len(questions), status) == (1, "CANCELLED")
    assert "Cancel order e7ca430e" in questions[0]


async def test_a_no_is_a_no(chatbot: ModuleType) -> None:
    answers, questions, status = await chat(chatbot, "Please cancel it.", agrees=False)
    assert answers == ["My colleague would rather not do that. They will write to you."]
    assert (len(questions), status) == (1, "AUTHORIZED")


async def test_another_customers_order_does_not_exist(chatbot: ModuleType) -> None:
    answers, questions, status = await chat(chatbot, HELLO, "cancel it", order_id=ANOTHER)
    assert answers == ["There is no order with this id for these credentials. Nothing was changed."] * 2
    assert (questions, status) == ([], "AUTHORIZED")


def test_it_is_short() -> None:
    assert len((EXAMPLES / "support_chatbot.py").read_text().splitlines()) < 150
