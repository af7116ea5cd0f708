"""google-genai: the conversion of a session's tools, and the calls of its automatic function calling."""

from __future__ import annotations

import asyncio
import json

import snippet
from google.genai import _extra_utils, types
from story import PERSON, Tools, tell

snippet.agrees = PERSON.agrees


async def adapt(session):
    config = types.GenerateContentConfig(tools=[session])
    converted, adapters = await _extra_utils.parse_config_for_mcp_sessions(config)
    declared = {d.name: d for tool in converted.tools for d in tool.function_declarations}

    async def call(name, arguments):
        part = types.Part(function_call=types.FunctionCall(name=name, args=arguments))
        reply = types.GenerateContentResponse(candidates=[types.Candidate(content=types.Content(parts=[part]))])
        (answered,) = await _extra_utils.get_function_response_parts_async(reply, adapters)
        seen = answered.function_response.model_dump_json()
        result = next(iter(answered.function_response.response.values()))
        return seen, result.structured_content

    return Tools(
        {name: json.loads(d.parameters.model_dump_json(exclude_none=True)) for name, d in declared.items()}, call
    )


asyncio.run(tell(snippet.main, adapt))
