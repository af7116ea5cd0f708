"""pydantic-ai: an agent whose model is a script, so that its whole loop runs."""

from __future__ import annotations

import asyncio

import snippet
from pydantic_ai.messages import ModelResponse, RetryPromptPart, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import FunctionModel
from story import PERSON, Tools, parsed, tell

snippet.agrees = PERSON.agrees


async def adapt(agent):
    schemas = {}

    async def call(name, arguments):
        seen = []

        def script(messages, info):
            schemas.update({tool.name: tool.parameters_json_schema for tool in info.function_tools})
            parts = [part for part in messages[-1].parts if isinstance(part, ToolReturnPart | RetryPromptPart)]
            if parts or name is None:
                seen.extend(
                    part.model_response_str() if isinstance(part, ToolReturnPart) else part.model_response()
                    for part in parts
                )
                return ModelResponse(parts=[TextPart("Done.")])
            return ModelResponse(parts=[ToolCallPart(name, arguments)])

        await agent.run("Go on.", model=FunctionModel(script))
        if name is None:
            return None
        (text,) = seen
        return text, parsed(text)

    await call(None, {})
    return Tools(schemas, call)


asyncio.run(tell(snippet.main, adapt))
