"""The tools, prompts and resources that the conformance suite calls by name, mounted on our own server.

    uv run python packaging/protocol/fixtures.py PORT

They are mounted on the object that `build_server` makes, and it is served as it always is, so the suite goes through
our door, transport, middleware and request state. Only this program has them.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import anyio
from mcp import MCPError
from mcp.server import Server, ServerRequestContext
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    ElicitRequest,
    EmptyResult,
    GetPromptRequestParams,
    GetPromptResult,
    InputRequiredResult,
    ListRootsRequest,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    UnsubscribeRequestParams,
)
from mcp.types import CreateMessageRequest as Sample
from pydantic import BaseModel

from kustom_mcp.app.app import App
from kustom_mcp.server.handlers import build_server
from kustom_mcp.settings.environment import load
from kustom_mcp.transport.http.app import listen, serve_http

Context = ServerRequestContext[Any, Any]
Tool = Callable[[Context, CallToolRequestParams], Awaitable[Any]]
Handler = Callable[[Context, Any], Awaitable[Any]]

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
IMAGE = {"type": "image", "data": PNG, "mimeType": "image/png"}
MISSING_CAPABILITY = -32021
RESOURCES = {
    "test://static-text": {"mimeType": "text/plain", "text": "This is the content of the static text resource."},
    "test://static-binary": {"mimeType": "image/png", "blob": PNG},
    "test://watched-resource": {"mimeType": "text/plain", "text": "watched"},
}
DIALECT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def embedded(uri: str, kind: str, words: str) -> dict[str, Any]:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": kind, "text": words}}


def result(*content: Mapping[str, Any], error: bool = False) -> CallToolResult:
    return CallToolResult.model_validate({"content": content, "isError": error})


def form(message: str, **fields: str) -> ElicitRequest:
    properties = {name: {"type": kind} for name, kind in fields.items()}
    schema = {"type": "object", "properties": properties, "required": list(fields)}
    return ElicitRequest.model_validate({"params": {"mode": "form", "message": message, "requestedSchema": schema}})


def sample(words: str) -> Sample:
    return Sample.model_validate({"params": {"messages": [{"role": "user", "content": text(words)}], "maxTokens": 100}})


def always(*content: Mapping[str, Any], error: bool = False) -> Tool:
    async def answer(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        return result(*content, error=error)

    return answer


def asking(requests: Mapping[str, Any], state: str | None = None) -> Tool:
    """A tool that first asks for something, and answers once everything is there."""

    async def answer(ctx: Context, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
        given = params.input_responses or {}
        if all(name in given for name in requests) and params.request_state == state:
            return result(text(f"{'state-ok ' if state else ''}{sorted(given)}"))
        return InputRequiredResult(input_requests=dict(requests), request_state=state)

    return answer


async def two_rounds(ctx: Context, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
    given = params.input_responses or {}
    if params.request_state == "r2" and "step2" in given:
        return result(text("done"))
    if params.request_state == "r1" and "step1" in given:
        step = {"step2": form("Step 2: What is your favorite color?", color="string")}
        return InputRequiredResult(input_requests={**step}, request_state="r2")
    first = {"step1": form("Step 1: What is your name?", name="string")}
    return InputRequiredResult(input_requests={**first}, request_state="r1")


async def what_was_declared(ctx: Context, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
    declared = ctx.session.client_capabilities
    requests: dict[str, Any] = {}
    if declared and declared.elicitation:
        requests["e"] = form("name?", name="string")
    if declared and declared.sampling:
        requests["s"] = sample("hi")
    if requests.keys() <= (params.input_responses or {}).keys():
        return result(text("done"))
    return InputRequiredResult(input_requests=requests)


async def needs_sampling(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
    declared = ctx.session.client_capabilities
    if not (declared and declared.sampling):
        raise MCPError(MISSING_CAPABILITY, "sampling is required", {"requiredCapabilities": {"sampling": {}}})
    return result(text("ok"))


async def progress(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
    for done in (0, 50, 100):
        await ctx.session.report_progress(done, 100)
    return result(text("done"))


async def logging(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
    for message in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.session.send_log_message("info", message, related_request_id=ctx.request_id)  # pyright: ignore[reportDeprecated]
    return result(text("done"))


async def streaming(ctx: Context, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
    await ctx.session.report_progress(1, 2)
    return await asking({"user_name": form("name?", name="string")})(ctx, params)


async def sampling(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
    asked = [SamplingMessage(role="user", content=TextContent(text=str((params.arguments or {}).get("prompt"))))]
    got = await ctx.session.create_message(asked, max_tokens=100, related_request_id=ctx.request_id)  # pyright: ignore[reportDeprecated]
    return result(text(f"LLM response: {getattr(got.content, 'text', '')}"))


def eliciting(properties: Mapping[str, Any]) -> Tool:
    async def answer(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        message = str((params.arguments or {}).get("message", "Please answer."))
        schema = {"type": "object", "properties": dict(properties)}
        got = await ctx.session.elicit_form(message, schema, ctx.request_id)
        return result(text(f"User response: action={got.action}, content={got.content}"))

    return answer


OPTIONS = ["option1", "option2", "option3"]
TITLED = [{"const": f"value{number}", "title": title} for number, title in enumerate(("First", "Second", "Third"), 1)]
NAME = {"user_name": form("What is your name?", name="string")}
EVERYTHING = {**NAME, "greeting": sample("Generate a greeting"), "client_roots": ListRootsRequest()}
CONFIRM = {"confirm": form("Please confirm", ok="boolean")}

TOOLS: dict[str, Tool] = {
    "test_simple_text": always(text("This is a simple text response for testing.")),
    "test_image_content": always(IMAGE),
    "test_audio_content": always({"type": "audio", "data": WAV, "mimeType": "audio/wav"}),
    "test_embedded_resource": always(embedded("test://embedded-resource", "text/plain", "An embedded resource.")),
    "test_multiple_content_types": always(
        text("Multiple content types test:"), IMAGE, embedded("test://mixed", "application/json", '{"test":"data"}')
    ),
    "test_error_handling": always(text("This tool intentionally returns an error for testing"), error=True),
    "test_tool_with_logging": logging,
    "test_logging_tool": logging,
    "test_tool_with_progress": progress,
    "test_sampling": sampling,
    "test_elicitation": eliciting({"username": {"type": "string"}, "email": {"type": "string"}}),
    "test_elicitation_sep1034_defaults": eliciting(
        {
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "default": True},
        }
    ),
    "test_elicitation_sep1330_enums": eliciting(
        {
            "untitledSingle": {"type": "string", "enum": OPTIONS},
            "titledSingle": {"type": "string", "oneOf": TITLED},
            "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["One", "Two", "Three"]},
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": OPTIONS}},
            "titledMulti": {"type": "array", "items": {"anyOf": TITLED}},
        }
    ),
    "test_input_required_result_elicitation": asking(NAME),
    "test_input_required_result_sampling": asking({"capital_question": sample("What is the capital of France?")}),
    "test_input_required_result_list_roots": asking({"client_roots": ListRootsRequest()}),
    "test_input_required_result_request_state": asking(CONFIRM, "s1"),
    "test_input_required_result_tampered_state": asking(CONFIRM, "s1"),
    "test_input_required_result_multiple_inputs": asking(EVERYTHING, "s1"),
    "test_input_required_result_multi_round": two_rounds,
    "test_input_required_result_capabilities": what_was_declared,
    "test_missing_capability": needs_sampling,
    "test_streaming_elicitation": streaming,
    "test_trigger_tool_change": always(text("ok")),
    "test_trigger_prompt_change": always(text("ok")),
    "json_schema_2020_12_tool": always(text("ok")),
}
PROMPTS: dict[str, list[str]] = {
    "test_simple_prompt": [],
    "test_prompt_with_arguments": ["arg1", "arg2"],
    "test_prompt_with_embedded_resource": ["resourceUri"],
    "test_prompt_with_image": [],
    "test_input_required_result_prompt": [],
}


def prompt(params: GetPromptRequestParams) -> GetPromptResult | InputRequiredResult:
    given = params.arguments or {}
    said: list[Mapping[str, Any]] = [text("This is a simple prompt for testing.")]
    if params.name == "test_prompt_with_arguments":
        said = [text(f"Prompt with arguments: arg1='{given.get('arg1')}', arg2='{given.get('arg2')}'")]
    elif params.name == "test_prompt_with_embedded_resource":
        said = [embedded(given.get("resourceUri", ""), "text/plain", "Embedded."), text("Please process the resource.")]
    elif params.name == "test_prompt_with_image":
        said = [IMAGE, text("Please analyze the image above.")]
    elif params.name == "test_input_required_result_prompt" and "user_context" not in (params.input_responses or {}):
        question = form("What context should the prompt use?", context="string")
        return InputRequiredResult(input_requests={"user_context": question})
    return GetPromptResult.model_validate({"messages": [{"role": "user", "content": part} for part in said]})


def resource(uri: str) -> ReadResourceResult | None:
    found = RESOURCES.get(uri)
    if uri.startswith("test://template/") and uri.endswith("/data"):
        name = uri.removeprefix("test://template/").removesuffix("/data")
        data = f'{{"id":"{name}","templateTest":true,"data":"Data for ID: {name}"}}'
        found = {"mimeType": "application/json", "text": data}
    return ReadResourceResult.model_validate({"contents": [{"uri": uri, **found}]}) if found else None


def listed() -> dict[str, tuple[str, list[dict[str, Any]]]]:
    """What each list has besides ours."""
    plain: dict[str, Any] = {"type": "object", "properties": {}}
    schemas = dict.fromkeys(TOOLS, plain) | {"json_schema_2020_12_tool": DIALECT}
    tools = [{"name": name, "description": name, "inputSchema": schema} for name, schema in schemas.items()]
    prompts = [
        {
            "name": name,
            "description": name,
            "arguments": [{"name": argument, "required": True} for argument in arguments],
        }
        for name, arguments in PROMPTS.items()
    ]
    resources = [{"uri": uri, "name": uri, "mimeType": kept["mimeType"]} for uri, kept in RESOURCES.items()]
    templates = [{"uriTemplate": "test://template/{id}/data", "name": "template"}]
    return {
        "tools/list": ("tools", tools),
        "prompts/list": ("prompts", prompts),
        "resources/list": ("resources", resources),
        "resources/templates/list": ("resourceTemplates", templates),
    }


def ours(server: Server[App], method: str) -> Handler:
    """The server's own handler of a method."""
    entry = server.get_request_handler(method)
    assert entry is not None
    return entry.handler


def plain(answer: BaseModel) -> dict[str, Any]:
    """A result as it travels."""
    return answer.model_dump(mode="json", by_alias=True, exclude_none=True)


def longer(own: Handler, key: str, more: list[dict[str, Any]]) -> Handler:
    """A list with ours first and the fixtures after it."""

    async def handler(ctx: Context, params: Any) -> Any:
        answer: Any = await own(ctx, params)
        wire = cast("dict[str, Any]", answer) if isinstance(answer, dict) else plain(answer)
        return {**wire, key: [*wire[key], *more]}

    return handler


async def empty(ctx: Context, params: Any) -> EmptyResult:
    return EmptyResult()


def mount(server: Server[App]) -> Server[App]:
    """Put the fixtures beside what the server has; everything else stays with the server's own handlers."""
    methods = ("tools/call", "prompts/get", "resources/read", "completion/complete")
    own_call, own_prompt, own_read, own_completion = (ours(server, method) for method in methods)

    async def call(ctx: Context, params: CallToolRequestParams) -> Any:
        return await TOOLS.get(params.name, own_call)(ctx, params)

    async def get(ctx: Context, params: GetPromptRequestParams) -> Any:
        return prompt(params) if params.name in PROMPTS else await own_prompt(ctx, params)

    async def read(ctx: Context, params: ReadResourceRequestParams) -> Any:
        return resource(str(params.uri)) or await own_read(ctx, params)

    async def complete(ctx: Context, params: CompleteRequestParams) -> Any:
        if getattr(params.ref, "name", None) in PROMPTS:
            return CompleteResult(completion=Completion(values=[]))
        return await own_completion(ctx, params)

    for method, (key, more) in listed().items():
        server.add_request_handler(method, PaginatedRequestParams, longer(ours(server, method), key, more))
    server.add_request_handler("tools/call", CallToolRequestParams, call)
    server.add_request_handler("prompts/get", GetPromptRequestParams, get)
    server.add_request_handler("resources/read", ReadResourceRequestParams, read)
    server.add_request_handler("completion/complete", CompleteRequestParams, complete)
    server.add_request_handler("logging/setLevel", SetLevelRequestParams, empty)  # pyright: ignore[reportDeprecated]
    server.add_request_handler("resources/subscribe", SubscribeRequestParams, empty)
    server.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, empty)
    return server


def main() -> None:
    """Serve over HTTP until a signal comes."""
    app = App.of(load({"KUSTOM_TOOLS": "all"}).settings)
    listener = listen("127.0.0.1", int(sys.argv[1]))
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}/mcp", file=sys.stderr, flush=True)
    anyio.run(serve_http, app, listener, mount(build_server(app)))


if __name__ == "__main__":
    main()
