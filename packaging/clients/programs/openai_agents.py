"""openai-agents: the tools of an agent, invoked as its runner does after the model has called one."""

from __future__ import annotations

import asyncio
import json

import snippet
from agents import RunContextWrapper
from agents.tool_context import ToolContext
from story import Tools, parsed, tell


async def adapt(agent):
    tools = {tool.name: tool for tool in await agent.get_mcp_tools(RunContextWrapper(context=None))}

    async def call(name, arguments):
        words = json.dumps(arguments)
        context = ToolContext(context=None, tool_name=name, tool_call_id="call_1", tool_arguments=words)
        told = await tools[name].on_invoke_tool(context, words)
        text = told["text"] if isinstance(told, dict) else told
        return text, parsed(text)

    return Tools({name: tool.params_json_schema for name, tool in tools.items()}, call)


asyncio.run(tell(snippet.main, adapt))
