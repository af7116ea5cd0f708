"""langchain-mcp-adapters: the tools, invoked with a call of a model."""

from __future__ import annotations

import asyncio

import snippet
from langchain_core.utils.function_calling import convert_to_openai_tool
from story import PERSON, Tools, parsed, tell

snippet.agrees = PERSON.agrees


async def adapt(offered):
    tools = {tool.name: tool for tool in offered}

    async def call(name, arguments):
        message = await tools[name].ainvoke({"type": "tool_call", "id": "call_1", "name": name, "args": arguments})
        text = message.text if isinstance(message.text, str) else message.text()
        return text, parsed(text)

    return Tools({name: convert_to_openai_tool(tool)["function"]["parameters"] for name, tool in tools.items()}, call)


asyncio.run(tell(snippet.main, adapt))
