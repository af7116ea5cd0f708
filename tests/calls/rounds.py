"""The rounds of a 2026-07-28 form by hand: the question, and the answer that comes back with its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp.types import CallToolResult, ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult

from tests.support.conversation import Talk

YES = ElicitResult(action="accept", content={"approve": True})
NO = ElicitResult(action="decline")


@dataclass(frozen=True)
class Question:
    """The server's question, and the state that must come back with the answer."""

    tool: str
    arguments: Mapping[str, Any]
    message: str
    form: Mapping[str, Any]
    state: str

    async def answered(self, talk: Talk, answer: ElicitResult | None, **other: Any) -> dict[str, Any]:
        """The answer comes back; `other` arguments replace those of the question. None: without an answer."""
        result = await talk.client.session.call_tool(
            self.tool,
            {**self.arguments, **other},
            input_responses={"approve": answer} if answer else None,
            request_state=self.state,
            allow_input_required=True,
        )
        assert isinstance(result, CallToolResult)
        return talk.checked(self.tool, result)


async def question(talk: Talk, tool: str, arguments: Mapping[str, Any]) -> Question:
    """The first round: the server must ask, and send nothing."""
    name = f"kustom_{tool}"
    before = len(talk.sent)
    asked = await talk.client.session.call_tool(name, dict(arguments), allow_input_required=True)
    assert isinstance(asked, InputRequiredResult)
    assert len(talk.sent) == before
    ((key, request),) = (asked.input_requests or {}).items()
    assert key == "approve"
    assert isinstance(request, ElicitRequest)
    assert isinstance(request.params, ElicitRequestFormParams)
    assert asked.request_state
    form = request.params.requested_schema
    return Question(name, arguments, request.params.message, dict(form), asked.request_state)
