"""llama-index-tools-mcp: the tools, called as an agent calls them."""

from __future__ import annotations

import asyncio

import snippet
from story import Tools, tell


async def adapt(offered):
    tools = {tool.metadata.name: tool for tool in offered}

    async def call(name, arguments):
        told = await tools[name].acall(**arguments)
        return told.content, told.raw_output.structured_content

    return Tools({name: tool.metadata.get_parameters_dict() for name, tool in tools.items()}, call)


asyncio.run(tell(snippet.main, adapt))
