"""crewai with crewai-tools: the tools, run as an agent of a crew runs them."""

from __future__ import annotations

import asyncio

import snippet
from story import Tools, parsed, tell


async def adapt(offered):
    tools = {tool.name: tool for tool in offered}

    async def call(name, arguments):
        text = str(tools[name].run(**arguments))
        return text, parsed(text)

    return Tools({name: tool.args_schema.model_json_schema() for name, tool in tools.items()}, call)


asyncio.run(tell(snippet.main, adapt))
