"""The examples of the documentation, run against the real server."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import httpx2 as httpx
import pytest

from tests.support.conversation import demo
from tests.transport.http.chatbots import Bot, chatbot
from tests.transport.http.test_people import write

EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "examples"
MINE = demo("expiring-soon-sek")
PROOF = {"reference": "SE-20102", "email": "Demo.Demosson@example.com"}
HELLO = "Where is my order?"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("support_chatbot", EXAMPLES / "support_chatbot.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["support_chatbot"] = module
    spec.loader.exec_module(module)
    return module


def people(folder: Path, **more: str) -> str:
    return str(write(folder / "people.toml", bot='may = ["customers", "write"]', **more))


def status(bot: Bot) -> str:
    """The status of the order as Kustom has it."""
    record = bot.simulator.store.find(MINE)
    assert record is not None
    return str(record.order["status"])


async def test_a_customer_hears_about_their_order_and_decides(example: ModuleType, tmp_path: Path) -> None:
    questions: list[str] = []
    agreed = [False, True]

    async def customer(question: str) -> bool:
        questions.append(question)
        return agreed.pop(0)

    async with chatbot(people(tmp_path)) as bot:
        said, statuses = ["Please cancel it.", "cancel it after all", "cancel, please"], list[str]()
        async with example.conversation(bot.served.url, "bot-token", PROOF, example.two_sentences, customer) as talk:
            answers = [await talk.answer(HELLO)]
            for sentence in said:
                answers.append(await talk.answer(sentence))
                statuses.append(status(bot))
        callers = {caller.name for caller in bot.served.callers}
    assert "is AUTHORIZED" in answers[0]
    assert answers[1] == "Then nothing was changed."
    assert answers[2].startswith("Cancelled order e7ca430e")
    assert "Nothing was sent by this call" in answers[3]
    assert statuses == ["AUTHORIZED", "CANCELLED", "CANCELLED"]
    assert len(questions) == 2
    assert "Cancel order e7ca430e" in questions[0]
    assert callers == {"customer of bot"}


async def test_the_chatbot_goes_on_when_its_token_ends_or_says_so(example: ModuleType, tmp_path: Path) -> None:
    async with chatbot(people(tmp_path)) as bot:
        late = 0.0
        bot.served.app.wall = lambda wall=bot.served.app.wall: wall() + late

        async def never(_: str) -> bool:
            raise AssertionError

        async with example.conversation(bot.served.url, "bot-token", PROOF, example.two_sentences, never) as talk:
            answers = [await talk.answer(HELLO)]
            late = 900.0  # 401, and another token
            answers.append(await talk.answer(HELLO))
            write(tmp_path / "people.toml", bot='may = ["read"]')  # 401, and 403 for another
            answers.append(await talk.answer(HELLO))
            people(tmp_path)
            answers.append(await talk.answer(HELLO))
        asked = bot.why
        write(tmp_path / "people.toml", bot='may = ["read"]')
        with pytest.raises(httpx.HTTPStatusError):  # 403
            async with example.conversation(bot.served.url, "bot-token", PROOF, example.two_sentences, never):
                pass
        people(tmp_path)
        with pytest.raises(example.NotFound):
            async with example.conversation(
                bot.served.url, "bot-token", {**PROOF, "email": "eva@example.com"}, example.two_sentences, never
            ):
                pass
    assert ["AUTHORIZED" in answer for answer in answers] == [True, True, False, True]
    assert answers[2] == example.LATER
    assert asked == ["given"] * 2 + ["may_not"] * (len(asked) - 2)
    assert len(asked) > 2


def test_the_chatbot_is_short() -> None:
    assert len((EXAMPLES / "support_chatbot.py").read_text().splitlines()) < 200
