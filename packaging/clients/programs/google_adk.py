"""google-adk: the tools of an agent, called in an invocation of it."""

from __future__ import annotations

import asyncio
import itertools
import json

import snippet
from google.adk.agents.invocation_context import InvocationContext
from google.adk.sessions import InMemorySessionService
from google.adk.tools.tool_context import ToolContext
from story import PERSON, Tools, tell

snippet.agrees = PERSON.agrees


async def adapt(agent):
    sessions = InMemorySessionService()
    session = await sessions.create_session(app_name="desk", user_id="clerk")
    invocation = InvocationContext(session_service=sessions, invocation_id="1", agent=agent, session=session)
    tools = {tool.name: tool for tool in await agent.canonical_tools(ToolContext(invocation))}
    numbers = itertools.count()

    def parameters(tool):
        declared = tool._get_declaration()
        return declared.parameters_json_schema or json.loads(declared.parameters.model_dump_json(exclude_none=True))

    async def call(name, arguments):
        context = ToolContext(invocation, function_call_id=f"call_{next(numbers)}")
        told = await tools[name].run_async(args=arguments, tool_context=context)
        assert "structuredContent" in told, told
        return json.dumps(told, ensure_ascii=False), told["structuredContent"]

    return Tools({name: parameters(tool) for name, tool in tools.items()}, call)


asyncio.run(tell(snippet.main, adapt))
